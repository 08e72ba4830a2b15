"""Amends and decreases of resting orders: their bodies, and what the answers to them mean (api.md 4.3, 4.7).

Rules:
- An order has one client order id for ever: `updated_client_order_id` is not used.
- The count of an amend is all that the order may fill, what is filled included. A decrease says by how much, so that
  what fills while it is on its way changes nothing of the count that it leads to.
- An amend's own fills are not taken from its answer: fills come by id.
- A 404 says that nothing rests to be amended, and not what became of it. What cannot be read is lost, as for orders.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from attrs import frozen

from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Milliseconds, Ticker, TimeInForce
from kalshi_daemon.wire import bodies
from kalshi_daemon.wire.error_codes import Verdict, meaning_of
from kalshi_daemon.wire.fixed_point import format_count, format_price, parse_count
from kalshi_daemon.wire.orders import detail_of
from kalshi_daemon.wire.reading import read


@frozen
class AmendAccepted:
    """`remaining`: what rests now; None where the answer leaves it out, because neither fills nor the size moved."""

    remaining: Count | None
    ts_ms: Milliseconds


@frozen
class AmendDenied:
    """Nothing was done: the order stands as it stood."""

    status: int
    code: str
    detail: str


@frozen
class AmendNotFound:
    """404: nothing rests to be amended; it was cancelled, or filled."""


@frozen
class AmendUnknown:
    """Which of the two orders stands is not known."""

    cause: str


AmendAnswer: TypeAlias = AmendAccepted | AmendDenied | AmendNotFound | AmendUnknown


class _AmendRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    ticker: str
    client_order_id: str
    side: BookSide
    count: str
    price: str
    exchange_index: int
    expiration_time: int | None = None


class _DecreaseRequest(msgspec.Struct, frozen=True):
    reduce_by: str
    market_ticker: str
    exchange_index: int


_encode: Final = msgspec.json.Encoder().encode
_amend: Final = msgspec.json.Decoder(bodies.AmendAnswer)
_decrease: Final = msgspec.json.Decoder(bodies.DecreaseAnswer)


def encode_amend(client_order_id: str, spec: OrderSpec) -> bytes:
    """The body of an amend to `spec`; its expiry is set anew, which moves nothing."""
    assert 0 < spec.price < PRICE_ONE, spec
    assert spec.count > 0, spec
    assert spec.time_in_force is TimeInForce.GOOD_TILL_CANCELED, f"only what rests is amended: {spec}"
    return _encode(
        _AmendRequest(
            ticker=spec.market,
            client_order_id=client_order_id,
            side=spec.side,
            count=format_count(spec.count),
            price=format_price(spec.price),
            exchange_index=spec.exchange_index,
            expiration_time=spec.expires_s,
        )
    )


def encode_decrease(by: Count, market: Ticker, exchange_index: int) -> bytes:
    assert by > 0, by
    return _encode(_DecreaseRequest(format_count(by), market, exchange_index))


def read_amended(body: bytes, order_id: str) -> AmendAccepted:
    """A 2xx answer to an amend. Raises `WireError`, also where it speaks of another order."""
    answer = read(_amend, body)
    _check_order(answer.order_id, order_id)
    remaining = answer.remaining_count
    return AmendAccepted(None if remaining is None else parse_count(remaining), answer.ts_ms)


def read_decreased(body: bytes, order_id: str) -> AmendAccepted:
    """A 2xx answer to a decrease. Raises `WireError`, also where it speaks of another order."""
    answer = read(_decrease, body)
    _check_order(answer.order_id, order_id)
    return AmendAccepted(parse_count(answer.remaining_count), answer.ts_ms)


def amend_failed(error: ExchangeError) -> AmendDenied | AmendNotFound | AmendUnknown:
    """What an error answer says of the amend, or the decrease, that met it."""
    meaning = meaning_of(error)
    if meaning.cancel is Verdict.MISSING:
        return AmendNotFound()
    if meaning.create is Verdict.REFUSED:
        return AmendDenied(error.status, error.code, detail_of(error))
    return AmendUnknown(str(error))


def _check_order(named: str, order_id: str) -> None:
    if named != order_id:
        raise WireError("inconsistent", f"the answer for {order_id} names {named!r}"[:200])
