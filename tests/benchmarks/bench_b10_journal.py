"""B10, the journal: durable appends through the event bus, one writer, group commit, every append awaited.

The reference is the fdatasync floor, taken in the same directory in every round, at the pace of `paced`. `crowded` is
many waiting posters in a closed loop; `paced` is one poster, two hundred times a second. The journal is a file, its
commits run in a thread.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import trio
from attrs import frozen
from harness import ROUNDS, fdatasync_floor, goal, quantile

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.facts import Alarmed
from kalshi_daemon.shell.event_bus import EventBus
from kalshi_daemon.shell.journal import Journal
from kalshi_daemon.shell.journal_reader import read_journal

POSTERS = 128
PACE_S = 0.005
P99_MAX_MS = 10.0
OVER_FLOOR_MS = 0.7


@frozen
class Round:
    rate: float  # a second, crowded
    crowded_s: list[float]  # from posting to durable
    paced_s: list[float]
    floor_s: list[float]
    batch: float  # facts a commit, crowded


def _fact(number: int) -> Alarmed:
    """About 158 bytes, the size of a common fact; folding it is nothing, so that the journal is what is measured."""
    return Alarmed(number, "benchmark", f"{number:0120d}")


async def _settle(bus: EventBus, number: int) -> float:
    began_ns = time.perf_counter_ns()
    await bus.settle(_fact(number))
    return (time.perf_counter_ns() - began_ns) / 1e9


async def _measure(path: Path, events: int, paced: int) -> Round:
    journal = Journal.open(path, trio.to_thread.run_sync)
    bus = EventBus(Ledger(), OrderManager(), journal.append, lambda _: None, lambda _: None)
    numbers = iter(range(1, events + paced + 1))
    crowded_s: list[float] = []
    paced_s: list[float] = []

    async def post(times: int) -> None:
        crowded_s.extend([await _settle(bus, next(numbers)) for _ in range(times)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run)
        began_ns = time.perf_counter_ns()
        async with trio.open_nursery() as posters:
            for _ in range(POSTERS):
                posters.start_soon(post, events // POSTERS)
        rate = len(crowded_s) * 1e9 / (time.perf_counter_ns() - began_ns)
        batch = bus.counts["folded"] / bus.counts["batches"]
        for _ in range(paced):
            paced_s.append(await _settle(bus, next(numbers)))
            await trio.sleep(PACE_S)
        nursery.cancel_scope.cancel()
    journal.close()
    written = [fact for _, fact in read_journal(path)]
    assert written == [_fact(number) for number in range(1, len(written) + 1)]
    assert len(written) == len(crowded_s) + len(paced_s)
    return Round(rate, crowded_s, paced_s, fdatasync_floor(path.parent, paced, PACE_S), batch)


def run(*, short: bool) -> dict[str, Any]:
    events, paced = (POSTERS * 8, 10) if short else (POSTERS * 200, 200)
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            rounds.append(trio.run(_measure, Path(directory) / "state" / "journal.db", events, paced))
    rate = round(statistics.median(each.rate for each in rounds))
    p99_ms = round(statistics.median(quantile(each.crowded_s, 0.99) for each in rounds) * 1e3, 3)
    over_ms = statistics.median(quantile(each.paced_s, 0.5) - quantile(each.floor_s, 0.5) for each in rounds) * 1e3
    return {
        "what": f"durable appends, {POSTERS} posters, {events} events a round, then {paced} paced at 200/s",
        "appends_per_second": rate,
        "facts_per_commit": round(statistics.median(each.batch for each in rounds), 1),
        "crowded_p99_ms": p99_ms,
        "paced_p50_ms": round(statistics.median(quantile(each.paced_s, 0.5) for each in rounds) * 1e3, 3),
        "paced_fdatasync_p50_ms": round(statistics.median(quantile(each.floor_s, 0.5) for each in rounds) * 1e3, 3),
        "goals": {
            "appends_per_second": goal(rate, 20_000, least=True),
            "crowded_p99_ms": goal(p99_ms, P99_MAX_MS, least=False),
            "paced_over_floor_ms": goal(round(over_ms, 3), OVER_FLOOR_MS, least=False),
        },
    }
