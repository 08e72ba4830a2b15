"""`kalshi-daemon emulator`: the exchange alone on loopback; and what a daemon needs to trade on it, as in the demo.

Rule: the account and its key live as long as the exchange. Its folder is removed when the exchange ends.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.faults import PlannedFault
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.run import stop_signals
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.units import DOLLAR, Money

CASH: Final[Money] = 5_000 * DOLLAR
LOOPBACK: Final = "127.0.0.1"
PRINTED: Final = (
    "KALSHI_API_KEY_ID",
    "KALSHI_PRIVATE_KEY_FILE",
    "KALSHI_MARKETS",
    "KALSHI_REST_URLS",
    "KALSHI_WS_URLS",
)


def serve_emulator(
    *,
    port: int,
    seed: int,
    key_kind: str,
    weekly_pause: bool,
    faults: tuple[PlannedFault, ...],
    say: Callable[[str], object],
) -> None:
    """Until a signal. `say` gets the variables of an account on it, as lines that a shell reads."""
    settings = WorldSettings(exchange=ExchangeSettings(weekly_pause=weekly_pause), faults=faults)
    world = make_world(settings, SystemClock().now_ms, random.Random(seed))  # noqa: S311 - a seeded market
    trio.run(_serve, world, port, key_kind, say)


async def _serve(world: World, port: int, key_kind: str, say: Callable[[str], object]) -> None:
    key = world.server.join(CASH, kind=key_kind)
    with stop_signals() as signals, tempfile.TemporaryDirectory(prefix="kalshi-emulator-") as folder:
        async with trio.open_nursery() as nursery:
            refused = ""
            try:
                port = await nursery.start(run_emulator, LOOPBACK, port, world.server)
            except* OSError as errors:
                refused = str(errors.exceptions[0])
            if refused:
                raise ConfigurationError(f"--port is {port}, which cannot be had: {refused}; allowed: a free one, or 0")
            variables = environment_of(world, key, port, Path(folder))
            say("\n".join(f"export {name}='{variables[name]}'" for name in PRINTED))
            async for _ in signals:
                nursery.cancel_scope.cancel()


def environment_of(world: World, key: KeyPair, port: int, folder: Path) -> Mapping[str, str]:
    """The environment of a daemon that trades on this world; what it keeps goes into the folder."""
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
    }
