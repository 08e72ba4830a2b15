"""Fees: the exchange's own figures, and the bound from which reservations are made."""

from __future__ import annotations

import pytest
from account_facts import ASK, BID, MAKER_FEES, TAKER_FEES
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.fees import FillFee, coefficient_ppm, dearest_fee, fill_fee, rounding_fee, trade_fee, worst_fee
from kalshi_daemon.emulator.fees import charge
from kalshi_daemon.emulator.fees import trade_fee as emulated_fee
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.facts import SeriesFees
from kalshi_daemon.units import FEE_GRAIN, PRICE_ONE, BookSide, FeeType


@pytest.mark.parametrize(
    ("count", "price", "fee"),
    [(100, 5_200, 17_500), (100, 9_900, 700), (22_727, 10, 15_930)],
    ids=["1@.52", "1@.99", "227.27@.001"],
)
def test_recorded_fills_are_charged_to_the_sixth_decimal(count: int, price: int, fee: int) -> None:
    """The three fills that the exchange's reference quotes cost exactly what was recorded."""
    assert fill_fee(TAKER_FEES, BID, price, count, 0, is_taker=True).fee == fee


def test_the_rounding_of_the_recorded_fill_is_apart() -> None:
    """$0.015930 is a trade fee of $0.0159 and $0.00003 of rounding, which is remembered."""
    assert trade_fee(TAKER_FEES, 10, 22_727, is_taker=True) == 15_900
    assert rounding_fee(BID, 10, 22_727) == 30
    assert fill_fee(TAKER_FEES, BID, 10, 22_727, 5, is_taker=True) == FillFee(15_930, 35)


@pytest.mark.parametrize(
    ("fee_type", "ppm"),
    [
        (FeeType.QUADRATIC, 0),
        (FeeType.QUADRATIC_WITH_MAKER_FEES, 17_500),
        (FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 35_000),
    ],
)
def test_makers_pay_by_the_schedule(fee_type: FeeType, ppm: int) -> None:
    """Takers pay 0.07 in every schedule; makers nothing, a quarter or half of it."""
    assert coefficient_ppm(fee_type, is_taker=False) == ppm
    assert coefficient_ppm(fee_type, is_taker=True) == 70_000


def test_a_maker_is_charged_a_quarter() -> None:
    """100 contracts at 50 cents: $1.75 for the taker, $0.4375 for the maker."""
    assert trade_fee(MAKER_FEES, 5_000, 10_000, is_taker=True) == 1_750_000
    assert trade_fee(MAKER_FEES, 5_000, 10_000, is_taker=False) == 437_500


def test_the_multiplier_scales_before_rounding() -> None:
    """Half a multiplier on 1@.52 is $0.008736, charged as $0.0088; a multiplier of zero is free."""
    half = SeriesFees(series="S", fee_type=FeeType.QUADRATIC, multiplier_ppm=500_000)
    free = SeriesFees(series="S", fee_type=FeeType.QUADRATIC, multiplier_ppm=0)
    assert trade_fee(half, 5_200, 100, is_taker=True) == 8_800
    assert trade_fee(free, 5_200, 100, is_taker=True) == 0


def test_a_rebate_is_paid_when_the_sum_passes_a_cent() -> None:
    """At exactly one cent nothing is paid back; above it one cent is, and leaves the sum."""
    assert fill_fee(TAKER_FEES, BID, 10, 22_727, 9_970, is_taker=True) == FillFee(15_930, 10_000)
    assert fill_fee(TAKER_FEES, BID, 10, 22_727, 9_971, is_taker=True) == FillFee(5_930, 1)


def test_a_cent_waits_for_a_fee_that_covers_it() -> None:
    """A fee is never negative and a rebate always a whole cent: what a small fee cannot carry a larger one does."""
    small = fill_fee(TAKER_FEES, BID, 1, 1, 9_999, is_taker=True)
    assert small == FillFee(199, 10_098)
    assert fill_fee(TAKER_FEES, BID, 5_200, 100, small.accumulated, is_taker=True) == FillFee(7_500, 98)


@pytest.mark.parametrize(
    ("fee_type", "multiplier_ppm", "is_taker", "fee"),
    [
        (FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000, True, 875_000),
        (FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000, False, 218_800),  # 0.21875, rounded up
        (FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 1_000_000, True, 1_750_000),
        (FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 1_000_000, False, 875_000),
        (FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 500_000, False, 437_500),
    ],
    ids=["half, taker", "half, maker", "combo, taker", "combo, maker", "half a combo, maker"],
)
def test_schedules_with_maker_fees_at_a_multiplier(
    fee_type: FeeType, multiplier_ppm: int, is_taker: bool, fee: int
) -> None:
    """100 contracts at 50 cents, in dollars: m * k * 25."""
    assert trade_fee(SeriesFees("S", fee_type, multiplier_ppm), 5_000, 10_000, is_taker=is_taker) == fee


fills = st.tuples(
    st.sampled_from(list(BookSide)),
    st.one_of(st.integers(1, 99), st.integers(1, PRICE_ONE - 1)),
    st.one_of(st.integers(1, 40), st.integers(1, 50_000)),
    st.booleans(),
)


@given(
    st.sampled_from(list(FeeType)),
    st.sampled_from([0, 500_000, 1_000_000, 2_000_000]),
    st.lists(fills, min_size=1, max_size=30),
    st.booleans(),
    st.integers(0, 21_000),
)
def test_the_emulator_charges_by_the_same_rule(
    fee_type: FeeType, multiplier_ppm: int, filled: list[tuple[BookSide, int, int, bool]], closes: bool, before: int
) -> None:
    """Any fills of one order, opening or closing, taken and made: each fee and each sum of rounding is the same."""
    fees, series = SeriesFees("S", fee_type, multiplier_ppm), Series("S", "", "", fee_type, multiplier_ppm)
    accumulated = gathered = before
    for side, price, count, is_taker in filled:
        one = fill_fee(fees, side, price, count, accumulated, is_taker=is_taker)
        own = price if side is BID else PRICE_ONE - price
        revenue = (PRICE_ONE - own if closes else -own) * count
        charged = charge(revenue, emulated_fee(series, price, count, is_taker=is_taker), gathered, FEE_GRAIN)
        accumulated, gathered = one.accumulated, charged.gathered
        assert (one.fee, accumulated) == (charged.fee, gathered)


def test_buying_and_selling_round_in_opposite_directions() -> None:
    """The balance is rounded down: what a bid of 30 loses in 70, an ask of 30 loses in 30; whole cents lose nothing."""
    assert rounding_fee(BID, 10, 3) == 70
    assert rounding_fee(ASK, 10, 3) == 30
    assert rounding_fee(BID, 5_200, 22_727) == 0


@st.composite
def splits(draw: st.DrawFn) -> tuple[SeriesFees, BookSide, int, int, bool, list[tuple[int, int]]]:
    """An order and one way in which it may be filled: schedule, side, limit, grain, rests, fills."""
    fees = SeriesFees(
        "S", draw(st.sampled_from(list(FeeType))), draw(st.sampled_from([0, 500_000, 1_000_000, 2_000_000]))
    )
    side, rests, grain = (
        draw(st.sampled_from(list(BookSide))),
        draw(st.booleans()),
        draw(st.sampled_from([1, 10, 50, 100])),
    )
    limit = draw(st.integers(1, PRICE_ONE // grain - 1)) * grain
    better = st.integers(1, limit // grain) if side is BID else st.integers(limit // grain, PRICE_ONE // grain - 1)
    price = st.just(limit) if rests else better.map(lambda ticks: ticks * grain)
    counts = st.one_of(st.just(1), st.integers(1, 40), st.integers(1, 3_000))
    return fees, side, limit, grain, rests, draw(st.lists(st.tuples(price, counts), min_size=1, max_size=40))


@given(splits())
def test_no_split_costs_more_than_the_worst_fee(
    order: tuple[SeriesFees, BookSide, int, int, bool, list[tuple[int, int]]],
) -> None:
    """However an order is filled, at its limit or better, the fees of its fills stay within the bound."""
    fees, side, limit, grain, rests, fills = order
    charged, accumulated = 0, 0
    for price, count in fills:
        one = fill_fee(fees, side, price, count, accumulated, is_taker=not rests)
        charged, accumulated = charged + one.fee, one.accumulated
        assert one.fee >= 0
        assert accumulated >= 0
        assert accumulated <= 10_000 or one.fee < 10_000
    assert charged <= worst_fee(fees, side, limit, sum(count for _, count in fills), rests=rests, grain=grain)


def test_the_worst_fee_is_reached() -> None:
    """Filled at its limit in the smallest pieces, an order on a grid of whole cents is charged exactly the bound."""
    pieces = sum(fill_fee(TAKER_FEES, BID, 4_000, 1, 0, is_taker=True).fee for _ in range(1_000))
    assert pieces == worst_fee(TAKER_FEES, BID, 4_000, 1_000, rests=False, grain=100) == 1_000 * 200
    finest = worst_fee(TAKER_FEES, BID, 4_000, 1_000, rests=False, grain=1)
    assert finest == 1_000 * (200 + FEE_GRAIN - 1)


@given(splits())
def test_no_schedule_of_today_costs_more_than_the_dearest_fee(
    order: tuple[SeriesFees, BookSide, int, int, bool, list[tuple[int, int]]],
) -> None:
    """However an order in a market that was never read is filled, where the multiplier is one or less."""
    fees, side, limit, _, rests, fills = order
    charged, accumulated = 0, 0
    for price, count in fills:
        one = fill_fee(fees, side, price, count, accumulated, is_taker=not rests)
        charged, accumulated = charged + one.fee, one.accumulated
    if fees.multiplier_ppm <= 1_000_000:
        assert charged <= dearest_fee(side, limit, sum(count for _, count in fills))
