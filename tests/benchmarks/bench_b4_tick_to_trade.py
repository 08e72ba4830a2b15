"""B4, tick to trade: from the write of a delta at the exchange's socket to its receipt of the order that it leads to.

The emulator in this process, the daemon in another, loopback between them; the journal on disk, the signature RSA. A
maker puts pressure on one side of a quiet book, the shipped policy goes with it, and the pressure is taken back before
it decides again: buys and sells in turn, so that the account stays small. Both times are taken here, at the bytes.

The reference, in the same run: a process that orders as soon as `json.loads` shows the pressure, and asks nothing.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
from daemon_process import (
    CASH,
    LOOPBACK,
    ROOT,
    empty_exchange,
    environment,
    lay_out,
    served,
    trading,
)
from harness import goal, quantile

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.model import NewOrder, Placed
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide, Count, Price, Ticker, TimeInForce

MARKETS: Final = 20
BEST: Final[dict[BookSide, Price]] = {BookSide.BID: 50 * PRICE_CENT, BookSide.ASK: 51 * PRICE_CENT}
LEVELS: Final = 5
QUOTED: Final[Count] = 60 * CONTRACT  # more than all orders of a run take from a level
PRESSURE_CONTRACTS: Final = 2_000
SPACING_S: Final = (1.0, 1.2)  # drawn, in step with nothing; orders come no faster than P16 allows, 60 a minute
TAKEN_BACK_S: Final = 0.05  # within the daemon's interval between two decisions on one market
WARM: Final = 10  # orders before any is counted
WAIT_S: Final = 5.0
GOALS_MS: Final = {"p50": 3.0, "p99": 10.0}
PLAIN: Final = Path(__file__).with_name("plain_client.py")
Trader = Callable[[Path, KeyPair, int, tuple[Ticker, ...]], AbstractAsyncContextManager[None]]


class Ends:
    """When the delta was written, and when the order had come."""

    def __init__(self) -> None:
        self.wrote_ns = 0
        self.came_ns = 0
        self.came = trio.Event()

    def arm(self) -> None:
        self.wrote_ns, self.came_ns, self.came = 0, 0, trio.Event()

    def sends(self, data: bytes) -> None:
        if not self.wrote_ns and b'"orderbook_delta"' in data:
            self.wrote_ns = time.perf_counter_ns()

    def received(self, data: bytes) -> None:
        if self.wrote_ns and not self.came.is_set() and b'"client_order_id"' in data:
            self.came_ns = time.perf_counter_ns()
            self.came.set()


class Tap(trio.abc.Stream):
    """The exchange's end of one connection, watched."""

    def __init__(self, stream: trio.abc.Stream, ends: Ends) -> None:
        self._stream, self._ends = stream, ends

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._ends.sends(bytes(data))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._ends.received(bytes(data))
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


class Maker:
    """Quiet books, and pressure on one side of one of them."""

    def __init__(self, exchange: Exchange, tickers: tuple[Ticker, ...]) -> None:
        self._exchange = exchange
        self._account = exchange.open_crowd_account()
        for ticker in tickers:
            for side, best in BEST.items():
                for level in range(LEVELS):
                    self._quote(ticker, side, best - side.sign * level * PRICE_CENT, QUOTED)

    def _quote(self, ticker: Ticker, side: BookSide, price: Price, count: Count) -> Placed:
        order = NewOrder(ticker, side, price, count, TimeInForce.GOOD_TILL_CANCELED, post_only=True)
        return self._exchange.create_order(self._account, order)

    def press(self, ticker: Ticker, side: BookSide) -> Callable[[], object]:
        """Returns what takes it back."""
        placed = self._quote(ticker, side, BEST[side], PRESSURE_CONTRACTS * CONTRACT)
        return lambda: self._exchange.cancel_order(self._account, placed.order_id, ticker)


@asynccontextmanager
async def _daemon(folder: Path, key: KeyPair, port: int, tickers: tuple[Ticker, ...]) -> AsyncIterator[None]:
    async with trading(folder, environment(folder, tickers, key, port)) as running:
        yield
        status = await running.status()
        assert not status["orders"], "every order was answered"
        assert status["charts"][0]["path"] == "trading.normal", status["charts"][0]


@asynccontextmanager
async def _plain(folder: Path, key: KeyPair, port: int, tickers: tuple[Ticker, ...]) -> AsyncIterator[None]:
    of_whom = (str(port), key.key_id, str(folder / "key.pem"))
    command = [sys.executable, str(PLAIN), *of_whom, str(PRESSURE_CONTRACTS), ",".join(tickers)]
    process = await trio.lowlevel.open_process(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        while (line := await process.stdout.receive_some()).split()[-1:] != [b"%d" % len(tickers)]:
            assert line, "the plain client ended"
        yield
    finally:
        process.kill()
        await process.wait()


async def measure(trader: Trader, orders: int) -> list[float]:
    """Milliseconds of each."""
    exchange, fair = empty_exchange(MARKETS)
    tickers = tuple(fair)
    maker, ends, took_ms = Maker(exchange, tickers), Ends(), []
    rng = random.Random(3)
    server = served(exchange, [])
    key = server.join(CASH, kind="rsa")
    handle = server.handle
    server.handle = lambda stream: handle(Tap(stream, ends))  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, key)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            async with trader(folder, key, port, tickers):
                for number in range(orders):
                    side = BookSide.BID if number // MARKETS % 2 == 0 else BookSide.ASK
                    await trio.sleep(rng.uniform(*SPACING_S))
                    ends.arm()
                    take_back = maker.press(tickers[number % MARKETS], side)
                    with trio.move_on_after(WAIT_S):
                        await ends.came.wait()
                    assert ends.came.is_set(), f"pressure {number} led to an order"
                    took_ms.append((ends.came_ns - ends.wrote_ns) / 1e6)
                    await trio.sleep(TAKEN_BACK_S)
                    take_back()
            nursery.cancel_scope.cancel()
    return took_ms


def run(*, short: bool) -> dict[str, Any]:
    counted = 4 if short else 60
    report: dict[str, Any] = {"what": f"a delta written to its order received, {counted} orders, {MARKETS} quiet books"}
    for name, trader in (("daemon", _daemon), ("plain", _plain)):
        took_ms = trio.run(measure, trader, WARM + counted)[WARM:]
        report[name] = {f"{share}_ms": round(quantile(took_ms, at), 2) for share, at in (("p50", 0.5), ("p99", 0.99))}
    report["p50_to_plain"] = round(report["daemon"]["p50_ms"] / report["plain"]["p50_ms"], 2)
    report["goals"] = {
        f"{share}_ms": goal(report["daemon"][f"{share}_ms"], wanted, least=False) for share, wanted in GOALS_MS.items()
    }
    return report
