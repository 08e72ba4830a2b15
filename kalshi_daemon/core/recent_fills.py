"""The newest fills of one market, in the order in which the exchange made them.

The stream loses some and a read tells them later; what was released of a cost, and at what price zero was crossed,
depends on their order. So the newest are kept with the position before them, and the one that comes late is put in
its place.

Rules:
- The order is that of the exchange's stamps. They have milliseconds, and an order that sweeps several levels fills in
  one of them: the best price for whoever takes comes first, as matching goes by price and then by time.
- What else has one stamp stays as told: the stream tells in order.
- Bounded: the oldest goes, into the position before the others. One older than those that went is put first, and
  counted: its place cannot be known.
"""

from __future__ import annotations

from attrs import define, field

from kalshi_daemon.facts import FillSeen
from kalshi_daemon.units import BookSide, Milliseconds


@define(eq=False)
class RecentFills:
    """`kept` is never more than one over the bound, and so for a moment only."""

    kept: list[FillSeen] = field(factory=list)
    gone_ms: Milliseconds = 0  # the newest stamp of those that went

    def add(self, fill: FillSeen) -> int:
        """Puts it in its place, and says how many follow it."""
        place = len(self.kept)
        while place and _precedes(fill, self.kept[place - 1]):
            place -= 1
        self.kept.insert(place, fill)
        return len(self.kept) - 1 - place

    def drop_oldest(self) -> FillSeen:
        oldest = self.kept.pop(0)
        self.gone_ms = max(self.gone_ms, oldest.ts_ms)
        return oldest

    @property
    def newest_ms(self) -> Milliseconds:
        """The newest stamp of all."""
        return max([self.gone_ms, *(each.ts_ms for each in self.kept)])

    def drop_all(self) -> None:
        """Nothing goes before what was kept any more."""
        self.gone_ms = self.newest_ms
        self.kept.clear()


def _precedes(fill: FillSeen, other: FillSeen) -> bool:
    """Whether `fill`, told after `other`, was made before it."""
    if fill.ts_ms != other.ts_ms:
        return fill.ts_ms < other.ts_ms
    if (fill.side, fill.is_taker) != (other.side, other.is_taker) or fill.source == other.source == "stream":
        return False
    taken_by_bid = (fill.side is BookSide.BID) is fill.is_taker
    return fill.price < other.price if taken_by_bid else fill.price > other.price
