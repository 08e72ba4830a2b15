"""The sweep: what has to go is cancelled, and gone only by two lists that can prove it."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, A, B, C, account_world

from kalshi_daemon import limits
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.facts import HoldKind, SweepUnverified, SweepVerified
from kalshi_daemon.shell.sweeper import ALL, INCREASING
from kalshi_daemon.simulation.faulty_link import LOST, NEVER_ARRIVES, UNAVAILABLE, Fault, replaced
from kalshi_daemon.units import BookSide

LISTS = "/portfolio/orders"


def resting(world):
    return [order.client_order_id for order in world.exchange.orders(world.account) if order.status.value == "resting"]


async def test_what_rests_is_cancelled_and_proved_gone_by_two_lists(autojump_clock):
    """Three orders on three markets: cancelled, two complete lists after it, and the fact that says so."""
    async with account_world() as world:
        orders = [await world.order(market) for market in (A, B, C)]
        lists = world.link.asked("GET", f"{LISTS}?subaccount=0&status=resting")
        assert await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert [world.state(order) for order in orders] == ["cancelled"] * 3
        assert resting(world) == []
        assert world.link.asked("GET", f"{LISTS}?subaccount=0&status=resting") - lists == limits.SWEEP_PROOFS
        assert [fact.scope for fact in world.of(SweepVerified)] == [ALL]


async def test_nothing_to_do_is_proved_too(autojump_clock):
    """An account without orders of ours: no cancel, two lists, verified. An order that is not ours stays."""
    async with account_world() as world:
        world.elsewhere(A, BookSide.BID, 20)
        assert await world.sweeper.sweep(ALL, "a test")
        assert world.link.asked("DELETE", ORDERS) == 0
        assert len(resting(world)) == 1


async def test_a_sweep_of_increases_leaves_a_reduction_on_its_way(autojump_clock):
    """With scope `increasing` only what increases has to go."""
    async with account_world() as world:
        await world.position(A, 3)
        world.crowd(A, BookSide.BID, 38)
        order = await world.order(B)
        world.fail("POST", ORDERS, Fault(before_s=2.0))
        world.reduce(A, cents=38)
        await trio.sleep(0.1)
        assert [record.client_order_id for record in world.sweeper.left(INCREASING)] == [order]
        assert len(world.sweeper.left(ALL)) == 2
        assert await world.sweeper.sweep(INCREASING, "a test")
        assert world.state(order) == "cancelled"


@pytest.mark.parametrize("lag_ms", [0, 360, 1_000])
async def test_a_lost_cancel_is_settled_by_evidence(autojump_clock, lag_ms):
    """The cancel took effect and its answer is gone; stale lists that still show the order do not revive it."""
    async with account_world(lag_ms=lag_ms) as world:
        order = await world.order()
        await trio.sleep(2)
        await world.reader.read_orders_and_fills()
        world.fail("DELETE", ORDERS, LOST, None)
        assert await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert world.path(order)[-3:] == ["cancel_pending", "unknown", "cancelled"]
        assert resting(world) == []


async def test_a_cancel_that_never_arrived_is_sent_again(autojump_clock):
    """Lost on its way: a read as of later than it still shows the order, so it is cancelled again."""
    async with account_world() as world:
        order = await world.order()
        world.fail("DELETE", ORDERS, NEVER_ARRIVES, None)
        assert await world.sweeper.sweep(ALL, "a test")
        assert world.state(order) == "cancelled"
        assert world.link.asked("DELETE", ORDERS) == 2


@pytest.mark.parametrize("lag_ms", [360, 1_000])
async def test_stale_lists_prove_nothing_and_revive_nothing(autojump_clock, lag_ms):
    """Lists as of earlier than the last answer still show the cancelled order; the proof waits until they do not."""
    async with account_world(lag_ms=lag_ms) as world:
        order = await world.order()
        await trio.sleep(2)
        began_s = trio.current_time()
        assert await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert trio.current_time() - began_s >= lag_ms / 1000
        assert world.path(order) == ["intended", "submitted", "resting", "cancel_pending", "cancelled"]
        assert world.held() == []


async def test_an_order_accepted_meanwhile_is_cancelled_too(autojump_clock):
    """A request on the wire when the sweep begins: its order is met by the second round of cancels."""
    async with account_world() as world:
        world.fail("POST", ORDERS, Fault(before_s=1.0))
        world.propose()
        await trio.sleep(0.1)
        await world.place_hold(HoldKind.DRAWDOWN)
        assert await world.sweeper.sweep(ALL, "a test")
        assert world.state("kd-run1-1") == "cancelled"
        assert resting(world) == []


async def test_a_list_read_while_a_request_is_on_the_wire_proves_nothing(autojump_clock):
    """A write that hangs keeps the sweep from its proof, though every list is empty: unverified, and named."""
    async with account_world() as world:
        world.fail("POST", ORDERS, Fault(before_s=60.0))
        world.propose()
        await trio.sleep(0.1)
        assert not await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert world.of(SweepVerified) == []
        assert [fact.orders for fact in world.of(SweepUnverified)] == [("kd-run1-1",)]


async def test_a_cancel_that_is_still_on_the_wire_keeps_the_proof_away(autojump_clock):
    """Its order is seen gone, so nothing is left; and yet a request is under way while the lists are read."""
    async with account_world() as world:
        order = await world.order()
        world.fail("DELETE", ORDERS, Fault(before_s=4.8))
        world.sweeper.cancel(ALL, "a test")
        await trio.sleep(0.1)
        world.exchange.cancel_order(world.account, world.record(order).order_id, A)
        assert not await world.sweeper.sweep(ALL, "a test")
        assert world.state(order) == "cancelled"
        assert world.sweeper.left(ALL) == []
        assert await world.sweeper.sweep(ALL, "a test")


async def test_an_unknown_order_is_named_within_the_sweeps_time(autojump_clock):
    """Nothing proves it gone within 4.5 s: unverified, the order named, and said before the state's own 5 s are
    over.
    """
    async with account_world() as world:
        world.fail("POST", ORDERS, NEVER_ARRIVES)
        order = await world.order()
        world.mend()
        began_s = trio.current_time()
        assert not await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert trio.current_time() - began_s < limits.CHART_LIMITS["sweep_limit"]
        assert [fact.orders for fact in world.of(SweepUnverified)] == [(order,)]
        assert world.state(order) == "unknown"
        await trio.sleep(61)
        assert await world.sweeper.sweep(ALL, "a test")


async def test_reads_that_fail_are_tried_again_until_the_time_is_over(autojump_clock):
    """A list that is not to be had proves nothing and ends nothing; when REST is back in time, it is verified."""
    async with account_world() as world:
        await world.order()
        world.fail("GET", LISTS, UNAVAILABLE)

        async def mend_later():
            await trio.sleep(8)
            world.mend()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(mend_later)
            assert await world.sweeper.sweep(ALL, "a test", trio.current_time() + limits.DRAIN_WORK_S)
        world.fail("GET", LISTS, UNAVAILABLE)
        await world.order(B)
        assert not await world.sweeper.sweep(ALL, "a test")
        assert "503" in world.sweeper.detail


async def test_an_exchange_that_refuses_our_access_ends_the_sweep_at_once(autojump_clock):
    """401 for the lists: asking again brings the same; unverified, with the answer as the reason."""
    async with account_world() as world:
        order = await world.order()
        refusal = replaced("401 Unauthorized", b'{"error":{"code":"authentication_error","details":"NOT_FOUND"}}')
        world.fail("GET", "", refusal)
        began_s = trio.current_time()
        assert not await world.sweeper.sweep(ALL, "a test")
        await world.told()
        assert trio.current_time() - began_s < 1
        assert "authentication_error" in world.sweeper.detail
        assert [fact.scope for fact in world.of(SweepUnverified)] == [ALL]
        assert world.state(order) == "cancelled"  # the cancel itself was answered


async def test_a_sweep_of_many_orders_takes_its_tokens_and_its_time(autojump_clock):
    """Four orders on each market, the most that P6 allows: swept within the state's 5 s, each cancelled once."""
    async with account_world(dollars=5_000) as world:
        for market in (A, B, C):
            for cents in (30, 31, 32, 33):
                await world.order(market, BookSide.BID, cents)
        began_s = trio.current_time()
        assert await world.sweeper.sweep(ALL, "a test")
        assert trio.current_time() - began_s < limits.SWEEP_WORK_S
        assert world.writer.counts["cancel_cancelaccepted"] == 12
        assert world.link.asked("DELETE", ORDERS) == world.writer.counts["cancel_batches"] == 1


async def test_two_thousand_orders_are_swept_as_fast_as_their_tokens_come(autojump_clock):
    """4,000 tokens, of which 2,000 are there and 1,000 come a second: each order is cancelled once, in time."""
    async with account_world(settings=ServerSettings(limits=RateLimits.of_tier("premier"))) as world:
        world.rest.governor.take_limits(await world.rest.account_limits(), trio.current_time())
        orders = await world.rest_many(2_000)
        assert len(resting(world)) == 2_000
        began_s = trio.current_time()
        assert await world.sweeper.sweep(ALL, "a test")
        assert 2.0 <= trio.current_time() - began_s < limits.SWEEP_WORK_S
        assert resting(world) == []
        assert {world.state(order) for order in orders} == {"cancelled"}
        assert world.writer.counts["cancel_cancelaccepted"] == 2_000
        assert world.link.asked("DELETE", ORDERS) <= 40  # batches of a hundred, and those that had to wait for tokens
        assert world.bucket.refusals == 0
