"""The whole daemon and the emulator on a virtual clock."""

from __future__ import annotations

import trio

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.simulation.virtual_day import Stage, VirtualRun, run_virtually

QUIET = WorldSettings(crowd=CrowdSettings(events_per_s=0.2))
HOUR_S = 3_600.0


async def an_hour_with_a_dropped_socket(stage: Stage) -> None:
    await trio.sleep(HOUR_S / 2)
    assert stage.world.server.drop_streams() == 2
    await trio.sleep(HOUR_S / 2)


def run_hour(seed: int) -> VirtualRun:
    return run_virtually(seed, an_hour_with_a_dropped_socket, QUIET)


def test_a_virtual_hour_is_a_function_of_its_seed() -> None:
    """One hour with dropped sockets, twice with one seed: the same facts at the same times, and nothing violated."""
    first, again = run_hour(7), run_hour(7)
    assert first == again
    assert first.violated == ()
    assert first.exit_code == 0
    assert first.fills > 0
    assert first.reconnects > 2
    assert first.compared > 0
