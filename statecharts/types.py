"""The shape of a chart and of a table: TypedDicts, so that a plain literal is checked and costs nothing.

A chart uses the vocabulary of the transitions library (`name`, `children`, `initial`, `trigger`, `source`, `dest`,
`conditions`, `unless`) and keys of our own. Rules: states are nouns or participles, events say what happened or what
is asked, guards answer a question and change nothing. A path is written with dots. Entering a state is the only
action.
"""

from __future__ import annotations

from typing import Final, NotRequired, TypedDict

CRASHED: Final = "task_crashed"  # the event of a crash whose task names no other


class TransitionDef(TypedDict):
    """A row of a chart. Rows of one source and trigger are tried in the order in which they stand.

    The inner state's rows are tried before the outer state's. `dest` None: nothing is left or entered, and the event is
    taken. A list of triggers or sources stands for one row each.
    """

    trigger: str | list[str]
    source: str | list[str]
    dest: str | None
    conditions: NotRequired[str | list[str]]  # guards that must all say yes
    unless: NotRequired[str | list[str]]  # guards that must all say no
    otherwise: NotRequired[str]  # why it is right to stay where this row, the last of its kind, refuses


class InvokeDef(TypedDict):
    """A task that lives exactly as long as its state (or, on the chart, as long as the daemon).

    Without `done` the task ends only by being cancelled: if it returns, that counts as a crash.
    """

    done: NotRequired[str | dict[str, str]]  # the event posted on return; or, by the outcome returned, one of several
    crashed: NotRequired[str]  # the event posted when it raises; `CRASHED` where absent
    restart: NotRequired[str]  # a limit: started again in place so often, and only then `crashed`


class StateDef(TypedDict):
    """A state. A state that is not final has a time limit (`after`) or says why it has none (`waits`)."""

    name: str
    true: str  # one sentence: what holds while the state is active
    initial: NotRequired[str]  # the child that is entered where a row names only this state
    children: NotRequired[list[StateDef]]
    invoke: NotRequired[dict[str, InvokeDef]]
    after: NotRequired[dict[str, str]]  # event -> the name of a limit; the time runs anew at each entry
    waits: NotRequired[str]
    final: NotRequired[bool]


class ChartDef(TypedDict):
    """A chart: a tree of states of which one branch is active, and the rows between them."""

    name: str
    true: str  # one sentence: what the chart is about
    initial: str
    states: list[StateDef]
    transitions: list[TransitionDef]
    invoke: NotRequired[dict[str, InvokeDef]]  # services: they live as long as the chart is run
    outside: dict[str, str]  # event -> who posts it, for events that no `done`, `crashed` or `after` posts


class TableDef(TypedDict):
    """A machine that exists many times and has no tasks: state and input give a cell.

    A cell is the next state, None (nothing changes; counted), or a word of `words`. Every cell is written out.
    """

    name: str
    about: str  # one sentence: what the table is about
    states: list[str]  # the columns, in order; the first is where a life begins
    true: dict[str, str]  # state -> one sentence: what holds in it
    means: dict[str, str]  # input -> one sentence: what happened
    words: dict[str, str]  # cell that is no state -> what it stands for
    rows: dict[str, list[str | None]]
