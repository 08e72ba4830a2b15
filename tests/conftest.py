"""What all tests share: the log says errors only (unconfigured it would print every state to standard output), a
schedule of trio's that is a function of the test's `seed`, which tests may run side by side, and examples that are the
same in each run, so that a change is judged by what it changed. New ones are drawn by `--hypothesis-profile=default`,
as `make nightly` does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from kalshi_daemon.simulation.determinism import seeded_scheduling

hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files side by side, each whole; but for those that run real processes, which are slow enough one at a time."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("processes" if file.startswith("tests/service/") else file))


def pytest_runtest_setup(item: pytest.Item) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@pytest.fixture
def seeded_schedule(seed: int) -> Iterator[None]:
    """For a test of two things at once, with `seed` among its parameters: each seed is another order, and the same."""
    with seeded_scheduling(seed):
        yield
