"""What a decision looks at, as values: one `MarketInput` per market and one `AccountInput` per batch.

Rules: integers in the units of the house; the features make real numbers of them once. Nothing here has a default:
whoever builds these has read a book and a ledger.
"""

from __future__ import annotations

from attrs import frozen

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import PriceRange
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.units import BookSide, Count, Milliseconds, Money, Price, Ticker


@frozen
class RestingOrder:
    """What an amend of an order that rests has to know: its id, all that it may fill, and what of it is filled."""

    client_order_id: str
    count: Count
    filled: Count

    @property
    def remaining(self) -> Count:
        return self.count - self.filled


@frozen
class OpenOrder:
    """An order that is not over: in flight or resting. `placed_ms`: intended, by the exchange's clock. `resting`: None
    where it cannot be amended now, because it does not rest, something of it is under way, or it is not ours.
    """

    side: BookSide
    price: Price
    placed_ms: Milliseconds
    resting: RestingOrder | None


@frozen
class MarketInput:
    """One market. `cost` is what the position cost on the side it holds, fees apart; at least 0."""

    market: Ticker
    book: OrderBook
    history: MarketHistory
    last_trade: Price | None
    fee_multiplier_ppm: int
    position: Count
    cost: Money
    orders: tuple[OpenOrder, ...]
    reducing: Count  # contracts of reductions that are not over, at least 0
    grid: tuple[PriceRange, ...]
    usable: bool  # the book may be acted on: known, uncrossed, fresh
    closing: bool  # it takes no increase: it closes too soon (risk P2), or its book is read by REST (risk P1)
    unknown: bool  # a write on this market has no known outcome (risk P3)


@frozen
class HeldPosition:
    """`count` is signed and not 0; `value` is at the mid of the side held, `cost` what that side cost, fees apart."""

    market: Ticker
    count: Count
    cost: Money
    value: Money


@frozen
class AccountInput:
    """`available` is the ledger's; `portfolio_value` is settled cash and the value of all positions."""

    available: Money
    portfolio_value: Money
    positions: tuple[HeldPosition, ...]
