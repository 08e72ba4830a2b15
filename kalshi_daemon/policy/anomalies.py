"""What is wrong with an observation, in words: for who will not decide on one that cannot be right (strict validation).

Rules: pure, and only asked where it was asked for: it reads each level of the book. What the account says of itself is
not asked here: audits hold it against the exchange (core/account_comparison.py).
"""

from __future__ import annotations

from itertools import pairwise
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.core.book import Leg
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.policy.ranges import RANGES
from kalshi_daemon.units import contracts

_LEAST = np.array([RANGES[name][0] for name in FEATURES])
_MOST = np.array([RANGES[name][1] for name in FEATURES])


def anomaly(market: MarketInput, row: NDArray[np.float64]) -> str:
    """The first that is found, with its feature and value; empty where nothing is. `row`: 52 features, unbounded."""
    return _out_of_range(row) or _leg("YES", market.book.yes) or _leg("NO", market.book.no) or _time(market)


def _out_of_range(row: NDArray[np.float64]) -> str:
    within = (row >= _LEAST) & (row <= _MOST)  # a NaN is within nothing
    if within.all():
        return ""
    place = int(np.flatnonzero(~within)[0])
    value, (least, most) = float(row[place]), RANGES[FEATURES[place]]
    shown = f"{value:.6g}" if isfinite(value) else str(value)
    return f"{FEATURES[place]} is {shown}, allowed {least:g} to {most:g}"


def _leg(name: str, leg: Leg) -> str:
    """The book keeps sums and an order of its levels while they change: both must be those of the levels."""
    summed = sum(leg.counts.values())
    if summed != leg.total:
        return f"the {name} levels add up to {contracts(summed)}, and the book says {contracts(leg.total)}"
    if leg.prices != sorted(leg.counts):
        return f"the {name} levels are not in order"
    top = sum(sorted(leg.counts.values())[-3:])
    if leg.largest_three != top:
        return f"the largest {name} levels are {contracts(top)}, and the book says {contracts(leg.largest_three)}"
    return ""


def _time(market: MarketInput) -> str:
    times = [*market.history.closed_ms, market.history.now_ms]
    back = next((before - after for before, after in pairwise(times) if after < before), 0)
    return f"time goes back by {back} ms in the window" if back else ""
