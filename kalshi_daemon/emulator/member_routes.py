"""The member's half of REST: limits, orders and the portfolio. Every call is signed, and `call.account` is who signed
it.

Each function answers one endpoint (api.md 4.1, 4.3 and 4.5): it takes the call and returns a body, or raises Refused.
Writes go to the exchange at once; reads come from the lagging views of `reads.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    balance_body,
    cancelled_body,
    event_position_body,
    fill_body,
    order_body,
    placed_body,
    position_body,
    settlement_body,
    time_text,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.model import OrderStatus, PositionRecord, Refused
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.requests import (
    CANCEL,
    CREATE,
    check_emulated,
    check_types,
    csv,
    decode_items,
    decode_object,
    new_order,
    page_size,
    parameter,
    seconds,
)
from kalshi_daemon.limits import BATCH_SECONDS
from kalshi_daemon.units import SECOND_MS, Milliseconds

CREATE_COST: Final = 10
CANCEL_COST: Final = 2
AUTO_ROUTE: Final = -1
CREATE_STRUCT: Final = "CreateOrderV2Request"
CANCEL_STRUCT: Final = "BatchCancelOrderV2Request"
Item = TypeVar("Item")


def account_limits(call: Call) -> Body:
    limits = call.settings.limits
    return {
        "grants": [],
        "read": {"bucket_capacity": limits.read_capacity, "refill_rate": limits.read_rate},
        "usage_tier": limits.usage_tier,
        "write": {"bucket_capacity": limits.write_capacity, "refill_rate": limits.write_rate},
    }


def user_data_timestamp(call: Call) -> Body:
    return {"as_of_time": time_text(call.reads.as_of_ms)}


# -------------------------------------------------------------------------------------------------------- writes


def create_order(call: Call) -> Body:
    body = decode_object(call.request)
    check_types(body, CREATE_STRUCT, CREATE)
    return placed_body(call.exchange.create_order(call.account, new_order(body)))


def create_orders(call: Call) -> Body:
    """A batch: each item has its own answer or its own error, inside one 201."""
    items = decode_items(decode_object(call.request), CREATE_STRUCT, CREATE)
    _charge_batch(call, len(items), CREATE_COST)

    def create(item: Mapping[str, object]) -> Body:
        return placed_body(call.exchange.create_order(call.account, new_order(item)))

    return {"orders": [_each(create, item, "client_order_id", _NOT_PLACED) for item in items]}


_NOT_PLACED: Final[Body] = {
    "average_fee_paid": None,
    "average_fill_price": None,
    "fill_count": "0.00",
    "order_id": None,
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
    limits = call.settings.limits
    most = max(limits.write_capacity, limits.write_rate * BATCH_SECONDS) // cost
    if not 1 <= items <= most:
        raise refusals.invalid_parameters(f"orders: 1 to {most} of them")
    call.charge_write(items * cost)


def cancel_order(call: Call, order_id: str) -> Body:
    """One cancel. Without a ticker it looks on shard 0 only, and finds nothing elsewhere."""
    market, index = parameter(call.request, "market_ticker"), seconds(call.request, "exchange_index", "CancelOrder")
    check_emulated({"subaccount": seconds(call.request, "subaccount", "CancelOrder")})
    return cancelled_body(call.exchange.cancel_order(call.account, order_id, market or None, index))


def cancel_orders(call: Call) -> Body:
    items = decode_items(decode_object(call.request), CANCEL_STRUCT, CANCEL)
    _charge_batch(call, len(items), CANCEL_COST)

    def cancel(item: Mapping[str, object]) -> Body:
        check_emulated(item)
        market, index = item.get("market_ticker"), item.get("exchange_index")
        answer = call.exchange.cancel_order(
            call.account,
            str(item.get("order_id") or ""),
            str(market) if market else None,
            index if isinstance(index, int) else None,
        )
        return cancelled_body(answer)

    return {"orders": [_each(cancel, item, "order_id", _NOT_CANCELLED) for item in items]}


def cancel_all(call: Call) -> None:
    check_emulated({"subaccount": seconds(call.request, "subaccount", "CancelAllOrders")})
    call.exchange.cancel_all(call.account)


def legacy_write(_call: Call, *_order_id: str) -> Body:
    """The first version's writes are gone for good."""
    link = "https://docs.kalshi.com/api-reference/orders/create-order-v2"
    raise Refused(410, "deprecated_v1_order_endpoint", "Please switch to the V2 endpoints", link)


# -------------------------------------------------------------------------------------------------------- reads


def balance(call: Call) -> Body:
    return balance_body(call.reads.balance(call.account))


def one_order(call: Call, order_id: str) -> Body:
    order = call.reads.order(call.account, order_id)
    if order is None:
        raise refusals.not_found()
    return {"order": order_body(order)}


def list_orders(call: Call) -> Body:
    status = parameter(call.request, "status")
    if status and status not in set(OrderStatus):
        raise refusals.invalid_parameters(f"status: one of {', '.join(OrderStatus)}")
    in_market, in_time = _in_market(call), _in_time(call, "GetOrders")
    rows = [
        (place, order)
        for place, order in newest_first(call.reads.orders(call.account))
        if in_market(order.market) and in_time(order.created_ms) and status in {"", order.status}
    ]
    return _listed(call, "GetOrders", "orders", rows, order_body)


def list_fills(call: Call) -> Body:
    in_market, in_time = _in_market(call), _in_time(call, "GetFills")
    order_id = parameter(call.request, "order_id")
    rows = [
        (place, fill)
        for place, fill in newest_first(call.reads.fills(call.account))
        if in_market(fill.market) and in_time(fill.ts_ms) and order_id in {"", fill.order_id}
    ]
    return _listed(call, "GetFills", "fills", rows, fill_body)


def list_settlements(call: Call) -> Body:
    in_market, in_time = _in_market(call), _in_time(call, "GetSettlements")
    rows = [
        (place, settlement)
        for place, settlement in newest_first(call.reads.settlements(call.account))
        if in_market(settlement.market) and in_time(settlement.ts_ms)
    ]
    return _listed(call, "GetSettlements", "settlements", rows, settlement_body)


def list_positions(call: Call) -> Body:
    """Positions by market, and the same added up by event. Settled ones are shown only when asked for."""
    in_market = _in_market(call)
    kind = parameter(call.request, "settlement_status") or "unsettled"
    if kind not in {"unsettled", "settled", "all"}:
        raise refusals.invalid_parameters("settlement_status: unsettled, settled or all")
    wanted = [_COUNTS[name] for name in csv(call.request, "count_filter") if name in _COUNTS]
    rows = [
        (place, position)
        for place, position in enumerate(call.reads.positions(call.account))
        if in_market(position.market)
        and (kind == "all" or position.settled == (kind == "settled"))
        and (not wanted or any(count(position) for count in wanted))
    ]
    shown, cursor = page(rows, parameter(call.request, "cursor"), page_size(call.request, "GetPositions"))
    by_event: dict[str, list[PositionRecord]] = {}
    for position in shown:
        by_event.setdefault(position.event, []).append(position)
    return {
        "cursor": cursor,
        "event_positions": [event_position_body(event, positions) for event, positions in by_event.items()],
        "market_positions": [position_body(position) for position in shown],
    }


_COUNTS: Final[dict[str, Callable[[PositionRecord], int]]] = {
    "position": lambda position: position.count,
    "total_traded": lambda position: position.traded,
}


def _in_market(call: Call) -> Callable[[str], bool]:
    """Whether a market is one that the query asks for: by its ticker, its event and its shard."""
    tickers, events = set(csv(call.request, "ticker")), set(csv(call.request, "event_ticker"))
    index = seconds(call.request, "exchange_index", "Portfolio")
    markets = call.exchange.markets

    def wanted(ticker: str) -> bool:
        market = markets[ticker]
        return (
            (not tickers or ticker in tickers)
            and (not events or market.event in events)
            and index in {None, AUTO_ROUTE, market.exchange_index}
        )

    return wanted


def _in_time(call: Call, params: str) -> Callable[[Milliseconds], bool]:
    least, most = seconds(call.request, "min_ts", params), seconds(call.request, "max_ts", params)
    return lambda at_ms: (least is None or at_ms >= least * SECOND_MS) and (most is None or at_ms <= most * SECOND_MS)


def _listed(call: Call, params: str, name: str, rows: list[tuple[int, Item]], body: Callable[[Item], Body]) -> Body:
    items, cursor = page(rows, parameter(call.request, "cursor"), page_size(call.request, params))
    return {"cursor": cursor, name: [body(item) for item in items]}
