"""The 52 features once more, slow and literal: what the implementation that trades is held against.

It begins with what was told, message by message, and with positions and orders, and reads the table of observation.md
aloud, one formula a line; numbers in comments are the table's rows.

Rules:
- Nothing is shared with the implementation but units and facts: no book, no window, no aggregate, no name of a feature.
- Prices are cents, sizes contracts and money dollars, all exact fractions; a float comes last, where a formula leaves
  them (ln, tanh, a square root) or gives its value.
- Nothing is kept: every look goes through all messages again. Nobody trades on this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor, log, sqrt, tanh
from zoneinfo import ZoneInfo

from attrs import frozen

from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, BookSide, Count, Milliseconds, Money, Price, Ticker

Levels = dict[Fraction, Fraction]  # cents -> contracts, bids of one leg
TAKER_FEE = Fraction(7, 100)  # of what is at risk on both sides, with a multiplier of one
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EASTERN = ZoneInfo("America/New_York")


@frozen
class Told:
    """A message that changed a market's book, and when it came, by the exchange's clock."""

    message: BookSnapshot | BookDelta
    received_ms: Milliseconds


@frozen
class Held:
    """`cost` is what the side held was bought for, fees apart."""

    count: Count
    cost: Money


@frozen
class Working:
    """An order that is not over. `placed_ms`: by the exchange's clock."""

    side: BookSide
    price: Price
    placed_ms: Milliseconds


@frozen
class Account:
    """`available` and `settled` are cash, `held` every position that is not flat, by market."""

    available: Money
    settled: Money
    held: Mapping[Ticker, Held]


@frozen
class Watched:
    """A market that is followed."""

    told: Sequence[Told]
    last_trade: Price | None = None
    fee_multiplier_ppm: int = 1_000_000
    orders: Sequence[Working] = ()


@frozen
class Moment:
    """A market's book after a message: the bids of both legs, the mid it has or had last, what the message changed."""

    ms: Milliseconds
    yes: Levels
    no: Levels
    mid: Fraction
    changed: Fraction


def observation(
    ticker: Ticker, watched: Mapping[Ticker, Watched], account: Account, now_ms: Milliseconds
) -> list[float]:
    """All 52 of one market, before the last step. `watched`: every market that is followed, this one among them."""
    market = watched[ticker]
    moments = moments_of(market.told)
    now = moments[-1] if moments else Moment(0, {}, {}, Fraction(50), Fraction(0))
    mids = {each: m[-1].mid if (m := moments_of(seen.told)) else Fraction(50) for each, seen in watched.items()}
    both_sides = bool(now.yes) and bool(now.no)
    rows: list[float | Fraction] = [
        *(_prices(now, market) if both_sides else _prices_one_sided(now)),
        *(_sizes(now, market) if both_sides else _sizes_one_sided(now)),
        *_temporal(moments),
        *_portfolio(account, mids, ticker),
        *_orders(market.orders, now.mid, now_ms),
    ]
    return [float(row) for row in rows]


def moments_of(told: Sequence[Told]) -> list[Moment]:
    """The book after each message. Time is that of the messages and does not go back."""
    moments: list[Moment] = []
    yes: Levels = {}
    no: Levels = {}
    mid, ms = Fraction(50), 0
    for each in told:
        was_yes, was_no, first = yes, no, not moments
        yes, no = _applied(each.message, yes, no)
        ms = max(ms, _stamp_ms(each))
        mid = (max(yes) + 100 - max(no)) / 2 if yes and no else mid
        changed = Fraction(0) if first else _difference(was_yes, yes) + _difference(was_no, no)
        moments.append(Moment(ms, yes, no, mid, changed))
    return moments


def _stamp_ms(told: Told) -> Milliseconds:
    if isinstance(told.message, BookDelta):
        return told.message.ts_ms
    return told.received_ms if told.message.sending_ms is None else told.message.sending_ms


def _applied(message: BookSnapshot | BookDelta, yes: Levels, no: Levels) -> tuple[Levels, Levels]:
    if isinstance(message, BookSnapshot):
        return _levels(message.yes), _levels(message.no)
    price, change = Fraction(message.price, PRICE_CENT), Fraction(message.change, CONTRACT)
    old = yes if message.yes else no
    new = {**old, price: old.get(price, Fraction(0)) + change}
    left = {price: size for price, size in new.items() if size > 0}
    return (left, no) if message.yes else (yes, left)


def _levels(levels: Sequence[tuple[Price, Count]]) -> Levels:
    return {Fraction(price, PRICE_CENT): Fraction(count, CONTRACT) for price, count in levels if count > 0}


def _difference(before: Levels, after: Levels) -> Fraction:
    none = Fraction(0)
    return _total(abs(after.get(price, none) - before.get(price, none)) for price in {*before, *after})


def _prices(now: Moment, market: Watched) -> list[float | Fraction]:
    """Rows 0 to 13."""
    yb, nb = max(now.yes), max(now.no)
    ya, na = 100 - nb, 100 - yb
    mid = (yb + ya) / 2
    s = ya - yb
    regime = 0.0 if s < 2 else 0.25 if s < 5 else 0.5 if s < 10 else 0.75 if s < 20 else 1.0
    f = 100 * TAKER_FEE * Fraction(market.fee_multiplier_ppm, 1_000_000) * (mid / 100) * (1 - mid / 100)
    return [
        *(yb / 100, ya / 100, nb / 100, na / 100),  # 0 to 3
        min(max(mid / 100, Fraction(1, 100)), Fraction(99, 100)),  # 4
        min(max((100 - mid) / 100, Fraction(1, 100)), Fraction(99, 100)),  # 5
        *(s / 100, s / 100),  # 6, 7
        s / mid if mid > 0 else 0.5,  # 8
        s / (100 - mid) if mid < 100 else 0.5,  # 9
        *(regime, regime),  # 10, 11
        *((s + 2 * f) / 100, (s + 2 * f) / 100),  # 12, 13
    ]


def _prices_one_sided(now: Moment) -> list[float | Fraction]:
    """Rows 0 to 13 where a side is missing, or both."""
    half = Fraction(50)
    yb, nb = max(now.yes, default=half), max(now.no, default=half)
    ya, na = 100 - nb, 100 - yb
    rest = [0.5, 0.5, 0.1, 0.1, 0.2, 0.2, 0.75, 0.75, 0.1, 0.1]  # 4 to 13
    return [yb / 100, ya / 100, nb / 100, na / 100, *rest]


def _sizes(now: Moment, market: Watched) -> list[float | Fraction]:
    """Rows 14 to 25."""
    yb, nb = max(now.yes), max(now.no)
    ya = 100 - nb
    mid = (yb + ya) / 2
    qb, qa = now.yes[yb], now.no[nb]
    b, a = _total(now.yes.values()), _total(now.no.values())
    b5 = _total(size for price, size in now.yes.items() if price >= yb - 5)
    a5 = _total(size for price, size in now.no.items() if price >= nb - 5)
    trade = mid if market.last_trade is None else Fraction(market.last_trade, PRICE_CENT)
    microprice = (yb * qa + ya * qb) / (qa + qb) / 100
    depth = min(Fraction(len(now.yes) + len(now.no), 200), Fraction(1))
    return [
        min(log(1 + b + a) / log(10**7 + 1), 1.0),  # 14
        (qb - qa) / (qb + qa),  # 15
        (b - a) / (b + a),  # 16
        -(b - a) / (b + a),  # 17
        tanh(0.5 * (log(1 + b5) - log(1 + a5))),  # 18
        min(max((trade - mid) / 10, Fraction(-2)), Fraction(2)),  # 19
        *(microprice, 1 - microprice),  # 20, 21
        *(depth, depth),  # 22, 23
        _concentration(now.yes),  # 24
        _concentration(now.no),  # 25
    ]


def _sizes_one_sided(now: Moment) -> list[float | Fraction]:
    """Rows 14 to 25 where a side is missing, or both: volume and concentrations ask for no other side."""
    total = _total(now.yes.values()) + _total(now.no.values())
    return [
        min(log(1 + total) / log(10**7 + 1), 1.0),  # 14
        *(0.0, 0.0, 0.0, 0.0, 0.0),  # 15 to 19
        *(now.mid / 100, 1 - now.mid / 100),  # 20, 21
        *(0.0, 0.0),  # 22, 23
        _concentration(now.yes),  # 24
        _concentration(now.no),  # 25
    ]


def _concentration(levels: Levels) -> float | Fraction:
    return _total(sorted(levels.values())[-3:]) / _total(levels.values()) if levels else 0.5


def _temporal(moments: Sequence[Moment]) -> list[float | Fraction]:
    """Rows 26 to 35, over the last ten points: the last moment of each slot of 100 ms."""
    if not moments:
        return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.5]
    ends = [moment for moment, after in pairwise(moments) if after.ms // 100 != moment.ms // 100]
    points = [*ends, moments[-1]][-10:]
    n = len(points)
    activity = [_activity(moments, moments.index(point)) for point in points]
    mids = [point.mid for point in points]
    moves = [after - before for before, after in pairwise(mids)]
    gap_s = Fraction(points[-1].ms - points[-2].ms, 1_000) if n >= 2 else Fraction(0)
    span_s = Fraction(points[-1].ms - points[0].ms, 1_000)
    above = activity[-1] - _mean(activity)
    return [
        min(gap_s / 300, Fraction(1)),  # 26
        _time_of_day(points[-1].ms),  # 27
        activity[-1],  # 28
        tanh(activity[-1] - activity[-2]) if n >= 2 else 0.0,  # 29
        min(n / max(span_s, Fraction(1)) / 2, Fraction(1)) if n >= 2 else 0.0,  # 30
        1.0 if n >= 3 and above > 0 and above**2 > Fraction(3, 2) ** 2 * _variance(activity) else 0.0,  # 31
        tanh(10 * _slope(activity)) if n >= 5 else 0.0,  # 32
        tanh((mids[-1] - mids[0]) / 5),  # 33
        min(sqrt(_variance(moves)) / 5, 1.0) if n >= 5 else 0.1,  # 34
        max(Fraction(0), 1 - _mean([abs(move) for move in moves[-3:]]) / 5) if n >= 3 else 0.5,  # 35
    ]


def _activity(moments: Sequence[Moment], at: int) -> Fraction:
    """At a moment: what changed in its second and the 59 before."""
    second = moments[at].ms // 1_000
    changed = _total(moment.changed for moment in moments[: at + 1] if moment.ms // 1_000 > second - 60)
    return min(Fraction(1), changed / 10_000)


def _total(values: Iterable[Fraction]) -> Fraction:
    return sum(values, Fraction(0))


def _mean(values: Sequence[Fraction]) -> Fraction:
    return _total(values) / len(values)


def _variance(values: Sequence[Fraction]) -> Fraction:
    mean = _mean(values)
    return _mean([(value - mean) * (value - mean) for value in values])


def _slope(values: Sequence[Fraction]) -> Fraction:
    """Least squares over 0, 1, 2, ..."""
    off = [at - Fraction(len(values) - 1, 2) for at in range(len(values))]
    mean = _mean(values)
    rises = _total(x * (value - mean) for x, value in zip(off, values, strict=True))
    return rises / _total(x * x for x in off)


def _time_of_day(ms: Milliseconds) -> Fraction:
    at = (EPOCH + timedelta(milliseconds=ms)).astimezone(EASTERN)
    h = at.hour + Fraction(at.minute, 60) + Fraction(at.second, 3_600) + Fraction(at.microsecond, 3_600_000_000)
    return (h - 9) / 7 if 9 <= h <= 16 else Fraction(0)


def _portfolio(account: Account, mids: Mapping[Ticker, Fraction], ticker: Ticker) -> list[float | Fraction]:
    """Rows 36 to 46."""
    value = {market: _value(held.count, mids.get(market, Fraction(50))) for market, held in account.held.items()}
    cost = {market: Fraction(held.cost, DOLLAR) for market, held in account.held.items()}
    n = {market: Fraction(held.count, CONTRACT) for market, held in account.held.items()}
    valued = _total(value.values())
    worth = Fraction(account.settled, DOLLAR) + valued
    if worth <= 0:
        return [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    zero, one = Fraction(0), Fraction(1)
    k = len(n)
    sizes = _total(abs(count) for count in n.values())
    unrealised = {market: value[market] - cost[market] for market in n}
    return [
        min(max(Fraction(account.available, DOLLAR) / worth, zero), one),  # 36
        min(max(valued / worth, zero), one),  # 37
        min(Fraction(k, 10), one),  # 38
        min(sizes / k / 100, one) if k else zero,  # 39
        Fraction(sum(count > 0 for count in n.values()), k) if k else zero,  # 40
        Fraction(sum(count < 0 for count in n.values()), k) if k else zero,  # 41
        tanh(_total(n.values()) / sizes) if k else 0.0,  # 42
        min(max(value.values()) / worth, one) if k else zero,  # 43
        min(max(n.get(ticker, zero) / 100, -one), one),  # 44
        tanh(_total(unrealised.values()) / worth),  # 45
        tanh(unrealised[ticker] / max(cost[ticker], one)) if ticker in n else 0.0,  # 46
    ]


def _value(count: Count, mid: Fraction) -> Fraction:
    """Dollars, at the mid of the side held; money is whole millionths, rounded down."""
    held = mid if count > 0 else 100 - mid
    return Fraction(floor(Fraction(abs(count), CONTRACT) * held / 100 * DOLLAR), DOLLAR)


def _orders(orders: Sequence[Working], mid: Fraction, now_ms: Milliseconds) -> list[float | Fraction]:
    """Rows 47 to 51."""
    by_age = sorted(orders, key=lambda order: order.placed_ms)
    buys = [Fraction(order.price, PRICE_CENT) for order in by_age if order.side is BookSide.BID]
    sells = [Fraction(order.price, PRICE_CENT) for order in by_age if order.side is BookSide.ASK]
    age_s = Fraction(now_ms - by_age[-1].placed_ms, 1_000) if by_age else Fraction(0)
    return [
        1.0 if buys else 0.0,  # 47
        1.0 if sells else 0.0,  # 48
        abs(mid - buys[-1]) / 100 if buys else 0.0,  # 49
        abs(mid - sells[-1]) / 100 if sells else 0.0,  # 50
        min(max(age_s / 300, Fraction(0)), Fraction(1)),  # 51
    ]
