"""The range of each feature before the last step, for a book that may be traded on: known and not crossed.

Whoever doubts an observation asks this table; the tests hold the formulas to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kalshi_daemon.policy.features import FEATURES

SIGNED: Final = (
    *("volume_imbalance", "yes_side_imbalance", "no_side_imbalance", "bid_ask_depth_ratio", "activity_change"),
    *("activity_trend", "price_momentum", "net_position_bias", "this_position", "unrealized_pnl_ratio"),
    "this_unrealized",
)
RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        **dict.fromkeys(FEATURES, (0.0, 1.0)),
        **dict.fromkeys(SIGNED, (-1.0, 1.0)),
        **dict.fromkeys(("yes_mid", "no_mid"), (0.01, 0.99)),
        **dict.fromkeys(("yes_spread_pct", "no_spread_pct"), (0.0, 2.0)),  # of a mid as low as half the spread
        **dict.fromkeys(("yes_breakeven_move", "no_breakeven_move"), (0.0, 2.0)),  # the spread and two fees
        "last_trade_offset": (-2.0, 2.0),
    }
)
