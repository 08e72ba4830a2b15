"""The comparison alone: which balances agree, which differ, which nobody can judge, by what is known of the reading."""

from __future__ import annotations

import pytest
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core.account_comparison import DIFFERS, UNEXPLAINED, UNSETTLED, compare_cash, compare_positions
from kalshi_daemon.core.drift import likely_cause
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import BalanceReading, DriftCause
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, BookSide, TimeInForce

NOON = 1_792_425_600_000
M = "DEMOTEMP-DAY1-T58"
EVERY = tuple(BalanceReading)


def ledger_of(readings: tuple[BalanceReading, ...] = EVERY, *, acknowledged: bool = True) -> Ledger:
    """$100 and 4 YES; an ask of 6 at 40 cents rests: $3.60 of collateral, $1.20 of it to open, $3.70 reserved."""
    ledger = Ledger()
    spec = facts.OrderSpec(
        M, BookSide.ASK, 40 * PRICE_CENT, 6 * CONTRACT, TimeInForce.GOOD_TILL_CANCELED, True, False, None, 0
    )
    told: list[facts.AccountFact] = [
        facts.RunStarted(NOON, "run1", "test"),
        facts.AccountOpened(NOON, ((0, 100 * DOLLAR),), (facts.PositionOpening(M, 4 * CONTRACT, DOLLAR, 0),)),
        facts.OrderIntended(NOON, 1, "kd-run1-1", spec, 3_700_000, "policy", 1, "", ""),
        facts.OrderSent(NOON, "kd-run1-1"),
        facts.BalanceReadingLearned(NOON, readings),
    ]
    if acknowledged:
        told.append(facts.OrderAcknowledged(NOON, "kd-run1-1", "order-1", 0, 6 * CONTRACT, NOON))
    for fact in told:
        ledger.apply(fact)
    return ledger


@pytest.mark.parametrize(
    ("cents", "verdict", "left"),
    [
        (10_000, "", "nothing"),
        (9_880, "", "opening"),
        (9_640, "", "whole"),
        (9_999, UNEXPLAINED, ""),
        (9_630, UNEXPLAINED, ""),  # the whole collateral and fees
        (9_629, DIFFERS, ""),
        (10_001, DIFFERS, ""),
    ],
)
def test_a_balance_while_no_reading_is_known(cents, verdict, left):
    """One that fits a reading leaves that one; one between them is unexplained, one beyond them differs."""
    compared = compare_cash(ledger_of(), {0: cents * 10_000}, calm=True, still=True)
    assert [found for _, found in compared.differences] == ([verdict] if verdict else [])
    assert " ".join(compared.readings) == (left or " ".join(EVERY))


@pytest.mark.parametrize("reading", EVERY)
def test_a_reading_that_is_known_leaves_one_balance(reading):
    """What the other two would explain is a difference, of that balance and the one shown."""
    fits = {BalanceReading.NOTHING: 10_000, BalanceReading.OPENING: 9_880, BalanceReading.WHOLE: 9_640}
    for other, cents in fits.items():
        compared = compare_cash(ledger_of((reading,)), {0: cents * 10_000}, calm=True, still=True)
        assert [found for _, found in compared.differences] == ([] if other is reading else [DIFFERS])
        assert compared.readings == (reading,)
        for difference, _ in compared.differences:
            assert (difference.ours, difference.theirs) == (fits[reading] * 10_000, cents * 10_000)
            assert difference.change == difference.theirs - difference.ours


def test_where_readings_differ_our_cash_is_said_to_be_whole():
    """What orders hold back of it is not known; by how much it differs is not either."""
    compared = compare_cash(ledger_of(), {0: 10_001 * 10_000}, calm=True, still=True)
    ((difference, verdict),) = compared.differences
    assert (verdict, difference.change) == (DIFFERS, None)
    count = "we count $100.00, of which orders may hold back some"
    assert difference.text == f"cash of shard 0: {count}, the exchange says $100.01"


def test_a_deposit_is_likely_where_nothing_rests():
    """Orders that rest, or may, leave the cause of other cash unknown."""
    resting = compare_cash(ledger_of((BalanceReading.WHOLE,)), {0: 9_641 * 10_000, 1: DOLLAR}, calm=True, still=True)
    found = tuple(each for each, _ in resting.differences)
    assert [likely_cause(each, found) for each in found] == [DriftCause.UNKNOWN, DriftCause.DEPOSIT]
    for each in found:
        assert each == evolve(each, rests=not each.rests)  # the same figures are the same difference


def test_two_readings_that_differ_tell_nothing_where_cash_or_orders_move():
    """A read that meets movement neither rules a reading out nor differs, but for more cash than we count."""
    for calm, still in ((False, True), (True, False), (False, False)):
        compared = compare_cash(ledger_of(), {0: 9_880 * 10_000}, calm=calm, still=still)
        assert (compared.differences, compared.readings) == ((), EVERY)
        less = compare_cash(ledger_of(), {0: 9_000 * 10_000}, calm=calm, still=still)
        assert less.differences[0][1] == UNSETTLED
        more = compare_cash(ledger_of(), {0: 10_001 * 10_000}, calm=calm, still=still)
        assert more.differences[0][1] == (DIFFERS if calm else UNSETTLED)


def test_an_order_on_its_way_explains_what_it_may_cost():
    """Sent and not answered, it may rest or not; below its reservation it explains nothing."""
    ledger = ledger_of((BalanceReading.WHOLE,), acknowledged=False)
    for cents, verdict in ((9_640, UNSETTLED), (9_630, UNSETTLED), (9_629, DIFFERS), (10_001, DIFFERS)):
        compared = compare_cash(ledger, {0: cents * 10_000}, calm=True, still=True)
        assert [found for _, found in compared.differences] == [verdict]
        assert compared.readings == (BalanceReading.WHOLE,)


def test_what_one_shard_rules_out_holds_for_the_next():
    """A second shard with cash that only its own readings of nothing explain agrees; a third with less differs."""
    ledger = ledger_of()
    ledger.apply(facts.CashCorrected(NOON, 1, DOLLAR, "a test"))
    compared = compare_cash(ledger, {0: 9_640 * 10_000, 1: DOLLAR}, calm=True, still=True)
    assert (compared.differences, compared.readings) == ((), (BalanceReading.WHOLE,))
    texts = [each.text for each, _ in compare_cash(ledger, {0: 100 * DOLLAR}, calm=True, still=True).differences]
    assert texts == ["cash of shard 1: we count $1.00, the exchange says $0.00"]


def test_positions_are_compared_by_market():
    """Equal says nothing; what one of the two does not hold counts as zero there."""
    ledger = ledger_of()
    assert list(compare_positions(ledger, {M: (4 * CONTRACT, DOLLAR)})) == []
    found = list(compare_positions(ledger, {"OTHER-1": (-CONTRACT, DOLLAR)}))
    assert [(each.subject, each.ours, each.theirs) for each in found] == [(M, 400, 0), ("OTHER-1", 0, -100)]
    assert found[0].text == f"position in {M}: we count 4, the exchange says 0"
