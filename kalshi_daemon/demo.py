"""`kalshi-daemon demo`: the daemon against the local exchange, both on real sockets in one process.

Everything is what `run` uses: the signed requests, the streams, the journal on a disk, the shipped policy. Only the
exchange is ours, and so the account can be held against the exchange's own books while it trades, to the micro-dollar.
"""

from __future__ import annotations

import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO, cast

import msgspec
import trio
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.config import load
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.demo_summary import Summary, sum_up
from kalshi_daemon.emulator.faults import PlannedFault
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.recording import Recording, parse_recording
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.emulator.world import WorldSettings, make_world
from kalshi_daemon.errors import ConfigurationError, WireError
from kalshi_daemon.local_exchange import CASH, LOOPBACK, environment_of
from kalshi_daemon.run import stop_at_signals, stop_signals, system_seams
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.live_view import Screen, show
from kalshi_daemon.shell.logging import configure_logging
from kalshi_daemon.simulation.account_audit import AccountAudit


def run_demo(
    *,
    seconds: float | None,
    seed: int,
    shown: bool,
    recording: Path | None,
    speed: float,
    policy: str,
    faults: tuple[PlannedFault, ...],
    weekly_pause: bool,
) -> Summary:
    """Until `seconds` are over or a signal comes. `shown`: with a live view on standard output."""
    configure_logging("text", "error", _standard_error(), SystemClock().now_ms, journal=False)
    rules = ExchangeSettings(weekly_pause=weekly_pause)
    recorded = read_recording(recording) if recording else None
    settings = WorldSettings(exchange=rules, recording=recorded, speed=speed, faults=faults)
    return trio.run(partial(_demo, settings, seconds, seed, policy, shown=shown))


async def _demo(settings: WorldSettings, seconds: float | None, seed: int, policy: str, *, shown: bool) -> Summary:
    clock = SystemClock()
    began_ms = clock.now_ms()
    with stop_signals() as signals, tempfile.TemporaryDirectory(prefix="kalshi-demo-") as folder:
        world = make_world(settings, clock.now_ms, random.Random(seed))  # noqa: S311 - a seeded market, not a secret
        server, key = world.server, world.server.join(CASH)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            config = load({**environment_of(world, key, port, Path(folder)), "KALSHI_POLICY": policy})
            view = partial(show, console=Screen()) if shown else None
            daemon = Daemon(config, evolve(system_seams(config, view), rng=random.Random(seed)))  # noqa: S311
            ledger, invariants = daemon.parts.ledger, daemon.parts.invariants
            audit = AccountAudit(server.exchange, server.exchange.accounts[key.key_id], ledger, invariants)
            nursery.start_soon(_look, audit)
            nursery.start_soon(stop_at_signals, daemon, signals)
            if seconds is not None:
                nursery.start_soon(_stop_after, daemon, seconds)
            code = await daemon.run()
            audit.conclude()
            nursery.cancel_scope.cancel()
    return sum_up(daemon, began_ms, code)


def _standard_error() -> TextIO:
    """As it is at each line: the live view takes it over, to keep what is written out of its panel."""
    write = lambda text: sys.stderr.write(text)  # noqa: E731, PLW0108 - looked up at each line
    flush = lambda: sys.stderr.flush()  # noqa: E731, PLW0108
    return cast("TextIO", SimpleNamespace(write=write, flush=flush))


async def _stop_after(daemon: Daemon, seconds: float) -> None:
    await trio.sleep(seconds)
    daemon.stop()


async def _look(audit: AccountAudit) -> None:
    while True:
        audit.look()
        await trio.sleep(limits.DEMO_LOOK_S)


def read_recording(path: Path) -> Recording:
    """Raises ConfigurationError, naming the frame that does not read."""
    try:
        return parse_recording(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except (msgspec.DecodeError, WireError) as error:
        reason = str(error)
    raise ConfigurationError(f"the recording {str(path)!r}: {reason}; allowed: a file of recorded frames")
