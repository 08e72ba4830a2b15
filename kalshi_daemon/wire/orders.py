"""Order writes: the body of a create, and what the answers to a create and to a cancel mean (api.md 4.3, 4.7).

Rules: an answer is one of a few values, and the order table has a row for each. Refused needs a body that reads and a
code that is known to be final; what cannot be read, or has a code nobody told us of, is lost: unknown, neither failure
nor success. A 2xx without our order in it is lost too, whatever its status says.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import msgspec
from attrs import frozen

from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Milliseconds, TimeInForce
from kalshi_daemon.wire import bodies
from kalshi_daemon.wire.error_codes import Verdict, meaning_of
from kalshi_daemon.wire.fixed_point import format_count, format_price, parse_count
from kalshi_daemon.wire.reading import read

CLIENT_ORDER_ID: Final = re.compile(r"[-0-9A-Za-z_:+=/]{1,64}")
SELF_TRADE_PREVENTION: Final = "taker_at_cross"  # the resting order stays: the taker is what we have just decided


@frozen
class Acknowledged:
    order_id: str
    filled: Count
    remaining: Count
    ts_ms: Milliseconds


@frozen
class Refused:
    """Nothing was done, and asking again with the same words is answered the same until something changes."""

    status: int
    code: str
    detail: str


@frozen
class Duplicate:
    """An earlier send of this client order id arrived; where that order stands is not said."""


@frozen
class Lost:
    """What became of the order is not known."""

    cause: str


@frozen
class CancelAccepted:
    reduced_by: Count
    ts_ms: Milliseconds


@frozen
class CancelDenied:
    """Nothing was done: the order stands as it stood."""

    status: int
    code: str
    detail: str


@frozen
class CancelNotFound:
    """404: cancelled before, filled, or never known. It proves nothing."""


@frozen
class CancelUnknown:
    """What became of the cancel is not known."""

    cause: str


OrderAnswer: TypeAlias = Acknowledged | Refused | Duplicate | Lost
CancelAnswer: TypeAlias = CancelAccepted | CancelDenied | CancelNotFound | CancelUnknown


class _OrderRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Field names and words are the exchange's; numbers are texts, because it refuses JSON numbers."""

    ticker: str
    client_order_id: str
    side: BookSide
    count: str
    price: str
    time_in_force: TimeInForce
    self_trade_prevention_type: str
    exchange_index: int
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    expiration_time: int | None = None
    order_group_id: str = ""


_encode: Final = msgspec.json.Encoder().encode
_create: Final = msgspec.json.Decoder(bodies.CreateAnswer)
_cancel: Final = msgspec.json.Decoder(bodies.CancelAnswer)


def encode_order(client_order_id: str, spec: OrderSpec, group: str = "") -> bytes:
    """The body of a create; only what rests has an order group. What the exchange is known to refuse is a mistake of
    ours, so it is asserted.
    """
    rests = spec.time_in_force is TimeInForce.GOOD_TILL_CANCELED
    assert CLIENT_ORDER_ID.fullmatch(client_order_id), client_order_id
    assert 0 < spec.price < PRICE_ONE, spec
    assert spec.count > 0, spec
    assert rests or (spec.expires_s is None and not spec.post_only), f"only what rests expires, or is post-only: {spec}"
    assert rests or not group, f"only what rests has an order group: {spec}"
    assert not spec.reduce_only or spec.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL, f"reduce_only rests: {spec}"
    return _encode(
        _OrderRequest(
            ticker=spec.market,
            client_order_id=client_order_id,
            side=spec.side,
            count=format_count(spec.count),
            price=format_price(spec.price),
            time_in_force=spec.time_in_force,
            self_trade_prevention_type=SELF_TRADE_PREVENTION,
            exchange_index=spec.exchange_index,
            post_only=spec.post_only,
            reduce_only=spec.reduce_only,
            cancel_order_on_pause=rests,
            expiration_time=spec.expires_s,
            order_group_id=group,
        )
    )


def read_created(body: bytes, client_order_id: str) -> Acknowledged:
    """A 2xx answer to a create. Raises `WireError`, also where it speaks of another order."""
    answer = read(_create, body)
    if answer.client_order_id not in (None, client_order_id):
        raise WireError("inconsistent", f"the answer for {client_order_id} names {answer.client_order_id!r}"[:200])
    return Acknowledged(
        answer.order_id, parse_count(answer.fill_count), parse_count(answer.remaining_count), answer.ts_ms
    )


def read_cancelled(body: bytes, order_id: str) -> CancelAccepted:
    """A 2xx answer to a cancel. Raises `WireError`, also where it speaks of another order."""
    answer = read(_cancel, body)
    if answer.order_id != order_id:
        raise WireError("inconsistent", f"the answer for {order_id} names {answer.order_id!r}"[:200])
    return CancelAccepted(parse_count(answer.reduced_by), answer.ts_ms)


def create_failed(error: ExchangeError) -> Refused | Duplicate | Lost:
    """What an error answer says of the create that met it."""
    verdict = meaning_of(error).create
    if verdict is Verdict.DUPLICATE:
        return Duplicate()
    return Refused(error.status, error.code, detail_of(error)) if verdict is Verdict.REFUSED else Lost(str(error))


def cancel_failed(error: ExchangeError) -> CancelDenied | CancelNotFound | CancelUnknown:
    """What an error answer says of the cancel that met it."""
    verdict = meaning_of(error).cancel
    if verdict is Verdict.MISSING:
        return CancelNotFound()
    if verdict is Verdict.REFUSED:
        return CancelDenied(error.status, error.code, detail_of(error))
    return CancelUnknown(str(error))


def detail_of(error: ExchangeError) -> str:
    """What the exchange says of its refusal, in its own words."""
    return f"{error.message}: {error.details}" if error.details else error.message
