"""The requests that change orders which rest: amend and decrease.

Rules: each is sent once, ever. What it met is an answer of `wire.amendments`, never an exception but for `Withheld`, of
`before_send` or with the code `unreachable`: nothing was sent.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from kalshi_daemon.errors import ExchangeError, Unreachable, Withheld
from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.shell.requests import ORDERS_PATH, UNREACHABLE, BeforeSend, Call, Requests
from kalshi_daemon.units import Count
from kalshi_daemon.wire.amendments import (
    AmendAccepted,
    AmendAnswer,
    AmendUnknown,
    amend_failed,
    encode_amend,
    encode_decrease,
    read_amended,
    read_decreased,
)


class AmendRequests:
    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def amend_order(
        self, order_id: str, client_order_id: str, spec: OrderSpec, *, before_send: BeforeSend
    ) -> AmendAnswer:
        """The order is to become `spec`."""
        call = Call(
            "amend",
            "POST",
            amend_path(order_id),
            partial(read_amended, order_id=order_id),
            body=encode_amend(client_order_id, spec),
            before_send=before_send,
        )
        return await self._write(call)

    async def decrease_order(
        self, order_id: str, by: Count, before: OrderSpec, *, before_send: BeforeSend
    ) -> AmendAnswer:
        """`by` so many contracts less are to rest of the order that was `before`."""
        call = Call(
            "decrease",
            "POST",
            decrease_path(order_id),
            partial(read_decreased, order_id=order_id),
            body=encode_decrease(by, before.market, before.exchange_index),
            before_send=before_send,
        )
        return await self._write(call)

    async def _write(self, call: Call[AmendAccepted]) -> AmendAnswer:
        try:
            return await self._requests.over_hosts(call)
        except ExchangeError as error:
            return amend_failed(error)
        except Unreachable as error:
            if not error.maybe_done:
                raise Withheld(UNREACHABLE, str(error)) from error
            return AmendUnknown(str(error))


def amend_path(order_id: str) -> str:
    return f"{ORDERS_PATH}/{quote(order_id, safe='')}/amend"


def decrease_path(order_id: str) -> str:
    return f"{ORDERS_PATH}/{quote(order_id, safe='')}/decrease"
