"""Which fills are new, and which of them still wait for their order.

The stream and the reads tell the same fill many times, in any order, and a fill may outrun the answer to its order.
Rules: a trade id counts once, for as long as it is remembered; money is right at once, so a fill without an order
is booked to position and cash when it comes and waits here only to be attributed; both memories are bounded, oldest
out first.
"""

from __future__ import annotations

from kalshi_daemon.facts import FillSeen
from kalshi_daemon.limits import FILLS_HELD_MAX, TRADE_IDS_MAX


class FillProcessor:
    """The trade ids that were booked, and the fills that outran their order."""

    def __init__(self, trade_ids_max: int = TRADE_IDS_MAX, held_max: int = FILLS_HELD_MAX) -> None:
        self._trade_ids: dict[str, None] = {}  # in the order in which they were booked
        self._held: dict[
            str, list[FillSeen]
        ] = {}  # order_id -> its fills, in the order in which they came; never empty
        self._held_count = 0
        self._trade_ids_max = trade_ids_max
        self._held_max = held_max

    def knows(self, trade_id: str) -> bool:
        return trade_id in self._trade_ids

    def is_new(self, trade_id: str) -> bool:
        """Whether this trade was never told before; asking remembers it."""
        if trade_id in self._trade_ids:
            return False
        self._trade_ids[trade_id] = None
        if len(self._trade_ids) > self._trade_ids_max:
            del self._trade_ids[next(iter(self._trade_ids))]
        return True

    def hold(self, fill: FillSeen) -> FillSeen | None:
        """Keeps a booked fill for its order; returns the one that had to go, which stays without an order."""
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
    def held_count(self) -> int:
        return self._held_count

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot."""
        return {"trade_ids": list(self._trade_ids), "held": self._held}
