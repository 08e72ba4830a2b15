"""What answers about orders look like (api.md 4.3); the number formats and the rules are those of `bodies.py`."""

from __future__ import annotations

from kalshi_daemon.emulator.amendments import Amended, QueuePlace
from kalshi_daemon.emulator.bodies import (
    Body,
    balance_text,
    count_text,
    money_text,
    old_sides,
    price_text,
    sides,
    time_text,
)
from kalshi_daemon.emulator.model import Cancelled, Order, OrderStatus, Placed
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.units import PRICE_ONE, Money, Price


def placed_body(placed: Placed) -> Body:
    """The answer to a create: averages only where something was filled, the client's id only where there is one."""
    body = _averages(placed.average_price, placed.average_fee)
    if placed.client_order_id:
        body["client_order_id"] = placed.client_order_id
    body["fill_count"] = count_text(placed.filled)
    body["order_id"] = placed.order_id
    body["remaining_count"] = count_text(placed.remaining)
    body["ts_ms"] = placed.ts_ms
    return body


def _averages(price: Price | None, fee: Money | None) -> Body:
    if price is None or fee is None:
        return {}
    return {"average_fee_paid": balance_text(fee), "average_fill_price": price_text(price)}


def cancelled_body(cancelled: Cancelled) -> Body:
    body: Body = {"client_order_id": cancelled.client_order_id} if cancelled.client_order_id else {}
    return body | {
        "order_id": cancelled.order_id,
        "reduced_by": count_text(cancelled.reduced_by),
        "ts_ms": cancelled.ts_ms,
    }


def order_body(order: Order) -> Body:
    body: Body = {
        **old_sides(order.side),
        **sides(order.side),
        "client_order_id": order.client_order_id,
        "created_time": time_text(order.created_ms),
        "exchange_index": order.exchange_index,
        "fill_count_fp": count_text(order.filled),
        "initial_count_fp": count_text(order.initial),
        "last_update_time": time_text(order.updated_ms),
        "maker_fees_dollars": money_text(order.maker_fees),
        "maker_fill_cost_dollars": money_text(order.maker_cost),
        "no_price_dollars": price_text(PRICE_ONE - order.price),
        "order_id": order.order_id,
        "remaining_count_fp": count_text(order.remaining if order.status is OrderStatus.RESTING else 0),
        "self_trade_prevention_type": order.self_trade_prevention.value,
        "status": order.status.value,
        "subaccount_number": order.subaccount,
        "taker_fees_dollars": money_text(order.taker_fees),
        "taker_fill_cost_dollars": money_text(order.taker_cost),
        "ticker": order.market,
        "type": "limit",
        "user_id": order.user_id,
        "yes_price_dollars": price_text(order.price),
    }
    if order.expires_ms is not None:
        body["expiration_time"] = time_text(order.expires_ms)
    if order.group_id:
        body["order_group_id"] = order.group_id
    if order.cancel_on_pause:
        body["cancel_order_on_pause"] = True
    return body


def amended_body(amended: Amended) -> Body:
    """The answer to an amendment: counts only where it filled or moved the size, averages only with fills."""
    body = _averages(amended.average_price, amended.average_fee)
    if amended.client_order_id:
        body["client_order_id"] = amended.client_order_id
    if amended.moved:
        body |= {"fill_count": count_text(amended.filled), "remaining_count": count_text(amended.remaining)}
    return body | {"order_id": amended.order_id, "ts_ms": amended.ts_ms}


def decreased_body(decreased: Cancelled) -> Body:
    body: Body = {"client_order_id": decreased.client_order_id} if decreased.client_order_id else {}
    return body | {
        "order_id": decreased.order_id,
        "remaining_count": count_text(decreased.remaining),
        "ts_ms": decreased.ts_ms,
    }


def queue_place_body(place: QueuePlace) -> Body:
    return {
        "market_ticker": place.market,
        "order_id": place.order_id,
        "queue_position_fp": count_text(place.ahead),
    }


def group_body(group: OrderGroup) -> Body:
    """A group in a list. Automatic cancelling cannot be switched off (assumed)."""
    return {
        "contracts_limit_fp": count_text(group.limit),
        "exchange_index": group.exchange_index,
        "id": group.group_id,
        "is_auto_cancel_enabled": True,
    }
