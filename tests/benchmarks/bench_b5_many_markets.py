"""B5, many markets: 1,000 markets, 2,000 messages a second, the shipped policy deciding; the real process.

A crowd in this process trades on the emulated exchange, as often as the rate asks for, spread evenly over time. Told
are the daemon's share of one processor and its greatest resident memory, both of its own process, and how many messages
that the exchange had sent were not applied a second later, the worst of several looks.

The reference, after it in the same run and at the same rate: a process that reads the frames with `json.loads` into
dicts, and does nothing else.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import trio
from daemon_process import (
    CASH,
    LOOPBACK,
    ROOT,
    Running,
    empty_exchange,
    environment,
    lay_out,
    memory_mb,
    processor_s,
    served,
    trading,
)
from harness import goal

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.events import Event, LevelChanged, Traded
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.units import Milliseconds, Price, Ticker

STEP_S: Final = 0.01  # messages come a few at a time
CROWD_MS: Final[Milliseconds] = 1  # of the crowd's own time; it is as fast as the rate asks for
SETTLE_S: Final = 10.0  # at the full rate before anything is measured: windows are full, what starts slowly has started
LOOKS: Final = 5  # for messages that are late
LATE_S: Final = 1.0
SHARE_GOAL, MEMORY_GOAL_MB, LATE_GOAL = 35.0, 250.0, 0.0
NEVER: Final = 1e9  # contracts of a change that the plain client orders on
PLAIN: Final = Path(__file__).with_name("plain_client.py")


class Load:
    """A crowd that makes the exchange say so much a second."""

    def __init__(self, exchange: Exchange, fair: dict[Ticker, Price], per_s: float) -> None:
        self.changes = 0  # of levels: each is a frame
        self.trades = 0
        self._per_s = per_s
        self._crowd = Crowd(exchange, fair, CrowdSettings(events_per_s=1.0), random.Random(1))
        self._crowd_ms: Milliseconds = 0
        self._crowd.step(0)
        exchange.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LevelChanged):
            self.changes += 1
        elif isinstance(event, Traded):
            self.trades += 1

    @property
    def messages(self) -> int:
        return self.changes + self.trades

    async def run(self) -> None:
        began_s, before = trio.current_time(), self.messages
        while True:
            await trio.sleep(STEP_S)
            due = before + (trio.current_time() - began_s) * self._per_s
            while self.messages < due:
                self._crowd_ms += CROWD_MS
                self._crowd.step(self._crowd_ms)


async def _measure_daemon(running: Running, load: Load, seconds: float) -> dict[str, Any]:
    """At the load that goes on. The looks are part of what it costs."""
    before = await running.status()
    applied = _applied(before)
    sent = load.changes
    began_s, began_messages, began_processor_s = trio.current_time(), load.messages, processor_s(running.process.pid)
    late = []
    for _ in range(LOOKS):
        await trio.sleep(max(0.0, seconds / LOOKS - LATE_S))
        known = load.changes
        await trio.sleep(LATE_S)
        late.append(max(0, known - sent - (_applied(await running.status()) - applied)))
    took_s = trio.current_time() - began_s
    processor = processor_s(running.process.pid) - began_processor_s
    after = await running.status()
    decided = after["activity"]["counters"]["policy_decisions"] - before["activity"]["counters"]["policy_decisions"]
    assert after["charts"][0]["path"] == "trading.normal", after["charts"][0]
    assert decided > 0
    return {
        "messages_per_s": round((load.messages - began_messages) / took_s),
        "processor_percent": round(100 * processor / took_s, 1),
        "memory_mb": round(memory_mb(running.process.pid), 1),
        "late_after_1_s": max(late),
        "decisions_per_s": round(decided / took_s),
        "fills": after["fills"] - before["fills"],
    }


def _applied(status: Any) -> int:
    return int(next(feed["messages"] for feed in status["feeds"] if feed["role"] == "orderbook"))


async def _measure_plain(
    port: int, folder: Path, key: KeyPair, tickers: list[Ticker], seconds: float
) -> dict[str, Any]:
    command = [
        sys.executable,
        str(PLAIN),
        str(port),
        key.key_id,
        str(folder / "key.pem"),
        str(NEVER),
        ",".join(tickers),
    ]
    process = await trio.lowlevel.open_process(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        books = 0
        while books < len(tickers):
            line = (await process.stdout.receive_some()).decode()
            assert line, "the plain client ended"
            books = int(line.split()[-1])
        began_s, began_processor_s = trio.current_time(), processor_s(process.pid)
        await trio.sleep(seconds)
        share = (processor_s(process.pid) - began_processor_s) / (trio.current_time() - began_s)
        return {"processor_percent": round(100 * share, 1), "memory_mb": round(memory_mb(process.pid), 1)}
    finally:
        process.kill()
        await process.wait()


async def measure(markets: int, per_s: float, seconds: float, settle_s: float) -> dict[str, Any]:
    exchange, fair = empty_exchange(markets)
    load = Load(exchange, fair, per_s)
    server = served(exchange, [])
    key = server.join(CASH, kind="rsa")
    tickers = tuple(fair)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, key)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            async with trading(folder, environment(folder, tickers, key, port)) as running:
                nursery.start_soon(load.run)
                await trio.sleep(settle_s)
                report = await _measure_daemon(running, load, seconds)
            report["plain"] = await _measure_plain(port, folder, key, tickers, seconds / 3)
            nursery.cancel_scope.cancel()
    return report


def run(*, short: bool) -> dict[str, Any]:
    markets, per_s, seconds, settle_s = (50, 100.0, 5.0, 1.0) if short else (1_000, 2_000.0, 60.0, SETTLE_S)
    report = trio.run(measure, markets, per_s, seconds, settle_s)
    return {
        "what": f"{markets} markets, {per_s:.0f} messages a second for {seconds:.0f} s, the policy deciding",
        **report,
        "ratio_to_plain": round(report["processor_percent"] / report["plain"]["processor_percent"], 2),
        "goals": {
            "processor_percent": goal(report["processor_percent"], SHARE_GOAL, least=False),
            "memory_mb": goal(report["memory_mb"], MEMORY_GOAL_MB, least=False),
            "late_after_1_s": goal(report["late_after_1_s"], LATE_GOAL, least=False),
        },
    }
