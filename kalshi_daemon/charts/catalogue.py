"""Every chart and every table: listed, checked, and exported as the pages of `docs/statecharts/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kalshi_daemon.charts.diagrams import chart_page, table_page
from kalshi_daemon.charts.lint import lint, lint_limits, lint_table
from kalshi_daemon.core.chart_states import CHARTS
from statecharts.market import MARKET
from statecharts.order import ORDER
from statecharts.types import TableDef

TABLES: Final[Mapping[str, TableDef]] = {table["name"]: table for table in (ORDER, MARKET)}

INTRODUCTION: Final = """\
# Statecharts

These pages are written from the literals in `statecharts/`; a test fails when they differ.

A state says what is true in it, and names the tasks that live exactly as long as it does. Entering a state is the only
action. A guard is a question about a level (holds, restrictions, feeds), asked when an event is taken; an event carries
no news of its own.

The rules that every chart keeps, each a check of `kalshi_daemon/charts/lint.py`:

- Every state can be reached, has a way out unless it is final, and has a time limit or a reason for none.
- What is posted is heard wherever it can be posted, and what is heard is posted by somebody.
- A task that ended or crashed leaves no state behind without it, unless it is started again in place.
- A guarded row is followed by an unguarded one for the same source and event, or by a reason for staying.
- A row that enters a state again restarts a task or a time limit; a row to a state around its source names the child.
- A service that cannot be done without ends the chart from every state; one without an event of its own is restarted.
- Every guard, task and limit that is named is bound, and every one that is bound is named.
"""


def lint_all() -> list[str]:
    """The findings about every chart, every table and the limits; empty when all is well."""
    return [
        *(finding for chart in CHARTS.values() for finding in lint(chart)),
        *(finding for table in TABLES.values() for finding in lint_table(table)),
        *lint_limits(CHARTS.values()),
    ]


def exported() -> dict[str, str]:
    """The pages by file name."""
    links = [
        *(f"- [{name}]({name}.md): {chart['true']}" for name, chart in CHARTS.items()),
        *(f"- [{name}]({name}.md), a table: {table['about']}" for name, table in TABLES.items()),
    ]
    pages = {f"{name}.md": chart_page(chart) for name, chart in CHARTS.items()}
    pages |= {f"{name}.md": table_page(table) for name, table in TABLES.items()}
    return {"README.md": INTRODUCTION + "\n" + "\n".join(links) + "\n", **pages}


def export(folder: Path) -> None:
    """Write the pages into `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in exported().items():
        (folder / name).write_text(text, encoding="utf-8")
