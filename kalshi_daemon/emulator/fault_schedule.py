"""Which faults are planned, which of them act now, and how often each has: the one place that draws.

Rules: a schedule is a function of its generator and of the occasions it is asked about; without faults nothing is
drawn. It may be changed at any time. Times count from when a fault was added, by the clock that it is handed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from attrs import define

from kalshi_daemon.emulator.bounds import FAULTS_MAX
from kalshi_daemon.emulator.fault_figures import FaultRefused
from kalshi_daemon.emulator.faults import Fault, Kind, PlannedFault
from kalshi_daemon.units import Milliseconds


@define(eq=False)
class ScheduledFault:
    """One that was added: its number, since when, and how often it bit."""

    number: int
    planned: PlannedFault
    since_ms: Milliseconds
    bites: int = 0

    def acts(self, now_ms: Milliseconds) -> bool:
        """Whether it may act now, chance aside."""
        planned, age_ms = self.planned, now_ms - self.since_ms
        if age_ms < planned.from_ms or (planned.to_ms is not None and age_ms >= planned.to_ms):
            return False
        return planned.times is None or self.bites < planned.times


class FaultSchedule:
    """`bite` is asked on each occasion and counts; `in_force` is asked about a state and does not."""

    def __init__(
        self, now_ms: Callable[[], Milliseconds], rng: random.Random, planned: Iterable[PlannedFault] = ()
    ) -> None:
        self.rng = rng
        self._now_ms = now_ms
        self._scheduled: dict[int, ScheduledFault] = {}
        self._added = 0
        for each in planned:
            self.add(each)

    def add(self, planned: PlannedFault) -> int:
        """Its number. Raises FaultRefused where there are too many."""
        if len(self._scheduled) >= FAULTS_MAX:
            raise FaultRefused(f"{FAULTS_MAX} faults are planned already: clear some")
        self._added += 1
        self._scheduled[self._added] = ScheduledFault(self._added, planned, self._now_ms())
        return self._added

    def clear(self, number: int | None = None) -> int:
        """Take one away, or all; how many there were."""
        numbers = list(self._scheduled) if number is None else [number]
        return sum(self._scheduled.pop(each, None) is not None for each in numbers)

    @property
    def scheduled(self) -> tuple[ScheduledFault, ...]:
        return tuple(self._scheduled.values())

    def acts(self, scheduled: ScheduledFault) -> bool:
        return scheduled.acts(self._now_ms())

    def bites(self, kind: Kind) -> int:
        """How often faults of this kind, of those that are planned, have acted."""
        return sum(each.bites for each in self._scheduled.values() if each.planned.fault.kind == kind)

    def bite(self, kind: Kind, fits: Callable[[Fault], bool] = lambda _fault: True) -> Fault | None:
        """The fault that acts on this occasion, if one does: the first added of those whose luck it is."""
        if not self._scheduled:
            return None
        now_ms = self._now_ms()
        for each in self._scheduled.values():
            fault = each.planned.fault
            if fault.kind != kind or not fits(fault) or not each.acts(now_ms):
                continue
            if each.planned.percent >= 100 or self.rng.uniform(0, 100) < each.planned.percent:
                each.bites += 1
                return fault
        return None

    def in_force(self, kind: Kind) -> Fault | None:
        """The fault of the exchange's state that holds now: the first added."""
        if not self._scheduled:
            return None
        now_ms = self._now_ms()
        for each in self._scheduled.values():
            fault = each.planned.fault
            if fault.kind == kind and each.acts(now_ms):
                return fault
        return None
