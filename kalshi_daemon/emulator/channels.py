"""The channels of a stream, and the error codes of its commands (api.md 7.1 and 7.4).

Rules: a channel is one line of the table; what is not in it is an unknown channel name. Values of outside indices and
prices and requests for quotes are not emulated: their channels take every command and stay silent.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

MARKETS: Final = "market_tickers"
INDICES: Final = "index_ids"
UNDERLYINGS: Final = "underlying_tickers"


@frozen
class Channel:
    """`sequenced`: every frame of it has a number. `names`: the parameter that says what a subscription follows; ""
    where there is nothing to choose. `lists`: the kind of the frame that lists what could be chosen. `private`: about
    one member's account."""

    sequenced: bool
    names: str = ""
    lists: str = ""
    private: bool = False


BOOK: Final = "orderbook_delta"
TICKER: Final = "ticker"
LIFECYCLE: Final = "market_lifecycle_v2"
MULTIVARIATE: Final = "multivariate_market_lifecycle"
GROUPS: Final = "order_group_updates"
COMMUNICATIONS: Final = "communications"
CHANNELS: Final = {
    BOOK: Channel(sequenced=True, names=MARKETS),
    TICKER: Channel(sequenced=False, names=MARKETS),
    "trade": Channel(sequenced=True, names=MARKETS),
    "fill": Channel(sequenced=False, names=MARKETS, private=True),
    "user_orders": Channel(sequenced=False, names=MARKETS, private=True),
    "market_positions": Channel(sequenced=False, names=MARKETS, private=True),
    LIFECYCLE: Channel(sequenced=True),
    MULTIVARIATE: Channel(sequenced=True),
    GROUPS: Channel(sequenced=True, private=True),
    COMMUNICATIONS: Channel(sequenced=True, private=True),
    "cfbenchmarks_value": Channel(sequenced=True, names=INDICES, lists="cfbenchmarks_value_indexlist"),
    "cfbenchmarks_value_5hz": Channel(sequenced=True, names=INDICES, lists="cfbenchmarks_value_5hz_indexlist"),
    "pyth_value": Channel(sequenced=True, names=UNDERLYINGS, lists="pyth_value_underlying_list"),
}


@frozen
class OutsideNames:
    """How a channel of outside values is told what to follow: its actions, and the code where the names are missing."""

    add: str
    drop: str
    show: str
    missing: int


OUTSIDE: Final = {
    INDICES: OutsideNames("subscribe_indices", "unsubscribe_indices", "indexlist", 24),
    UNDERLYINGS: OutsideNames("subscribe_underlyings", "unsubscribe_underlyings", "underlying_list", 28),
}
EVERYTHING: Final = "all"  # the name that stands for every index, or every underlying

# 6, 16 and 17 are retired. No command brings about 18 and 23: a stream is never slow, and no channel takes match ids;
# the fault `refused` does. 9 answers a private channel to a key that may not read (assumed).
ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    9: "Authentication required",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    18: "Command timeout",
    19: "shard_factor must be > 0",
    20: "shard_factor is required when shard_key is set",
    21: "shard_key must be >= 0 and < shard_factor",
    22: "shard_factor must be <= 100",
    23: "Match IDs required",
    24: "Index IDs required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
    28: "Underlying tickers required",
}
CHANNEL_ERROR: Final = 10
OVERFLOW: Final = 25
TERMINAL: Final = frozenset({CHANNEL_ERROR, OVERFLOW})
SHARDS_MAX: Final = 100
