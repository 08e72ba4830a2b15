"""How nurseries hang on states: a named test for each rule of the runner, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from small_charts import (
    World,
    escalation,
    expected_tree,
    nursery_tree,
    online,
    returns,
    running,
    up,
)
from trio.testing import MockClock

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import ChartError, Step
from kalshi_daemon.charts.runner import Stay

# ---- entry and exit


async def test_the_initial_state_is_entered_by_the_runner(autojump_clock: MockClock) -> None:
    """After `started` the initial state is active, its services live, and `on_step` has heard of the entry."""
    world = World()
    async with running(world) as runner:
        assert runner.active == ("off",)
        assert world.steps == [Step("start", taken=True, entered=(("off",),))]
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(world.live) == ["clerk", "lamp"]
    assert runner.active == ()
    assert runner.innermost == ""


async def test_events_lead_through_the_chart(autojump_clock: MockClock) -> None:
    """Tasks end with outcomes, outcomes are events, and each step is told once, in order."""
    world = online()
    async with running(world) as runner:
        await up(runner)
        assert runner.active == ("on", "on.online", "on.online.current")
        assert runner.is_in("on.online")
        assert not runner.is_in("on.connecting")
        assert [step.event for step in world.steps] == ["start", "start", "dialled", "synced"]
        assert sorted(world.live) == ["actor", "clerk", "heartbeat", "lamp", "quoter", "reader"]


async def test_exit_is_innermost_first_and_joins(autojump_clock: MockClock) -> None:
    """A task of an inner state has ended, clean-up included, before a task of the outer state is cancelled."""
    world = online()
    world.bodies |= {task: _slow_to_end(world, task, 0.5) for task in ("actor", "reader", "heartbeat")}
    async with running(world) as runner:
        await up(runner)
        world.log.clear()
        runner.post("stop")
        await trio.sleep(3)
        assert runner.active == ("off",)
    ends = [line for line in world.log if line.startswith(("cancelled", "ended"))]
    assert ends == [f"{verb} {task}" for task in ("actor", "reader", "heartbeat") for verb in ("cancelled", "ended")]


def _slow_to_end(world: World, task: str, seconds: float) -> Callable[[Stay], object]:
    async def body(_stay: Stay) -> None:
        try:
            await trio.sleep_forever()
        finally:
            world.log.append(f"cancelled {task}")
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            world.log.append(f"ended {task}")

    return body


async def test_entry_never_waits_for_readiness(autojump_clock: MockClock) -> None:
    """A task that takes a minute to be ready holds nothing up: its state is entered and left at once; ready is an
    event.
    """
    world = online(dial=returns("yes", 60))
    async with running(world) as runner:
        runner.post("start")
        await trio.testing.wait_all_tasks_blocked()
        assert runner.active == ("on", "on.connecting")
        assert "+dial" in world.log
        runner.post("stop")
        await trio.testing.wait_all_tasks_blocked()
        assert runner.active == ("off",)
        assert trio.current_time() == 0


async def test_readers_ask_the_runner_and_not_the_chart_while_it_steps(autojump_clock: MockClock) -> None:
    """The chart is where the step leads as soon as it is planned; the runner says how far the step has come."""
    world = online()
    world.bodies |= {task: _slow_to_end(world, task, 0.5) for task in ("actor", "reader", "heartbeat")}
    async with running(world) as runner:
        await up(runner)
        seen = []
        runner.post("stop")
        for moment_s in (0.25, 0.75, 1.25, 1.75):
            await trio.sleep_until(0.5 + moment_s)
            assert [".".join(path) for path in runner.chart.configuration] == ["off"]
            seen.append(runner.active)
        assert seen == [("on", "on.online"), ("on",), (), ("off",)]


async def test_every_exit_comes_before_any_entry(autojump_clock: MockClock) -> None:
    """Nothing of the next state begins while something of the last one is still ending."""
    world = online()
    world.bodies["actor"] = _slow_to_end(world, "actor", 0.9)  # type: ignore[assignment]
    async with running(world) as runner:
        await up(runner)
        world.log.clear()
        runner.post("gap")
        await trio.sleep(0.8)
        assert "+fetch" not in world.log
        assert runner.active == ("on", "on.online")
        await trio.sleep(0.15)
        assert runner.innermost == "on.online.syncing"
    assert world.log.index("-actor") < world.log.index("+fetch")


async def test_entry_is_outermost_first(autojump_clock: MockClock) -> None:
    """Each state's nursery is opened inside the one around it, so the outer one is there first."""
    world = online()
    seen: list[tuple[str, ...]] = []
    world.bodies["heartbeat"] = _record_active(seen, lambda: runner.active)  # type: ignore[assignment]
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.05)
        assert seen == [("on",)]
        assert world.steps[-1].entered == (("on",), ("on", "connecting"))
        assert nursery_tree("small")["on.connecting"][0] == "on"


def _record_active(seen: list[tuple[str, ...]], active: Callable[[], tuple[str, ...]]) -> Callable[[Stay], object]:
    async def body(_stay: Stay) -> None:
        seen.append(active())
        await trio.sleep_forever()

    return body


async def test_common_ancestors_keep_their_nursery_and_their_tasks(autojump_clock: MockClock) -> None:
    """A step between siblings leaves the states around them alone: same nursery, same tasks, no restart."""
    world = online()
    async with running(world) as runner:
        await up(runner)
        before = [runner._stays[("on",)], runner._stays[("on", "online")]]
        world.log.clear()
        runner.post("gap")
        await trio.sleep(0.05)
        assert [runner._stays[("on",)], runner._stays[("on", "online")]] == before
        assert sorted(world.log) == ["+fetch", "-actor", "-quoter"]


async def test_one_step_is_finished_before_the_next_event_is_read(autojump_clock: MockClock) -> None:
    """Two events posted at once are two steps, and the second is planned from where the first one led."""
    world = online()
    async with running(world) as runner:
        await up(runner)
        runner.post("stop")
        runner.post("start")
        await trio.sleep(0.05)
        assert [step.event for step in world.steps][-2:] == ["stop", "start"]
        assert runner.innermost == "on.connecting"


async def test_after_each_step_the_nursery_tree_equals_the_configuration(autojump_clock: MockClock) -> None:
    """What trio knows of the nurseries is what the chart says, at every `on_step`."""
    world = online()
    checked: list[str] = []

    def check(step: Step) -> None:
        assert nursery_tree("small") == expected_tree(runner)
        checked.append(step.event)

    async with running(world) as runner:
        world.on_step = check
        await up(runner)
        runner.post("gap")
        await trio.sleep(1)
        runner.post("stop")
        await trio.sleep(1)
    assert checked == ["start", "dialled", "synced", "gap", "synced", "stop"]


# ---- posting


async def test_an_event_of_a_state_that_has_been_left_is_stale(autojump_clock: MockClock) -> None:
    """Whatever a left state's task posts is dropped and counted, also when it was posted while the state was active."""
    world = World()
    stays: list[Stay] = []

    async def dial(stay: Stay) -> None:
        stays.append(stay)
        await trio.sleep_forever()

    world.bodies["dial"] = dial
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.1)
        runner.post("stop")
        stays[0].post("dialled")  # behind the stop in the queue
        await trio.sleep(0.1)
        assert runner.active == ("off",)
        assert runner.counts.stale == 1
        assert not stays[0].active
        stays[0].post("dialled")
        assert runner.counts.stale == 2
        runner.post("start")
        await trio.sleep(0.1)
        stays[0].post("dialled")  # an earlier stay in the same state
        await trio.sleep(0.1)
        assert runner.innermost == "on.connecting"
        assert runner.counts.stale == 3


async def test_posts_of_services_and_of_the_world_are_never_stale(autojump_clock: MockClock) -> None:
    """A service posts through steps of the chart, and its event is heard."""
    world = World()

    async def clerk(stay: Stay) -> None:
        await trio.sleep(1)
        stay.post("stop")
        await trio.sleep(1)
        stay.post("start")
        await trio.sleep_forever()

    world.bodies["clerk"] = clerk
    world.delay_s = 10
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(1.5)
        assert runner.innermost == "off"
        await trio.sleep(1)
        assert runner.innermost == "on.connecting"
        assert runner.counts.stale == 0


async def test_what_no_active_state_hears_is_counted(autojump_clock: MockClock) -> None:
    """A known event that is not for this state is dropped and counted, and tells `on_step` nothing."""
    world = World()
    async with running(world) as runner:
        runner.post("gap")
        await trio.sleep(0.1)
        assert runner.counts.unheard == 1
        assert len(world.steps) == 1


async def test_an_event_of_no_chart_is_our_mistake_where_it_is_posted(autojump_clock: MockClock) -> None:
    """A misspelt event raises at once, at the poster."""
    world = World()
    with pytest.raises(ChartError, match="'begin' was posted"):
        world.runner().post("begin")


async def test_events_may_be_posted_before_the_runner_runs(autojump_clock: MockClock) -> None:
    """They wait in the queue and are heard after the first entry."""
    world = World()
    runner = world.runner()
    runner.post("start")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run)
        await trio.sleep(0.01)
        assert runner.innermost == "on.connecting"
        nursery.cancel_scope.cancel()


async def test_events_posted_while_the_runner_begins_are_heard(autojump_clock: MockClock) -> None:
    """Whatever the scheduling, no event is lost between the start of `run` and the first entry."""
    for ticks in range(8):
        runner = World().runner()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            runner.post("start")
            await trio.sleep(0.01)
            assert runner.innermost == "on.connecting"
            nursery.cancel_scope.cancel()


async def test_a_queue_over_its_limit_escalates(autojump_clock: MockClock) -> None:
    """Posting does not block and does not grow without end: the runner ends and says why."""
    world = World()
    runner = world.runner()
    for _ in range(limits.EVENT_QUEUE_MAX + 1):
        runner.post("tick")
    with escalation("more than 1000 events wait"):
        await runner.run()
    assert world.alarm_names == ["queue_over_limit"]


async def test_a_full_queue_is_allowed(autojump_clock: MockClock) -> None:
    """The limit itself is no error."""
    world = World()
    runner = world.runner()
    for _ in range(limits.EVENT_QUEUE_MAX - 1):
        runner.post("tick")
    runner.post("finish")
    assert await runner.run() == "done"
    assert runner.counts.unheard == limits.EVENT_QUEUE_MAX - 1


# ---- the ends of tasks


async def test_an_outcome_is_the_event_that_the_chart_names(autojump_clock: MockClock) -> None:
    """One of the mapping's events is posted, by what the task returned."""
    world = online(dial=returns("no", 0.1))
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.2)
        assert runner.innermost == "on.backing_off"
        assert world.steps[-1].event == "not_dialled"


async def test_an_outcome_that_the_chart_does_not_name_escalates(autojump_clock: MockClock) -> None:
    """It is our own mistake, and no event stands for it."""
    world = online(dial=returns("maybe", 0.1))
    runner = world.runner()
    runner.post("start")
    with escalation("small:on.connecting/dial returned 'maybe', which is none of yes, no"):
        await runner.run()
    assert world.alarm_names == ["wrong_outcome"]


async def test_a_task_that_may_not_end_and_does_has_crashed(autojump_clock: MockClock) -> None:
    """Without `done`, returning would leave a state without its task."""
    world = online(actor=returns(None, 0.5))
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.9)
        assert runner.innermost == "on.backing_off"
        assert world.alarm_names == ["task_crashed"]
        assert "current/actor crashed: RuntimeError: it returned" in world.alarms[0][1]


async def test_a_time_limit_posts_its_event(autojump_clock: MockClock) -> None:
    """`after` is asked for its seconds when the state is entered, and its event is posted when they are over."""
    world = World()
    world.delay_s = 2.5
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(2.4)
        assert runner.innermost == "on.connecting"
        await trio.sleep(0.2)
        assert runner.innermost == "on.backing_off"


async def test_a_time_limit_runs_anew_at_each_entry(autojump_clock: MockClock) -> None:
    """A state entered again, by a row into itself, has its whole time again."""
    world = World()
    world.delay_s = 2
    async with running(world) as runner:
        runner.post("start")
        for _ in range(4):
            await trio.sleep(1.5)
            runner.post("tick")
        await trio.sleep(1.9)
        assert runner.innermost == "on.connecting"
        await trio.sleep(0.2)
        assert runner.innermost == "on.backing_off"
