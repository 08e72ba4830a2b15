"""What outlives a daemon on the virtual clock: an exchange, one member's account at it, and the network between.

Rules: a daemon gets everything from outside from here, drawn from the one generator; each has the journal that it is
given, so that one can go on from another's, or begin from nothing at an account that has a past.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import evolve, frozen

from kalshi_daemon.config import Config, load
from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.journal import MEMORY, in_place
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import DOLLAR, Milliseconds, Money

START_MS: Final[Milliseconds] = 1_792_418_400_000  # a Monday at 10:00 US Eastern, far from the weekly pause
HOST: Final = "127.0.0.1"
PORT: Final = 443  # of what is taken for TLS, so that its faults are met
CASH: Final[Money] = 5_000 * DOLLAR


@frozen(eq=False)
class VirtualSite:
    """Connections are served, and time passes at the exchange, while `network.run` and `world.server.run` run."""

    world: World
    key: KeyPair
    network: MemoryNetwork
    clock: VirtualClock
    rng: random.Random

    @property
    def exchange(self) -> Exchange:
        return self.world.server.exchange

    @property
    def account(self) -> Account:
        return self.exchange.accounts[self.key.key_id]

    def daemon(self, variables: Mapping[str, str], **seams: Any) -> Daemon:
        """A daemon of this account that has not begun, on a journal in memory unless `seams` name another; `variables`
        change its environment.
        """
        config = _config(self.world, self.key, variables)
        return Daemon(config, evolve(_seams(config, self.clock, self.network, self.rng, self.key), **seams))

    def audit(self, daemon: Daemon) -> AccountAudit:
        """Of a daemon whose journal begins with what the account is now."""
        return AccountAudit(self.exchange, self.account, daemon.parts.ledger, daemon.parts.invariants)


def make_site(seed: int, settings: WorldSettings, start_ms: Milliseconds = START_MS, cash: Money = CASH) -> VirtualSite:
    """A site whose account has cash on each shard and has never traded; everything in it is a function of the seed."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    clock = VirtualClock(start_ms)
    world = make_world(settings, clock.now_ms, rng)
    key = world.server.join(cash)
    exchange = world.server.exchange
    for shard in settings.exchange.exchange_indexes[1:]:
        exchange.deposit(exchange.accounts[key.key_id], cash, shard)
    network = MemoryNetwork(rng, faults=world.server.faults)
    network.serve(HOST, PORT, world.server.handle)
    return VirtualSite(world, key, network, clock, rng)


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
        journal=MEMORY,
        kill_latch=Path("/in/memory/kill"),
        variables={},
        listens=False,
        view=None,
        abort=lambda _code: None,
    )
