"""Each of the 52 features: its hand-computed value, its value when a side is missing, and the turns in its formula."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from math import log, tanh
from statistics import fmean, linear_regression, pstdev
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import EMPTY_ACCOUNT, GOLDEN_BIDS, NOON_THIRTY_MS, book_of, change, golden_market, market_of

from kalshi_daemon.policy.features import (
    FEATURES,
    account_features,
    market_features,
    order_features,
    position_features,
    schema_hash,
    temporal_features,
)
from kalshi_daemon.policy.history import ACTIVITY_FULL, MarketHistory
from kalshi_daemon.policy.inputs import AccountInput, HeldPosition, MarketInput, OpenOrder
from kalshi_daemon.policy.observation_adapter import observe_raw
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

T = NOON_THIRTY_MS


def named(market: MarketInput, account: AccountInput = EMPTY_ACCOUNT, now_ms: int = T) -> dict[str, float]:
    return dict(zip(FEATURES, observe_raw([market], account, now_ms)[0].tolist(), strict=True))


def busy_history() -> MarketHistory:
    """Five points: mids 46, 46, 46.5, 46, 47 cents; contracts changed 0, 500, 600, 700, 1760; 4.05 s long."""
    book, history = book_of(GOLDEN_BIDS, {47: 60, 49: 40}), MarketHistory()
    history.note(book, T)
    change(book, history, 44, 500, T + 1_000)
    change(book, history, 46, 100, T + 2_000)
    change(book, history, 46, -100, T + 3_000)
    change(book, history, 47, -60, T + 4_000, yes=False)
    change(book, history, 44, 1_000, T + 4_050)
    return history


ACCOUNT = AccountInput(
    available=800 * DOLLAR,
    portfolio_value=1_000 * DOLLAR,
    positions=(
        HeldPosition("M", 10 * CONTRACT, 4 * DOLLAR, 4_600_000),
        HeldPosition("N", -30 * CONTRACT, 15 * DOLLAR, 18 * DOLLAR),
    ),
)
ORDERS = (
    OpenOrder(BookSide.BID, 4_400, T - 30_000, None),
    OpenOrder(BookSide.BID, 4_000, T - 60_000, None),
    OpenOrder(BookSide.ASK, 5_000, T - 45_000, None),
)

# Worked out by hand from the golden book: bids 45¢ 100, 44 50, 40 30, 38 20; offers 47¢ 60, 49 40, 52 10, 60 40.
GOLDEN = {
    "best_yes_bid": 0.45,
    "best_yes_ask": 0.47,
    "best_no_bid": 0.53,
    "best_no_ask": 0.55,
    "yes_mid": 0.46,
    "no_mid": 0.54,
    "yes_spread": 0.02,
    "no_spread": 0.02,
    "yes_spread_pct": 2 / 46,
    "no_spread_pct": 2 / 54,
    "yes_spread_regime": 0.25,
    "no_spread_regime": 0.25,
    "yes_breakeven_move": 0.054776,  # two cents, and twice 0.07 * 0.46 * 0.54 dollars
    "no_breakeven_move": 0.054776,
    "total_volume": log(351) / log(10_000_001),
    "volume_imbalance": 40 / 160,
    "yes_side_imbalance": 50 / 350,
    "no_side_imbalance": -50 / 350,
    "bid_ask_depth_ratio": 70 / 292,  # 180 and 110 contracts near: tanh(ln(181/111)/2) = (181-111)/(181+111)
    "last_trade_offset": 0.2,
    "yes_microprice": 0.4625,
    "no_microprice": 0.5375,
    "yes_depth": 0.04,
    "no_depth": 0.04,
    "yes_concentration": 0.9,
    "no_concentration": 140 / 150,
    "cash_ratio": 0.8,
    "position_ratio": 0.0226,
    "position_count": 0.2,
    "average_position_size": 0.2,
    "long_share": 0.5,
    "short_share": 0.5,
    "net_position_bias": tanh(-0.5),
    "position_concentration": 0.018,
    "this_position": 0.1,
    "unrealized_pnl_ratio": tanh(0.0036),
    "this_unrealized": tanh(0.15),
    "has_open_buy": 1.0,
    "has_open_sell": 1.0,
    "buy_distance": 0.02,
    "sell_distance": 0.04,
    "newest_order_age": 0.1,
}
GOLDEN_TEMPORAL = {
    "time_since_last_update": 1.05 / 300,
    "time_of_day": (12 + 1_804.05 / 3_600 - 9) / 7,
    "activity": 0.176,
    "activity_change": tanh(0.106),
    "update_frequency": 5 / 4.05 / 2,
    "activity_burst": 1.0,  # mean 712, deviation 576.7
    "activity_trend": tanh(0.372),
    "price_momentum": tanh(0.2),
    "volatility": 0.3125**0.5 / 5,
    "price_stability": 1 - 2 / 15,
}
# What stands in the table's last column, for a book with nothing in it and a history with one point.
MISSING = {
    **dict.fromkeys(("best_yes_bid", "best_yes_ask", "best_no_bid", "best_no_ask", "yes_mid", "no_mid"), 0.5),
    **dict.fromkeys(("yes_spread", "no_spread", "yes_breakeven_move", "no_breakeven_move"), 0.1),
    **dict.fromkeys(("yes_spread_pct", "no_spread_pct"), 0.2),
    **dict.fromkeys(("yes_spread_regime", "no_spread_regime"), 0.75),
    **dict.fromkeys(("yes_microprice", "no_microprice", "yes_concentration", "no_concentration"), 0.5),
    "volatility": 0.1,
    "price_stability": 0.5,
    "cash_ratio": 1.0,
    "time_of_day": 0.5,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """The feature has the value worked out by hand."""
    market = golden_market(last_trade=4_800, position=10 * CONTRACT, cost=4 * DOLLAR, orders=ORDERS)
    assert named(market, ACCOUNT)[name] == pytest.approx(GOLDEN[name], abs=1e-12)


@pytest.mark.parametrize("name", GOLDEN_TEMPORAL)
def test_golden_temporal(name: str) -> None:
    """The temporal feature has the value worked out by hand."""
    assert named(golden_market(history=busy_history()))[name] == pytest.approx(GOLDEN_TEMPORAL[name], abs=1e-12)


def test_golden_covers_every_feature() -> None:
    """No feature is without a hand-computed value; there are 52, each with its own name."""
    assert set(GOLDEN) | set(GOLDEN_TEMPORAL) == set(FEATURES)
    assert len(FEATURES) == len(set(FEATURES)) == 52


@pytest.mark.parametrize("name", FEATURES)
def test_missing(name: str) -> None:
    """An empty book, no history, no position, no order: the table's last column, 0 where `MISSING` does not say."""
    nothing = AccountInput(0, 0, ())
    assert named(market_of(book_of({}, {})), nothing)[name] == pytest.approx(MISSING.get(name, 0.0), abs=1e-12)


def test_one_side_missing() -> None:
    """What the side that is there says alone is said; the rest is the last column, with the mid carried."""
    history = MarketHistory()
    book = book_of(GOLDEN_BIDS, {47: 60})
    history.note(book, T)
    change(book, history, 47, -60, T + 1, yes=False)
    row = named(market_of(book, history, last_trade=4_800))
    assert (row["best_yes_bid"], row["best_no_ask"]) == (0.45, 0.55)
    assert (row["best_yes_ask"], row["best_no_bid"], row["yes_mid"], row["no_mid"]) == (0.5, 0.5, 0.5, 0.5)
    assert (row["yes_microprice"], row["no_microprice"]) == (0.46, 0.54)
    assert (row["yes_concentration"], row["no_concentration"]) == (0.9, 0.5)
    assert row["total_volume"] == pytest.approx(log(201) / log(10_000_001))
    assert row["last_trade_offset"] == row["yes_side_imbalance"] == row["yes_depth"] == 0.0


@pytest.mark.parametrize(
    ("spread", "regime"), [(1, 0), (2, 0.25), (4, 0.25), (5, 0.5), (9, 0.5), (10, 0.75), (19, 0.75), (20, 1), (90, 1)]
)
def test_spread_regime(spread: int, regime: float) -> None:
    """The five steps change at 2, 5, 10 and 20 cents."""
    row = named(market_of(book_of({3: 1}, {3 + spread: 1})))
    assert (row["yes_spread_regime"], row["no_spread_regime"]) == (regime, regime)


def test_spread_regime_below_a_cent() -> None:
    """A spread of exactly two cents between sub-cent prices is not tipped by rounding."""
    book = book_of({}, {})
    for bid in range(1, 9_700, 7):
        book.replace([(bid, 100)], [(10_000 - bid - 200, 100)], clock=None, ts_ms=None)
        assert market_features(market_of(book))[10] == 0.25


def test_clamps() -> None:
    """Mids stay within a cent of the ends, the last trade within two, volumes and depth within one."""
    book = book_of({}, {})
    book.replace([(1, 10**12)], [(10_000 - 3, 10**12)], clock=None, ts_ms=None)
    row = named(market_of(book, last_trade=9_000))
    assert (row["yes_mid"], row["no_mid"], row["last_trade_offset"], row["total_volume"]) == (0.01, 0.99, 2.0, 1.0)
    deep = market_of(book_of(dict.fromkeys(range(1, 50), 1), dict.fromkeys(range(50, 99), 1)))
    assert named(deep)["yes_depth"] == 98 / 200


def test_fee_multiplier() -> None:
    """A series without fees has a breakeven of its spread alone."""
    assert named(golden_market(fee_multiplier_ppm=0))["yes_breakeven_move"] == 0.02


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 15, 8, 59, 59, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 1, 15, 9, 0, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 7, 15, 9, 30, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 7, 15, 16, 0, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 7, 15, 16, 0, 1, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 11, 1, 12, 0, tzinfo=ZoneInfo("America/New_York")),
    ],
)
def test_time_of_day(moment: datetime) -> None:
    """0 at nine to 1 at four, US Eastern in summer and in winter, else 0."""
    history = MarketHistory()
    history.note(book_of({}, {}), int(moment.timestamp() * 1_000))
    hour = moment.hour + moment.minute / 60 + moment.second / 3_600
    assert temporal_features(history)[1] == pytest.approx((hour - 9) / 7 if 9 <= hour <= 16 else 0.0, abs=1e-12)


def test_steady_activity_is_no_burst() -> None:
    """Equal activities have no deviation, and none of them stands out by a rounding."""
    history = MarketHistory()
    history.note(book_of({45: 1}, {47: 1}), T)
    for changed in (1, 3, 7, 99_999, 333_333):
        history.closed_ms.extend(range(T - 1_000, T - 991))
        history.closed_mids.extend([9_200] * 9)
        history.closed_changed.extend([changed] * 9)
        history._sum = changed + history._seconds[0][1]
        row = temporal_features(history)
        assert (row[5], row[6]) == (0.0, 0.0)


@pytest.mark.parametrize("scale", [1, 7, 49, 1_000, 99_999])
def test_burst_is_not_tipped_by_rounding(scale: int) -> None:
    """0, 2, 3, 4, 6 have a mean of 3 and a deviation of 2: the last is at the bound, a hundredth more is a burst."""
    history = MarketHistory()
    history.note(book_of({45: 1}, {47: 1}), T)
    history.closed_ms.extend(range(T - 4_000, T, 1_000))
    history.closed_mids.extend([9_200] * 4)
    history.closed_changed.extend([0, 2 * scale, 3 * scale, 4 * scale])
    for more in (0, 1):
        history._sum = 6 * scale + more + history._seconds[0][1]
        assert temporal_features(history)[5] == float(more)


def test_portfolio_without_worth() -> None:
    """With a portfolio value of nothing or less, rows 36 to 46 take their last column, the position's own too."""
    account = AccountInput(-1, -5, ACCOUNT.positions)
    market = golden_market(position=10 * CONTRACT, cost=4 * DOLLAR)
    assert account_features(account) == [1.0, *[0.0] * 15]
    assert list(named(market, account).values())[36:47] == [1.0, *[0.0] * 10]


def test_no_positions() -> None:
    """Cash alone: all of it is available."""
    assert account_features(EMPTY_ACCOUNT) == [1.0, *[0.0] * 15]


def test_short_position() -> None:
    """A NO position is worth the NO mid; a cost under a dollar counts as one; a hundred contracts are full scale."""
    market = golden_market(position=-150 * CONTRACT, cost=500_000)
    assert position_features(market) == (-1.0, 150 * 0.54 - 0.5)  # the second before its tanh


def test_order_age_is_clamped() -> None:
    """An order of our clock's future has no age, one of an hour is full scale, and the other side stays empty."""
    young = golden_market(orders=(OpenOrder(BookSide.ASK, 4_700, T + 5_000, None),))
    old = golden_market(orders=(OpenOrder(BookSide.BID, 4_500, T - 3_600_000, None),))
    assert order_features(young, T) == [0.0, 1.0, 0.0, 0.01, 0.0]
    assert order_features(old, T) == [1.0, 0.0, 0.01, 0.0, 1.0]


@given(
    st.lists(st.tuples(st.integers(0, ACTIVITY_FULL), st.integers(200, 19_800)), min_size=1, max_size=10),
    st.lists(st.integers(1, 200_000), min_size=10, max_size=10),
)
def test_temporal_against_the_library(points: list[tuple[int, int]], waits: list[int]) -> None:
    """The temporal rows equal the formulas read aloud with the standard library's statistics."""
    history = MarketHistory()
    times = [T + sum(waits[: index + 1]) for index in range(len(points))]
    history.closed_ms.extend(times[:-1])
    history.closed_mids.extend(mid for _, mid in points[:-1])
    history.closed_changed.extend(changed for changed, _ in points[:-1])
    history.now_ms, history.mid_twice = times[-1], points[-1][1]
    history._seconds.append((0, 0))
    history._sum = points[-1][0]
    activities = [changed / ACTIVITY_FULL for changed, _ in points]
    mids = [mid / 200 for _, mid in points]
    moves = [after - before for before, after in pairwise(mids)]
    n = len(points)
    row = list(named(golden_market(history=history)).values())[26:36]
    assert row[0] == pytest.approx(min((times[-1] - times[-2]) / 300_000, 1) if n > 1 else 0, abs=1e-12)
    assert row[2] == activities[-1]
    assert row[3] == pytest.approx(tanh(activities[-1] - activities[-2]) if n > 1 else 0, abs=1e-12)
    assert row[4] == pytest.approx(min(n / max((times[-1] - times[0]) / 1_000, 1) / 2, 1) if n > 1 else 0)
    if n >= 3:
        over = activities[-1] - fmean(activities) - 1.5 * pstdev(activities)
        assert row[5] == (over > 0) or abs(over) < 1e-12
    else:
        assert row[5] == 0
    slope = linear_regression(range(n), activities).slope if n >= 5 else 0
    assert row[6] == pytest.approx(tanh(10 * slope), abs=1e-9)
    assert row[7] == pytest.approx(tanh((mids[-1] - mids[0]) / 5), abs=1e-12)
    assert row[8] == pytest.approx(min(pstdev(moves) / 5, 1) if n >= 5 else 0.1, abs=1e-9)
    last = [abs(move) for move in moves[-3:]]
    assert row[9] == pytest.approx(max(0, 1 - fmean(last) / 5) if n >= 3 else 0.5, abs=1e-12)


def test_schema_hash_is_pinned() -> None:
    """Whoever changes the names, their order or the version changes this line, and refuses every model made before."""
    assert schema_hash() == "1bc1d26f503710df1dac70947ed5113890ca558c7769e0d896377eee8e896d81"
