"""The requests that cancel: one order, several in a batch, and everything of our subaccount.

Rules: what a cancel met is an answer of `wire.orders`, never an exception. A cancel is sent again where the first was
refused for our clock, and at no other time. Everything is never asked for without the subaccount: the exchange would
take it for all of them. Where nothing has left it is `CancelDenied`, status 0, code `unreachable`: what rested, rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.errors import ClockRefused, ExchangeError, Unreachable
from kalshi_daemon.shell.requests import ORDERS_PATH, PRIMARY, UNREACHABLE, BeforeSend, Call, Requests
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.batched_cancel import BatchFailed, batch_failed, encode_cancels, read_cancels
from kalshi_daemon.wire.orders import CancelAnswer, CancelDenied, CancelUnknown, cancel_failed, read_cancelled

T = TypeVar("T")

CANCELS_PATH: Final = f"{ORDERS_PATH}/batched"
UNSAID: Final = CancelUnknown("the answer to its batch does not name it")
DONE: Final = CancelUnknown("everything was cancelled, and the answer names no order")


class CancelRequests:
    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def one(self, order_id: str, market: Ticker, exchange_index: int, *, before_send: BeforeSend) -> CancelAnswer:
        call = Call(
            "cancel",
            "DELETE",
            cancel_path(order_id),
            partial(read_cancelled, order_id=order_id),
            params={"market_ticker": market, "exchange_index": str(exchange_index)},
            before_send=before_send,
        )
        try:
            return await self._send(call)
        except ExchangeError as error:
            return cancel_failed(error)
        except Unreachable as error:
            return _unanswered(error)

    async def several(
        self, commands: Sequence[CancelOrder], *, before_send: BeforeSend
    ) -> list[CancelAnswer] | BatchFailed:
        """In one request: an answer to each, in their order, or one for all."""
        order_ids = [command.order_id for command in commands]
        call = Call(
            "cancel_batch",
            "DELETE",
            CANCELS_PATH,
            partial(read_cancels, order_ids=order_ids),
            body=encode_cancels(commands),
            before_send=before_send,
        )
        try:
            found = await self._send(call)
        except ExchangeError as error:
            return batch_failed(error)
        except Unreachable as error:
            return BatchFailed(_unanswered(error), as_a_batch=False)
        for each in found.values():
            if isinstance(each, ExchangeError):
                self._requests.tally.note(each)
        told = [found.get(order_id, UNSAID) for order_id in order_ids]
        return [cancel_failed(each) if isinstance(each, ExchangeError) else each for each in told]

    async def everything(self, *, before_send: BeforeSend) -> CancelAnswer:
        """Of our subaccount, on every shard; `DONE` where it was done, since the answer names no order."""
        call = Call(
            "cancel_all",
            "DELETE",
            ORDERS_PATH,
            lambda _body: DONE,
            params={"subaccount": PRIMARY},
            before_send=before_send,
        )
        try:
            return await self._send(call)
        except ExchangeError as error:
            return cancel_failed(error)
        except Unreachable as error:
            return _unanswered(error)

    async def _send(self, call: Call[T]) -> T:
        try:
            return await self._requests.over_hosts(call)
        except ClockRefused:  # its Date has set the clock right; a second create would be a second decision
            return await self._requests.over_hosts(call)


def cancel_path(order_id: str) -> str:
    return f"{ORDERS_PATH}/{quote(order_id, safe='')}"


def _unanswered(error: Unreachable) -> CancelDenied | CancelUnknown:
    return CancelUnknown(str(error)) if error.maybe_done else CancelDenied(0, UNREACHABLE, str(error))
