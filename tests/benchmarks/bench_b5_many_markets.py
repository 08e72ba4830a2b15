"""B5, many markets: 1,000 markets, 2,000 messages a second, the shipped policy deciding; the real process.

A crowd in this process trades on the emulated exchange, as often as the rate asks for, spread evenly over time. Told
are the daemon's share of one processor and its greatest resident memory, both of its own process, and how many messages
that had been written to its sockets were not applied a second later, the worst of several looks.

What makes a run count: the crowd gives way to the writers, so that what the exchange says is also written; frames are
counted where they are written, and in the end every one of them was applied, or the benchmark fails; a full run of
which less was written than the rate asks for fails too, since its load starved and its figures say nothing.

The reference, after it in the same run and at the same rate: a process that reads the frames with `json.loads` into
dicts, and does nothing else.
"""

from __future__ import annotations

import os
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
TURN_MESSAGES: Final = 20  # after so many the writers have their turn, also where the crowd is behind
CROWD_MS: Final[Milliseconds] = 1  # of the crowd's own time; it is as fast as the rate asks for
SETTLE_S: Final = 10.0  # at the full rate before anything is measured: windows are full, what starts slowly has started
LOOKS: Final = 5  # for messages that are late
LATE_S: Final = 1.0
RATE_LEAST: Final = 0.98  # of what is asked for must have been written
WRITTEN_WAIT_S: Final = 30.0  # for what was said to be written and applied, once the crowd is still
SHARE_GOAL, MEMORY_GOAL_MB, LATE_GOAL = 35.0, 250.0, 0.0
NEVER: Final = 1e9  # contracts of a change that the plain client orders on
PLAIN: Final = Path(__file__).with_name("plain_client.py")


class Load:
    """A crowd that makes the exchange say so much a second."""

    def __init__(self, exchange: Exchange, fair: dict[Ticker, Price], per_s: float) -> None:
        self.messages = 0  # changes of levels, and trades: each is a frame
        self._per_s = per_s
        self._crowd = Crowd(exchange, fair, CrowdSettings(events_per_s=1.0), random.Random(1))
        self._crowd_ms: Milliseconds = 0
        self._crowd.step(0)
        exchange.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LevelChanged | Traded):
            self.messages += 1

    async def run(self) -> None:
        began_s, before = trio.current_time(), self.messages
        while True:
            await trio.sleep(STEP_S)
            due = before + (trio.current_time() - began_s) * self._per_s
            while self.messages < due:
                until = min(due, self.messages + TURN_MESSAGES)
                while self.messages < until:
                    self._crowd_ms += CROWD_MS
                    self._crowd.step(self._crowd_ms)
                await trio.lowlevel.checkpoint()


class Written:
    """The frames of changes and trades that were written to the sockets of the exchange, counted at the bytes."""

    KINDS: Final = (b'"type":"orderbook_delta"', b'"type":"trade"')

    def __init__(self) -> None:
        self.frames = 0

    def tap(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        return CountingStream(stream, self)

    def count(self, data: bytes) -> None:
        self.frames += sum(map(data.count, self.KINDS))


class CountingStream(trio.abc.Stream):
    """The exchange's end of one connection."""

    def __init__(self, stream: trio.abc.Stream, written: Written) -> None:
        self._stream, self._written = stream, written

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self._written.count(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _measure_daemon(running: Running, load: Load, written: Written, seconds: float) -> dict[str, Any]:
    """At the load that goes on. The looks are part of what it costs."""
    before = await running.status()
    began_s, began_frames = trio.current_time(), written.frames
    began_processor_s, began_exchange_s = processor_s(running.process.pid), processor_s(os.getpid())
    late = []
    for _ in range(LOOKS):
        await trio.sleep(max(0.0, seconds / LOOKS - LATE_S))
        known = written.frames
        await trio.sleep(LATE_S)
        late.append(max(0, known - _applied(await running.status())))
    took_s = trio.current_time() - began_s
    processor = processor_s(running.process.pid) - began_processor_s
    exchange = processor_s(os.getpid()) - began_exchange_s
    after = await running.status()
    decided = _counters(after)["policy_decisions"] - _counters(before)["policy_decisions"]
    assert after["charts"][0]["path"] == "trading.normal", after["charts"][0]
    assert decided > 0
    return {
        "messages_per_s": round((written.frames - began_frames) / took_s),
        "unwritten": load.messages - written.frames,
        "processor_percent": round(100 * processor / took_s, 1),
        "exchange_percent": round(100 * exchange / took_s, 1),
        "memory_mb": round(memory_mb(running.process.pid), 1),
        "late_after_1_s": max(late),
        "decisions_per_s": round(decided / took_s),
        "fills": after["session"]["fills"] - before["session"]["fills"],
    }


async def _settled(running: Running, written: Written) -> None:
    """The crowd is still: at a look in which nothing is written, every frame that was is applied, and no other."""
    status: Any = None
    known = -1
    with trio.move_on_after(WRITTEN_WAIT_S):
        while status is None or not _applied(status) == known == written.frames:
            known = written.frames  # the daemon's own orders still change books
            status = await running.status()
    counters = _counters(status)
    assert _applied(status) == known, f"{known} frames written, applied: {counters}"
    assert not counters["book_gaps"], counters
    assert not counters["session_unread"], counters


def _counters(status: Any) -> dict[str, int]:
    return dict(status["activity"]["counters"])


def _applied(status: Any) -> int:
    """Changes and trades; a change that comes before its book was proven is part of no later snapshot's count."""
    counters = _counters(status)
    return counters["book_deltas"] + counters["book_unproven"] + counters["book_trades"]


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
    load, written = Load(exchange, fair, per_s), Written()
    server = served(exchange, [])
    key = server.join(CASH, kind="rsa")
    handle = server.handle
    server.handle = lambda stream: handle(written.tap(stream))  # type: ignore[method-assign]
    tickers = tuple(fair)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, key)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            async with trading(folder, environment(folder, tickers, key, port)) as running:
                with trio.CancelScope() as crowding:
                    async with trio.open_nursery() as crowd:
                        crowd.start_soon(load.run)
                        await trio.sleep(settle_s)
                        report = await _measure_daemon(running, load, written, seconds)
                        crowding.cancel()
                await _settled(running, written)
            nursery.start_soon(load.run)
            report["plain"] = await _measure_plain(port, folder, key, list(fair), seconds / 3)
            nursery.cancel_scope.cancel()
    return report


def run(*, short: bool) -> dict[str, Any]:
    markets, per_s, seconds, settle_s = (50, 100.0, 5.0, 1.0) if short else (1_000, 2_000.0, 60.0, SETTLE_S)
    report = trio.run(measure, markets, per_s, seconds, settle_s)
    starved = f"{report['messages_per_s']} messages a second were written of {per_s:.0f}: the load starved"
    assert short or report["messages_per_s"] >= RATE_LEAST * per_s, f"{starved}, and the figures say nothing"
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
