"""Measuring two things beside each other on a machine that drifts.

Rules: variants run in rounds, slice by slice in turn, in an order that turns from round to round; a ratio is taken
within a round, and the median of the rounds is told. Comparisons count the thread's own time on a processor, so that
what else runs there counts less; latencies are by the wall's clock. Every report carries the machine's load and its
fdatasync floor, since figures without them compare nothing.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

ROUNDS = 5
FLOOR_WRITES = 200
FLOOR_BYTES = 158  # a common fact


@frozen
class Variant:
    """`work` gets ready until its first yield, and does an equal slice of `operations` until each of the next."""

    name: str
    operations: int
    work: Callable[[], Iterator[None]]


@frozen
class Comparison:
    """Rates a second, by variant and round; the first variant is the reference."""

    rates: Mapping[str, Sequence[float]]

    def rate(self, name: str) -> float:
        return statistics.median(self.rates[name])

    def ratio(self, name: str) -> float:
        reference = next(iter(self.rates))
        return statistics.median(a / b for a, b in zip(self.rates[name], self.rates[reference], strict=True))

    def report(self) -> dict[str, Any]:
        return {
            name: {"per_second": round(self.rate(name)), "ratio": round(self.ratio(name), 2)} for name in self.rates
        }


def compare(variants: Sequence[Variant], rounds: int = ROUNDS) -> Comparison:
    rates: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for round_ in range(rounds):
        turn = round_ % len(variants)
        order = (*variants[turn:], *variants[:turn])
        for name, took_ns in _round({variant.name: variant.work() for variant in order}).items():
            operations = next(variant.operations for variant in variants if variant.name == name)
            rates[name].append(operations * 1e9 / took_ns)
    return Comparison(rates)


def _round(works: Mapping[str, Iterator[None]]) -> dict[str, int]:
    """Nanoseconds of our own thread on a processor, summed over the slices; ends when the works do, all at once."""
    took_ns = dict.fromkeys(works, 0)
    for work in works.values():
        next(work)
    gc.collect()
    going = True
    while going:
        for name, work in works.items():
            began_ns = time.thread_time_ns()
            going = next(work, work) is None  # a work that is over gives itself
            if going:
                took_ns[name] += time.thread_time_ns() - began_ns
    return took_ns


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def goal(figure: float, wanted: float, *, least: bool) -> dict[str, Any]:
    """A figure beside what it should reach."""
    return {"figure": figure, "goal": wanted, "reached": figure >= wanted if least else figure <= wanted}


def fdatasync_floor(directory: Path, writes: int = FLOOR_WRITES, pause_s: float = 0.0) -> list[float]:
    """Seconds of an append made durable with nothing around it, one by one: what no journal there can beat. After a
    pause it takes longer: processor and disk have gone to rest.
    """
    path = directory / "floor"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    took = []
    try:
        for _ in range(writes):
            began_ns = time.perf_counter_ns()
            os.write(descriptor, b"x" * FLOOR_BYTES)
            os.fdatasync(descriptor)
            took.append((time.perf_counter_ns() - began_ns) / 1e9)
            time.sleep(pause_s)
    finally:
        os.close(descriptor)
        path.unlink()
    return took


def machine(directory: Path) -> dict[str, Any]:
    """Where and in which company the figures were taken."""
    floor = fdatasync_floor(directory)
    return {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "fdatasync_us": {share: round(quantile(floor, at) * 1e6) for share, at in (("p50", 0.5), ("p99", 0.99))},
    }
