"""What the benchmarks of the whole daemon share: an emulator in this process, the daemon in another, over loopback."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, Series
from kalshi_daemon.emulator.server import EmulatorServer
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.control_client import ask
from kalshi_daemon.units import DOLLAR, FeeType, Milliseconds, Money, Price, Ticker

ROOT: Final = Path(__file__).parents[2]
LOOPBACK: Final = "127.0.0.1"
SERIES: Final = "DEMOBENCH"
CASH: Final[Money] = 5_000 * DOLLAR
WAIT_S: Final = 60.0  # longer than any start or stop: then a benchmark fails instead of hanging
SAID_BYTES: Final = 3_000  # of a daemon's log that a failure shows
VARIABLES: Final = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"}  # as the command line sets them
QUIET: Final = CrowdSettings(events_per_s=0.2)  # a market; the emulator leaves the processors to the daemon


# ---- the exchange


def empty_exchange(markets: int) -> tuple[Exchange, dict[Ticker, Price]]:
    """Markets without orders, each with the price around which a crowd may quote."""
    clock = SystemClock()
    exchange = Exchange(ExchangeSettings(), clock.now_ms, random.Random(1))
    exchange.add_series(Series(SERIES, "Invented", "Benchmark", FeeType.QUADRATIC, 1_000_000, invented=True))
    fair = {f"{SERIES}-DAY{at}-T1": 2_000 + 6_000 * at // markets for at in range(markets)}
    for ticker in fair:
        exchange.add_market(invented_market(ticker, "Invented", LINEAR_CENT, clock.now_ms()))
    return exchange, fair


def served(exchange: Exchange, drivers: list[Callable[[Milliseconds], object]]) -> EmulatorServer:
    return EmulatorServer(exchange, {}, ServerSettings(), SystemClock().now_ms, random.Random(2), drivers)


def quiet_server(markets: int) -> tuple[EmulatorServer, tuple[Ticker, ...]]:
    """Books that live a little."""
    exchange, fair = empty_exchange(markets)
    crowd = Crowd(exchange, fair, QUIET, random.Random(1))
    crowd.step(SystemClock().now_ms())
    return served(exchange, [crowd.step]), tuple(fair)


# ---- the daemon


def lay_out(folder: Path, key: KeyPair) -> None:
    """A key file and a state directory, as `run` wants them."""
    (folder / "state").mkdir(mode=0o700)
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(key.private_pem)


def environment(folder: Path, tickers: tuple[Ticker, ...], key: KeyPair, port: int) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("KALSHI_")},
        "KALSHI_API_KEY_ID": key.key_id,
        "KALSHI_PRIVATE_KEY_FILE": str(folder / "key.pem"),
        "KALSHI_MARKETS": ",".join(tickers),
        "KALSHI_REST_URLS": f"http://{LOOPBACK}:{port}/trade-api/v2",
        "KALSHI_WS_URLS": stream_url(port),
        "KALSHI_STATE_DIR": str(folder / "state"),
        "KALSHI_CONTROL_SOCKET": str(folder / "control.sock"),
        "KALSHI_METRICS_ADDRESS": "",
        "KALSHI_LOG_FORMAT": "json",
    }


def stream_url(port: int) -> str:
    return f"ws://{LOOPBACK}:{port}/trade-api/ws/v2"


class Running:
    """A daemon's process, and what it has said of its trader so far."""

    def __init__(self, process: trio.Process, control: Path) -> None:
        self.process = process
        self.spawned_ms = SystemClock().now_ms()
        self.trading_s = 0.0  # from the spawning
        self.on_step: Callable[[dict[str, str]], None] = lambda _step: None  # told of each step of a chart, as logged
        self._began_ns = time.perf_counter_ns()
        self._control = control
        self._said = b""
        self._decided = trio.Event()
        self._entered = ""

    async def listen(self) -> None:
        """Reads all of its log, or it would wait for the pipe."""
        assert self.process.stderr is not None
        rest = b""
        while more := await self.process.stderr.receive_some():
            self._said = (self._said + more)[-SAID_BYTES:]
            *lines, rest = (rest + more).split(b"\n")
            for line in lines:
                if b'"chart"' in line:
                    self._look(json.loads(line))
        self._decided.set()

    def _look(self, step: dict[str, str]) -> None:
        """The trader's state, once it is trading or will not be."""
        self.on_step(step)
        if step["chart"] == "trader" and not self._decided.is_set():
            entered = step["entered"]
            if entered.startswith(("trading.normal", "paused", "failed", "recovering")):
                self.trading_s = (time.perf_counter_ns() - self._began_ns) / 1e9
                self._entered = entered
                self._decided.set()

    async def until_trading(self) -> None:
        with trio.move_on_after(WAIT_S):
            await self._decided.wait()
        assert self._entered == "trading.normal", f"{self._entered or 'not in time'}: {self.said}"

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(WAIT_S):
            await self.process.wait()
        assert self.process.returncode == 0, f"stopped, and not swept: {self.said}"

    @property
    def said(self) -> str:
        return self._said.decode(errors="replace")

    async def status(self) -> Any:
        return await trio.to_thread.run_sync(partial(ask, self._control, "status"))


@asynccontextmanager
async def trading(folder: Path, variables: Mapping[str, str]) -> AsyncIterator[Running]:
    """A daemon that trades; it is stopped when this is left."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "kalshi_daemon", "run"], cwd=ROOT, env=variables, stderr=subprocess.PIPE
    )
    running = Running(process, folder / "control.sock")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.listen)
            await running.until_trading()
            yield running
            await running.stop()
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            assert process.stderr is not None
            await process.stderr.aclose()


# ---- what a process costs


def processor_s(pid: int) -> float:
    """Seconds of processor that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """The most that has been resident."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
