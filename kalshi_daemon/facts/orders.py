"""Facts of orders: intended, sent, answered, amended, seen, filled. Each is a row of the order table or becomes one."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.units import BookSide, Count, Milliseconds, Money, Price, Ticker, TimeInForce


@frozen
class OrderSpec:
    """What is asked of the exchange, on the YES leg. `expires_s`: Unix seconds, only with good_till_canceled."""

    market: Ticker
    side: BookSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    expires_s: int | None
    exchange_index: int


@frozen
class OrderIntended:
    """An order was decided and passed the risk gate. Durable before its request is sent.

    `reserve` is the worst case it can cost, fees included. `decision` numbers the policy's decision (0: not the
    policy's), `observation` is base64 of the 52 little-endian float32 that led to it.
    """

    at_ms: Milliseconds
    number: int
    client_order_id: str
    spec: OrderSpec
    reserve: Money
    purpose: str
    decision: int
    model: str
    observation: str


@frozen
class OrderWithheld:
    """The gate refused at the socket: never sent."""

    at_ms: Milliseconds
    client_order_id: str
    code: str
    detail: str


@frozen
class OrderSent:
    at_ms: Milliseconds
    client_order_id: str


@frozen
class OrderAcknowledged:
    """201 with an order in it."""

    at_ms: Milliseconds
    client_order_id: str
    order_id: str
    filled: Count
    remaining: Count
    ts_ms: Milliseconds


@frozen
class OrderRefused:
    """The exchange refused by a code that is final."""

    at_ms: Milliseconds
    client_order_id: str
    status: int
    code: str
    detail: str


@frozen
class OrderDuplicate:
    """409 order_already_exists: an earlier send arrived."""

    at_ms: Milliseconds
    client_order_id: str


@frozen
class OrderLost:
    """No readable answer: what became of it is not known."""

    at_ms: Milliseconds
    client_order_id: str
    cause: str


@frozen
class CancelSent:
    at_ms: Milliseconds
    client_order_id: str


@frozen
class CancelAcknowledged:
    at_ms: Milliseconds
    client_order_id: str
    reduced_by: Count
    ts_ms: Milliseconds


@frozen
class CancelMissing:
    """404: cancelled before, filled, or never known. It proves nothing."""

    at_ms: Milliseconds
    client_order_id: str


@frozen
class CancelRefused:
    at_ms: Milliseconds
    client_order_id: str
    status: int
    code: str
    detail: str


@frozen
class CancelLost:
    at_ms: Milliseconds
    client_order_id: str
    cause: str


@frozen
class AmendIntended:
    """A resting order is to become `spec`: another price or expiry, or another count, which is all that it may fill.

    It passed the risk gate and is durable before its request is sent. `reserve` is the worst case of the whole order as
    amended; until the answer the dearer of the two is set aside.
    """

    at_ms: Milliseconds
    client_order_id: str
    spec: OrderSpec
    reserve: Money
    purpose: str
    decision: int
    model: str
    observation: str


@frozen
class AmendWithheld:
    """The gate refused at the socket: never sent."""

    at_ms: Milliseconds
    client_order_id: str
    code: str
    detail: str


@frozen
class AmendSent:
    at_ms: Milliseconds
    client_order_id: str


@frozen
class AmendAcknowledged:
    """200. `remaining` is what rests after it; None where the exchange leaves it out, because nothing moved."""

    at_ms: Milliseconds
    client_order_id: str
    remaining: Count | None
    ts_ms: Milliseconds


@frozen
class AmendRefused:
    """The exchange refused by a code that is final: the order stands as it stood."""

    at_ms: Milliseconds
    client_order_id: str
    status: int
    code: str
    detail: str


@frozen
class AmendMissing:
    """404: nothing rests that could be amended. Whether it was cancelled or filled is not said."""

    at_ms: Milliseconds
    client_order_id: str


@frozen
class AmendLost:
    """No readable answer: which of the two orders stands is not known."""

    at_ms: Milliseconds
    client_order_id: str
    cause: str


@frozen
class OrderSeen:
    """An order as a private event or a read shows it. `status`: resting, canceled or executed; `reason`:
    last_update_reason.
    """

    at_ms: Milliseconds
    source: str  # "stream" or "read"
    order_id: str
    client_order_id: str
    market: Ticker
    side: BookSide
    price: Price
    status: str
    filled: Count
    remaining: Count
    initial: Count
    updated_ms: Milliseconds  # the exchange's stamp of the last update; older than what is known: dropped
    expires_s: int | None
    reason: str
    exchange_index: int  # the shard, as the exchange's order, fill and settlement all carry it: cash is per shard


@frozen
class FillSeen:
    """One execution, by id. `price` is the YES price, `fee` what the exchange charged; stream or read, the same
    fact.
    """

    at_ms: Milliseconds
    source: str
    trade_id: str
    order_id: str
    client_order_id: str  # empty where the source does not say (REST fills)
    market: Ticker
    side: BookSide
    price: Price
    count: Count
    fee: Money
    is_taker: bool
    ts_ms: Milliseconds
    exchange_index: int


@frozen
class OrderAbsent:
    """In no complete page of orders and fills, read as of later than the request could still arrive."""

    at_ms: Milliseconds
    client_order_id: str
    as_of_ms: Milliseconds


@frozen
class OrderVanished:
    """Acknowledged before, and in no complete page now."""

    at_ms: Milliseconds
    client_order_id: str
    as_of_ms: Milliseconds


@frozen
class OrderGroupMade:
    """The group that resting orders of the shard belong to; told again where its limit became another.

    `limit`: contracts that may match within fifteen seconds."""

    at_ms: Milliseconds
    exchange_index: int
    group_id: str
    limit: Count


@frozen
class OrderGroupTold:
    """What became of an order group, ours or not. `event` is the exchange's word: triggered, reset, deleted, ...

    `ts_ms`: 0 where it was an answer and not the stream that said it; `limit`: 0 where it is not about the limit."""

    at_ms: Milliseconds
    source: str  # "stream" or "read"
    group_id: str
    event: str
    ts_ms: Milliseconds
    limit: Count = 0


@frozen
class CancelAllSent:
    """The cancel of everything of our subaccount is being written. `ts_ms`: by the exchange's clock."""

    at_ms: Milliseconds
    ts_ms: Milliseconds


@frozen
class CancelAllEnded:
    """It was answered, whatever the answer was; `cause` says what was not done, or is not known to be."""

    at_ms: Milliseconds
    ts_ms: Milliseconds
    answered: bool
    cause: str


OrderFact: TypeAlias = (
    OrderIntended
    | OrderWithheld
    | OrderSent
    | OrderAcknowledged
    | OrderRefused
    | OrderDuplicate
    | OrderLost
    | CancelSent
    | CancelAcknowledged
    | CancelMissing
    | CancelRefused
    | CancelLost
    | AmendIntended
    | AmendWithheld
    | AmendSent
    | AmendAcknowledged
    | AmendRefused
    | AmendMissing
    | AmendLost
    | OrderSeen
    | OrderAbsent
    | OrderVanished
)
