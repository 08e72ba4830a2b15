"""A real chart on the real runner, its tasks driven from outside: told to return an outcome, to crash, or to post."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from small_charts import World, expected_tree, nursery_tree

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.literals import invokes_of
from kalshi_daemon.charts.runner import Escalation, Runner, Stay
from statecharts.types import ChartDef


class Told(Exception):
    """The crash that the test asked for."""


class Driven(World):
    """Every task waits for a word: `return:OUTCOME`, `crash` or `post:EVENT`; a task that is not live hears none.

    `asked` holds the answers of the guards as they were when one of them was last asked, which is when the last step
    was planned: levels may change while it is being carried out.
    """

    def __init__(self, chart: ChartDef) -> None:
        super().__init__(chart)
        self.outcomes = {task: _outcomes(invoke.get("done")) for _, task, invoke in invokes_of(chart)}
        self.before: Callable[[str, str], None] = lambda _task, _outcome: None
        self.asked = dict(self.answers)
        self.result = ""
        self.told: list[tuple[str, str]] = []
        self._words: dict[str, trio.MemorySendChannel[str]] = {}
        self.bodies = {task: self._body(task) for task in self.outcomes}
        self.current: Runner | None = None

    def guard(self, name: str) -> bool:
        self.asked = dict(self.answers)
        return self.answers[name]

    def tell(self, task: str, word: str) -> None:
        if task in self.live and task in self._words:
            self._words[task].send_nowait(word)
            self.told.append((task, word))

    def _body(self, task: str) -> Callable[[Stay], Awaitable[str | None]]:
        async def body(stay: Stay) -> str | None:
            self._words[task], words = trio.open_memory_channel[str](100)
            async for word in words:
                verb, _, what = word.partition(":")
                if verb == "crash":
                    raise Told(task)
                if verb == "return":
                    self.before(task, what)
                    return what
                stay.post(what)
            return None

        return body

    def check(self, _step: Step) -> None:
        """The nursery tree equals the configuration, and only tasks of active states live."""
        assert self.current is not None
        tree, expected = nursery_tree(self.definition["name"]), expected_tree(self.current)
        assert {state: around for state, (around, _) in tree.items()} == {s: a for s, (a, _) in expected.items()}
        allowed = {task for _, tasks in expected.values() for task in tasks}
        assert set(self.live) <= allowed, "a task outlives its state"

    async def drive(self, ops: Callable[[Runner], Awaitable[None]]) -> None:
        """Run the chart, do the operations, and end it; a crash while a state is left may end it early."""
        self.current = self.runner()

        async def run() -> None:
            assert self.current is not None
            try:
                self.result = await self.current.run()
            except Escalation:
                assert "crash_while_leaving" in self.alarm_names
                self.result = "escalated"
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await ops(self.current)
            nursery.cancel_scope.cancel()
        assert self.live == []


def _outcomes(done: str | dict[str, str] | None) -> list[str]:
    if done is None:
        return []
    return [done] if isinstance(done, str) else list(done)
