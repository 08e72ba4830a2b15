"""Maintenance that the exchange has announced: held before it, nothing sent in it, and traded after it by itself."""

from __future__ import annotations

import pytest
import trio
from stages import until, until_trading

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import AccountDiffers, AccountFact, HoldKind, HoldLifted, OrderSent
from kalshi_daemon.limits import PAUSE_LEAD_MS
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import SECOND_MS

LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=1.0))
AHEAD_S, LASTS_S = 120, 120


@pytest.mark.parametrize("seed", [1, 2])
def test_announced_maintenance_is_held_for_and_outlived(seed: int) -> None:
    """The schedule read at the start tells of the window; what is durable tells what was done around it."""
    facts: list[tuple[float, AccountFact]] = []
    window: list[float] = []

    async def scenario(stage: Stage) -> None:
        stage.daemon.parts.bus.listen(lambda news: facts.append((trio.current_time(), news.fact)))
        exchange, ledger = stage.world.server.exchange, stage.daemon.parts.ledger
        begins_ms = exchange.now_ms + AHEAD_S * SECOND_MS
        exchange.announce_maintenance(begins_ms, begins_ms + LASTS_S * SECOND_MS)
        window.extend((trio.current_time() + AHEAD_S, trio.current_time() + AHEAD_S + LASTS_S))
        await until_trading(stage, 60)
        await until(stage, "paused.holding", AHEAD_S)
        assert exchange.hours.active
        held = ledger.find_hold(HoldKind.EXCHANGE)
        assert held is not None
        assert held.cause.startswith("the exchange pauses by its maintenance, from ")
        assert window[0] - trio.current_time() == pytest.approx(PAUSE_LEAD_MS / SECOND_MS, abs=2)
        await trio.sleep(LASTS_S)
        assert exchange.hours.maintenance
        assert stage.daemon.runner.is_in("paused")
        await until_trading(stage, 200)
        assert not exchange.hours.maintenance
        with trio.fail_after(600):
            booked = ledger.fills_booked
            while ledger.fills_booked == booked:  # noqa: ASYNC110 - the virtual clock makes waiting free
                await trio.sleep(0.1)

    run = run_virtually(seed, scenario, LIVELY)
    begins, ends = window
    sent = [at for at, fact in facts if isinstance(fact, OrderSent)]
    assert [at for at in sent if begins - PAUSE_LEAD_MS / SECOND_MS / 2 < at < ends] == []
    assert max(sent) > ends
    assert [fact for _, fact in facts if isinstance(fact, AccountDiffers)] == []
    assert all(at > ends for at, fact in facts if isinstance(fact, HoldLifted) and fact.hold is HoldKind.EXCHANGE)
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.compared > 0
