"""Inputs of a decision for the tests of the policy: one golden market, and random books for hypothesis."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import BookDelta, PriceRange
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.units import CONTRACT, DOLLAR

NOON_THIRTY_MS = 1_768_498_200_000  # 2026-01-15 17:30:00 UTC, half past twelve in the east
CENT_GRID = (PriceRange(0, 10_000, 100),)
EMPTY_ACCOUNT = AccountInput(1_000 * DOLLAR, 1_000 * DOLLAR, ())

# in cents and contracts, on the YES leg
GOLDEN_BIDS = {45: 100, 44: 50, 40: 30, 38: 20}
GOLDEN_ASKS = {47: 60, 49: 40, 52: 10, 60: 40}


def book_of(bids: dict[int, int], asks: dict[int, int]) -> OrderBook:
    book = OrderBook("M")
    book.replace(
        [(price * 100, count * CONTRACT) for price, count in bids.items()],
        [(10_000 - price * 100, count * CONTRACT) for price, count in asks.items()],
        clock=None,
        ts_ms=None,
    )
    return book


def change(
    book: OrderBook, history: MarketHistory, price_cents: int, contracts: int, ts_ms: int, yes: bool = True
) -> None:
    """A signed change of a YES bid or of a YES offer, noted."""
    price = price_cents * 100 if yes else 10_000 - price_cents * 100
    book.apply_delta(BookDelta(1, 1, book.market, yes, price, contracts * CONTRACT, ts_ms, None))
    history.note(book, ts_ms)


def market_of(book: OrderBook, history: MarketHistory | None = None, **changes: Any) -> MarketInput:
    """A flat market that may be traded freely, but for what `changes` say."""
    if history is None:
        history = MarketHistory()
        history.note(book, NOON_THIRTY_MS)
    market = MarketInput(
        market=book.market,
        book=book,
        history=history,
        last_trade=None,
        fee_multiplier_ppm=1_000_000,
        position=0,
        cost=0,
        orders=(),
        reducing=0,
        grid=CENT_GRID,
        usable=True,
        closing=False,
        unknown=False,
    )
    return attrs.evolve(market, **changes)


def golden_market(**changes: Any) -> MarketInput:
    return market_of(book_of(GOLDEN_BIDS, GOLDEN_ASKS), **changes)


@st.composite
def books(draw: st.DrawFn) -> OrderBook:
    """Any uncrossed book: sub-cent prices, fractional counts, sides missing, a level or fifty."""
    middle = draw(st.integers(1, 9_999))
    counts = st.integers(1, 10**9)
    bids = draw(st.dictionaries(st.integers(1, max(1, middle - 1)), counts, max_size=50 if middle > 1 else 0))
    offers = draw(st.dictionaries(st.integers(middle, 9_999), counts, max_size=50))
    book = OrderBook("M")
    book.replace(bids.items(), [(10_000 - price, count) for price, count in offers.items()], clock=None, ts_ms=None)
    return book
