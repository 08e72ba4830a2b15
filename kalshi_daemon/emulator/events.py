"""What the emulated exchange says to its listeners, in the order in which it happens.

Rules: all values are frozen, so a listener may keep what it hears; words that the wire shows (event types) are the
exchange's own.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.emulator.model import EventTerms, Fill, Market, MarketFigures, Order, PositionRecord, Trade
from kalshi_daemon.units import Count, Milliseconds, Price, Ticker


@frozen
class LevelChanged:
    """A level of the book changed: `price` is of the leg it is on (`yes` false: a NO price).

    `account` and `client_order_id` name whose order placed or cancelled it; empty where a trade or nobody of ours
    did. `account` is the user_id.
    """

    market: Ticker
    yes: bool
    price: Price
    change: Count
    clock: int
    ts_ms: Milliseconds
    account: str = ""
    client_order_id: str = ""
    subaccount: int = 0


@frozen
class Traded:
    trade: Trade


@frozen
class Filled:
    """One account's side of a trade; `post_position` is the signed position after it."""

    account: str  # user_id
    fill: Fill
    post_position: Count


@frozen
class OrderUpdated:
    account: str  # user_id
    order: Order


@frozen
class PositionChanged:
    account: str  # user_id
    position: PositionRecord


@frozen
class MarketMoved:
    """A step in a market's life. `event` is the word of market_lifecycle_v2; empty where the exchange sends nothing
    (opening and closing by the clock)."""

    market: Market
    event: str
    ts_ms: Milliseconds


@frozen
class EventListed:
    """The first market of an event is about to be listed."""

    event: EventTerms
    ts_ms: Milliseconds


@frozen
class EventFeesChanged:
    event: EventTerms
    ts_ms: Milliseconds


@frozen
class TickerChanged:
    """What the ticker shows of a market changed; told once for each thing done to its book, after all else of it."""

    market: Ticker
    figures: MarketFigures
    ts_ms: Milliseconds


@frozen
class OrderGroupUpdated:
    """One step of an order group; `event_type` is the word of order_group_updates, and the limit comes with
    `created` and `limit_updated` only."""

    account_id: str  # user_id
    group_id: str
    event_type: str
    contracts_limit: Count | None
    ts_ms: Milliseconds
    subaccount: int = 0


Event: TypeAlias = (
    LevelChanged
    | Traded
    | Filled
    | OrderUpdated
    | PositionChanged
    | MarketMoved
    | EventListed
    | EventFeesChanged
    | TickerChanged
    | OrderGroupUpdated
)
