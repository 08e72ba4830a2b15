"""One step of a table: words become cells, what a cell cannot know is said by the caller, mistakes are assertions."""

from __future__ import annotations

from copy import deepcopy

import pytest

from kalshi_daemon.core.table import WORDS, Cell, Table
from statecharts.market import MARKET
from statecharts.order import ORDER


@pytest.mark.parametrize(("filled", "state"), [(0, "resting"), (1, "partially_filled"), (2_500, "partially_filled")])
def test_open_is_settled_by_the_count_filled(filled: int, state: str) -> None:
    """Resting where nothing is filled, partially filled from the first hundredth of a contract."""
    cell = Table(ORDER).step("submitted", "acked_open")
    assert cell == Cell(None, open=True)
    assert cell.opened(filled) == Cell(state)


@pytest.mark.parametrize(("later", "state"), [(True, "inactive"), (False, None)])
def test_a_moved_closing_time_is_settled_by_the_clock(later: bool, state: str | None) -> None:
    """A later closing time reopens to inactive; an earlier one changes nothing here."""
    cell = Table(MARKET).step("closed", "closing_moved")
    assert cell.moved(later_than_now=later) == Cell(state)


def test_settling_a_plain_cell_changes_nothing() -> None:
    """A caller may settle every cell without asking first."""
    cell = Table(ORDER).step("resting", "fill_part")
    assert cell.opened(0).moved(later_than_now=False) == Cell("partially_filled")


def test_what_the_clock_says_is_marked_as_unproven() -> None:
    """The opening time makes a market active, and orders wait for a word from the exchange."""
    assert Table(MARKET).step("initialized", "opening_passed") == Cell("active", unproven=True)


def test_a_divergence_keeps_the_state_or_makes_it_unknown() -> None:
    """DIV and UNK! differ in the state, and both ask for a hold."""
    assert Table(ORDER).step("filled", "sent") == Cell(None, diverged=True)
    assert Table(ORDER).step("denied", "fill_part") == Cell("unknown", diverged=True)


def test_every_word_of_the_literals_is_read_and_every_reading_is_used() -> None:
    """The words of both tables are exactly those that have a meaning here."""
    assert set(ORDER["words"]) | set(MARKET["words"]) == set(WORDS)


@pytest.mark.parametrize(("state", "name"), [("rested", "sent"), ("resting", "send")])
def test_a_misspelt_state_or_input_is_our_mistake(state: str, name: str) -> None:
    """An assertion that names both, never a default."""
    with pytest.raises(AssertionError, match=f"no cell for '{state}' and '{name}'"):
        Table(ORDER).step(state, name)


def test_a_word_without_a_meaning_is_found_when_the_table_is_made() -> None:
    """A cell that nobody reads is no cell."""
    table = deepcopy(ORDER)
    table["rows"]["sent"][0] = "submited"
    with pytest.raises(AssertionError, match="'submited' that nobody reads"):
        Table(table)
