"""The gate, asked with everything open unless a test says otherwise."""

from __future__ import annotations

from account_facts import (
    ASK,
    NOON,
    acked,
    book,
    fill,
    intended,
    ledger_of,
    levels,
    market,
    order_spec,
    proposal,
    sent,
)

from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import (
    BookEvidence,
    Levels,
    Passed,
    Refusal,
    RiskLimits,
    Situation,
    evaluate,
)
from kalshi_daemon.facts import HoldKind, OrderSpec
from kalshi_daemon.units import DOLLAR, Money

BANKROLL = 5_000 * DOLLAR
LONG = (intended(9), sent(9), acked(9), fill("long", 9, fee=0))  # ten YES
SHORT_SPEC = order_spec(ASK)
SHORT = (intended(9, SHORT_SPEC), sent(9), acked(9), fill("short", 9, side=ASK, fee=0))
KILL = hold(HoldKind.KILL, "kill", NOON)


def situation(
    ledger: Ledger,
    where: Market | None,
    evidence: BookEvidence | None = None,
    at: Levels | None = None,
    *,
    now_ms: int = NOON,
    limits: RiskLimits | None = None,
) -> Situation:
    return Situation(ledger, where, evidence or book(), at or levels(), now_ms, limits or RiskLimits())


def ask(
    order: OrderSpec | ProposeOrder,
    ledger: Ledger | None = None,
    *,
    where: Market | None = None,
    evidence: BookEvidence | None = None,
    at: Levels | None = None,
    limits: RiskLimits | None = None,
    bankroll: Money = BANKROLL,
) -> Passed | Refusal:
    """The gate's answer, with everything open unless said otherwise."""
    ledger = ledger or ledger_of(cash=5_000)
    ledger.bankroll = bankroll
    order = proposal(order) if isinstance(order, OrderSpec) else order
    return evaluate(order, situation(ledger, where or market(), evidence, at, limits=limits))


def code(answer: Passed | Refusal | None) -> str:
    """The refusing control, or empty where it passed."""
    return answer.code if isinstance(answer, Refusal) else ""
