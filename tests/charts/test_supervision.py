"""Services, final states, restarts, tasks that will not end, and charts inside charts."""

from __future__ import annotations

import itertools

import pytest
import trio
from small_charts import World, crashes, escalation, forever, online, post_after, returns, running, up
from trio.testing import MockClock

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, ChartError
from kalshi_daemon.charts.runner import Escalation, Runner, Stay
from statecharts.types import ChartDef

PAUSES_S = 0.25 + 0.5  # before the two restarts that the small chart has

# ---- final states


async def test_a_final_state_ends_the_run_with_its_path(autojump_clock: MockClock) -> None:
    """`run` returns the dotted path when every task, services included, has been joined."""
    world = online()
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "start", 0)
        nursery.start_soon(post_after, runner, "finish", 1)
        assert await runner.run() == "done"
    assert world.live == []
    assert world.steps[-1].event == "finish"
    assert runner.active == ()
    assert world.log[-2:] in (["-clerk", "-lamp"], ["-lamp", "-clerk"])  # services end last
    assert world.log[-3] == "-heartbeat"


async def test_events_after_the_end_do_nothing(autojump_clock: MockClock) -> None:
    """A runner that has returned takes posts, drops and counts them."""
    world = World()
    runner = world.runner()
    runner.post("finish")
    await runner.run()
    runner.post("start")
    assert runner.counts.stale == 1


async def test_a_runner_is_run_once(autojump_clock: MockClock) -> None:
    """A second life is a second runner."""
    runner = World().runner()
    runner.post("finish")
    await runner.run()
    with pytest.raises(AssertionError, match="run once"):
        await runner.run()


# ---- restarts and services


async def test_a_task_is_started_again_in_place(autojump_clock: MockClock) -> None:
    """With `restart` the state and its other tasks stay as they are, and each restart is told and counted."""
    failures = iter([OSError("one"), OSError("two")])

    async def quoter(stay: Stay) -> str | None:
        for failure in failures:
            raise failure
        return await forever(stay)

    world = online(quoter=quoter)
    async with running(world) as runner:
        await up(runner)
        await trio.sleep(1)
        assert world.log.count("+quoter") == 3
        assert world.log.count("+actor") == 1
        assert world.alarm_names == ["task_restarted", "task_restarted"]
        assert world.alarms[1][1].endswith("; it is started again")
        assert (runner.counts.crashed, runner.counts.restarted) == (2, 2)


async def test_restarts_used_up_are_a_crash(autojump_clock: MockClock) -> None:
    """After so many restarts the crash is the event that the chart names."""
    world = online(quoter=crashes(OSError("always"), 0.1))
    async with running(world) as runner:
        runner.post("start")
        await trio.sleep(0.35 + 3 * 0.1 + PAUSES_S)
        assert runner.innermost == "on.backing_off"
        assert world.alarm_names == ["task_restarted", "task_restarted", "task_crashed"]


async def test_a_task_that_crashes_at_once_is_never_a_hot_loop(autojump_clock: MockClock) -> None:
    """Its chart enters its state again after each crash, with all restarts anew: the pause grows over the stays, to its
    bound, and each alarm says the same each time, so that it is repeated as rarely as alarms are.
    """
    begun: list[float] = []

    async def poller(_stay: Stay) -> str | None:
        begun.append(trio.current_time())
        raise OSError("always")

    world = World(POLLING)
    world.bodies["poller"] = poller
    async with running(world) as runner:
        await trio.sleep(600)
        assert runner.active == ("polling",)
    least_s, most_s = limits.RESTART_PAUSE_S
    pauses = [after - before for before, after in itertools.pairwise(begun)]
    assert pauses[:9] == [least_s, 0.5, 1, 2, 4, 8, 16, most_s, most_s]
    assert max(pauses) == most_s
    assert len(set(world.alarms)) == 2


async def test_a_task_that_lived_long_enough_crashes_for_the_first_time_again(autojump_clock: MockClock) -> None:
    """What was long ago lengthens no pause."""
    lives = iter([0.0, 0.0, limits.RESTART_STEADY_S, 0.0])
    begun: list[float] = []

    async def poller(stay: Stay) -> str | None:
        begun.append(trio.current_time())
        for life_s in lives:
            await trio.sleep(life_s)
            raise OSError("now and then")
        return await forever(stay)

    world = World(POLLING)
    world.bodies["poller"] = poller
    async with running(world):
        await trio.sleep(600)
    assert begun == [0.0, 0.25, 0.75, 0.75 + limits.RESTART_STEADY_S + 0.25, 0.75 + limits.RESTART_STEADY_S + 0.75]


POLLING: ChartDef = {
    "name": "feed",
    "true": "Reads again and again.",
    "initial": "polling",
    "outside": {},
    "states": [{"name": "polling", "true": "Reads.", "invoke": {"poller": {"restart": "few"}}, "waits": "a crash"}],
    "transitions": [{"trigger": "task_crashed", "source": "polling", "dest": "polling"}],
}


async def test_restarts_are_counted_for_each_stay(autojump_clock: MockClock) -> None:
    """A state entered anew has all its restarts again."""
    world = online(quoter=crashes(OSError("always"), 0.4))
    async with running(world) as runner:
        await up(runner)
        await trio.sleep(0.4)
        assert runner.counts.restarted == 1
        runner.post("gap")
        await trio.sleep(0.2 + 0.25 + 0.4 + 0.5 + 0.4 + 1 + 0.35)
        assert runner.counts.restarted == 3
        assert runner.innermost == "on.online.current"


async def test_a_service_lives_as_long_as_the_runner(autojump_clock: MockClock) -> None:
    """No step of the chart touches it."""
    world = online()
    async with running(world) as runner:
        for event in ("start", "stop", "start", "stop"):
            runner.post(event)
            await trio.sleep(0.5)
        assert world.log.count("+clerk") == 1
        assert "-clerk" not in world.log


async def test_a_service_that_cannot_be_done_without_posts_its_event(autojump_clock: MockClock) -> None:
    """Its restarts used up, `crashed` is posted, and here that ends the chart."""
    world = World()
    world.bodies["clerk"] = crashes(OSError("disk"), 1)
    runner = world.runner()
    assert await runner.run() == "done"
    assert world.steps[-1].event == "clerk_lost"
    assert trio.current_time() == pytest.approx(3 + PAUSES_S)


async def test_a_service_without_an_event_stays_down_with_an_alarm(autojump_clock: MockClock) -> None:
    """The lamp is dark, everything else goes on."""
    world = World()
    world.bodies["lamp"] = crashes(OSError("dark"), 0.1)
    async with running(world) as runner:
        await trio.sleep(0.5 + PAUSES_S)
        assert world.live == ["clerk"]
        assert world.alarm_names == ["task_restarted", "task_restarted", "service_down"]
        assert world.alarms[-1][1].startswith("small/lamp crashed: OSError: dark (small_charts.py:")
        runner.post("start")
        await trio.sleep(0.1)
        assert runner.innermost == "on.connecting"


# ---- tasks that will not end


async def _stubborn(_stay: Stay) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(100)


async def test_a_task_that_does_not_end_in_time_escalates(autojump_clock: MockClock) -> None:
    """The alarm names it after EXIT_LIMIT_S; `run` raises when trio lets it."""
    world = online(actor=_stubborn)
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "start", 0)
        nursery.start_soon(post_after, runner, "stop", 1)
        nursery.start_soon(_alarm_at, world, 1 + limits.EXIT_LIMIT_S)
        with escalation("small:on.online.current/actor did not end within 1.0 s"):
            await runner.run()
    assert world.alarm_names == ["exit_overdue"]


async def _alarm_at(world: World, seconds: float) -> None:
    await trio.sleep(seconds - 0.01)
    assert world.alarms == []
    await trio.sleep(0.02)
    assert world.alarm_names == ["exit_overdue"]


async def test_a_service_that_does_not_end_in_time_escalates(autojump_clock: MockClock) -> None:
    """Also after a final state: no path is returned over a task that still lives."""
    world = World()
    world.bodies["clerk"] = _stubborn  # type: ignore[assignment]
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "finish", 1)
        with escalation("small/clerk did not end within"):
            await runner.run()


# ---- what is bound


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [("invokes", "task 'dial' is not bound"), ("delays", "limit 'x' is not bound"), ("restarts", "restart 'y' is not")],
)
def test_what_is_not_bound_is_found_when_the_runner_is_made(missing: str, complaint: str) -> None:
    """A task, a limit or a restart without a binding is a ChartError before anything runs."""
    chart: ChartDef = {
        "name": "one",
        "true": "One.",
        "initial": "a",
        "outside": {},
        "states": [{"name": "a", "true": "A.", "invoke": {"dial": {"restart": "y"}}, "after": {"late": "x"}}],
        "transitions": [{"trigger": "late", "source": "a", "dest": "a"}],
    }
    bound = {"invokes": {"dial": forever}, "delays": {"x": lambda: 1.0}, "restarts": {"y": 1}}
    bound[missing] = {}  # type: ignore[assignment]
    with pytest.raises(ChartError, match=complaint):
        Runner(Chart(chart, {}), **bound, on_step=lambda _: None, on_alarm=lambda *_: None)  # type: ignore[arg-type]


async def test_a_mistake_in_a_subscriber_surfaces_as_itself(autojump_clock: MockClock) -> None:
    """What `on_step` raises is ours to mend and comes out of `run` unwrapped."""
    world = World()

    def fail(_step: object) -> None:
        raise AssertionError("a subscriber's own mistake")

    world.on_step = fail
    with pytest.raises(AssertionError, match="own mistake"):
        await world.runner().run()


# ---- charts inside charts

PARENT: ChartDef = {
    "name": "parent",
    "true": "Invokes a chart.",
    "initial": "working",
    "outside": {"rest": "test", "end": "test"},
    "states": [
        {
            "name": "working",
            "true": "Works.",
            "invoke": {"child": {"done": "child_ended"}, "view": {}},
            "waits": "rest",
        },
        {"name": "mending", "true": "Mends.", "after": {"mended": "mend_limit"}},
        {"name": "resting", "true": "Rests.", "waits": "end"},
        {"name": "over", "true": "Over.", "final": True},
    ],
    "transitions": [
        {"trigger": "task_crashed", "source": "working", "dest": "mending"},
        {"trigger": "mended", "source": "mending", "dest": "working"},
        {"trigger": "child_ended", "source": "working", "dest": "over"},
        {"trigger": "rest", "source": "working", "dest": "resting"},
        {"trigger": "end", "source": "resting", "dest": "over"},
    ],
}


def family(child: World) -> tuple[World, list[Runner]]:
    """A parent whose task `child` runs a fresh runner of the child's world for each stay."""
    parent = World(PARENT)
    children: list[Runner] = []

    async def run_child(_stay: Stay) -> str | None:
        children.append(child.runner())
        children[-1].post("start")
        return await children[-1].run()

    parent.bodies["child"] = run_child
    return parent, children


async def test_an_unheard_crash_of_a_child_is_a_crash_of_the_parents_task(autojump_clock: MockClock) -> None:
    """It escalates one chart up, where it is an event: the parent leaves, mends, and starts a fresh child."""
    child = online(heartbeat=crashes(OSError("pulse"), 3), dial=returns("no", 0.1))
    child.delay_s = 100
    parent, children = family(child)
    async with running(parent) as runner:
        await trio.sleep(2.9)
        assert runner.active == ("working",)
        await trio.sleep(0.2)
        assert runner.active == ("mending",)
        assert child.live == []
        assert "Escalation: small:on/heartbeat: no state heard its crash" in parent.alarms[-1][1]
        await trio.sleep(1)
        assert runner.active == ("working",)
        assert len(children) == 2
        assert children[1].innermost == "on.connecting"


async def test_a_childs_final_state_is_its_tasks_return(autojump_clock: MockClock) -> None:
    """The child's `run` returns, and the parent hears `done`."""
    parent, children = family(online())
    runner = parent.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_finish_first, children)
        assert await runner.run() == "over"


async def _finish_first(children: list[Runner]) -> None:
    await trio.sleep(1)
    children[0].post("finish")


async def test_leaving_the_parents_state_ends_the_child_whole(autojump_clock: MockClock) -> None:
    """The nursery tree is the supervision tree: every task of every inner chart has ended before the next state."""
    child = online()
    parent, children = family(child)
    async with running(parent) as runner:
        await trio.sleep(1)
        assert children[0].innermost == "on.online.current"
        runner.post("rest")
        await trio.sleep(0.01)
        assert runner.active == ("resting",)
        assert child.live == []
        assert children[0].active == ()


async def test_a_crash_deep_inside_while_everything_is_left_goes_all_the_way_up(autojump_clock: MockClock) -> None:
    """A task two charts down that crashes in its clean-up is told at both levels, and the outer run raises."""
    child = online(actor=_fail_in_cleanup)
    parent, _ = family(child)
    runner = parent.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "rest", 1)
        with pytest.raises(Escalation, match="working/child crashed: Escalation: small:on"):
            await runner.run()
    assert child.alarm_names == ["crash_while_leaving"]
    assert parent.alarm_names == ["crash_while_leaving"]


async def _fail_in_cleanup(_stay: Stay) -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise OSError("clean-up")


@pytest.mark.usefixtures("seeded_schedule")
@pytest.mark.parametrize("seed", range(20))
async def test_a_childs_crash_and_a_parents_step_at_once(autojump_clock: MockClock, seed: int) -> None:
    """In the same instant, in any order: the parent rests, mends, or escalates, and a crash is never silent."""
    child = online(heartbeat=crashes(OSError("pulse"), 1), dial=returns("no", 0.1))
    child.delay_s = 100
    parent, children = family(child)
    runner = parent.runner()
    ended: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "rest", 1)
        with trio.move_on_after(1.5):
            try:
                await runner.run()
            except Escalation:
                ended.append("escalated")
                assert "crash_while_leaving" in parent.alarm_names
    assert child.live == []
    assert ended == ["escalated"] or parent.steps[-1].event in ("rest", "task_crashed")
    assert bool(children[0].counts.crashed) <= bool(parent.alarm_names or child.alarm_names)


@pytest.mark.usefixtures("seeded_schedule")
@pytest.mark.parametrize("seed", range(20))
async def test_two_failures_at_once_are_one_escalation_that_names_both(autojump_clock: MockClock, seed: int) -> None:
    """Two tasks of one state fail in their clean-up: the reader of the exception sees both."""
    world = online(actor=_fail_in_cleanup, quoter=_fail_in_cleanup)
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_after, runner, "start", 0)
        nursery.start_soon(post_after, runner, "stop", 1)
        with pytest.raises(Escalation) as caught:
            await runner.run()
    assert world.alarm_names == ["crash_while_leaving", "crash_while_leaving"]
    for task in ("actor", "quoter"):
        assert f"small:on.online.current/{task} crashed: OSError: clean-up" in str(caught.value)
