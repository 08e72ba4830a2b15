"""What the exchange cancels by itself, reason by reason: the order is over, nothing stays reserved, nothing is held,
and it is counted. And what is over before it rests: our own order in the way, a crossing post-only, a fill-or-kill.
"""

from __future__ import annotations

from enum import StrEnum

import pytest
from account_world import A, B, account_world, proposal
from attrs import evolve
from daemon_world import LIVELY, RESTING, Running, Site, exchange_site

from kalshi_daemon.core.order_inputs import CANCELS, EXPIRED
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.model import UpdateReason
from kalshi_daemon.facts import AccountFact, Alarmed, OrderIntended, OrderSeen
from kalshi_daemon.units import PRICE_CENT, BookSide, TimeInForce

REASONS = sorted({*CANCELS, EXPIRED} - {"", "Trade"})
TAKES = {"time_in_force": TimeInForce.IMMEDIATE_OR_CANCEL, "post_only": False}


class Unheard(StrEnum):
    LUNAR = "LunarCancel"


@pytest.mark.parametrize("source", ["stream", "read"])
@pytest.mark.parametrize("reason", REASONS)
async def test_each_reason_ends_the_order_and_frees_its_reserve(autojump_clock, reason, source):
    """The order as the exchange shows it, gone for each reason: told with the reason, or read without it."""
    async with account_world() as world:
        order = await world.order()
        assert world.ledger.reserved_total > 0
        resting = await world.rest.order(world.record(order).order_id)
        gone = evolve(resting, source=source, status="canceled", remaining=0, updated_ms=resting.updated_ms + 1)
        await world.bus.settle(evolve(gone, reason=reason if source == "stream" else ""))
        await world.told()
        assert world.state(order) == ("expired" if (reason, source) == (EXPIRED, "stream") else "cancelled")
        assert world.ledger.reserved_total == 0
        assert list(world.ledger.open_orders()) == []
        assert world.held() == []
        assert [fact.status for fact in world.of(OrderSeen)] == ["canceled"]


def test_all_eight_reasons_are_asked():
    """As many as the exchange documents."""
    assert len(REASONS) == 8


# ----------------------------------------------------------------------------------- told by the real streams and reads


async def lose_one(site: Site, running: Running, reason: StrEnum) -> str:
    """The exchange cancels one of ours that rests; its state once we know."""
    ledger = running.ledger

    def known() -> list[str]:
        return [each for each in site.resting() if each in ledger.orders and ledger.orders[each].rests]

    await running.until(lambda: bool(known()), 600.0)
    name = known()[0]
    (order,) = (each for each in site.account.orders.values() if each.client_order_id == name)
    site.exchange._execution.cancel(order, reason)
    await running.until(lambda: ledger.orders[name].final)
    assert ledger.orders[name].owed == ledger.orders[name].reserve == 0
    return ledger.orders[name].state


def counted(running: Running) -> dict[str, int]:
    return running.daemon.surface.reporter.status().activity.labelled["cancelled_by_exchange"]


async def test_every_reason_is_told_by_the_stream_and_counted(autojump_clock):
    """One order after another goes while it trades; nothing is held, and one reason that nobody knows is alarmed."""
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        facts: list[AccountFact] = []
        running.parts.bus.listen(lambda news: facts.append(news.fact))

        def alarms() -> list[str]:
            return [fact.alarm for fact in facts if isinstance(fact, Alarmed)]

        await running.until("trading.normal")
        for reason in REASONS:
            state = await lose_one(site, running, UpdateReason(reason))
            assert state == ("expired" if reason == EXPIRED else "cancelled")
        assert counted(running) == dict.fromkeys(REASONS, 1)
        assert alarms() == []
        assert await lose_one(site, running, Unheard.LUNAR) == "cancelled"
        assert counted(running) == {**dict.fromkeys(REASONS, 1), "unknown": 1}
        await running.until(lambda: alarms() == ["unread_reason"])
        assert running.held() == []
        assert running.in_state("trading.normal")
        assert await running.stop() == 0
        assert sum(counted(running).values()) == len(REASONS) + 1  # what we cancel ourselves is none of them


async def test_every_reason_is_read_and_counted_as_untold(autojump_clock):
    """The private stream loses what it has to say of orders: the next read shows that they are gone, and not why."""
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        await running.until("trading.normal")
        site.world.server.faults.add(parse_fault("gap:user_order"))
        for reason in REASONS:
            assert await lose_one(site, running, UpdateReason(reason)) == "cancelled"
        assert counted(running) == {"untold": len(REASONS)}
        assert running.held() == []
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


# ------------------------------------------------------------------------------------------- over before they rest


async def test_our_taker_meets_our_own_resting_order(autojump_clock):
    """The exchange stops the one that takes, unfilled: 201 with nothing filled and nothing left. The other rests on."""
    async with account_world() as world:
        resting = await world.order(A, BookSide.BID, 40, 2)
        reserved, number = world.ledger.reserved_total, world.ledger.next_number
        world.bus.post(evolve(proposal(A, BookSide.ASK, 40, 1), **TAKES))
        await world.written()
        taker = world.ledger.client_order_id(number)
        assert (world.state(resting), world.path(taker)) == ("resting", ["intended", "submitted", "cancelled"])
        assert world.ledger.reserved_total == reserved
        assert world.exchange.best(A, BookSide.BID) == 40 * PRICE_CENT
        await world.reader.read_orders_and_fills()
        assert (world.state(resting), world.held()) == ("resting", [])


@pytest.mark.parametrize(("placed", "end"), [(False, "rejected"), (True, "cancelled")], ids=["400", "201"])
async def test_a_post_only_order_that_crosses(autojump_clock, placed, end):
    """Refused, or placed and cancelled at once; the exchange has been seen to do either."""
    async with account_world() as world:
        world.exchange._venue.settings = evolve(world.exchange.settings, places_crossing_post_only=placed)
        world.crowd(A, BookSide.ASK, 40)
        order = await world.order(A, BookSide.BID, 40, 2)
        assert world.path(order) == ["intended", "submitted", end]
        assert world.ledger.reserved_total == 0
        await world.reader.read_orders_and_fills()
        assert (world.state(order), world.held(), world.ledger.open_orders()) == (end, [], [])


@pytest.mark.parametrize(("placed", "end"), [(False, "rejected"), (True, "cancelled")], ids=["409", "201"])
async def test_a_fill_or_kill_that_cannot_be_filled(autojump_clock, placed, end):
    """No gate of ours lets one pass, so it is written past them: too few rest for it, and nothing is filled."""
    async with account_world() as world:
        world.exchange._venue.settings = evolve(world.exchange.settings, places_unfillable_fok=placed)
        world.writer._ask = lambda _order: None
        world.crowd(A, BookSide.ASK, 40, 1)
        await world.order(B, BookSide.BID, 40, 2)
        reserved, number = world.ledger.reserved_total, world.ledger.next_number
        order = world.ledger.client_order_id(number)
        (model,) = world.of(OrderIntended)
        terms = {"time_in_force": TimeInForce.FILL_OR_KILL, "post_only": False, "expires_s": None}
        spec = evolve(model.spec, market=A, **terms)
        intended = evolve(model, number=number, client_order_id=order, spec=spec)
        await world.bus.settle(intended)
        await world.written()
        assert world.path(order) == ["intended", "submitted", end]
        assert (world.ledger.reserved_total, world.ledger.position(A), world.held()) == (reserved, 0, [])
