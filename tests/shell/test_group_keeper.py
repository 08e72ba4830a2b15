"""Order groups against the exchange: made at first use, found again, triggered by what trades, reset by a person."""

from __future__ import annotations

import json

import pytest
import trio
from account_world import SPEC, A, B, C, account_world, begin, proposal
from attrs import evolve

from kalshi_daemon.errors import CommandRefused, Withheld
from kalshi_daemon.facts import HoldKind, OrderGroupMade, OrderGroupTold, OrderRefused, OrderWithheld
from kalshi_daemon.shell.order_groups import OrderGroups
from kalshi_daemon.simulation.faulty_link import GARBLED, LOST, TOO_MANY, UNAVAILABLE, refused
from kalshi_daemon.units import CONTRACT, BookSide, TimeInForce

GROUPS = "/portfolio/order_groups"
TAKES = TimeInForce.IMMEDIATE_OR_CANCEL
LIMIT = 75 * CONTRACT  # three times the 25 that one order may have


def groups(world):
    return list(world.exchange.groups.listed(world.account))


def members(world):
    """By client order id, the group that the exchange has the order in."""
    return {order.client_order_id: order.group_id for order in world.exchange.orders(world.account)}


async def trade_to_the_limit(world, orders=3):
    """Resting orders of 25 that are all taken within a second, and one of another market that rests on."""
    for cents in range(40, 40 - orders, -1):
        await world.order(A, BookSide.BID, cents, 25)
        world.crowd(A, BookSide.ASK, cents, 25)


async def restarted(world, order_count_max=25 * CONTRACT):
    """Another process on the same journal: what it knows of groups is the ledger's."""
    await begin(world, "run2")
    return OrderGroups(world.rest, world.ledger, world.clock, world.bus.settle, order_count_max)


async def test_a_group_is_made_at_first_use_and_carried_by_all_that_rests(autojump_clock):
    """Two orders at once on one shard share one; what takes is in none; its making is journaled."""
    async with account_world() as world:
        world.crowd(B, BookSide.ASK, 50)
        world.propose(A)
        world.propose(B)
        await world.written()
        (group,) = groups(world)
        assert (group.limit, group.exchange_index, group.subaccount) == (LIMIT, 0, 0)
        assert members(world) == {"kd-run1-1": group.group_id, "kd-run1-2": group.group_id}
        made = world.of(OrderGroupMade)
        assert [(fact.exchange_index, fact.group_id, fact.limit) for fact in made] == [(0, group.group_id, LIMIT)]
        world.bus.post(evolve(proposal(B, BookSide.BID, 50), post_only=False, time_in_force=TAKES))
        await world.written()
        assert members(world)["kd-run1-3"] == ""
        assert world.link.asked("POST", f"{GROUPS}/create") == 1
        assert world.link.asked("GET", GROUPS) == 0


async def test_it_is_found_again_by_the_next_run(autojump_clock):
    """One read, and no other group; a limit that has become another is given to the one that is there."""
    async with account_world() as world:
        await world.order()
        (group,) = groups(world)
        keeper = await restarted(world)
        assert [await keeper.of(SPEC), await keeper.of(SPEC)] == [group.group_id] * 2
        assert world.link.asked("GET", GROUPS) == 1
        assert world.link.asked("PUT", GROUPS) == 0
        keeper = await restarted(world, 10 * CONTRACT)
        assert await keeper.of(SPEC) == group.group_id
        assert group.limit == 30 * CONTRACT
        assert world.ledger.order_group(0).limit == 30 * CONTRACT
        assert len(groups(world)) == 1


async def test_one_that_was_deleted_is_made_anew(autojump_clock):
    """By somebody else between two runs; and within one, seen by the order that the exchange refuses."""
    async with account_world() as world:
        await world.order()
        world.exchange.groups.delete(groups(world)[0])
        keeper = await restarted(world)
        second = await keeper.of(SPEC)
        assert [group.group_id for group in groups(world)] == [second]
        assert [fact.event for fact in world.of(OrderGroupTold)] == ["deleted"]
        world.exchange.groups.delete(groups(world)[0])
        keeper.refused(OrderRefused(0, "kd-run2-1", 400, "invalid_price", ""))
        assert await keeper.of(SPEC) == second
        keeper.refused(OrderRefused(0, "kd-run2-1", 400, "invalid_order", "order group not found"))
        third = await keeper.of(SPEC)
        assert [group.group_id for group in groups(world)] == [third]


async def test_what_trades_to_the_limit_stops_the_group_and_holds(autojump_clock):
    """75 contracts within 15 s: the exchange cancels what rests, our own fills say why, and nothing rests again until a
    person resets it.
    """
    async with account_world(dollars=5_000) as world:
        resting = await world.order(B)
        await trade_to_the_limit(world)
        assert groups(world)[0].triggered
        await trio.sleep(1.5)
        await world.reader.read_orders_and_fills()
        await world.told()
        assert world.held() == ["guard"]
        assert world.state(resting) == "cancelled"
        assert world.ledger.holds[0].cleared_by == "`group-reset REASON`"
        assert await world.sweeper.sweep(world.ledger.sweep_scope, "the hold")
        world.propose(C)
        await world.written()
        assert world.gates.refused == {"P1": 1}
        assert await world.groups.reset() == 1
        assert not groups(world)[0].triggered
        assert world.ledger.triggered_groups == []


async def test_a_trigger_that_is_told_holds_before_any_read(autojump_clock):
    """By the stream: the hold is there at once, what rests is swept, and its orders end as what they are."""
    async with account_world() as world:
        order = await world.order()
        (group,) = groups(world)
        world.exchange.groups.trigger(group)
        now_ms = world.clock.exchange_now_ms()
        await world.bus.settle(OrderGroupTold(world.clock.now_ms(), "stream", group.group_id, "triggered", now_ms))
        assert world.held() == ["guard"]
        assert world.state(order) == "resting"  # nothing has said what became of it
        assert await world.sweeper.sweep(world.ledger.sweep_scope, "the hold")
        assert world.state(order) == "cancelled"


@pytest.mark.parametrize("fault", [LOST, GARBLED, UNAVAILABLE, TOO_MANY], ids=["lost", "garbled", "503", "429"])
async def test_an_order_without_a_group_is_withheld(autojump_clock, fault):
    """Nothing of it is sent; the next one has a group, another one where it is not known whether one was made."""
    async with account_world() as world:
        world.fail("POST", GROUPS, fault, None)
        first = await world.order()
        assert world.state(first) == "denied"
        assert "no order group for shard 0" in world.of(OrderWithheld)[0].detail
        second = await world.order(B)
        assert world.state(second) == "resting"
        assert len(groups(world)) == (1 if fault is TOO_MANY else 2)
        assert members(world) == {second: world.ledger.order_group(0).group_id}


async def test_a_list_that_cannot_be_read_withholds_too(autojump_clock):
    """A known group is not used before the exchange has shown it."""
    async with account_world() as world:
        await world.order()
        keeper = await restarted(world)
        world.fail("GET", GROUPS, refused("400 Bad Request", json.dumps({"code": "x", "message": "y"}).encode()))
        with pytest.raises(Withheld, match="no order group"):
            await keeper.of(SPEC)
        world.mend()
        assert await keeper.of(SPEC) == groups(world)[0].group_id


async def test_without_tokens_there_is_no_group_in_time(autojump_clock):
    """Then the order is withheld, as one without tokens of its own is."""
    async with account_world() as world:
        world.bucket.resize(100, 1, trio.current_time())
        world.bucket.take(100, trio.current_time())
        order = await world.order()
        assert world.state(order) == "denied"
        assert [fact.code for fact in world.of(OrderWithheld)] == ["P23"]
        assert groups(world) == []


async def test_a_reset_that_fails_is_said_and_lifts_nothing(autojump_clock):
    """The exchange does not answer: the group stays triggered as far as we know, and a person says it again."""
    async with account_world() as world:
        await world.order()
        (group,) = groups(world)
        world.exchange.groups.trigger(group)
        await world.bus.settle(OrderGroupTold(world.clock.now_ms(), "stream", group.group_id, "triggered", 1))
        world.fail("PUT", GROUPS, LOST, None)
        with pytest.raises(CommandRefused, match="say it again"):
            await world.groups.reset()
        assert world.ledger.triggered_groups
        assert world.ledger.find_hold(HoldKind.GUARD)
        assert await world.groups.reset() == 1
        assert world.ledger.triggered_groups == []
