"""Every feature stays within its range, wherever its inputs are: full windows, short ones, sides that are missing."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import assume, given, settings
from numpy.typing import NDArray
from told_inputs import Look, looks

from kalshi_daemon.limits import HISTORY_POINTS
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.observation_adapter import observe_raw
from kalshi_daemon.policy.ranges import RANGES, SIGNED
from kalshi_daemon.training.samples import batches_of

LEAST = np.array([RANGES[name][0] for name in FEATURES])
MOST = np.array([RANGES[name][1] for name in FEATURES])


def outside(rows: NDArray[np.float64]) -> set[str]:
    """A number that is none is outside too."""
    within = (rows >= LEAST) & (rows <= MOST)
    return {FEATURES[column] for column in np.flatnonzero(~within.all(axis=0))}


def test_every_feature_has_a_range() -> None:
    """None is left out, none is invented, and all lie where the last step would leave them."""
    assert list(RANGES) == list(FEATURES)
    assert set(SIGNED) < set(FEATURES)
    assert (LEAST >= -2).all()
    assert (MOST <= 2).all()


@settings(max_examples=60)
@given(looks())
def test_any_look_is_in_range(look: Look) -> None:
    """Any messages, orders and account: a side missing or none, a window of no point or ten."""
    market, account = look.inputs()
    assume(not market.book.crossed)
    assert outside(observe_raw([market], account, look.now_ms)) == set()


def test_full_windows_are_in_range_and_use_it() -> None:
    """Batches of busy markets, every window full: in range, and what may be negative is so at times."""
    seen = []
    for markets, account, now_ms in batches_of(Random(11), 120):
        full = [
            market
            for market in markets
            if len(market.history.closed_ms) == HISTORY_POINTS - 1 and not market.book.crossed
        ]
        seen.append(observe_raw(full, account, now_ms))
    rows = np.concatenate(seen)
    assert len(rows) > 500
    assert outside(rows) == set()
    negative = {FEATURES[column] for column in np.flatnonzero((rows < 0).any(axis=0))}
    # ten points of a busy market are shorter than the minute in which its activity falls
    assert {*SIGNED, "last_trade_offset"} - negative == {"activity_change", "activity_trend"}
