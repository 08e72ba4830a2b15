"""Order groups: what counts, what triggers them, and what that does to their orders."""

from __future__ import annotations

import pytest
from small_exchange import ASK, BID, IOC, TICKER, World, listing

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.events import OrderGroupUpdated
from kalshi_daemon.emulator.model import ExchangeSettings, OrderStatus
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.emulator.refusals import Refused


def grouped(limit: int = 500) -> tuple[World, Account, OrderGroup]:
    """A member with a group and a seller's 10 contracts at 50 cents."""
    world = listing()
    world.place(world.member("s"), ASK, 5_000, 1_000)
    member = world.member("m")
    return world, member, world.exchange.groups.create(member, limit, 0)


def steps(world: World) -> list[str]:
    return [event.event_type for event in world.said(OrderGroupUpdated)]


def take(world: World, member: Account, group: OrderGroup, count: int) -> None:
    world.place(member, BID, 5_000, count, IOC, order_group_id=group.group_id)


def test_reaching_the_limit_cancels_and_blocks() -> None:
    """Fills of members add up; at the limit what rests is cancelled, and new orders are refused until a reset."""
    world, member, group = grouped()
    resting = world.place(member, BID, 100, 100, order_group_id=group.group_id).order_id
    outside = world.place(member, BID, 100, 100).order_id
    take(world, member, group, 300)
    assert (group.triggered, list(group.orders)) == (False, [resting])
    take(world, member, group, 200)
    assert (group.triggered, list(group.orders)) == (True, [])
    assert world.exchange.order(member, resting).status is OrderStatus.CANCELED
    assert world.exchange.order(member, outside).status is OrderStatus.RESTING
    with pytest.raises(Refused, match="order group has been triggered"):
        take(world, member, group, 100)
    world.exchange.groups.reset(group)
    take(world, member, group, 100)
    assert steps(world) == ["created", "triggered", "reset"]
    assert {event.account_id for event in world.said(OrderGroupUpdated)} == {member.user_id}


def test_the_order_that_reaches_the_limit_is_matched_and_its_rest_goes() -> None:
    """It trades all that it meets, more than the limit here, and what would rest of it is cancelled."""
    world, member, group = grouped()
    placed = world.place(member, BID, 5_000, 1_500, order_group_id=group.group_id)
    assert (placed.filled, placed.remaining, group.triggered) == (1_000, 0, True)
    assert world.exchange.book(TICKER).yes == ()


def test_a_resting_member_that_is_filled_counts() -> None:
    """A maker's fills trigger too, and take the group's other orders along."""
    world, member, group = grouped(200)
    world.place(member, BID, 4_000, 200, order_group_id=group.group_id)
    other = world.place(member, BID, 3_900, 100, order_group_id=group.group_id).order_id
    world.place(world.member("b"), ASK, 4_000, 200, IOC)
    assert group.triggered
    assert world.exchange.order(member, other).status is OrderStatus.CANCELED


def test_only_fifteen_seconds_count() -> None:
    """What was matched fifteen seconds ago is forgotten; a millisecond less is not."""
    for wait_ms, triggered in ((14_999, True), (15_000, False)):
        world, member, group = grouped()
        take(world, member, group, 300)
        world.pass_time(wait_ms)
        take(world, member, group, 200)
        assert group.triggered is triggered


def test_a_lower_limit_may_trigger_at_once() -> None:
    """A limit that is reached already triggers; one that is not does nothing but tell."""
    world, member, group = grouped()
    take(world, member, group, 300)
    world.exchange.groups.set_limit(group, 400)
    world.exchange.groups.set_limit(group, 300)
    assert steps(world) == ["created", "limit_updated", "limit_updated", "triggered"]
    assert [event.contracts_limit for event in world.said(OrderGroupUpdated)] == [500, 400, 300, None]


def test_triggering_and_deleting_by_hand() -> None:
    """A trigger cancels and blocks; a deletion cancels, and the group is nowhere any more."""
    world, member, group = grouped()
    first = world.place(member, BID, 100, 100, order_group_id=group.group_id).order_id
    world.exchange.groups.trigger(group)
    assert world.exchange.order(member, first).status is OrderStatus.CANCELED
    world.exchange.groups.reset(group)
    second = world.place(member, BID, 100, 100, order_group_id=group.group_id).order_id
    world.exchange.groups.delete(group)
    assert world.exchange.order(member, second).status is OrderStatus.CANCELED
    assert world.exchange.groups.listed(member) == []
    with pytest.raises(Refused, match="order group not found"):
        take(world, member, group, 100)
    assert steps(world) == ["created", "triggered", "reset", "deleted"]


def test_a_group_is_of_one_member_one_subaccount_and_one_shard() -> None:
    """Orders of others, of another subaccount and of a market on another shard are refused."""
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    world.list_market()
    world.list_market("TEST-ONE-B", exchange_index=2)
    member, other = world.member("m"), world.member("o")
    second = world.exchange.open_subaccount(member, 1)
    for account, index in ((second, 0), (member, 2)):
        world.exchange.deposit(account, 100_000_000, index)
    group = world.exchange.groups.create(member, 500, 0)
    for account, market in ((other, TICKER), (second, TICKER), (member, "TEST-ONE-B")):
        with pytest.raises(Refused, match="order group"):
            world.place(account, BID, 100, 100, market=market, order_group_id=group.group_id)
    with pytest.raises(Refused, match="not_found"):
        world.exchange.groups.find(other, group.group_id)
    for account, index in ((second, 0), (member, 2)):
        with pytest.raises(Refused, match="not_found"):
            world.exchange.groups.own(account, group.group_id, index)
    with pytest.raises(Refused, match="no shard 7"):
        world.exchange.groups.create(member, 500, 7)
