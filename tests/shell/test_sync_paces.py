"""How much the sync asks: settlements seldom, silence told once, and never round after round without end."""

from __future__ import annotations

import random
from math import inf

import pytest
import trio
from account_world import A, B, account_world
from daemon_world import QUIET, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.facts import AccountDiffers, HoldKind, HoldLifted
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE
from kalshi_daemon.units import DOLLAR, BookSide

BALANCE = "/portfolio/balance"  # of each audit
SETTLEMENTS = "/portfolio/settlements"


async def test_settlements_are_read_every_five_minutes(autojump_clock, nursery):
    """Ten quiet minutes: audits every 30 s, of which two read settlements."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        requests, settlements = len(world.link.requests), world.link.asked("GET", SETTLEMENTS)
        audits = world.link.asked("GET", BALANCE)
        await trio.sleep(600)
        assert world.link.asked("GET", BALANCE) - audits == pytest.approx(600 / limits.SYNC_BALANCE_S, abs=1)
        asked = world.link.asked("GET", SETTLEMENTS) - settlements
        assert asked == pytest.approx(600 / limits.SYNC_SETTLEMENTS_S, abs=1)
        looks, audited = 600 / limits.SYNC_ORDERS_S, 600 / limits.SYNC_BALANCE_S
        assert len(world.link.requests) - requests <= 3 * looks + 2 * audited + asked
        nursery.cancel_scope.cancel()


async def test_the_closing_of_a_market_asks_for_settlements(autojump_clock, nursery):
    """What it pays is booked by the next audit, which no difference has to ask for."""
    async with account_world(lag_ms=360) as world:
        await world.position(A, 3)
        nursery.start_soon(world.sync.run)
        await trio.sleep(limits.SYNC_BALANCE_S + 5)
        calibrations = world.sync.counts["calibrations"]
        await pay(world, "yes")
        world.sync.closed()
        await trio.sleep(limits.SYNC_BALANCE_S + 5)
        assert world.ledger.settlements_booked == 1
        assert world.exact
        settlements = world.link.asked("GET", SETTLEMENTS)
        await trio.sleep(limits.SYNC_AFTER_CLOSE_S)
        assert 1 <= world.link.asked("GET", SETTLEMENTS) - settlements <= 3
        assert world.sync.counts["calibrations"] == calibrations
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seconds_in", [5, 170, 235, 290])
async def test_a_settlement_between_two_reads_is_never_left_out(autojump_clock, nursery, seconds_in):
    """Told by nobody, and paid at any time since settlements were read: booked within an audit and its looks, exact."""
    async with account_world(lag_ms=1_000) as world:
        await world.position(A, 3)
        nursery.start_soon(world.sync.run)
        await trio.sleep(seconds_in)
        await pay(world, "no")
        await trio.sleep(limits.SYNC_BALANCE_S + 20)
        assert world.ledger.settlements_booked == 1
        await trio.sleep(limits.SYNC_BALANCE_S)
        await world.told()
        assert world.of(AccountDiffers) == []
        assert world.exact
        nursery.cancel_scope.cancel()


@pytest.fixture
def shorter(monkeypatch) -> None:
    """A silence is the same with a sixth of its times."""
    monkeypatch.setattr(limits, "SYNC_SILENCE_S", 20.0)
    monkeypatch.setattr(limits, "SYNC_ALARM_S", 50.0)


@pytest.mark.usefixtures("shorter")
async def test_a_silence_that_lasts_is_an_alarm_once(autojump_clock, nursery):
    """Once for each silence, however long it lasts; the time while `exchange` is held counts for nothing."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        for turn in (1, 2):
            world.fail("GET", "/", UNAVAILABLE)
            await trio.sleep(limits.SYNC_SILENCE_S + 5)
            now_ms = world.clock.now_ms()
            await world.bus.settle(hold(HoldKind.EXCHANGE, "a test", now_ms))
            await trio.sleep(60)
            assert world.alarms.count("sync") == turn - 1
            await world.bus.settle(HoldLifted(now_ms, HoldKind.EXCHANGE, "", "a test"))
            await trio.sleep(limits.SYNC_ALARM_S - limits.SYNC_SILENCE_S + 10)
            assert world.alarms.count("sync") == turn
            await trio.sleep(60)
            assert world.alarms.count("sync") == turn
            world.mend()
            await trio.sleep(60)
            assert world.held() == []
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("shorter")
async def test_the_pause_that_silence_brings_does_not_begin_it_anew(autojump_clock):
    """The whole daemon, its account not to be read: held first, and alarmed when it would be without a pause."""
    async with exchange_site(QUIET) as site:
        running = site.start({"KALSHI_POLICY": "hold", "KALSHI_MARKETS": A})
        await running.until("trading.normal")
        site.fail(("GET", "/portfolio/", UNAVAILABLE))
        began_s = trio.current_time()
        await running.until("paused", limits.SYNC_SILENCE_S + 30)
        assert running.held() == ["sync"]

        await trio.sleep(limits.SYNC_ALARM_S + 10 - (trio.current_time() - began_s))
        assert "sync" in [each.alarm for each in running.daemon.surface.reporter.status().last_alarms]
        site.mend()
        await running.until("trading.normal", 60)
        assert await running.stop() == 0
        assert running.parts.invariants.violated == []


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_meddles_with_the_account_the_rounds_stay_bounded(autojump_clock, nursery, seed):
    """Money, orders, fills and settlements at random times for five minutes, behind our back and of our own; afterwards
    within so many rounds as a divergence and the audits of five minutes take, all agrees or waits for a person.
    """
    rng = random.Random(seed)
    async with account_world(lag_ms=rng.choice([0, 360, 1_000]), excludes_collateral=bool(seed % 2)) as world:
        await world.position(A, 3)
        nursery.start_soon(world.sync.run)
        until_s, over_s = trio.current_time() + 300, trio.current_time() + rng.uniform(0, 300)
        while trio.current_time() < until_s:
            meddle(world, rng)
            await trio.sleep(rng.uniform(0.1, 20))
            if trio.current_time() > over_s:
                world.exchange.settle(A, rng.choice(["yes", "no"]))
                over_s = inf
        await trio.sleep(60)
        settled = world.calibration.rounds
        await trio.sleep(300)
        worst = limits.DIVERGENCES_MAX * (limits.CALIBRATION_ROUNDS_MAX + 1)
        assert world.calibration.rounds - settled <= 300 / limits.SYNC_BALANCE_S + worst
        assert world.ledger.account_agreed or world.calibration.stuck
        nursery.cancel_scope.cancel()


async def pay(world, result: str) -> None:
    """A is determined, and paid when its timer has run."""
    world.exchange.settle(A, result)
    with trio.fail_after(120):
        while not world.exchange.settlements(world.account):  # noqa: ASYNC110 - waiting is free here
            await trio.sleep(0.1)


def meddle(world, rng) -> None:
    match rng.randrange(6):
        case 0:
            world.exchange.deposit(world.account, rng.choice([-1, 1, 5]) * DOLLAR)
        case 1 | 2:
            world.propose(B, cents=rng.choice([39, 40]), count=rng.randint(1, 5))
        case 3 | 4:
            world.crowd(B, BookSide.ASK, 40, rng.randint(1, 3))
        case _:
            world.sweeper.cancel("all", "a test")
