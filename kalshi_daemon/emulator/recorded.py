"""Recorded liquidity: what a recording says stands in a market, beside the orders of this exchange.

Rules, so that a recording stays what it is and the book is never crossed:
- our orders match recorded contracts but do not consume them: the next order meets them again;
- a resting order of ours fills when the recording adds contracts on the other leg that touch or cross its price, at
  its own price, for at most what was added: each recorded contract fills us at most once, and a decrease never does;
- a recorded level that one of our resting orders crosses is not shown until that order has gone, since in the real
  market it would have traded with it.
"""

from __future__ import annotations

from attrs import define, field

from kalshi_daemon.emulator.matching import Leg, LevelChange
from kalshi_daemon.units import PRICE_ONE, Count, Price


@define(eq=False)
class RecordedBook:
    """Both legs of a recording, in own prices, as the recording has them (shown or not)."""

    yes: dict[Price, Count] = field(factory=dict)
    no: dict[Price, Count] = field(factory=dict)

    def levels(self, leg: Leg) -> dict[Price, Count]:
        return self.yes if leg.yes else self.no

    def put(self, leg: Leg, price: Price, count: Count) -> Count:
        """Set a recorded level; returns by how much it grew."""
        levels = self.levels(leg)
        grown = count - levels.get(price, 0)
        if count:
            levels[price] = count
        else:
            levels.pop(price, None)
        return grown

    def reveal(self, leg: Leg, resting: Price) -> list[LevelChange]:
        """Show of one leg what no order crosses; `resting` is the other leg's best price with an order (0: none)."""
        changes = []
        for price, count in self.levels(leg).items():
            change = leg.show_recorded(price, 0 if price + resting >= PRICE_ONE else count)
            if change is not None:
                changes.append(change)
        return changes
