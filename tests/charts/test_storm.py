"""Random events, crashes and pauses, seed after seed: the nursery tree equals the configuration after every step."""

from __future__ import annotations

import random

import pytest
import trio
from small_charts import World, expected_tree, nursery_tree
from trio.testing import MockClock

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.runner import Stay

EVENTS = ["start", "stop", "gap", "synced", "dialled", "not_dialled", "dropped", "tick", "retry_due"]
TASKS = ["heartbeat", "dial", "reader", "fetch", "actor", "quoter"]
OUTCOMES = {"dial": ["yes", "no"], "reader": ["x"], "fetch": ["x"]}


class Storm(World):
    """A world whose tasks, when poked, return, crash or clean up slowly, as the seed says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.bodies = {task: self._body(task) for task in TASKS if task != "heartbeat"}
        self.checked = 0

    def _body(self, task: str):  # type: ignore[no-untyped-def]
        async def body(_stay: Stay) -> str | None:
            try:
                await trio.sleep(self.rng.choice([0.2, 1.0, 1e9]))
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.rng.choice([0, 0, 0.4]))
                raise
            if task not in OUTCOMES or self.rng.random() < 0.3:
                raise OSError(task)
            return self.rng.choice(OUTCOMES[task])

        return body


@pytest.mark.parametrize("seed", range(30))
def test_the_tree_equals_the_configuration_after_each_of_300_events(seed: int) -> None:
    """30 seeds of 300 events each; at every step trio's own tree of tasks is compared with what the chart says."""
    storm = Storm(seed)

    async def main() -> None:
        runner = storm.runner()

        def check(_step: Step) -> None:
            tree, expected = nursery_tree("small"), expected_tree(runner)
            assert {state: around for state, (around, _) in tree.items()} == {s: a for s, (a, _) in expected.items()}
            for state, (_, tasks) in tree.items():
                assert tasks <= expected[state][1] | {"clerk", "lamp"}
            innermost = max(tree, key=len)
            assert tree[innermost] == expected[innermost]  # just entered or kept: nothing of it can have ended
            storm.checked += 1

        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run)
            storm.on_step = lambda step: check(step) if step.entered else None
            for _ in range(300):
                storm.answers["may_retry"] = storm.rng.random() < 0.8
                runner.post(storm.rng.choice(EVENTS))
                if storm.rng.random() < 0.4:
                    await trio.sleep(storm.rng.random())
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        assert runner.counts.posted == runner.counts.taken + runner.counts.unheard + runner.counts.stale
        assert runner.counts.posted >= 300

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert storm.live == []
    assert storm.checked > 50
