"""Prices: on the grid, never crossing where they rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import CENT_GRID, book_of, books

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import PriceRange
from kalshi_daemon.policy.pricing import OwnLevel, Pricing, at_or_above, at_or_below, price_of
from kalshi_daemon.units import BookSide

BID, ASK = BookSide.BID, BookSide.ASK
TAPERED = (PriceRange(0, 1_000, 10), PriceRange(1_000, 9_000, 100), PriceRange(9_000, 10_000, 10))
GRIDS = st.sampled_from([CENT_GRID, TAPERED, (PriceRange(0, 10_000, 1),), (PriceRange(0, 10_000, 50),)])


def on_grid(price: int, grid: tuple[PriceRange, ...]) -> bool:
    return 0 < price < 10_000 and any(
        piece.start <= price <= piece.end and (price - piece.start) % piece.step == 0 for piece in grid
    )


@pytest.mark.parametrize(
    ("pricing", "bid", "ask"),
    [(Pricing.TAKE, 4_800, 4_500), (Pricing.JOIN, 4_500, 4_800), (Pricing.IMPROVE, 4_600, 4_700)],
)
def test_rules(pricing: Pricing, bid: int, ask: int) -> None:
    """Taking asks at the opposite best, joining at our own, improving one step inside."""
    book = book_of({45: 1}, {48: 1})
    assert price_of(pricing, BID, book, CENT_GRID) == bid
    assert price_of(pricing, ASK, book, CENT_GRID) == ask


def test_mid_is_rounded_away_from_crossing() -> None:
    """A mid of 46.5 cents buys at 46 and sells at 47; one on the grid does both; a half unit is rounded too."""
    assert price_of(Pricing.MID, BID, book_of({45: 1}, {48: 1}), CENT_GRID) == 4_600
    assert price_of(Pricing.MID, ASK, book_of({45: 1}, {48: 1}), CENT_GRID) == 4_700
    assert price_of(Pricing.MID, BID, book_of({45: 1}, {47: 1}), CENT_GRID) == 4_600
    assert price_of(Pricing.MID, ASK, book_of({45: 1}, {47: 1}), CENT_GRID) == 4_600
    fine = OrderBook("M")
    fine.replace([(4_500, 1)], [(10_000 - 4_501, 1)], clock=None, ts_ms=None)
    assert price_of(Pricing.MID, BID, fine, (PriceRange(0, 10_000, 1),)) == 4_500
    assert price_of(Pricing.MID, ASK, fine, (PriceRange(0, 10_000, 1),)) == 4_501


def test_improving_joins_where_there_is_no_room() -> None:
    """A spread of one step is not crossed by improving."""
    book = book_of({45: 1}, {46: 1})
    assert price_of(Pricing.IMPROVE, BID, book, CENT_GRID) == 4_500
    assert price_of(Pricing.IMPROVE, ASK, book, CENT_GRID) == 4_600


def test_improving_steps_by_the_piece_of_the_grid() -> None:
    """Across the edge of a piece the step is the next piece's."""
    book = book_of({10: 1}, {90: 1})
    assert price_of(Pricing.IMPROVE, BID, book, TAPERED) == 1_100
    assert price_of(Pricing.IMPROVE, ASK, book, TAPERED) == 8_900
    book = book_of({9: 1}, {91: 1})
    assert price_of(Pricing.IMPROVE, BID, book, TAPERED) == 910
    assert price_of(Pricing.IMPROVE, ASK, book, TAPERED) == 9_090


@pytest.mark.parametrize("pricing", Pricing)
@pytest.mark.parametrize(("bids", "asks"), [({}, {47: 1}), ({45: 1}, {}), ({45: 1}, {45: 1}), ({45: 1}, {44: 1})])
def test_no_price(pricing: Pricing, bids: dict[int, int], asks: dict[int, int]) -> None:
    """A book with a side missing, locked or crossed gives no price."""
    assert price_of(pricing, BID, book_of(bids, asks), CENT_GRID) is None
    assert price_of(pricing, ASK, book_of(bids, asks), CENT_GRID) is None


def test_grid_ends() -> None:
    """0 and a dollar are no prices, and an empty grid has none."""
    assert at_or_below(99, CENT_GRID) is None
    assert at_or_above(9_901, CENT_GRID) is None
    assert at_or_below(5_000, ()) is None
    assert at_or_above(5_000, ()) is None


@given(st.integers(1, 9_999), GRIDS)
def test_grid_against_a_search(price: int, grid: tuple[PriceRange, ...]) -> None:
    """The nearest price of the grid, either way, is the one found by walking."""
    below = next((p for p in range(price, 0, -1) if on_grid(p, grid)), None)
    above = next((p for p in range(price, 10_000) if on_grid(p, grid)), None)
    assert (at_or_below(price, grid), at_or_above(price, grid)) == (below, above)


@given(books(), st.sampled_from(Pricing), st.sampled_from(BookSide), GRIDS)
def test_on_grid_and_never_crossing(
    book: OrderBook, pricing: Pricing, side: BookSide, grid: tuple[PriceRange, ...]
) -> None:
    """Every price is on the grid; one that rests stays on its own side; one that takes reaches the other."""
    price = price_of(pricing, side, book, grid)
    if price is None:
        return
    assert on_grid(price, grid)
    bid, ask = book.best_bid, book.best_ask
    assert bid is not None
    assert ask is not None
    if pricing is Pricing.TAKE:
        assert price >= ask if side is BID else price <= bid
    else:
        assert price < ask if side is BID else price > bid


@pytest.mark.parametrize(
    ("pricing", "price", "count", "bid", "ask"),
    [
        (Pricing.JOIN, 4_500, 300, 4_300, 4_800),
        (Pricing.JOIN, 4_500, 299, 4_500, 4_800),
        (Pricing.JOIN, 4_400, 300, 4_500, 4_800),
        (Pricing.IMPROVE, 4_500, 300, 4_400, 4_700),
        (Pricing.MID, 4_500, 300, 4_500, 4_700),
        (Pricing.MID, 4_300, 900, 4_600, 4_700),
    ],
)
def test_an_order_of_ours_is_not_others(pricing: Pricing, price: int, count: int, bid: int, ask: int) -> None:
    """A level that holds no more than our order is left out of its side's best, so that it does not chase itself."""
    book = book_of({43: 9, 45: 3}, {48: 1})
    assert price_of(pricing, BID, book, CENT_GRID, OwnLevel(price, count)) == bid
    assert price_of(pricing, ASK, book, CENT_GRID, OwnLevel(4_700, count)) == ask


@given(books(), st.sampled_from(BookSide), st.sampled_from([Pricing.JOIN, Pricing.IMPROVE, Pricing.MID]))
def test_an_order_at_its_price_stays_there(book: OrderBook, side: BookSide, pricing: Pricing) -> None:
    """Placed alone where the rule says and looked at again, the rule says the same: nothing is amended for nothing."""
    price = price_of(pricing, side, book, CENT_GRID)
    leg, at = (book.yes, price) if side is BID else (book.no, None if price is None else 10_000 - price)
    if price is None or at is None:
        return
    levels = dict(leg.levels())
    levels[at] = levels.get(at, 0) + 200
    yes, no = (levels, dict(book.no.levels())) if side is BID else (dict(book.yes.levels()), levels)
    book.replace(tuple(yes.items()), tuple(no.items()), clock=None, ts_ms=0)
    assert price_of(pricing, side, book, CENT_GRID, OwnLevel(price, 200)) == price
