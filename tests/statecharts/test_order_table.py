"""The order table, row by row: what each input does to an order in each of its twelve states.

Cells are written short: `.` nothing changes, `D` divergence and the state kept, `U!` unknown and divergence, `open`
resting or partially filled, otherwise the first letters of a state.
"""

from __future__ import annotations

from collections import deque

import pytest

from kalshi_daemon.core.table import Cell, Table
from statecharts.order import FINAL_STATES, ORDER

STATES = "intended submitted resting partially_filled cancel_pending amend_pending unknown filled cancelled expired"
COLUMNS = [*STATES.split(), "rejected", "denied"]
SHORT = {
    ".": Cell(None),
    "D": Cell(None, diverged=True),
    "U!": Cell("unknown", diverged=True),
    "open": Cell(None, open=True),
    "sub": Cell("submitted"),
    "par": Cell("partially_filled"),
    "can": Cell("cancel_pending"),
    "am": Cell("amend_pending"),
    "unk": Cell("unknown"),
    "fil": Cell("filled"),
    "cxl": Cell("cancelled"),
    "exp": Cell("expired"),
    "rej": Cell("rejected"),
    "den": Cell("denied"),
}
TABLE = Table(ORDER)

# input, what the row proves, its cells in the order of COLUMNS
ROWS = [
    ("sent", "only an intent is sent, and once", "sub D D D D D D D D D D D"),
    ("withheld", "only an intent is withheld, and telling it twice is harmless", "den D D D D D D D D D D ."),
    ("acked_open", "a late 201 undoes nothing that is known better", "D open . . . . open . . . U! U!"),
    ("acked_full", "a full 201 is final wherever the order may have been", "D fil fil fil fil fil fil . fil fil U! U!"),
    ("acked_void", "a 201 for nothing ends the order", "D cxl cxl cxl cxl cxl cxl . . . U! U!"),
    ("refused", "a refusal ends a first send, and says nothing of an unknown one", "D rej D D D D unk D D D . D"),
    ("duplicate", "an earlier send arrived, so it is unknown until it is seen", "D unk . . . . unk . . . U! U!"),
    ("lost", "no answer makes a submitted order unknown, never rejected", "D unk . . . . . . . . . D"),
    (
        "seen_open",
        "seeing it rest settles unknown, and does not undo a cancel",
        "D open open open . . open D D D U! U!",
    ),
    ("fill_part", "a fill says that it lived, not that it lives", "D par par par can am unk fil cxl exp U! U!"),
    ("fill_rest", "the last fill completes it, also after its cancel", "D fil fil fil fil fil fil fil fil fil U! U!"),
    ("seen_cancelled", "seeing it cancelled ends it", "D cxl cxl cxl cxl cxl cxl D . . cxl U!"),
    ("seen_expired", "seeing it expired ends it", "D exp exp exp exp exp exp D . . exp U!"),
    (
        "seen_executed",
        "done with fills missing is unknown until they are here",
        "D unk unk unk unk unk unk . U! U! U! U!",
    ),
    ("cancel_sent", "a cancel of an order with an end changes nothing", "D D can can can can unk . . . . ."),
    ("cancel_acked", "an acknowledged cancel ends it", "D D cxl cxl cxl cxl cxl D . . U! U!"),
    ("cancel_missing", "a 404 proves nothing", "D D unk unk unk unk unk . . . . ."),
    ("cancel_refused", "a refused cancel leaves the order where it was", "D D . . open am unk . . . . ."),
    ("cancel_lost", "a cancel without an answer makes it unknown", "D D unk unk unk unk unk . . . . ."),
    ("amend_sent", "only what rests is amended", "D D am am D D D D D D D D"),
    ("amend_acked", "an amend does not undo a cancel under way", "D D open open can open unk . . . U! U!"),
    ("amend_refused", "a refused amend leaves the order where it was", "D D . . can open unk . . . . ."),
    ("amend_lost", "an amend without an answer makes it unknown", "D D unk unk unk unk unk . . . . ."),
    ("absent", "complete pages without it prove that it never arrived", ". . D D D D rej D D D . ."),
    ("vanished", "an acknowledged order cannot be in no page", "D D U! U! U! U! D D D D D D"),
    ("restarted", "what was under way has lost its answer", "unk unk . . unk unk . . . . . ."),
]


def test_the_columns_and_rows_are_those_of_the_literal() -> None:
    """Twelve states, and every input has its test row here."""
    assert ORDER["states"] == COLUMNS
    assert [name for name, _, _ in ROWS] == list(ORDER["rows"])


@pytest.mark.parametrize(("name", "proves", "cells"), ROWS, ids=[name for name, _, _ in ROWS])
def test_row(name: str, proves: str, cells: str) -> None:
    """What one input does in each state."""
    got = {state: TABLE.step(state, name) for state in COLUMNS}
    assert got == {state: SHORT[cell] for state, cell in zip(COLUMNS, cells.split(), strict=True)}, proves


def test_unknown_is_left_by_evidence_only() -> None:
    """No timer, no restart, no lost answer and no refusal leads out of unknown."""
    leaving = {name for name in TABLE.inputs if _leaves_unknown(TABLE.step("unknown", name))}
    assert leaving == {
        "acked_open",
        "acked_full",
        "acked_void",
        "seen_open",
        "fill_rest",
        "seen_cancelled",
        "seen_expired",
        "cancel_acked",
        "absent",
    }


def _leaves_unknown(cell: Cell) -> bool:
    return cell.open or cell.next not in (None, "unknown")


def test_a_final_state_is_left_by_a_fill_or_with_a_divergence_only() -> None:
    """What has ended rests no more; a late fill may complete it, a refused order may be seen cancelled or expired."""
    left = {
        (state, name, cell.next)
        for state in FINAL_STATES
        for name in TABLE.inputs
        if (cell := TABLE.step(state, name)).next not in (None, state) and not cell.diverged
    }
    assert left == {
        ("cancelled", "fill_rest", "filled"),
        ("expired", "fill_rest", "filled"),
        ("cancelled", "acked_full", "filled"),
        ("expired", "acked_full", "filled"),
        ("rejected", "seen_cancelled", "cancelled"),
        ("rejected", "seen_expired", "expired"),
    }


def test_nothing_that_ended_rests_again() -> None:
    """From a final state no sequence of inputs leads to one that rests, but by unknown and its divergence hold."""
    for state in FINAL_STATES:
        seen, todo = {state}, deque([state])
        while todo:
            here = todo.popleft()
            for name in TABLE.inputs:
                cell = TABLE.step(here, name)
                if cell.diverged:
                    continue
                assert not cell.open, (here, name)
                if cell.next is not None and cell.next not in seen:
                    seen.add(cell.next)
                    todo.append(cell.next)
        assert seen <= FINAL_STATES


def test_every_state_that_is_not_final_can_still_end() -> None:
    """No order is stuck: evidence leads from each state to an end."""
    for state in set(COLUMNS) - FINAL_STATES:
        ends = {TABLE.step(state, name).next for name in TABLE.inputs}
        assert ends & FINAL_STATES or "submitted" in ends, state
