"""The order book: what it tells, what it refuses, and that it equals a slow, literal one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon.core.book import BookBroken, OrderBook
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.units import PRICE_ONE

MARKET = "KXHIGHNY-26NOV22-B45.5"


def snapshot(
    yes: list[tuple[int, int]],
    no: list[tuple[int, int]],
    *,
    clock: int | None = None,
    sending_ms: int | None = None,
) -> BookSnapshot:
    return BookSnapshot(1, 1, MARKET, yes, no, clock, None, sending_ms)


def delta(price: int, change: int, *, yes: bool = True, ts_ms: int = 1_000, clock: int | None = None) -> BookDelta:
    return BookDelta(1, 2, MARKET, yes, price, change, ts_ms, clock)


def book_of(yes: list[tuple[int, int]], no: list[tuple[int, int]]) -> OrderBook:
    book = OrderBook(MARKET)
    book.apply_snapshot(snapshot(yes, no))
    return book


def test_an_empty_book_has_no_best() -> None:
    """Nothing is known before a snapshot, and the aggregates of nothing are nothing."""
    book = OrderBook(MARKET)
    assert (book.known, book.version, book.best_bid, book.best_ask, book.crossed) == (False, 0, None, None, False)
    assert (book.yes.total, book.yes.near, book.yes.largest_three, book.yes.best_count) == (0, 0, 0, 0)
    assert (book.bids(), book.asks()) == ([], [])


def test_both_legs_are_told_on_the_yes_leg() -> None:
    """A NO bid at q is a YES offer at 1 - q with the same size; sub-cent prices are exact."""
    book = book_of([(800, 30_000), (5_550, 1_234)], [(100, 500), (4_410, 700)])
    assert (book.best_bid, book.bid_count) == (5_550, 1_234)
    assert (book.best_ask, book.ask_count) == (5_590, 700)
    assert book.bids() == [(5_550, 1_234), (800, 30_000)]
    assert book.asks() == [(5_590, 700), (9_900, 500)]
    assert book.no.levels() == [(100, 500), (4_410, 700)]
    assert book.known
    assert not book.crossed


def test_a_delta_changes_opens_and_closes_levels() -> None:
    """A level grows, appears above the best, and goes at exactly zero; totals, best and versions follow."""
    book = book_of([(800, 300)], [])
    book.apply_delta(delta(800, 50))
    book.apply_delta(delta(900, 100, ts_ms=2_000, clock=7))
    assert book.bids() == [(900, 100), (800, 350)]
    book.apply_delta(delta(900, -100, ts_ms=1_500, clock=8))
    assert book.bids() == [(800, 350)]
    assert (book.yes.total, book.version, book.clock) == (350, 4, 8)
    assert book.ts_ms == 2_000, "the time of a book never goes back"
    assert book.contracts_changed == 50 + 100 + 100


def test_the_first_snapshot_is_no_activity_and_a_later_one_counts_its_difference() -> None:
    """A resynchronisation that changes nothing counts nothing; one that does counts every level's difference once."""
    book = book_of([(800, 300), (900, 100)], [(1_000, 50)])
    assert book.contracts_changed == 0
    book.apply_snapshot(snapshot([(800, 300), (900, 100)], [(1_000, 50)], sending_ms=5_000))
    assert (book.contracts_changed, book.ts_ms) == (0, 5_000)
    book.apply_snapshot(snapshot([(800, 200), (700, 10)], [(1_000, 80)]))
    assert book.contracts_changed == 100 + 100 + 10 + 30
    assert book.version == 3


def test_near_counts_the_band_of_five_cents_inclusive() -> None:
    """A level exactly five cents below the best belongs to the depth, one a hundredth of a cent lower does not."""
    book = book_of([(4_999, 1), (5_000, 10), (5_250, 100), (5_500, 1_000)], [])
    assert book.yes.near == 1_110


def test_the_three_largest_follow_every_kind_of_change() -> None:
    """Growing, shrinking and vanishing levels, small ones below the third included, leave the sum exact."""
    book = book_of([(100, 500), (200, 400), (300, 300), (400, 200)], [])
    assert book.yes.largest_three == 1_200
    book.apply_delta(delta(400, 50))
    assert book.yes.largest_three == 1_200
    book.apply_delta(delta(400, 100))
    assert book.yes.largest_three == 1_250
    book.apply_delta(delta(100, -500))
    assert book.yes.largest_three == 400 + 350 + 300


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (delta(800, -301), "negative_level"),
        (delta(900, -1), "negative_level"),
        (delta(PRICE_ONE, 5), "price"),
        (delta(0, 5), "price"),
    ],
)
def test_what_cannot_be_is_refused_and_the_book_is_not_known_any_more(change: BookDelta, kind: str) -> None:
    """The refusal names market and kind, leaves the levels as they were, and only a snapshot mends the book."""
    book = book_of([(800, 300)], [(1_000, 50)])
    with pytest.raises(BookBroken, match=f"the book of {MARKET} is broken \\({kind}\\)") as caught:
        book.apply_delta(change)
    assert (caught.value.market, caught.value.kind) == (MARKET, kind)
    assert (book.known, book.version, book.bids(), book.yes.total) == (False, 1, [(800, 300)], 300)
    with pytest.raises(BookBroken, match="no_snapshot"):
        book.apply_delta(delta(800, 1))
    book.apply_snapshot(snapshot([(800, 300)], []))
    book.apply_delta(delta(800, 1))
    assert book.bids() == [(800, 301)]


def test_a_delta_before_any_snapshot_is_refused() -> None:
    with pytest.raises(BookBroken, match="a change came before a snapshot"):
        OrderBook(MARKET).apply_delta(delta(800, 100))


def test_a_change_of_nothing_changes_nothing() -> None:
    """A zero delta is odd and harmless: no level appears, none goes."""
    book = book_of([(800, 300)], [])
    book.apply_delta(delta(800, 0))
    book.apply_delta(delta(900, 0))
    assert (book.bids(), book.contracts_changed, book.version) == ([(800, 300)], 0, 3)


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ([(800, -1)], "negative_level"),
        ([(0, 5)], "price"),
        ([(PRICE_ONE, 5)], "price"),
        ([(800, 1), (800, 2)], "level_twice"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused(levels: list[tuple[int, int]], kind: str) -> None:
    """Neither leg is taken from a snapshot of which one level is impossible."""
    book = book_of([(700, 5)], [(100, 5)])
    with pytest.raises(BookBroken, match=kind):
        book.apply_snapshot(snapshot([(600, 1)], levels))
    assert (book.known, book.bids(), book.asks(), book.version) == (False, [(700, 5)], [(9_900, 5)], 1)


def test_the_order_of_levels_in_a_snapshot_does_not_matter_and_empty_levels_are_none() -> None:
    book = book_of([(900, 1), (700, 0), (800, 2)], [])
    assert book.bids() == [(900, 1), (800, 2)]


def test_a_crossed_book_is_told_and_refused_only_when_asked() -> None:
    """Bid equal to ask crosses; `apply_delta` takes it, `prove_uncrossed` names both prices and doubts the book."""
    book = book_of([(5_000, 100)], [(4_900, 100)])
    book.prove_uncrossed()
    book.apply_delta(delta(5_000, 100, yes=False))
    assert book.crossed
    assert book.known
    with pytest.raises(BookBroken, match=r"\(crossed\): bid 50¢, ask 50¢"):
        book.prove_uncrossed()
    assert not book.known


def test_forgetting_keeps_the_levels_for_comparison() -> None:
    """After a gap the old levels measure what the resynchronisation changed."""
    book = book_of([(800, 300)], [])
    book.forget()
    assert (book.known, book.bids()) == (False, [(800, 300)])
    book.replace([(800, 310)], [], clock=None, ts_ms=None)
    assert (book.known, book.contracts_changed) == (True, 10)


def test_a_snapshot_of_another_market_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="was handed to the book of other"):
        OrderBook("other").apply_snapshot(snapshot([], []))


prices = st.integers(min_value=1, max_value=40).map(lambda cent: cent * 200)
counts = st.integers(min_value=1, max_value=2_000)
legs = st.dictionaries(prices, counts, max_size=12)
steps = st.lists(st.tuples(st.booleans(), prices, st.integers(min_value=-2_000, max_value=2_000)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(legs, legs, steps)
def test_the_book_equals_a_literal_one(
    yes: dict[int, int], no: dict[int, int], changes: list[tuple[bool, int, int]]
) -> None:
    """Two dicts summed, sorted and sliced anew after every message give the same aggregates, best and levels."""
    book = book_of(list(yes.items()), list(no.items()))
    literal = {True: dict(yes), False: dict(no)}
    changed = 0
    for is_yes, price, change in changes:
        held = literal[is_yes].get(price, 0)
        if held + change < 0:
            change = -held  # noqa: PLW2901 - what is not there cannot go: the refusal has its own test
        literal[is_yes][price] = held + change
        changed += abs(change)
        book.apply_delta(delta(price, change, yes=is_yes))
        for leg, levels in ((book.yes, literal[True]), (book.no, literal[False])):
            standing = sorted((p, c) for p, c in levels.items() if c)
            assert leg.levels() == standing
            assert leg.total == sum(c for _, c in standing)
            assert leg.largest_three == sum(sorted((c for _, c in standing), reverse=True)[:3])
            assert leg.best == (standing[-1][0] if standing else None)
            assert leg.near == sum(c for p, c in standing if p >= standing[-1][0] - 500)
        bid = max((p for p, c in literal[True].items() if c), default=None)
        no_bid = max((p for p, c in literal[False].items() if c), default=None)
        assert book.best_bid == bid
        assert book.best_ask == (None if no_bid is None else PRICE_ONE - no_bid)
        assert book.crossed == (bid is not None and no_bid is not None and bid + no_bid >= PRICE_ONE)
    assert book.contracts_changed == changed
