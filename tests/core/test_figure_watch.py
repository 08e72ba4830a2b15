"""The exchange's own figures of a position: what differs is told once, with both values."""

from __future__ import annotations

from kalshi_daemon.core.figure_watch import FigureWatch
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.units import CENT, DOLLAR

A = "KXTEST-1-A"


def ours(cost: int = 4 * DOLLAR, realised: int = DOLLAR, fees: int = 20_000) -> Position:
    return Position(A, 1_000, cost, realised, fees)


def test_what_was_before_the_journal_is_the_base() -> None:
    """Profit and fees of earlier days differ from the first look on, and are no difference; a change of it is."""
    watch = FigureWatch()
    theirs = {"cost": 4 * DOLLAR, "realised": 9 * DOLLAR, "fees": 70_000}
    assert watch.look(ours(), theirs) == []
    assert watch.look(ours(realised=2 * DOLLAR), {**theirs, "realised": 10 * DOLLAR}) == []
    (found,) = watch.look(ours(), {**theirs, "fees": 70_000 + 2 * CENT})
    assert found.text == f"fees of {A}: we count $0.02, the exchange says $0.04"
    assert watch.look(ours(), {**theirs, "fees": 70_000 + 2 * CENT}) == []
    assert watch.counts == {"cost": 0, "realised": 0, "fees": 1}


def test_a_cost_is_compared_as_it_is_and_less_than_a_cent_is_rounding() -> None:
    """From the first look on, to the cent."""
    watch = FigureWatch()
    theirs = {"realised": DOLLAR, "fees": 20_000}
    assert watch.look(ours(), {**theirs, "cost": 4 * DOLLAR + CENT - 1}) == []
    (found,) = watch.look(ours(), {**theirs, "cost": 4 * DOLLAR - CENT})
    assert (found.what, found.subject, found.ours, found.theirs) == ("cost", A, 4_000_000, 3_990_000)
