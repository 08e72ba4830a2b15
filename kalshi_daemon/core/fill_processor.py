"""Which fills are new, and which of them still wait for their order.

The stream and the reads tell the same fill many times, in any order, and a fill may outrun the answer to its order.
Rules: a trade id counts once, for as long as it is remembered, and with the figures that it was told with first;
money is right at once, so a fill without an order is booked to position and cash when it comes and waits here only to
be attributed; both memories are bounded, oldest out first. A fill that had to go is asked for again: told once more,
it is attributed and not booked.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from zlib import crc32

from kalshi_daemon.facts import FillSeen
from kalshi_daemon.limits import FILLS_HELD_MAX, TRADE_IDS_MAX
from kalshi_daemon.units import Milliseconds


class Hearing(Enum):
    """What a fill that is told is to us."""

    NEW = "new"
    AGAIN = "again"
    UNATTRIBUTED = "unattributed"  # booked before, and its order never learnt of it
    CONTRADICTS = "contradicts"  # told before with another market, side, price or count


def _figures(fill: FillSeen) -> int:
    """A check sum, since a million are kept. The fee is not in it: the exchange may restate it."""
    return crc32(f"{fill.market} {fill.side} {fill.price} {fill.count}".encode())


class FillProcessor:
    """The trade ids that were booked, and the fills that outran their order."""

    def __init__(self, trade_ids_max: int = TRADE_IDS_MAX, held_max: int = FILLS_HELD_MAX) -> None:
        self._trade_ids: dict[str, int] = {}  # with the sum of their figures, in the order in which they were booked
        self._held: dict[str, list[FillSeen]] = {}  # order_id -> its fills, in the order they came; never empty
        self._held_count = 0
        self._dropped: dict[str, None] = {}  # those of the trade ids whose fill had to go before its order was known
        self._trade_ids_max = trade_ids_max
        self._held_max = held_max

    def knows(self, trade_id: str) -> bool:
        """Whether nothing is gained by being told of it again."""
        return trade_id in self._trade_ids and trade_id not in self._dropped

    def hear(self, fill: FillSeen) -> Hearing:
        """What this fill is to us; hearing of it remembers it."""
        trade_id, figures = fill.trade_id, _figures(fill)
        if trade_id in self._trade_ids:
            if self._trade_ids[trade_id] != figures:
                return Hearing.CONTRADICTS
            return Hearing.UNATTRIBUTED if trade_id in self._dropped else Hearing.AGAIN
        self._trade_ids[trade_id] = figures
        if len(self._trade_ids) > self._trade_ids_max:
            oldest = next(iter(self._trade_ids))
            del self._trade_ids[oldest]
            self._dropped.pop(oldest, None)
        return Hearing.NEW

    def found(self, trade_id: str) -> None:
        """A fill that had to go has an order now."""
        del self._dropped[trade_id]

    def hold(self, fill: FillSeen) -> FillSeen | None:
        """Keeps a booked fill for its order; returns the one that had to go, which has to be told again."""
        self._held.setdefault(fill.order_id, []).append(fill)
        self._held_count += 1
        if self._held_count <= self._held_max:
            return None
        order_id = next(iter(self._held))
        waiting = self._held[order_id]
        dropped = waiting.pop(0)
        if not waiting:
            del self._held[order_id]
        self._held_count -= 1
        self._dropped[dropped.trade_id] = None
        return dropped

    def take(self, order_id: str) -> list[FillSeen]:
        """The fills that waited for this order, which is known now."""
        if order_id not in self._held:
            return []
        fills = self._held.pop(order_id)
        self._held_count -= len(fills)
        return fills

    def waiting(self) -> list[FillSeen]:
        """The fills that wait, by order."""
        return [fill for fills in self._held.values() for fill in fills]

    @property
    def dropped_count(self) -> int:
        return len(self._dropped)

    @property
    def held_count(self) -> int:
        return self._held_count

    @property
    def owed_count(self) -> int:
        """Fills whose order is not known, kept here or not."""
        return self._held_count + len(self._dropped)

    def carried(self, stamps: Iterable[tuple[str, Milliseconds]]) -> tuple[tuple[str, Milliseconds, int], ...]:
        """Those of these trades that are remembered, for the journal after this one."""
        return tuple((each, ts_ms, self._trade_ids[each]) for each, ts_ms in stamps if each in self._trade_ids)

    def take_up(self, trades: Iterable[tuple[str, Milliseconds, int]]) -> None:
        """Those of the journal before."""
        self._trade_ids.update((each, figures) for each, _ts_ms, figures in trades)

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot."""
        return {"trade_ids": self._trade_ids, "held": self._held, "dropped": list(self._dropped)}
