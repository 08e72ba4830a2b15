"""The market table, row by row: what each input does to a market in each of its eight states.

Cells are written short: `.` nothing changes, `D` divergence, `act?` active by the clock alone, `ina>` inactive if the
closing time is later than now, otherwise the first letters of a state.
"""

from __future__ import annotations

import pytest

from kalshi_daemon.core.table import Cell, Table
from statecharts.market import MARKET

COLUMNS = ["initialized", "active", "inactive", "closed", "determined", "disputed", "amended", "finalized"]
SHORT = {
    ".": Cell(None),
    "D": Cell(None, diverged=True),
    "act?": Cell("active", unproven=True),
    "ina>": Cell("inactive", if_later=True),
    "act": Cell("active"),
    "ina": Cell("inactive"),
    "clo": Cell("closed"),
    "det": Cell("determined"),
    "dis": Cell("disputed"),
    "ame": Cell("amended"),
    "fin": Cell("finalized"),
}
TABLE = Table(MARKET)

# input, what the row proves, then: initialized active inactive closed determined disputed amended finalized
ROWS = [
    ("opening_passed", "the clock opens a market, unproven", "act? . . . . . . ."),
    ("activated", "an event opens whatever has no result", "act act act act D D D D"),
    ("deactivated", "an event halts whatever is not closed", "ina ina ina . . . . ."),
    ("closing_passed", "the clock closes whatever has no result", "clo clo clo clo . . . ."),
    ("closing_moved", "a later time reopens to inactive, not to active", ". . . ina> . . . ."),
    ("grid_changed", "the ladder of prices is not a state", ". . . . . . . ."),
    ("trading_refused", "a 409 outranks the status shown", ". ina . . . . . ."),
    ("determined", "a result may come again until it is settled", "det det det det det det det D"),
    ("disputed", "a dispute may be read until it is settled", "dis dis dis dis dis dis dis D"),
    ("amended", "an amendment may be read until it is settled", "ame ame ame ame ame ame ame D"),
    ("settled", "settlement ends every market, twice changes nothing", "fin fin fin fin fin fin fin fin"),
    ("read_initialized", "an old read does not close what has opened", ". . . . D D D D"),
    ("read_active", "a read opens what has no result", "act . act act D D D D"),
    ("read_inactive", "a read halts what has no result", "ina ina . ina D D D D"),
    ("read_closed", "a read closes, and does not take a result back", "clo clo clo . . . . D"),
    ("read_finalized", "a read settles", "fin fin fin fin fin fin fin ."),
    ("unlisted", "what is gone from a complete read takes no orders", "ina ina ina . . . . ."),
]


def test_the_columns_and_rows_are_those_of_the_literal() -> None:
    """Eight states, and every input has its test row here."""
    assert MARKET["states"] == COLUMNS
    assert [name for name, _, _ in ROWS] == list(MARKET["rows"])


@pytest.mark.parametrize(("name", "proves", "cells"), ROWS, ids=[name for name, _, _ in ROWS])
def test_row(name: str, proves: str, cells: str) -> None:
    """What one input does in each state."""
    got = {state: TABLE.step(state, name) for state in COLUMNS}
    assert got == {state: SHORT[cell] for state, cell in zip(COLUMNS, cells.split(), strict=True)}, proves


def test_a_settled_market_stays_settled() -> None:
    """Nothing leads out of finalized."""
    assert {TABLE.step("finalized", name).next for name in TABLE.inputs} == {None, "finalized"}


def test_only_a_word_of_the_exchange_opens_a_closed_market() -> None:
    """The clock and a moved closing time never make a closed market active."""
    opening = {name for name in TABLE.inputs if TABLE.step("closed", name).next == "active"}
    assert opening == {"activated", "read_active"}
