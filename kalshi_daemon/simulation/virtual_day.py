"""The whole daemon and the emulated exchange in one process on a virtual clock, over streams in memory.

The real WebSocket, HTTP, journal and policy code runs; only time, the network and chance are handed in. A run is a
function of its seed: the trace is a hash over every durable fact with the virtual time at which it came to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import trio
import trio.testing
from attrs import frozen

from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.world import World, WorldSettings
from kalshi_daemon.facts import OrderIntended
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.simulation.virtual_site import CASH, HOST, PORT, START_MS, make_site
from kalshi_daemon.units import Milliseconds, Money

__all__ = ["CASH", "HOST", "PORT", "START_MS", "Stage", "VirtualRun", "run_virtually"]


@frozen
class VirtualRun:
    """What one run was. `trace` is equal for equal seeds."""

    trace: str
    facts: int
    states: tuple[str, ...]
    decisions: int
    intents: int
    fills: int
    reconnects: int
    checked: int
    violated: tuple[str, ...]
    compared: int
    exit_code: int


@frozen(eq=False)
class Stage:
    """What a scenario may touch while the daemon runs."""

    daemon: Daemon
    world: World
    network: MemoryNetwork
    audit: AccountAudit


Scenario = Callable[[Stage], Awaitable[None]]


class _Trace:
    def __init__(self) -> None:
        self.facts = 0
        self.intents = 0
        self._hash = hashlib.sha256()

    def note(self, news: News) -> None:
        self.facts += 1
        self.intents += isinstance(news.fact, OrderIntended)
        self._hash.update(b"%r %d " % (round(trio.current_time(), 6), news.seq))
        self._hash.update(type(news.fact).__name__.encode() + msgspec.json.encode(news.fact))

    def digest(self) -> str:
        return self._hash.hexdigest()


def run_virtually(
    seed: int,
    scenario: Scenario,
    settings: WorldSettings | None = None,
    variables: Mapping[str, str] | None = None,
    start_ms: Milliseconds = START_MS,
    cash: Money = CASH,
) -> VirtualRun:
    """Run `scenario` against a daemon and an exchange of its own; when it returns, the daemon is told to stop.

    `variables` change the daemon's environment.
    """
    with seeded_scheduling(seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_run, seed, scenario, settings or WorldSettings(), variables or {}, start_ms, cash, clock=clock)


async def _run(
    seed: int,
    scenario: Scenario,
    settings: WorldSettings,
    variables: Mapping[str, str],
    start_ms: Milliseconds,
    cash: Money,
) -> VirtualRun:
    site = make_site(seed, settings, start_ms, cash)
    world, network = site.world, site.network
    daemon = site.daemon(variables)
    audit = site.audit(daemon)
    trace = _Trace()
    daemon.parts.bus.listen(trace.note)
    codes: list[int] = []

    async def live() -> None:
        codes.append(await daemon.run())
        audit.conclude()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        nursery.start_soon(world.server.run)
        nursery.start_soon(live)
        await scenario(Stage(daemon, world, network, audit))
        daemon.stop()
    parts = daemon.parts
    return VirtualRun(
        trace=trace.digest(),
        facts=trace.facts,
        states=tuple(line.state for line in daemon.surface.reporter.history() if line.label == "trader"),
        decisions=parts.policy.actor.decisions if parts.policy.actor else 0,
        intents=trace.intents,
        fills=parts.ledger.fills_booked,
        reconnects=sum(session.reconnects for session in parts.coordinator.sessions),
        checked=parts.invariants.checked,
        violated=tuple(parts.invariants.violated),
        compared=audit.compared,
        exit_code=codes[0],
    )
