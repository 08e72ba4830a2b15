"""An order of another hand that is adopted: its fills are booked and counted once, whichever tells of them first."""

from __future__ import annotations

import random

import pytest
import trio
from account_world import A, World, account_world
from attrs import asdict

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.emulator.model import OrderStatus
from kalshi_daemon.facts import FillSeen, ForeignAdopted, HoldKind, HoldLifted, RunStarted
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide


async def adopt(world: World) -> None:
    """A person takes all that is not ours."""
    orders, markets = tuple(world.ledger.foreign_orders()), tuple(world.ledger.foreign_markets())
    await world.bus.settle(ForeignAdopted(world.clock.now_ms(), orders, markets, "a test"))
    await world.bus.settle(HoldLifted(world.clock.now_ms(), HoldKind.FOREIGN, "", "adopt"))


async def tell(world: World, place: int) -> None:
    """The stream's word of one fill, late or again."""
    told = asdict(world.account.fills[place], filter=lambda field, _value: field.name != "subaccount", recurse=False)
    await world.bus.settle(FillSeen(at_ms=world.clock.now_ms(), source="stream", **told))


async def read_orders(world: World) -> None:
    """The list of orders, which counts what it fills, without the list of fills."""
    await world.reader.fold((), await world.rest.orders(status="resting"), (), world.clock.exchange_now_ms())


def replayed(world: World) -> bytes:
    ledger = Ledger()
    for _seq, fact in world.journal.verify_and_read():
        ledger.apply(fact)
    return ledger.snapshot()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("read_first", [False, True])
async def test_a_fill_that_an_adopted_order_had_counted_is_booked_once(autojump_clock, read_first, restarts):
    """The list of orders said so before it was adopted; then the stream and the list of fills tell it, in either order,
    in this run or in the next.
    """
    async with account_world() as world:
        placed = world.elsewhere(A, BookSide.BID, 40, 9)
        await trio.sleep(2)
        world.crowd(A, BookSide.ASK, 40, 4)
        await trio.sleep(2)
        await read_orders(world)
        assert world.ledger.fills_booked == 0
        await adopt(world)
        record = world.record(f"foreign:{placed.order_id}")
        assert (record.filled, record.owed, record.untold) == (4 * CONTRACT, 5 * CONTRACT, 4 * CONTRACT)
        if restarts:
            await world.bus.settle(RunStarted(world.clock.now_ms(), "run2", "test"))
        for step in (0, 1) if read_first else (1, 0):
            if step:
                await tell(world, 0)
            else:
                await world.reader.read_orders_and_fills()
        record = world.record(f"foreign:{placed.order_id}")
        assert (record.filled, record.owed, record.untold) == (4 * CONTRACT, 5 * CONTRACT, 0)
        assert (world.ledger.position(A), world.ledger.fills_booked) == (4 * CONTRACT, 1)
        world.crowd(A, BookSide.ASK, 40, 5)
        await tell(world, 1)
        assert world.state(f"foreign:{placed.order_id}") == "filled"
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        assert world.exact
        assert replayed(world) == world.ledger.snapshot()


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_adopted_at_any_moment_ends_as_the_exchange_has_it(autojump_clock, seed):
    """Orders of another hand fill, are shown, adopted and told of at random, and processes begin: every count, the
    cash and what is reserved are the exchange's in the end.
    """
    draw = random.Random(seed)
    async with account_world(lag_ms=draw.choice([0, 700])) as world:
        for turn in range(60):
            resting = [each for each in world.account.orders.values() if each.status is OrderStatus.RESTING]
            step = draw.randrange(7)
            if step == 0 or not resting:
                world.elsewhere(A, BookSide.BID, draw.randrange(30, 40), draw.randrange(3, 9))
            elif step == 1:
                best = max(each.price for each in resting)
                world.crowd(A, BookSide.ASK, best // PRICE_CENT, draw.randrange(1, 3))
            elif step == 2:
                await read_orders(world)
            elif step == 3:
                await adopt(world)
            elif step == 4 and world.account.fills:
                await tell(world, draw.randrange(len(world.account.fills)))
            elif step == 5:
                await world.reader.read_orders_and_fills()
            elif draw.random() < 0.3:
                await world.bus.settle(RunStarted(world.clock.now_ms(), f"run{turn + 2}", "test"))
            if draw.random() < 0.5:
                await trio.sleep(draw.random())
        await trio.sleep(10)
        await world.reader.read_orders_and_fills()
        await adopt(world)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        theirs = world.account.orders
        rests = {each: order.remaining for each, order in theirs.items() if order.status is OrderStatus.RESTING}
        assert {each.order_id: each.owed for each in world.ledger.open_orders()} == rests
        counted = {each.order_id: each.filled for each in world.ledger.orders.values() if each.ours}
        assert counted == {each: theirs[each].filled for each in counted}
        assert (world.exact, world.held()) == (True, [])
        assert replayed(world) == world.ledger.snapshot()
