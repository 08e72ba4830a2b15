"""Amends against the emulated exchange: asked twice, sent once, and never believed before there is evidence."""

from __future__ import annotations

import math

import pytest
import trio
from account_world import A, B, account_world, begin
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder, ProposeAmend
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.risk import Levels
from kalshi_daemon.facts import (
    AmendAcknowledged,
    AmendIntended,
    AmendLost,
    AmendMissing,
    AmendRefused,
    AmendSent,
    AmendWithheld,
    HoldKind,
)
from kalshi_daemon.simulation.faulty_link import GARBLED, HANGS, LOST, NEVER_ARRIVES, TOO_MANY, Fault
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide

AMEND, DECREASE = "/amend", "/decrease"


def amend(world, order, cents=41, count=2):
    """Somebody wants the order at another price, or for another count."""
    world.bus.post(ProposeAmend(order, cents * PRICE_CENT, count * CONTRACT, "policy", 2, "", ""))


async def amended(world, order, cents=41, count=2):
    amend(world, order, cents, count)
    await world.written()


def cancel_of(world, order):
    record = world.record(order)
    return CancelOrder(order, record.order_id, record.spec.market, record.spec.exchange_index, "a test")


def there(world, order):
    """How the order stands at the exchange: status, price in cents, contracts in all, contracts filled."""
    (found,) = [each for each in world.exchange.orders(world.account) if each.client_order_id == order]
    filled = found.filled // CONTRACT
    return found.status.value, found.price // PRICE_CENT, filled + found.remaining // CONTRACT, filled


async def test_an_amend_is_intended_sent_and_acknowledged(autojump_clock):
    """The way of one amend, in durable facts; the order keeps its ids and has a new price, count and expiry."""
    async with account_world() as world:
        order = await world.order()
        before = world.record(order)
        await trio.sleep(3)
        await amended(world, order, 42, 3)
        assert world.kinds()[-3:] == ["AmendIntended", "AmendSent", "AmendAcknowledged"]
        assert world.path(order)[-2:] == ["amend_pending", "resting"]
        after = world.record(order)
        assert (after.order_id, after.amend) == (before.order_id, None)
        expires_s = before.spec.expires_s + 3
        assert after.spec == evolve(before.spec, price=4_200, count=300, expires_s=expires_s)
        assert there(world, order) == ("resting", 42, 3, 0)
        assert world.ledger.reserved_total == after.worst > before.worst
        assert world.writer.counts["amend_accepted"] == 1
        assert world.link.asked("POST", AMEND) == 1
        await world.reader.read_orders_and_fills()
        assert world.record(order) == after


async def test_giving_up_contracts_is_a_decrease_that_no_gate_stops(autojump_clock):
    """Under a hold, without feeds and with the breaker open it goes, and costs no place in the rate of orders."""
    async with account_world() as world:
        order = await world.order(count=5)
        reserved = world.ledger.reserved_total
        for _ in range(3):
            world.breaker.failed(trio.current_time(), "a test")
        await world.place_hold(HoldKind.OPERATOR)
        world.levels = Levels("paused.holding", feeds_usable=False, breaker_allows=False)
        await amended(world, order, 40, 2)
        assert world.link.asked("POST", DECREASE) == 1
        assert world.link.asked("POST", AMEND) == 0
        assert there(world, order) == ("resting", 40, 2, 0)
        assert world.record(order).spec.count == 2 * CONTRACT
        assert world.ledger.reserved_total == -(-reserved * 2 // 5)
        assert world.ledger.increase_before(1) == world.record(order).intended_ms


@pytest.mark.parametrize(("cents", "count", "code"), [(98, 26, "P4"), (41, 0, "amend"), (0, 2, "P12"), (90, 25, "P5")])
async def test_an_amend_that_does_not_pass_changes_nothing(autojump_clock, cents, count, code):
    """Refused with a code, before anything is journaled or sent; an order that does not rest is not amended."""
    async with account_world() as world:
        order = await world.order()
        await amended(world, order, cents, count)
        assert world.gates.last_refusal[2].code == code
        assert world.of(AmendIntended) == []
        assert world.state(order) == "resting"
        world.writer.accept(cancel_of(world, order))
        await world.written()
        await amended(world, order)
        assert world.gates.last_refusal[2].figure == "cancelled"
        await amended(world, "kd-nobody-1")
        assert world.gates.last_refusal[2].figure == "kd-nobody-1"


async def test_one_amend_at_a_time(autojump_clock):
    """A second proposal meets the first on its way and is refused; after the answer it passes."""
    async with account_world() as world:
        order = await world.order()
        world.fail("POST", AMEND, Fault(after_s=1.0))
        amend(world, order, 41)
        amend(world, order, 42)
        await world.written()
        assert len(world.of(AmendIntended)) == 1
        assert world.gates.last_refusal[2].control == "no amend is pending"
        await amended(world, order, 42)
        assert there(world, order) == ("resting", 42, 2, 0)


@pytest.mark.parametrize("when", ["hold", "cancel", "tokens", "unreachable"])
async def test_what_has_not_left_is_withheld(autojump_clock, when):
    """A hold, a cancel under way, no tokens and no exchange: nothing is sent, and the order stands as it stood."""
    async with account_world() as world:
        order = await world.order()
        reserved = world.ledger.reserved_total
        world.bucket.resize(100, 0.1 if when == "tokens" else 20.0, trio.current_time())
        assert world.bucket.take(world.bucket.tokens(trio.current_time()), trio.current_time())
        if when == "unreachable":
            world.network.withdraw("exchange", 80)
            world.network.cut()
        amend(world, order)
        await world.bus.drain()
        assert world.ledger.reserved_total > reserved
        if when == "hold":
            await world.place_hold(HoldKind.OPERATOR)
        if when == "cancel":
            world.writer.accept(cancel_of(world, order))
        await world.written()
        codes = {"hold": "P1", "cancel": "amend", "tokens": "P16", "unreachable": "unreachable"}
        assert [fact.code for fact in world.of(AmendWithheld)] == [codes[when]]
        assert world.of(AmendSent) == []
        assert world.link.asked("POST", AMEND) == 0
        assert world.state(order) == ("cancelled" if when == "cancel" else "resting")
        assert world.record(order).amend is None
        assert world.ledger.reserved_total == (0 if when == "cancel" else reserved)


async def test_a_refused_amend_leaves_the_order_and_its_reservation(autojump_clock):
    """It would cross, and is post-only: 400, the old terms stand; too many requests say the same."""
    async with account_world() as world:
        world.crowd(A, BookSide.ASK, 44)
        order = await world.order()
        reserved = world.ledger.reserved_total
        await amended(world, order, 45)
        assert [fact.code for fact in world.of(AmendRefused)] == ["invalid_order"]
        world.fail("POST", AMEND, TOO_MANY)
        await amended(world, order, 41)
        assert [fact.status for fact in world.of(AmendRefused)] == [400, 429]
        assert there(world, order) == ("resting", 40, 2, 0)
        assert (world.state(order), world.ledger.reserved_total) == ("resting", reserved)
        world.mend()
        await trio.sleep(20)  # the bucket was emptied
        world.writer.accept(cancel_of(world, order))
        await world.written()
        assert (world.state(order), world.ledger.reserved_total) == ("cancelled", 0)


@pytest.mark.parametrize("fault", [LOST, GARBLED, HANGS], ids=["lost", "garbled", "hangs"])
async def test_a_lost_answer_is_settled_by_a_read_that_shows_the_new_order(autojump_clock, fault):
    """It took effect: unknown, its market blocked and the dearer reserved, until the next read; never sent again."""
    async with account_world() as world:
        order = await world.order(count=5)
        await amended(world, order, 38, 4)
        dearer = world.ledger.reserved_total
        world.fail("POST", AMEND, fault)
        await amended(world, order, 36, 3)
        world.mend()
        assert len(world.of(AmendLost)) == 1
        assert (world.state(order), world.ledger.reserved_total) == ("unknown", dearer)
        await world.order(A, cents=30)
        assert world.gates.last_refusal[2].code == "P3"
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "resting"
        assert (world.record(order).spec.price, world.record(order).spec.count) == (3_600, 300)
        assert world.ledger.reserved_total < dearer
        assert world.link.asked("POST", AMEND) == 2
        assert world.exact


async def test_an_amend_that_never_arrived_is_told_when_it_can_arrive_no_more(autojump_clock):
    """A read of the old order proves nothing before 60 s are over; then the old order stands, and may be amended."""
    async with account_world(lag_ms=1_000) as world:
        order = await world.order()
        reserved = world.ledger.reserved_total
        world.fail("POST", AMEND, NEVER_ARRIVES)
        await amended(world, order, 45)
        asked_s = trio.current_time()
        world.mend()
        dearer = world.ledger.reserved_total
        while world.state(order) == "unknown":
            assert world.ledger.reserved_total == dearer > reserved
            await trio.sleep(0.5)
            await world.reader.read_orders_and_fills()
        assert limits.REQUEST_LIFE_MS / 1000 <= trio.current_time() - asked_s <= 63
        assert (world.state(order), world.record(order).spec.price) == ("resting", 4_000)
        assert world.ledger.reserved_total == reserved
        await amended(world, order, 45)
        assert there(world, order) == ("resting", 45, 2, 0)


@pytest.mark.parametrize("filled", [1, 3])
async def test_an_amend_raced_by_a_fill(autojump_clock, filled):
    """Some of it fills while the amend is on its way: the count is of all that it may fill, so nothing is doubled."""
    async with account_world() as world:
        order = await world.order(count=3)
        world.fail("POST", AMEND, Fault(before_s=0.5))
        amend(world, order, 38, 3)
        await trio.sleep(0.2)
        assert world.state(order) == "amend_pending"
        world.crowd(A, BookSide.ASK, 40, filled)
        await world.tell_fills()
        await world.written()
        assert len(world.of(AmendAcknowledged)) == (filled < 3)
        assert len(world.of(AmendMissing)) == (filled == 3)
        assert world.state(order) == ("filled" if filled == 3 else "partially_filled")
        assert there(world, order)[2:] == (3, filled)
        assert world.record(order).owed == (3 - filled) * CONTRACT
        assert world.exact
        if filled < 3:
            world.writer.accept(cancel_of(world, order))
            await world.written()
        assert world.ledger.reserved_total == 0
        assert world.ledger.position(A) == filled * CONTRACT


async def test_a_fill_that_is_told_after_the_amend_completes_it(autojump_clock):
    """Two fill before the decrease to two arrives, and we hear of them after its answer: filled, nothing reserved."""
    async with account_world() as world:
        order = await world.order(count=3)
        world.fail("POST", DECREASE, Fault(before_s=0.5))
        amend(world, order, 40, 2)
        await trio.sleep(0.2)
        world.crowd(A, BookSide.ASK, 40, 2)
        await world.written()
        assert world.state(order) == "partially_filled"
        await world.tell_fills()
        assert (world.state(order), world.ledger.reserved_total) == ("filled", 0)
        assert world.exact


async def test_an_order_that_was_filled_meanwhile_is_not_there_to_be_amended(autojump_clock):
    """404 with the fills untold: unknown, and the fills end it."""
    async with account_world() as world:
        order = await world.order()
        world.crowd(A, BookSide.ASK, 40, 2)
        await amended(world, order)
        assert len(world.of(AmendMissing)) == 1
        assert world.state(order) == "unknown"
        await world.tell_fills()
        assert (world.state(order), world.ledger.reserved_total) == ("filled", 0)
        assert world.exact


async def test_a_cancel_goes_beside_an_amend_and_ends_the_order(autojump_clock):
    """The amend hangs on its way, the cancel does not wait for it: cancelled, and the late 404 changes nothing."""
    async with account_world() as world:
        order = await world.order()
        world.fail("POST", AMEND, Fault(before_s=1.0))
        amend(world, order)
        await trio.sleep(0.2)
        assert world.state(order) == "amend_pending"
        world.writer.accept(cancel_of(world, order))
        await world.written()
        assert world.path(order)[-3:] == ["amend_pending", "cancel_pending", "cancelled"]
        assert len(world.of(AmendMissing)) == 1
        assert world.ledger.reserved_total == 0
        assert world.held() == []


async def test_a_sweep_takes_an_order_that_is_being_amended(autojump_clock):
    """It waits for the writer, and nothing of ours can rest when it is verified."""
    async with account_world() as world:
        order = await world.order()
        world.fail("POST", AMEND, Fault(before_s=0.3, after_s=0.3))
        amend(world, order)
        await trio.sleep(0.1)
        assert await world.sweeper.sweep("all", "a test")
        assert world.state(order) == "cancelled"
        assert world.exchange.orders(world.account)[0].status.value == "canceled"


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "never arrived"])
async def test_a_restart_in_the_middle_of_an_amend(autojump_clock, arrived):
    """The answer is gone with the process: unknown, the dearer reserved, until a read shows which of them stands."""
    async with account_world() as world:
        order = await world.order()
        reserved = world.ledger.reserved_total
        world.fail("POST", AMEND, HANGS if arrived else Fault(before_s=math.inf))
        amend(world, order, 45)
        await trio.sleep(0.2)
        told = [fact for _seq, fact in world.journal.verify_and_read()]
        assert type(told[-1]) is AmendSent
        again = Ledger()
        for fact in told:
            again.apply(fact)
        assert again.snapshot() == world.ledger.snapshot()
        await begin(world, "run2")
        assert world.state(order) == "unknown"
        dearer = world.ledger.reserved_total
        assert dearer > reserved
        world.mend()
        began_s = trio.current_time()
        while world.state(order) == "unknown":
            await trio.sleep(0.5)
            await world.reader.read_orders_and_fills()
        waited_s = trio.current_time() - began_s
        assert waited_s < 1 if arrived else 60 <= waited_s <= 62
        assert there(world, order) == ("resting", 45 if arrived else 40, 2, 0)
        assert world.record(order).spec.price == (4_500 if arrived else 4_000)
        assert world.ledger.reserved_total == (dearer if arrived else reserved)


async def test_amends_count_for_the_rate_of_orders(autojump_clock):
    """Each is an intent of P16 like an order; the tokens of its own endpoint are paid before it leaves."""
    async with account_world() as world:
        order = await world.order(B)
        tokens = world.bucket.tokens(trio.current_time())
        await amended(world, order, 41)
        assert world.bucket.tokens(trio.current_time()) <= tokens - 9
        world.gates._limits = evolve(world.gates._limits, orders_per_s_max=5, orders_per_min_max=3)
        await amended(world, order, 42)
        await amended(world, order, 43)
        assert world.gates.last_refusal[2].code == "P16"
        assert world.pokes == ["rate_spent"]
        assert there(world, order) == ("resting", 42, 2, 0)
