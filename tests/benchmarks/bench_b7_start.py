"""B7, start: the real process, from its spawning to the log line that says `trading`, against the emulator. Warm files.

`new` starts with an empty state directory; `restored` with a journal of real facts and a snapshot as old as one is on
the average when a process is killed, `replayed` with the journal alone, as after an upgrade, which preflight verifies
and folds whole: orders that were filled and given up again, so that what the journal leads to is an account without
positions, and the emulator's has the same cash. Each start has an exchange and an account of its own.

The references, in the same rounds: the same interpreter until it has imported the libraries that `run` imports, and
until it has imported `run` itself (all that a start can do nothing about but to import less). Both are processes, timed
from their spawning to their first line.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from attrs import frozen
from daemon_process import CASH, LOOPBACK, ROOT, SERIES, VARIABLES, environment, lay_out, quiet_server, trading
from harness import ROUNDS, goal

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import remember
from kalshi_daemon.emulator.server import run_emulator
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountFact,
    AccountOpened,
    FillSeen,
    OrderAcknowledged,
    OrderIntended,
    OrderSeen,
    OrderSent,
    OrderSpec,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.limits import SNAPSHOT_EVENTS
from kalshi_daemon.run import JOURNAL
from kalshi_daemon.shell.clock import SystemClock
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.snapshot_file import Snapshot, code, snapshots_of, write_snapshot
from kalshi_daemon.units import CONTRACT, BookSide, Milliseconds, Money, TimeInForce

RUN_ID: Final = "bench00001"
AGO_MS: Final[Milliseconds] = 30 * 86_400_000  # the journal's first fact
STEP_MS: Final[Milliseconds] = 20_000  # between two orders of it
NEW_S, RESTORED_S = 2.0, 3.0
LIBRARIES: Final = (
    "attrs, certifi, cryptography.hazmat.primitives.asymmetric.rsa, environ, h11, httpcore, httpx, msgspec, numpy, "
    "onnxruntime, prometheus_client, structlog, transitions, trio, trio_websocket, wsproto"
)


# ---- a journal


def facts(count: int, now_ms: Milliseconds) -> Iterator[AccountFact]:
    """So many facts of one run: an account, then orders for five contracts, bought and given up again in turn."""
    at_ms = now_ms - AGO_MS
    yield RunStarted(at_ms, RUN_ID, "0.1.0")
    yield AccountOpened(at_ms, ((0, CASH),), ())
    yield AccountAgreed(at_ms, at_ms, ((0, CASH),), 0, 0)
    left, number = count - 3, 0
    while left >= 10:  # a pair of orders
        for side in (BookSide.BID, BookSide.ASK):
            number += 1
            at_ms += STEP_MS
            yield from _order(number, side, at_ms)
        left -= 10
    for _ in range(left):
        yield StateChanged(at_ms, "orderbook_feed", "streaming.current", "streaming.syncing", "gap_found")


def _order(number: int, side: BookSide, at_ms: Milliseconds) -> Iterator[AccountFact]:
    """An order that is filled at once: intended, sent, answered, filled, seen."""
    reduces = side is BookSide.ASK
    market, price, count = f"{SERIES}-DAY{(number + 1) // 2 % 100}-T1", 5_000, 5 * CONTRACT
    client_order_id, order_id = f"kd-{RUN_ID}-{number}", f"9b0f6b43-5b68-4f9f-9f02-{number:012d}"
    fee = 87_500
    spec = OrderSpec(market, side, price, count, TimeInForce.IMMEDIATE_OR_CANCEL, False, reduces, None, 0)
    reserve = 0 if reduces else price * count + fee
    observation = "A" * 280  # as long as 52 float32 are
    yield OrderIntended(at_ms, number, client_order_id, spec, reserve, "policy", number, "0" * 64, observation)
    yield OrderSent(at_ms + 1, client_order_id)
    yield OrderAcknowledged(at_ms + 40, client_order_id, order_id, count, 0, at_ms + 20)
    trade_id = f"4c1d2e3f-0a1b-4c2d-8e3f-{number:012d}"
    yield FillSeen(
        at_ms + 41, "stream", trade_id, order_id, client_order_id, market, side, price, count, fee, True, at_ms + 20, 0
    )
    seen = ("executed", count, 0, count, at_ms + 20, None, "", 0)
    yield OrderSeen(at_ms + 42, "stream", order_id, client_order_id, market, side, price, *seen)


def write_journal(path: Path, count: int, now_ms: Milliseconds) -> Money:
    """The cash that it leads to; with a snapshot where it is long enough for one."""
    ledger, journal = Ledger(), Journal.open(path, in_place)
    batch = list(facts(count, now_ms))
    for start in range(0, len(batch), 1_000):
        for fact in batch[start : start + 1_000]:
            ledger.apply(fact)
        journal.write(batch[start : start + 1_000])
        if journal.last_seq == count - SNAPSHOT_EVENTS // 2:
            write_snapshot(path, Snapshot(journal.last_seq, journal.checksum, code(), remember(ledger)))
    journal.close()
    assert len(batch) == journal.last_seq == count
    assert not ledger.counts["fills_held"]
    assert not ledger.held
    assert not ledger.live()
    assert not any(position.count for position in ledger.positions.values())
    return ledger.settled_total


# ---- one start


@frozen
class Start:
    """Seconds from spawning to trading, and what passed between, from the daemon's own status."""

    trading_s: float
    parts_s: Mapping[str, float]


async def start(markets: int, journal: Path | None, cash: Money, *, restored: bool = False) -> Start:
    """Start a daemon, see it trade, stop it. `journal` is copied and stays as it is, with its snapshot or without."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, tickers = quiet_server(markets)
        key = server.join(cash)
        lay_out(folder, key)
        if journal is not None:
            for path in (journal, *(snapshots_of(journal) if restored else ())):
                shutil.copy(path, folder / "state")
        async with trio.open_nursery() as nursery:
            port = await nursery.start(run_emulator, LOOPBACK, 0, server)
            async with trading(folder, environment(folder, tickers, key, port)) as running:
                result = Start(running.trading_s, _parts(await running.status(), running.spawned_ms))
            nursery.cancel_scope.cancel()
        kinds = [type(fact).__name__ for _, fact in read_journal(folder / "state" / JOURNAL)]
        assert kinds.count("RunStarted") == 1 + (journal is not None), "the journal was read, and goes on"
    return result


def _parts(status: Any, spawned_ms: Milliseconds) -> dict[str, float]:
    """Seconds until the daemon's object was made, of each check of preflight, and of the states after it."""
    parts = {"interpreter_and_imports": (status["started_ms"] - spawned_ms) / 1e3}
    for step in status["startup"]:
        parts[step["name"]] = step["took_ms"] / 1e3
    for line in status["history"]:
        if line["state"] in {"starting.connecting", "calibrating"}:
            parts[line["state"].rpartition(".")[2]] = line["lasted_ms"] / 1e3
    return parts


def _import(modules: str) -> float:
    """Seconds from spawning an interpreter until it has imported them."""
    began_ns = time.perf_counter_ns()
    code = f"import {modules}; print('done', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **VARIABLES}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        took_s = (time.perf_counter_ns() - began_ns) / 1e9
    assert process.returncode == 0
    return took_s


# ---- the figures


def run(*, short: bool) -> dict[str, Any]:
    markets, events, rounds = (5, 2_000, 1) if short else (100, 100_000, ROUNDS)
    starts: dict[str, list[Start]] = {"new": [], "restored": [], "replayed": []}
    imports: dict[str, list[float]] = {"libraries": [], "code": []}
    with tempfile.TemporaryDirectory() as name:
        journal = Path(name) / "made" / JOURNAL
        cash = write_journal(journal, events, SystemClock().now_ms())
        works: list[Callable[[], None]] = [
            lambda: starts["new"].append(trio.run(start, markets, None, CASH)),
            lambda: starts["restored"].append(trio.run(partial(start, markets, journal, cash, restored=True))),
            lambda: starts["replayed"].append(trio.run(start, markets, journal, cash)),
            lambda: imports["libraries"].append(_import(LIBRARIES)),
            lambda: imports["code"].append(_import("kalshi_daemon.run")),
        ]
        if not short:
            trio.run(start, markets, journal, cash)  # so that the files are warm
        for round_ in range(rounds):
            turn = round_ % len(works)
            for work in (*works[turn:], *works[:turn]):
                work()
    libraries_s = statistics.median(imports["libraries"])
    report: dict[str, Any] = {
        "what": f"spawned to trading, {markets} markets, and the same with a journal of {events} events",
        "libraries_s": round(libraries_s, 3),
        "code_s": round(statistics.median(imports["code"]), 3),
    }
    for name, each in starts.items():
        trading_s = statistics.median(one.trading_s for one in each)
        report[name] = {
            "trading_s": round(trading_s, 3),
            "ratio_to_libraries": round(
                statistics.median(a.trading_s / b for a, b in zip(each, imports["libraries"], strict=True)), 2
            ),
            "parts_s": {
                part: round(statistics.median(one.parts_s[part] for one in each), 3) for part in each[0].parts_s
            },
        }
    report["goals"] = {
        "new_s": goal(report["new"]["trading_s"], NEW_S, least=False),
        "restored_s": goal(report["restored"]["trading_s"], RESTORED_S, least=False),
    }
    return report
