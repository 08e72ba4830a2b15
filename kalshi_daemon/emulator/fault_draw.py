"""Schedules drawn at random from a seed, for simulations that are to meet whatever there is.

Rule: every fault drawn ends within the time asked for, so that a run can be looked at after it.
"""

from __future__ import annotations

import random
from typing import Final

from attrs import evolve

from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import STATE, Fault, PlannedFault
from kalshi_daemon.units import SECOND_MS

FAULTS: Final = (3, 8)  # drawn for one run
# How likely each is, of the occasions that it meets.
PERCENTS: Final = {"upgrade": 80, "request": 10, "frame": 2, "connection": 1, "handshake": 50, "network": 50}
FIGURES: Final = (
    *("upgrade:429", "upgrade:502", "upgrade:503", "error:429", "error:500", "error:503", "error:504"),
    *("dropped", "dropped:POST", "late:3", "lost", "lost:POST", "lost:DELETE", "masked:503", "masked:502", "slow:1"),
    *("slow:3", "slow:30", "truncated", "garbled", "gap", "duplicate", "reorder", "overflow", "reset", "half-open"),
    *("stalled:2", "stalled:20", "stale:1", "stale:4", "clock:40", "clock:-40", "pause", "maintenance", "dns", "tls"),
)


def draw_faults(rng: random.Random, seconds: float) -> tuple[PlannedFault, ...]:
    """A few faults, each some part of `seconds` long."""
    return tuple(_draw(parse_fault(rng.choice(FIGURES)).fault, rng, seconds) for _ in range(rng.randint(*FAULTS)))


def _draw(fault: Fault, rng: random.Random, seconds: float) -> PlannedFault:
    begins, ends = sorted(rng.sample(range(round(seconds * SECOND_MS) + 1), 2))
    planned = PlannedFault(fault, begins, ends)
    return planned if fault.kind.place == STATE else evolve(planned, percent=PERCENTS[fault.kind.place])
