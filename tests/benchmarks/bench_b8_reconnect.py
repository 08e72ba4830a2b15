"""B8, reconnect: from a dropped socket until every book is current again, against the emulator on loopback.

The coordinator, its sessions, feeds and charts run as in the daemon, over real sockets, with the emulator in the same
process. What is told is the time from the dial to the last book that is usable again, and beside it the time from the
drop until the loss is known. The back-off between them waits on purpose and is left out: the dial is asked for.

The reference, in the same rounds: a client that dials, subscribes and reads as many snapshots with `json.loads` into
dicts, with nothing else around it.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from typing import Any, Final

import trio
import trio_websocket
from daemon_process import LOOPBACK, quiet_server
from harness import ROUNDS, goal

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.emulator.server import EmulatorServer, run_emulator
from kalshi_daemon.limits import SOCKET_MARKETS
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.fill_listener import FillListener
from kalshi_daemon.shell.network import SystemNetwork
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.session import SessionSeams
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.shell.websocket_coordinator import WebSocketCoordinator
from kalshi_daemon.units import DOLLAR
from kalshi_daemon.wire.feed import path_of

GOAL_MS: Final = 300.0
WAIT_S: Final = 60.0


def nothing(*_arguments: object) -> None:
    """Of no matter here."""


class Feeds:
    """The streams of a daemon, and when they were dropped, dialled again and current."""

    def __init__(self, server: EmulatorServer, tickers: tuple[str, ...], port: int) -> None:
        self.url = f"ws://{LOOPBACK}:{port}/trade-api/ws/v2"
        self.tickers = tickers
        self._clock, rng, network = SystemClock(), random.Random(1), SystemNetwork()
        key = server.join(5_000 * DOLLAR)
        self.signer = signer_from_pem(key.key_id, key.private_pem, "the key in memory")
        rest = RestClient(
            [f"http://{LOOPBACK}:{port}/trade-api/v2"], self.signer, network, self._clock, lanes=1, rng=rng
        )
        self.books = OrderBookClient(
            tickers, rest, self._clock, rng, wanted=lambda _: True, on_step=nothing, on_alarm=nothing
        )
        self.coordinator = WebSocketCoordinator(
            self.books,
            FillListener(nothing),
            PositionListener(lambda _: 0, nothing),
            self._clock,
            socket_markets=SOCKET_MARKETS,
            on_market=nothing,
            on_private_lost=nothing,
            on_market_missed=nothing,
            on_feeds_lost=nothing,
        )
        self.lost = trio.Event()
        self.seams = SessionSeams(
            market=Door((self.url,), self.signer),
            account=Door((self.url,), self.signer),
            network=network,
            clock=self._clock,
            rng=rng,
            on_fact=self.coordinator.on_fact,
            on_fault=nothing,
            on_gap=self.coordinator.on_gap,
            on_change=self.coordinator.on_change,
            on_step=self._stepped,
            on_alarm=nothing,
        )

    def _stepped(self, _session: str, step: Step) -> None:
        if step.event == "dropped":
            self.lost.set()

    async def until_current(self) -> None:
        with trio.fail_after(WAIT_S):
            while not all(map(self.books.usable, self.tickers)):
                await self.coordinator.changed.wait()

    async def reconnect(self, server: EmulatorServer) -> tuple[float, float]:
        """Milliseconds from the drop until the loss is known, and from the dial until every book is usable."""
        self.lost, began_ns = trio.Event(), time.perf_counter_ns()
        assert server.drop_streams() == 1
        with trio.fail_after(WAIT_S):
            await self.lost.wait()
        lost_ns = time.perf_counter_ns()
        assert not any(map(self.books.usable, self.tickers))
        self.coordinator.retry()
        await self.until_current()
        return (lost_ns - began_ns) / 1e6, (time.perf_counter_ns() - lost_ns) / 1e6

    async def plain(self) -> float:
        """Milliseconds of the reference, for as many books."""
        began_ns = time.perf_counter_ns()
        headers = self.signer.headers("GET", path_of(self.url), self._clock.now_ms())
        books: dict[str, object] = {}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with trio_websocket.open_websocket_url(self.url, extra_headers=pairs) as socket:
            params = {"channels": ["orderbook_delta"], "market_tickers": list(self.tickers)}
            await socket.send_message(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            while len(books) < len(self.tickers):
                frame = json.loads(await socket.get_message())
                if frame["type"] == "orderbook_snapshot":
                    msg = frame["msg"]
                    books[msg["market_ticker"]] = (dict(msg["yes_dollars_fp"]), dict(msg["no_dollars_fp"]))
            return (time.perf_counter_ns() - began_ns) / 1e6


async def measure(markets: int, rounds: int) -> tuple[list[tuple[float, float]], list[float]]:
    server, tickers = quiet_server(markets)
    ours, plain = [], []
    async with trio.open_nursery() as nursery:
        port = await nursery.start(run_emulator, LOOPBACK, 0, server)
        feeds = Feeds(server, tickers, port)
        nursery.start_soon(feeds.coordinator.run, feeds.seams, 1)
        await feeds.until_current()
        for _ in range(rounds):
            ours.append(await feeds.reconnect(server))
            plain.append(await feeds.plain())
            with trio.fail_after(WAIT_S):
                while server.streams > 1:  # noqa: ASYNC110 - the emulator tells nobody that a stream ended
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return ours, plain


def run(*, short: bool) -> dict[str, Any]:
    markets, rounds = (10, 1) if short else (100, 4 * ROUNDS)
    ours, plain = trio.run(measure, markets, rounds)
    current_ms = statistics.median(after for _, after in ours)
    return {
        "what": f"dial after a dropped socket to {markets} books current, and a plain client's as many snapshots",
        "lost_ms": round(statistics.median(before for before, _ in ours), 1),
        "current_ms": round(current_ms, 1),
        "plain_ms": round(statistics.median(plain), 1),
        "ratio_to_plain": round(statistics.median(a / b for (_, a), b in zip(ours, plain, strict=True)), 2),
        "goals": {"current_ms": goal(round(current_ms, 1), GOAL_MS, least=False)},
    }
