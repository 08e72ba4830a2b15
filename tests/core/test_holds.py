"""Holds, restrictions and the sweep that they want."""

from __future__ import annotations

import pytest
from account_facts import NOON
from attrs import evolve

from kalshi_daemon.core.holds import TABLE, Holds, hold
from kalshi_daemon.facts import (
    HoldKind,
    HoldLifted,
    RestrictionKind,
    RestrictionPlaced,
    SweepVerified,
)


def placed(*kinds: HoldKind) -> Holds:
    holds = Holds()
    for kind in kinds:
        assert holds.place(hold(kind, "because", NOON))
    return holds


def lift(kind: HoldKind, subject: str = "") -> HoldLifted:
    return HoldLifted(at_ms=NOON + 9, hold=kind, subject=subject, by="test")


def verified(scope: str) -> SweepVerified:
    return SweepVerified(at_ms=NOON + 9, scope=scope)


def test_every_kind_says_what_clears_it() -> None:
    """The table has a row for each kind, and every row says how it ends."""
    assert set(TABLE) == set(HoldKind)
    assert all(cleared_by for cleared_by, _ in TABLE.values())


def test_the_strongest_comes_first() -> None:
    """Shown in the order of strength, whatever the order of placing."""
    holds = placed(HoldKind.OPERATOR, HoldKind.SYNC, HoldKind.KILL)
    assert [each.kind for each in holds.holds] == [HoldKind.KILL, HoldKind.OPERATOR, HoldKind.SYNC]


def test_placing_again_changes_the_cause_and_not_the_since() -> None:
    """The second placing is a change of cause; the third, equal one, is no change."""
    holds = placed(HoldKind.GUARD)
    again = hold(HoldKind.GUARD, "worse", NOON + 5, until_ms=NOON + 60_000)
    assert holds.place(again)
    assert not holds.place(evolve(again, at_ms=NOON + 6))
    found = holds.find(HoldKind.GUARD)
    assert found is not None
    assert (found.cause, found.since_ms, found.until_ms) == ("worse", NOON, NOON + 60_000)


def test_a_hold_on_one_market_pauses_nothing() -> None:
    """It closes its market, and wants no sweep of the account."""
    holds = Holds()
    holds.place(hold(HoldKind.DIVERGENCE, "odd", NOON, subject="M1"))
    assert not holds.held
    assert holds.sweep_scope == ""
    found = holds.find(HoldKind.DIVERGENCE, "M1")
    assert found is not None
    assert found.kind is HoldKind.DIVERGENCE
    assert holds.find(HoldKind.DIVERGENCE, "M2") is None


@pytest.mark.parametrize(
    ("kind", "scope"), [(HoldKind.KILL, "all"), (HoldKind.SYNC, "increasing"), (HoldKind.OPERATOR, "")]
)
def test_a_hold_wants_a_sweep_as_far_as_its_kind_reaches(kind: HoldKind, scope: str) -> None:
    """The column "resting orders" of the table."""
    assert placed(kind).sweep_scope == scope


def test_a_narrow_sweep_does_not_verify_a_wide_wish() -> None:
    """A kill is verified by a sweep of all, and then nothing is wanted."""
    holds = placed(HoldKind.KILL)
    holds.swept(verified("increasing"))
    assert holds.sweep_scope == "all"
    holds.swept(verified("all"))
    assert holds.sweep_scope == ""


def test_a_weaker_hold_after_a_wider_sweep_wants_its_own() -> None:
    """A hold that is placed after a sweep was verified is not verified by it."""
    holds = placed(HoldKind.KILL)
    holds.swept(verified("all"))
    holds.place(hold(HoldKind.SYNC, "silent", NOON + 1))
    assert holds.sweep_scope == "increasing"


def test_pause_with_cancel_widens_a_pause() -> None:
    """Placed again with a wider reach, the hold wants the sweep that it did not want before; not a second time."""
    holds = placed(HoldKind.OPERATOR)
    wider = evolve(hold(HoldKind.OPERATOR, "because", NOON + 1), cancels="all")
    assert holds.place(wider)
    assert holds.sweep_scope == "all"
    holds.swept(verified("all"))
    holds.place(evolve(wider, cause="again"))
    assert holds.sweep_scope == ""


def test_an_order_that_comes_to_rest_under_a_hold_is_swept_again() -> None:
    """A reduction that rests is left alone where only increases go."""
    holds = placed(HoldKind.SYNC)
    holds.swept(verified("increasing"))
    assert not holds.rested(reduces=True)
    assert holds.sweep_scope == ""
    assert holds.rested(reduces=False)
    assert holds.sweep_scope == "increasing"
    assert not placed(HoldKind.OPERATOR).rested(reduces=False)


def test_lifting_the_widest_hold_narrows_the_wish() -> None:
    """What is still wanted is what the remaining holds want."""
    holds = placed(HoldKind.KILL, HoldKind.SYNC)
    assert holds.lift(lift(HoldKind.KILL))
    assert holds.sweep_scope == "increasing"
    assert not holds.lift(lift(HoldKind.KILL))
    assert holds.lift(lift(HoldKind.SYNC))
    assert (holds.sweep_scope, holds.held) == ("", False)


def test_a_restart_keeps_what_is_marked_so() -> None:
    """Kill, divergence, drawdown, day loss and operator remain, a guard until its time; no restriction does."""
    holds = placed(*(kind for kind in HoldKind if kind is not HoldKind.GUARD))
    holds.place(hold(HoldKind.GUARD, "fills", NOON, until_ms=NOON + 60_000))
    holds.restrict(RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low"))
    holds.swept(verified("all"))
    dropped = {each.kind for each in holds.restart(NOON + 1_000)}
    assert dropped == {HoldKind.ACCESS, HoldKind.FOREIGN, HoldKind.EXCHANGE, HoldKind.SYNC, HoldKind.RECOVERY}
    assert holds.restrictions == ()
    assert holds.sweep_scope == "all"
    assert [each.kind for each in holds.restart(NOON + 60_000)] == [HoldKind.GUARD]


def test_restrictions_are_a_set_with_a_since() -> None:
    """Placed twice it is one; released twice it is a change once."""
    holds = Holds()
    assert holds.restrict(RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low"))
    assert not holds.restrict(RestrictionPlaced(NOON + 5, RestrictionKind.CASH_RESERVE, "low"))
    assert [(each.kind, each.since_ms) for each in holds.restrictions] == [(RestrictionKind.CASH_RESERVE, NOON)]
    assert holds.release(RestrictionKind.CASH_RESERVE)
    assert not holds.release(RestrictionKind.CASH_RESERVE)
