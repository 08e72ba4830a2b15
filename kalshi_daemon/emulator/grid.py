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

_STEPS = {"whole": CENT_STEP, "half": 50, "quint": 20, "deci": 10, "centi": 1}
_CENTRES = (
    "whole_edge_half",
    "whole_edge_quint",
    "half_edge_half",
    "half_edge_quint",
    "half_edge_deci",
    "quint_edge_quint",
    "quint_edge_deci",
    "deci_edge_centi",
)


def _centred(label: str) -> tuple[PriceRange, ...]:
    """One step in the centre and a finer one at both edges, which are a tenth wide, at centi-cents a hundredth."""
    centre, _, edge = label.split("_")
    width = 100 if edge == "centi" else 1_000
    step, fine = _STEPS[centre], _STEPS[edge]
    return (
        PriceRange(0, width, fine),
        PriceRange(width, PRICE_ONE - width, step),
        PriceRange(PRICE_ONE - width, PRICE_ONE, fine),
    )


STRUCTURES: dict[str, tuple[PriceRange, ...]] = {
    LINEAR_CENT: (PriceRange(0, PRICE_ONE, CENT_STEP),),
    DECI_CENT: (PriceRange(0, PRICE_ONE, 10),),
    TAPERED_DECI_CENT: (
        PriceRange(0, 1_000, 10),
        PriceRange(1_000, 9_000, CENT_STEP),
        PriceRange(9_000, PRICE_ONE, 10),
    ),
    CENTI_CENT: (PriceRange(0, PRICE_ONE, 1),),
    **{f"center_{label}_cent": _centred(label) for label in _CENTRES},
}


def on_grid(price: Price, ranges: Sequence[PriceRange]) -> bool:
    """Whether an order may have this price."""
    if not 0 < price < PRICE_ONE:
        return False
    return any(r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in ranges)


def contains(finer: Sequence[PriceRange], coarser: Sequence[PriceRange]) -> bool:
    """Whether every price of one grid is on the other: what rests on it can stay."""
    return all(on_grid(price, finer) for price in range(PRICE_ONE) if on_grid(price, coarser))


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
