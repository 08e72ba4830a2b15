"""The ledger: what each fact does to the account, whenever it comes."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from account_facts import (
    ASK,
    NOON,
    RUN,
    M,
    account_opened,
    acked,
    agreed,
    apply_all,
    fill,
    intended,
    key,
    ledger_of,
    order_spec,
    reduction_spec,
    seen,
    sent,
    settlement,
    started,
    state_of,
)
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core import changes as ch
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.facts import (
    HoldKind,
    RestrictionKind,
    RestrictionLifted,
    RestrictionPlaced,
    SweepVerified,
)
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

PLACED = (intended(), sent(), acked())


def test_an_order_s_life_moves_its_cost_from_reserved_to_settled() -> None:
    """Reserved at the intent, charged once by the fill, with the fee apart."""
    ledger = ledger_of(intended())
    assert (ledger.settled(0), ledger.reserved(0)) == (1_000 * DOLLAR, 5 * DOLLAR)
    assert ledger.available(0, threshold=200 * DOLLAR) == 795 * DOLLAR
    apply_all(ledger, sent(), acked(), fill("a", count=4))
    assert (ledger.settled(0), ledger.reserved(0)) == (1_000 * DOLLAR - 1_601_000, 3 * DOLLAR)
    apply_all(ledger, fill("b", count=6))
    assert (ledger.settled(0), ledger.reserved(0)) == (1_000 * DOLLAR - 4_002_000, 0)
    assert ledger.positions[M] == Position(M, 1_000, 4 * DOLLAR, 0, 2_000)
    assert ledger.orders[key(1)].state == "filled"
    assert ledger.live() == []


def test_money_is_right_before_the_order_is_known() -> None:
    """A read's fill that outruns the 201 moves position and cash at once, and the order when its id is told."""
    ledger = ledger_of(intended(), sent())
    changes = ledger.apply(fill("a", count=4, client_order_id="", source="read"))
    assert changes == (ch.FillBooked(fill("a", count=4, client_order_id="", source="read"), 0, ""),)
    assert (ledger.position(M), ledger.settled(0)) == (400, 1_000 * DOLLAR - 1_601_000)
    assert (ledger.orders[key(1)].state, ledger.counts["fills_held"]) == ("submitted", 1)
    moved = ledger.apply(acked(filled=4, remaining=6))
    record = ledger.orders[key(1)]
    assert [(each.before, each.record.state) for each in moved if isinstance(each, ch.OrderMoved)] == [
        ("submitted", "partially_filled")
    ]
    assert (record.state, record.filled, record.reserve) == ("partially_filled", 400, 3 * DOLLAR)
    assert ledger.counts["fills_held"] == 0
    assert not ledger.held


def test_a_fill_that_names_its_order_needs_no_acknowledgement() -> None:
    """The stream's fill carries our id: the order moves at once and learns its id at the exchange."""
    ledger = ledger_of(intended(), sent(), fill("a"))
    assert ledger.orders[key(1)].state == "filled"
    found = ledger.by_order_id("o1")
    assert found is not None
    assert found.client_order_id == key(1)


@pytest.mark.parametrize(
    ("fact", "counter"),
    [
        (fill("a", count=4), "repeated_fills"),
        (fill("a", count=4, source="read", client_order_id=""), "repeated_fills"),
        (acked(), "ignored_inputs"),
        (intended(), "repeated_intents"),
        (started(), "repeated_runs"),
        (account_opened(7), "repeated_openings"),
        (settlement(4, 100, 400), "repeated_settlements"),
    ],
)
def test_a_repetition_changes_counters_only(fact: facts.AccountFact, counter: str) -> None:
    """Fills, answers, intents, runs, openings and settlements are booked once by their ids."""
    ledger = ledger_of(*PLACED, fill("a", count=4), settlement(4, 100, 400))
    before, times = state_of(ledger), ledger.counts.get(counter, 0)
    assert ledger.apply(fact) == ()
    assert state_of(ledger) == before
    assert ledger.counts[counter] == times + 1


def test_the_same_facts_give_the_same_bytes() -> None:
    """Folding the journal from empty equals the live state, byte for byte; one fact more does not."""
    told = (*PLACED, fill("a", count=4), hold(HoldKind.OPERATOR, "pause", NOON), settlement(4, 0, 0))
    assert ledger_of(*told).snapshot() == ledger_of(*told).snapshot()
    assert ledger_of(*told).snapshot() != ledger_of(*told[:-1]).snapshot()
    assert json.loads(Ledger().snapshot())["version"] == 0


def test_what_cannot_be_holds_and_leaves_the_account_in_doubt() -> None:
    """An acknowledgement of an intent that was never sent: the state is kept, the hold placed inside the fold."""
    ledger = ledger_of(intended())
    changes = ledger.apply(acked())
    text = f"order {key(1)}: acked_open while intended"
    assert changes == (
        ch.Diverged(key(1), text),
        ch.HoldsChanged(HoldKind.DIVERGENCE, "", placed=True),
        ch.AgreementChanged(agreed=False),
    )
    assert ledger.orders[key(1)].state == "intended"
    assert [(each.kind, each.cause) for each in ledger.holds] == [(HoldKind.DIVERGENCE, text)]
    assert (ledger.held, ledger.account_agreed, ledger.sweep_scope) == (True, False, "all")


def test_an_answer_to_a_rejected_order_makes_it_unknown() -> None:
    """UNK!: unknown again, its cost reserved again, and a divergence hold."""
    ledger = ledger_of(intended(), sent(), facts.OrderRefused(NOON, key(1), 400, "invalid_price", ""))
    assert ledger.reserved(0) == 0
    ledger.apply(acked())
    assert (ledger.orders[key(1)].state, ledger.reserved(0), ledger.held) == ("unknown", 5 * DOLLAR, True)


def test_an_answer_without_an_intent_diverges() -> None:
    """We never sent it, so the answer cannot be ours."""
    ledger = ledger_of()
    assert isinstance(ledger.apply(sent(9))[0], ch.Diverged)
    assert ledger.counts["orphans"] == 1
    assert dict(ledger.orders) == {}


def test_a_read_that_says_executed_wants_the_fills() -> None:
    """Unknown until they are here; the last of them ends it."""
    ledger = ledger_of(*PLACED, fill("a", count=4))
    changes = ledger.apply(seen(status="executed", filled=10, source="read"))
    assert changes[-1] == ch.FillsWanted("o1")
    assert ledger.orders[key(1)].state == "unknown"
    ledger.apply(fill("b", count=6, source="read", client_order_id=""))
    assert (ledger.orders[key(1)].state, ledger.reserved(0)) == ("filled", 0)


def test_a_cancel_that_leaves_fills_out_wants_them() -> None:
    """The order is over and owes two contracts, whose share stays reserved until they are booked."""
    ledger = ledger_of(*PLACED)
    changes = ledger.apply(seen(status="canceled", filled=2, source="read"))
    assert changes[-1] == ch.FillsWanted("o1")
    assert (ledger.live(), ledger.reserved(0)) == ([], DOLLAR)
    assert [each.owed for each in ledger.open_orders(M)] == [2 * CONTRACT]
    ledger.apply(fill("a", count=2))
    assert (ledger.open_orders(M), ledger.reserved(0), ledger.orders[key(1)].state) == ([], 0, "cancelled")


def test_an_undocumented_reason_is_counted_and_told() -> None:
    """The order is over all the same."""
    ledger = ledger_of(*PLACED)
    changes = ledger.apply(seen(status="canceled", reason="WeatherCancel"))
    assert changes[0] == ch.Noticed("unread_reason", "order o1 was cancelled by 'WeatherCancel'")
    assert ledger.orders[key(1)].state == "cancelled"
    assert ledger.counts["unread_reasons"] == 1


# ------------------------------------------------------------------------------------------------ opening, settlement


def test_the_opening_is_what_later_facts_are_added_to() -> None:
    """It replaces what was folded before, once; fills and settlements from before it are part of it."""
    ledger = Ledger()
    opening = account_opened(500, facts.PositionOpening(M, 300, DOLLAR, 9))
    apply_all(ledger, started(), fill("a", client_order_id=""), opening)
    assert (ledger.opened, ledger.settled_total, ledger.position(M)) == (True, 500 * DOLLAR, 300)
    old = fill("b", client_order_id="", ts_ms=NOON - 1)
    assert ledger.apply(old) == ()
    assert ledger.apply(settlement(5, 100, 500, market="OLD", ts_ms=NOON - 1)) == ()
    assert (ledger.settled_total, ledger.counts["earlier_fills"], ledger.counts["earlier_settlements"]) == (
        500 * DOLLAR,
        1,
        1,
    )


def test_a_position_of_the_opening_is_settled_whatever_the_stamp() -> None:
    """The opening still holds it, so its settlement is not part of the opening: clocks differ."""
    ledger = Ledger()
    apply_all(ledger, started(), account_opened(500, facts.PositionOpening(M, 300, DOLLAR, 0)))
    assert ledger.apply(settlement(3, 100, 300, ts_ms=NOON - 1)) == (ch.PositionSettled(M, 2 * DOLLAR),)
    assert (ledger.settled_total, ledger.position(M)) == (503 * DOLLAR, 0)


@pytest.mark.parametrize(
    ("side", "count", "value", "revenue", "realised"),
    [
        ("bid", 10, 100, 1_000, 6 * DOLLAR),
        ("bid", 10, 0, 0, -4 * DOLLAR),
        ("ask", -10, 0, 1_000, 4 * DOLLAR),
        ("bid", 10, 25, 250, -1_500_000),
    ],
    ids=["yes", "no", "no held", "scalar"],
)
def test_a_settlement_closes_the_position_for_its_revenue(
    side: str, count: int, value: int, revenue: int, realised: int
) -> None:
    """Yes, no and scalar; the exchange's total of fees is not charged again."""
    spec = order_spec(side=BookSide(side))
    ledger = ledger_of(intended(spec=spec), sent(), acked(), fill("a", side=spec.side, fee=0))
    changes = ledger.apply(settlement(count, value, revenue, fee=5_000))
    assert changes == (ch.PositionSettled(M, realised),)
    assert ledger.settled_total == 1_000 * DOLLAR + realised
    assert ledger.positions[M] == Position(M, 0, 0, realised, 0)


def test_a_void_settlement_credits_what_it_says() -> None:
    """The revenue is the exchange's; there is no value to compare it with."""
    ledger = ledger_of(*PLACED, fill("a", fee=0))
    changes = ledger.apply(settlement(10, 0, 400, result="void"))
    assert (changes, ledger.settled_total) == ((ch.PositionSettled(M, 0),), 1_000 * DOLLAR)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (settlement(9, 100, 900), f"{M}: 9 settled where we hold 10"),
        (settlement(10, 100, 998), f"{M}: $9.98 paid for 10 at $1.00 each"),
    ],
)
def test_a_settlement_that_surprises_is_booked_and_told(fact: facts.SettlementSeen, text: str) -> None:
    """The exchange's revenue is the truth; the difference is somebody's to look at."""
    ledger = ledger_of(*PLACED, fill("a", fee=0))
    changes = ledger.apply(fact)
    assert changes[1:] == (ch.Noticed("settlement", text),)
    assert ledger.settled_total == 996 * DOLLAR + fact.revenue


def test_shards_keep_their_own_cash() -> None:
    """A fill draws on the shard that it names; a correction on the one that it corrects."""
    ledger = Ledger()
    apply_all(ledger, started(), facts.AccountOpened(NOON, ((0, 100 * DOLLAR), (2, 50 * DOLLAR)), ()))
    spec = order_spec(exchange_index=2)
    apply_all(ledger, intended(spec=spec), sent(), acked(), fill("a", count=5, exchange_index=2, fee=0))
    ledger.apply(facts.CashCorrected(NOON, 0, -7, "a transfer"))
    assert dict(ledger.shards) == {0: 100 * DOLLAR - 7, 2: 48 * DOLLAR}
    assert (ledger.reserved(0), ledger.reserved(2)) == (0, 2_500_000)


# ------------------------------------------------------------------------------------------------ runs, levels, sweeps


def test_a_restart_makes_what_was_under_way_unknown() -> None:
    """Intended and submitted orders may have left; what rests still rests; numbers begin anew; nothing is agreed."""
    ledger = ledger_of(intended(1), intended(2), sent(2), intended(3), sent(3), acked(3))
    changes = ledger.apply(started("run0000002"))
    assert [(each.before, each.record.number) for each in changes if isinstance(each, ch.OrderMoved)] == [
        ("intended", 1),
        ("submitted", 2),
    ]
    assert [ledger.orders[key(number)].state for number in (1, 2, 3)] == ["unknown", "unknown", "resting"]
    assert ledger.reserved(0) == 15 * DOLLAR
    assert (ledger.run_id, ledger.next_number, ledger.account_agreed) == ("run0000002", 1, False)
    assert ledger.client_order_id(1) == "kd-run0000002-1"


def test_numbers_follow_the_intents_of_the_run() -> None:
    """The next number is one more than the greatest that this run has used."""
    ledger = ledger_of(intended(3))
    assert (ledger.run_id, ledger.next_number) == (RUN, 4)
    ledger.apply(intended(2))
    assert ledger.next_number == 4


def test_agreement_is_lost_by_doubt_and_found_by_an_audit() -> None:
    """Told only when it changes."""
    ledger = ledger_of()
    assert ledger.account_agreed
    assert ledger.apply(facts.AccountDoubted(NOON, "session lost")) == (ch.AgreementChanged(agreed=False),)
    assert ledger.apply(facts.AccountDiffers(NOON, ("cash",))) == ()
    assert ledger.apply(agreed()) == (ch.AgreementChanged(agreed=True),)


def test_restrictions_are_a_level_and_end_with_the_run() -> None:
    """Placed and lifted they are told; a new run asks for them again."""
    placed = RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low")
    ledger = ledger_of()
    assert ledger.apply(placed) == (ch.RestrictionsChanged(RestrictionKind.CASH_RESERVE, placed=True),)
    assert ledger.apply(placed) == ()
    assert ledger.restricted
    lifted = ledger.apply(RestrictionLifted(NOON, RestrictionKind.CASH_RESERVE, "cash"))
    assert lifted == (ch.RestrictionsChanged(RestrictionKind.CASH_RESERVE, placed=False),)
    apply_all(ledger, placed)
    assert ch.RestrictionsChanged(RestrictionKind.CASH_RESERVE, placed=False) in ledger.apply(started("run0000002"))
    assert not ledger.restricted


def test_an_order_accepted_under_a_hold_wants_another_sweep() -> None:
    """The sweep that was verified could not see it; a verified one after it is enough."""
    ledger = ledger_of(intended(), sent(), hold(HoldKind.SYNC, "silent", NOON), SweepVerified(NOON, "increasing"))
    assert not ledger.sweep_wanted
    changes = ledger.apply(acked())
    assert ch.SweepWanted("increasing") in changes
    assert ledger.sweep_wanted
    ledger.apply(SweepVerified(NOON + 900, "increasing"))
    assert not ledger.sweep_wanted


def test_an_immediate_order_never_rests() -> None:
    """Shown open for a moment, a reduction under a hold of all wants no sweep."""
    swept = (hold(HoldKind.DIVERGENCE, "odd", NOON), SweepVerified(NOON, "all"))
    ledger = ledger_of(intended(spec=reduction_spec()), sent(), *swept)
    assert [type(each) for each in ledger.apply(seen(side=ASK))] == [ch.OrderMoved]
    assert not ledger.sweep_wanted


def test_a_hold_on_a_market_is_found_by_its_market() -> None:
    """It closes that market and pauses nothing."""
    ledger = ledger_of(hold(HoldKind.DIVERGENCE, "odd", NOON, subject=M))
    found = ledger.find_hold(HoldKind.DIVERGENCE, M)
    assert found is not None
    assert (found.subject, ledger.held, ledger.find_hold(HoldKind.DIVERGENCE, "OTHER")) == (M, False, None)


def test_facts_for_people_change_nothing() -> None:
    """State changes, words of the operator, alarms and unverified sweeps are kept in the journal only."""
    ledger = ledger_of(*PLACED)
    before = state_of(ledger)
    told = (
        facts.StateChanged(NOON, "trader", "paused", "trading", "holds_lifted"),
        facts.OperatorSpoke(NOON, "pause", "somebody", "lunch"),
        facts.Alarmed(NOON, "drift", "text"),
        facts.SweepUnverified(NOON, "all", (key(1),)),
    )
    assert [ledger.apply(fact) for fact in told] == [()] * 4
    assert state_of(ledger) == before
    assert ledger.version == 3 + len(PLACED) + 4


def test_a_third_fill_over_the_count_diverges_and_its_money_is_booked() -> None:
    """What happened at the exchange happened; that it cannot be is told."""
    ledger = ledger_of(*PLACED, fill("a"), fill("b", count=1))
    assert (ledger.position(M), ledger.held) == (1_100, True)
    assert ledger.settled(0) == 1_000 * DOLLAR - 4_402_000


def test_every_account_fact_is_folded() -> None:
    """None of the vocabulary's facts is forgotten: an unknown fact would be taken for an order's."""
    handled = set(Ledger()._handlers)
    answers = {type(fact) for fact in (sent(), acked())} | {
        facts.OrderWithheld,
        facts.OrderRefused,
        facts.OrderDuplicate,
        facts.OrderLost,
        facts.CancelSent,
        facts.CancelAcknowledged,
        facts.CancelMissing,
        facts.CancelRefused,
        facts.CancelLost,
        facts.AmendWithheld,
        facts.AmendSent,
        facts.AmendAcknowledged,
        facts.AmendRefused,
        facts.AmendMissing,
        facts.AmendLost,
        facts.OrderAbsent,
        facts.OrderVanished,
    }
    assert handled | answers == set(get_args(facts.AccountFact))
    assert not handled & answers


def test_a_late_fill_of_a_cancelled_order_is_booked() -> None:
    """It was matched before the cancel: the order stays cancelled, the money moves."""
    cancelled = (facts.CancelSent(NOON, key(1)), facts.CancelAcknowledged(NOON, key(1), 1_000, NOON + 600))
    ledger = ledger_of(*PLACED, *cancelled)
    ledger.apply(fill("a", count=2))
    assert (ledger.orders[key(1)].state, ledger.orders[key(1)].filled, ledger.position(M)) == ("cancelled", 200, 200)
    assert not ledger.held
    ledger.apply(evolve(fill("b", count=8), ts_ms=NOON + 590))
    assert ledger.orders[key(1)].state == "filled"
