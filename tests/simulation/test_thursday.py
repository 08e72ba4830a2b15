"""Thursday from 03:00 to 05:00 in New York: an exchange that pauses is waited for, and one that does not is traded."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import trio
from stages import until, until_trading

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import HoldKind
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually

LIVELY = CrowdSettings(events_per_s=1.0)


def thursday(hour: int, minute: int) -> int:
    at = datetime(2026, 11, 26, hour, minute, tzinfo=ZoneInfo("America/New_York"))
    return int(at.timestamp() * 1_000)


def test_the_pause_is_known_ahead() -> None:
    """Held before the first second of the pause, by the clock; nothing of ours is sent in it."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage, 30)
        await trio.sleep(60 + 15)  # 02:59:15
        assert stage.daemon.runner.is_in("trading.normal")
        await until(stage, "paused.holding", 40)
        assert stage.world.server.exchange.trading_active
        assert stage.daemon.parts.ledger.find_hold(HoldKind.EXCHANGE) is not None
        sent = len(stage.daemon.parts.ledger.orders)
        await trio.sleep(120)
        assert not stage.world.server.exchange.trading_active
        assert len(stage.daemon.parts.ledger.orders) == sent

    settings = WorldSettings(exchange=ExchangeSettings(weekly_pause=True), crowd=LIVELY)
    run = run_virtually(1, scenario, settings, start_ms=thursday(2, 58))
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())


def test_a_start_in_the_pause_waits_for_its_end() -> None:
    """Begun two minutes before the end: held, then trading by itself."""

    async def scenario(stage: Stage) -> None:
        await until(stage, "paused.holding", 30)
        await trio.sleep(60)
        assert stage.daemon.runner.is_in("paused.holding")
        await until_trading(stage, 200)
        await trio.sleep(30)

    settings = WorldSettings(exchange=ExchangeSettings(weekly_pause=True), crowd=LIVELY)
    run = run_virtually(2, scenario, settings, start_ms=thursday(4, 58))
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.fills > 0


def test_an_exchange_without_the_pause_is_traded_through_it() -> None:
    """As the demo's is: its schedule says so, and the daemon believes it."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage, 5)
        await trio.sleep(180)

    run = run_virtually(3, scenario, WorldSettings(crowd=LIVELY), start_ms=thursday(4, 0))
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.fills > 0
