"""The drawings and the pages: what they show, that mermaid can read them, and that those in docs are not stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kalshi_daemon.charts.catalogue import TABLES, export, exported
from kalshi_daemon.charts.diagrams import limit_text, mermaid
from kalshi_daemon.charts.literals import rows_of, states_of, tasks_of
from kalshi_daemon.core.chart_states import CHARTS
from statecharts.types import ChartDef

DOCS = Path(__file__).parents[2] / "docs" / "statecharts"
TEXT = r'[^:;"#\n]+'
GRAMMAR = re.compile(
    "|".join(
        [
            r"stateDiagram-v2",
            r" +direction TB",
            r" +\[\*\] --> \w+",
            r" +\w+ --> \[\*\]",
            rf" +\w+ --> \w+ : {TEXT}",
            rf' +state "{TEXT}" as \w+( \{{)?',
            rf" +\w+ : {TEXT}",
            r" +\}",
        ]
    )
)


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_every_line_is_one_that_mermaid_reads(chart: ChartDef) -> None:
    """Ids without dots, labels without colon, semicolon or quotation mark, braces balanced, ids declared before use."""
    text = mermaid(chart)
    lines = text.splitlines()
    assert [line for line in lines if not GRAMMAR.fullmatch(line)] == []
    assert text.count("{") == text.count("}")
    declared = {match[1] for match in re.finditer(r'state "[^"]+" as (\w+)', text)}
    used = {name for match in re.finditer(r"(\w+|\[\*\]) --> (\w+|\[\*\])", text) for name in match.groups()}
    assert declared == {"_".join(path) for path in states_of(chart)}
    assert used - {"[*]"} <= declared


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_a_drawing_shows_every_row_task_and_time_limit(chart: ChartDef) -> None:
    """Nothing of the literal is left out, and no arrow joins a state to one inside it, which mermaid cannot lay out."""
    text = mermaid(chart)
    for row in rows_of(chart):
        assert row.event in text
        assert not row.guards or f"{row.event} [{row.guard_text}]" in text
    for task in tasks_of(chart) - set(chart.get("invoke", {})):
        assert re.search(rf"invokes [\w, ]*\b{task}\b", text), task
    for state in states_of(chart).values():
        for event, limit in state.get("after", {}).items():
            assert f"{event} after {limit_text(limit)}" in text
    for match in re.finditer(r"(\w+) --> (\w+)", text):
        assert not match[2].startswith(f"{match[1]}_")


def test_nesting_is_drawn() -> None:
    """A child stands inside its parent's braces, after the arrow to the initial child."""
    inside = mermaid(CHARTS["connection"]).split('state "session', 1)[1].split("\n    }", 1)[0]
    assert "[*] --> session_connecting" in inside
    assert 'state "live" as session_live' in inside
    assert "session_live : invokes keepalive" in inside


@pytest.mark.parametrize(
    ("limit", "text"), [("sweep_limit", "5 s"), ("recovery_backoff", "1 to 60 s"), ("reminder_interval", "15 min")]
)
def test_a_limit_is_said_in_words(limit: str, text: str) -> None:
    """Seconds, a range where it is a back-off, minutes where they are many."""
    assert limit_text(limit) == text


def test_the_pages_in_docs_are_those_of_the_literals() -> None:
    """Written anew and compared: `kalshi-daemon charts export` writes them."""
    assert {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")} == exported()


def test_there_is_a_page_for_each_chart_and_table_and_one_that_lists_them(tmp_path: Path) -> None:
    """`export` makes the folder and writes every page."""
    export(tmp_path / "statecharts")
    names = {path.stem for path in (tmp_path / "statecharts").iterdir()}
    assert names == {"README", *CHARTS, *TABLES}


def test_pages_say_who_posts_what_and_what_a_cell_means() -> None:
    """Spot checks on three pages, line by line."""
    pages = exported()
    assert "| stop | the operator, or a signal to the process |" in pages["trader.md"]
    assert "| journal | (crashed: service_lost) |" in pages["trader.md"]
    assert "| metrics | (restarted 5 times) |" in pages["trader.md"]
    assert "| failed | open [failures_reached] | · | open | · |" in pages["circuit_breaker.md"]
    assert "| closing_moved | · | · | · | inactive, if later than now | · | · | · | · |" in pages["market.md"]
