"""Figures of an account that never rests: what they differ by, held against all that lag explains.

A read shows the account at some moment between its `as_of` and now, so that while fills flow it differs from what we
count, rightly. What it may differ by is known: by what was booked since. A difference that is none of those, and could
be the same one in every look, is drift.

Rules:
- Pure, bounded: of each figure the newest values, and the differences that every look since the first left possible.
- A look that lag explains counts against drift as much as one that it does not explain counts for it: a fill that the
  exchange shows before its own clock says so, now and then, is none.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.limits import GAP_LOOKS_MAX, GAP_VALUES_MAX
from kalshi_daemon.units import Milliseconds

Figure: TypeAlias = tuple[str, str]  # of what, and of which shard or market


@frozen
class _Gap:
    possible: frozenset[int]
    looks: int


class SteadyGaps:
    def __init__(self) -> None:
        self._values: dict[Figure, deque[tuple[Milliseconds, int]]] = {}  # each with the exchange's time of its change
        self._gaps: dict[Figure, _Gap] = {}

    def note(self, figure: Figure, ts_ms: Milliseconds, value: int) -> None:
        """What we count from then on."""
        values = self._values.setdefault(figure, deque(maxlen=GAP_VALUES_MAX))
        if not values or values[-1][1] != value:
            values.append((ts_ms, value))

    def forget(self, figure: Figure) -> None:
        """It agrees."""
        self._gaps.pop(figure, None)

    def lasts(self, figure: Figure, ours: int, theirs: int, since_ms: Milliseconds) -> bool:
        """One look, which shows the account as it was at some moment from `since_ms` on; whether its difference is
        drift.
        """
        possible = frozenset(theirs - value for value in self._since(figure, ours, since_ms))
        explained = 0 in possible
        known = self._gaps.get(figure)
        if known is None or not known.possible & possible:
            known = _Gap(possible, 0)
        gap = _Gap(known.possible & possible - {0}, known.looks + (-1 if explained else 1))
        if gap.looks <= 0 or not gap.possible:
            self.forget(figure)
            return False
        self._gaps[figure] = gap
        return gap.looks >= GAP_LOOKS_MAX

    def _since(self, figure: Figure, ours: int, since_ms: Milliseconds) -> set[int]:
        """Every value that we counted at some moment since."""
        values = {ours}
        for ts_ms, value in reversed(self._values.get(figure, ())):
            values.add(value)
            if ts_ms <= since_ms:
                break
        return values
