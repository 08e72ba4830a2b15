"""The same 52 features for many markets at once, a column each: what makes a large batch cheap.

Rules:
- `features.py` says what each feature is; a property test holds this to it. Here are whole markets alone: both sides
  there and a full window, so that no column has an exception. The others go the literal way.
- The raw numbers are gathered as integers below 2**53, which float64 holds exactly, and become real numbers after that.
- A table here is (columns, markets), so that a column lies together; the batch is turned at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.core.fees import TAKER_PPM
from kalshi_daemon.limits import HISTORY_POINTS
from kalshi_daemon.policy.features import FEATURES, HOUR_MS, TWO_CENTS, VOLUME_FULL, Row, eastern_hour, order_features
from kalshi_daemon.policy.history import ACTIVITY_FULL
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE, SECOND_MS, Milliseconds

Column = NDArray[np.float64]  # (markets,)
Table = NDArray[np.float64]  # (columns, markets)
Raw = dict[str, Column]
RAW = (
    *("bid", "no_bid", "bid_count", "no_bid_count", "bids", "asks", "near_bids", "near_asks", "top_bids", "top_asks"),
    *("levels", "multiplier_ppm", "trade_off_twice", "mid_twice", "position", "cost", "now", "previous", "first"),
)
SLOPE_WEIGHTS = (2 * np.arange(HISTORY_POINTS, dtype=np.float64) + 1 - HISTORY_POINTS)[:, None]
SLOPE_SCALE = 6 / (HISTORY_POINTS * (HISTORY_POINTS**2 - 1))
REGIME_STEPS = np.array([2.0, 5.0, 10.0, 20.0])
ROW = {name: index for index, name in enumerate(FEATURES)}


def is_whole(market: MarketInput) -> bool:
    """Both sides are there and the window is full."""
    book = market.book
    return bool(book.yes.prices and book.no.prices) and len(market.history.closed_ms) == HISTORY_POINTS - 1


def whole_features(
    markets: Sequence[MarketInput], account: AccountInput, shared: Row, now_ms: Milliseconds
) -> NDArray[np.float64]:
    """(markets, 52) of whole markets, of which there is at least one; `shared` is `account_features` of the batch."""
    gathered = np.array([_gathered(market) for market in markets], dtype=np.float64).T.copy()
    raw: Raw = dict(zip(RAW, gathered, strict=False))
    window = gathered[len(RAW) :]
    table = np.zeros((len(FEATURES), len(markets)))
    _market_columns(table, raw)
    _temporal_columns(table, raw, window[:HISTORY_POINTS], window[HISTORY_POINTS:])
    table[36:44] = np.array(shared[:8])[:, None]
    table[45] = shared[8]
    if account.portfolio_value > 0:
        _position_columns(table, raw)
    for index, market in enumerate(markets):
        if market.orders:
            table[47:, index] = order_features(market, now_ms)
    return table.T


def _gathered(market: MarketInput) -> list[int]:
    """The numbers of `RAW`, then the window: contracts changed, and twice the mids."""
    yes, no = market.book.yes, market.book.no
    history = market.history
    bid, no_bid = yes.prices[-1], no.prices[-1]
    trade = market.last_trade
    return [
        *(bid, no_bid, yes.counts[bid], no.counts[no_bid], yes.total, no.total, yes.near, no.near),
        *(yes.largest_three, no.largest_three, len(yes.prices) + len(no.prices), market.fee_multiplier_ppm),
        *(0 if trade is None else 2 * trade - bid - PRICE_ONE + no_bid, history.mid_twice),
        *(market.position, market.cost, history.now_ms, history.closed_ms[-1], history.closed_ms[0]),
        *history.closed_changed,
        history.changed,
        *history.closed_mids,
        history.mid_twice,
    ]


def _market_columns(table: Table, raw: Raw) -> None:
    """Rows 0 to 25."""
    bid, no_bid = raw["bid"] / PRICE_CENT, raw["no_bid"] / PRICE_CENT
    ask, no_ask = (PRICE_ONE - raw["no_bid"]) / PRICE_CENT, (PRICE_ONE - raw["bid"]) / PRICE_CENT
    mid = (raw["bid"] + PRICE_ONE - raw["no_bid"]) / TWO_CENTS
    spread = (PRICE_ONE - raw["no_bid"] - raw["bid"]) / PRICE_CENT
    bid_count, ask_count = raw["bid_count"] / CONTRACT, raw["no_bid_count"] / CONTRACT
    bids, asks = raw["bids"] / CONTRACT, raw["asks"] / CONTRACT
    p = mid / 100
    fee_cents = 100 * (TAKER_PPM / 1e6) * (raw["multiplier_ppm"] / 1e6) * p * (1 - p)
    near = np.log1p(raw["near_bids"] / CONTRACT) - np.log1p(raw["near_asks"] / CONTRACT)
    columns = {
        "best_yes_bid": bid / 100,
        "best_yes_ask": ask / 100,
        "best_no_bid": no_bid / 100,
        "best_no_ask": no_ask / 100,
        "yes_mid": np.minimum(np.maximum(p, 0.01), 0.99),
        "no_mid": np.minimum(np.maximum((100 - mid) / 100, 0.01), 0.99),
        "yes_spread_pct": spread / mid,  # a mid between two prices of the contract is neither 0 nor 100
        "no_spread_pct": spread / (100 - mid),
        "total_volume": np.minimum(np.log1p(bids + asks) / VOLUME_FULL, 1.0),
        "volume_imbalance": (bid_count - ask_count) / (bid_count + ask_count),
        "bid_ask_depth_ratio": np.tanh(0.5 * near),
        "last_trade_offset": np.minimum(np.maximum(raw["trade_off_twice"] / TWO_CENTS / 10, -2.0), 2.0),
        "yes_concentration": raw["top_bids"] / CONTRACT / bids,
        "no_concentration": raw["top_asks"] / CONTRACT / asks,
    }
    for name, column in columns.items():
        table[ROW[name]] = column
    imbalance = (bids - asks) / (bids + asks)
    microprice = (bid * ask_count + ask * bid_count) / (ask_count + bid_count) / 100
    table[6:8] = spread / 100  # the spreads
    table[10:12] = np.searchsorted(REGIME_STEPS, spread, side="right") / 4  # their regimes
    table[12:14] = (spread + 2 * fee_cents) / 100  # the breakeven moves
    table[16], table[17] = imbalance, -imbalance
    table[20], table[21] = microprice, 1 - microprice
    table[22:24] = np.minimum(raw["levels"] / 200, 1.0)  # the depths


def _temporal_columns(table: Table, raw: Raw, changed: Table, mids: Table) -> None:
    """Rows 26 to 35; `changed` and `mids` are (points, markets)."""
    n = HISTORY_POINTS
    now, last = raw["now"], changed[-1]
    moves = mids[1:] - mids[:-1]
    burst = n * last - changed.sum(axis=0) > 1.5 * n * _deviation(changed)
    columns = {
        "time_since_last_update": np.minimum((now - raw["previous"]) / SECOND_MS / 300, 1.0),
        "time_of_day": _time_of_day(now),
        "activity": last / ACTIVITY_FULL,
        "activity_change": np.tanh((last - changed[-2]) / ACTIVITY_FULL),
        "update_frequency": np.minimum(n / np.maximum((now - raw["first"]) / SECOND_MS, 1.0) / 2, 1.0),
        "activity_burst": burst,
        "activity_trend": np.tanh(10 * SLOPE_SCALE * (SLOPE_WEIGHTS * changed).sum(axis=0) / ACTIVITY_FULL),
        "price_momentum": np.tanh((mids[-1] - mids[0]) / TWO_CENTS / 5),
        "volatility": np.minimum(_deviation(moves) / TWO_CENTS / 5, 1.0),
        "price_stability": np.maximum(0.0, 1 - np.abs(moves[-3:]).sum(axis=0) / 3 / TWO_CENTS / 5),
    }
    for name, column in columns.items():
        table[ROW[name]] = column


def _deviation(values: Table) -> Column:
    """The population standard deviation of each market; exactly 0 where all values are equal."""
    n = len(values)
    deviation: Column = np.sqrt(n * (values * values).sum(axis=0) - values.sum(axis=0) ** 2) / n
    return deviation


def _time_of_day(now: Column) -> Column:
    """The markets of a batch are mostly of one hour, so the calendar is asked once for each."""
    whole = now // HOUR_MS
    h = now % HOUR_MS / HOUR_MS
    for hours in set(whole.tolist()):
        h = np.where(whole == hours, h + eastern_hour(int(hours)), h)
    return np.where((h >= 9) & (h <= 16), (h - 9) / 7, 0.0)


def _position_columns(table: Table, raw: Raw) -> None:
    """Rows 44 and 46."""
    count, cost = raw["position"], raw["cost"]
    held_twice = np.where(count > 0, raw["mid_twice"], 2 * PRICE_ONE - raw["mid_twice"])
    unrealised = np.abs(count) * held_twice // 2 - cost
    table[44] = np.minimum(np.maximum(count / CONTRACT / 100, -1.0), 1.0)
    table[46] = np.where(count == 0, 0.0, np.tanh(unrealised / np.maximum(cost, DOLLAR)))
