"""Fees of one fill, exactly as the exchange computes them, and the worst that an order can pay.

The rule (api.md 3.3, to the sixth decimal). For each fill of `count` contracts at the YES price P:

1. trade fee = m * k * count * P * (1 - P), rounded up to $0.0001, where m is the series' multiplier and k the
   coefficient of the schedule and the role;
2. the change of the balance, signed cash less the trade fee, is rounded down to $0.0001 (direct members); what that
   takes is a rounding fee;
3. rounding fees add up per order; when their sum exceeds $0.01, a rebate of $0.01 is paid and leaves the sum;
4. the fill is charged trade fee + rounding fee - rebate, never below zero.

A rebate is a whole cent or none, so what a small fee cannot carry waits in the sum for a fill that does: the only
reading in which a rebate is never a part of a cent, a fee never negative, and many small fills come to cost what one
large one costs, all of which the exchange says. `emulator/fees.py` charges by the same.

Rules kept here: integers only; the multiplier and k are millionths. What the exchange reports is the truth; these
are the forecast, and the bound from which reservations are made.
"""

from __future__ import annotations

from math import gcd
from typing import Final

from attrs import frozen

from kalshi_daemon.facts import SeriesFees
from kalshi_daemon.units import CENT, FEE_GRAIN, PRICE_ONE, BookSide, Count, FeeType, Money, Price

TAKER_PPM: Final = 70_000
MAKER_PPM: Final[dict[FeeType, int]] = {
    FeeType.QUADRATIC: 0,
    FeeType.QUADRATIC_WITH_MAKER_FEES: 17_500,
    FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES: 35_000,
}
# ppm * ppm * (1/100 contract) * (1/10,000 dollar) twice is 1e-22 dollar; FEE_GRAIN is 1e-4 dollar
SCALE: Final = 10**18
# no series is known to charge more: takers pay 7 % in every schedule, and multipliers are 1 or less
DEAREST: Final = SeriesFees(series="", fee_type=FeeType.QUADRATIC, multiplier_ppm=1_000_000)
REBATE: Final[Money] = CENT


@frozen
class FillFee:
    """What one fill is charged, and the order's sum of rounding fees after it."""

    fee: Money
    accumulated: Money


def coefficient_ppm(fee_type: FeeType, *, is_taker: bool) -> int:
    """The k of the formula, in millionths."""
    return TAKER_PPM if is_taker else MAKER_PPM[fee_type]


def trade_fee(fees: SeriesFees, price: Price, count: Count, *, is_taker: bool) -> Money:
    """Step 1: the quadratic fee, rounded up to $0.0001."""
    factor = fees.multiplier_ppm * coefficient_ppm(fees.fee_type, is_taker=is_taker)
    grains = -(-factor * count * price * (PRICE_ONE - price) // SCALE)
    return grains * FEE_GRAIN


def rounding_fee(side: BookSide, price: Price, count: Count) -> Money:
    """Step 2: what rounding the balance down takes, below $0.0001.

    A fill that closes moves the cash by a whole dollar a contract more than one that opens, which is no remainder,
    and the trade fee has none either: so the remainder depends on side, price and count only.
    """
    return (-side.sign * price * count) % FEE_GRAIN


def fill_fee(
    fees: SeriesFees, side: BookSide, price: Price, count: Count, accumulated: Money, *, is_taker: bool
) -> FillFee:
    """All four steps. `accumulated` is the order's sum of rounding fees before this fill."""
    rounding = rounding_fee(side, price, count)
    charged = trade_fee(fees, price, count, is_taker=is_taker) + rounding
    accumulated += rounding
    if accumulated > REBATE and charged >= REBATE:
        return FillFee(charged - REBATE, accumulated - REBATE)
    return FillFee(charged, accumulated)


def worst_fee(fees: SeriesFees, side: BookSide, price: Price, count: Count, *, rests: bool, grain: Price) -> Money:
    """An upper bound of what an order at limit `price` can be charged, however it is split into fills.

    `rests` is an order that only makes: it fills at its own price. One that takes may fill at any better price, and
    P * (1 - P) is greatest at 50 cents, so the nearest price to it that is allowed is taken. `grain` divides every
    price of the market's grid.

    Why it holds: rounding up and the remainder are both subadditive (f(a + b) <= f(a) + f(b)), so of all splits the
    one into fills of the smallest count, 0.01 contract, is charged most; rebates only lower it. The bound is that
    split's fee.
    """
    if rests:
        dearest, rounding = price, rounding_fee(side, price, 1)
    else:
        half = PRICE_ONE // 2
        dearest = min(price, half) if side is BookSide.BID else max(price, half)
        rounding = FEE_GRAIN - gcd(grain, FEE_GRAIN)
    return count * (trade_fee(fees, dearest, 1, is_taker=not rests) + rounding)


def dearest_fee(side: BookSide, price: Price, count: Count) -> Money:
    """The worst fee of an order in a market of which nothing is known."""
    return worst_fee(DEAREST, side, price, count, rests=False, grain=1)
