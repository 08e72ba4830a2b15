"""What a fill is charged, the slow way: written from the exchange's rules alone (api.md 3.3), in dollars."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from attrs import frozen

GRAIN = Fraction(1, 10_000)  # what balances of direct members are kept in
REBATE = Fraction(1, 100)


@frozen
class Rates:
    """The coefficient of each role times the series' multiplier."""

    taker: Fraction
    maker: Fraction


def charge(
    rate: Fraction, sign: int, price: Fraction, count: Fraction, gathered: Fraction
) -> tuple[Fraction, Fraction]:
    """The fee of one fill, and what its order has then gathered of rounding fees. `sign`: +1 buys the YES leg.

    The dollar of collateral that comes or goes with a contract short is whole grains, whatever the count: the legs
    alone are looked at.
    """
    fee = ceil(rate * count * price * (1 - price) / GRAIN) * GRAIN
    moved = -sign * price * count - fee
    rounding = moved - floor(moved / GRAIN) * GRAIN
    fee, gathered = fee + rounding, gathered + rounding
    if gathered > REBATE and fee >= REBATE:
        return fee - REBATE, gathered - REBATE
    return fee, gathered
