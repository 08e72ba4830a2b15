"""The ledger and what is not ours: orders and fills without an intent."""

from __future__ import annotations

import pytest
from account_facts import (
    NOON,
    M,
    acked,
    apply_all,
    fill,
    intended,
    key,
    ledger_of,
    seen,
    sent,
    started,
)

from kalshi_daemon import facts
from kalshi_daemon.core import changes as ch
from kalshi_daemon.core.holds import hold
from kalshi_daemon.facts import (
    ForeignAdopted,
    ForeignIgnored,
    HoldKind,
    HoldLifted,
)
from kalshi_daemon.units import DOLLAR


def test_an_order_that_is_not_ours_is_recorded_and_holds() -> None:
    """Seen, reserved for, and the reason of a pause that leaves our own orders alone."""
    ledger = ledger_of()
    changes = ledger.apply(seen(order_id="x1", client_order_id="somebody"))
    assert [type(each) for each in changes] == [ch.OrderMoved, ch.HoldsChanged]
    assert (ledger.held, ledger.sweep_wanted) == (True, False)
    assert ledger.orders["foreign:x1"].ours is False
    assert ledger.reserved(0) == 4 * DOLLAR + 299_000  # and the dearest fee of a hundredth, a thousand times
    assert [each.client_order_id for each in ledger.live(M)] == ["foreign:x1"]


def test_a_person_who_lifts_the_foreign_hold_lets_those_orders_be() -> None:
    """Seen again they hold no more; another one does; after a restart all are asked for again."""
    ledger = ledger_of(seen(order_id="x1", client_order_id=""))
    ledger.apply(HoldLifted(NOON, HoldKind.FOREIGN, "", "ignore"))
    assert ledger.apply(seen(order_id="x1", client_order_id="", filled=1, updated_ms=NOON + 500)) != ()
    assert not ledger.held
    ledger.apply(seen(order_id="x2", client_order_id=""))
    assert ledger.held
    apply_all(ledger, HoldLifted(NOON, HoldKind.FOREIGN, "", "ignore"), started("run0000002"))
    assert not ledger.held
    ledger.apply(seen(order_id="x1", client_order_id="", filled=1, updated_ms=NOON + 500))
    assert ledger.held


def test_old_orders_of_others_are_no_news() -> None:
    """A list of every status shows orders that were over long ago: counted, not kept, no hold."""
    ledger = ledger_of(seen(order_id="x1", client_order_id="", status="executed", filled=10))
    assert (dict(ledger.orders), ledger.held, ledger.counts["foreign_past"]) == ({}, False, 1)


def test_an_order_of_an_earlier_run_is_ours_without_its_intent() -> None:
    """The run's id is known from the journal; a run nobody knows makes a foreign order."""
    ledger = ledger_of(started("run0000002"), seen(7))
    record = ledger.orders[key(7)]
    assert (record.ours, record.number, record.state, ledger.held) == (True, 7, "resting", False)
    ledger.apply(seen(8, client_order_id=key(8, "run0000009")))
    assert ledger.orders["foreign:o8"].ours is False
    assert ledger.held


def test_a_sight_without_our_id_waits_while_an_answer_is_awaited() -> None:
    """It may be the order whose 201 is on its way: neither foreign nor known yet."""
    ledger = ledger_of(intended(), sent())
    assert ledger.apply(seen(client_order_id="")) == ()
    assert ledger.counts["ambiguous_orders"] == 1
    apply_all(ledger, acked(), seen(client_order_id="", updated_ms=NOON + 500))
    assert (ledger.orders[key(1)].state, ledger.held) == ("resting", False)


def test_a_foreign_fill_moves_the_money_and_holds() -> None:
    """Booked at once, attributed to nobody."""
    ledger = ledger_of(fill("a", 5, client_order_id="somebody"))
    assert (ledger.position(M), ledger.held, ledger.counts["foreign_fills"]) == (1_000, True, 1)
    assert ledger.settled(0) == 1_000 * DOLLAR - 4_001_000


def test_the_position_that_an_order_of_others_left_is_not_ours() -> None:
    """It rested, was known, and filled: what it left holds as the order did, but not where the order is let be."""
    ledger = ledger_of(seen(order_id="x1", client_order_id="somebody"), seen(2, order_id="x2", client_order_id=""))
    ledger.apply(ForeignIgnored(NOON, ("x2",), (), "ignore"))
    ledger.apply(fill("a", 5, order_id="x2", client_order_id=""))
    assert ledger.not_ours() == ["x1"]
    ledger.apply(fill("b", 10, order_id="x1", client_order_id="somebody"))
    ledger.apply(seen(order_id="x1", client_order_id="somebody", status="executed", filled=10))
    assert (ledger.not_ours(), ledger.held) == ([M], True)
    assert ledger.foreign_cause() == f"the position in {M} is not ours"


def test_a_nameless_fill_is_foreign_when_nothing_of_ours_is_left_that_could_own_it() -> None:
    """It waits while an order of ours may be its own, and is judged when that one is refused."""
    ledger = ledger_of(intended(), sent(), fill("a", 5, client_order_id="", source="read"))
    assert (ledger.held, ledger.counts["fills_held"]) == (False, 1)
    ledger.apply(facts.OrderRefused(NOON, key(1), 400, "insufficient_balance", ""))
    assert (ledger.held, ledger.counts["fills_held"], ledger.counts["foreign_fills"]) == (True, 0, 1)


@pytest.mark.parametrize("first", [0, 4, 3])
def test_fills_that_were_counted_when_an_order_was_adopted_are_booked_and_not_counted_again(first: int) -> None:
    """Of four that the order showed, those that were told later: the money is theirs, the contracts were counted."""
    ledger = ledger_of(seen(order_id="x1", client_order_id="somebody", filled=4, updated_ms=NOON + 300))
    told = [fill(str(each), 5, count=1, client_order_id="", order_id="x1", ts_ms=NOON + each) for each in range(4)]
    apply_all(ledger, *told[:first], ForeignAdopted(NOON, ("x1",), (M,), "a test"), *told[first:])
    ledger.apply(HoldLifted(NOON, HoldKind.FOREIGN, "", "a test"))
    record = ledger.orders["foreign:x1"]
    assert (record.filled, record.owed, record.state, ledger.held) == (4_00, 6_00, "partially_filled", False)
    assert (ledger.position(M), ledger.fills_booked) == (400, 4)
    later = fill("a", 5, count=6, client_order_id="somebody", order_id="x1", ts_ms=NOON + 900)
    apply_all(ledger, later, seen(order_id="x1", client_order_id="somebody", status="executed", filled=10))
    assert (ledger.orders["foreign:x1"].state, ledger.open_orders(), ledger.held) == ("filled", [], False)
    assert ledger.position(M) == 1_000


def test_a_fill_of_an_adopted_order_from_before_the_opening_is_in_the_opening() -> None:
    """Its contracts and its money are those that the account was opened with."""
    ledger = ledger_of(seen(order_id="x1", client_order_id="somebody", filled=4, updated_ms=NOON + 300))
    before = ledger.settled(0)
    apply_all(ledger, ForeignAdopted(NOON, ("x1",), (), "a test"))
    ledger.apply(fill("a", 5, count=4, client_order_id="", order_id="x1", ts_ms=ledger.opened_ms - 1))
    assert (ledger.position(M), ledger.settled(0), ledger.counts["earlier_fills"]) == (0, before, 1)
    assert ledger.orders["foreign:x1"].filled == 4_00


def test_an_adopted_order_is_ours_from_then_on() -> None:
    """Counted and swept like any other, its later fills are its own, and a restart asks nothing."""
    ledger = ledger_of(seen(order_id="x1", client_order_id="somebody", filled=4))
    reserved = ledger.reserved(0)
    assert [type(each) for each in ledger.apply(ForeignAdopted(NOON, ("x1",), (), "a test"))] == [ch.OrderRestated]
    ledger.apply(HoldLifted(NOON, HoldKind.FOREIGN, "", "a test"))
    record = ledger.orders["foreign:x1"]
    assert (record.ours, record.filled, record.owed, ledger.reserved(0)) == (True, 4_00, 6_00, reserved)
    apply_all(ledger, started("run0000002"))
    assert (ledger.not_ours(), ledger.held, ledger.orders["foreign:x1"].state) == ([], False, "partially_filled")
    later = fill("a", 5, count=6, client_order_id="somebody", order_id="x1", ts_ms=NOON + 900)
    apply_all(ledger, later, seen(order_id="x1", client_order_id="somebody", status="executed", filled=10))
    assert (ledger.orders["foreign:x1"].state, ledger.open_orders(), ledger.held) == ("filled", [], False)
    assert ledger.reserved(0) == 0


def test_adopting_while_all_is_to_go_sweeps_what_was_adopted() -> None:
    """A hold that cancels is in force: the order that became ours has to go too; one that is over is left."""
    ledger = ledger_of(seen(order_id="x1", client_order_id=""), hold(HoldKind.KILL, "a test", NOON))
    ledger.apply(facts.SweepVerified(NOON, "all"))
    assert ch.SweepWanted("all") in ledger.apply(ForeignAdopted(NOON, ("x1", "x2"), (), "a test"))


def test_what_is_ignored_stays_not_ours_and_is_asked_for_again_after_a_restart() -> None:
    """An order and a position; another fill on that market is news again."""
    strange = fill("a", 5, client_order_id="somebody")
    ledger = ledger_of(seen(order_id="x1", client_order_id=""), strange)
    assert ledger.not_ours() == [M, "x1"]
    lifted = HoldLifted(NOON, HoldKind.FOREIGN, "", "ignore")
    apply_all(ledger, ForeignIgnored(NOON, ("x1",), (M,), "ignore"), lifted)
    assert (ledger.not_ours(), ledger.foreign_orders(), ledger.foreign_markets()) == ([], ["x1"], [M])
    assert not ledger.orders["foreign:x1"].ours
    ledger.apply(fill("b", 6, client_order_id="somebody"))
    assert (ledger.not_ours(), ledger.held) == ([M], True)
    apply_all(ledger, ForeignIgnored(NOON, (), (M,), "ignore"), lifted, started("run0000002"))
    assert ledger.not_ours() == [M, "x1"]
    apply_all(ledger, ForeignAdopted(NOON, ("x1",), (M,), "adopt"), started("run0000003"))
    assert ledger.not_ours() == []
