"""`kalshi-daemon demo`: the daemon against the local exchange, both on real sockets in one process.

Everything is what `run` uses: the signed requests, the streams, the journal on a disk, the shipped policy. Only the
exchange is ours, and so the account can be held against the exchange's own books while it trades, to the micro-dollar.
"""

from __future__ import annotations

import io
import json as json_text
import os
import random
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio
from attrs import asdict, evolve, frozen
from rich.console import Console

from kalshi_daemon import limits
from kalshi_daemon.config import load
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.recording import Recording, parse_recording
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.errors import EXIT_STOPPED, ConfigurationError, OperatingError
from kalshi_daemon.run import system_seams
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.live_view import show
from kalshi_daemon.shell.logging import configure_logging
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.units import DOLLAR, SECOND_MS, Money, contracts
from kalshi_daemon.wire.fixed_point import format_money

CASH: Final[Money] = 5_000 * DOLLAR
LOOPBACK: Final = "127.0.0.1"
EXIT_SHORT: Final = 1  # it ended without having shown what a demo is to show


@frozen
class StateEntered:
    state: str
    at_s: float
    cause: str


@frozen
class Summary:
    """What a demo has shown; cash in dollars as text, to the micro-dollar."""

    states: tuple[StateEntered, ...]
    seconds_to_trading: float | None
    deltas: int
    decisions: int
    orders: int
    fills: int
    refused: dict[str, int]
    cash_start: str
    cash_end: str
    positions: dict[str, str]
    invariants: dict[str, object]
    exit_code: int

    def shortfall(self, *, recorded: bool) -> str:
        """What a demo must show and this one did not; empty where it did. Recorded liquidity need not fill anything."""
        if self.seconds_to_trading is None:
            return "it never reached trading"
        if not self.decisions:
            return "it took no decision"
        if self.invariants["violated"]:
            return "an invariant was violated"
        if not self.fills and not recorded:
            return "no order was filled"
        if self.exit_code != EXIT_STOPPED:
            return f"the daemon ended with {self.exit_code}"
        return ""


def run_demo(*, seconds: float | None, seed: int, json: bool, recording: Path | None, speed: float, policy: str) -> int:
    """0 only where it traded and nothing was violated."""
    clock = SystemClock()
    configure_logging("text", "error", sys.stderr, clock.now_ms, journal=False)
    settings = WorldSettings(recording=read_recording(recording) if recording else None, speed=speed)
    with tempfile.TemporaryDirectory(prefix="kalshi-demo-") as folder:
        summary = trio.run(partial(_demo, Path(folder), settings, seconds, seed, policy, shown=not json))
    short = summary.shortfall(recorded=recording is not None)
    if json:
        sys.stdout.write(json_text.dumps(asdict(summary)) + "\n")
    else:
        sys.stdout.write(_text(summary))
    if short:
        sys.stderr.write(f"kalshi-daemon: the demo fell short: {short}\n")
    return EXIT_SHORT if short else EXIT_STOPPED


async def _demo(
    folder: Path, settings: WorldSettings, seconds: float | None, seed: int, policy: str, *, shown: bool
) -> Summary:
    clock = SystemClock()
    began_ms = clock.now_ms()
    world = make_world(settings, clock.now_ms, random.Random(seed))  # noqa: S311 - a seeded market, not a secret
    key = world.server.join(CASH)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(run_emulator, LOOPBACK, 0, world.server)
        config = load(_variables(folder, world, key, port, policy))
        view = partial(show, console=Console()) if shown else None
        daemon = Daemon(config, evolve(system_seams(config, view), rng=random.Random(seed)))  # noqa: S311
        audit = AccountAudit(
            world.server.exchange,
            world.server.exchange.accounts[key.key_id],
            daemon.parts.ledger,
            daemon.parts.invariants,
        )
        nursery.start_soon(_look, audit)
        if seconds is not None:
            nursery.start_soon(_stop_after, daemon, seconds)
        code = await daemon.run()
        audit.conclude()
        nursery.cancel_scope.cancel()
    return _summary(daemon, began_ms, code)


async def _stop_after(daemon: Daemon, seconds: float) -> None:
    await trio.sleep(seconds)
    daemon.stop()


async def _look(audit: AccountAudit) -> None:
    while True:
        audit.look()
        await trio.sleep(limits.DEMO_LOOK_S)


def _variables(folder: Path, world: World, key: KeyPair, port: int, policy: str) -> Mapping[str, str]:
    """The environment of a daemon that trades on this world."""
    key_file = folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_pem)
    return {
        "HOME": os.environ.get("HOME", str(folder)),
        "KALSHI_API_KEY_ID": key.key_id,
        "KALSHI_PRIVATE_KEY_FILE": str(key_file),
        "KALSHI_MARKETS": ",".join(world.tickers),
        "KALSHI_REST_URLS": f"http://{LOOPBACK}:{port}/trade-api/v2",
        "KALSHI_WS_URLS": f"ws://{LOOPBACK}:{port}/trade-api/ws/v2",
        "KALSHI_STATE_DIR": str(folder / "state"),
        "KALSHI_CONTROL_SOCKET": str(folder / "control" / "control.sock"),
        "KALSHI_METRICS_ADDRESS": "",
        "KALSHI_POLICY": policy,
    }


def read_recording(path: Path) -> Recording:
    """Raises ConfigurationError, naming the frame that does not read."""
    try:
        return parse_recording(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(
            f"--recording is {str(path)!r}: {error.strerror}; allowed: a file of recorded frames"
        ) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"--recording is {str(path)!r}, which does not read: {error}") from None


def _summary(daemon: Daemon, began_ms: int, code: int) -> Summary:
    parts, reporter = daemon.parts, daemon.surface.reporter
    history = [line for line in reporter.history() if line.label == "trader"]
    states = tuple(
        StateEntered(line.state, round((line.since_ms - began_ms) / SECOND_MS, 3), line.cause) for line in history
    )
    trading = [each.at_s for each in states if each.state.startswith("trading")]
    invariants = parts.invariants
    return Summary(
        states=states,
        seconds_to_trading=trading[0] if trading else None,
        deltas=parts.books.counts["deltas"],
        decisions=parts.actor.decisions if parts.actor else 0,
        orders=sum(1 for record in parts.ledger.orders.values() if record.state not in {"intended", "denied"}),
        fills=parts.ledger.fills_booked,
        refused={**parts.gates.refused, **reporter.refused_by_exchange},
        cash_start=format_money(sum(cash for _, cash in parts.ledger.opening)),
        cash_end=format_money(parts.ledger.settled_total),
        positions={market: contracts(held.count) for market, held in parts.ledger.positions.items() if held.count},
        invariants={"checked": invariants.checked, "violated": invariants.violated},
        exit_code=code,
    )


def _text(summary: Summary) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120)
    console.print("\nStates")
    for each in summary.states:
        console.print(f"  {each.at_s:8.2f} s  {each.state:<22} {each.cause}", highlight=False)
    console.print(
        f"\n{summary.deltas} deltas, {summary.decisions} decisions, {summary.orders} orders, {summary.fills} fills; "
        f"refused {summary.refused or 'none'}",
        highlight=False,
    )
    console.print(
        f"cash {summary.cash_start} -> {summary.cash_end}, positions {summary.positions or 'none'}", highlight=False
    )
    invariants = summary.invariants
    console.print(
        f"invariants: {invariants['checked']} checked, violated: {invariants['violated'] or 'none'}", highlight=False
    )
    return out.getvalue()


def serve_emulator(*, port: int, seed: int) -> int:
    """`kalshi-daemon emulator`: the exchange alone on loopback, with an account and its key, until Ctrl-C."""
    clock = SystemClock()
    world = make_world(WorldSettings(), clock.now_ms, random.Random(seed))  # noqa: S311 - a seeded market
    key = world.server.join(CASH)
    folder = Path(tempfile.mkdtemp(prefix="kalshi-emulator-"))

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            try:
                bound = await nursery.start(run_emulator, LOOPBACK, port, world.server)
            except OSError as error:
                raise OperatingError(
                    f"port {port} on {LOOPBACK} cannot be had: {error.strerror}; try --port 0"
                ) from None
            for name, value in _variables(folder, world, key, bound, "onnx").items():
                if name in SHOWN:
                    sys.stdout.write(f"export {name}='{value}'\n")
            sys.stdout.flush()

    trio.run(serve)
    return 0


SHOWN: Final = ("KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_FILE", "KALSHI_MARKETS", "KALSHI_REST_URLS", "KALSHI_WS_URLS")
