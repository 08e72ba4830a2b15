"""The schedule: when a fault acts, by which chance, how often, and what it counts."""

from __future__ import annotations

import random

import pytest
from attrs import define

from kalshi_daemon.emulator.bounds import FAULTS_MAX
from kalshi_daemon.emulator.fault_draw import draw_faults
from kalshi_daemon.emulator.fault_figures import FaultRefused
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault, write_fault
from kalshi_daemon.emulator.faults import FRAME_LOST, MAINTENANCE, OVERFLOW, REQUEST_REFUSED


@define
class Clock:
    ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.ms


def schedule(*texts: str, seed: int = 1, clock: Clock | None = None) -> FaultSchedule:
    return FaultSchedule((clock or Clock()).now_ms, random.Random(seed), map(parse_fault, texts))


def test_a_fault_acts_in_its_time() -> None:
    """From its first moment to before its last, counted from when it was added."""
    clock = Clock()
    faults = schedule(clock=clock)
    clock.ms += 5_000
    faults.add(parse_fault("gap@10-20"))
    began = clock.ms
    for at_ms, acts in ((0, False), (9_999, False), (10_000, True), (19_999, True), (20_000, False)):
        clock.ms = began + at_ms
        assert (faults.bite(FRAME_LOST) is not None) is acts
    assert faults.bites(FRAME_LOST) == 2


def test_a_fault_acts_so_many_times() -> None:
    """The count is exact, whatever the chance, and is shown."""
    faults = schedule("gap%30x3")
    assert sum(faults.bite(FRAME_LOST) is not None for _ in range(1_000)) == 3
    assert [(each.number, each.bites, faults.acts(each)) for each in faults.scheduled] == [(1, 3, False)]


def test_chance_is_the_seeds() -> None:
    """Half of the occasions is about half, the same for the same seed, another for another."""

    def bitten(seed: int) -> list[bool]:
        faults = schedule("overflow%50", seed=seed)
        return [faults.bite(OVERFLOW) is not None for _ in range(200)]

    assert bitten(1) == bitten(1)
    assert bitten(1) != bitten(2)
    assert 60 < sum(bitten(1)) < 140


def test_without_a_chance_nothing_is_drawn() -> None:
    """Faults that are absent, over, of another kind or certain leave the generator as it was."""
    faults = schedule("gap", "overflow@5-6%50")
    before = faults.rng.getstate()
    assert faults.bite(FRAME_LOST)
    assert faults.bite(OVERFLOW) is None
    assert faults.bite(REQUEST_REFUSED) is None
    assert faults.rng.getstate() == before


def test_the_first_that_fits_acts() -> None:
    """Of two faults of a kind the first whose condition holds bites, and only it counts."""
    faults = schedule("error:503:/a", "error:502")
    for path, status in (("/a", 503), ("/b", 502)):
        refused = faults.bite(REQUEST_REFUSED, lambda fault, path=path: fault.target in path)  # type: ignore[misc]
        assert refused is not None
        assert refused.status == status
    assert [each.bites for each in faults.scheduled] == [1, 1]


def test_a_state_is_looked_at_without_being_counted() -> None:
    """`in_force` says what holds and counts nothing."""
    faults = schedule("maintenance@0-1")
    assert faults.in_force(MAINTENANCE) == MAINTENANCE()
    assert faults.bites(MAINTENANCE) == 0


def test_faults_are_cleared_one_or_all() -> None:
    """By number or altogether; numbers are not used again; there is a most."""
    faults = schedule("gap", "reset", "overflow")
    assert (faults.clear(2), faults.clear(2)) == (1, 0)
    assert [each.number for each in faults.scheduled] == [1, 3]
    assert faults.clear() == 2
    assert [faults.add(parse_fault("gap")) for _ in range(FAULTS_MAX)] == list(range(4, FAULTS_MAX + 4))
    with pytest.raises(FaultRefused, match="100 faults are planned already"):
        faults.add(parse_fault("gap"))


@pytest.mark.parametrize("seed", range(50))
def test_a_drawn_schedule_is_the_seeds_and_ends(seed: int) -> None:
    """The same seed draws the same faults; each reads back and ends within the time asked for."""
    drawn = draw_faults(random.Random(seed), 60.0)
    assert drawn == draw_faults(random.Random(seed), 60.0)
    assert [parse_fault(write_fault(each)) for each in drawn] == list(drawn)
    assert all(each.to_ms is not None and each.to_ms <= 60_000 for each in drawn)
