"""What all tests share: the log says errors only. Unconfigured it would print every state to standard output."""

from __future__ import annotations

import logging

import pytest
import structlog


def pytest_runtest_setup(item: pytest.Item) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
