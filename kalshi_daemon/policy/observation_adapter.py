"""A batch of markets as the policy sees them: float32, one row of 52 features a market.

It is made in two steps, so that whoever must prove the features (range, not a number) can look at them between:
`observe_raw` is what the formulas give, `bounded` what a model is handed. `observe` is both.

Rules: nothing here reads a clock or remembers; equal inputs give equal bytes, so that a decision can be taken again
from a recording. What is not a number becomes 0 and an infinity 1 of its sign before the clip, as in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.policy.columns import is_whole, whole_features
from kalshi_daemon.policy.features import FEATURES, account_features, features
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.units import Milliseconds

COLUMNS_FROM = 12  # whole markets in a batch from which columns cost less than rows
OBSERVED_MAX = 2.0  # features are clipped to it, either sign


def observe(markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds) -> NDArray[np.float32]:
    """(markets, 52), as a model takes it."""
    return bounded(observe_raw(markets, account, now_ms))


def observe_raw(markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds) -> NDArray[np.float64]:
    """(markets, 52), as the formulas give it. `now_ms` is the exchange's clock when the batch was taken: open orders
    age to it.
    """
    shared = account_features(account)
    rows = np.empty((len(markets), len(FEATURES)))
    whole = [row for row, market in enumerate(markets) if is_whole(market)]
    if len(whole) < COLUMNS_FROM:
        whole = []
    else:
        rows[whole] = whole_features([markets[row] for row in whole], account, shared, now_ms)
    for row in set(range(len(markets))).difference(whole):
        rows[row] = features(markets[row], account, shared, now_ms)
    return rows


def bounded(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """The last step: no NaN, no infinity, within [-2, 2], and float32."""
    if not np.isfinite(rows).all():  # asked first: replacing costs more than all else here
        rows = np.nan_to_num(rows, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.minimum(np.maximum(rows, -OBSERVED_MAX), OBSERVED_MAX).astype(np.float32)
