"""Cancels in one request: the body of a batch, and what its answer says of each of its orders (api.md 4.3).

Rules: an item names its market and its shard, since without them only shard 0 is looked at. Every order asked for gets
an answer of its own: a refusal inside a 200 has a code and no status, and one that the answer leaves out is unknown.
An answer that names an order nobody asked for, or one twice, is not an answer to this request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from attrs import frozen

from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.wire.error_bodies import text_of
from kalshi_daemon.wire.error_codes import Fault, meaning_of, status_of_code
from kalshi_daemon.wire.fixed_point import parse_count
from kalshi_daemon.wire.orders import CancelAccepted, CancelDenied, CancelNotFound, CancelUnknown, cancel_failed
from kalshi_daemon.wire.reading import Id, Whole, Word, read


@frozen
class BatchFailed:
    """One answer for the whole batch. `as_a_batch`: it may be for what the batch is, and not for its orders."""

    answer: CancelDenied | CancelNotFound | CancelUnknown
    as_a_batch: bool


class _Item(msgspec.Struct, frozen=True):
    order_id: str
    market_ticker: str
    exchange_index: int


class _Request(msgspec.Struct, frozen=True):
    orders: list[_Item]


class _Error(msgspec.Struct, frozen=True):
    """`message` and `details` are for people: whatever they are, the code is read."""

    code: Word
    message: Any = None
    details: Any = None


class _Answer(msgspec.Struct, frozen=True):
    order_id: Id
    reduced_by: str | None = None
    ts_ms: Whole | None = None
    error: _Error | None = None


class _Answers(msgspec.Struct, frozen=True):
    orders: list[_Answer]


_encode: Final = msgspec.json.Encoder().encode
_answers: Final = msgspec.json.Decoder(_Answers)


def encode_cancels(commands: Sequence[CancelOrder]) -> bytes:
    return _encode(_Request([_Item(command.order_id, command.market, command.exchange_index) for command in commands]))


def read_cancels(body: bytes, order_ids: Sequence[str]) -> dict[str, CancelAccepted | ExchangeError]:
    """A 2xx answer, by order id; an order that is not in it was not spoken of. Raises `WireError`."""
    found: dict[str, CancelAccepted | ExchangeError] = {}
    asked = set(order_ids)
    for item in read(_answers, body).orders:
        if item.order_id not in asked or item.order_id in found:
            raise WireError("inconsistent", f"the answer to a batch names {item.order_id!r} unasked or twice"[:200])
        found[item.order_id] = _outcome(item)
    return found


def _outcome(item: _Answer) -> CancelAccepted | ExchangeError:
    if item.error is not None:
        error = item.error
        return ExchangeError(status_of_code(error.code), error.code, text_of(error.message), text_of(error.details))
    if item.reduced_by is None:
        raise WireError("missing_field", f"neither reduced_by nor an error for {item.order_id!r}"[:200])
    return CancelAccepted(parse_count(item.reduced_by), item.ts_ms or 0)


def batch_failed(error: ExchangeError) -> BatchFailed:
    """What an error answer to the whole says. What passes by itself, or needs a person, is no matter of its size."""
    return BatchFailed(cancel_failed(error), meaning_of(error).fault in {Fault.OURS, Fault.THEIRS})
