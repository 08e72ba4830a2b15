"""Order groups over REST (api.md 4.4). Each function answers one endpoint; what it does is the exchange's."""

from __future__ import annotations

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.order_bodies import group_body
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.emulator.requests import (
    GROUP,
    check_types,
    decode_object,
    group_limit,
    seconds,
    whole,
)


def list_groups(call: Call) -> Body:
    """A member's groups, of every subaccount unless one is named; without any the list itself is absent."""
    number = call.number
    groups = [group for group in call.exchange.groups.listed(call.account) if number in {None, group.subaccount}]
    return {"order_groups": [group_body(group) for group in groups]} if groups else {}


def create_group(call: Call) -> Body:
    body = decode_object(call.request)
    check_types(body, "CreateOrderGroupRequest", GROUP)
    account = call.subaccount(whole(body, "subaccount"))
    index = max(0, whole(body, "exchange_index") or 0)  # -1 asks for routing, and there is no ticker to route by
    group = call.exchange.groups.create(account, group_limit(body), index)
    return {
        "exchange_index": group.exchange_index,
        "order_group_id": group.group_id,
        "subaccount": group.subaccount,
    }


def one_group(call: Call, group_id: str) -> Body:
    group = call.exchange.groups.find(call.account, group_id)
    if call.number not in {None, group.subaccount}:
        raise refusals.not_found()
    return {name: value for name, value in group_body(group).items() if name != "id"} | {"orders": list(group.orders)}


def _own(call: Call, group_id: str) -> OrderGroup:
    """The group that a change is for: of the subaccount and shard asked for, both 0 by default."""
    index = seconds(call.request, "exchange_index", "OrderGroup") or 0
    return call.exchange.groups.own(call.subaccount(call.number), group_id, index)


def reset_group(call: Call, group_id: str) -> Body:
    call.exchange.groups.reset(_own(call, group_id))
    return {}


def trigger_group(call: Call, group_id: str) -> Body:
    call.exchange.groups.trigger(_own(call, group_id))
    return {}


def limit_group(call: Call, group_id: str) -> Body:
    body = decode_object(call.request)
    check_types(body, "UpdateOrderGroupLimitRequest", GROUP)
    call.exchange.groups.set_limit(_own(call, group_id), group_limit(body))
    return {}


def delete_group(call: Call, group_id: str) -> Body:
    call.exchange.groups.delete(_own(call, group_id))
    return {}
