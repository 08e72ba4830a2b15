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
from kalshi_daemon.units import PRICE_ONE


def placed_body(placed: Placed) -> Body:
    """The answer to a create: averages only where something was filled, the client's id only where there is one."""
    return _averages(placed) | _named(placed) | _counts(placed)


def _named(answer: Placed | Cancelled) -> Body:
    """Which order an answer is about, and when it was given."""
    body: Body = {"client_order_id": answer.client_order_id} if answer.client_order_id else {}
    return body | {"order_id": answer.order_id, "ts_ms": answer.ts_ms}


def _averages(placed: Placed) -> Body:
    if placed.average_price is None or placed.average_fee is None:
        return {}
    return {
        "average_fee_paid": balance_text(placed.average_fee),
        "average_fill_price": price_text(placed.average_price),
    }


def _counts(placed: Placed) -> Body:
    return {"fill_count": count_text(placed.filled), "remaining_count": count_text(placed.remaining)}


def cancelled_body(cancelled: Cancelled) -> Body:
    return _named(cancelled) | {"reduced_by": count_text(cancelled.reduced_by)}


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
    return _averages(amended) | _named(amended) | (_counts(amended) if amended.moved else {})


def decreased_body(decreased: Cancelled) -> Body:
    return _named(decreased) | {"remaining_count": count_text(decreased.remaining)}


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
