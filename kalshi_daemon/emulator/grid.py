"""Price grids: which prices a market takes.

Rules: `price_ranges` decide, the label never does. A valid price is strictly between 0 and 1 and on the grid of the
range that holds it; where two ranges meet, either grid will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kalshi_daemon.facts import PriceRange
from kalshi_daemon.units import PRICE_ONE, Price

LINEAR_CENT = "linear_cent"
DECI_CENT = "deci_cent"
TAPERED_DECI_CENT = "tapered_deci_cent"
CENT_STEP: Price = 100
CENTI_CENT = "center_centi_edge_centi_cent"

STRUCTURES: dict[str, tuple[PriceRange, ...]] = {
    LINEAR_CENT: (PriceRange(0, PRICE_ONE, CENT_STEP),),
    DECI_CENT: (PriceRange(0, PRICE_ONE, 10),),
    TAPERED_DECI_CENT: (
        PriceRange(0, 1_000, 10),
        PriceRange(1_000, 9_000, CENT_STEP),
        PriceRange(9_000, PRICE_ONE, 10),
    ),
    CENTI_CENT: (PriceRange(0, PRICE_ONE, 1),),
}


def on_grid(price: Price, ranges: Sequence[PriceRange]) -> bool:
    """Whether an order may have this price."""
    if not 0 < price < PRICE_ONE:
        return False
    return any(r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in ranges)


def step_at(price: Price, ranges: Sequence[PriceRange]) -> Price:
    """The finest step of the ranges that hold a price."""
    return min(r.step for r in ranges if r.start <= price <= r.end)


def at_or_below(price: Price, ranges: Sequence[PriceRange]) -> Price:
    """The highest grid price that is not above `price`; 0 if there is none within the open interval."""
    holding = [r for r in ranges if r.start <= price]
    return max((r.start + (min(price, r.end) - r.start) // r.step * r.step for r in holding), default=0)


def at_or_above(price: Price, ranges: Sequence[PriceRange]) -> Price:
    """The lowest grid price that is not below `price`; 1 if there is none within the open interval."""
    holding = [r for r in ranges if r.end >= price]
    return min((r.start - (r.start - max(price, r.start)) // r.step * r.step for r in holding), default=PRICE_ONE)


def coarsest_structure(prices: Iterable[Price]) -> str:
    """The coarsest plain structure whose grid has all these prices: for recordings, which do not say."""
    wanted = set(prices)
    for label in (LINEAR_CENT, DECI_CENT):
        if all(on_grid(price, STRUCTURES[label]) for price in wanted):
            return label
    return CENTI_CENT
