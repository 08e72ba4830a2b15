"""Positions: what a fill does to count, cost, profit and cash."""

from __future__ import annotations

import pytest
from account_facts import ASK, BID, M, fill, settlement
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.position_tracker import Booked, Position, PositionTracker, booked, unrealised, worth
from kalshi_daemon.facts import PositionOpening
from kalshi_daemon.units import DOLLAR, PRICE_ONE, BookSide

FLAT = Position(M, count=0, cost=0, realised=0, fees=0)
LONG = Position(M, count=1_000, cost=4 * DOLLAR, realised=0, fees=0)  # 10 YES at 40 cents
SHORT = Position(M, count=-1_000, cost=6 * DOLLAR, realised=0, fees=0)  # 10 NO at 60 cents: asks at 40


@pytest.mark.parametrize(
    ("before", "side", "price", "count", "after", "moved"),
    [
        (FLAT, BID, 4_000, 1_000, LONG, Booked(-4 * DOLLAR, 0)),
        (FLAT, ASK, 4_000, 1_000, SHORT, Booked(-6 * DOLLAR, 0)),
        (LONG, ASK, 5_000, 500, Position(M, 500, 2 * DOLLAR, 500_000, 0), Booked(2_500_000, 500_000)),
        (SHORT, BID, 5_000, 500, Position(M, -500, 3 * DOLLAR, -500_000, 0), Booked(2_500_000, -500_000)),
        (LONG, ASK, 3_000, 1_500, Position(M, -500, 3_500_000, -DOLLAR, 0), Booked(-500_000, -DOLLAR)),
        (SHORT, BID, 3_000, 1_500, Position(M, 500, 1_500_000, DOLLAR, 0), Booked(5_500_000, DOLLAR)),
    ],
    ids=["buys YES", "opens NO", "sells YES", "closes NO", "crosses to NO", "crosses to YES"],
)
def test_a_fill_moves_cash_by_the_side_it_opens_or_closes(
    before: Position, side: BookSide, price: int, count: int, after: Position, moved: Booked
) -> None:
    """NO is bought at 1 - p and closed for 1 - p; crossing zero closes first and opens the rest."""
    assert booked(before, side, price, count) == (after, moved)


def test_a_partial_close_leaves_no_cost_behind() -> None:
    """Three closes of a cost that three does not divide release all of it."""
    position = Position(M, count=3, cost=100, realised=0, fees=0)
    for _ in range(3):
        position = booked(position, ASK, 50, 1)[0]
    assert position == Position(M, count=0, cost=0, realised=3 * 50 - 100, fees=0)


def test_value_and_unrealised_profit_are_of_the_side_held() -> None:
    """Ten YES at a bid of 45 gain 50 cents; ten NO at an ask of 45 lose 50 cents."""
    assert worth(1_000, 4_500) == 4_500_000
    assert worth(-1_000, 4_500) == 5_500_000
    assert unrealised(LONG, 4_500) == 500_000
    assert unrealised(SHORT, 4_500) == -500_000


trades = st.lists(
    st.tuples(st.sampled_from(list(BookSide)), st.integers(1, PRICE_ONE - 1), st.integers(1, 500)), max_size=30
)


@given(trades, st.integers(0, PRICE_ONE))
def test_a_trade_conserves_value(fills: list[tuple[BookSide, int, int]], price: int) -> None:
    """Cash is realised profit less the cost of what is held, and at the price of a trade the trade changes nothing."""
    position, cash = FLAT, 0
    for side, at, count in fills:
        before = cash + worth(position.count, at)
        position, moved = booked(position, side, at, count)
        cash += moved.cash
        assert cash + worth(position.count, at) == before
    assert cash == position.realised - position.cost
    assert position.cost >= 0
    assert cash + worth(position.count, price) == position.realised + unrealised(position, price)


def test_settlement_closes_for_what_was_credited() -> None:
    """Ten YES settle at one dollar, once."""
    tracker = PositionTracker()
    tracker.book(fill("t1"))
    assert tracker.settle(settlement(10, 100, 1_000)) == Booked(10 * DOLLAR, 6 * DOLLAR)
    assert tracker.positions[M] == Position(M, 0, 0, 6 * DOLLAR, 1_000)
    assert tracker.settle(settlement(10, 100, 1_000)) is None
    assert tracker.is_settled(M)


@pytest.mark.parametrize(
    ("side", "price", "settled", "value", "revenue", "cash"),
    [
        (BID, 40, 15, 100, 1_500, -2 * DOLLAR),  # five more were bought before it settled
        (ASK, 40, 5, 100, 500, 2 * DOLLAR),  # five were sold before it settled
    ],
    ids=["bought", "sold"],
)
def test_a_fill_that_comes_after_the_settlement_is_met_by_what_was_held_then(
    side: BookSide, price: int, settled: int, value: int, revenue: int, cash: int
) -> None:
    """The order of the two facts does not change the cash, and the market stays flat."""
    early, late = fill("t1"), fill("t2", count=5, price=price, side=side)
    paid = settlement(settled, value, revenue)
    one, two = PositionTracker(), PositionTracker()
    told = [one.book(early), one.settle(paid), one.book(late)]
    right = [two.book(early), two.book(late), two.settle(paid)]
    assert told[2] == Booked(cash, cash)
    assert sum(each.cash for each in told if each) == sum(each.cash for each in right if each)
    assert one.positions == two.positions


def test_late_fills_follow_one_another_through_zero() -> None:
    """Ten held when it settled; ten and then five were sold before: the last five had opened NO."""
    tracker = PositionTracker()
    tracker.book(fill("t1"))
    tracker.settle(settlement(-5, 0, 500))
    first = tracker.book(fill("t2", side=ASK))
    second = tracker.book(fill("t3", side=ASK, count=5))
    assert (first.cash, second.cash) == (4 * DOLLAR, -3 * DOLLAR)
    assert tracker.positions[M] == Position(M, 0, 0, 2 * DOLLAR, 3_000)


def test_an_opening_replaces_what_was_folded_before_it() -> None:
    """The account as it was opened already holds the fills that were seen earlier."""
    tracker = PositionTracker()
    tracker.book(fill("t1"))
    tracker.open((PositionOpening("OTHER", -200, 100, 7),))
    assert dict(tracker.positions) == {"OTHER": Position("OTHER", -200, 100, 0, 7)}
    assert tracker.count(M) == 0
