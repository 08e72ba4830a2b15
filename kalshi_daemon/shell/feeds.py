"""The three roles of the streams, each a feed with its own status, and how many sockets carry them.

The earlier system ran a socket per role. Here a role is what is listened to, a socket is what carries it, and the
layout is configuration: losing a socket loses the roles that it carries, and each says so by itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.units import Milliseconds


class Role(StrEnum):
    ORDERBOOK = "orderbook"
    FILLS = "fills"
    POSITIONS = "positions"


CHANNELS: Final[dict[Role, tuple[str, ...]]] = {
    Role.ORDERBOOK: ("orderbook_delta", "trade", "market_lifecycle_v2"),
    Role.FILLS: ("fill", "user_orders"),
    Role.POSITIONS: ("market_positions",),
}
MARKET_CHANNELS: Final = frozenset({"orderbook_delta", "trade"})  # subscribed for named markets only
LAYOUTS: Final[dict[int, dict[str, tuple[Role, ...]]]] = {
    1: {"all": (Role.ORDERBOOK, Role.FILLS, Role.POSITIONS)},
    2: {"market": (Role.ORDERBOOK,), "account": (Role.FILLS, Role.POSITIONS)},
    3: {"market": (Role.ORDERBOOK,), "fills": (Role.FILLS,), "positions": (Role.POSITIONS,)},
}


@frozen
class FeedStatus:
    """What one role is doing. `state` is the state of its chart or session, `detail` the reason where it is not
    well.
    """

    role: str
    state: str
    since_ms: Milliseconds
    messages: int
    detail: str
