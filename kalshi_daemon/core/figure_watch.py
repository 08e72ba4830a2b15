"""Cost, realised profit and fees of positions, as the exchange works them out, held against ours.

They decide nothing: what is held and the cash are compared exactly, and hold. A figure that differs is arithmetic or
a fee that was restated, so it is told and counted, and it holds nothing.

Rules:
- Reads and the stream are watched apart: should they differ from each other, each is told once.
- Pure. Only looks in which the position rested and its count is equal are asked for.
- Realised profit and fees begin before this journal at the exchange: the base is what the journal says of its start,
  so that no restart forgives a difference. A journal that does not say has the first look of each process instead.
- Less than `FIGURE_TOLERANCE` is the exchange's rounding: it averages what a position cost in a way that it does not
  state. What was told becomes the base, so that nothing is told twice and roundings never add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.ledger_view import FIGURES, LedgerView
from kalshi_daemon.limits import FIGURE_TOLERANCE
from kalshi_daemon.units import Money, Ticker


class FigureWatch:
    def __init__(self, ledger: LedgerView, source: str = "read") -> None:
        self.counts = Counter({f"differing_{what}": 0 for what in FIGURES})  # differences that were told
        self._ledger = ledger
        self._source = source
        self._first: dict[tuple[Ticker, str], Money] = {}  # bases that the journal does not hold,
        self._told: dict[tuple[Ticker, str], Money] = {}  # and gaps of which the journal is just told; three a market

    def look(self, market: Ticker, theirs: Mapping[str, Money]) -> list[Difference]:
        """What differs and was not told before; `theirs`: cost, realised and fees."""
        ours, found = self._ledger.positions[market], []
        for what, counted in (("cost", ours.cost), ("realised", ours.realised), ("fees", ours.fees)):
            subject, gap = (market, what), theirs[what] - counted
            base = self._ledger.figure_base(market, what, self._source)
            if base is None:
                base = self._first.setdefault(subject, gap)
            if abs(gap - base) >= FIGURE_TOLERANCE and self._told.get(subject) != gap:
                self.counts[f"differing_{what}"] += 1
                self._first[subject] = self._told[subject] = gap
                found.append(Difference(what, market, counted, theirs[what] - base))
        return found
