"""What the scenarios share: a lively exchange, and waiting for a state, which the virtual clock makes free."""

from __future__ import annotations

import trio

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.simulation.virtual_day import Stage

LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=2.0))


async def until(stage: Stage, state: str, seconds: float) -> None:
    with trio.fail_after(seconds):
        while not stage.daemon.runner.is_in(state):  # noqa: ASYNC110 - the virtual clock makes waiting free
            await trio.sleep(0.1)


async def until_trading(stage: Stage, seconds: float = 120.0) -> None:
    await until(stage, "trading.normal", seconds)
