"""The planner: what a step is, which row is taken, and what is refused when a chart is built."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from small_charts import SMALL, names

from kalshi_daemon.charts.chart import Chart, ChartError, Step
from statecharts.types import ChartDef, TransitionDef


def small(*rows: TransitionDef, may_retry: bool = True) -> Chart:
    chart = deepcopy(SMALL)
    chart["transitions"] = [*rows, *chart["transitions"]]
    return Chart(chart, {"may_retry": lambda: may_retry})


def at(chart: Chart, leaf: str) -> Chart:
    chart.stand_in(tuple(leaf.split(".")))
    return chart


def walked(chart: Chart, event: str) -> tuple[list[str], list[str]]:
    step = chart.step(event)
    assert step.taken
    return names(step.exited), names(step.entered)


def test_it_stands_in_the_initial_state() -> None:
    """A new chart's configuration is the initial state, and nothing was entered to get there."""
    assert small().configuration == (("off",),)


def test_a_compound_state_is_entered_with_its_initial_children() -> None:
    """Entry is outermost first, down to the leaf."""
    chart = small()
    assert walked(chart, "start") == (["off"], ["on", "on.connecting"])
    assert names(chart.configuration) == ["on", "on.connecting"]


def test_leaving_is_innermost_first() -> None:
    """A row of an outer state leaves every state inside it, the innermost first."""
    chart = at(small(), "on.online.current")
    assert walked(chart, "stop") == (["on.online.current", "on.online", "on"], ["off"])


def test_what_both_configurations_share_is_kept() -> None:
    """A row between siblings leaves and enters the siblings alone."""
    chart = at(small(), "on.online.current")
    assert walked(chart, "gap") == (["on.online.current"], ["on.online.syncing"])


def test_a_row_into_a_child_keeps_the_parent() -> None:
    """`p -> p.b` keeps p."""
    row: TransitionDef = {"trigger": "stop", "source": "on", "dest": "on.backing_off"}
    assert walked(at(small(row), "on.connecting"), "stop") == (["on.connecting"], ["on.backing_off"])


@pytest.mark.parametrize("source", ["on", "on.connecting"])
def test_a_row_into_the_state_itself_or_one_around_it_enters_it_again(source: str) -> None:
    """`p -> p` and `p.a -> p` leave and enter p."""
    row: TransitionDef = {"trigger": "stop", "source": source, "dest": "on"}
    chart = at(small(row), "on.connecting")
    assert walked(chart, "stop") == (["on.connecting", "on"], ["on", "on.connecting"])


def test_a_self_row_of_a_leaf_enters_the_leaf_alone_again() -> None:
    """`p.a -> p.a` keeps p."""
    assert walked(at(small(), "on.connecting"), "tick") == (["on.connecting"], ["on.connecting"])


def test_the_inner_row_is_tried_first() -> None:
    """An event with rows in the leaf and around it takes the leaf's."""
    assert at(small(), "on.connecting").step("tick").exited == (("on", "connecting"),)
    assert at(small(), "on.backing_off").step("tick") == Step("tick", taken=True)


def test_the_outer_row_is_tried_when_every_inner_guard_refuses() -> None:
    """A guarded inner row that refuses does not hide the outer one."""
    row: TransitionDef = {"trigger": "stop", "source": "on.connecting", "dest": None, "conditions": "may_retry"}
    assert names(at(small(row, may_retry=True), "on.connecting").step("stop").exited) == []
    assert names(at(small(row, may_retry=False), "on.connecting").step("stop").exited) == ["on.connecting", "on"]


def test_a_row_that_leads_nowhere_stops_the_search() -> None:
    """`dest` None takes the event, and the outer state's row is not tried."""
    row: TransitionDef = {"trigger": "stop", "source": "on.connecting", "dest": None}
    assert at(small(row), "on.connecting").step("stop") == Step("stop", taken=True)


@pytest.mark.parametrize(("may_retry", "dest"), [(True, "on.connecting"), (False, "off")])
def test_rows_are_tried_in_order(may_retry: bool, dest: str) -> None:
    """The first row whose guard agrees is taken, the unguarded one otherwise."""
    chart = at(small(may_retry=may_retry), "on.backing_off")
    assert walked(chart, "retry_due")[1][-1] == dest


def test_unless_is_the_opposite_of_conditions() -> None:
    """A row with `unless` is taken when the guard says no."""
    row: TransitionDef = {"trigger": "stop", "source": "on", "dest": "done", "unless": "may_retry"}
    assert walked(at(small(row, may_retry=False), "on.connecting"), "stop")[1] == ["done"]
    assert walked(at(small(row, may_retry=True), "on.connecting"), "stop")[1] == ["off"]


def test_an_event_that_the_state_does_not_hear_changes_nothing() -> None:
    """Not taken, nothing left, nothing entered, the same configuration."""
    chart = small()
    assert chart.step("gap") == Step("gap", taken=False)
    assert chart.configuration == (("off",),)


def test_an_unknown_event_is_our_mistake() -> None:
    """An event that no row is for is a ChartError, and nothing changes."""
    chart = small()
    with pytest.raises(ChartError, match="'begin'"):
        chart.step("begin")
    assert chart.configuration == (("off",),)


def test_a_guard_that_answers_something_else_is_our_mistake() -> None:
    """A guard is total and answers with a bool: a figure or None is an assertion."""
    chart = Chart(SMALL, {"may_retry": lambda: 3})  # type: ignore[dict-item, return-value]
    with pytest.raises(AssertionError, match="may_retry answered 3"):
        at(chart, "on.backing_off").step("retry_due")


def broken(**changes: Any) -> ChartDef:
    chart: Any = deepcopy(SMALL)
    chart.update(changes)
    return chart  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("chart", "complaint"),
    [
        (
            broken(transitions=[*SMALL["transitions"], {"trigger": "x", "source": "onn", "dest": "off"}]),
            "no state 'onn'",
        ),
        (broken(transitions=[*SMALL["transitions"], {"trigger": "x", "source": "on", "dest": "of"}]), "no state 'of'"),
        (broken(initial="of"), "initial: no state 'of'"),
        (
            broken(states=[*SMALL["states"], {"name": "x", "true": "X.", "after": {"bored": "limit"}}]),
            "x posts 'bored', which no row is for",
        ),
        (
            broken(states=[*SMALL["states"], {"name": "x", "true": "X.", "invoke": {"t": {"done": {"a": "b"}}}}]),
            "x/t posts 'b', which no row is for",
        ),
        (
            broken(states=[*SMALL["states"], {"name": "x", "true": "X.", "invoke": {"t": {"crashed": "c"}}}]),
            "x/t posts 'c', which no row is for",
        ),
        (
            broken(states=[*SMALL["states"], {"name": "x", "true": "X.", "initial": "y", "children": [{"name": "z"}]}]),
            "x: no initial state 'y'",
        ),
        (
            broken(states=[*SMALL["states"], {"name": "x", "true": "X.", "children": [{"name": "z"}]}]),
            "a state with children has an initial one",
        ),
    ],
)
def test_what_the_library_would_accept_and_fail_at_later_is_refused(chart: ChartDef, complaint: str) -> None:
    """A misspelt state, and an event that is posted and heard nowhere, are found when the chart is built."""
    with pytest.raises(ChartError, match=complaint.replace("(", r"\(")):
        Chart(chart, {"may_retry": lambda: True})


def test_an_unbound_guard_is_refused() -> None:
    """A guard that nobody binds is found when the chart is built, not when it is asked."""
    with pytest.raises(ChartError, match="guard 'may_retry' is not bound"):
        Chart(SMALL, {})
