"""Cost, realised profit and fees of positions, as the exchange works them out, held against ours.

They decide nothing: what is held and the cash are compared exactly, and hold. A figure that differs is arithmetic or
a fee that was restated, so it is told and counted, and it holds nothing.

Rules:
- Pure. Only looks in which the position rested and its count is equal are asked for.
- Realised profit and fees begin before this journal at the exchange: what the first look of a process finds is the
  base, and a difference is a change of it. The cost is compared as it is.
- Less than `FIGURE_TOLERANCE` is the exchange's rounding: it averages what a position cost in a way that it does not
  state. What was told becomes the base, so that nothing is told twice and roundings never add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.limits import FIGURE_TOLERANCE
from kalshi_daemon.units import Money, Ticker


class FigureWatch:
    def __init__(self) -> None:
        self.counts = Counter(cost=0, realised=0, fees=0)  # differences that were told
        self._bases: dict[tuple[Ticker, str], Money] = {}  # theirs less ours; three a market of the account

    def look(self, ours: Position, theirs: Mapping[str, Money]) -> list[Difference]:
        """What differs and was not told before; `theirs`: cost, realised and fees."""
        found = []
        for what, counted in (("cost", ours.cost), ("realised", ours.realised), ("fees", ours.fees)):
            subject, gap = (ours.market, what), theirs[what] - counted
            base = self._bases.setdefault(subject, 0 if what == "cost" else gap)
            if abs(gap - base) >= FIGURE_TOLERANCE:
                self.counts[what] += 1
                self._bases[subject] = gap
                found.append(Difference(what, ours.market, counted, theirs[what] - base))
        return found
