"""Crashes are events; those that cannot be heard escalate, and none is swallowed."""

from __future__ import annotations

import pytest
import trio
from small_charts import (
    crashes,
    escalation,
    online,
    post_after,
    returns,
    running,
    up,
)
from trio.testing import MockClock

from kalshi_daemon.charts.runner import Escalation, Stay


async def test_a_crash_is_an_event_and_the_daemon_lives(autojump_clock: MockClock) -> None:
    """The nearest row for it is taken; the tasks around go on; the alarm says what crashed and where."""
    world = online(reader=crashes(ConnectionResetError("gone"), 0.5))
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.8)
        assert runner.active == ("on", "on.backing_off")
        assert "-heartbeat" not in world.log
        assert runner.counts.crashed == 1
        [(name, text)] = world.alarms
        assert name == "task_crashed"
        assert text.startswith("small:on.online/reader crashed: ConnectionResetError: gone (small_charts.py:")


async def test_an_unheard_crash_escalates(autojump_clock: MockClock) -> None:
    """No row takes it: `run` raises an Escalation with the crash as its cause, and everything is joined."""
    world = online(heartbeat=crashes(ZeroDivisionError("sums"), 0.1))
    world.bodies["dial"] = returns("no", 0.05)
    runner = world.runner()
    runner.post("start")
    with escalation("small:on/heartbeat: no state heard its crash") as caught:
        await runner.run()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.exceptions[0].args == ("sums",)
    assert world.live == []


@pytest.mark.usefixtures("seeded_schedule")
@pytest.mark.parametrize("seed", range(20))
async def test_a_crash_together_with_a_cancellation_is_taken_apart(autojump_clock: MockClock, seed: int) -> None:
    """A group that holds both: the crash escalates, the cancellation goes its way, and neither is lost."""
    world = online()

    async def actor(_stay: Stay) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_crash_when_cancelled)
            nursery.start_soon(trio.sleep_forever)

    world.bodies["actor"] = actor
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "start", 0)
        nursery.start_soon(post_after, runner, "stop", 1)
        with escalation("small:on.online.current/actor crashed: ValueError: while ending"):
            await runner.run()
    assert world.alarm_names == ["crash_while_leaving"]
    assert world.live == []


async def _crash_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise ValueError("while ending")


async def test_a_crash_while_its_state_is_being_left_is_told_and_escalates(autojump_clock: MockClock) -> None:
    """It cannot be an event any more, so it is journaled by the alarm and raised."""
    world = online(actor=_crash_at_the_end)
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "start", 0)
        nursery.start_soon(post_after, runner, "gap", 1)
        with escalation("ValueError: while ending"):
            await runner.run()
    assert world.alarm_names == ["crash_while_leaving"]


async def _crash_at_the_end(_stay: Stay) -> None:
    await _crash_when_cancelled()


async def test_a_crash_while_everything_is_being_cancelled_is_told_too(autojump_clock: MockClock) -> None:
    """Also when it is not a step but whoever runs the runner that ends it."""
    world = online(actor=_crash_at_the_end)
    with pytest.RaisesGroup(pytest.RaisesExc(Escalation, match="while ending"), flatten_subgroups=True):
        async with running(world) as runner:
            await up(runner)
    assert world.alarm_names == ["crash_while_leaving"]


async def test_a_crash_whose_state_was_left_meanwhile_is_stale_and_told(autojump_clock: MockClock) -> None:
    """The event before it in the queue has left the state already: nothing is left to do, and nothing is swallowed."""
    world = online()

    async def reader(stay: Stay) -> None:
        await trio.sleep(0.5)
        runner.post("stop")  # ahead of the crash in the queue
        raise OSError("late")

    world.bodies["reader"] = reader  # type: ignore[assignment]
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(1)
        assert runner.active == ("off",)
    assert world.alarm_names == ["task_crashed", "stale_crash"]
    assert runner.counts.stale == 1


async def test_both_orders_of_two_things_at_once(autojump_clock: MockClock) -> None:
    """A crash and a stop in the same instant, in both orders: the session is off, and a crash that happened is told."""
    ends: set[tuple[str, tuple[str, ...]]] = set()
    for _ in range(60):
        world = online()
        world.bodies["reader"] = crashes(OSError("gone"), 0.9)
        async with running(world) as runner:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_after, runner, "start", 0)
                nursery.start_soon(post_after, runner, "stop", 1.0)
            await trio.sleep(0.5)
            ends.add((runner.innermost, tuple(world.alarm_names)))
    assert ends <= {
        ("off", ("task_crashed",)),  # crash first, then stop from backing_off
        ("off", ("task_crashed", "stale_crash")),  # stop first: the crash was posted, and its state is gone
        ("off", ()),  # stop first: the task was cancelled before it could crash
    }
    assert len(ends) > 1
