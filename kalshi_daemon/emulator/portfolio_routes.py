"""A member's orders, fills, positions and settlements over REST, the archived ones among them (api.md 4.3 and 4.5).

Each function answers one endpoint. What it shows comes from the lagging views of `reads.py`. Rules: what ended before
the cutoff (`archive_after_ms`) is shown by the historical endpoints, and by them alone; resting orders never are.
Lists are of all subaccounts unless one is named, positions of the primary one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    event_position_body,
    fill_body,
    position_body,
    settlement_body,
    time_text,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.model import Fill, Order, OrderStatus, PositionRecord, Settlement
from kalshi_daemon.emulator.order_bodies import order_body
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.requests import csv, page_size, parameter, seconds
from kalshi_daemon.units import SECOND_MS, Milliseconds

AUTO_ROUTE: Final = -1
TICKERS_MAX: Final = 100  # in one csv of a query
Item = TypeVar("Item")


def one_order(call: Call, order_id: str) -> Body:
    order = call.reads.order(call.account, order_id)
    if order is None or _is_archived(call, order):
        raise refusals.not_found()
    return {"order": order_body(order)}


def list_orders(call: Call, *, archived: bool = False) -> Body:
    status = parameter(call.request, "status")
    if status and status not in set(OrderStatus):
        raise refusals.invalid_parameters(f"status: one of {', '.join(OrderStatus)}")
    asked, in_time = _asked(call), _in_time(call, "GetOrders")
    rows = (
        (place, order)
        for place, order in newest_first(call.reads.orders(call.account))
        if status in {"", order.status}
        and in_time(order.created_ms)
        and asked(order)
        and _is_archived(call, order) is archived
    )
    return _listed(call, "GetOrders", "orders", rows, order_body)


def list_fills(call: Call, *, archived: bool = False) -> Body:
    asked, in_time = _asked(call), _in_time(call, "GetFills")
    order_id = parameter(call.request, "order_id")
    rows = (
        (place, fill)
        for place, fill in newest_first(call.reads.fills(call.account))
        if order_id in {"", fill.order_id}
        and in_time(fill.ts_ms)
        and asked(fill)
        and (fill.ts_ms < call.cutoff_ms) is archived
    )
    return _listed(call, "GetFills", "fills", rows, fill_body)


def list_settlements(call: Call) -> Body:
    """An archived one is not listed any more; its position is shown among the archived ones."""
    asked, in_time = _asked(call), _in_time(call, "GetSettlements")
    rows = (
        (place, settlement)
        for place, settlement in newest_first(call.reads.settlements(call.account))
        if settlement.ts_ms >= call.cutoff_ms and asked(settlement) and in_time(settlement.ts_ms)
    )
    return _listed(call, "GetSettlements", "settlements", rows, settlement_body)


def list_positions(call: Call, *, archived: bool = False) -> Body:
    """Positions by market, and the same added up by event. Settled ones are shown only when asked for."""
    in_market = _in_market(call)
    kind = "settled" if archived else parameter(call.request, "settlement_status") or "unsettled"
    if kind not in {"unsettled", "settled", "all"}:
        raise refusals.invalid_parameters("settlement_status: unsettled, settled or all")
    wanted = _count_filter(call)
    rows = [
        (place, position)
        for place, position in enumerate(call.reads.positions(call.account, call.number or 0))
        if (position.settled and position.updated_ms < call.cutoff_ms) is archived
        and in_market(position.market)
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


def historical_cutoff(call: Call) -> Body:
    """One moment for everything: what ended before it is in the archive."""
    names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts", "market_positions_last_updated_ts")
    return dict.fromkeys(names, time_text(call.cutoff_ms))


archived_orders = partial(list_orders, archived=True)
archived_fills = partial(list_fills, archived=True)
archived_positions = partial(list_positions, archived=True)


_COUNTS: Final[dict[str, Callable[[PositionRecord], int]]] = {
    "position": lambda position: position.count,
    "total_traded": lambda position: position.traded,
}


def _count_filter(call: Call) -> list[Callable[[PositionRecord], int]]:
    """The figures of which one must not be zero."""
    names = csv(call.request, "count_filter")
    if not _COUNTS.keys() >= set(names):
        raise refusals.invalid_parameters(f"count_filter: of {', '.join(_COUNTS)}")
    return [_COUNTS[name] for name in names]


def _is_archived(call: Call, order: Order) -> bool:
    return order.status is not OrderStatus.RESTING and order.updated_ms < call.cutoff_ms


def _asked(call: Call) -> Callable[[Order | Fill | Settlement], bool]:
    """Whether something is of a market and a subaccount that the query asks for."""
    in_market, number = _in_market(call), call.number
    return lambda one: number in {None, one.subaccount} and in_market(one.market)


def _in_market(call: Call) -> Callable[[str], bool]:
    """Whether a market is one that the query asks for: by its ticker, its event and its shard."""
    tickers, events = set(csv(call.request, "ticker")), set(csv(call.request, "event_ticker"))
    if max(len(tickers), len(events)) > TICKERS_MAX:
        raise refusals.invalid_parameters(f"ticker, event_ticker: at most {TICKERS_MAX}")
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


def _listed(call: Call, params: str, name: str, rows: Iterable[tuple[int, Item]], body: Callable[[Item], Body]) -> Body:
    items, cursor = page(rows, parameter(call.request, "cursor"), page_size(call.request, params))
    return {"cursor": cursor, name: [body(item) for item in items]}
