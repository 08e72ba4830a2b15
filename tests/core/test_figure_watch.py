"""The exchange's own figures of a position: what differs is told once, with both values, and never forgiven."""

from __future__ import annotations

from account_facts import NOON, account_opened, started
from attrs import evolve

from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.figure_watch import FigureWatch
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import DriftCause, DriftSeen, FiguresBefore, PositionOpening
from kalshi_daemon.units import CENT, DOLLAR

A = "KXTEST-1-A"


def account(before: tuple[FiguresBefore, ...] | None) -> Ledger:
    """Ten contracts for four dollars, and two cents of fees, as the account was opened."""
    ledger = Ledger()
    opened = account_opened(1_000, PositionOpening(A, 1_000, 4 * DOLLAR, 20_000))
    for fact in (started(), evolve(opened, before=before)):
        ledger.apply(fact)
    return ledger


def theirs(cost: int = 4 * DOLLAR, realised: int = 8 * DOLLAR, fees: int = 20_000) -> dict[str, int]:
    return {"cost": cost, "realised": realised, "fees": fees}


def tell(ledger: Ledger, found: list[Difference]) -> list[str]:
    """What the journal is told of them."""
    for each in found:
        ledger.apply(DriftSeen(NOON, each.what, each.subject, each.ours, each.theirs, DriftCause.RESTATED))
    return [each.text for each in found]


def test_no_restart_forgives_a_difference_to_the_opening_figures() -> None:
    """The first look of a process is held against what the journal began with; what was told is not told again."""
    ledger = account((FiguresBefore(A, 8 * DOLLAR, 0),))
    assert FigureWatch(ledger).look(A, theirs()) == []
    watch = FigureWatch(ledger)
    changed = theirs(realised=8 * DOLLAR - CENT, fees=20_000 + 2 * CENT)
    found = watch.look(A, changed)
    assert watch.look(A, changed) == [], "the journal is being told"
    assert tell(ledger, found) == [
        f"realised of {A}: we count $0.00, the exchange says -$0.01",
        f"fees of {A}: we count $0.02, the exchange says $0.04",
    ]
    assert watch.counts == {"differing_cost": 0, "differing_realised": 1, "differing_fees": 1}
    assert FigureWatch(ledger).look(A, changed) == []
    assert tell(ledger, FigureWatch(ledger).look(A, theirs())) == [
        f"realised of {A}: we count $0.00, the exchange says $0.01",
        f"fees of {A}: we count $0.02, the exchange says $0.00",
    ]
    assert FigureWatch(ledger).look(A, theirs()) == []


def test_roundings_of_several_runs_add_up_to_what_is_told() -> None:
    """Less than a cent since the last that was told is none; a restart does not begin it anew."""
    ledger = account(())
    for halves, told in enumerate([0, 0, 1, 0, 1, 0]):
        found = FigureWatch(ledger).look(A, theirs(realised=halves * CENT // 2))
        assert len(tell(ledger, found)) == told


def test_a_journal_that_does_not_say_has_the_first_look_as_its_base() -> None:
    """Profit and fees of earlier days differ from the first look on, and are no difference; a change of it is."""
    ledger = account(None)
    watch = FigureWatch(ledger)
    assert watch.look(A, theirs(fees=70_000)) == []
    (found,) = watch.look(A, theirs(fees=70_000 + 2 * CENT))
    assert tell(ledger, [found]) == [f"fees of {A}: we count $0.02, the exchange says $0.04"]
    assert watch.look(A, theirs(fees=70_000 + 2 * CENT)) == []
    assert watch.counts == {"differing_cost": 0, "differing_realised": 0, "differing_fees": 1}


def test_a_cost_is_compared_as_it_is_and_less_than_a_cent_is_rounding() -> None:
    """From the first look on, to the cent."""
    watch = FigureWatch(account(None))
    assert watch.look(A, theirs(cost=4 * DOLLAR + CENT - 1)) == []
    (found,) = watch.look(A, theirs(cost=4 * DOLLAR - CENT))
    assert (found.what, found.subject, found.ours, found.theirs) == ("cost", A, 4_000_000, 3_990_000)
