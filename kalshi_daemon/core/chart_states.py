"""What a chart's literal says about its states: their dotted paths, outermost first, each with its sentence.

Everything that shows a state (health, `why`, metric labels, the live view) takes its words from here, so that they are
written once, in `statecharts/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from statecharts.actor import ACTOR
from statecharts.circuit_breaker import CIRCUIT_BREAKER
from statecharts.connection import CONNECTION
from statecharts.orderbook_feed import ORDERBOOK_FEED
from statecharts.trader import TRADER
from statecharts.types import ChartDef, StateDef

CHARTS: Final[Mapping[str, ChartDef]] = {
    chart["name"]: chart for chart in (TRADER, CONNECTION, ORDERBOOK_FEED, ACTOR, CIRCUIT_BREAKER)
}


def _flatten(states: Iterable[StateDef], prefix: str) -> Iterable[tuple[str, StateDef]]:
    for state in states:
        path = prefix + state["name"]
        yield path, state
        yield from _flatten(state.get("children", []), path + ".")


@cache
def sentences(chart: str) -> Mapping[str, str]:
    """Path -> what holds in that state, of the chart of that name."""
    return {path: state["true"] for path, state in _flatten(CHARTS[chart]["states"], "")}
