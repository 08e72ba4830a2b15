"""The invariants of the running daemon: silent about what may be, and each names what must never be."""

from __future__ import annotations

import pytest
from account_facts import ASK, M, acked, agreed, fill, intended, ledger_of, reduction_spec, seen, sent
from attrs import evolve

from kalshi_daemon.core.changes import FillBooked, HoldsChanged, OrderMoved
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.invariants import LATCHES, Invariants
from kalshi_daemon.core.risk import BookEvidence, Levels
from kalshi_daemon.facts import (
    AccountDoubted,
    HoldKind,
    OrderLost,
    OrderWithheld,
    RestrictionKind,
    RestrictionPlaced,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.limits import LEVEL_LOOKS_MAX, VIOLATIONS_KEPT

BOUGHT = [fill("t1", 2)]


class Watched:
    """A ledger and what watches it, told facts in turn."""

    def __init__(self, *told):
        self.ledger = ledger_of(*told)
        self.told = []
        self.invariants = Invariants(self.ledger, self.told.append)

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


@pytest.mark.parametrize("kind", list(HoldKind))
def test_a_latch_that_does_not_survive_a_restart_is_named(kind):
    """The ledger drops what a restart may drop, and that is right; a latch among it is named."""
    watched = Watched(hold(kind, "a test", 1)).tell(RunStarted(2, "run0000002", "0"))
    assert watched.violated == []
    assert (watched.ledger.find_hold(kind) is None) == (kind not in LATCHES | {HoldKind.GUARD})
    watched.invariants.saw(RunStarted(3, "run0000003", "0"), [HoldsChanged(kind, "", placed=False)])
    assert watched.violated == ([f"8: the hold {kind} did not survive a restart"] if kind in LATCHES else [])


LEFT = Levels(trader="trading.normal", feeds_usable=True, breaker_allows=True)
USABLE = BookEvidence(usable=True, evidence_age_ms=0, best_bid=None, best_ask=None)
ORDER = "kd-run0000001-1"


def leave(watched, *, levels=LEFT, usable=True, breaker="closed", order=ORDER):
    watched.invariants.leaving(order, levels, lambda _market: evolve(USABLE, usable=usable), breaker)
    return watched.violated


def free(*told):
    """An account that agreed, with an intent of ten contracts."""
    return Watched(intended(), agreed(), *told)


def test_an_order_that_may_leave_is_not_named():
    """Free, agreed, usable, and the breaker closed, or half open for this very probe."""
    watched = free()
    assert leave(watched) == []
    assert leave(watched, breaker="half_open") == []


@pytest.mark.parametrize(
    ("told", "levels", "said"),
    [
        ([hold(HoldKind.OPERATOR, "a test", 1)], {}, "2: {} increases under operator"),
        ([hold(HoldKind.DIVERGENCE, "a test", 1, subject=M)], {}, "2: {} increases under divergence"),
        ([hold(HoldKind.DIVERGENCE, "a test", 1, subject="ANOTHER")], {}, ""),
        ([RestrictionPlaced(1, RestrictionKind.CASH_RESERVE, "a test")], {}, "2: {} increases under a restriction"),
        ([AccountDoubted(1, "a test")], {}, "1: {} left before the account agreed"),
        (
            [intended(2), sent(2), OrderLost(1, "kd-run0000001-2", "a test")],
            {},
            "1: {} left beside an unknown order on " + M,
        ),
        ([], {"usable": False}, "1: {} left on a book that is not usable"),
        ([], {"breaker": "open"}, "1: {} left with the breaker open"),
        ([], {"breaker": "latched"}, "1: {} left with the breaker latched"),
        ([], {"levels": evolve(LEFT, feeds_usable=False)}, "1: {} increases without usable feeds"),
    ],
)
def test_an_increase_that_leaves_where_it_must_not_is_named(told, levels, said):
    """Each thing that shuts its gate, asked in the step in which it is written."""
    assert leave(free(*told), **levels) == ([said.format(ORDER)] if said else [])


def test_a_reduction_that_leaves_under_a_kill_is_named_and_under_another_hold_is_not():
    """Nor without usable feeds, nor under a restriction: only its own book counts."""
    bought = [intended(2), sent(2), acked(2), *BOUGHT, agreed()]
    watched = Watched(*bought, intended(3, reduction_spec(ASK, count=3)), hold(HoldKind.DRAWDOWN, "a test", 1))
    third = "kd-run0000001-3"
    assert leave(watched, order=third, levels=evolve(LEFT, feeds_usable=False)) == []
    watched.tell(hold(HoldKind.KILL, "a test", 1))
    assert leave(watched, order=third) == [f"2: {third} reduces under a kill"]


@pytest.mark.parametrize(
    ("told", "levels", "event", "said"),
    [
        ([], LEFT, "calibrated", []),
        ([AccountDoubted(1, "a test")], LEFT, "calibrated", []),
        ([AccountDoubted(1, "a test")], LEFT, "swept", ["5: swept led to trading before the account agreed"]),
        ([hold(HoldKind.SYNC, "a test", 1)], LEFT, "swept", ["5: swept led to trading under a hold"]),
        ([], evolve(LEFT, feeds_usable=False), "swept", ["5: swept led to trading without usable feeds"]),
    ],
)
def test_trading_is_entered_free_agreed_and_with_usable_feeds(told, levels, event, said):
    """Asked when the chart has chosen, before anything can have changed."""
    watched = free(*told)
    watched.invariants.entering(event, levels)
    assert watched.violated == said


def test_a_level_that_is_not_followed_is_named():
    """Trading under a hold, holding without one: for so many looks it may be under way, and then it is not."""
    for held, state, said in (
        (True, "trading.normal", "4: trading.normal goes on under a hold"),
        (False, "paused.holding", "4: paused.holding goes on without a hold"),
    ):
        watched = Watched(*([hold(HoldKind.OPERATOR, "a test", 1)] if held else []))
        for _ in range(LEVEL_LOOKS_MAX):
            watched.invariants.looked(state)
        watched.invariants.looked("recovering.backing_off")
        for _ in range(LEVEL_LOOKS_MAX):
            watched.invariants.looked(state)
        assert watched.violated == []
        watched.invariants.looked(state)
        assert watched.violated == [said]


def test_the_first_violation_of_each_rule_is_told():
    """Once, with its text; the others are counted."""
    watched = Watched()
    for text in ("1: one", "1: two", "7: three", "1: four"):
        watched.invariants.ask(text, holds=False)
    assert watched.told == ["1: one", "7: three"]


def test_the_list_of_violations_is_bounded_and_their_number_is_not():
    """The first are kept for people; all are counted."""
    invariants = Watched().invariants
    for number in range(VIOLATIONS_KEPT + 5):
        invariants.ask(f"{number}", holds=False)
    assert len(invariants.violated) == VIOLATIONS_KEPT
    assert invariants.violations == invariants.checked == VIOLATIONS_KEPT + 5


def test_the_same_violation_is_listed_once_and_counted_each_time():
    """One that is asked about with every fact would fill the list, and hide the others."""
    invariants = Watched().invariants
    for text in ["7: one"] * VIOLATIONS_KEPT + ["7: two"]:
        invariants.ask(text, holds=False)
    assert (invariants.violated, invariants.violations) == (["7: one", "7: two"], VIOLATIONS_KEPT + 1)


def test_a_move_from_state_to_state_is_asked_of_the_change_itself():
    """A record handed in as final and back: named, whatever the ledger says by now."""
    watched = Watched(intended(), sent(), acked())
    record = watched.ledger.orders["kd-run0000001-1"]
    watched.invariants.saw(acked(), [OrderMoved("filled", evolve(record, state="resting"))])
    assert watched.violated == ["10: kd-run0000001-1 was filled and is resting"]
