"""The invariants of the running daemon: silent about what may be, and each names what must never be."""

from __future__ import annotations

import pytest
from account_facts import ASK, acked, fill, intended, ledger_of, reduction_spec, seen, sent
from attrs import evolve

from kalshi_daemon.core.changes import FillBooked, OrderMoved
from kalshi_daemon.core.invariants import Invariants
from kalshi_daemon.facts import OrderWithheld, StateChanged
from kalshi_daemon.limits import VIOLATIONS_KEPT

BOUGHT = [fill("t1", 2)]


class Watched:
    """A ledger and what watches it, told facts in turn."""

    def __init__(self, *told):
        self.ledger = ledger_of(*told)
        self.invariants = Invariants(self.ledger)

    def tell(self, *told):
        for fact in told:
            self.invariants.saw(fact, self.ledger.apply(fact))
        return self

    @property
    def violated(self):
        return self.invariants.violated


def entered(state, event="a_test", chart="trader"):
    return StateChanged(1, chart, "", state, event)


NORMAL = [entered("starting.preflight", "start"), entered("calibrating"), entered("trading.normal", "calibrated")]


def test_an_ordinary_life_violates_nothing():
    """Started, calibrated, an order sent, partly filled, cancelled, paused, resumed, stopped."""
    watched = Watched().tell(
        *NORMAL,
        intended(),
        sent(),
        acked(),
        fill("t1", count=4),
        seen(status="canceled", filled=4, updated_ms=1_790_000_000_900),
        entered("paused.sweeping", "hold_placed"),
        entered("paused.holding", "swept"),
        entered("trading.reducing", "holds_lifted"),
        entered("trading.normal", "restrictions_lifted"),
        entered("stopping.draining", "stop"),
        entered("stopping.sealing", "drained"),
        entered("stopped", "sealed"),
    )
    assert watched.violated == []
    assert watched.invariants.violations == 0
    assert watched.invariants.checked > 20


@pytest.mark.parametrize("event", ["recovered", "feeds_ready", "preflight_passed", "sweep_failed"])
def test_trading_is_entered_by_its_two_doors_only(event):
    """`calibrated`, and from paused `swept` or `holds_lifted`; going from normal to reducing is no door."""
    assert Watched().tell(entered("trading.normal", event)).violated == [f"5: trading was entered by {event}"]
    for door in ("calibrated", "swept", "holds_lifted"):
        watched = Watched().tell(entered("trading.reducing", door), entered("trading.normal", "restrictions_lifted"))
        assert watched.violated == []


def test_a_stop_is_not_taken_back():
    """From stopping there is a way on, and none back; other charts may go where they like."""
    watched = Watched().tell(*NORMAL, entered("stopping.draining"), entered("down", chart="actor"))
    assert watched.violated == []
    watched.tell(entered("paused.sweeping", "hold_placed"))
    assert watched.violated == ["9: a stop was taken back to paused.sweeping"]


@pytest.mark.parametrize("state", ["trading.reducing", "paused.holding", "recovering.backing_off", "calibrating"])
def test_an_increase_leaves_in_trading_normal_only(state):
    """Sent in any other state it is named, with the state."""
    watched = Watched().tell(*NORMAL, intended(), entered(state), sent())
    assert watched.violated == [f"1: kd-run0000001-1 was sent in {state}"]


@pytest.mark.parametrize(
    ("state", "holds"),
    [("trading.normal", True), ("trading.reducing", True), ("paused.holding", True), ("paused.sweeping", False)],
)
def test_a_reduction_leaves_in_trading_and_while_holding(state, holds):
    """Its gate is open in trading and in paused.holding, and nowhere else."""
    watched = Watched(intended(2), sent(2), acked(2), *BOUGHT)
    watched.tell(*NORMAL, intended(3, reduction_spec(ASK, count=3)), entered(state), sent(3))
    assert watched.violated == ([] if holds else [f"1: kd-run0000001-3 was sent in {state}"])


def test_an_order_without_an_intent_is_named():
    """Sent without a record: nothing was journaled before it left."""
    watched = Watched().tell(*NORMAL, sent(9))
    assert watched.violated[0] == "1: kd-run0000001-9 was sent without an intent"


def test_a_trade_that_is_booked_twice_is_named():
    """The ledger would never; if it did, the change itself says so."""
    watched = Watched(intended(), sent(), acked())
    once = fill("t1", count=4)
    changes = watched.ledger.apply(once)
    assert any(isinstance(change, FillBooked) for change in changes)
    watched.invariants.saw(once, changes)
    watched.invariants.saw(once, watched.ledger.apply(once))
    assert watched.violated == []
    watched.invariants.saw(once, changes)
    assert watched.violated == ["7: trade t1 was booked twice"]


def test_more_than_was_asked_for_is_named():
    """Fills of twelve for an order of ten."""
    watched = Watched(intended(), sent(), acked()).tell(fill("t1", count=8), fill("t2", count=4))
    assert watched.violated == ["10: kd-run0000001-1 filled more than its count"]


def test_an_order_that_was_over_and_lives_is_named():
    """Withheld, so never sent, and yet seen resting: it was believed final while it could rest."""
    watched = Watched(intended()).tell(OrderWithheld(1, "kd-run0000001-1", "P1", "a test"), seen())
    assert watched.violated == ["10: kd-run0000001-1 was denied and is unknown"]


def test_reservations_that_belong_to_no_order_are_named():
    """What is reserved is what the open orders keep: asked after each fact."""
    watched = Watched(intended())
    watched.tell(*NORMAL, sent())
    assert watched.violated == []
    watched.ledger._cash.reserve(0, 7)
    watched.tell(acked())
    assert watched.violated == ["7: reserved 5000007, orders keep 5000000"]


def test_the_list_of_violations_is_bounded_and_their_number_is_not():
    """The first are kept for people; all are counted."""
    invariants = Watched().invariants
    for number in range(VIOLATIONS_KEPT + 5):
        invariants.ask(f"{number}", holds=False)
    assert len(invariants.violated) == VIOLATIONS_KEPT
    assert invariants.violations == invariants.checked == VIOLATIONS_KEPT + 5


def test_a_move_from_state_to_state_is_asked_of_the_change_itself():
    """A record handed in as final and back: named, whatever the ledger says by now."""
    watched = Watched(intended(), sent(), acked())
    record = watched.ledger.orders["kd-run0000001-1"]
    watched.invariants.saw(acked(), [OrderMoved("filled", evolve(record, state="resting"))])
    assert watched.violated == ["10: kd-run0000001-1 was filled and is resting"]
