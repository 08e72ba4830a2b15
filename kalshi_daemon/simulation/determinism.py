"""One seed, one run: trio's scheduler made to draw from a seeded generator.

Trio schedules at random on purpose and has a switch of its own for tests, which is private. This is the only place
that touches it; a test holds the canary, so that an upgrade which moves the switch is found before a trace is believed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from trio._core import _run


@contextmanager
def seeded_scheduling(seed: int) -> Iterator[None]:
    """While this is open, `trio.run` schedules as a function of the seed."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r  # noqa: SLF001 - see above
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    _run._r = random.Random(seed)  # noqa: SLF001, S311
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = before  # type: ignore[misc]  # noqa: SLF001
