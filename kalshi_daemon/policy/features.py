"""The 52 features of one market, in order, one formula a line (observation.md, whose numbers are the comments here).

Rules:
- This says what a feature is, for training and for trading alike; `columns.py` says it again for many markets at once,
  to the same bits, and both are held to `reference.py`. Nothing else computes one.
- A row in `SQUASHED` is the argument of a tanh here: one call takes them all, for a batch of any size, because the
  bits of a tanh depend on who computes it. Logarithms are the C library's, everywhere; all else is arithmetic.
- Integers of the house become cents, contracts and dollars once, as late as possible: differences, sums and what
  decides a step (rows 10, 31) are taken of integers, so that no rounding can tip them.
- A side that is missing, or a window too short, gives the value of the table's last column. A mid that is missing is
  the last one, which rows 20, 21, 33 to 35, 46, 49 and 50 use.
- Time is that of the last message noted; only the age of an order looks at the moment of asking.
- Whoever changes a name, the order or a formula raises `FORMULAS_VERSION`, and models trained before are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import log, log1p, sqrt
from operator import mul, sub
from zoneinfo import ZoneInfo

from kalshi_daemon.core.fees import TAKER_PPM
from kalshi_daemon.limits import HISTORY_POINTS
from kalshi_daemon.policy.history import ACTIVITY_FULL, MarketHistory
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.portfolio import value_at_mid
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE, SECOND_MS, BookSide, Milliseconds

FORMULAS_VERSION = 1

FEATURES = (
    *("best_yes_bid", "best_yes_ask", "best_no_bid", "best_no_ask", "yes_mid", "no_mid", "yes_spread", "no_spread"),
    *("yes_spread_pct", "no_spread_pct", "yes_spread_regime", "no_spread_regime", "yes_breakeven_move"),
    *("no_breakeven_move", "total_volume", "volume_imbalance", "yes_side_imbalance", "no_side_imbalance"),
    *("bid_ask_depth_ratio", "last_trade_offset", "yes_microprice", "no_microprice", "yes_depth", "no_depth"),
    *("yes_concentration", "no_concentration"),
    *("time_since_last_update", "time_of_day", "activity", "activity_change", "update_frequency", "activity_burst"),
    *("activity_trend", "price_momentum", "volatility", "price_stability"),
    *("cash_ratio", "position_ratio", "position_count", "average_position_size", "long_share", "short_share"),
    *("net_position_bias", "position_concentration", "this_position", "unrealized_pnl_ratio", "this_unrealized"),
    *("has_open_buy", "has_open_sell", "buy_distance", "sell_distance", "newest_order_age"),
)

SQUASHED = (
    *("activity_change", "activity_trend", "price_momentum", "net_position_bias", "unrealized_pnl_ratio"),
    "this_unrealized",
)
EASTERN = ZoneInfo("America/New_York")
VOLUME_FULL = log(1e7 + 1)
TWO_CENTS = 2 * PRICE_CENT  # the divisor from twice a mid, in `Price`, to the mid in cents
HOUR_MS: Milliseconds = 3_600 * SECOND_MS
SLOPE_WEIGHTS = [[2 * index + 1 - points for index in range(points)] for points in range(HISTORY_POINTS + 1)]
Row = list[float]


def schema_hash() -> str:
    """Names, order and version of the formulas: what a model must have been trained on."""
    return hashlib.sha256(json.dumps([FORMULAS_VERSION, *FEATURES]).encode()).hexdigest()


def clamp(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def market_features(market: MarketInput) -> Row:
    """Rows 0 to 25."""
    book = market.book
    if not (book.yes.prices and book.no.prices):
        return _one_sided_features(market)
    bid, no_bid = book.yes.prices[-1], book.no.prices[-1]
    yb, nb = bid / PRICE_CENT, no_bid / PRICE_CENT
    ya, na = (PRICE_ONE - no_bid) / PRICE_CENT, (PRICE_ONE - bid) / PRICE_CENT
    mid = (bid + PRICE_ONE - no_bid) / (2 * PRICE_CENT)
    spread = (PRICE_ONE - no_bid - bid) / PRICE_CENT
    qb, qa = book.bid_count / CONTRACT, book.ask_count / CONTRACT
    bids, asks = book.yes.total / CONTRACT, book.no.total / CONTRACT
    near_bids, near_asks = book.yes.near / CONTRACT, book.no.near / CONTRACT
    regime = _regime(spread)
    breakeven = _breakeven(spread, mid, market.fee_multiplier_ppm)
    microprice = (yb * qa + ya * qb) / (qa + qb) / 100
    depth = min((len(book.yes.prices) + len(book.no.prices)) / 200, 1.0)
    trade = market.last_trade
    trade_off_twice = 0 if trade is None else 2 * trade - bid - PRICE_ONE + no_bid  # in `Price`
    return [
        yb / 100,  # 0 best_yes_bid
        ya / 100,  # 1 best_yes_ask
        nb / 100,  # 2 best_no_bid
        na / 100,  # 3 best_no_ask
        clamp(mid / 100, 0.01, 0.99),  # 4 yes_mid
        clamp((100 - mid) / 100, 0.01, 0.99),  # 5 no_mid
        spread / 100,  # 6 yes_spread
        spread / 100,  # 7 no_spread
        spread / mid if mid > 0 else 0.5,  # 8 yes_spread_pct
        spread / (100 - mid) if mid < 100 else 0.5,  # 9 no_spread_pct
        regime,  # 10 yes_spread_regime
        regime,  # 11 no_spread_regime
        breakeven,  # 12 yes_breakeven_move
        breakeven,  # 13 no_breakeven_move
        min(log1p(bids + asks) / VOLUME_FULL, 1.0),  # 14 total_volume
        (qb - qa) / (qb + qa),  # 15 volume_imbalance
        (bids - asks) / (bids + asks),  # 16 yes_side_imbalance
        (asks - bids) / (bids + asks),  # 17 no_side_imbalance
        # the tanh of half a difference of logarithms is a quotient: tanh(ln(x)/2) = (x-1)/(x+1)
        (near_bids - near_asks) / (near_bids + near_asks + 2),  # 18 bid_ask_depth_ratio
        clamp(trade_off_twice / TWO_CENTS / 10, -2.0, 2.0),  # 19 last_trade_offset
        microprice,  # 20 yes_microprice
        1 - microprice,  # 21 no_microprice
        depth,  # 22 yes_depth
        depth,  # 23 no_depth
        book.yes.largest_three / CONTRACT / bids,  # 24 yes_concentration
        book.no.largest_three / CONTRACT / asks,  # 25 no_concentration
    ]


def _one_sided_features(market: MarketInput) -> Row:
    """Rows 0 to 25 where a side is missing, or both: the last column, but for what the other side says alone."""
    book = market.book
    bid = book.yes.prices[-1] if book.yes.prices else PRICE_ONE // 2
    no_bid = book.no.prices[-1] if book.no.prices else PRICE_ONE // 2
    bids, asks = book.yes.total / CONTRACT, book.no.total / CONTRACT
    mid = _mid_cents(market.history)
    return [
        *(bid / PRICE_ONE, 1 - no_bid / PRICE_ONE, no_bid / PRICE_ONE, 1 - bid / PRICE_ONE),  # 0 to 3, the best prices
        *(0.5, 0.5),  # 4, 5 the mids
        *(0.1, 0.1),  # 6, 7 the spreads
        *(0.2, 0.2),  # 8, 9 the spreads over the mids
        *(0.75, 0.75),  # 10, 11 the regimes
        *(0.1, 0.1),  # 12, 13 the breakeven moves
        min(log1p(bids + asks) / VOLUME_FULL, 1.0),  # 14 total_volume
        *(0.0, 0.0, 0.0, 0.0, 0.0),  # 15 to 19, the imbalances, the depth ratio, the last trade
        *(mid / 100, 1 - mid / 100),  # 20, 21 the microprices
        *(0.0, 0.0),  # 22, 23 the depths
        book.yes.largest_three / CONTRACT / bids if bids else 0.5,  # 24 yes_concentration
        book.no.largest_three / CONTRACT / asks if asks else 0.5,  # 25 no_concentration
    ]


def _regime(spread_cents: float) -> float:
    if spread_cents < 5:
        return 0.0 if spread_cents < 2 else 0.25
    if spread_cents < 10:
        return 0.5
    return 0.75 if spread_cents < 20 else 1.0


def _breakeven(spread_cents: float, mid_cents: float, multiplier_ppm: int) -> float:
    """Dollars the price must move to pay for both takings: the spread and two fees at the mid, unrounded."""
    p = mid_cents / 100
    fee_cents = 100 * (TAKER_PPM / 1e6) * (multiplier_ppm / 1e6) * p * (1 - p)
    return (spread_cents + 2 * fee_cents) / 100


def _mid_cents(history: MarketHistory) -> float:
    """The mid, or the last one, or 50."""
    return history.mid_twice / TWO_CENTS


def temporal_features(history: MarketHistory) -> Row:
    """Rows 26 to 35, over the closed points and the open one."""
    closed_ms = history.closed_ms
    now_ms = history.now_ms
    n = len(closed_ms) + 1
    if n == 1:
        return [0.0, _time_of_day(now_ms), history.changed / ACTIVITY_FULL, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.5]
    # exact integers: contracts changed in `Count`, twice the mids in `Price`
    last = history.changed
    changed = [*history.closed_changed, last]
    mids = [*history.closed_mids, history.mid_twice]
    moves = list(map(sub, mids[1:], mids))
    above = n * last - sum(changed)  # n times the last less the mean
    burst = n >= 3 and above > 0 and 4 * above * above > 9 * _spread(changed)
    rise = sum(map(mul, SLOPE_WEIGHTS[n], changed))
    return [
        min((now_ms - closed_ms[-1]) / SECOND_MS / 300, 1.0),  # 26 time_since_last_update; 0
        _time_of_day(now_ms),  # 27 time_of_day
        last / ACTIVITY_FULL,  # 28 activity; 0
        (last - changed[-2]) / ACTIVITY_FULL,  # 29 activity_change; 0
        min(n / max((now_ms - closed_ms[0]) / SECOND_MS, 1.0) / 2, 1.0),  # 30 update_frequency; 0
        1.0 if burst else 0.0,  # 31 activity_burst; 0
        10 * (6 * rise / (n * (n * n - 1))) / ACTIVITY_FULL if n >= 5 else 0.0,  # 32 activity_trend; 0
        (mids[-1] - mids[0]) / TWO_CENTS / 5,  # 33 price_momentum; 0
        min(sqrt(_spread(moves)) / len(moves) / TWO_CENTS / 5, 1.0) if n >= 5 else 0.1,  # 34 volatility; 0.1
        max(0.0, 1 - sum(map(abs, moves[-3:])) / min(n - 1, 3) / TWO_CENTS / 5) if n >= 3 else 0.5,  # 35; 0.5
    ]


def _spread(values: Sequence[int]) -> int:
    """The population variance times the square of how many there are; exact, and 0 where all are equal."""
    total = sum(values)
    squares: int = sum(map(mul, values, values))
    return len(values) * squares - total * total


def _time_of_day(now_ms: Milliseconds) -> float:
    """US Eastern hours from nine to sixteen as 0 to 1, else 0."""
    hours, rest_ms = divmod(now_ms, HOUR_MS)
    h = eastern_hour(hours) + rest_ms / HOUR_MS
    return (h - 9) / 7 if 9 <= h <= 16 else 0.0


@lru_cache(maxsize=4)
def eastern_hour(hours: int) -> int:
    """The hour in the east at so many whole hours since the epoch: its clock changes on whole hours only."""
    return datetime.fromtimestamp(hours * 3_600, UTC).astimezone(EASTERN).hour


def account_features(account: AccountInput) -> Row:
    """Rows 36 to 51 of a market without a position and without orders, equal for all such markets of a batch."""
    worth = account.portfolio_value
    positions = account.positions
    k = len(positions)
    if worth <= 0:
        return [1.0, *[0.0] * 15]
    counts = [position.count for position in positions]
    values = [position.value for position in positions]
    held = sum(map(abs, counts))
    unrealised = sum(values) - sum([position.cost for position in positions])
    return [
        clamp(account.available / worth, 0.0, 1.0),  # 36 cash_ratio; 1
        clamp(sum(values) / worth, 0.0, 1.0),  # 37 position_ratio; 0
        min(k / 10, 1.0),  # 38 position_count; 0
        min(held / CONTRACT / k / 100, 1.0) if k else 0.0,  # 39 average_position_size; 0
        len([count for count in counts if count > 0]) / k if k else 0.0,  # 40 long_share; 0
        len([count for count in counts if count < 0]) / k if k else 0.0,  # 41 short_share; 0
        sum(counts) / held if k else 0.0,  # 42 net_position_bias; 0
        min(max(values) / worth, 1.0) if k else 0.0,  # 43 position_concentration; 0
        0.0,  # 44 this_position
        unrealised / worth,  # 45 unrealized_pnl_ratio; 0
        *(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),  # 46 this_unrealized, and 47 to 51, of orders
    ]


def position_features(market: MarketInput) -> tuple[float, float]:
    """Rows 44 and 46, where something is held and the portfolio is worth something."""
    unrealised = value_at_mid(market.position, market.history.mid_twice) - market.cost
    return (
        clamp(market.position / CONTRACT / 100, -1.0, 1.0),  # 44 this_position; 0
        unrealised / max(market.cost, DOLLAR),  # 46 this_unrealized; 0
    )


def order_features(market: MarketInput, now_ms: Milliseconds) -> Row:
    """Rows 47 to 51, where there are orders."""
    mid = _mid_cents(market.history)
    newest = sorted(market.orders, key=lambda order: order.placed_ms)
    buys = [order.price / PRICE_CENT for order in newest if order.side is BookSide.BID]
    sells_ = [order.price / PRICE_CENT for order in newest if order.side is BookSide.ASK]
    return [
        1.0 if buys else 0.0,  # 47 has_open_buy; 0
        1.0 if sells_ else 0.0,  # 48 has_open_sell; 0
        abs(mid - buys[-1]) / 100 if buys else 0.0,  # 49 buy_distance; 0
        abs(mid - sells_[-1]) / 100 if sells_ else 0.0,  # 50 sell_distance; 0
        clamp((now_ms - newest[-1].placed_ms) / (300 * SECOND_MS), 0.0, 1.0),  # 51 newest_order_age; 0
    ]


def book_features(market: MarketInput) -> Row:
    """Rows 0 to 35: what is equal for as long as book, last trade and fees are."""
    return [*market_features(market), *temporal_features(market.history)]
