"""Market facts: what the streams and the market reads say. Structs, made by the hundred thousand, never journaled."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kalshi_daemon.facts.orders import OrderGroupTold
from kalshi_daemon.units import Count, FeeType, Milliseconds, Money, Price, Ticker


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """One piece of a market's price grid: from `start` to `end`, both in `Price`, in steps of `step`."""

    start: Price
    end: Price
    step: Price


class MarketRead(msgspec.Struct, frozen=True):
    """One market as REST shows it; `status` is the exchange's word (a column of the market table).

    `spread` lies between the best bid and the best ask, one dollar where both sides are empty; `volume_24h` counts the
    contracts traded in the last 24 hours; `kind` is binary or scalar. Until `waived_ms` its fees are waived.
    """

    market: Ticker
    event: Ticker
    series: Ticker
    status: str
    open_ms: Milliseconds
    close_ms: Milliseconds
    price_ranges: tuple[PriceRange, ...]
    exchange_index: int
    result: str
    settlement_value: Price | None
    kind: str
    volume_24h: Count
    spread: Price
    waived_ms: Milliseconds | None = None


class SeriesFees(msgspec.Struct, frozen=True):
    """A series' fee schedule; the multiplier is in millionths, so that fee arithmetic stays in integers."""

    series: Ticker
    fee_type: FeeType
    multiplier_ppm: int


class SeriesFeeChange(msgspec.Struct, frozen=True):
    """A series' next schedule, announced for `at_ms`. `fees` is None where it cannot be counted with, for `refused`."""

    at_ms: Milliseconds
    series: Ticker
    fees: SeriesFees | None
    refused: str = ""


class EventFees(msgspec.Struct, frozen=True):
    """An event's own fees, which outrank its series' field by field; None leaves a field to the series.

    `refused` says why they cannot be counted with; empty: they can.
    """

    event: Ticker
    fee_type: FeeType | None
    multiplier_ppm: int | None
    refused: str = ""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """All levels of one market: `(price, count)` in each leg's own prices, ascending, best last."""

    sid: int
    seq: int
    market: Ticker
    yes: list[tuple[Price, Count]]
    no: list[tuple[Price, Count]]
    clock: int | None
    request_id: int | None  # the id of the get_snapshot command that asked for it
    sending_ms: Milliseconds | None


class BookDelta(msgspec.Struct, frozen=True, gc=False):
    """A signed change of one level, in the prices of its own leg (`yes` false: NO prices)."""

    sid: int
    seq: int
    market: Ticker
    yes: bool
    price: Price
    change: Count
    ts_ms: Milliseconds
    clock: int | None


class TradePrinted(msgspec.Struct, frozen=True, gc=False):
    """A public trade, on the YES leg."""

    sid: int
    seq: int
    market: Ticker
    price: Price


class MarketChanged(msgspec.Struct, frozen=True, gc=False):
    """A frame of market_lifecycle_v2. `event` is the exchange's own word; fields it does not carry are None."""

    sid: int
    seq: int
    market: Ticker
    event: str
    close_ms: Milliseconds | None
    result: str | None
    settlement_value: Price | None
    price_ranges: tuple[PriceRange, ...] | None


class EventFeesChanged(msgspec.Struct, frozen=True, gc=False):
    """A frame of the same channel: an event's own fees were set or cleared."""

    sid: int
    seq: int
    fees: EventFees


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    request_id: int
    channel: str
    sid: int


class SubscriptionUpdated(msgspec.Struct, frozen=True, gc=False):
    """The `ok` that answers an idempotent subscribe or an update_subscription; `seq` is None where the channel has
    none.
    """

    request_id: int | None
    sid: int | None
    seq: int | None
    markets: tuple[Ticker, ...]


class Unsubscribed(msgspec.Struct, frozen=True, gc=False):
    request_id: int | None
    sid: int
    seq: int | None


class StreamRefused(msgspec.Struct, frozen=True, gc=False):
    """An `error` frame: 10 and 25 end the subscription, the others refuse one command."""

    request_id: int | None
    sid: int | None
    seq: int | None
    code: int
    message: str


class SubscriptionsListed(msgspec.Struct, frozen=True, gc=False):
    """The answer to list_subscriptions: `(channel, sid)`."""

    request_id: int | None
    subscriptions: tuple[tuple[str, int], ...]


class FrameIgnored(msgspec.Struct, frozen=True, gc=False):
    """A frame that reads well and says nothing that we use. Where its channel counts frames, it has a `seq` that
    counts too.
    """

    kind: str
    sid: int | None
    seq: int | None


class PositionReported(msgspec.Struct, frozen=True, gc=False):
    """The exchange's own view of one position, as the private stream shows it: compared with ours, never booked."""

    at_ms: Milliseconds
    market: Ticker
    count: Count
    cost: Money
    realised: Money
    fees: Money


class OrderGroupReported(msgspec.Struct, frozen=True):
    """A frame of the channel of order groups, which counts its frames; what it tells is a fact of the account."""

    sid: int
    seq: int
    told: OrderGroupTold


MarketFact: TypeAlias = BookSnapshot | BookDelta | TradePrinted | MarketChanged | EventFeesChanged
StreamAnswer: TypeAlias = Subscribed | SubscriptionUpdated | Unsubscribed | StreamRefused | SubscriptionsListed
