"""The emulator's fees against every example that the exchange published or that was recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.emulator.fees import charge, trade_fee
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.units import CENT, FEE_GRAIN, PRICE_ONE, FeeType

PLAIN = Series("S", "", "", FeeType.QUADRATIC, 1_000_000)
HALF_WITH_MAKERS = Series("S", "", "", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
COMBO = Series("S", "", "", FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 1_000_000)
FREE = Series("S", "", "", FeeType.QUADRATIC_WITH_MAKER_FEES, 0)


@pytest.mark.parametrize(
    ("price", "count", "fee"),
    [(5_200, 100, 17_500), (9_900, 100, 700), (10, 22_727, 15_930)],
)
def test_recorded_buys_cost_what_was_recorded(price: int, count: int, fee: int) -> None:
    """The three recorded fills of api.md 3.3 come out to the sixth decimal."""
    traded = trade_fee(PLAIN, price, count, is_taker=True)
    assert charge(-price * count, traded, 0, FEE_GRAIN).fee == fee


@pytest.mark.parametrize(
    ("series", "is_taker", "fee"),
    [
        (PLAIN, True, 1_750_000),
        (PLAIN, False, 0),
        (HALF_WITH_MAKERS, True, 875_000),
        (HALF_WITH_MAKERS, False, 218_800),  # 0.21875, rounded up to a hundredth of a cent
        (COMBO, False, 875_000),
        (FREE, True, 0),
    ],
)
def test_each_schedule_has_its_coefficients(series: Series, is_taker: bool, fee: int) -> None:
    """100 contracts at 50 cents: multiplier and coefficient of taker and maker."""
    assert trade_fee(series, 5_000, 10_000, is_taker=is_taker) == fee


@pytest.mark.parametrize(
    ("revenue", "traded", "fees", "gathered"),
    [
        (-55_000, 8_500, [15_000, 5_000, 15_000], [6_500, 3_000, 9_500]),
        (-150_000, 4_100, [10_000, 0, 10_000], [5_900, 1_800, 7_700]),
        (-9_903, 500, [10_097, 97, 97], [9_597, 9_194, 8_791]),
    ],
)
def test_rounding_gathers_and_is_paid_back(revenue: int, traded: int, fees: list[int], gathered: list[int]) -> None:
    """The exchange's three worked examples of a member whose balance is in cents: three equal fills of one order."""
    left, charged, kept = 0, [], []
    for _ in range(3):
        result = charge(revenue, traded, left, CENT)
        left = result.gathered
        charged.append(result.fee)
        kept.append(left)
    assert charged == fees
    assert kept == gathered


def test_a_cent_waits_for_a_fill_whose_fee_covers_it() -> None:
    """A rebate never makes a fee negative: it is kept for a later fill of the order."""
    small = charge(-1_000, 700, 10_050, FEE_GRAIN)
    assert (small.fee, small.gathered) == (700, 10_050)
    large = charge(-1_000_000, 17_500, small.gathered, FEE_GRAIN)
    assert (large.fee, large.gathered) == (7_500, 50)


@given(
    price=st.integers(1, PRICE_ONE - 1),
    counts=st.lists(st.integers(1, 50_000), min_size=1, max_size=30),
    buys=st.booleans(),
    grain=st.sampled_from([FEE_GRAIN, CENT]),
)
def test_balances_stay_whole_and_rounding_stays_below_its_bound(
    price: int, counts: list[int], buys: bool, grain: int
) -> None:
    """After every fill the balance is a whole number of grains and no fee is negative; what an order was charged is its
    trade fees and the rounding not yet paid back."""
    gathered = total = exact = balance = 0
    for count in counts:
        revenue = (-price if buys else price) * count
        traded = trade_fee(PLAIN, price, count, is_taker=True)
        result = charge(revenue, traded, gathered, grain)
        gathered = result.gathered
        total += result.fee
        exact += traded
        balance += revenue - result.fee
        assert result.fee >= 0
        assert balance % grain == 0
    assert total == exact + gathered


@given(price=st.integers(1, PRICE_ONE - 1), count=st.integers(1, 10**7))
def test_the_trade_fee_is_the_formula_rounded_up(price: int, count: int) -> None:
    """Within one grain above the exact product, the same on both legs."""
    fee = trade_fee(PLAIN, price, count, is_taker=True)
    exact = 7 * count * price * (PRICE_ONE - price)  # in millionths of a dollar, times 100 * 10,000
    assert fee % FEE_GRAIN == 0
    assert 0 <= fee * 1_000_000 - exact < FEE_GRAIN * 1_000_000
    assert fee == trade_fee(PLAIN, PRICE_ONE - price, count, is_taker=True)
