"""What can be wrong with a chart or a table although it loads: findings, each one line that names the place.

Rules: a check reads the literal, or the flat table of the planner, and nothing else. An empty answer means that the
chart keeps the rules of `docs/statecharts/README.md`. Both directions are checked: what is named is bound, what is
bound is named.

The checks of a chart: every state is reachable, has a way out, a time limit or a reason for none; what is posted is
heard wherever it can be posted, and what is heard is posted by somebody; a task that ended or crashed leaves no state
behind without it; a guarded row is followed by an unguarded one or by a reason; a row that enters a state again
restarts something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from kalshi_daemon.charts.chart import ChartError
from kalshi_daemon.charts.flat import Flat
from kalshi_daemon.charts.literals import (
    Path,
    Row,
    ancestry,
    crash_event,
    dotted,
    guards_of,
    invokes_of,
    limits_of,
    outcomes_of,
    posted_by,
    restarts_of,
    rows_of,
    states_of,
    tasks_of,
)
from kalshi_daemon.core.table import WORDS, Cell
from kalshi_daemon.limits import CHART_LIMITS, CHART_RESTARTS
from statecharts.types import ChartDef, StateDef, TableDef


def lint(chart: ChartDef) -> list[str]:
    """The findings about one chart, sorted."""
    try:
        flat = Flat(chart)
    except ChartError as error:
        return [str(error)]
    findings = [
        *_sentences(chart),
        *_names(chart),
        *_reach(flat),
        *_time(flat),
        *_posted(flat),
        *_tasks(flat),
        *_services(flat),
        *_rows(chart),
        *_again(chart),
        *_finals(chart),
    ]
    return sorted(f"{chart['name']}: {finding}" for finding in findings)


def lint_bindings(chart: ChartDef, guards: Collection[str], tasks: Collection[str]) -> list[str]:
    """What the daemon binds against what the chart names, in both directions."""
    pairs = (("guard", guards_of(chart), frozenset(guards)), ("task", tasks_of(chart), frozenset(tasks)))
    findings = []
    for kind, named, bound in pairs:
        findings += [f"{chart['name']}: {kind} {name} is named and not bound" for name in named - bound]
        findings += [f"{chart['name']}: {kind} {name} is bound and not named" for name in bound - named]
    return sorted(findings)


def lint_limits(charts: Collection[ChartDef]) -> list[str]:
    """The limits that all charts name against those of `limits.py`, in both directions."""
    named = {name for chart in charts for name in limits_of(chart)}
    restarts = {name for chart in charts for name in restarts_of(chart)}
    pairs = (("limit", named, set(CHART_LIMITS)), ("restart", restarts, set(CHART_RESTARTS)))
    findings = []
    for kind, used, known in pairs:
        findings += [f"{kind} {name} is named by a chart and not in limits.py" for name in used - known]
        findings += [f"{kind} {name} is in limits.py and no chart names it" for name in known - used]
    return sorted(findings)


# ---- checks of a chart


def _sentences(chart: ChartDef) -> Iterator[str]:
    said = {chart["name"]: chart["true"]} | {dotted(path): state["true"] for path, state in states_of(chart).items()}
    for name, sentence in said.items():
        if not sentence.endswith("."):
            yield f"{name}: `true` is a sentence and ends with a full stop"


def _names(chart: ChartDef) -> Iterator[str]:
    names = Counter(path for path, _ in _every_state(chart["states"], ()))
    yield from (f"two states are called {dotted(path)}" for path, count in names.items() if count > 1)
    for path in names:
        if not path[-1].isidentifier():
            yield f"{path[-1]!r} is no name for a state"


def _every_state(states: list[StateDef], prefix: Path) -> Iterator[tuple[Path, StateDef]]:
    for state in states:
        yield (*prefix, state["name"]), state
        yield from _every_state(state.get("children", []), (*prefix, state["name"]))


def _reach(flat: Flat) -> Iterator[str]:
    reachable = flat.reachable(flat.initial)
    for leaf in flat.leaves:
        if leaf not in reachable:
            yield f"{dotted(leaf)} cannot be reached"
        if not flat.chart.states[leaf].get("final") and flat.reachable(leaf) == {leaf}:
            yield f"{dotted(leaf)} has no way out"


def _time(flat: Flat) -> Iterator[str]:
    for leaf in flat.leaves:
        around = [flat.chart.states[path] for path in ancestry(leaf)]
        if not any(state.get("after") or state.get("waits") or state.get("final") for state in around):
            yield f"{dotted(leaf)} has neither a time limit nor a reason for none"


def _posted(flat: Flat) -> Iterator[str]:
    """What is posted is heard wherever it can be posted; what is heard is posted by somebody."""
    definition = flat.chart.definition
    for leaf in flat.leaves:
        for path in ancestry(leaf):
            state = flat.chart.states[path]
            invokes = state.get("invoke", {}).values()
            for event in (*state.get("after", {}), *(e for invoke in invokes for e in outcomes_of(invoke))):
                if not any(edge.taken for edge in flat.at(leaf, event)):
                    yield f"{event}, posted by {dotted(path)}, is not heard in {dotted(leaf)}"
    posters = set(posted_by(definition)) | set(definition["outside"])
    yield from (f"{event} is heard, and nobody posts it" for event in flat.chart.events - posters)
    unheard = definition["outside"].keys() - flat.chart.events
    yield from (f"{event} comes from outside, and no row is for it" for event in unheard)


def _tasks(flat: Flat) -> Iterator[str]:
    """A task that ended takes its state with it, and so does one that crashed."""
    invokes = [entry for entry in invokes_of(flat.chart.definition) if entry[0]]
    for path, task, invoke in invokes:
        crash = crash_event(path, invoke)
        assert crash is not None, "only services stay down"
        for leaf in flat.leaves:
            if leaf[: len(path)] != path:
                continue
            for event in dict.fromkeys((*outcomes_of(invoke), crash)):
                yield from _kept_without(flat, leaf, path, task, event)
        for other, same, _ in invokes_of(flat.chart.definition):
            if same == task and other != path and other == path[: len(other)]:
                yield f"{task} is invoked by {dotted(path)} and by {dotted(other) or 'the chart'} around it: two copies"


def _kept_without(flat: Flat, leaf: Path, owner: Path, task: str, event: str) -> Iterator[str]:
    edges = flat.at(leaf, event)
    if not any(edge.taken for edge in edges):
        yield f"{event} of {dotted(owner)}/{task} is not heard in {dotted(leaf)}"
    elif any(edge.taken and edge.keeps(owner) for edge in edges):
        yield f"{event} keeps {dotted(owner)} in {dotted(leaf)} without its task {task}"


def _services(flat: Flat) -> Iterator[str]:
    """A service without which the daemon cannot be ends it from every state; one without an event is restarted."""
    for task, invoke in flat.chart.definition.get("invoke", {}).items():
        event = crash_event((), invoke)
        if event is None:
            if "restart" not in invoke:
                yield f"service {task} has neither `restart` nor `crashed`"
            continue
        for leaf in flat.leaves:
            if flat.chart.states[leaf].get("final"):
                continue
            if not all(flat.chart.states[edge.dest].get("final") for edge in flat.at(leaf, event)):
                yield f"{event} of service {task} does not end the chart in {dotted(leaf)}"


def _rows(chart: ChartDef) -> Iterator[str]:
    """Rows of one source and event: guarded ones, then an unguarded one or a reason for staying."""
    groups: dict[tuple[Path, str], list[Row]] = {}
    for row in rows_of(chart):
        groups.setdefault((row.source, row.event), []).append(row)
    for (source, event), rows in groups.items():
        *before, last = rows
        place = f"{event} in {dotted(source)}"
        if any(not row.guards for row in before):
            yield f"{place}: an unguarded row hides the rows after it"
        if any(row.otherwise for row in before):
            yield f"{place}: a reason for staying stands before the last row"
        if last.guards and not last.otherwise and not _caught_outside(chart, last):
            yield f"{place}: the last row is guarded, and nothing says why staying is right"
        if not last.guards and last.otherwise:
            yield f"{place}: a reason for staying where nothing is refused"


def _caught_outside(chart: ChartDef, last: Row) -> bool:
    """Whether a state around has a row for what this one refuses."""
    return any(row.event == last.event and row.source in ancestry(last.source)[:-1] for row in rows_of(chart))


def _again(chart: ChartDef) -> Iterator[str]:
    """A row into its own source restarts tasks or time; one into a state around it says so by naming a child."""
    states = states_of(chart)
    for row in rows_of(chart):
        idle = not states[row.source].keys() & {"after", "invoke"}
        if row.dest == row.source and idle and tasks_of(chart):  # without tasks it is stepped as a table
            yield f"{row.event} enters {dotted(row.source)} again, where there is nothing to restart"
        if row.dest is not None and row.dest in ancestry(row.source)[:-1]:
            yield f"{row.event} leads from {dotted(row.source)} to {dotted(row.dest)} around it: name the child meant"


def _finals(chart: ChartDef) -> Iterator[str]:
    states = states_of(chart)
    for path, state in states.items():
        if not state.get("final"):
            continue
        if {"invoke", "after", "waits", "children"} & state.keys():
            yield f"{dotted(path)} is final and has tasks, time limits, children or a wait"
        if any(row.source in ancestry(path) for row in rows_of(chart)):
            yield f"{dotted(path)} is final and has a row that leaves it"


# ---- checks of a table


def lint_table(table: TableDef) -> list[str]:
    """The findings about one table, sorted."""
    return sorted(f"{table['name']}: {finding}" for finding in _table(table))


def _table(table: TableDef) -> Iterator[str]:
    states, rows, words = set(table["states"]), table["rows"], table["words"]
    said = {**table["true"], **table["means"], "about": table["about"]}
    yield from (f"{name}: its sentence ends without a full stop" for name, text in said.items() if text[-1:] != ".")
    pairs = (("state", states, set(table["true"])), ("input", set(rows), set(table["means"])))
    for kind, named, known in pairs:
        yield from (f"{kind} {name} has no sentence" for name in named - known)
        yield from (f"{kind} {name} has a sentence and is not there" for name in known - named)
    cells = {cell for row in rows.values() for cell in row if cell is not None}
    yield from (f"the word {word!r} is used nowhere" for word in set(words) - cells)
    yield from (f"the word {word!r} is read by nobody" for word in set(words) - set(WORDS))
    misfits = [f"{cell!r} is neither a state nor a word" for cell in cells - states - set(words)]
    for name, row in rows.items():
        if len(row) != len(table["states"]):
            misfits.append(f"{name}: {len(row)} cells for {len(table['states'])} states")
    yield from misfits or (f"{state} cannot be reached" for state in states - _reached(table))


def _reached(table: TableDef) -> set[str]:
    """The states that some sequence of inputs leads to from the first one."""
    todo = [table["states"][0]]
    reached = set(todo)
    while todo:
        column = table["states"].index(todo.pop())
        ends = {end for row in table["rows"].values() for end in _ends(row[column])}
        todo += ends - reached
        reached |= ends
    return reached


def _ends(cell: str | None) -> tuple[str, ...]:
    """The states that a cell may stand for."""
    if cell is None:
        return ()
    word = WORDS.get(cell, Cell(next=cell))
    return ("resting", "partially_filled") if word.open else () if word.next is None else (word.next,)
