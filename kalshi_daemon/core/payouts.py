"""What a settlement credited, below the cent in which the exchange tells it.

Yes and no pay whole cents for any count. A scalar pays its exact value for each hundredth of a contract, and what the
balance gains is floored to the account's grain: $0.0001 for direct members, a cent for others (api.md 3.3, said of
fills). The settlement says value and revenue in whole cents; the market says its value exactly.

Rules: pure. What comes out agrees with everything that was told, or it is what was told.
"""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.core.position_tracker import worth
from kalshi_daemon.facts import SettlementSeen
from kalshi_daemon.units import CENT, CONTRACT, PRICE_CENT, Count, Money, Price, contracts, dollars


def exact(told: SettlementSeen, value: Price | None, grain: Money) -> SettlementSeen:
    """`value`: what the market says that a YES contract is worth; None where it says nothing."""
    if value is None or abs(value - told.value) >= PRICE_CENT:
        return told
    paid = worth(told.count, value)
    if paid - paid % CENT != told.revenue:
        return told
    return evolve(told, value=value, revenue=paid - paid % grain)


def as_booked(told: SettlementSeen, booked: SettlementSeen | None) -> SettlementSeen:
    """A list's settlement with the fractions of what was booked for it, where both have the same whole cents."""
    if booked is None:
        return told
    same = 0 <= booked.revenue - told.revenue < CENT and 0 <= booked.value - told.value < PRICE_CENT
    return evolve(told, value=booked.value, revenue=booked.revenue) if same else told


def surprise_of(fact: SettlementSeen, ours: Count) -> str:
    """What a settlement tells that is not what we held, or not what it was worth; empty where it is."""
    if fact.count != ours:
        return f"{contracts(fact.count)} settled where we hold {contracts(ours)}"
    if fact.result != "void" and abs(fact.revenue - worth(fact.count, fact.value)) >= CENT:
        return (
            f"{dollars(fact.revenue)} paid for {contracts(fact.count)} at {dollars(worth(CONTRACT, fact.value))} each"
        )
    return ""
