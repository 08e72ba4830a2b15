"""A small chart and a world of synthetic tasks for it: what the tests of the planner and the runner are made of.

SMALL is a session without an exchange: off, on (connecting, online (syncing, current), backing_off), done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.literals import guards_of, limits_of, restarts_of, tasks_of
from kalshi_daemon.charts.runner import Escalation, Runner, Stay
from statecharts.types import ChartDef

SMALL: ChartDef = {
    "name": "small",
    "true": "A session.",
    "initial": "off",
    "outside": {"start": "test", "stop": "test", "gap": "test", "finish": "test", "dropped": "test", "tick": "test"},
    "invoke": {"clerk": {"restart": "few", "crashed": "clerk_lost"}, "lamp": {"restart": "few"}},
    "states": [
        {"name": "off", "true": "Off.", "waits": "start"},
        {
            "name": "on",
            "true": "On.",
            "initial": "connecting",
            "invoke": {"heartbeat": {}},
            "children": [
                {
                    "name": "connecting",
                    "true": "Dialling.",
                    "invoke": {"dial": {"done": {"yes": "dialled", "no": "not_dialled"}}},
                    "after": {"dial_overdue": "dial_limit"},
                },
                {
                    "name": "online",
                    "true": "Online.",
                    "initial": "syncing",
                    "invoke": {"reader": {"done": "dropped"}},
                    "children": [
                        {
                            "name": "syncing",
                            "true": "Syncing.",
                            "invoke": {"fetch": {"done": "synced"}},
                            "waits": "fetch",
                        },
                        {"name": "current", "true": "Current.", "invoke": {"actor": {}, "quoter": {"restart": "few"}}},
                    ],
                },
                {"name": "backing_off", "true": "Waiting.", "after": {"retry_due": "retry_limit"}},
            ],
        },
        {"name": "done", "true": "Done.", "final": True},
    ],
    "transitions": [
        {"trigger": "start", "source": "off", "dest": "on"},
        {"trigger": "stop", "source": "on", "dest": "off"},
        {"trigger": "finish", "source": ["off", "on"], "dest": "done"},
        {"trigger": "clerk_lost", "source": ["off", "on"], "dest": "done"},
        {"trigger": "dialled", "source": "on.connecting", "dest": "on.online"},
        {"trigger": ["not_dialled", "dial_overdue"], "source": "on.connecting", "dest": "on.backing_off"},
        {"trigger": "dropped", "source": "on.online", "dest": "on.connecting"},
        {"trigger": "synced", "source": "on.online.syncing", "dest": "on.online.current"},
        {"trigger": "gap", "source": "on.online.current", "dest": "on.online.syncing"},
        {"trigger": "tick", "source": "on.connecting", "dest": "on.connecting"},
        {"trigger": "tick", "source": "on", "dest": None},
        {"trigger": "retry_due", "source": "on.backing_off", "dest": "on.connecting", "conditions": "may_retry"},
        {"trigger": "retry_due", "source": "on.backing_off", "dest": "off"},
        {"trigger": "task_crashed", "source": ["on.connecting", "on.online"], "dest": "on.backing_off"},
    ],
}

Body = Callable[[Stay], Awaitable[str | None]]


class World:
    """Synthetic tasks that live until they are told otherwise; `log` has `+task` and `-task` in the order seen."""

    def __init__(self, chart: ChartDef = SMALL) -> None:
        self.definition = chart
        self.answers = dict.fromkeys(guards_of(chart), True)
        self.bodies: dict[str, Body] = {}
        self.log: list[str] = []
        self.live: list[str] = []
        self.steps: list[Step] = []
        self.alarms: list[tuple[str, str]] = []
        self.delay_s = 1.0
        self.on_step: Callable[[Step], None] = lambda _step: None

    def runner(self) -> Runner:
        guards = {name: partial(self.guard, name) for name in guards_of(self.definition)}
        return Runner(
            Chart(self.definition, guards),
            {task: self._task(task) for task in tasks_of(self.definition)},
            dict.fromkeys(limits_of(self.definition), lambda: self.delay_s),
            dict.fromkeys(restarts_of(self.definition), 2),
            on_step=self._stepped,
            on_alarm=lambda name, text: self.alarms.append((name, text)),
        )

    def guard(self, name: str) -> bool:
        return self.answers[name]

    def _stepped(self, step: Step) -> None:
        self.steps.append(step)
        self.on_step(step)

    def _task(self, name: str) -> Body:
        async def run(stay: Stay) -> str | None:
            assert name not in self.live, f"two copies of {name}"
            self.live.append(name)
            self.log.append(f"+{name}")
            try:
                return await self.bodies.get(name, forever)(stay)
            finally:
                self.live.remove(name)
                self.log.append(f"-{name}")

        return run

    @property
    def alarm_names(self) -> list[str]:
        return [name for name, _ in self.alarms]


async def forever(_stay: Stay) -> str | None:
    await trio.sleep_forever()
    return None


def returns(outcome: str | None, after_s: float = 0.0) -> Body:
    async def body(_stay: Stay) -> str | None:
        await trio.sleep(after_s)
        return outcome

    return body


def crashes(error: Exception, after_s: float = 0.0) -> Body:
    async def body(_stay: Stay) -> str | None:
        await trio.sleep(after_s)
        raise error

    return body


def nursery_tree(chart: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The tree as trio knows it: state -> (the state around it, the tasks in its nursery), read from the task names."""
    tree: dict[str, tuple[str, set[str]]] = {}

    def walk(task: trio.lowlevel.Task, inside: str) -> None:
        here = inside
        if task.name.startswith(f"{chart}:") and "/" not in task.name:
            here = task.name.removeprefix(f"{chart}:")
            tree[here] = (inside, set())
        elif task.name.startswith(chart) and "/" in task.name:
            owner, name = task.name.removeprefix(chart).removeprefix(":").split("/")
            assert owner == inside, f"{task.name} lives in {inside!r}"
            tree[inside][1].add(name)
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                walk(child, here)

    root = trio.lowlevel.current_root_task()
    assert root is not None
    walk(root, "")
    return {state: (around, frozenset(tasks)) for state, (around, tasks) in tree.items()}


def expected_tree(runner: Runner) -> dict[str, tuple[str, frozenset[str]]]:
    """The tree that the configuration asks for, before any task has ended by itself."""
    definition = runner.chart.definition
    tree = {"": ("", frozenset(definition.get("invoke", {})))}
    around = ""
    for path in runner.chart.configuration:
        state = runner.chart.states[path]
        tasks = [*state.get("invoke", {}), *(f"after {event}" for event in state.get("after", {}))]
        tree[".".join(path)] = (around, frozenset(tasks))
        around = ".".join(path)
    return tree


def names(paths: Iterator[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> list[str]:
    return [".".join(path) for path in paths]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Runner]:
    """A runner in the background; cancelled at the end of the block."""
    runner = world.runner()
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run)
        yield runner
        nursery.cancel_scope.cancel()


def online(**bodies: Callable[[Stay], object]) -> World:
    """A world whose session comes up by itself: dialled at 0.1 s, synced at 0.3 s."""
    world = World()
    world.bodies = {"dial": returns("yes", 0.1), "fetch": returns(None, 0.2), **bodies}  # type: ignore[dict-item]
    return world


def escalation(message: str) -> pytest.RaisesExc[Escalation]:
    return pytest.RaisesExc(Escalation, match=message)


async def up(runner: Runner) -> None:
    runner.post("start")
    await trio.sleep(0.5)
    assert runner.innermost == "on.online.current"


async def post_after(runner: Runner, event: str, seconds: float) -> None:
    await trio.sleep(seconds)
    runner.post(event)
