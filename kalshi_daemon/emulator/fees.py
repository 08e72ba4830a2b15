"""What a fill costs: the exchange's fee rules, in integers.

Rules (api.md 3.3): the trade fee is m * k * count * p * (1 - p), rounded up to $0.0001. What a fill does to a
balance, fee included, is floored to the balance's own grain, and what the floor takes is a rounding fee. An order
gathers its rounding fees; once they exceed a cent, a cent is paid back. A fee is never below zero: a cent that the
fill's own fee does not cover waits for a fill that does (the exchange says only that the net is never negative).
"""

from __future__ import annotations

from attrs import frozen

from kalshi_daemon.emulator.model import Series
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, FEE_GRAIN, PRICE_ONE, Count, FeeType, Money, Price

PPM = 1_000_000
TAKER_PPM = 70_000  # k = 0.07
MAKER_PPM = {
    FeeType.QUADRATIC: 0,
    FeeType.QUADRATIC_WITH_MAKER_FEES: 17_500,  # a quarter of the taker's
    FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES: 35_000,  # half
}
# multiplier, coefficient, count, price and its complement, each in its own scale, over one fee grain
_GRAIN_SCALE = PPM * PPM * CONTRACT * PRICE_ONE * PRICE_ONE * FEE_GRAIN // DOLLAR


@frozen
class Charge:
    """What one fill is charged: `fee` is the whole of it; `gathered` is the order's rounding still to be paid
    back.
    """

    fee: Money
    gathered: Money


def trade_fee(series: Series, price: Price, count: Count, *, is_taker: bool) -> Money:
    """The fee of `count` contracts at the YES price, before rounding to a balance. The same on both legs."""
    coefficient = TAKER_PPM if is_taker else MAKER_PPM[series.fee_type]
    exact = series.multiplier_ppm * coefficient * count * price * (PRICE_ONE - price)
    return -(-exact // _GRAIN_SCALE) * FEE_GRAIN


def charge(revenue: Money, fee: Money, gathered: Money, grain: Money) -> Charge:
    """Round a fill to the balance's grain. `revenue` is the fill's signed cash before `fee`, its trade fee."""
    rounding = (revenue - fee) % grain
    gathered += rounding
    total = fee + rounding
    if gathered > CENT and total >= CENT:
        return Charge(total - CENT, gathered - CENT)
    return Charge(total, gathered)
