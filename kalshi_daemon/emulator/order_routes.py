"""Orders over REST: create, cancel, amend, decrease, alone and in batches, and places in the queue (api.md 4.3).

Each function answers one endpoint: it takes the call, and the order's id if that is in the path, and returns a body
or raises Refused. Writes go to the exchange at once. A batch costs what its items cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import Body, count_text
from kalshi_daemon.emulator.bounds import BATCH_SECONDS
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.order_bodies import (
    amended_body,
    cancelled_body,
    decreased_body,
    placed_body,
    queue_place_body,
)
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.requests import (
    AMEND,
    CANCEL,
    CREATE,
    DECREASE,
    amendment,
    check_types,
    csv,
    decode_items,
    decode_object,
    decrease,
    new_order,
    parameter,
    seconds,
    whole,
)

CREATE_COST: Final = 10
CANCEL_COST: Final = 2
CREATE_STRUCT: Final = "CreateOrderV2Request"
CANCEL_STRUCT: Final = "BatchCancelOrderV2Request"


def create_order(call: Call) -> Body:
    body = decode_object(call.request)
    check_types(body, CREATE_STRUCT, CREATE)
    return _create(call, body)


def _create(call: Call, body: Mapping[str, object]) -> Body:
    return placed_body(call.exchange.create_order(call.subaccount(whole(body, "subaccount")), new_order(body)))


def create_orders(call: Call) -> Body:
    """A batch: each item has its own answer or its own error, inside one 201."""
    items = decode_items(decode_object(call.request), CREATE_STRUCT, CREATE)
    _charge_batch(call, len(items), CREATE_COST)
    return {"orders": [_each(partial(_create, call), item, "client_order_id", _NOT_PLACED) for item in items]}


_NOT_PLACED: Final[Body] = {
    "average_fee_paid": None,
    "average_fill_price": None,
    "fill_count": "0.00",
    "remaining_count": "0.00",
    "ts_ms": None,
}
_NOT_CANCELLED: Final[Body] = {"client_order_id": None, "reduced_by": "0.00", "ts_ms": None}


def _each(act: Callable[[Mapping[str, object]], Body], item: Mapping[str, object], key: str, failed: Body) -> Body:
    """One item of a batch; a refusal becomes its `error`, with nulls where nothing is known."""
    try:
        return act(item)
    except Refused as refused:
        error = {"code": refused.code, "details": refused.details, "message": refused.message}
        return failed | {key: item.get(key), "error": error}


def _charge_batch(call: Call, items: int, cost: int) -> None:
    """A batch costs what its items cost, and no batch may be larger than the tier's bucket."""
    limits = call.limits
    most = max(limits.write_capacity, limits.write_rate * BATCH_SECONDS) // cost
    if not 1 <= items <= most:
        raise refusals.invalid_parameters(f"orders: 1 to {most} of them")
    call.charge_write(items * cost)


def cancel_order(call: Call, order_id: str) -> Body:
    """One cancel. Without a ticker it looks on shard 0 only, and finds nothing elsewhere."""
    market, index = parameter(call.request, "market_ticker"), seconds(call.request, "exchange_index", "CancelOrder")
    account = call.subaccount(call.number)
    return cancelled_body(call.exchange.cancel_order(account, order_id, market or None, index))


def cancel_orders(call: Call) -> Body:
    items = decode_items(decode_object(call.request), CANCEL_STRUCT, CANCEL)
    _charge_batch(call, len(items), CANCEL_COST)

    def cancel(item: Mapping[str, object]) -> Body:
        account = call.subaccount(whole(item, "subaccount"))
        order_id, market = str(item.get("order_id") or ""), str(item.get("market_ticker") or "") or None
        return cancelled_body(call.exchange.cancel_order(account, order_id, market, whole(item, "exchange_index")))

    return {"orders": [_each(cancel, item, "order_id", _NOT_CANCELLED) for item in items]}


def cancel_all(call: Call) -> None:
    """Every resting order on every shard: of one subaccount, or of all where none is named."""
    number = call.number
    accounts = list(call.account.family.values()) if number is None else [call.subaccount(number)]
    for account in accounts:
        call.exchange.cancel_all(account)


def amend_order(call: Call, order_id: str) -> Body:
    body = decode_object(call.request)
    check_types(body, "AmendOrderV2Request", AMEND)
    account = call.subaccount(call.number)
    return amended_body(call.exchange.amend_order(account, order_id, amendment(body)))


def decrease_order(call: Call, order_id: str) -> Body:
    body = decode_object(call.request)
    check_types(body, "DecreaseOrderV2Request", DECREASE)
    account = call.subaccount(call.number)
    return decreased_body(call.exchange.decrease_order(account, order_id, decrease(body)))


def legacy_write(_call: Call, *_order_id: str) -> Body:
    """The first version's writes are gone for good."""
    link = "https://docs.kalshi.com/api-reference/orders/create-order-v2"
    raise Refused(410, "deprecated_v1_order_endpoint", "Please switch to the V2 endpoints", link)


# -------------------------------------------------------------------------------------------------- places in the queue


def queue_position(call: Call, order_id: str) -> Body:
    return {"queue_position_fp": count_text(call.exchange.queue_place(call.account, order_id).ahead)}


def queue_positions(call: Call) -> Body:
    """Of all resting orders, or of those in some markets or in one event."""
    tickers, event = set(csv(call.request, "market_tickers")), parameter(call.request, "event_ticker")
    markets = call.exchange.markets
    places = [
        queue_place_body(place)
        for place in call.exchange.queue_places(call.subaccount(call.number))
        if (not tickers or place.market in tickers) and event in {"", markets[place.market].event}
    ]
    return {"queue_positions": places}
