"""The trader's chart with its levels and the pokes on their way, searched exhaustively.

A level changes at any moment and its poke arrives later, in any order, or where it is not heard. A state of the search
is the leaf, the levels, and the pokes under way. What must never happen is asked of every state and every step, of the
real chart and of deliberately wrong ones, which the search must refuse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import pytest

from kalshi_daemon.charts.flat import Edge, Flat
from kalshi_daemon.charts.literals import Path, ancestry, outcomes_of
from statecharts.trader import TRADER
from statecharts.types import ChartDef


class Place(NamedTuple):
    """Where the trader is. `swept` False: a hold that takes orders came since the last verified sweep."""

    leaf: Path
    held: bool = False
    swept: bool = True
    feeds: bool = False
    restricted: bool = False
    agreed: bool = False
    pokes: frozenset[str] = frozenset()

    def answer(self, guard: str) -> bool | None:
        """What a guard answers; None for crashes_left, which is left both ways."""
        if guard == "crashes_left":
            return None
        return {
            "held": self.held,
            "feeds_usable": self.feeds,
            "restricted": self.restricted,
            "account_agreed": self.agreed,
            "sweep_wanted": self.held and not self.swept,
        }[guard]

    def agrees_with(self, edge: Edge) -> bool:
        return all(self.answer(guard) in (None, said) for guard, said in edge.answers.items())

    def poked(self, event: str) -> frozenset[str]:
        return self.pokes | {event}

    def changed(self) -> Iterator[Place]:
        """One level changes, and its poke goes on its way."""
        if self.held:
            yield self._replace(held=False, swept=True, pokes=self.poked("holds_lifted"))
        yield self._replace(held=True, swept=False, pokes=self.poked("hold_placed"))
        if self.feeds:
            yield self._replace(feeds=False, agreed=False, pokes=self.poked("feeds_lost"))
        yield self._replace(feeds=True)
        if self.restricted:
            yield self._replace(restricted=False, pokes=self.poked("restrictions_lifted"))
        yield self._replace(restricted=True, pokes=self.poked("restriction_placed"))
        if self.leaf[0] == "paused" and self.feeds:
            yield self._replace(agreed=True)  # the audit that `sync` makes while paused
        yield self._replace(agreed=False)

    def after(self, edge: Edge) -> Place:
        """Where an event leads, with what its task has done to the levels before it posted it."""
        place = self._replace(leaf=edge.dest, pokes=self.pokes - {edge.event})
        if edge.event == "calibrated":
            return place._replace(agreed=True)
        if edge.event == "swept":
            return place._replace(swept=True)
        return place


class Search:
    """Every place that can be reached, with the places that follow it, and every step taken."""

    def __init__(self, chart: ChartDef) -> None:
        self.flat = Flat(chart)
        self.edges: dict[tuple[Path, str], list[Edge]] = {}
        for edge in self.flat.edges:
            self.edges.setdefault((edge.leaf, edge.event), []).append(edge)
        self._events = {leaf: frozenset((*self._posted(leaf), "stop", "service_lost")) for leaf in self.flat.leaves}
        self.graph: dict[Place, list[Place]] = {}
        self.taken: list[tuple[Place, Edge, Place]] = []
        todo = deque([Place(self.flat.initial)])
        seen = set(todo)
        while todo:
            place = todo.popleft()
            self.graph[place] = list(self._next(place))
            for after in self.graph[place]:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)

    def _next(self, place: Place) -> Iterator[Place]:
        if self.flat.chart.states[place.leaf].get("final"):
            return
        for event in self._events[place.leaf] | place.pokes:
            before = place
            if event == "diverged":  # the hold is placed first
                before = place._replace(held=True, swept=False, pokes=place.poked("hold_placed"))
            if (place.leaf, event) not in self.edges:
                yield place._replace(pokes=place.pokes - {event})  # no row anywhere is for it
            for edge in self.edges.get((place.leaf, event), ()):
                if before.agrees_with(edge):
                    after = before.after(edge)
                    self.taken.append((before, edge, after))
                    yield after
        yield from place.changed()

    def _posted(self, leaf: Path) -> Iterator[str]:
        """What the tasks and time limits of a leaf and of the states around it may post."""
        for path in ancestry(leaf):
            state = self.flat.chart.states[path]
            yield from state.get("after", {})
            for invoke in state.get("invoke", {}).values():
                yield from outcomes_of(invoke)
                yield invoke.get("crashed", "task_crashed")


# ---- what must never happen: each yields the places where it does


def trading_by_another_door(search: Search) -> Iterator[Place]:
    for before, edge, after in search.taken:
        if after.leaf[0] == "trading" != before.leaf[0]:
            by_a_door = edge.event == "calibrated" or (before.leaf[0] == "paused" and before.agreed)
            if before.held or not before.feeds or not by_a_door:
                yield before


def paused_left_under_a_hold(search: Search) -> Iterator[Place]:
    for before, edge, after in search.taken:
        if before.leaf[0] == "paused" != after.leaf[0] and before.held and edge.event in ("swept", "holds_lifted"):
            yield before


def trading_against_a_level(search: Search) -> Iterator[Place]:
    """A hold, lost feeds or a restriction while trading, and no poke on its way to say so."""
    for place in search.graph:
        if place.leaf[0] == "trading":
            held = place.held and "hold_placed" not in place.pokes
            blind = not place.feeds and "feeds_lost" not in place.pokes
            free = place.leaf[1] == "normal" and place.restricted and "restriction_placed" not in place.pokes
            if held or blind or free:
                yield place


def holding_for_nothing(search: Search) -> Iterator[Place]:
    for place in search.graph:
        if place.leaf == ("paused", "holding") and not place.held and "holds_lifted" not in place.pokes:
            yield place


def holding_unswept(search: Search) -> Iterator[Place]:
    for place in search.graph:
        if place.leaf == ("paused", "holding") and not place.swept and "hold_placed" not in place.pokes:
            yield place


def stop_taken_back(search: Search) -> Iterator[Place]:
    for before, _, after in search.taken:
        if before.leaf[0] == "stopping" and after.leaf[0] not in ("stopping", "stopped", "failed"):
            yield before


def never_trading_again(search: Search) -> Iterator[Place]:
    back: dict[Place, list[Place]] = {}
    for before, successors in search.graph.items():
        for after in successors:
            back.setdefault(after, []).append(before)
    good = {place for place in search.graph if place.leaf == ("trading", "normal")}
    todo = deque(good)
    while todo:
        fresh = set(back.get(todo.popleft(), ())) - good
        good |= fresh
        todo += fresh
    yield from (place for place in search.graph if place not in good and place.leaf[0] not in ENDING)


ENDING = ("stopping", "stopped", "failed")
Property = Callable[[Search], Iterator[Place]]
PROPERTIES: list[Property] = [
    trading_by_another_door,
    paused_left_under_a_hold,
    trading_against_a_level,
    holding_for_nothing,
    holding_unswept,
    stop_taken_back,
    never_trading_again,
]


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(TRADER)


def test_every_leaf_and_thousands_of_places_are_met(search: Search) -> None:
    """A search that found little would prove little."""
    assert {place.leaf for place in search.graph} == set(search.flat.leaves)
    assert len(search.graph) > 7_000


@pytest.mark.parametrize("wrong", PROPERTIES, ids=lambda wrong: wrong.__name__)
def test_it_never_happens(search: Search, wrong: Property) -> None:
    """No place and no step of the real chart shows it."""
    assert list(wrong(search)) == []


def drop(trigger: str, guard: str | None) -> Callable[[Any], None]:
    """The chart without the rows of a trigger that ask this guard; None: without any row of the trigger."""

    def change(chart: Any) -> None:
        rows = chart["transitions"]
        guards = [(row, (row.get("conditions"), row.get("unless"))) for row in rows]
        kept = [row for row, asked in guards if row["trigger"] != trigger or (guard is not None and guard not in asked)]
        assert len(kept) < len(rows)
        chart["transitions"] = kept

    return change


def unheard_in_holding(chart: Any) -> None:
    for row in chart["transitions"]:
        if row["trigger"] == "hold_placed":
            row["source"] = [source for source in row["source"] if source != "paused.holding"]


def swept_always_holds(chart: Any) -> None:
    rows = chart["transitions"]
    chart["transitions"] = [row for row in rows if row["trigger"] != "swept"]
    chart["transitions"].append({"trigger": "swept", "source": "paused.sweeping", "dest": "paused.holding"})


def paused_for_good(chart: Any) -> None:
    swept_always_holds(chart)
    drop("holds_lifted", None)(chart)


def stop_reconsidered(chart: Any) -> None:
    chart["transitions"].append({"trigger": "holds_lifted", "source": "stopping", "dest": "paused"})


def agreed_unasked(chart: Any) -> None:
    for row in chart["transitions"]:
        if isinstance(row.get("conditions"), list):
            row["conditions"] = [name for name in row["conditions"] if name != "account_agreed"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (drop("calibrated", "held"), trading_by_another_door),
        (agreed_unasked, trading_by_another_door),
        (drop("holds_lifted", "held"), paused_left_under_a_hold),
        (drop("feeds_lost", None), trading_against_a_level),
        (swept_always_holds, holding_for_nothing),
        (unheard_in_holding, holding_unswept),
        (stop_reconsidered, stop_taken_back),
        (paused_for_good, never_trading_again),
    ],
    ids=[
        "calibrated_ignores_holds",
        "agreement_ignored",
        "lift_leaves_under_a_hold",
        "feeds_lost_unheard",
        "holding_without_looking",
        "hold_unheard_in_holding",
        "stop_reconsidered",
        "paused_for_good",
    ],
)
def test_a_wrong_design_is_refused(change: Callable[[Any], None], wrong: Property) -> None:
    """The property that stands for it fails on the changed chart."""
    chart = deepcopy(TRADER)
    change(chart)
    assert list(wrong(Search(chart)))
