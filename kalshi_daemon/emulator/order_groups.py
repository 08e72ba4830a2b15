"""Order groups: orders that stop together once they have traded too much within fifteen seconds (api.md 4.4).

Rules: what counts is matched contracts of the last fifteen seconds; at the limit the group is triggered: its resting
orders are cancelled, and it takes no more until it is reset. The order that reaches the limit is matched to its end
first, so a group may trade more than its limit (assumed). A group belongs to one subaccount and one shard.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import define, field

from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.units import Count, Milliseconds

WINDOW_MS: Final[Milliseconds] = 15_000


@define(eq=False)
class OrderGroup:
    """One group. `orders` are those of its members that rest, by id; `matched` what they traded, and when."""

    group_id: str
    user_id: str
    subaccount: int
    exchange_index: int
    limit: Count
    triggered: bool = False
    orders: dict[str, LiveOrder] = field(factory=dict)
    matched: deque[tuple[Milliseconds, Count]] = field(factory=deque)

    def note(self, count: Count, now_ms: Milliseconds) -> None:
        """Count a member's fill."""
        self.matched.append((now_ms, count))

    def reached(self, now_ms: Milliseconds) -> bool:
        """Whether the limit is reached by what was matched within the window."""
        while self.matched and self.matched[0][0] <= now_ms - WINDOW_MS:
            self.matched.popleft()
        return sum(count for _at_ms, count in self.matched) >= self.limit

    def reset(self) -> None:
        """Begin to count anew, and take orders again."""
        self.matched.clear()
        self.triggered = False
