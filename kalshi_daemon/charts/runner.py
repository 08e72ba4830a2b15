"""Drive a chart with trio: every active state holds a nursery inside its parent's nursery.

One task owns the chart. It takes one event, plans the step, and makes the nursery tree match: what was left is
cancelled and joined, innermost first; then what was entered is opened, outermost first. Only then is the next event
read.

Rules:
- Ancestors that a step keeps, keep their nursery and their tasks. After each step the tree equals the configuration.
- An event posted by a state that has been left is stale: dropped and counted. Posts of services and of the world
  never are.
- A crash is an event. Unheard, it escalates: `run` raises, and the chart that invoked this one hears a crash in its
  turn.
- A crash while its state is being left cannot be an event any more: it is told to `on_alarm` and escalates.
- A task that does not end within EXIT_LIMIT_S of being cancelled escalates. Trio cannot abandon it, so `run` raises
  when it does end; `on_alarm` is told at once, and the process's watchdog is what ends it.
- A task that is started again waits first, longer after each crash in a row; a state entered anew makes no difference.
- Entry waits for nothing but the nursery: ready is an event. Posting never blocks; a full queue escalates.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NoReturn

import trio
from attrs import define, field, frozen

from kalshi_daemon.charts.chart import Chart, ChartError, Step
from kalshi_daemon.charts.crashes import innermost_line, leaves_of_group
from kalshi_daemon.charts.literals import (
    Path,
    crash_event,
    dotted,
    limits_of,
    path_of,
    restarts_of,
    tasks_of,
)
from kalshi_daemon.limits import EVENT_QUEUE_MAX, EXIT_LIMIT_S, RESTART_PAUSE_S, RESTART_STEADY_S
from statecharts.types import InvokeDef

LIFE: Path = ()  # the path of the outermost stay, which holds the chart's services and every state


class Escalation(Exception):
    """A chart could not deal with what happened: an unheard crash, a task that will not end, a queue over its limit."""


@define(eq=False)
class Stay:
    """One stay in one state, and the only handle that the tasks of the state are given."""

    path: str
    _post: Callable[[str, Stay], None]
    nursery: trio.Nursery = field(repr=False)
    left: trio.Event = field(factory=trio.Event, repr=False)
    active: bool = True  # false from the moment at which leaving begins

    def post(self, event: str) -> None:
        """Never blocks. From a stay that is being left, or has been, the event is stale."""
        self._post(event, self)


Invoke = Callable[[Stay], Awaitable[str | None]]


@frozen
class _Posted:
    event: str
    origin: Stay | None  # the stay whose task or time limit posted it; None: the world
    crash: Exception | None = None
    task: str = ""


@define
class Counts:
    """What became of events and tasks since the runner was made; for metrics."""

    posted: int = 0
    taken: int = 0
    unheard: int = 0  # no active state has a row for it, or every guard refused
    stale: int = 0
    crashed: int = 0
    restarted: int = 0


class Runner:
    """A chart with its tasks. `delays` has a callable per limit of `after`, asked at each entry, in seconds.

    `on_plan` is called with each step that is taken before anything is left: what its guards read is still so.
    `on_step` is called after each step that was taken, when the tree equals the configuration, and after the first
    entry (event `start`). `on_alarm` gets a short name and one line. Neither may block.
    Raises ChartError when a task or a limit that the chart names is not bound.
    """

    def __init__(
        self,
        chart: Chart,
        invokes: Mapping[str, Invoke],
        delays: Mapping[str, Callable[[], float]],
        restarts: Mapping[str, int],
        *,
        on_step: Callable[[Step], None],
        on_alarm: Callable[[str, str], None],
        on_plan: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        missing = {
            "task": tasks_of(chart.definition) - set(invokes),
            "limit": limits_of(chart.definition) - set(delays),
            "restart": restarts_of(chart.definition) - set(restarts),
        }
        problems = [f"{kind} {name!r} is not bound" for kind, names in missing.items() for name in sorted(names)]
        if problems:
            raise ChartError(f"chart {chart.name}: " + "; ".join(problems))
        self.chart = chart
        self.counts = Counts()
        self._invokes = invokes
        self._delays = delays
        self._restarts = restarts
        self._on_step = on_step
        self._on_alarm = on_alarm
        self._on_plan = on_plan
        self._stays: dict[Path, Stay] = {}  # outermost first, each inside the one before
        self._running: dict[str, str] = {}  # task -> the state it belongs to
        self._pauses: dict[str, float] = {}  # task that is started again -> seconds to wait before it begins once more
        self._send, self._receive = trio.open_memory_channel[_Posted](EVENT_QUEUE_MAX)
        self._overflowed = False
        self._begun = False
        self._over = False

    @property
    def active(self) -> tuple[str, ...]:
        """The dotted paths of the states whose nurseries are open, outermost first; empty outside `run`."""
        return tuple(stay.path for path, stay in self._stays.items() if path != LIFE)

    @property
    def innermost(self) -> str:
        """The dotted path of the innermost active state; empty outside `run`."""
        return self.active[-1] if self.active else ""

    def is_in(self, path: str) -> bool:
        return path_of(path) in self._stays

    def post(self, event: str) -> None:
        """Post an event from the world. Never blocks; may be called before `run`, and does nothing after it."""
        self._post(event, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> str:
        """Live until a final state is entered, and return its dotted path when every task has been joined."""
        assert not self._begun, "a runner is run once: make another for another life"
        self._begun = True
        try:
            async with trio.open_nursery() as nursery:
                await self._enter(LIFE, nursery)
                await self._begin()
                task_status.started()
                while not self.chart.states[self.chart.configuration[-1]].get("final"):
                    await self._handle(await self._receive.receive())
                for path in reversed(tuple(self._stays)):
                    await self._exit(path)
        except BaseExceptionGroup as group:
            _surface(group)
        finally:
            self._over = True
            self._stays.clear()
        return dotted(self.chart.configuration[-1])

    async def _begin(self) -> None:
        """Enter the initial state, which the library never does."""
        for path in self.chart.configuration:
            await self._enter(path, self._stays[path[:-1]].nursery)
        self._on_step(Step("start", taken=True, entered=self.chart.configuration))

    # ---- one step

    async def _handle(self, posted: _Posted) -> None:
        if self._overflowed:
            self._escalate("queue_over_limit", f"chart {self.chart.name}: more than {EVENT_QUEUE_MAX} events wait")
        if posted.origin is not None and not posted.origin.active:
            self._drop(posted)
            return
        heard = posted.event in self.chart.events
        step = self.chart.step(posted.event) if heard else Step(posted.event, taken=False)
        if not step.taken:
            self.counts.unheard += 1
            if posted.crash is not None:
                raise Escalation(f"{posted.task}: no state heard its crash") from posted.crash
            return
        self.counts.taken += 1
        self._on_plan(step)
        for path in step.exited:
            await self._exit(path)
        for path in step.entered:
            await self._enter(path, self._stays[path[:-1]].nursery)
        assert tuple(self._stays)[1:] == self.chart.configuration, "the nursery tree differs from the configuration"
        self._on_step(step)

    def _drop(self, posted: _Posted) -> None:
        self.counts.stale += 1
        if posted.crash is not None:  # the step before it has already left the state, which is all that a crash asks
            self._on_alarm("stale_crash", f"{posted.task}: its state was left before its crash could be heard")

    def _post(self, event: str, origin: Stay | None) -> None:
        if event not in self.chart.events:
            raise ChartError(f"chart {self.chart.name}: {event!r} was posted, and no row anywhere is for it")
        self._enqueue(_Posted(event, origin))

    def _enqueue(self, posted: _Posted) -> None:
        self.counts.posted += 1
        if (posted.origin is not None and not posted.origin.active) or self._over:
            self._drop(posted)
            return
        try:
            self._send.send_nowait(posted)
        except trio.WouldBlock:
            self._overflowed = True

    # ---- entry and exit

    async def _enter(self, path: Path, parent: trio.Nursery) -> None:
        # cancelled from outside between an exit and its entry, the parent may have ended: nothing opens in it
        await trio.lowlevel.checkpoint_if_cancelled()
        await parent.start(self._hold, path, name=f"{self.chart.name}:{dotted(path)}")

    async def _exit(self, path: Path) -> None:
        stay = self._stays.pop(path)
        stay.active = False
        stay.nursery.cancel_scope.cancel()
        with trio.move_on_after(EXIT_LIMIT_S):
            await stay.left.wait()
        if not stay.left.is_set():
            names = ", ".join(task for task, owner in self._running.items() if owner == stay.path)
            self._escalate("exit_overdue", f"{self._named(path, names)} did not end within {EXIT_LIMIT_S} s")

    async def _hold(self, path: Path, *, task_status: trio.TaskStatus[None]) -> None:
        """Be in a state: hold its nursery open until the runner cancels it."""
        definition = self.chart.definition if path == LIFE else self.chart.states[path]
        async with trio.open_nursery() as nursery:
            stay = Stay(dotted(path), self._post, nursery)
            self._stays[path] = stay  # before its tasks begin: they find their own state active
            for task, invoke in definition.get("invoke", {}).items():
                nursery.start_soon(self._task, path, stay, task, invoke, name=self._named(path, task))
            for event, limit in self._time_limits(path):
                wait_s = self._delays[limit]()
                nursery.start_soon(self._after, stay, event, wait_s, name=self._named(path, f"after {event}"))
            nursery.start_soon(trio.sleep_forever)
            task_status.started()
        stay.left.set()

    def _time_limits(self, path: Path) -> Iterator[tuple[str, str]]:
        if path != LIFE:
            yield from self.chart.states[path].get("after", {}).items()

    @staticmethod
    async def _after(stay: Stay, event: str, wait_s: float) -> None:
        await trio.sleep(wait_s)
        stay.post(event)

    # ---- tasks

    async def _task(self, path: Path, stay: Stay, task: str, invoke: InvokeDef) -> None:
        """One task for one stay: run, started again where its chart says so, and its last crash told as an event."""
        assert task not in self._running, f"a second copy of {task} would live at once"
        self._running[task] = stay.path
        restarts = self._restarts[invoke["restart"]] if "restart" in invoke else 0
        try:
            crash = await self._attempt(path, stay, task, invoke)
            for _ in range(restarts):
                if crash is None:
                    break
                self.counts.restarted += 1
                self._on_alarm("task_restarted", f"{self._crash_text(path, task, crash)}; it is started again")
                crash = await self._attempt(path, stay, task, invoke)
        finally:
            del self._running[task]
        if crash is not None:
            self._crash(path, stay, task, invoke, crash)

    async def _pause(self, task: str) -> None:
        """Before a task begins that has crashed: longer each time, whichever stay it crashed in."""
        if task in self._pauses:
            await trio.sleep(self._pauses[task])

    def _lengthen_pause(self, task: str, lived_s: float) -> None:
        """A life of `RESTART_STEADY_S` forgets the crashes before it."""
        least_s, most_s = RESTART_PAUSE_S
        last_s = self._pauses.get(task, 0.0) if lived_s < RESTART_STEADY_S else 0.0
        self._pauses[task] = min(max(2 * last_s, least_s), most_s)

    async def _attempt(self, path: Path, stay: Stay, task: str, invoke: InvokeDef) -> Exception | None:
        """Run a task once. Returned: how it crashed, or None where it ended as its chart says.

        `except*`, not `except`: a crash that coincides with a cancellation arrives as one group that holds both, and
        only the crash is ours to take.
        """
        crash: Exception | None = None
        outcome: str | None = None
        await self._pause(task)
        began_s = trio.current_time()
        try:
            outcome = await self._invokes[task](stay)
        except* Exception as group:  # noqa: BLE001 - whatever a task raises is an event, or escalates
            self.counts.crashed += 1
            crash = group
            if _leaving(stay):
                self._escalate("crash_while_leaving", self._crash_text(path, task, crash), crash)
        if crash is None and "done" not in invoke and not _leaving(stay):
            self.counts.crashed += 1
            crash = RuntimeError("it returned, and its chart says that it does not end")
        if crash is not None:
            if "restart" in invoke:
                self._lengthen_pause(task, trio.current_time() - began_s)
            return crash
        self._end(path, stay, task, invoke, outcome)
        return None

    def _end(self, path: Path, stay: Stay, task: str, invoke: InvokeDef, outcome: str | None) -> None:
        """A task returned: post the one event that its outcome stands for."""
        done = invoke.get("done")
        if done is None or _leaving(stay):
            return
        if isinstance(done, dict):
            if outcome not in done:
                names = ", ".join(done)
                self._escalate(
                    "wrong_outcome", f"{self._named(path, task)} returned {outcome!r}, which is none of {names}"
                )
            done = done[outcome]
        stay.post(done)

    def _crash(self, path: Path, stay: Stay, task: str, invoke: InvokeDef, crash: Exception) -> None:
        """A task crashed for good: post the event that its chart names, or say that a service stays down."""
        event = crash_event(path, invoke)
        text = self._crash_text(path, task, crash)
        if event is None:
            self._on_alarm("service_down", f"{text}; it stays down")
            return
        self._on_alarm("task_crashed", f"{text}; {event}")
        self._enqueue(_Posted(event, stay, crash, self._named(path, task)))

    def _escalate(self, alarm: str, text: str, cause: Exception | None = None) -> NoReturn:
        self._on_alarm(alarm, text)
        raise Escalation(text) from cause

    def _named(self, path: Path, task: str) -> str:
        return f"{self.chart.name}:{dotted(path)}/{task}" if path else f"{self.chart.name}/{task}"

    def _crash_text(self, path: Path, task: str, crash: Exception) -> str:
        return f"{self._named(path, task)} crashed: {innermost_line(crash)}"


def _leaving(stay: Stay) -> bool:
    """Whether the stay, or anything around it, has been told to end."""
    return not stay.active or trio.current_effective_deadline() == -math.inf


def _surface(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise what a reader wants to see: the one exception inside, or one escalation for several."""
    leaves = tuple(leaves_of_group(group))
    if not all(isinstance(leaf, Exception) for leaf in leaves):
        raise group  # a cancellation of somebody further out is among them, and goes on
    if len(leaves) == 1:
        raise leaves[0] from leaves[0].__cause__
    raise Escalation("; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves)) from group
