"""B8, reconnect: from a dropped socket until every book is current again; the emulator here, the daemon in another
process, loopback between them.

The exchange drops both sockets of the daemon at once. The times are those of its own log: when the loss was known, when
the socket of the books was dialled again, and when all of them were proven. The back-off between the first two is drawn
on purpose, and told beside the figure. A round ends when both sockets are live.

The reference, in the same rounds: a client that dials, subscribes and reads as many snapshots with `json.loads` into
dicts, with nothing else around it. It runs beside the emulator in one process, which costs it something.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import trio
import trio_websocket
from attrs import frozen
from daemon_process import CASH, LOOPBACK, Running, environment, lay_out, quiet_server, stream_url, trading
from harness import goal

from kalshi_daemon.emulator.server import EmulatorServer, run_emulator
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.signer import Signer, signer_from_pem
from kalshi_daemon.units import SECOND_MS
from kalshi_daemon.wire.feed import path_of

GOAL_MS: Final = 300.0
ROUNDS: Final = 8  # the back-off doubles with each of them
SOCKETS: Final = ("market", "account")
BOOKS: Final = "orderbook_feed"
WAIT_S: Final = 60.0  # longer than any back-off


@frozen
class Reconnected:
    """Milliseconds of one round."""

    lost: float
    back_off: float
    current: float


class Steps:
    """What the charts of the daemon entered since the last drop, with the moment that its log says."""

    def __init__(self) -> None:
        self._entered_ms: dict[tuple[str, str], int] = {}  # by chart and state, the last time
        self._more = trio.Event()

    def note(self, step: dict[str, str]) -> None:
        at_ms = round(datetime.fromisoformat(step["time"]).timestamp() * SECOND_MS)
        self._entered_ms[step["chart"], step["entered"]] = at_ms
        self._more.set()
        self._more = trio.Event()

    def begin(self) -> None:
        self._entered_ms.clear()

    async def entered_ms(self, chart: str, state: str) -> int:
        """Waits for it."""
        with trio.fail_after(WAIT_S):
            while (chart, state) not in self._entered_ms:
                await self._more.wait()
        return self._entered_ms[chart, state]


async def reconnect(server: EmulatorServer, steps: Steps) -> Reconnected:
    steps.begin()
    dropped_ms = SystemClock().now_ms()
    assert server.drop_streams() == len(SOCKETS)
    lost_ms = await steps.entered_ms("market", "backing_off")
    current_ms = await steps.entered_ms(BOOKS, "streaming.current")
    for socket in SOCKETS:
        await steps.entered_ms(socket, "session.live")
    dialled_ms = await steps.entered_ms("market", "session.connecting")
    return Reconnected(lost_ms - dropped_ms, dialled_ms - lost_ms, current_ms - dialled_ms)


async def plain(url: str, signer: Signer, tickers: tuple[str, ...]) -> float:
    """Milliseconds of the reference, for as many books."""
    began_ns = time.perf_counter_ns()
    headers = signer.headers("GET", path_of(url), SystemClock().now_ms())
    books: dict[str, object] = {}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with trio_websocket.open_websocket_url(url, extra_headers=pairs) as socket:
        params = {"channels": ["orderbook_delta"], "market_tickers": list(tickers)}
        await socket.send_message(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        while len(books) < len(tickers):
            frame = json.loads(await socket.get_message())
            if frame["type"] == "orderbook_snapshot":
                msg = frame["msg"]
                books[msg["market_ticker"]] = (dict(msg["yes_dollars_fp"]), dict(msg["no_dollars_fp"]))
        return (time.perf_counter_ns() - began_ns) / 1e6


async def _until_proven(running: Running, markets: int) -> None:
    with trio.fail_after(WAIT_S):
        while (await running.status())["activity"]["gauges"]["books_usable"] < markets:  # noqa: ASYNC110 - as below
            await trio.sleep(0.1)


async def measure(markets: int, rounds: int) -> tuple[list[Reconnected], list[float]]:
    server, tickers = quiet_server(markets)
    key = server.join(CASH, kind="rsa")
    signer = signer_from_pem(key.key_id, key.private_pem, "the key in memory")
    ours, theirs, steps = [], [], Steps()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, key)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            async with trading(folder, environment(folder, tickers, key, port)) as running:
                await _until_proven(running, markets)
                running.on_step = steps.note
                for _ in range(rounds):
                    ours.append(await reconnect(server, steps))
                    await _until_proven(running, markets)
                    theirs.append(await plain(stream_url(port), signer, tickers))
                    with trio.fail_after(WAIT_S):
                        while server.streams > len(SOCKETS):  # noqa: ASYNC110 - it tells nobody that a stream ended
                            await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    return ours, theirs


def run(*, short: bool) -> dict[str, Any]:
    markets, rounds = (10, 1) if short else (100, ROUNDS)
    ours, theirs = trio.run(measure, markets, rounds)
    current_ms = statistics.median(each.current for each in ours)
    return {
        "what": f"dial after a dropped socket to {markets} books current, and a plain client's as many snapshots",
        "lost_ms": statistics.median(each.lost for each in ours),
        "current_ms": current_ms,
        "back_off_ms": [each.back_off for each in ours],
        "plain_ms": round(statistics.median(theirs), 1),
        "ratio_to_plain": round(statistics.median(a.current / b for a, b in zip(ours, theirs, strict=True)), 2),
        "goals": {"current_ms": goal(current_ms, GOAL_MS, least=False)},
    }
