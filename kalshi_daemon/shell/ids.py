"""The id of a run, from which every client order id is made (`kd-<run>-<number>`).

The time comes first, so that runs sort; random digits follow, so that two starts within a second differ. Only
`[a-z0-9]` is used and the length is fixed, well inside what the exchange takes.
"""

from __future__ import annotations

import random
from typing import Final

from kalshi_daemon.units import SECOND_MS, Milliseconds

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
TIME_DIGITS: Final = 7  # seconds since the epoch: enough until the year 4453
RANDOM_DIGITS: Final = 5


def new_run_id(rng: random.Random, now_ms: Milliseconds) -> str:
    """Twelve characters; later runs sort later."""
    return _base36(now_ms // SECOND_MS, TIME_DIGITS) + _base36(rng.randrange(36**RANDOM_DIGITS), RANDOM_DIGITS)


def _base36(number: int, length: int) -> str:
    assert 0 <= number < 36**length, f"{number} does not fit in {length} digits"
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
