"""A chart as a flat table, (leaf, event, what the guards answer) -> leaf, for searches.

Rules: every entry is computed by stepping the planner itself, never by a second reading of its rules. Every
combination of answers is tried, so a search over it knows nothing of what the guards really say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product

from attrs import frozen

from kalshi_daemon.charts.chart import Chart
from kalshi_daemon.charts.literals import Path, guards_of, leaves_of
from statecharts.types import ChartDef


@frozen
class Edge:
    """One event in one leaf under one set of answers. Not taken: `dest` is the leaf itself and nothing is left."""

    leaf: Path
    event: str
    answers: Mapping[str, bool]
    taken: bool
    dest: Path
    exited: tuple[Path, ...]
    entered: tuple[Path, ...]

    def keeps(self, path: Path) -> bool:
        """Whether a state that was active is still the same stay."""
        return path not in self.exited


class Flat:
    """Every edge of a chart; `chart` is the planner that they were asked of."""

    def __init__(self, definition: ChartDef) -> None:
        self._answers: dict[str, bool] = {}
        guards: dict[str, Callable[[], bool]] = {
            name: partial(self._answers.__getitem__, name) for name in guards_of(definition)
        }
        self.chart = Chart(definition, guards)
        self.initial = self.chart.configuration[-1]
        self.leaves = leaves_of(definition)
        self.edges = tuple(self._all())

    def _all(self) -> Iterator[Edge]:
        asked = {
            event: sorted({name for row in self.chart.rows if row.event == event for name in row.guards})
            for event in sorted(self.chart.events)
        }
        for leaf in self.leaves:
            for event, names in asked.items():
                for answers in product((False, True), repeat=len(names)):
                    yield self._edge(leaf, event, dict(zip(names, answers, strict=True)))

    def _edge(self, leaf: Path, event: str, answers: Mapping[str, bool]) -> Edge:
        self._answers.update(answers)
        self.chart.stand_in(leaf)
        step = self.chart.step(event)
        return Edge(leaf, event, answers, step.taken, self.chart.configuration[-1], step.exited, step.entered)

    def at(self, leaf: Path, event: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.leaf == leaf and edge.event == event)

    def reachable(self, start: Path) -> frozenset[Path]:
        """The leaves that some sequence of events leads to, the guards answering as they please."""
        seen = {start}
        todo = [start]
        while todo:
            leaf = todo.pop()
            fresh = {edge.dest for edge in self.edges if edge.leaf == leaf} - seen
            seen |= fresh
            todo += fresh
        return frozenset(seen)
