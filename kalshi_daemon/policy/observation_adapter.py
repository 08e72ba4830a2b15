"""A batch of markets as the policy sees them: float32, one row of 52 features a market.

It is made in two steps, so that whoever must prove the features (range, not a number) can look at them between:
`observe_raw` is what the formulas give, `bounded` what a model is handed. `observe` is both.

Rules:
- Nothing here reads a clock. Equal inputs give equal bytes, in a batch of any size, with whatever else is in it, and
  from what was kept as anew, so that a decision can be taken again from a recording.
- What is not a number becomes 0 and an infinity 1 of its sign before the clip, as in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.policy.columns import book_columns, is_whole
from kalshi_daemon.policy.features import (
    FEATURES,
    SQUASHED,
    account_features,
    book_features,
    order_features,
    position_features,
)
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.units import Milliseconds, Price

COLUMNS_FROM = 24  # whole markets in a batch from which columns cost less than rows
BOOK_ROWS = FEATURES.index("cash_ratio")  # rows of the book and its window alone, before those of the account
IS_SQUASHED = np.array([[name in SQUASHED] for name in FEATURES])
OBSERVED_MAX = 2.0  # features are clipped to it, either sign


def observe(markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds) -> NDArray[np.float32]:
    """(markets, 52), as a model takes it."""
    return bounded(observe_raw(markets, account, now_ms))


def observe_raw(markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds) -> NDArray[np.float64]:
    """(markets, 52), as the formulas give it. `now_ms` is the exchange's clock when the batch was taken: open orders
    age to it.
    """
    table = np.empty((len(FEATURES), len(markets)))
    _compute(table, markets, range(len(markets)))
    return _finished(table, markets, account, now_ms)


class ObservationAdapter:
    """`observe_raw` with a memory: of a book without news, rows 0 to 35 are those of the last time. What it keeps is
    kept with the market's window, one row each, and ends with it.
    """

    def __init__(self) -> None:
        self.counts = Counter(computed=0, kept=0)  # rows of markets

    def observe_raw(
        self, markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds
    ) -> NDArray[np.float64]:
        table = np.empty((len(FEATURES), len(markets)))
        news = []
        for row, market in enumerate(markets):
            kept = market.history.observed
            if kept is not None and kept[0] == _version(market):
                table[:BOOK_ROWS, row] = kept[1]
            else:
                news.append(row)
        _compute(table, markets, news)
        for row in news:
            markets[row].history.observed = (_version(markets[row]), table[:BOOK_ROWS, row].copy())
        self.counts.update(computed=len(news), kept=len(markets) - len(news))
        return _finished(table, markets, account, now_ms)


def _version(market: MarketInput) -> tuple[int, Price | None, int]:
    """All that rows 0 to 35 depend on; the window has news only when the book has."""
    return market.book.version, market.last_trade, market.fee_multiplier_ppm


def _compute(table: NDArray[np.float64], markets: Sequence[MarketInput], rows: Sequence[int]) -> None:
    """Rows 0 to 35 of these markets, into their columns of the (52, markets) table."""
    whole = [row for row in rows if is_whole(markets[row])] if len(rows) >= COLUMNS_FROM else []
    if len(whole) < COLUMNS_FROM:
        whole = []
    else:
        table[:BOOK_ROWS, whole] = book_columns([markets[row] for row in whole])
    for row in rows if not whole else set(rows).difference(whole):
        table[:BOOK_ROWS, row] = book_features(markets[row])


def _finished(
    table: NDArray[np.float64], markets: Sequence[MarketInput], account: AccountInput, now_ms: Milliseconds
) -> NDArray[np.float64]:
    """Rows 36 to 51, and every tanh of the batch at once; turned to (markets, 52)."""
    rows = table.T
    rows[:, BOOK_ROWS:] = account_features(account)
    for row, market in enumerate(markets):
        if market.position and account.portfolio_value > 0:
            table[44, row], table[46, row] = position_features(market)
        if market.orders:
            table[47:, row] = order_features(market, now_ms)
    np.tanh(table, out=table, where=IS_SQUASHED)
    return rows


def bounded(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """The last step: no NaN, no infinity, within [-2, 2], and float32."""
    flat = rows.ravel(order="K")
    if not isfinite(flat.dot(flat)):  # asked first, and of one number: replacing costs more than all else here
        rows = np.nan_to_num(rows, nan=0.0, posinf=1.0, neginf=-1.0)
    observation = rows.astype(np.float32, order="C")
    np.maximum(observation, -OBSERVED_MAX, out=observation)
    return np.minimum(observation, OBSERVED_MAX, out=observation)
