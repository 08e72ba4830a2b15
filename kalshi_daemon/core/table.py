"""One step of a table machine, for what exists once per order or once per market.

Rules: a table is asked and answers; it holds no state and changes nothing. What a cell cannot know (the count filled,
the closing time) the caller says by resolving the cell: the word in the literal says which. A state or an input that
the table does not have is our mistake and an assertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from kalshi_daemon.units import Count
from statecharts.types import TableDef


@frozen
class Cell:
    """What one input does in one state. `next` None: the state is kept.

    `open`: `next` is resting or partially filled by the count filled, see `opened`.
    `if_later`: `next` is meant only where the new closing time is later than now, see `moved`.
    `unproven`: `next` is what the clock says, without a word from the exchange.
    """

    next: str | None
    diverged: bool = False
    open: bool = False
    if_later: bool = False
    unproven: bool = False

    def opened(self, filled: Count) -> Cell:
        """The cell with its `open` settled: partially filled where anything is filled."""
        if not self.open:
            return self
        return evolve(self, next="partially_filled" if filled > 0 else "resting", open=False)

    def moved(self, *, later_than_now: bool) -> Cell:
        """The cell with its `if_later` settled."""
        if not self.if_later:
            return self
        return evolve(self, next=self.next if later_than_now else None, if_later=False)


WORDS: Final[Mapping[str, Cell]] = {
    "open": Cell(next=None, open=True),
    "DIV": Cell(next=None, diverged=True),
    "UNK!": Cell(next="unknown", diverged=True),
    "active?": Cell(next="active", unproven=True),
    "inactive, if later than now": Cell(next="inactive", if_later=True),
}


class Table:
    """A literal of `statecharts/`, ready to be asked; built once and shared by all instances."""

    def __init__(self, definition: TableDef) -> None:
        self.name = definition["name"]
        self.states = tuple(definition["states"])
        self.inputs = tuple(definition["rows"])
        self._cells: dict[tuple[str, str], Cell] = {}
        for input_, row in definition["rows"].items():
            for state, word in zip(self.states, row, strict=True):
                self._cells[state, input_] = self._cell(word)

    def _cell(self, word: str | None) -> Cell:
        if word is None or word in self.states:
            return Cell(next=word)
        assert word in WORDS, f"table {self.name} has a cell {word!r} that nobody reads"
        return WORDS[word]

    def step(self, state: str, input: str) -> Cell:  # noqa: A002 - the word of the literal
        """What `input` does in `state`; about 0.1 µs."""
        cell = self._cells.get((state, input))
        assert cell is not None, f"table {self.name} has no cell for {state!r} and {input!r}: ours to mend"
        return cell
