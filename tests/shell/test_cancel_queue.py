"""Cancels in batches: what goes together, what each order's answer becomes, and what a lost or refused batch means."""

from __future__ import annotations

import json

import pytest
import trio
from account_world import ORDERS, A, B, C, account_world

from kalshi_daemon.core.rate_governor import Budget
from kalshi_daemon.facts import CancelAcknowledged, CancelLost, CancelMissing, CancelRefused, CancelSent
from kalshi_daemon.shell.sweeper import ALL
from kalshi_daemon.simulation.faulty_link import GARBLED, LOST, NEVER_ARRIVES, TOO_MANY, Fault, refused, response
from kalshi_daemon.units import BookSide


async def several(world):
    return [await world.order(market) for market in (A, B, C)]


async def cancel(world):
    assert world.sweeper.cancel(ALL, "a test") == 3
    await world.written()


def states(world, orders):
    return [world.state(order) for order in orders]


def edited(change):
    """A fault that changes the answer's list of orders."""

    def edit(answer):
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        return response("200 OK", json.dumps({"orders": change(body["orders"])}).encode())

    return Fault(edit=edit)


async def test_what_waits_goes_in_one_request_and_each_has_its_answer(autojump_clock):
    """Three orders on three markets, of two shards: one request, and a fact of each kind for every order."""
    async with account_world() as world:
        orders = await several(world)
        await cancel(world)
        assert world.link.asked("DELETE", ORDERS) == 1
        assert states(world, orders) == ["cancelled"] * 3
        assert [fact.client_order_id for fact in world.of(CancelSent)] == orders
        assert [fact.reduced_by for fact in world.of(CancelAcknowledged)] == [200] * 3


async def test_one_that_is_gone_among_others_is_missing_alone(autojump_clock):
    """404 inside a 200: that order is unknown until a read shows what became of it; the others are cancelled."""
    async with account_world() as world:
        orders = await several(world)
        world.exchange.cancel_order(world.account, world.record(orders[1]).order_id, B)
        await cancel(world)
        assert [fact.client_order_id for fact in world.of(CancelMissing)] == [orders[1]]
        assert states(world, orders) == ["cancelled", "unknown", "cancelled"]
        await world.reader.read_orders_and_fills()
        assert states(world, orders) == ["cancelled"] * 3


async def test_one_that_was_filled_meanwhile_is_missing_and_then_filled(autojump_clock):
    """404 does not prove a cancel: its fill is read and booked."""
    async with account_world() as world:
        orders = await several(world)
        world.crowd(B, BookSide.ASK, 40)
        await cancel(world)
        assert states(world, orders) == ["cancelled", "unknown", "cancelled"]
        await trio.sleep(1.5)
        await world.reader.read_orders_and_fills()
        assert states(world, orders) == ["cancelled", "filled", "cancelled"]
        assert world.ledger.position(B) == 200


@pytest.mark.parametrize("fault", [LOST, GARBLED, NEVER_ARRIVES], ids=["lost", "garbled", "never arrived"])
async def test_a_lost_answer_makes_each_of_them_unknown_and_a_read_settles_it(autojump_clock, fault):
    """Whether the batch arrived or not, every order ends as what it is at the exchange, and the sweep comes to it."""
    async with account_world() as world:
        orders = await several(world)
        world.fail("DELETE", ORDERS, fault, None)
        await cancel(world)
        assert states(world, orders) == ["unknown"] * 3
        assert [fact.client_order_id for fact in world.of(CancelLost)] == orders
        await world.reader.read_orders_and_fills()
        shown = {order.client_order_id: order.status.value for order in world.exchange.orders(world.account)}
        words = {"resting": "resting", "canceled": "cancelled"}
        assert states(world, orders) == [words[shown[order]] for order in orders]
        assert await world.sweeper.sweep(ALL, "a test")
        assert states(world, orders) == ["cancelled"] * 3


async def test_one_that_the_answer_leaves_out_is_unknown(autojump_clock):
    """The answer speaks of two of three: the third was not refused, and not cancelled as far as we know."""
    async with account_world() as world:
        orders = await several(world)
        world.fail("DELETE", ORDERS, edited(lambda items: items[:2]))
        await cancel(world)
        assert states(world, orders) == ["cancelled", "cancelled", "unknown"]
        assert world.of(CancelLost)[0].cause == "the answer to its batch does not name it"


async def test_a_code_that_nobody_knows_is_unknown_and_counted(autojump_clock):
    """One order's error with a new code: unknown, and its name is there for somebody to read."""

    def change(items):
        return [*items[:2], items[2] | {"error": {"code": "new_code", "message": "m"}}]

    async with account_world() as world:
        orders = await several(world)
        world.fail("DELETE", ORDERS, edited(change))
        await cancel(world)
        assert states(world, orders) == ["cancelled", "cancelled", "unknown"]
        assert world.rest.tally.unknown_codes == {"0 new_code": 1}


async def test_a_batch_refused_as_one_goes_again_in_halves(autojump_clock):
    """The largest batch is not documented: what is refused for its size is sent smaller, down to one by one."""
    async with account_world() as world:
        orders = await several(world)
        too_large = refused("400 Bad Request", b'{"error":{"code":"invalid_parameters","message":"orders"}}')
        world.fail("DELETE", f"{ORDERS}/batched", too_large)
        await cancel(world)
        assert states(world, orders) == ["cancelled"] * 3
        assert len(world.of(CancelRefused)) == 3
        assert world.writer.counts["cancel_batches_refused"] == 1
        assert world.link.asked("DELETE", f"{ORDERS}/batched") == 1
        assert world.link.asked("DELETE", ORDERS) == 4


async def test_too_many_requests_are_no_matter_of_the_size(autojump_clock):
    """429: nothing was done, each is refused and left to whoever wanted it; batches stay as large as they were."""
    async with account_world() as world:
        orders = await several(world)
        world.fail("DELETE", ORDERS, TOO_MANY, None)
        await cancel(world)
        assert states(world, orders) == ["resting"] * 3
        assert world.bucket.refusals == 1
        await cancel(world)
        assert states(world, orders) == ["cancelled"] * 3
        assert world.link.asked("DELETE", f"{ORDERS}/batched") == 2


async def test_a_long_queue_goes_as_its_tokens_come(autojump_clock):
    """A hundred tokens and a hundred a second: two hundred cancels go within four seconds, none of them refused."""
    async with account_world() as world:
        orders = await world.rest_many(200, C)
        world.rest.governor.bucket(Budget.WRITE).take(100, trio.current_time())
        began_s = trio.current_time()
        assert world.sweeper.cancel(ALL, "a test") == 200
        await world.written()
        assert 4.0 <= trio.current_time() - began_s < 4.5
        assert set(states(world, orders)) == {"cancelled"}
        assert world.link.asked("DELETE", ORDERS) <= 41  # a tenth of a second's worth at a time
        assert world.bucket.refusals == 0
