"""The names in the charts against what the daemon binds to them, in both directions."""

from __future__ import annotations

import trio
import trio.lowlevel

from kalshi_daemon.charts.lint import lint_bindings
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from statecharts.trader import TRADER


def test_every_name_of_the_trader_is_bound_and_every_binding_is_named() -> None:
    """No task or guard of the chart is missing in the daemon, and the daemon binds nothing that it does not name."""
    found: list[list[str]] = []

    async def scenario(stage: Stage) -> None:
        bindings = stage.daemon.tasks.bindings()
        found.append(lint_bindings(TRADER, stage.daemon._guards(), bindings))
        found.append(lint_bindings(TRADER, stage.daemon._guards(), bindings.keys() - {"sweep"}))
        await trio.lowlevel.checkpoint()

    run_virtually(1, scenario)
    assert found == [[], ["trader: task sweep is named and not bound"]]
