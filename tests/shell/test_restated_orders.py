"""Another hand changes an order of ours: what rests, and what it reserves, is followed from what is seen of it."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import trio
from account_world import A, account_world
from attrs import evolve
from daemon_world import LIVELY, RESTING, exchange_site

from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.core.fees import dearest_fee
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.emulator.amendments import Amendment, Decrease
from kalshi_daemon.emulator.model import OrderStatus
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.facts import OrderSeen
from kalshi_daemon.units import CONTRACT, PRICE_CENT, SECOND_MS, BookSide

CHANGES = {
    "decreased": (40, 3, None),
    "fewer": (40, 3, None),
    "cheaper": (35, 5, None),
    "dearer": (45, 5, None),
    "more": (40, 9, None),
    "expires": (40, 5, 600),
    "expires no more": (40, 5, 0),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("excludes_collateral", [True, False])
async def test_an_order_that_another_hand_changes_is_followed(autojump_clock, name, excludes_collateral):
    """By the exchange's page, or another client with the key: terms and reserve are those of what rests; told once,
    and the account agrees. Its fill is booked, its cancel leaves nothing.
    """
    cents, count, lasts_s = CHANGES[name]
    async with account_world(excludes_collateral=excludes_collateral) as world:
        order = await world.order(A, BookSide.BID, 40, 5)
        order_id = world.record(order).order_id
        await world.reader.read_orders_and_fills()
        expires_s = world.record(order).spec.expires_s
        assert expires_s is not None
        if lasts_s is not None:
            expires_s = lasts_s and world.clock.exchange_now_ms() // SECOND_MS + lasts_s
        if name == "decreased":
            world.exchange.decrease_order(world.account, order_id, Decrease(to=count * CONTRACT, market=A))
        else:
            asked_s = None if lasts_s is None else expires_s
            terms = Amendment(A, BookSide.BID, cents * PRICE_CENT, count * CONTRACT, expires_s=asked_s)
            world.exchange.amend_order(world.account, order_id, terms)
        for _ in range(2):
            await world.reader.read_orders_and_fills()
        await world.told()
        record = world.record(order)
        assert (record.spec.price, record.spec.count) == (cents * PRICE_CENT, count * CONTRACT)
        assert record.spec.expires_s == (expires_s or None)
        cost, fee = (
            cents * PRICE_CENT * count * CONTRACT,
            dearest_fee(BookSide.BID, record.spec.price, record.spec.count),
        )
        assert cost <= world.ledger.reserved_total <= cost + fee
        assert world.alarms == ["order_restated"]
        assert world.ledger.counts["orders_restated"] == len(world.of(OrderSeen)) - 1 == 1
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        world.crowd(A, BookSide.ASK, cents, 1)
        await world.reader.read_orders_and_fills()
        world.writer.accept(CancelOrder(order, order_id, A, 0, "a test"))
        await world.written()
        assert (world.state(order), world.record(order).filled) == ("cancelled", CONTRACT)
        assert (world.ledger.reserved_total, world.held()) == (0, [])
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        assert world.exact


async def test_a_decreased_order_that_fills_owes_nothing(autojump_clock):
    """All that is left of it fills: it is filled, and not short of contracts that nobody can give."""
    async with account_world() as world:
        order = await world.order(A, BookSide.BID, 40, 5)
        world.exchange.decrease_order(world.account, world.record(order).order_id, Decrease(to=2 * CONTRACT, market=A))
        await world.reader.read_orders_and_fills()
        world.crowd(A, BookSide.ASK, 40, 2)
        await world.reader.read_orders_and_fills()
        await world.told()
        assert (world.state(order), world.ledger.reserved_total) == ("filled", 0)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        assert world.exact


async def test_an_order_seen_on_another_side_is_no_change_of_it(autojump_clock):
    """No amend can do that: it is kept as it was, and held."""
    async with account_world() as world:
        order = await world.order(A, BookSide.BID, 40, 5)
        before = world.record(order)
        seen = await world.rest.order(before.order_id)
        await world.bus.settle(evolve(seen, side=BookSide.ASK, updated_ms=seen.updated_ms + 1))
        await world.told()
        assert world.record(order) == before
        assert world.held() == ["divergence"]


@pytest.mark.parametrize("seed", range(4))
async def test_two_hands_on_the_same_orders_leave_one_account(autojump_clock, seed):
    """Somebody amends and decreases what we place and cancel, while it fills and reads lag: in the end what is counted,
    and what is reserved, is the exchange's, to the micro-dollar.
    """
    draw = random.Random(seed)
    async with account_world(lag_ms=draw.choice([0, 700])) as world:
        for _ in range(40):
            step = draw.randrange(6)
            resting = [each for each in world.account.orders.values() if each.status is OrderStatus.RESTING]
            order = draw.choice(resting) if resting else None
            if step == 0 or order is None:
                await world.order(A, BookSide.BID, draw.randrange(30, 40), draw.randrange(2, 9))
            elif step == 1 and order.remaining > CONTRACT:
                left = order.remaining - CONTRACT
                world.exchange.decrease_order(world.account, order.order_id, Decrease(to=left, market=A))
            elif step == 2:
                price, count = draw.randrange(30, 40) * PRICE_CENT, order.filled + draw.randrange(1, 9) * CONTRACT
                until_s = draw.choice([None, 0, world.clock.exchange_now_ms() // SECOND_MS + 900])
                terms = Amendment(A, BookSide.BID, price, count, expires_s=until_s)
                with suppress(Refused):  # where it would cross
                    world.exchange.amend_order(world.account, order.order_id, terms)
            elif step == 3:
                world.crowd(A, BookSide.ASK, order.price // PRICE_CENT, draw.randrange(1, 4))
            elif step == 4:
                world.writer.accept(CancelOrder(order.client_order_id, order.order_id, A, 0, "a test"))
                await world.written()
            await trio.sleep(draw.random() * 2)
            if draw.random() < 0.5:
                await world.reader.read_orders_and_fills()
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        rests = [each for each in world.account.orders.values() if each.status is OrderStatus.RESTING]
        kept = {each.order_id: (each.spec.price, each.owed, each.spec.expires_s) for each in world.ledger.live()}
        ends_s = {each.order_id: each.expires_ms and each.expires_ms // SECOND_MS for each in rests}
        assert kept == {each.order_id: (each.price, each.remaining, ends_s[each.order_id]) for each in rests}
        assert world.exact
        assert world.ledger.counts["orders_restated"] > 0


async def test_the_stream_tells_of_another_hand_at_once(autojump_clock):
    """While it trades: what the daemon counts is what rests, long before the next list of orders."""
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        await running.until("trading.normal")

        def known() -> list[OrderRecord]:
            orders = running.ledger.orders
            resting = [orders[each] for each in site.resting() if each in orders]
            return [each for each in resting if each.rests and not each.filled]

        await running.until(lambda: bool(known()), 600.0)
        before = known()[0]
        left = before.spec.count // 2
        decrease = Decrease(to=left, market=before.spec.market)
        site.exchange.decrease_order(site.account, before.order_id, decrease)
        await running.until(lambda: running.ledger.counts.get("orders_restated", 0) == 1, 2.0)
        after = running.ledger.orders[before.client_order_id]
        assert after.final or after.spec.count == left
        assert running.held() == []
        assert await running.stop() == 0
        assert running.audit.look()
