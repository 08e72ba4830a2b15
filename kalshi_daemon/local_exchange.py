"""`kalshi-daemon emulator`: the exchange alone on loopback; and what a daemon needs to trade on it, as in the demo.

Rule: the account, its key, its journal and the certificates live as long as the exchange. Its folder is removed when it
ends.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.certificates import make_certificates
from kalshi_daemon.emulator.faults import PlannedFault
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.emulator.setting_text import Setting, exchange_with, server_with
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.tls import Tls
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.run import stop_signals
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.units import DOLLAR, SECOND_MS, Milliseconds, Money

CASH: Final[Money] = 5_000 * DOLLAR
LOOPBACK: Final = "127.0.0.1"
AUTHORITY: Final = "ca.pem"
PRINTED: Final = (
    "KALSHI_API_KEY_ID",
    "KALSHI_PRIVATE_KEY_FILE",
    "KALSHI_MARKETS",
    "KALSHI_REST_URLS",
    "KALSHI_WS_URLS",
    "KALSHI_STATE_DIR",  # else a daemon would hold a new account against the journal of the last
    "SSL_CERT_FILE",
)
NEXT: Final = "# next, in another terminal: paste these lines, then kalshi-daemon run. Ctrl-C here ends the exchange"


def serve_emulator(
    *,
    port: int,
    seed: int,
    key_kind: str,
    weekly_pause: bool,
    faults: tuple[PlannedFault, ...],
    chosen: Sequence[Setting],
    tls: bool,
    say: Callable[[str], object],
) -> None:
    """Until a signal. `say` gets the variables of an account on it, as lines that a shell reads."""
    exchange = exchange_with(ExchangeSettings(weekly_pause=weekly_pause), chosen)
    settings = WorldSettings(exchange=exchange, server=server_with(ServerSettings(), chosen), faults=faults)
    trio.run(partial(_serve, settings, seed, port, key_kind, say, tls=tls))


async def _serve(
    settings: WorldSettings, seed: int, port: int, key_kind: str, say: Callable[[str], object], *, tls: bool
) -> None:
    clock = SystemClock()
    with (
        stop_signals() as signals,
        tempfile.TemporaryDirectory(
            prefix="kalshi-emulator-",
            ignore_cleanup_errors=True,  # a daemon that still runs may write meanwhile
        ) as folder,
    ):
        served = make_tls(Path(folder), clock.now_ms()) if tls else None
        world = make_world(settings, clock.now_ms, random.Random(seed), served)  # noqa: S311 - a seeded market
        key = world.server.join(CASH, kind=key_kind)
        async with trio.open_nursery() as nursery:
            refused = ""
            try:
                port = await nursery.start(run_emulator, LOOPBACK, port, world.server)
            except* OSError as errors:
                refused = str(errors.exceptions[0])
            if refused:
                raise ConfigurationError(f"--port is {port}, which cannot be had: {refused}; allowed: a free one, or 0")
            variables = environment_of(world, key, port, Path(folder), tls=tls)
            exported = [f"export {name}='{variables[name]}'" for name in PRINTED if name in variables]
            say("\n".join([*exported, NEXT]))
            async for _ in signals:
                nursery.cancel_scope.cancel()


def make_tls(folder: Path, now_ms: Milliseconds) -> Tls:
    """Certificates made now. That of their authority is left in the folder for clients, private keys are not."""
    made = make_certificates(dt.datetime.fromtimestamp(now_ms // SECOND_MS, dt.UTC))
    (folder / AUTHORITY).write_bytes(made.authority)
    contexts = []
    for shown in (made.good, made.misnamed, made.expired):
        chain = folder / "server.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(shown)
        contexts.append(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        contexts[-1].load_cert_chain(chain)
        chain.unlink()
    good, misnamed, expired = contexts
    return Tls(good, {"name": misnamed, "expired": expired})


def environment_of(world: World, key: KeyPair, port: int, folder: Path, *, tls: bool = False) -> Mapping[str, str]:
    """The environment of a daemon that trades on this world; what it keeps goes into the folder."""
    secure = "s" if tls else ""
    key_file = folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_pem)
    return {
        "HOME": os.environ.get("HOME", str(folder)),
        "KALSHI_API_KEY_ID": key.key_id,
        "KALSHI_PRIVATE_KEY_FILE": str(key_file),
        "KALSHI_MARKETS": ",".join(world.tickers),
        "KALSHI_REST_URLS": f"http{secure}://{LOOPBACK}:{port}/trade-api/v2",
        "KALSHI_WS_URLS": f"ws{secure}://{LOOPBACK}:{port}/trade-api/ws/v2",
        "KALSHI_STATE_DIR": str(folder / "state"),
        "KALSHI_CONTROL_SOCKET": str(folder / "run" / "sock"),
        "KALSHI_METRICS_ADDRESS": "",
        **({"SSL_CERT_FILE": str(folder / AUTHORITY)} if tls else {}),
    }
