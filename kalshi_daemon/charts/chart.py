"""A synchronous planner: one event in, one Step (states left, states entered) out.

Rules:
- It runs no task and never awaits. The transitions library is used for what it is good at, resolving nested rows,
  guards and the order of leaving and entering, and is wrapped whole: no callback, no dynamic method, no parallel
  state.
- What the library accepts and fails at later (a misspelt source or destination, an unbound guard) is refused here,
  when the chart is built.
- Guards are pure and total, and answer with a bool. They are asked while a step is planned, in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from attrs import frozen
from transitions import MachineError
from transitions.extensions.nesting import HierarchicalMachine, NestedEventData, NestedState

from kalshi_daemon.charts.literals import (
    Path,
    Row,
    ancestry,
    dotted,
    guards_of,
    invokes_of,
    outcomes_of,
    path_of,
    rows_of,
    states_of,
)
from statecharts.types import ChartDef, StateDef

SEPARATOR: Final = "."


class ChartError(Exception):
    """The chart, or what is bound to it, is wrong as written: ours to mend."""


@frozen
class Step:
    """What one event did: states left, innermost first, and states entered, outermost first."""

    event: str
    taken: bool
    exited: tuple[Path, ...] = ()
    entered: tuple[Path, ...] = ()


class _Trace:
    """The object that the library decorates and keeps the state on; nothing else touches it."""

    state: str

    def __init__(self) -> None:
        self.entered: list[Path] = []
        self.exited: list[Path] = []


class _TracedState(NestedState):
    separator = SEPARATOR

    def enter(self, event_data: NestedEventData) -> None:  # type: ignore[override]
        cast("_Trace", event_data.model).entered.append(path_of(self.name))

    def exit(self, event_data: NestedEventData) -> None:  # type: ignore[override]
        cast("_Trace", event_data.model).exited.append(path_of(self.name))


class _Machine(HierarchicalMachine):
    state_cls = _TracedState


class Chart:
    """A chart's literal with its guards, standing in its initial state.

    Raises ChartError for a misspelt state, a guard that is not bound, and an event that is posted and heard by no row.
    """

    def __init__(self, definition: ChartDef, guards: Mapping[str, Callable[[], bool]]) -> None:
        self.definition = definition
        self.name = definition["name"]
        self.states: Mapping[Path, StateDef] = states_of(definition)
        self.rows = rows_of(definition)
        self.events = frozenset(row.event for row in self.rows)
        problems = [
            *self._misspelt(),
            *self._unheard(),
            *(f"guard {name!r} is not bound" for name in guards_of(definition) - set(guards)),
        ]
        if problems:
            raise ChartError(f"chart {self.name}: " + "; ".join(sorted(problems)))
        self._trace = _Trace()
        self._machine = _Machine(
            cast("Any", self._trace),
            states=cast("Any", _library_states(definition["states"])),
            transitions=cast("Any", [_library_row(row, guards) for row in self.rows]),
            initial=definition["initial"],
            auto_transitions=False,
            send_event=True,
            queued=False,
        )
        self._configuration = self._read()

    @property
    def configuration(self) -> tuple[Path, ...]:
        """Every active state, outermost first."""
        return self._configuration

    def step(self, event: str) -> Step:
        """Plan one event. Not taken: no active state has a row for it, or every guard refused. Unknown: ChartError."""
        if event not in self.events:
            raise ChartError(f"chart {self.name}: no row anywhere is for {event!r}")
        self._trace.entered.clear()
        self._trace.exited.clear()
        try:
            taken = self._machine.trigger_event(self._trace, event)
        except MachineError:  # the library's word for an event that no active state has a row for
            taken = False
        self._configuration = self._read()
        return Step(event, bool(taken), tuple(self._trace.exited), tuple(self._trace.entered))

    def stand_in(self, leaf: Path) -> None:
        """Put the chart into a leaf without a step: for searches, which ask about every state."""
        assert leaf in self.states, f"chart {self.name} has no state {dotted(leaf)}"
        self._trace.state = dotted(leaf)
        self._configuration = self._read()

    def _read(self) -> tuple[Path, ...]:
        return ancestry(path_of(self._trace.state))

    def _misspelt(self) -> Iterator[str]:
        for row in self.rows:
            for end in (row.source, row.dest):
                if end is not None and end not in self.states:
                    yield f"{row.event}: no state {dotted(end)!r}"
        if path_of(self.definition["initial"]) not in self.states:
            yield f"initial: no state {self.definition['initial']!r}"
        for path, state in self.states.items():
            if "initial" in state and (*path, state["initial"]) not in self.states:
                yield f"{dotted(path)}: no initial state {state['initial']!r}"
            if bool(state.get("children")) != ("initial" in state):
                yield f"{dotted(path)}: a state with children has an initial one, and no other has"

    def _unheard(self) -> Iterator[str]:
        for path, state in self.states.items():
            for event in state.get("after", {}):
                if event not in self.events:
                    yield f"{dotted(path)} posts {event!r}, which no row is for"
        for path, task, invoke in invokes_of(self.definition):
            for event in (*outcomes_of(invoke), *([invoke["crashed"]] if "crashed" in invoke else [])):
                if event not in self.events:
                    yield f"{dotted(path)}/{task} posts {event!r}, which no row is for"


def _library_states(states: list[StateDef]) -> list[dict[str, object]]:
    return [
        {"name": state["name"], "initial": state["initial"], "children": _library_states(state["children"])}
        if state.get("children")
        else {"name": state["name"]}
        for state in states
    ]


def _library_row(row: Row, guards: Mapping[str, Callable[[], bool]]) -> dict[str, object]:
    return {
        "trigger": row.event,
        "source": dotted(row.source),
        "dest": None if row.dest is None else dotted(row.dest),
        "conditions": [_asked(name, guards[name]) for name in row.conditions],
        "unless": [_asked(name, guards[name]) for name in row.unless],
    }


def _asked(name: str, guard: Callable[[], bool]) -> Callable[[object], bool]:
    def ask(_event: object) -> bool:
        answer = guard()
        assert isinstance(answer, bool), f"guard {name} answered {answer!r}, which is no bool: ours to mend"
        return answer

    return ask
