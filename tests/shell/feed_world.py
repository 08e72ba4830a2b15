"""The feeds of a daemon without the daemon: coordinator, sessions, books and listeners against an emulated exchange.

Everything is real but time, the network and chance: the emulator's server, trio-websocket, the REST client, the charts.
A `Meddler` stands before the exchange's streams; REST goes past it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from meddler import Meddler

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Step
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import demo_series, invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, NewOrder, Placed
from kalshi_daemon.emulator.server import EmulatorServer
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.facts import EventFeesChanged, FillSeen, MarketChanged, OrderSeen
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.feeds import FeedStatus, Role
from kalshi_daemon.shell.fill_listener import FillListener
from kalshi_daemon.shell.frame_faults import FrameFaults
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.session import Session, SessionSeams
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.shell.websocket_coordinator import WebSocketCoordinator
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, BookSide, Ticker, TimeInForce

START_MS = 1_800_000_000_000
A, B, C = "DEMOTEMP-DAY1-T58", "DEMOTEMP-DAY1-T60", "DEMOGAME-HEROWL-HER"
FAIR = {A: 8_100, B: 6_700, C: 5_600}
WS_URLS = ("ws://first.test/trade-api/ws/v2", "ws://second.test/trade-api/ws/v2")


def many(count: int) -> tuple[Ticker, ...]:
    return tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(count))


class FeedWorld:
    """What a test may look at and touch. `told` holds what the parts tell the daemon, by kind, in order."""

    def __init__(
        self,
        *,
        sockets: int = 1,
        socket_markets: int = limits.SOCKET_MARKETS,
        markets: tuple[Ticker, ...] = (A, B, C),
        wanted: tuple[Ticker, ...] | None = None,
        seed: int = 1,
        events_per_s: float = 0.0,
        skew_ms: int = 0,
        server_settings: ServerSettings | None = None,
        wrap: Callable[[Network], Network] = lambda network: network,
    ) -> None:
        self.sockets = sockets
        self.socket_markets = socket_markets
        self.clock = VirtualClock(START_MS + skew_ms)
        exchange_clock = VirtualClock(START_MS)
        self.exchange = Exchange(ExchangeSettings(), exchange_clock.now_ms, random.Random(seed))
        for series in demo_series():
            self.exchange.add_series(series)
        for ticker in markets:
            self.exchange.add_market(invented_market(ticker, "Invented", LINEAR_CENT, START_MS))
        drivers = []
        if events_per_s:
            fair = {ticker: FAIR[ticker] for ticker in markets}
            crowd = Crowd(self.exchange, fair, CrowdSettings(events_per_s=events_per_s), random.Random(seed))
            crowd.step(START_MS)
            drivers.append(crowd.step)
        settings = server_settings or ServerSettings()
        self.server = EmulatorServer(
            self.exchange, {}, settings, exchange_clock.now_ms, random.Random(seed + 1), drivers
        )
        self.key = self.server.join(1_000 * DOLLAR)
        self.member = self.exchange.accounts[self.key.key_id]
        self.bidder, self.asker = self.exchange.open_crowd_account(), self.exchange.open_crowd_account()
        self.meddler = Meddler(self.server.handle)
        self.network = MemoryNetwork(random.Random(seed + 2))
        self.serve_streams()
        self.serve_reads()
        self.told: list[tuple[str, str]] = []
        self.steps: list[tuple[float, str, str]] = []
        self.facts: list[FillSeen | OrderSeen] = []
        self.moved: list[MarketChanged | EventFeesChanged] = []
        self.held: Counter[Ticker] = Counter()  # what we count ourselves to hold
        self.unwanted: set[Ticker] = set()
        self.nearest: list[Ticker] = []  # the markets that are read first
        self._build(wrap(self.network), markets if wanted is None else wanted, seed)

    def _build(self, network: Network, wanted: tuple[Ticker, ...], seed: int) -> None:
        self.rng = random.Random(seed + 3)
        signer = signer_from_pem(self.key.key_id, self.key.private_pem, "the key in memory")
        self.rest = RestClient(
            ["http://rest.test/trade-api/v2"], signer, self.network, self.clock, lanes=4, rng=self.rng
        )
        self.books = OrderBookClient(
            wanted,
            self.rest,
            self.clock,
            self.rng,
            wanted=lambda ticker: ticker not in self.unwanted,
            on_step=self._on_step,
            on_alarm=self._on_alarm,
            nearest=lambda: self.nearest,
        )
        self.fills = FillListener(self.facts.append)
        self.positions = PositionListener(
            lambda ticker: Position(ticker, self.held[ticker], 0, 0, 0), self._tell("doubt"), lambda _rested: None
        )
        self.coordinator = WebSocketCoordinator(
            self.books,
            self.fills,
            self.positions,
            self.clock,
            socket_markets=self.socket_markets,
            on_market=self.moved.append,
            on_market_missed=lambda: self.told.append(("missed", "")),
            on_private_lost=self._tell("doubt"),
            account_polled=lambda: False,
            account_read=lambda: False,
            on_feeds_lost=lambda: self.told.append(("feeds_lost", f"{trio.current_time():.6f}")),
        )
        self.faults = FrameFaults(trio.current_time, self._tell("said"))
        self.seams = SessionSeams(
            market=Door(WS_URLS, signer),
            account=Door(WS_URLS, signer),
            network=network,
            clock=self.clock,
            rng=self.rng,
            on_fact=self.coordinator.on_fact,
            on_fault=self.faults.note,
            on_gap=self.coordinator.on_gap,
            on_change=self.coordinator.on_change,
            on_step=self._on_step,
            on_alarm=self._on_alarm,
        )

    def _tell(self, kind: str) -> Callable[[str], None]:
        return lambda text: self.told.append((kind, text))

    def _on_step(self, chart: str, step: Step) -> None:
        self.steps.append((trio.current_time(), chart, step.event))

    def _on_alarm(self, name: str, text: str) -> None:
        self.told.append((name, text))

    # ---------------------------------------------------------------------------------------------------- what to do

    def serve_streams(self) -> None:
        for host in ("first.test", "second.test"):
            self.network.serve(host, 80, self.meddler.serve)

    def serve_reads(self) -> None:
        self.network.serve("rest.test", 80, self.server.handle)

    def withdraw_streams(self) -> None:
        for host in ("first.test", "second.test"):
            self.network.withdraw(host, 80)

    def place(self, market: Ticker, cents: int, count: int = 1, *, side: BookSide = BookSide.BID) -> Placed:
        """An order of somebody's: a change of the book, or a trade."""
        order = NewOrder(market, side, cents * PRICE_CENT, count * CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        return self.exchange.create_order(self.bidder if side is BookSide.BID else self.asker, order)

    def fill_us(self, market: Ticker = A, cents: int = 30, count: int = 1) -> None:
        """We bid, and somebody sells to us."""
        order = NewOrder(market, BookSide.BID, cents * PRICE_CENT, count * CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        self.exchange.create_order(self.member, order)
        self.place(market, cents, count, side=BookSide.ASK)

    # -------------------------------------------------------------------------------------------------- what to look at

    @property
    def session(self) -> Session:
        return self.coordinator.sessions[0]

    def texts(self, kind: str) -> list[str]:
        return [text for told, text in self.told if told == kind]

    def events(self, chart: str) -> list[str]:
        return [event for _, of, event in self.steps if of == chart]

    def status(self, role: Role) -> FeedStatus:
        return next(status for status in self.coordinator.statuses() if status.role == role)

    def differing(self) -> list[Ticker]:
        """The markets whose book is not the exchange's own, level by level."""
        found = []
        for ticker, book in self.books.books.items():
            view = self.exchange.book(ticker)
            if (book.yes.levels(), book.no.levels()) != (list(view.yes), list(view.no)):
                found.append(ticker)
        return found

    def usable(self) -> list[Ticker]:
        return [ticker for ticker in self.books.books if self.books.usable(ticker)]

    def assert_proven(self) -> None:
        """Streamed, every book usable, and every one of them the exchange's."""
        assert self.books.streamed
        assert self.usable() == list(self.books.books)
        assert self.differing() == []

    def assert_nothing_crashed(self) -> None:
        crashes = {"task_crashed", "task_restarted", "stale_crash", "crash_while_leaving", "service_down"}
        assert [told for told in self.told if told[0] in crashes] == []

    async def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> float:
        """Wait on the virtual clock; how long it took."""
        began_s = trio.current_time()
        with trio.fail_after(seconds):
            while not holds():  # noqa: ASYNC110 - the virtual clock makes waiting free
                await trio.sleep(0.005)
        return trio.current_time() - began_s

    async def until_proven(self, seconds: float = 60.0) -> float:
        """Until the books are streamed and every session carries all its roles."""
        sessions = self.coordinator.sessions
        return await self.until(
            lambda: (
                self.books.streamed
                and self.coordinator.feeds_usable
                and all(session.carries(role) for session in sessions for role in session.roles)
            ),
            seconds,
        )

    async def wait_quiet(self) -> None:
        """Let what is under way arrive."""
        await trio.sleep(0.02)


@asynccontextmanager
async def feeds(**settings: object) -> AsyncIterator[FeedWorld]:
    """A running world. When it is left, everything has ended and no task has crashed."""
    world = FeedWorld(**settings)  # type: ignore[arg-type]
    async with trio.open_nursery() as around:
        await around.start(world.network.run)
        await around.start(world.server.run)
        async with world.rest, trio.open_nursery() as nursery:
            nursery.start_soon(world.coordinator.run, world.seams, world.sockets)
            while not world.coordinator.sessions:
                await trio.lowlevel.checkpoint()
            yield world
            nursery.cancel_scope.cancel()
        world.assert_nothing_crashed()
        await trio.sleep(1)  # the exchange notices that its connections ended
        assert (world.server.connections, world.meddler.open) == (0, 0)
        around.cancel_scope.cancel()


def message(kind: str, sid: int, seq: int | None = None, **msg: object) -> str:
    """A frame as the exchange forms it."""
    frame: dict[str, object] = {"type": kind, "sid": sid, "msg": msg}
    if seq is not None:
        frame["seq"] = seq
    return json.dumps(frame) + "\n"


def delta(market: Ticker, sid: int, seq: int, cents: int = 10, count: str = "5.00", **more: object) -> str:
    msg = {"market_ticker": market, "price_dollars": f"{cents / 100:.4f}", "delta_fp": count, "side": "yes"}
    return message("orderbook_delta", sid, seq, **msg, ts_ms=START_MS + 1, **more)


SILENCE_S = limits.SILENCE_MAX_S
