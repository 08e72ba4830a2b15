"""The gate: what may call itself a reduction, and what is asked again at the socket."""

from __future__ import annotations

import pytest
from account_facts import (
    ASK,
    BID,
    MAKER_FEES,
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
    seen,
    sent,
)
from gate_questions import LONG, ask, code, situation

from kalshi_daemon import facts
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import (
    BookEvidence,
    Levels,
    Passed,
    Refusal,
    may_send,
    reducible,
)
from kalshi_daemon.facts import HoldKind, RestrictionKind, RestrictionPlaced
from kalshi_daemon.units import CONTRACT, DOLLAR

# --------------------------------------------------------------------------------------------------------- reductions


def test_a_reduction_is_on_the_other_side_of_a_position() -> None:
    """Flat or on the same side it would increase."""
    assert ask(reduction_spec()) == Refusal("reduction", "the position is on the other side", "0", "ask")
    assert ask(reduction_spec(BID), ledger_of(*LONG)) == Refusal(
        "reduction", "the position is on the other side", "10", "bid"
    )


def test_a_reduction_counts_what_is_pending_as_filled() -> None:
    """Ten held, four in another reduction's way and three in a resting ask: three are left."""
    pending = (intended(1, reduction_spec(count=4)), sent(1), intended(2, order_spec(ASK, count=3)), sent(2))
    ledger = ledger_of(*LONG, *pending)
    assert reducible(ledger, M) == 3 * CONTRACT
    assert code(ask(reduction_spec(count=3), ledger)) == ""
    refused = ask(reduction_spec(count=4), ledger)
    assert refused == Refusal("reduction", "no more than is held and not pending", "4", "3")


def test_fills_that_were_announced_and_are_not_here_count_too() -> None:
    """A 201 that says all filled has moved the position at the exchange already."""
    ledger = ledger_of(*LONG, intended(1, reduction_spec(count=10)), sent(1), acked(1, filled=10, remaining=0))
    assert (ledger.position(M), reducible(ledger, M)) == (10 * CONTRACT, 0)
    ledger.apply(fill("out", 1, side=ASK, fee=0))
    assert (ledger.position(M), reducible(ledger, M)) == (0, 0)


def test_bids_that_may_not_fill_do_not_help_a_reduction() -> None:
    """A resting bid could make the position larger, and may not: it is not counted."""
    ledger = ledger_of(*LONG, intended(1), sent(1), acked(1))
    assert reducible(ledger, M) == 10 * CONTRACT


def test_a_sale_that_does_not_claim_to_reduce_is_an_increase() -> None:
    """It reserves the cost of the NO that it may open."""
    spec = order_spec(ASK)
    assert ask(spec, ledger_of(*LONG, cash=5_000)) == Passed(spec, 6 * DOLLAR)


# ---------------------------------------------------------------------------------------------------- at the socket


def test_may_send_passes_what_the_gate_passed() -> None:
    """Its own record neither blocks it nor counts against it."""
    ledger = ledger_of(*LONG, intended(1), intended(2, reduction_spec()))
    assert may_send(ledger.orders[key(1)], situation(ledger, market())) is None
    assert may_send(ledger.orders[key(2)], situation(ledger, market())) is None


def test_fees_that_rose_since_the_intent_withhold_it() -> None:
    """Where what was set aside does not cover them, or they are not known any more; a reduction reserves nothing."""
    ledger = ledger_of(*LONG, intended(1, reserve=4 * DOLLAR), intended(2, reduction_spec()))
    first, second = ledger.orders[key(1)], ledger.orders[key(2)]
    wheres = (market(), market(fees=MAKER_FEES), market(fees=None), market(fees_refused="odd"))
    asked = [may_send(first, situation(ledger, where)) for where in wheres]
    assert [code(each) for each in asked] == ["", "P5", "P5", "P5"]
    asked = [may_send(second, situation(ledger, where)) for where in wheres]
    assert asked == [None] * 4


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        ((hold(HoldKind.OPERATOR, "lunch", NOON),), "P1"),
        ((RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low"),), "P1"),
        ((facts.AccountDoubted(NOON, "lost"),), "P1"),
        ((intended(2), sent(2), facts.OrderLost(NOON, key(2), "reset")), "P3"),
    ],
    ids=["hold", "restriction", "doubt", "unknown"],
)
def test_what_changed_since_the_intent_withholds_it(news: tuple[facts.AccountFact, ...], expected: str) -> None:
    """Levels are read again in the step that writes."""
    ledger = ledger_of(intended(1), *news)
    assert code(may_send(ledger.orders[key(1)], situation(ledger, market()))) == expected


@pytest.mark.parametrize(
    ("where", "evidence", "at", "now_ms", "expected"),
    [
        (market(status="inactive"), book(), levels(), NOON, "P2"),
        (market(grid=(facts.PriceRange(0, 10_000, 300),)), book(), levels(), NOON, "P12"),
        (market(), book(usable=False), levels(), NOON, "P1"),
        (market(), book(), levels("paused.sweeping"), NOON, "P1"),
        (market(), book(), levels(), NOON + 900_000, "P22"),
    ],
    ids=["halted", "new grid", "book lost", "paused", "waited past its expiry"],
)
def test_the_world_s_changes_withhold_it(
    where: Market, evidence: BookEvidence, at: Levels, now_ms: int, expected: str
) -> None:
    """The market, its grid, its book, the trader's state and the clock are asked again."""
    ledger = ledger_of(intended(1))
    assert code(may_send(ledger.orders[key(1)], situation(ledger, where, evidence, at, now_ms=now_ms))) == expected


def test_a_reduction_whose_position_went_away_is_withheld() -> None:
    """Another fill closed it meanwhile: what is left to reduce is less than it asks."""
    ledger = ledger_of(*LONG, intended(1, reduction_spec()))
    ledger.apply(seen(order_id="x", client_order_id="theirs", side=ASK))
    record = ledger.orders[key(1)]
    assert code(may_send(record, situation(ledger, market()))) == "reduction"
