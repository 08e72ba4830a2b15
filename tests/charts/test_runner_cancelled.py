"""A runner that is cancelled from outside in the middle of a step ends by that cancellation, and never as a crash."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from kalshi_daemon.charts.chart import Chart
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.limits import CHART_RESTARTS
from statecharts.actor import ACTOR


@pytest.mark.parametrize("turns", range(16))
async def test_a_step_that_meets_a_cancellation_is_no_crash(turns: int, autojump_clock: MockClock) -> None:
    """Whatever the number of the scheduler's turns between the event and the cancellation, fifty times each: the
    scheduler shuffles, and what stands around the next state may have ended before it is entered.
    """
    for seed in range(50):
        alarms: list[str] = []

        async def decide(_stay: Stay) -> None:
            await trio.sleep_forever()

        runner = Runner(
            Chart(ACTOR, {"policy_may_probe": lambda: True}),
            {"decide_and_act": decide},
            Delays(random.Random(seed)).callables,
            CHART_RESTARTS,
            on_step=lambda _step: None,
            on_alarm=lambda name, text, told=alarms: told.append(f"{name}: {text}"),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run)
            runner.post("rate_spent")
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert alarms == []
        assert runner.active == ()
