"""Fills that are told out of order: cost and profit are those of the order in which the exchange made them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from account_facts import ASK, BID, NOON, M, apply_all, fill, ledger_of, settlement
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.position_tracker import Booked, Position, PositionTracker
from kalshi_daemon.facts import FillSeen, PositionCorrected
from kalshi_daemon.units import DOLLAR, PRICE_ONE, BookSide


def at(second: int, side: BookSide, count: int, price: int, **changes: Any) -> FillSeen:
    """A fill of `count` contracts at `price` cents, made in that second."""
    return fill(f"t{second}-{price}", count=count, price=price, side=side, ts_ms=NOON + second * 1_000, **changes)


def after(*fills: FillSeen) -> Position:
    tracker = PositionTracker()
    for each in fills:
        tracker.book(each)
    return tracker.positions[M]


BOUGHT, SOLD, AGAIN = at(1, BID, 10, 40), at(2, ASK, 10, 50), at(3, BID, 10, 60)


def test_a_fill_that_was_lost_is_folded_where_it_was_made() -> None:
    """Told last, the sale closes what was bought at 40, and not half of what was bought at 40 and at 60."""
    tracker = PositionTracker()
    assert [tracker.book(each) for each in (BOUGHT, AGAIN, SOLD)] == [
        Booked(-4 * DOLLAR, 0),
        Booked(-6 * DOLLAR, 0),
        Booked(5 * DOLLAR, DOLLAR),
    ]
    assert tracker.positions[M] == Position(M, 1_000, 6 * DOLLAR, DOLLAR, 3_000)


def test_it_moves_what_was_realised_by_others() -> None:
    """Bought at 40 before the sale, and told after it: the sale had not opened NO at 50, but closed at a gain."""
    tracker = PositionTracker()
    assert [tracker.book(each) for each in (SOLD, BOUGHT)] == [Booked(-5 * DOLLAR, 0), Booked(6 * DOLLAR, DOLLAR)]
    assert tracker.positions[M] == Position(M, 0, 0, DOLLAR, 2_000)


trades = st.tuples(st.sampled_from(list(BookSide)), st.integers(1, PRICE_ONE - 1), st.integers(1, 500))


@given(st.lists(trades, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_of_telling_changes_nothing(
    made: list[tuple[BookSide, int, int]], draw: random.Random, payout: int
) -> None:
    """Position, profit and cash are the same, to the micro-dollar, also where the payout is told before some fills."""
    fills = [
        evolve(fill(f"t{number}", side=side, fee=number, ts_ms=NOON + number), price=price, count=count)
        for number, (side, price, count) in enumerate(made)
    ]
    paid = settlement(1, 100, 100)
    one, two = PositionTracker(), PositionTracker()
    right = [one.book(each) for each in fills]
    draw.shuffle(fills)
    told = [two.book(each) for each in fills[:payout]]
    if payout >= len(fills):
        assert one.positions == two.positions
    right_paid, told_paid = one.settle(paid), two.settle(paid)
    assert right_paid is not None
    assert told_paid is not None
    told += [two.book(each) for each in fills[payout:]]
    for of in ("cash", "realised"):
        moved = sum(getattr(each, of) for each in [*right, right_paid])
        assert moved == sum(getattr(each, of) for each in [*told, told_paid])
    assert one.positions == two.positions


@pytest.mark.parametrize(
    ("side", "is_taker", "first"),
    [(BID, True, 30), (ASK, True, 45), (BID, False, 45), (ASK, False, 30)],
    ids=["we buy", "we sell", "they sell", "they buy"],
)
def test_a_sweep_in_one_millisecond_goes_by_price(side: BookSide, is_taker: bool, first: int) -> None:
    """Five close at the best price for who takes, whichever of the two was lost and read; the other five open."""
    held = at(1, side.opposite, 5, 40)
    sweep = [at(2, side, 5, price, is_taker=is_taker) for price in (30, 45)]
    gain = 5 * (first - 40 if side is ASK else 40 - first) * DOLLAR // 100
    streamed, read = sweep
    for stream, lost in ((streamed, read), (read, streamed)):
        assert after(held, stream, evolve(lost, source="read")).realised == gain


def test_what_the_stream_tells_of_one_millisecond_stays_as_told() -> None:
    """It tells in order: two that took one after the other are not one sweep."""
    held, dear, cheap = at(1, ASK, 5, 40), at(2, BID, 5, 45), at(2, BID, 5, 30)
    assert after(held, dear, cheap).realised == -5 * DOLLAR * 5 // 100


def test_one_that_is_older_than_what_is_kept_is_put_first_and_counted() -> None:
    """With two kept the sale's place is lost: it goes before them, its cash is exact, and the ledger counts it."""
    tracker = PositionTracker(sorted_max=2)
    for each in (BOUGHT, AGAIN, at(4, BID, 10, 50)):
        tracker.book(each)
    late = at(0, ASK, 10, 50)
    assert tracker.book(late) == Booked(5 * DOLLAR, DOLLAR, in_order=False)
    assert tracker.positions[M] == Position(M, 2_000, 11 * DOLLAR, DOLLAR, 4_000)


def test_a_correction_stands_before_what_is_told_after_it() -> None:
    """A person took the exchange's figures as they were: a fill of before that is told now is added to them."""
    ledger = ledger_of(BOUGHT, AGAIN, PositionCorrected(NOON, M, -1_000, -5 * DOLLAR, "a person"))
    assert ledger.positions[M] == Position(M, 1_000, 5 * DOLLAR, 0, 2_000)
    apply_all(ledger, SOLD)
    assert ledger.positions[M] == Position(M, 0, 0, 0, 3_000)
    assert ledger.counts["fills_out_of_order"] == 1
