"""Pricing rules: at what price an action asks, by name (observation.md, Actions).

| rule | price | order |
|---|---|---|
| `take` | the opposite best | immediate_or_cancel |
| `join` | our own side's best | rests, post_only |
| `improve` | one step better than our own side's best, never at the opposite best | rests, post_only |
| `mid` | the mid, rounded to the grid away from crossing | rests, post_only |

"Our own side's best" is that of others: an order of ours that rests there is left out, or it would better itself.

Rules: every price is on the market's grid as it is now, and a resting one never crosses; where that is not possible, or
the book has a side missing or is crossed, there is no price.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from attrs import frozen

from kalshi_daemon.core.book import Leg, OrderBook
from kalshi_daemon.facts import PriceRange
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Price


class Pricing(StrEnum):
    TAKE = "take"
    JOIN = "join"
    IMPROVE = "improve"
    MID = "mid"


@frozen
class OwnLevel:
    """An order of ours in the book: its price on the YES leg, and what of it rests."""

    price: Price
    count: Count


def price_of(
    pricing: Pricing, side: BookSide, book: OrderBook, grid: Sequence[PriceRange], own: OwnLevel | None = None
) -> Price | None:
    """None: no price of the grid does. A level may lie off the grid since the grid can change under it. `own` is what
    rests of ours on that side.
    """
    buys = side is BookSide.BID
    bid, ask = book.best_bid, book.best_ask
    if own is not None:
        bid, ask = (_best_bid(book.yes, own), ask) if buys else (bid, _best_ask(book.no, own))
    if bid is None or ask is None or bid >= ask:
        return None
    if pricing == Pricing.TAKE:
        return at_or_above(ask, grid) if buys else at_or_below(bid, grid)
    if pricing == Pricing.MID:
        return at_or_below((bid + ask) // 2, grid) if buys else at_or_above((bid + ask + 1) // 2, grid)
    if pricing == Pricing.IMPROVE:
        better = at_or_above(bid + 1, grid) if buys else at_or_below(ask - 1, grid)
        if better is not None and bid < better < ask:
            return better
    return at_or_below(bid, grid) if buys else at_or_above(ask, grid)


def _best_bid(leg: Leg, own: OwnLevel) -> Price | None:
    """The best of a leg without what is ours: our level is not others' where it holds no more than our order."""
    others = (each for each in reversed(leg.prices) if each != own.price or leg.counts[each] > own.count)
    return next(others, None)


def _best_ask(leg: Leg, own: OwnLevel) -> Price | None:
    best = _best_bid(leg, OwnLevel(PRICE_ONE - own.price, own.count))
    return None if best is None else PRICE_ONE - best


def at_or_below(price: Price, grid: Sequence[PriceRange]) -> Price | None:
    """The highest price of the grid that is not above `price`."""
    found = [
        piece.start + (min(price, piece.end) - piece.start) // piece.step * piece.step
        for piece in grid
        if piece.start <= price
    ]
    return _tradable(max(found, default=0))


def at_or_above(price: Price, grid: Sequence[PriceRange]) -> Price | None:
    """The lowest price of the grid that is not below `price`."""
    steps = [(piece, -((piece.start - max(price, piece.start)) // piece.step)) for piece in grid]
    found = [piece.start + step * piece.step for piece, step in steps if piece.start + step * piece.step <= piece.end]
    return _tradable(min(found, default=PRICE_ONE))


def _tradable(price: Price) -> Price | None:
    return price if 0 < price < PRICE_ONE else None
