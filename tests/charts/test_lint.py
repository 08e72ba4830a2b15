"""The checks: the real charts and tables pass, and each of many deliberately wrong charts is found out."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from kalshi_daemon.charts.catalogue import TABLES, lint_all
from kalshi_daemon.charts.lint import lint, lint_bindings, lint_limits, lint_table
from kalshi_daemon.charts.literals import guards_of, tasks_of
from kalshi_daemon.core.chart_states import CHARTS
from statecharts.order import ORDER
from statecharts.orderbook_feed import ORDERBOOK_FEED
from statecharts.trader import TRADER
from statecharts.types import ChartDef

Mutant = Callable[[Any], object]
NOWHERE = object()


def test_the_daemons_own_charts_and_tables_have_no_findings() -> None:
    """Every chart, every table, and the limits in both directions."""
    assert lint_all() == []
    assert set(CHARTS) == {"trader", "connection", "orderbook_feed", "actor", "circuit_breaker"}
    assert set(TABLES) == {"order", "market"}


def state(chart: Any, path: str) -> Any:
    states = chart["states"]
    found = None
    for name in path.split("."):
        found = next(entry for entry in states if entry["name"] == name)
        states = found.get("children", [])
    return found


def row(**keys: Any) -> Mutant:
    return lambda chart: chart["transitions"].append(keys)


def put(path: str, key: str, value: Any) -> Mutant:
    return lambda chart: state(chart, path).__setitem__(key, value)


def drop(path: str, key: str) -> Mutant:
    return lambda chart: state(chart, path).__delitem__(key)


def edit(trigger: str, key: str, value: Any) -> Mutant:
    """The first row of a trigger with one key changed; None takes the key out, NOWHERE is a target of None."""

    def change(chart: Any) -> None:
        found = next(entry for entry in chart["transitions"] if entry["trigger"] == trigger)
        if value is None:
            del found[key]
        else:
            found[key] = None if value is NOWHERE else value

    return change


def paused_crash_stays(chart: Any) -> None:
    """A crash in paused that is taken and leaves nothing."""
    stays = {"trigger": "task_crashed", "source": "paused.holding", "dest": None}
    chart["transitions"].insert(0, stays)


def unheard_in(source: str, trigger: str) -> Mutant:
    """The rows of a trigger without one of their sources."""

    def change(chart: Any) -> None:
        for entry in chart["transitions"]:
            sources = entry["source"] if isinstance(entry["source"], list) else [entry["source"]]
            if entry["trigger"] == trigger:
                entry["source"] = [name for name in sources if name != source]

    return change


def shut(chart: Any) -> None:
    """paused.unswept without any row that leads out of it."""
    edit("sweep_due", "dest", NOWHERE)(chart)
    for trigger in ("hold_placed", "stop", "task_crashed", "service_lost"):
        for source in ("paused", "paused.unswept"):
            unheard_in(source, trigger)(chart)


MUTANTS: list[tuple[str, Mutant, str]] = [
    ("misspelt_source", row(trigger="stop", source="tradng", dest=None), "no state 'tradng'"),
    ("misspelt_dest", edit("recovered", "dest", "calibratin"), "no state 'calibratin'"),
    ("event_heard_nowhere", put("trading.reducing", "after", {"bored": "reminder_interval"}), "posts 'bored'"),
    ("no_way_in", lambda c: c["states"].insert(0, {"name": "lost", "true": "Lost.", "waits": "x"}), "lost cannot be"),
    ("no_way_out", shut, "paused.unswept has no way out"),
    ("no_time_limit", drop("calibrating", "after"), "calibrating has neither a time limit nor a reason"),
    ("no_sentence", put("calibrating", "true", "asked"), "calibrating: `true` is a sentence"),
    ("outcome_unheard", unheard_in("calibrating", "diverged"), "posts 'diverged', which no row is for"),
    ("outcome_unheard_here", edit("diverged", "source", "trading"), "diverged, posted by calibrating, is not heard"),
    (
        "timer_unheard_here",
        edit("reminder_due", "source", "trading.normal"),
        "reminder_due, posted by trading.reducing",
    ),
    ("nobody_posts", lambda c: c["outside"].pop("stop"), "stop is heard, and nobody posts it"),
    ("nobody_hears", lambda c: c["outside"].update(boo="test"), "boo comes from outside, and no row is for it"),
    ("crash_unheard", unheard_in("recovering", "task_crashed"), "task_crashed of recovering/cancel_blind is not heard"),
    ("crash_keeps_owner", paused_crash_stays, "task_crashed keeps paused in paused.holding without its task sync"),
    (
        "outcome_keeps_owner",
        edit("diverged", "dest", NOWHERE),
        "diverged keeps calibrating in calibrating without its task",
    ),
    ("two_copies", put("trading.normal", "invoke", {"sync": {}}), "sync is invoked by trading.normal and by trading"),
    (
        "copy_of_a_service",
        put("calibrating", "invoke", {"journal": {}}),
        "journal is invoked by calibrating and by the",
    ),
    ("service_survives", unheard_in("paused", "service_lost"), "service_lost of service journal does not end"),
    ("service_alone", lambda c: c["invoke"].update(view={}), "service view has neither `restart` nor `crashed`"),
    (
        "hidden_row",
        row(trigger="recovered", source="recovering.reconnecting", dest="paused"),
        "hides the rows after it",
    ),
    ("guarded_last", edit("feeds_lost", "otherwise", None), "feeds_lost in trading: the last row is guarded"),
    ("reason_unneeded", edit("recovered", "otherwise", "why"), "a reason for staying where nothing is refused"),
    (
        "reason_too_early",
        edit("preflight_passed", "otherwise", "why"),
        "a reason for staying stands before the last row",
    ),
    ("idle_self_row", row(trigger="stop", source="trading.normal", dest="trading.normal"), "nothing to restart"),
    ("row_around", edit("restriction_placed", "dest", "trading"), "leads from trading.normal to trading around it"),
    ("busy_final", put("failed", "after", {"stop": "drain_limit"}), "failed is final and has tasks, time limits"),
    (
        "left_final",
        row(trigger="stop", source="failed", dest="starting"),
        "failed is final and has a row that leaves it",
    ),
    ("two_of_a_name", lambda c: c["states"].append({"name": "failed", "true": "F.", "final": True}), "two states are"),
    ("odd_name", lambda c: state(c, "failed").update(name="has failed"), "no state 'failed'"),
]


@pytest.mark.parametrize(("mutant", "finding"), [case[1:] for case in MUTANTS], ids=[case[0] for case in MUTANTS])
def test_a_wrong_chart_is_found_out(mutant: Mutant, finding: str) -> None:
    """One mistake in the trader's chart gives a finding that names it."""
    chart = deepcopy(TRADER)
    mutant(chart)
    findings = lint(chart)
    assert any(finding in line for line in findings), findings
    assert all(line.startswith(("trader: ", "chart trader: ")) for line in findings)


def test_a_restarted_task_must_leave_its_state_when_it_is_given_up() -> None:
    """`restart` only puts the crash off: the poller's last crash must be heard in every state of polling."""
    chart: ChartDef = deepcopy(ORDERBOOK_FEED)
    chart["transitions"] = [entry for entry in chart["transitions"] if entry["trigger"] != "task_crashed"]
    assert lint(chart) == [
        "orderbook_feed: task_crashed of polling/poller is not heard in polling.filling",
        "orderbook_feed: task_crashed of polling/poller is not heard in polling.fresh",
    ]


def test_bindings_are_checked_in_both_directions() -> None:
    """A guard or a task that is named and not bound, or bound and not named, is a finding."""
    guards, tasks = guards_of(TRADER), tasks_of(TRADER)
    assert lint_bindings(TRADER, guards, tasks) == []
    assert lint_bindings(TRADER, guards - {"held"} | {"hold"}, tasks - {"sync"} | {"synch"}) == [
        "trader: guard held is named and not bound",
        "trader: guard hold is bound and not named",
        "trader: task sync is named and not bound",
        "trader: task synch is bound and not named",
    ]


def test_limits_are_checked_in_both_directions() -> None:
    """A limit that no chart names, and a name that is no limit, are findings."""
    chart: Any = deepcopy(CHARTS["actor"])
    chart["states"][1]["after"] = {"cooled": "cooling"}
    charts = [chart, *(other for name, other in CHARTS.items() if name != "actor")]
    assert lint_limits(charts) == [
        "limit cooling is named by a chart and not in limits.py",
        "limit cooling_limit is in limits.py and no chart names it",
    ]
    assert "restart poller_restarts is in limits.py and no chart names it" in lint_limits([TRADER])


def shorter_row(table: Any) -> None:
    table["rows"]["sent"].pop()


TABLE_MUTANTS: list[tuple[str, Mutant, str]] = [
    ("short_row", shorter_row, "sent: 11 cells for 12 states"),
    (
        "misspelt_cell",
        lambda t: t["rows"]["sent"].__setitem__(0, "submited"),
        "'submited' is neither a state nor a word",
    ),
    ("silent_input", lambda t: t["means"].pop("lost"), "input lost has no sentence"),
    ("ghost_input", lambda t: t["means"].update(found="It was found."), "input found has a sentence and is not there"),
    ("silent_state", lambda t: t["true"].pop("denied"), "state denied has no sentence"),
    ("no_full_stop", lambda t: t["true"].update(denied="no"), "denied: its sentence ends without a full stop"),
    ("word_for_nothing", lambda t: t["words"].update(maybe="who knows"), "the word 'maybe' is used nowhere"),
    ("word_unread", lambda t: t["words"].update(maybe="who knows"), "the word 'maybe' is read by nobody"),
    ("unreachable", lambda t: t["rows"]["withheld"].__setitem__(0, "DIV"), "denied cannot be reached"),
]


@pytest.mark.parametrize(
    ("mutant", "finding"), [case[1:] for case in TABLE_MUTANTS], ids=[case[0] for case in TABLE_MUTANTS]
)
def test_a_wrong_table_is_found_out(mutant: Mutant, finding: str) -> None:
    """One mistake in the order table gives a finding that names it."""
    table = deepcopy(ORDER)
    mutant(table)
    findings = lint_table(table)
    assert any(finding in line for line in findings), findings
