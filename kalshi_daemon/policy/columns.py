"""Rows 0 to 35 for many markets at once, a column each: what makes a large batch cheap.

Rules:
- `features.py` says what each feature is, and this gives the same bits: each formula has the same operations in the
  same order, and a test compares bytes. A row in `SQUASHED` is the argument of its tanh here too.
- Here are whole markets alone: both sides there and a full window, so that no column has an exception. The others go
  row by row.
- The raw numbers are gathered as integers below 2**53, which float64 holds exactly, and become real numbers after that.
- A table here is (columns, markets), so that a column lies together; the batch is turned at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from struct import pack

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.core.fees import TAKER_PPM
from kalshi_daemon.limits import HISTORY_POINTS
from kalshi_daemon.policy.features import FEATURES, HOUR_MS, SLOPE_WEIGHTS, TWO_CENTS, VOLUME_FULL, eastern_hour
from kalshi_daemon.policy.history import ACTIVITY_FULL
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.units import CONTRACT, PRICE_CENT, PRICE_ONE, SECOND_MS

Column = NDArray[np.float64]  # (markets,)
Table = NDArray[np.float64]  # (columns, markets)
Raw = dict[str, Column]
RAW = (
    *("bid", "no_bid", "bid_count", "no_bid_count", "bids", "asks", "near_bids", "near_asks", "top_bids", "top_asks"),
    *("levels", "multiplier_ppm", "trade_off_twice", "now", "previous", "first"),
)
WEIGHTS = np.array(SLOPE_WEIGHTS[HISTORY_POINTS], dtype=np.float64)[:, None]
REGIME_STEPS = np.array([2.0, 5.0, 10.0, 20.0])
ROW = {name: index for index, name in enumerate(FEATURES)}


def is_whole(market: MarketInput) -> bool:
    """Both sides are there and the window is full."""
    book = market.book
    return bool(book.yes.prices and book.no.prices) and len(market.history.closed_ms) == HISTORY_POINTS - 1


def book_columns(markets: Sequence[MarketInput]) -> Table:
    """(36, markets) of whole markets, of which there is at least one."""
    gathered = _gathered(markets)
    raw: Raw = dict(zip(RAW, gathered, strict=False))
    window = gathered[len(RAW) :]
    table = np.empty((36, len(markets)))
    _market_columns(table, raw)
    _temporal_columns(table, raw, window[:HISTORY_POINTS], window[HISTORY_POINTS:])
    return table


def _gathered(markets: Sequence[MarketInput]) -> Table:
    """The numbers of `RAW`, then the window: contracts changed, and twice the mids. Packed, because numpy takes four
    times as long to read a list.
    """
    numbers: list[int] = []
    for market in markets:
        yes, no, history = market.book.yes, market.book.no, market.history
        bid, no_bid = yes.prices[-1], no.prices[-1]
        trade, times = market.last_trade, history.closed_ms
        numbers += (
            *(bid, no_bid, yes.counts[bid], no.counts[no_bid], yes.total, no.total, yes.near, no.near),
            *(yes.largest_three, no.largest_three, len(yes.prices) + len(no.prices), market.fee_multiplier_ppm),
            0 if trade is None else 2 * trade - bid - PRICE_ONE + no_bid,
            *(history.now_ms, times[-1], times[0]),
            *history.closed_changed,
            history.changed,
            *history.closed_mids,
            history.mid_twice,
        )
    packed = np.frombuffer(pack(f"{len(numbers)}q", *numbers), dtype=np.int64)
    return packed.reshape(len(markets), -1).T.astype(np.float64, order="C")


def _market_columns(table: Table, raw: Raw) -> None:
    """Rows 0 to 25."""
    bid, no_bid = raw["bid"] / PRICE_CENT, raw["no_bid"] / PRICE_CENT
    ask, no_ask = (PRICE_ONE - raw["no_bid"]) / PRICE_CENT, (PRICE_ONE - raw["bid"]) / PRICE_CENT
    mid = (raw["bid"] + PRICE_ONE - raw["no_bid"]) / TWO_CENTS
    spread = (PRICE_ONE - raw["no_bid"] - raw["bid"]) / PRICE_CENT
    bid_count, ask_count = raw["bid_count"] / CONTRACT, raw["no_bid_count"] / CONTRACT
    bids, asks = raw["bids"] / CONTRACT, raw["asks"] / CONTRACT
    near_bids, near_asks = raw["near_bids"] / CONTRACT, raw["near_asks"] / CONTRACT
    both = bids + asks
    p = mid / 100
    fee_cents = 100 * (TAKER_PPM / 1e6) * (raw["multiplier_ppm"] / 1e6) * p * (1 - p)
    volume = np.array([log1p(total) for total in both.tolist()])  # numpy's own logarithm has other bits elsewhere
    table[0], table[1], table[2], table[3] = bid / 100, ask / 100, no_bid / 100, no_ask / 100
    table[4] = np.minimum(np.maximum(p, 0.01), 0.99)
    table[5] = np.minimum(np.maximum((100 - mid) / 100, 0.01), 0.99)
    table[6:8] = spread / 100
    table[8] = spread / mid  # a mid between two prices of the contract is neither 0 nor 100
    table[9] = spread / (100 - mid)
    table[10:12] = np.searchsorted(REGIME_STEPS, spread, side="right") / 4
    table[12:14] = (spread + 2 * fee_cents) / 100
    table[14] = np.minimum(volume / VOLUME_FULL, 1.0)
    table[15] = (bid_count - ask_count) / (bid_count + ask_count)
    table[16] = (bids - asks) / both
    table[17] = (asks - bids) / both
    table[18] = (near_bids - near_asks) / (near_bids + near_asks + 2)
    table[19] = np.minimum(np.maximum(raw["trade_off_twice"] / TWO_CENTS / 10, -2.0), 2.0)
    table[20] = (bid * ask_count + ask * bid_count) / (ask_count + bid_count) / 100
    table[21] = 1 - table[20]
    table[22:24] = np.minimum(raw["levels"] / 200, 1.0)
    table[24] = raw["top_bids"] / CONTRACT / bids
    table[25] = raw["top_asks"] / CONTRACT / asks


def _temporal_columns(table: Table, raw: Raw, changed: Table, mids: Table) -> None:
    """Rows 26 to 35; `changed` and `mids` are (points, markets). Sums are of integers, in whatever order."""
    n = HISTORY_POINTS
    now, last = raw["now"], changed[-1]
    moves = mids[1:] - mids[:-1]
    above = n * last - changed.sum(axis=0)
    table[26] = np.minimum((now - raw["previous"]) / SECOND_MS / 300, 1.0)
    table[27] = _time_of_day(now)
    table[28] = last / ACTIVITY_FULL
    table[29] = (last - changed[-2]) / ACTIVITY_FULL
    table[30] = np.minimum(n / np.maximum((now - raw["first"]) / SECOND_MS, 1.0) / 2, 1.0)
    table[31] = (above > 0) & (4 * above * above > 9 * _spread(changed))
    table[32] = 10 * (6 * (WEIGHTS * changed).sum(axis=0) / (n * (n * n - 1))) / ACTIVITY_FULL
    table[33] = (mids[-1] - mids[0]) / TWO_CENTS / 5
    table[34] = np.minimum(np.sqrt(_spread(moves)) / (n - 1) / TWO_CENTS / 5, 1.0)
    table[35] = np.maximum(0.0, 1 - np.abs(moves[-3:]).sum(axis=0) / 3 / TWO_CENTS / 5)


def _spread(values: Table) -> Column:
    """The population variance of each market times the square of how many values there are."""
    total = values.sum(axis=0)
    spread: Column = len(values) * (values * values).sum(axis=0) - total * total
    return spread


def _time_of_day(now: Column) -> Column:
    """The markets of a batch are mostly of one hour, so the calendar is asked once for each."""
    whole = now // HOUR_MS
    h = now % HOUR_MS / HOUR_MS
    for hours in set(whole.tolist()):
        h = np.where(whole == hours, h + eastern_hour(int(hours)), h)
    return np.where((h >= 9) & (h <= 16), (h - 9) / 7, 0.0)
