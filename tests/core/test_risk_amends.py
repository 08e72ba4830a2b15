"""The gate for amends: asked like an order that increases, unless they only give up contracts."""

from __future__ import annotations

from typing import Any

import pytest
from account_facts import (
    NOON,
    acked,
    amend_intended,
    amend_sent,
    book,
    fill,
    intended,
    key,
    ledger_of,
    levels,
    market,
    order_spec,
    sent,
)
from attrs import evolve
from gate_questions import BANKROLL, code, situation

from kalshi_daemon import facts
from kalshi_daemon.commands import ProposeAmend
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import BookEvidence, Levels, Passed, Refusal, RiskLimits, evaluate_amend, may_amend
from kalshi_daemon.facts import HoldKind
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE

ID = key(1)
DAY = facts.DayOpened(NOON, "2026-09-21", BANKROLL)
COARSE = (facts.PriceRange(start=0, end=PRICE_ONE, step=10 * PRICE_CENT),)
HELD = hold(HoldKind.OPERATOR, "a test", NOON)
RESTS = (DAY, intended(), sent(), acked())  # ten at 40 cents; five dollars set aside


def ask(
    ledger: Ledger,
    price: int = 45,
    count: int = 10,
    *,
    where: Market | None = None,
    at: Levels | None = None,
    evidence: BookEvidence | None = None,
    **limits: Any,
) -> Passed | Refusal:
    proposal = ProposeAmend(ID, price * PRICE_CENT, count * CONTRACT, "policy", 1, "m", "")
    bounds = RiskLimits(**limits)
    asked = situation(ledger, where or market(), evidence, at, now_ms=NOON + 5_000, limits=bounds)
    return evaluate_amend(proposal, ledger.orders[ID], asked)


def again(ledger: Ledger, where: Market | None = None, at: Levels | None = None) -> Refusal | None:
    return may_amend(ledger.orders[ID], situation(ledger, where or market(), at=at, now_ms=NOON + 5_000))


def test_an_amend_that_passes_is_sent_with_a_new_expiry_and_its_own_worst_case() -> None:
    """The price that was asked for, 15 minutes from now, and what all of it can cost there."""
    passed = ask(ledger_of(*RESTS, cash=5_000))
    assert isinstance(passed, Passed)
    assert passed.spec == order_spec(price=45, expires_s=NOON // 1_000 + 5 + 900)
    assert passed.reserve == 450 * CENT  # no fee for makers there


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"where": market(grid=COARSE)}, "P12"),
        ({"count": 26}, "P4"),
        ({"price": 90, "order_cost_max": 8 * DOLLAR}, "P5"),
        ({"where": market(status="closed")}, "P2"),
        ({"where": market(close_ms=NOON + 60_000)}, "P2"),
        ({"where": market(fees=None)}, "P5"),
        ({"at": levels("trading.reducing")}, "P1"),
        ({"at": levels(feeds_usable=False)}, "P1"),
        ({"at": levels(breaker_allows=False)}, "P1"),
        ({"evidence": book(usable=False)}, "P1"),
    ],
)
def test_an_amend_that_increases_asks_what_an_order_asks(changes: dict[str, Any], refused: str) -> None:
    """Another price or a larger count passes the controls of an increase; what only lowers the count asks none."""
    ledger = ledger_of(*RESTS, cash=5_000)
    assert code(ask(ledger, **changes)) == refused
    lowers = {name: value for name, value in changes.items() if name not in {"price", "count"}}
    assert isinstance(ask(ledger, 40, 9, **lowers), Passed)


def test_a_decrease_passes_under_a_hold_and_reserves_its_share() -> None:
    """Nine of ten: nine tenths of what was set aside, whatever the fees are now; its expiry is as it was."""
    passed = ask(ledger_of(*RESTS, HELD), 40, 9, where=market(fees=None), at=levels("paused.holding"))
    assert passed == Passed(order_spec(count=9), 450 * CENT)
    assert code(ask(ledger_of(*RESTS, HELD), 41, 9)) == "P1"


def test_only_what_rests_is_amended_and_one_at_a_time() -> None:
    """Not what is on its way, being cancelled, being amended or over; and never to what is filled already."""
    assert code(ask(ledger_of(DAY, intended(), sent()))) == "amend"
    assert code(ask(ledger_of(*RESTS, facts.CancelSent(NOON, ID)))) == "amend"
    assert code(ask(ledger_of(*RESTS, amend_intended()))) == "amend"
    assert code(ask(ledger_of(*RESTS, amend_intended(), amend_sent()))) == "amend"
    assert code(ask(ledger_of(*RESTS, fill("a", count=4)), count=4)) == "amend"
    assert isinstance(ask(ledger_of(*RESTS, fill("a", count=4), cash=5_000), count=5), Passed)


def test_only_what_it_costs_more_is_asked_of_the_cash() -> None:
    """P10: what the order has reserved already, and what its fills have taken, is not asked for twice."""
    need = 20 * BANKROLL // 100 // DOLLAR  # what the account keeps
    assert isinstance(ask(ledger_of(*RESTS, cash=need + 6), price=60), Passed)
    assert code(ask(ledger_of(*RESTS, cash=need + 5), price=60)) == "P10"
    assert isinstance(ask(ledger_of(*RESTS, cash=need + 5)), Passed)


def test_it_is_asked_again_at_the_socket() -> None:
    """What has changed since the intent: the levels, the market, the fees, the order itself; a decrease asks less."""
    pending = (*RESTS, amend_intended(spec=order_spec(price=45), reserve=5 * DOLLAR))
    assert again(ledger_of(*pending)) is None
    assert code(again(ledger_of(*pending, HELD))) == "P1"
    assert code(again(ledger_of(*pending), at=levels("trading.reducing"))) == "P1"
    assert code(again(ledger_of(*pending), where=market(status="inactive"))) == "P2"
    assert code(again(ledger_of(*RESTS, amend_intended(spec=order_spec(price=45), reserve=4 * DOLLAR)))) == "P5"
    assert code(again(ledger_of(*RESTS))) == "amend"
    assert code(again(ledger_of(*pending, facts.CancelSent(NOON, ID)))) == "amend"
    late = evolve(order_spec(price=45), expires_s=NOON // 1_000)
    assert code(again(ledger_of(*RESTS, amend_intended(spec=late, reserve=5 * DOLLAR)))) == "P22"
    fewer = (*RESTS, amend_intended(spec=order_spec(count=4), reserve=2 * DOLLAR))
    assert again(ledger_of(*fewer, HELD), at=levels("paused.holding")) is None
    assert code(again(ledger_of(*fewer, fill("a", count=4)))) == "amend"
