"""What a settlement credited, from what the settlement and the market say of it."""

from __future__ import annotations

import pytest
from account_facts import settlement
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.payouts import as_booked, exact
from kalshi_daemon.facts import SettlementSeen
from kalshi_daemon.units import CENT, FEE_GRAIN, PRICE_CENT, PRICE_ONE


def scalar(count: int, cents: int, revenue: int) -> SettlementSeen:
    """`count` in hundredths of a contract, value and revenue in whole cents."""
    return evolve(settlement(0, cents, revenue), count=count)


@pytest.mark.parametrize(
    ("count", "value", "grain", "revenue"),
    [
        (137, 4_321, FEE_GRAIN, 591_900),
        (137, 4_321, CENT, 590_000),
        (-137, 4_321, FEE_GRAIN, 778_000),
        (1, 4_321, FEE_GRAIN, 4_300),
        (1, 4_321, CENT, 0),
        (10_000, 4_321, CENT, 43_210_000),
    ],
)
def test_the_exact_value_is_floored_to_the_grain(count: int, value: int, grain: int, revenue: int) -> None:
    told = scalar(count, value // PRICE_CENT, revenue // CENT)
    assert exact(told, value, grain) == evolve(told, value=value, revenue=revenue)


@pytest.mark.parametrize("value", [None, 4_500, 4_199], ids=["not said", "another cent", "a cent below"])
def test_what_does_not_agree_with_the_settlement_changes_nothing(value: int | None) -> None:
    """The market says nothing, or something else: what was told is booked."""
    told = scalar(137, 43, 59)
    assert exact(told, value, FEE_GRAIN) is told


def test_another_revenue_than_the_value_s_is_booked_as_told() -> None:
    """A cent more than the value pays may be a rule that is not known here: the exchange's word stands."""
    told = scalar(137, 43, 60)
    assert exact(told, 4_321, FEE_GRAIN) is told


@given(st.integers(-5_000, 5_000), st.integers(0, PRICE_ONE), st.sampled_from([FEE_GRAIN, CENT]))
def test_whole_cents_are_never_changed(count: int, value: int, grain: int) -> None:
    """And a list's settlement is given the same fractions back."""
    paid = count * value if count > 0 else -count * (PRICE_ONE - value)
    told = scalar(count, value // PRICE_CENT, paid // CENT)
    booked = exact(told, value, grain)
    assert (booked.value, booked.revenue - booked.revenue % CENT) == (value, told.revenue)
    assert booked.revenue == paid - paid % grain
    assert as_booked(told, booked) == booked


def test_a_list_that_says_other_cents_keeps_them() -> None:
    told = scalar(137, 43, 59)
    assert as_booked(told, evolve(told, revenue=600_000)) is told
    assert as_booked(told, None) is told
