"""Closing rules: positions are closed in steps that can only reduce."""

from __future__ import annotations

import pytest
from account_facts import (
    ASK,
    BID,
    NOON,
    M,
    acked,
    book,
    fill,
    intended,
    key,
    ledger_of,
    levels,
    market,
    order_spec,
    reduction_spec,
    sent,
)
from attrs import evolve
from gate_questions import situation

from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.core.closing_rules import close_before_the_end
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import BookEvidence, Passed, RiskLimits, evaluate
from kalshi_daemon.facts import CancelAcknowledged, OrderLost
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

SOON = market(close_ms=NOON + 200_000)


def held(side: BookSide = BID, count: int = 60) -> Ledger:
    """A position that was bought in one order."""
    spec = order_spec(side, count=count)
    return ledger_of(intended(9, spec), sent(9), acked(9, remaining=count), fill("x", 9, count, side=side, fee=0))


def proposals(ledger: Ledger, where: Market = SOON, evidence: BookEvidence | None = None) -> list[ProposeOrder]:
    return close_before_the_end(ledger, {M: where}, {M: evidence or book()}, NOON, RiskLimits())


@pytest.mark.parametrize(("side", "closing", "price"), [(BID, ASK, 4_000), (ASK, BID, 4_200)])
def test_a_step_takes_the_best_price_of_the_other_side(side: BookSide, closing: BookSide, price: int) -> None:
    """Long sells at the bid, short buys at the ask, at most P4's count; the gate passes it, also while paused."""
    ledger = held(side)
    (step,) = proposals(ledger)
    assert (step.side, step.price, step.count, step.reduces) == (closing, price, 25 * CONTRACT, True)
    for trader in ("trading.reducing", "paused.holding"):
        answer = evaluate(step, situation(ledger, SOON, at=levels(trader)))
        assert isinstance(answer, Passed)


def test_a_position_is_closed_in_steps() -> None:
    """Sixty contracts in steps of at most twenty-five, one at a time."""
    ledger, counts = held(), []
    for number in range(10, 20):
        steps = proposals(ledger)
        if not steps:
            break
        counts.append(steps[0].count)
        spec = evolve(reduction_spec(), count=steps[0].count)
        for fact in (intended(number, spec), sent(number)):
            ledger.apply(fact)
            assert proposals(ledger) == []
        ledger.apply(fill(f"c{number}", number, side=ASK, fee=0, count=steps[0].count // CONTRACT))
    assert counts == [25 * CONTRACT, 25 * CONTRACT, 10 * CONTRACT]
    assert (ledger.position(M), ledger.settled_total) == (0, 1_000 * DOLLAR)


@pytest.mark.parametrize(
    ("where", "evidence"),
    [
        (market(), book()),
        (market(close_ms=NOON), book()),
        (evolve(SOON, status="inactive"), book()),
        (SOON, book(usable=False)),
        (SOON, book(bid=None)),
    ],
    ids=["not soon", "closed", "halted", "book not usable", "nobody bids"],
)
def test_without_time_market_or_offer_nothing_is_proposed(where: Market, evidence: BookEvidence) -> None:
    """The rule waits for what the gate would ask anyway."""
    assert proposals(held(), where, evidence) == []


def test_flat_positions_and_unknown_markets_are_left() -> None:
    """Nothing held, or nothing known of its market."""
    assert proposals(ledger_of()) == []
    assert close_before_the_end(held(), {}, {M: book()}, NOON, RiskLimits()) == []


def test_an_unknown_order_stops_the_rule() -> None:
    """Until evidence says what became of it."""
    ledger = held()
    for fact in (intended(1), sent(1), OrderLost(NOON, key(1), "timeout")):
        ledger.apply(fact)
    assert proposals(ledger) == []


def test_a_resting_sale_is_counted_as_filled() -> None:
    """Only what it leaves is closed, and all of it once the sale is cancelled."""
    ledger = held(count=20)
    for fact in (intended(1, order_spec(ASK, price=90, count=15)), sent(1), acked(1, remaining=15)):
        ledger.apply(fact)
    assert [each.count for each in proposals(ledger)] == [5 * CONTRACT]
    ledger.apply(CancelAcknowledged(NOON, key(1), 15 * CONTRACT, NOON + 900))
    assert [each.count for each in proposals(ledger)] == [20 * CONTRACT]
