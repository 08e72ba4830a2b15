"""`kalshi-daemon run --dry-run`: the real markets, and the account on a local exchange that mirrors them.

Everything is what `run` uses: the real hosts and the real key for market data, the risk gate, the policy, signed
orders. But orders, cash and positions live on an exchange inside this process, whose books are those that the daemon
has proven. Rules: nothing that is not a GET is ever signed with the real key, so that no order can leave for the
exchange whatever else is wrong. Orders do not move the real books, and what they would have met there is what they meet
here. The account begins anew with each run, in a folder that goes with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import evolve, frozen

from kalshi_daemon.config import Config
from kalshi_daemon.core.market_universe import MarketChange, MarketUniverse
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.mirror import Mirror
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.server import EmulatorServer, run_emulator
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.facts import EventFees, MarketChanged, MarketRead, SeriesFees
from kalshi_daemon.local_exchange import CASH, LOOPBACK
from kalshi_daemon.run import stop_at_signals, stop_signals, system_seams
from kalshi_daemon.seams import Practice, Seams
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.signer import Signs, signer_from_pem
from kalshi_daemon.units import DOLLAR, Milliseconds

SHARDS: Final = tuple(range(8))  # more than the exchange has; each gets the same part of the cash
SOCKETS_LEAST: Final = 2  # the markets' and the account's are not at the same exchange


@frozen
class ReadingSigner:
    """Signs what only reads: requests with GET, and the upgrade of a stream."""

    signer: Signs

    def headers(self, method: str, path: str, now_ms: Milliseconds) -> dict[str, str]:
        assert method == "GET", f"a dry run signs no {method} {path} with the real key"
        return self.signer.headers(method, path, now_ms)


class MirroredUniverse(MarketUniverse):
    """Passes on what it is told of the markets that it knows."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror

    def fees(self, fees: SeriesFees) -> None:
        super().fees(fees)
        self._mirror.hear(fees)

    def event_fees(self, told: Sequence[EventFees]) -> None:
        super().event_fees(told)
        for fees in told:
            if fees.event in self.schedules.events:
                self._mirror.hear(fees)

    def read(self, fact: MarketRead, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        changes = super().read(fact, now_ms)
        if self.market(fact.market) is not None:
            self._mirror.hear(fact)
        return changes

    def changed(self, fact: MarketChanged, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        changes = super().changed(fact, now_ms)
        self._mirror.hear(fact)
        return changes


def run_dry(config: Config) -> int:
    """Until stopped. The exit code, as of `run`. Raises ConfigurationError."""
    if config.sockets < SOCKETS_LEAST:
        raise ConfigurationError(f"KALSHI_SOCKETS is {config.sockets}; with --dry-run allowed: {SOCKETS_LEAST} or 3")
    return trio.run(_live, config)


async def _live(config: Config) -> int:
    with stop_signals() as signals, tempfile.TemporaryDirectory(prefix="kalshi-dry-run-") as folder:
        seams = system_seams(config, None)
        server = mirror_server(seams)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            daemon = Daemon(config, evolve(practising(seams, server, port), journal=Path(folder) / "journal.sqlite3"))
            log.warning("dry_run", markets="real", account=f"local, {CASH // DOLLAR} dollars", orders="local")
            nursery.start_soon(stop_at_signals, daemon, signals)
            code = await daemon.run()
            nursery.cancel_scope.cancel()
    return code


def mirror_server(seams: Seams) -> EmulatorServer:
    """An exchange without markets on the real exchange's time, as far as the daemon knows it."""
    settings = ExchangeSettings(exchange_indexes=SHARDS)
    now_ms, rng = seams.clock.exchange_now_ms, seams.rng
    return EmulatorServer(Exchange(settings, now_ms, rng), {}, ServerSettings(), now_ms, rng)


def practising(seams: Seams, server: EmulatorServer, port: int) -> Seams:
    """The seams of a daemon whose account is on the server, and whose real key only reads."""
    part = CASH // len(SHARDS)
    key = server.join(part)
    account = server.exchange.accounts[key.key_id]
    for shard in SHARDS[1:]:
        server.exchange.deposit(account, part, shard)
    signer = signer_from_pem(key.key_id, key.private_pem, "the dry run's own key")
    mirror = Mirror(server.exchange)
    practice = Practice(
        rest=Door((f"http://{LOOPBACK}:{port}/trade-api/v2",), signer),
        ws=Door((f"ws://{LOOPBACK}:{port}/trade-api/ws/v2",), signer),
        universe=MirroredUniverse(mirror),
        on_book=lambda book: mirror.on_book(book.market, book.yes.counts, book.no.counts),
    )
    load_signer = seams.load_signer
    return evolve(seams, load_signer=lambda: ReadingSigner(load_signer()), practice=practice)
