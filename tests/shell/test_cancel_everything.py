"""The cancel of everything, for a kill: of our subaccount alone, settled by reads, and no new order for a minute."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, A, B, C, account_world, begin

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import CancelAllEnded, CancelAllSent, CancelRefused, CancelSent
from kalshi_daemon.shell.sweeper import ALL
from kalshi_daemon.simulation.faulty_link import LOST, NEVER_ARRIVES, TOO_MANY
from kalshi_daemon.units import DOLLAR, BookSide

EVERYTHING = f"/trade-api/v2{ORDERS}?subaccount=0"


async def kill(world):
    """What the trader does under the hold `kill`."""
    return await world.sweeper.sweep(ALL, "kill", everything=True)


def cancels(world):
    return [target for method, target in world.link.requests if method == "DELETE"]


def resting(world, subaccount=0):
    shown = [order for order in world.exchange.orders(world.account) if order.subaccount == subaccount]
    return [order for order in shown if order.status.value == "resting"]


async def test_one_request_takes_all_of_our_subaccount_and_nothing_else(autojump_clock):
    """Orders of ours and of somebody else on it are gone, verified; those of another subaccount rest."""
    async with account_world() as world:
        orders = [await world.order(market) for market in (A, B, C)]
        world.elsewhere(A, BookSide.BID, 20)
        other = world.exchange.open_subaccount(world.account, 1)
        world.exchange.deposit(other, 10 * DOLLAR)
        held, world.account = world.account, other
        world.elsewhere(A, BookSide.BID, 20)
        world.account = held
        assert await kill(world)
        await world.told()
        assert cancels(world) == [EVERYTHING]
        assert [world.path(order)[-3:] for order in orders] == [["cancel_pending", "unknown", "cancelled"]] * 3
        assert resting(world) == []
        assert len(resting(world, subaccount=1)) == 1
        assert [fact.client_order_id for fact in world.of(CancelSent)] == orders
        assert [(fact.answered, fact.cause) for fact in world.of(CancelAllEnded)] == [(True, "")]


async def test_no_order_passes_for_a_minute_after_it_also_after_a_restart(autojump_clock):
    """Neither an increase nor a reduction; another run on the same journal waits for the rest of it, and no longer."""
    async with account_world() as world:
        await world.position(A, 3)
        assert await kill(world)
        world.crowd(A, BookSide.BID, 38)
        world.propose(B)
        world.reduce(A, cents=38)
        await world.written()
        assert world.gates.refused == {"P1": 2}
        assert world.gates.last_refusal[2].control == "what cancelled everything is over"
        await begin(world, "run2")
        copy = Ledger()
        for fact in world.facts:
            copy.apply(fact)
        assert copy.orders_from_ms == world.ledger.orders_from_ms
        left_ms = world.ledger.orders_from_ms - world.clock.exchange_now_ms()
        assert 55_000 < left_ms <= 60_000
        await trio.sleep(left_ms / 1000 - 1)
        assert await world.calibration.calibrate() == "agreed"
        world.propose(B)
        await world.written()
        assert world.gates.refused == {"P1": 3}
        await trio.sleep(1)
        assert world.state(await world.order(B)) == "resting"


async def test_a_lost_answer_shuts_the_gates_as_long_as_it_may_arrive(autojump_clock):
    """Whether it was done a read says; a minute after the last moment at which it could be, orders pass again."""
    async with account_world() as world:
        order = await world.order()
        world.fail("DELETE", ORDERS, LOST, None)
        assert await kill(world)
        assert world.state(order) == "cancelled"
        assert cancels(world) == [EVERYTHING]
        assert [fact.answered for fact in world.of(CancelAllEnded)] == [False]
        (sent,) = world.of(CancelAllSent)
        assert world.ledger.orders_from_ms == sent.ts_ms + 120_000


@pytest.mark.parametrize("fault", [NEVER_ARRIVES, TOO_MANY], ids=["never arrived", "429"])
async def test_what_it_left_is_cancelled_by_its_id(autojump_clock, fault):
    """The orders still rest: the next round of the sweep takes them one by one, or in a batch."""
    async with account_world() as world:
        orders = [await world.order(market) for market in (A, B, C)]
        world.fail("DELETE", ORDERS, fault, None)
        assert await kill(world)
        assert [world.state(order) for order in orders] == ["cancelled"] * 3
        assert cancels(world)[0] == EVERYTHING
        assert f"/trade-api/v2{ORDERS}" not in cancels(world)  # never without the subaccount
        assert len(world.of(CancelRefused)) == (3 if fault is TOO_MANY else 0)


async def test_what_could_not_be_sent_shuts_nothing(autojump_clock):
    """Nobody listens: nothing was asked, every order stands as it stood, and the gates are as they were."""
    async with account_world() as world:
        order = await world.order()
        world.network.withdraw("exchange", 80)
        world.network.cut()
        assert not await kill(world)
        assert world.ledger.orders_from_ms == 0
        assert world.of(CancelAllSent) == []
        assert world.state(order) == "resting"


@pytest.mark.parametrize("lag_ms", [360, 1_000])
async def test_lists_that_lag_cost_no_cancels(autojump_clock, lag_ms):
    """Lists as of earlier than its answer still show every order: none is cancelled once more for that."""
    async with account_world(lag_ms=lag_ms) as world:
        orders = [await world.order(market) for market in (A, B, C)]
        await trio.sleep(2)
        await world.reader.read_orders_and_fills()
        assert await kill(world)
        assert cancels(world) == [EVERYTHING]
        assert [world.state(order) for order in orders] == ["cancelled"] * 3


async def test_it_goes_before_everything_that_waits(autojump_clock):
    """Cancels and orders that wait for tokens are behind it."""
    async with account_world() as world:
        await world.rest_many(60, C)
        world.bucket.take(100, trio.current_time())
        world.sweeper.cancel(ALL, "before")
        world.writer.cancel_everything([])
        await world.written()
        assert cancels(world)[0] == EVERYTHING
