"""The shapes of the REST bodies that the daemon reads (api.md 4), as msgspec reads them.

Rules: as for the frames: only what is used is declared, and what has no default must be there.
`kalshi_daemon.wire.rest` and `kalshi_daemon.wire.orders` turn these into values; nobody else imports this module.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from kalshi_daemon.limits import ENDPOINT_COSTS_MAX
from kalshi_daemon.wire.frames import LevelTexts, RangeBody
from kalshi_daemon.wire.reading import Id, Instant, Positive, Signed, Whole, Word
from kalshi_daemon.wire.sightings import FillText, OrderText

MarketStatus: TypeAlias = Literal[
    "initialized", "inactive", "active", "closed", "determined", "disputed", "amended", "finalized"
]


class MarketBody(msgspec.Struct, frozen=True):
    ticker: Id
    event_ticker: Id
    status: MarketStatus
    open_time: Instant
    close_time: Instant
    price_ranges: list[RangeBody]
    exchange_index: Whole
    result: Literal["yes", "no", "scalar", ""]
    market_type: Word
    volume_24h_fp: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    settlement_value_dollars: str | None = None
    fee_waiver_expiration_time: Instant | None = None


class MarketAnswer(msgspec.Struct, frozen=True):
    market: MarketBody


class MarketsAnswer(msgspec.Struct, frozen=True):
    markets: list[MarketBody]
    cursor: str


class LevelsBody(msgspec.Struct, frozen=True):
    yes_dollars: LevelTexts
    no_dollars: LevelTexts


class OrderbookBody(msgspec.Struct, frozen=True):
    ticker: Id
    orderbook_fp: LevelsBody


class OrderbooksAnswer(msgspec.Struct, frozen=True):
    orderbooks: list[OrderbookBody]


class SeriesBody(msgspec.Struct, frozen=True):
    ticker: Id
    fee_type: Word
    fee_multiplier: msgspec.Raw  # a JSON number, taken as text: as a float it would already be rounded


class SeriesAnswer(msgspec.Struct, frozen=True):
    series: SeriesBody


class SeriesFeeChangeBody(msgspec.Struct, frozen=True):
    series_ticker: Id
    fee_type: Word
    fee_multiplier: msgspec.Raw
    scheduled_ts: Instant


class SeriesFeeChangesAnswer(msgspec.Struct, frozen=True):
    series_fee_change_arr: list[SeriesFeeChangeBody]


class EventBody(msgspec.Struct, frozen=True):
    """Where an event has no fees of its own the fields are null or absent."""

    event_ticker: Id
    fee_type_override: Word | None = None
    fee_multiplier_override: msgspec.Raw = msgspec.Raw(b"null")


class EventAnswer(msgspec.Struct, frozen=True):
    event: EventBody


class EventsAnswer(msgspec.Struct, frozen=True):
    events: list[EventBody]


class ShardBody(msgspec.Struct, frozen=True):
    exchange_index: Whole
    exchange_active: bool
    trading_active: bool
    description: Word = ""


class StatusAnswer(msgspec.Struct, frozen=True):
    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Instant | None = None
    exchange_index_statuses: list[ShardBody] = []


class SessionBody(msgspec.Struct, frozen=True):
    open_time: Word
    close_time: Word


class WeekBody(msgspec.Struct, frozen=True):
    start_time: Instant
    end_time: Instant
    monday: list[SessionBody]
    tuesday: list[SessionBody]
    wednesday: list[SessionBody]
    thursday: list[SessionBody]
    friday: list[SessionBody]
    saturday: list[SessionBody]
    sunday: list[SessionBody]


class MaintenanceBody(msgspec.Struct, frozen=True):
    start_datetime: Instant
    end_datetime: Instant


class ScheduleBody(msgspec.Struct, frozen=True):
    standard_hours: list[WeekBody]
    maintenance_windows: list[MaintenanceBody]


class ScheduleAnswer(msgspec.Struct, frozen=True):
    schedule: ScheduleBody


class BucketBody(msgspec.Struct, frozen=True):
    refill_rate: Positive
    bucket_capacity: Positive


class LimitsAnswer(msgspec.Struct, frozen=True):
    usage_tier: Word
    read: BucketBody
    write: BucketBody


class CostBody(msgspec.Struct, frozen=True):
    method: Word
    path: Word
    cost: Whole


class CostsAnswer(msgspec.Struct, frozen=True):
    default_cost: Whole
    endpoint_costs: Annotated[list[CostBody], msgspec.Meta(max_length=ENDPOINT_COSTS_MAX)]


class KeysAnswer(msgspec.Struct, frozen=True):
    api_key_region_expiration_ts: Whole | None = None


class KeyBody(msgspec.Struct, frozen=True):
    api_key_id: Id
    scopes: list[str]


class KeyListAnswer(msgspec.Struct, frozen=True):
    api_keys: list[KeyBody]


class AsOfAnswer(msgspec.Struct, frozen=True):
    as_of_time: Instant


class CutoffAnswer(msgspec.Struct, frozen=True):
    trades_created_ts: Instant


class ShardBalanceBody(msgspec.Struct, frozen=True):
    exchange_index: Whole
    balance: str


class BalanceAnswer(msgspec.Struct, frozen=True):
    balance_dollars: str
    portfolio_value: Signed  # cents
    updated_ts: Whole  # seconds
    balance_breakdown: list[ShardBalanceBody]


class PositionBody(msgspec.Struct, frozen=True):
    ticker: Id
    exchange_index: Whole
    position_fp: str
    market_exposure_dollars: str
    total_traded_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: Instant


class PositionsAnswer(msgspec.Struct, frozen=True):
    market_positions: list[PositionBody]
    cursor: str


class OrderBody(OrderText, frozen=True):
    created_time: Instant | None = None
    last_update_time: Instant | None = None
    expiration_time: Instant | None = None


class OrderAnswer(msgspec.Struct, frozen=True):
    order: OrderBody


class OrdersAnswer(msgspec.Struct, frozen=True):
    orders: list[OrderBody]
    cursor: str


class FillBody(FillText, frozen=True):
    fill_id: Id
    ticker: Id
    created_time: Instant


class FillsAnswer(msgspec.Struct, frozen=True):
    fills: list[FillBody]
    cursor: str


class SettlementBody(msgspec.Struct, frozen=True):
    ticker: Id
    exchange_index: Whole
    market_result: Literal["yes", "no", "scalar"]
    yes_count_fp: str
    no_count_fp: str
    revenue: Whole  # cents
    settled_time: Instant
    fee_cost: str
    value: Whole | None = None  # cents of one YES contract


class SettlementsAnswer(msgspec.Struct, frozen=True):
    settlements: list[SettlementBody]
    cursor: str


class CreateAnswer(msgspec.Struct, frozen=True):
    order_id: Id
    fill_count: str
    remaining_count: str
    ts_ms: Whole
    client_order_id: Word | None = None


class AmendAnswer(msgspec.Struct, frozen=True):
    order_id: Id
    ts_ms: Whole
    client_order_id: Word | None = None
    remaining_count: str | None = None


class DecreaseAnswer(msgspec.Struct, frozen=True):
    order_id: Id
    remaining_count: str
    ts_ms: Whole
    client_order_id: Word | None = None


class CancelAnswer(msgspec.Struct, frozen=True):
    order_id: Id
    reduced_by: str
    ts_ms: Whole
