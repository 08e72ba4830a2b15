"""The three roles of the streams, each a feed with its own status, and how many sockets carry them.

The earlier system ran a socket per role. Here a role is what is listened to, a socket is what carries it, and the
layout is configuration: losing a socket loses the roles that it carries, and each says so by itself. Markets beyond
what one socket carries have further sockets, which carry books and prints alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.facts import (
    BookDelta,
    BookSnapshot,
    EventFeesChanged,
    MarketChanged,
    OrderGroupReported,
    TradePrinted,
)
from kalshi_daemon.units import Milliseconds


class Role(StrEnum):
    ORDERBOOK = "orderbook"
    FILLS = "fills"
    POSITIONS = "positions"


BOOKS: Final = "orderbook_delta"
LIFECYCLE: Final = "market_lifecycle_v2"  # of all markets at once, and so on one socket only
GROUPS: Final = "order_group_updates"  # beside the fills, which are whole without it
CHANNELS: Final[dict[Role, tuple[str, ...]]] = {
    Role.ORDERBOOK: (BOOKS, "trade", LIFECYCLE),
    Role.FILLS: ("fill", "user_orders"),
    Role.POSITIONS: ("market_positions",),
}
MARKET_CHANNELS: Final = frozenset({BOOKS, "trade"})  # subscribed for named markets only
PRIVATE_CHANNELS: Final = frozenset({*CHANNELS[Role.FILLS], *CHANNELS[Role.POSITIONS], GROUPS})
ANY_CHANNEL: Final = ""  # something was missed, and nothing says of what
CHANNEL_OF_FACT: Final[dict[type, str]] = {
    BookDelta: BOOKS,
    BookSnapshot: BOOKS,
    TradePrinted: "trade",
    MarketChanged: LIFECYCLE,
    EventFeesChanged: LIFECYCLE,
    OrderGroupReported: GROUPS,
}
CHANNEL_OF_TYPE: Final[dict[str, str]] = {  # where a type of frame is not called what its channel is
    "orderbook_snapshot": BOOKS,
    "user_order": "user_orders",
    "market_position": "market_positions",
    "event_fee_update": LIFECYCLE,
    GROUPS: GROUPS,
    **{channel: channel for channels in CHANNELS.values() for channel in channels},
}
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
