"""The shapes of the frames that the exchange's WebSocket sends (api.md 7), as msgspec reads them.

Rules: only the fields that are used are declared; the rest is skipped. What is declared without a default must be
there. The `type` field chooses the class. `kalshi_daemon.wire.feed` turns these into facts; nobody else imports this
module.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from kalshi_daemon.wire.reading import Id, Moment, MomentSeconds, Signed, Whole, Word
from kalshi_daemon.wire.sightings import FillText, OrderText

Leg: TypeAlias = Literal["yes", "no"]
LevelTexts: TypeAlias = list[tuple[str, str]]


class _Frame(msgspec.Struct, frozen=True, gc=False, tag_field="type", kw_only=True):
    """What every frame shares: its type, and when it was sent; ids and sequence numbers differ by channel."""

    sending_ts_ms: Whole | None = None  # absent until the end of September 2026


class SnapshotBody(msgspec.Struct, frozen=True, gc=False):
    market_ticker: Id
    yes_dollars_fp: LevelTexts = []  # the key is absent when the side is empty
    no_dollars_fp: LevelTexts = []
    clock: Whole | None = None  # absent until late October 2026


class Snapshot(_Frame, frozen=True, gc=False, tag="orderbook_snapshot"):
    sid: Whole
    seq: Whole
    msg: SnapshotBody
    id: Whole | None = None


class DeltaBody(msgspec.Struct, frozen=True, gc=False):
    market_ticker: Id
    price_dollars: str
    delta_fp: str
    side: Leg
    ts_ms: Moment
    clock: Whole | None = None


class Delta(_Frame, frozen=True, gc=False, tag="orderbook_delta"):
    sid: Whole
    seq: Whole
    msg: DeltaBody


class TradeBody(msgspec.Struct, frozen=True, gc=False):
    market_ticker: Id
    yes_price_dollars: str


class Trade(_Frame, frozen=True, gc=False, tag="trade"):
    sid: Whole
    seq: Whole
    msg: TradeBody


class RangeBody(msgspec.Struct, frozen=True, gc=False):
    start: str
    end: str
    step: str


class LifecycleBody(msgspec.Struct, frozen=True, gc=False):
    market_ticker: Id
    event_type: Word
    close_ts: MomentSeconds | None = None
    result: Word | None = None
    settlement_value: str | None = None
    price_ranges: list[RangeBody] | None = None


class Lifecycle(_Frame, frozen=True, gc=False, tag="market_lifecycle_v2"):
    sid: Whole
    seq: Whole
    msg: LifecycleBody


class EventFeeBody(msgspec.Struct, frozen=True, gc=False):
    event_ticker: Id
    fee_type_override: Word | None
    fee_multiplier_override: msgspec.Raw  # a JSON number, taken as text: as a float it would already be rounded


class EventFeeUpdate(_Frame, frozen=True, gc=False, tag="event_fee_update"):
    sid: Whole
    seq: Whole
    msg: EventFeeBody


class FillBody(FillText, frozen=True, gc=False):
    trade_id: Id
    market_ticker: Id
    ts_ms: Moment
    client_order_id: Word = ""
    subaccount: Whole = 0


class Fill(_Frame, frozen=True, gc=False, tag="fill"):
    sid: Whole
    msg: FillBody


class UserOrderBody(OrderText, frozen=True, gc=False):
    created_ts_ms: Moment | None = None
    last_updated_ts_ms: Moment | None = None
    expiration_ts_ms: Moment | None = None
    subaccount_number: Whole = 0


class UserOrder(_Frame, frozen=True, gc=False, tag="user_order"):
    sid: Whole
    msg: UserOrderBody


class MarketPositionBody(msgspec.Struct, frozen=True, gc=False):
    market_ticker: Id
    position_fp: str
    position_cost_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    subaccount: Whole = 0


class MarketPosition(_Frame, frozen=True, gc=False, tag="market_position"):
    sid: Whole
    msg: MarketPositionBody


class SubscribedBody(msgspec.Struct, frozen=True, gc=False):
    channel: Word
    sid: Whole


class SubscribedFrame(_Frame, frozen=True, gc=False, tag="subscribed"):
    id: Whole
    msg: SubscribedBody


class OkBody(msgspec.Struct, frozen=True, gc=False):
    market_tickers: list[Id] = []  # absent where the channel has no list of markets


class Ok(_Frame, frozen=True, gc=False, tag="ok"):
    """`msg` is a list in the answer to list_subscriptions, an object otherwise."""

    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None
    msg: OkBody | list[SubscribedBody] | None = None


class UnsubscribedFrame(_Frame, frozen=True, gc=False, tag="unsubscribed"):
    sid: Whole
    id: Whole | None = None
    seq: Whole | None = None


class ErrorBody(msgspec.Struct, frozen=True, gc=False):
    code: Signed
    msg: str


class ErrorFrame(_Frame, frozen=True, gc=False, tag="error"):
    msg: ErrorBody
    id: Whole | None = None
    sid: Whole | None = None
    seq: Whole | None = None


class _Unused(_Frame, frozen=True, gc=False):
    """Frames that are read only to be counted, by us and by the sequence number of their channel."""

    sid: Whole | None = None
    seq: Whole | None = None


class Ticker(_Unused, frozen=True, gc=False, tag="ticker"):
    pass


class EventLifecycle(_Unused, frozen=True, gc=False, tag="event_lifecycle"):
    pass


class ComboLifecycle(_Unused, frozen=True, gc=False, tag="multivariate_market_lifecycle"):
    pass


class OrderGroupBody(msgspec.Struct, frozen=True, gc=False):
    event_type: Word
    order_group_id: Id
    ts_ms: Moment
    contracts_limit_fp: str | None = None  # of a group that is made or has another limit


class OrderGroupUpdate(_Frame, frozen=True, gc=False, tag="order_group_updates"):
    sid: Whole
    seq: Whole
    msg: OrderGroupBody


Unused: TypeAlias = Ticker | EventLifecycle | ComboLifecycle
Frame: TypeAlias = (
    Delta
    | Snapshot
    | Trade
    | Lifecycle
    | EventFeeUpdate
    | Fill
    | UserOrder
    | MarketPosition
    | OrderGroupUpdate
    | SubscribedFrame
    | Ok
    | UnsubscribedFrame
    | ErrorFrame
    | Unused
)
