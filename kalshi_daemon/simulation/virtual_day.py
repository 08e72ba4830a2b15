"""The whole daemon and the emulated exchange in one process on a virtual clock, over streams in memory.

The real WebSocket, HTTP, journal and policy code runs; only time, the network and chance are handed in. A run is a
function of its seed: the trace is a hash over every durable fact with the virtual time at which it came to be.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import trio
import trio.testing
from attrs import frozen

from kalshi_daemon.config import Config, load
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.facts import OrderIntended
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.shell.journal import in_place
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import DOLLAR, Milliseconds, Money

START_MS: Final[Milliseconds] = 1_792_418_400_000  # a Monday at 10:00 US Eastern, far from the weekly pause
HOST: Final = "127.0.0.1"
PORT: Final = 443  # of what is taken for TLS, so that its faults are met
CASH: Final[Money] = 5_000 * DOLLAR


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
) -> VirtualRun:
    """Run `scenario` against a daemon and an exchange of its own; when it returns, the daemon is told to stop.

    `variables` change the daemon's environment.
    """
    with seeded_scheduling(seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_run, seed, scenario, settings or WorldSettings(), variables or {}, start_ms, clock=clock)


async def _run(
    seed: int, scenario: Scenario, settings: WorldSettings, variables: Mapping[str, str], start_ms: Milliseconds
) -> VirtualRun:
    rng = random.Random(seed)  # noqa: S311 - a simulation
    clock = VirtualClock(start_ms)
    world = make_world(settings, clock.now_ms, rng)
    key = world.server.join(CASH)
    network = MemoryNetwork(rng, faults=world.server.faults)
    network.serve(HOST, PORT, world.server.handle)
    config = _config(world, key, variables)
    daemon = Daemon(config, _seams(config, clock, network, rng, key))
    exchange = world.server.exchange
    audit = AccountAudit(exchange, exchange.accounts[key.key_id], daemon.parts.ledger, daemon.parts.invariants)
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
        decisions=parts.actor.decisions if parts.actor else 0,
        intents=trace.intents,
        fills=parts.ledger.fills_booked,
        reconnects=sum(session.reconnects for session in parts.coordinator.sessions),
        checked=parts.invariants.checked,
        violated=tuple(parts.invariants.violated),
        compared=audit.compared,
        exit_code=codes[0],
    )


def _config(world: World, key: KeyPair, variables: Mapping[str, str]) -> Config:
    return load(
        {
            "KALSHI_API_KEY_ID": key.key_id,
            "KALSHI_PRIVATE_KEY_FILE": "/in/memory",
            "KALSHI_MARKETS": ",".join(world.tickers),
            "KALSHI_REST_URLS": f"https://{HOST}/trade-api/v2",
            "KALSHI_WS_URLS": f"wss://{HOST}/trade-api/ws/v2",
            "KALSHI_STATE_DIR": "/in/memory",
            "KALSHI_METRICS_ADDRESS": "",
            "KALSHI_POLICY": "rules",
            **variables,
        }
    )


def _seams(config: Config, clock: VirtualClock, network: MemoryNetwork, rng: random.Random, key: KeyPair) -> Seams:
    return Seams(
        clock=clock,
        network=network,
        rng=rng,
        run_in_thread=in_place,
        stopwatch=lambda: 0.0,
        load_signer=lambda: signer_from_pem(config.api_key_id, key.private_pem, "the key in memory"),
        journal=":memory:",
        kill_latch=Path("/in/memory/kill"),
        variables={},
        listens=False,
        view=None,
        abort=lambda _code: None,
    )
