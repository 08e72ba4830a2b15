"""Charts and tables as text for people: mermaid's stateDiagram-v2, and markdown.

Rules: everything is read from the literals and the limits, nothing is written twice. A label holds neither colon nor
semicolon nor quotation mark, which mermaid would read as its own. A state's id is its path with underscores. What
mermaid cannot draw (a state that is entered again, with children in it) is said in the state's label and in the table
of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kalshi_daemon.charts.literals import (
    Path,
    Row,
    dotted,
    outcomes_of,
    path_of,
    posted_by,
    rows_of,
    states_of,
    tasks_of,
)
from kalshi_daemon.core.circuit_breaker import rows_by_state
from kalshi_daemon.limits import CHART_LIMITS, CHART_RESTARTS
from statecharts.types import ChartDef, InvokeDef, StateDef, TableDef

INDENT = "    "
NOTHING = "·"


def mermaid(chart: ChartDef) -> str:
    """The chart as a stateDiagram-v2: nesting, guards, invoked tasks and time limits."""
    rows = rows_of(chart)
    lines = ["stateDiagram-v2", f"{INDENT}direction TB", f"{INDENT}[*] --> {_id(path_of(chart['initial']))}"]
    for state in chart["states"]:
        lines += _state_lines((state["name"],), state, rows, INDENT)
    for (source, dest), label in _arrows(chart, rows).items():
        lines.append(f"{INDENT}{_id(source)} --> {_id(dest)} : {label}")
    finals = [path for path, state in states_of(chart).items() if state.get("final")]
    lines += [f"{INDENT}{_id(path)} --> [*]" for path in finals]
    return "\n".join(lines) + "\n"


def chart_page(chart: ChartDef) -> str:
    """The page of a chart: its sentence, diagram, states, rows and services, and who posts what."""
    parts = [
        f"# {chart['name']}",
        chart["true"],
        f"```mermaid\n{mermaid(chart)}```",
        "## States",
        _markdown(("state", "true in it", "invokes", "time limit"), _state_cells(chart)),
        "## Rows",
        "Rows of the inner state are tried before those of the outer state, in this order.",
        _markdown(("in", "event", "guard", "leads to", "otherwise"), _row_cells(chart)),
    ]
    if not tasks_of(chart):
        names = tuple(state["name"] for state in chart["states"])
        parts += ["## As a table", _markdown(("input", *names), _breaker_cells(chart))]
    if "invoke" in chart:
        services = [(task, _invoke_text(invoke)) for task, invoke in chart["invoke"].items()]
        parts += ["## Services", _markdown(("service", "when it ends or crashes"), services)]
    posters = [(event, ", ".join(names)) for event, names in sorted(posted_by(chart).items())]
    outside = sorted(chart["outside"].items())
    parts += ["## Who posts what", _markdown(("event", "posted by"), [*posters, *outside])]
    return "\n\n".join(parts) + "\n"


def table_page(table: TableDef) -> str:
    """The page of a table: its sentence, its states, its inputs and every cell."""
    header = ("input", *table["states"])
    cells = [(name, *(NOTHING if cell is None else cell for cell in row)) for name, row in table["rows"].items()]
    words = [(f"`{word}`", meaning) for word, meaning in table["words"].items()]
    return (
        "\n\n".join(
            [
                f"# {table['name']}",
                table["about"],
                "## States",
                _markdown(("state", "true in it"), list(table["true"].items())),
                "## Inputs",
                _markdown(("input", "what happened"), list(table["means"].items())),
                "## Cells",
                _markdown(header, cells),
                _markdown(("cell", "stands for"), [(NOTHING, "nothing changes, counted"), *words]),
            ]
        )
        + "\n"
    )


# ---- mermaid


def _id(path: Path) -> str:
    return "_".join(path)


def _state_lines(path: Path, state: StateDef, rows: tuple[Row, ...], indent: str) -> Iterator[str]:
    notes = [*_notes(state), *_unarrowed(path, state, rows)]
    if not state.get("children"):
        yield f'{indent}state "{path[-1]}" as {_id(path)}'
        yield from (f"{indent}{_id(path)} : {note}" for note in notes)
        return
    yield f'{indent}state "{" · ".join((path[-1], *notes))}" as {_id(path)} {{'
    yield f"{indent}{INDENT}[*] --> {_id((*path, state['initial']))}"
    for child in state["children"]:
        yield from _state_lines((*path, child["name"]), child, rows, indent + INDENT)
    yield f"{indent}}}"


def _notes(state: StateDef) -> Iterator[str]:
    if "invoke" in state:
        yield "invokes " + ", ".join(state["invoke"])
    for event, limit in state.get("after", {}).items():
        yield f"{event} after {limit_text(limit)}"


def _unarrowed(path: Path, state: StateDef, rows: tuple[Row, ...]) -> Iterator[str]:
    """Rows without an arrow: those that lead nowhere, and loops on a state with children, which mermaid cannot draw."""
    for row in rows:
        if row.source == path and row.dest is None:
            yield f"{_label(row)} stays"
        elif row.source == path == row.dest and state.get("children"):
            yield f"{_label(row)} enters it again"


def _arrows(chart: ChartDef, rows: tuple[Row, ...]) -> Mapping[tuple[Path, Path], str]:
    """(source, target) -> the label of one arrow for all its rows."""
    states = states_of(chart)
    labels: dict[tuple[Path, Path], list[str]] = {}
    for row in rows:
        if row.dest is not None and not (row.dest == row.source and states[row.source].get("children")):
            labels.setdefault((row.source, row.dest), []).append(_label(row))
    return {ends: " or ".join(texts) for ends, texts in labels.items()}


def _label(row: Row) -> str:
    return f"{row.event} [{row.guard_text}]" if row.guards else row.event


def limit_text(name: str) -> str:
    """A limit for people: `30 s`, `1 to 60 s`, `15 min`."""
    limit = CHART_LIMITS[name]
    if isinstance(limit, tuple):
        return f"{limit[0]:g} to {limit[1]:g} s"
    return f"{limit / 60:g} min" if limit >= 120 else f"{limit:g} s"


# ---- markdown


def _markdown(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _state_cells(chart: ChartDef) -> Sequence[tuple[str, ...]]:
    cells = []
    for path, state in states_of(chart).items():
        invokes = ", ".join(
            f"{task} {_invoke_text(invoke)}".strip() for task, invoke in state.get("invoke", {}).items()
        )
        times = [f"{event} after {limit_text(limit)}" for event, limit in state.get("after", {}).items()]
        waits = [f"(waits: {state['waits']})"] if "waits" in state else []
        final = ["final"] if state.get("final") else []
        cells.append((dotted(path), state["true"], invokes, "; ".join([*times, *waits, *final])))
    return cells


def _breaker_cells(chart: ChartDef) -> Sequence[tuple[str, ...]]:
    """The cells of a chart that is stepped as a table."""
    cells = rows_by_state(chart)
    return [
        (event, *(_cell_text(cells[state["name"], event]) for state in chart["states"])) for event in chart["outside"]
    ]


def _cell_text(choices: Sequence[tuple[str | None, str | None]]) -> str:
    texts = [(NOTHING if dest is None else dest) + (f" [{guard}]" if guard else "") for guard, dest in choices]
    return ", ".join(texts) or NOTHING


def _invoke_text(invoke: InvokeDef) -> str:
    done = invoke.get("done")
    parts = []
    if isinstance(done, dict):
        parts += [f"{outcome}: {event}" for outcome, event in done.items()]
    else:
        parts += [f"done: {event}" for event in outcomes_of(invoke)]
    if "restart" in invoke:
        parts.append(f"restarted {CHART_RESTARTS[invoke['restart']]} times")
    if "crashed" in invoke:
        parts.append(f"crashed: {invoke['crashed']}")
    return f"({', '.join(parts)})" if parts else ""


def _row_cells(chart: ChartDef) -> Sequence[tuple[str, ...]]:
    return [
        (
            dotted(row.source),
            row.event,
            row.guard_text,
            "(stays)" if row.dest is None else "itself" if row.dest == row.source else dotted(row.dest),
            row.otherwise,
        )
        for row in rows_of(chart)
    ]
