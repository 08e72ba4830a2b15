"""What members ask of orders that rest, and how they are answered: amendments, decreases, places in the queue."""

from __future__ import annotations

from attrs import frozen

from kalshi_daemon.emulator.model import Placed
from kalshi_daemon.units import BookSide, Count, Price, Ticker


@frozen
class Amendment:
    """What a resting order is to become. `count` is what it may fill in all, `filled` included.

    `market`, `side` and `client_order_id` (if given) say which order is meant. `expires_s`: None keeps the expiry, 0
    removes it.
    """

    market: Ticker
    side: BookSide
    price: Price
    count: Count
    client_order_id: str = ""
    updated_client_order_id: str = ""
    expires_s: int | None = None
    exchange_index: int | None = None


@frozen
class Decrease:
    """Contracts to take off a resting order: `by` so many, or `to` so many, the other None."""

    by: Count | None = None
    to: Count | None = None
    market: Ticker | None = None
    exchange_index: int | None = None

    def __attrs_post_init__(self) -> None:
        assert (self.by is None) != (self.to is None), "decreased by a count or to one"


@frozen
class Amended(Placed):
    """The answer to an amendment, which may be placed anew: `filled` and the averages are of its own fills. `moved`: it
    filled, or the count that rests is another than before."""

    moved: bool


@frozen
class QueuePlace:
    """How many contracts trade before a resting order does."""

    order_id: str
    market: Ticker
    ahead: Count
