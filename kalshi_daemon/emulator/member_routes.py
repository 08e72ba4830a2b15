"""The member's reads over REST: limits and the portfolio. Every call is signed; `call.account` is who signed it.

Each function answers one endpoint (api.md 4.1, 4.3 and 4.5): it takes the call and returns a body, or raises Refused.
What it shows comes from the lagging views of `reads.py`. What a member does with orders: order_routes.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    balance_body,
    event_position_body,
    fill_body,
    position_body,
    settlement_body,
    time_text,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.model import OrderStatus, PositionRecord
from kalshi_daemon.emulator.order_bodies import order_body
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.requests import (
    csv,
    page_size,
    parameter,
    seconds,
)
from kalshi_daemon.units import SECOND_MS, Milliseconds

AUTO_ROUTE: Final = -1
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
