"""How a daemon ends: asked to at any step, by a crash of a part, by an exception that nobody foresaw."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import trio
from attrs import evolve

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.runner import Stay
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_CRASHED, EXIT_FAILED, EXIT_STOPPED, OperatingError
from kalshi_daemon.facts import AccountFact
from kalshi_daemon.simulation.virtual_day import Stage, VirtualRun, run_virtually

QUIET = WorldSettings(crowd=CrowdSettings(events_per_s=0.1))
TO_THE_END = ("stopping.draining", "stopping.sealing", "stopped")


Logged = Sequence[MutableMapping[str, Any]]


def run_with(change: Callable[[Stage], None], seconds: float = 5.0) -> tuple[VirtualRun, Logged, Stage]:
    """Change something before the first step; the run, what it logged, and the stage afterwards."""
    stages: list[Stage] = []

    async def scenario(stage: Stage) -> None:
        stages.append(stage)
        change(stage)
        await trio.sleep(seconds)

    with structlog.testing.capture_logs() as logged:
        run = run_virtually(1, scenario, QUIET)
    return run, logged, stages[0]


def causes(logged: Logged) -> list[str]:
    return [line["cause"] for line in logged if line["event"] == "ended"]


def closed(stage: Stage) -> bool:
    """Whether the journal was closed: it says so to whoever writes."""
    journal = stage.daemon.parts.journal
    assert journal is not None
    with pytest.raises(OperatingError, match="is closed"):
        journal.write([SimpleNamespace()])  # type: ignore[list-item]
    return True


def test_a_stop_at_every_step_of_the_start_is_a_clean_end() -> None:
    """Asked before the first step, after some of the first turns of the scheduler, and as soon as each state of the
    way to trading is entered: nothing crashes, and all is verified.
    """

    async def after_turns(stage: Stage, count: int) -> None:
        for _ in range(count):
            await trio.lowlevel.checkpoint()

    async def after_steps(stage: Stage, count: int) -> None:
        taken, tell, left = trio.Event(), stage.daemon.surface.stepped, count

        def stepped(chart: str, step: Step) -> None:
            nonlocal left
            tell(chart, step)
            left -= chart == "trader"
            if left == 0 and not taken.is_set():
                taken.set()
                found.append(stage.daemon.runner.innermost)

        stage.daemon.surface.stepped = stepped  # type: ignore[method-assign]
        await taken.wait()

    found: list[str] = []
    moments = [(after_turns, turns) for turns in range(0, 60, 3)] + [(after_steps, steps) for steps in range(1, 5)]
    for seed, (moment, count) in enumerate(moments):
        with structlog.testing.capture_logs() as logged:
            run = run_virtually(seed, partial(moment, count=count), QUIET)
        assert [line for line in logged if line["log_level"] == "error"] == []
        assert (run.exit_code, run.violated, run.states[-3:]) == (EXIT_STOPPED, (), TO_THE_END)
    assert found == ["starting.preflight", "starting.connecting", "calibrating", "trading.normal"]


def test_a_journal_that_cannot_be_opened_ends_it_whoever_asks_first() -> None:
    """77, also where a stop was asked before: there is no bus that could ever drain."""
    for asked in (False, True):

        def change(stage: Stage, asked: bool = asked) -> None:
            parts = stage.daemon.parts
            parts.seams = evolve(parts.seams, journal=Path(__file__) / "no-directory" / "journal")
            if asked:
                stage.daemon.stop()

        run, logged, stage = run_with(change)
        assert (run.exit_code, run.states[-1], causes(logged)) == (EXIT_FAILED, "failed", [])
        assert str(stage.daemon.tasks.ended_by).startswith("the state directory ")


def test_an_exception_that_nobody_foresaw_is_one_line_and_the_journal_is_closed() -> None:
    """A mistake in what hears the charts: exit code 1, its place in one line, and nothing stays open."""

    def change(stage: Stage) -> None:
        def stepped(chart: str, step: object) -> None:
            if stage.daemon.runner.is_in("calibrating"):
                raise LookupError(f"a mistake in {chart}")

        stage.daemon.surface.stepped = stepped  # type: ignore[method-assign]

    run, logged, stage = run_with(change)
    assert run.exit_code == EXIT_CRASHED
    assert len(causes(logged)) == 1
    assert causes(logged)[0].startswith("LookupError: a mistake in ")
    assert "(test_endings.py:" in causes(logged)[0]
    assert closed(stage)


def test_a_journal_that_takes_no_more_ends_it() -> None:
    """A full disk: what was not durable never left, the process ends with 1 and names the cause in an alarm."""

    def change(stage: Stage) -> None:
        bus = stage.daemon.parts.bus
        append = bus._append

        async def fails(facts: Sequence[AccountFact]) -> int:
            if stage.daemon.runner.is_in("trading"):
                raise OperatingError("the disk is full")
            return await append(facts)

        bus._append = fails

    run, logged, stage = run_with(change, 30.0)
    assert (run.exit_code, run.states[-1], run.fills, causes(logged)) == (EXIT_CRASHED, "failed", 0, [])
    alarms = [line["text"] for line in logged if line["event"] == "alarm"]
    assert "OperatingError: the disk is full" in alarms[0]
    assert alarms[0].endswith("service_lost")
    assert closed(stage)


def test_a_service_that_is_lost_is_a_failure_with_its_last_words() -> None:
    """The order writer crashes: failed, and the journal's last facts are the alarm and the state."""
    heard: list[AccountFact] = []

    def change(stage: Stage) -> None:
        async def crash(_stay: Stay) -> None:
            await trio.sleep(2)
            raise RuntimeError("a mistake in the writer")

        stage.daemon.runner._invokes["order_writer"] = crash  # type: ignore[index]
        bus = stage.daemon.parts.bus
        append = bus._append

        async def listen(facts: Sequence[AccountFact]) -> int:
            heard.extend(facts)
            return await append(facts)

        bus._append = listen

    run, logged, stage = run_with(change)
    assert (run.exit_code, run.states[-1], causes(logged)) == (EXIT_CRASHED, "failed", [])
    last = [type(fact).__name__ for fact in heard[-3:]]
    assert last.count("StateChanged") == 1
    assert {getattr(fact, "alarm", "") for fact in heard[-4:]} >= {"task_crashed", "failed"}
    assert closed(stage)


def test_a_ctrl_c_outside_the_receiver_closes_the_journal() -> None:
    """KeyboardInterrupt in the middle of a task is nobody's to swallow, and leaves nothing open."""
    stages: list[Stage] = []

    async def scenario(stage: Stage) -> None:
        async def interrupted(_stay: Stay) -> None:
            await trio.sleep(2)
            raise KeyboardInterrupt

        stages.append(stage)
        stage.daemon.runner._invokes["order_writer"] = interrupted  # type: ignore[index]
        await trio.sleep(5)

    with pytest.raises(BaseExceptionGroup) as ended:
        run_virtually(1, scenario, QUIET)
    assert ended.group_contains(KeyboardInterrupt)
    assert closed(stages[0])
