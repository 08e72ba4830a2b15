"""A chart's literal, read: its states by path, its rows one by one, and the events that its tasks post.

Rules: everything that reads a literal reads it here, so that the planner, the runner, the checks and the drawings
mean the same by it. Order is kept: rows of one source and event are tried as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from attrs import frozen

from statecharts.types import CRASHED, ChartDef, InvokeDef, StateDef

Path = tuple[str, ...]


@frozen
class Row:
    """One event in one source. `dest` None: nothing is left or entered."""

    event: str
    source: Path
    dest: Path | None
    conditions: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    otherwise: str = ""

    @property
    def guards(self) -> tuple[str, ...]:
        return (*self.conditions, *self.unless)

    @property
    def guard_text(self) -> str:
        """The guards for people: `held, not restricted`, or nothing."""
        return ", ".join((*self.conditions, *(f"not {name}" for name in self.unless)))


def dotted(path: Path) -> str:
    return ".".join(path)


@lru_cache(maxsize=256)  # more than all charts have states: every frame asks for one
def path_of(text: str) -> Path:
    return tuple(text.split("."))


def ancestry(path: Path) -> tuple[Path, ...]:
    """The path and everything around it, outermost first."""
    return tuple(path[:depth] for depth in range(1, len(path) + 1))


def states_of(chart: ChartDef) -> dict[Path, StateDef]:
    """Every state by its path, in the order of the literal, each before its children."""
    return dict(_walk(chart["states"], ()))


def _walk(states: list[StateDef], prefix: Path) -> Iterator[tuple[Path, StateDef]]:
    for state in states:
        path = (*prefix, state["name"])
        yield path, state
        yield from _walk(state.get("children", []), path)


def leaves_of(chart: ChartDef) -> tuple[Path, ...]:
    return tuple(path for path, state in states_of(chart).items() if not state.get("children"))


def rows_of(chart: ChartDef) -> tuple[Row, ...]:
    """The rows, one per event and source, in the order in which they are tried."""
    return tuple(
        Row(
            event,
            path_of(source),
            None if row["dest"] is None else path_of(row["dest"]),
            _names(row.get("conditions")),
            _names(row.get("unless")),
            row.get("otherwise", ""),
        )
        for row in chart["transitions"]
        for event in _names(row["trigger"])
        for source in _names(row["source"])
    )


def _names(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def invokes_of(chart: ChartDef) -> Iterator[tuple[Path, str, InvokeDef]]:
    """Every task with the path of its state; the chart's own services come first, with the empty path."""
    for task, invoke in chart.get("invoke", {}).items():
        yield (), task, invoke
    for path, state in states_of(chart).items():
        for task, invoke in state.get("invoke", {}).items():
            yield path, task, invoke


def outcomes_of(invoke: InvokeDef) -> tuple[str, ...]:
    """The events that a task may post by returning."""
    done = invoke.get("done")
    if done is None:
        return ()
    return (done,) if isinstance(done, str) else tuple(done.values())


def crash_event(path: Path, invoke: InvokeDef) -> str | None:
    """The event of a crash, restarts being used up. None: a service that stays down, with an alarm."""
    if "crashed" in invoke:
        return invoke["crashed"]
    return CRASHED if path else None


def guards_of(chart: ChartDef) -> frozenset[str]:
    return frozenset(name for row in rows_of(chart) for name in row.guards)


def tasks_of(chart: ChartDef) -> frozenset[str]:
    return frozenset(task for _, task, _ in invokes_of(chart))


def limits_of(chart: ChartDef) -> frozenset[str]:
    """The names of limits that time limits use."""
    return frozenset(name for state in states_of(chart).values() for name in state.get("after", {}).values())


def restarts_of(chart: ChartDef) -> frozenset[str]:
    """The names of limits that restarts use."""
    return frozenset(invoke["restart"] for _, _, invoke in invokes_of(chart) if "restart" in invoke)


def posted_by(chart: ChartDef) -> Mapping[str, list[str]]:
    """Event -> the tasks and time limits that post it, as `state/task` and `state/after`."""
    posters: dict[str, list[str]] = {}
    for path, task, invoke in invokes_of(chart):
        crash = crash_event(path, invoke)
        for event in dict.fromkeys((*outcomes_of(invoke), *(() if crash is None else (crash,)))):
            posters.setdefault(event, []).append(f"{dotted(path) or chart['name']}/{task}")
    for path, state in states_of(chart).items():
        for event in state.get("after", {}):
            posters.setdefault(event, []).append(f"{dotted(path)}/after")
    return posters
