"""An emulated exchange behind a link that can lose answers, on which whole daemons are started, killed and started
again, on a virtual clock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from attrs import define

from kalshi_daemon.daemon import Daemon
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.simulation.account_audit import AccountAudit
from kalshi_daemon.simulation.faulty_link import NEVER_ARRIVES, Fault, FaultyLink
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.simulation.virtual_site import CASH, HOST, PORT, START_MS, VirtualSite
from kalshi_daemon.units import Milliseconds

RESTING = {"KALSHI_PRICING": "join"}
STREAM = "/ws/v2"
QUIET = WorldSettings(crowd=CrowdSettings(events_per_s=0.2))
LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=2.0))


@define(eq=False)
class Running:
    """A daemon and, once it has ended, its exit code."""

    daemon: Daemon
    audit: AccountAudit
    scope: trio.CancelScope
    ended: trio.Event
    code: int | None = None

    @property
    def parts(self):
        return self.daemon.parts

    @property
    def ledger(self):
        return self.daemon.parts.ledger

    def held(self):
        return [each.kind.value for each in self.ledger.holds]

    def states(self):
        """Where the trader has been, oldest first."""
        return [line.state for line in self.daemon.surface.reporter.history() if line.label == "trader"]

    def in_state(self, path: str) -> bool:
        return self.daemon.runner.is_in(path)

    async def until(self, what: str | Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait until the trader is in a state, or has been in it since; or for a condition."""
        before = len(self.states())

        def there() -> bool:
            if not isinstance(what, str):
                return what()
            return self.in_state(what) or any(f"{state}.".startswith(f"{what}.") for state in self.states()[before:])

        with trio.fail_after(seconds):
            while not there():  # noqa: ASYNC110
                await trio.sleep(0.05)

    async def stop(self) -> int:
        self.daemon.stop()
        await self.ended.wait()
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """As SIGKILL does: nothing is cancelled and nothing is said."""
        self.scope.cancel()


@define(eq=False)
class Site:
    world: World
    key: KeyPair
    account: Account
    network: MemoryNetwork
    link: FaultyLink
    clock: VirtualClock
    rng: random.Random
    nursery: trio.Nursery

    @property
    def exchange(self):
        return self.world.server.exchange

    def start(self, variables: Mapping[str, str] | None = None, **seams: object) -> Running:
        site = VirtualSite(self.world, self.key, self.network, self.clock, self.rng)
        daemon = site.daemon(variables or {}, **seams)
        audit = AccountAudit(self.exchange, self.account, daemon.parts.ledger, daemon.parts.invariants)
        running = Running(daemon, audit, trio.CancelScope(), trio.Event())
        self.nursery.start_soon(self._run, running)
        return running

    async def _run(self, running: Running) -> None:
        with running.scope:
            running.code = await running.daemon.run()
        running.ended.set()

    def resting(self) -> list[str]:
        """What of ours rests at the exchange."""
        return [order.client_order_id for order in self.exchange.orders(self.account) if order.remaining]

    def fail(self, *fits: tuple[str, str, Fault]) -> None:
        """From now on the first of (method, part of the path, fault) that fits; "" fits all."""

        def judge(method: str, target: str) -> Fault | None:
            return next((fault for wanted, part, fault in fits if wanted in method and part in target), None)

        self.link.judge = judge

    def mend(self) -> None:
        self.link.judge = lambda _method, _target: None

    def cut_streams(self) -> None:
        """No WebSocket lives, and none can be opened until `mend`; REST goes on."""
        self.fail(("GET", STREAM, NEVER_ARRIVES))
        self.world.server.drop_streams()


@asynccontextmanager
async def exchange_site(
    settings: WorldSettings = LIVELY, seed: int = 1, start_ms: Milliseconds = START_MS
) -> AsyncIterator[Site]:
    rng = random.Random(seed)
    clock = VirtualClock(start_ms)
    world = make_world(settings, clock.now_ms, rng)
    key = world.server.join(CASH)
    network, link = MemoryNetwork(rng), FaultyLink(world.server.handle)
    network.serve(HOST, PORT, link.handle)
    account = world.server.exchange.accounts[key.key_id]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        nursery.start_soon(world.server.run)
        yield Site(world, key, account, network, link, clock, rng, nursery)
        nursery.cancel_scope.cancel()
