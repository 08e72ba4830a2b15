"""A long absence: what the exchange has moved into its archive meanwhile is read from there, and booked once."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from account_world import A, B, C, World, account_world, begin
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.facts import AccountDiffers, FillSeen, OrderVanished, SettlementSeen
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

DAY_S = 86_400
ARCHIVING = ServerSettings(
    archive_after_ms=7 * DAY_S * 1_000,
    limits=RateLimits(read_rate=10_000, read_capacity=10_000, balance_rate=1_000),
)


@asynccontextmanager
async def old_world(monkeypatch: pytest.MonkeyPatch, settings: ServerSettings = ARCHIVING):
    """The exchange acts when it is asked, and looks at the clock by itself once a day."""
    monkeypatch.setattr("kalshi_daemon.emulator.server.EMULATOR_TICK_S", float(DAY_S))
    async with account_world(settings=settings) as world:
        yield world


async def away(world: World, days: int) -> None:
    await trio.sleep(days * DAY_S)
    await begin(world, f"run{days}")


async def agree(world: World) -> None:
    assert await world.calibration.calibrate() == "agreed", world.calibration.detail
    await world.told()
    assert world.exact


def asked(world: World, part: str) -> list[str]:
    return [target for _method, target in world.link.requests if part in target]


async def test_an_account_weeks_later_is_booked_once_from_the_archive(autojump_clock, monkeypatch):
    """Fills of orders that rested, of orders that are over, and settlements of both outcomes, all behind the cutoff."""
    async with old_world(monkeypatch) as world:
        await world.position(A, 3)
        await world.position(B, -2, 60)
        first, second = await world.order(A, BookSide.BID, 30, 4), await world.order(C, BookSide.ASK, 70, 5)
        third = await world.order(B, BookSide.BID, 20, 1)
        await agree(world)
        await trio.sleep(60)
        world.crowd(A, BookSide.ASK, 30, 4)
        world.crowd(C, BookSide.BID, 70, 2)
        world.exchange.cancel_order(world.account, world.record(third).order_id, B)
        world.exchange.settle(A, "yes")
        world.exchange.settle(B, "no")
        await away(world, 21)
        assert await world.rest.settlements(min_ms=0) == []
        await agree(world)
        assert [world.state(order) for order in (first, second, third)] == ["filled", "cancelled", "cancelled"]
        assert [world.ledger.position(market) for market in (A, B, C)] == [0, 0, -2 * CONTRACT]
        paid = {fact.market: fact.revenue for fact in world.of(SettlementSeen)}
        assert paid == {A: 7 * DOLLAR, B: 2 * DOLLAR}
        assert world.of(OrderVanished) == world.of(AccountDiffers) == []
        facts = len(world.of(FillSeen))
        await agree(world)
        assert len(world.of(FillSeen)) == facts == 4


async def test_the_archive_is_asked_after_a_long_absence_only(autojump_clock, monkeypatch):
    """Not by an account that agreed within the day, and never again once it has agreed."""
    async with old_world(monkeypatch) as world:
        await world.position(A, 3)
        await agree(world)
        await trio.sleep(limits.ARCHIVE_DOUBT_MS / 1_000 - 3_600)
        await agree(world)
        assert asked(world, "/historical/") == []
        await away(world, 9)
        await agree(world)
        count = len(asked(world, "/historical/fills"))
        assert (count, len(asked(world, "/historical/cutoff"))) == (1, 1)
        await agree(world)
        assert len(asked(world, "/historical/fills")) == count


async def test_the_archive_is_read_to_its_last_page(autojump_clock, monkeypatch):
    """More fills than a page of the archive shows."""
    monkeypatch.setattr(limits, "READ_PAGE_SIZE", 2)
    async with old_world(monkeypatch) as world:
        await world.order(A, BookSide.BID, 40, 7)
        await agree(world)
        for _ in range(7):
            world.crowd(A, BookSide.ASK, 40, 1)
        await away(world, 21)
        await agree(world)
        assert world.ledger.position(A) == 7 * CONTRACT


async def test_what_has_not_arrived_in_the_archive_is_settled_by_the_list(autojump_clock, monkeypatch):
    """Away for days, and nothing is archived yet: the settlement is listed, and booked as it says."""
    async with old_world(monkeypatch, evolve(ARCHIVING, archive_after_ms=None)) as world:
        await world.position(A, 3)
        await agree(world)
        world.exchange.settle(A, "no")
        await away(world, 3)
        await agree(world)
        assert [(fact.market, fact.revenue) for fact in world.of(SettlementSeen)] == [(A, 0)]
        assert asked(world, "/historical/positions") == []


async def test_a_start_from_nothing_reads_nothing_of_the_past(autojump_clock):
    """However much was traded and settled before: it is part of what the account is opened with."""
    async with account_world(opened=False) as world:
        for number in range(20):
            world.crowd((A, B)[number % 2], BookSide.ASK, 40, 1)
            world.elsewhere((A, B)[number % 2], BookSide.BID, 40)
        world.exchange.settle(A, "yes")
        await trio.sleep(10 * limits.ORDERS_READ_BEFORE_MS / 1_000)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        asked_since = [
            int(target.rpartition("min_ts=")[2].partition("&")[0])
            for path in ("/portfolio/fills", "/portfolio/settlements")
            for target in asked(world, path)
        ]
        began_s = world.clock.now_ms() // 1_000 - limits.ORDERS_READ_BEFORE_MS // 1_000
        assert len(asked_since) == 2
        assert min(asked_since) > began_s - 10
        assert world.of(FillSeen) == world.of(SettlementSeen) == []
        assert (world.ledger.position(A), world.ledger.position(B)) == (0, 10 * CONTRACT)
        assert world.ledger.settled_total == sum(cash for _, cash in world.exchange.balance(world.account).cash)
