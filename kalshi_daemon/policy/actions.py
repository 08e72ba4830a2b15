"""The actions: what an index means, which side of the book it takes, and how much it is for (observation.md, Actions).

Index 0 holds; with k sizes, action a > 0 is `base = (a - 1) // k + 1` at `sizes[(a - 1) % k]`.
On one book buying NO is an ask and selling NO a bid.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.units import BookSide, Count


class Base(IntEnum):
    HOLD = 0
    BUY_YES = 1
    SELL_YES = 2
    BUY_NO = 3
    SELL_NO = 4


SIDES = {Base.BUY_YES: BookSide.BID, Base.SELL_YES: BookSide.ASK, Base.BUY_NO: BookSide.ASK, Base.SELL_NO: BookSide.BID}
ACTION_NAMES = ",".join(base.name for base in Base)  # as a model's metadata names them


def action_count(sizes: Sequence[Count]) -> int:
    return 1 + (len(Base) - 1) * len(sizes)


def decode(action: int, sizes: Sequence[Count]) -> tuple[Base, Count]:
    """What an index above 0 means: which of the four, and its count before clipping."""
    assert action > 0, "holding is not an order"
    base, size = divmod(action - 1, len(sizes))
    return Base(base + 1), sizes[size]


def sells(base: Base) -> bool:
    """Whether the action gives up something held."""
    return base in (Base.SELL_YES, Base.SELL_NO)


def count_of(base: Base, size: Count, market: MarketInput) -> Count:
    """Contracts to ask for; 0: not possible with this position.

    A buy only adds to the side held or starts one; a sell only gives up what is held and not being given up already.
    """
    held = market.position
    if base is Base.BUY_YES:
        return size if held >= 0 else 0
    if base is Base.BUY_NO:
        return size if held <= 0 else 0
    if (held > 0) is not (base is Base.SELL_YES):
        return 0
    return max(min(size, abs(held) - market.reducing), 0)
