"""From a chosen action to a proposed order: side, price by the pricing rule, count, and the evidence it was chosen on.

Rules:
- Holding proposes nothing; so does an action whose price or count the market does not give. The mask has ruled most
  of that out; it does not look at the grid.
- A sell that takes claims to be a verified reduction; one that rests cannot be (risk.md: reduce_only is for orders that
  do not rest).
- The observation travels with the order as base64 of its 52 little-endian float32, so that the decision can be taken
  again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.policy.actions import SIDES, count_of, decode, sells
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.policy.pricing import Pricing, price_of
from kalshi_daemon.units import Count, TimeInForce

PURPOSE = "policy"


def execute(
    action: int,
    market: MarketInput,
    sizes: Sequence[Count],
    pricing: Pricing,
    decision: int,
    model: str,
    observation: NDArray[np.float32],
) -> ProposeOrder | None:
    """`observation` is this market's row, `model` the model's id, `decision` the decision's number (from 1)."""
    if action == 0:
        return None
    base, size = decode(action, sizes)
    count = count_of(base, size, market)
    price = price_of(pricing, SIDES[base], market.book, market.grid)
    if not count or price is None:
        return None
    takes = pricing == Pricing.TAKE
    return ProposeOrder(
        market=market.market,
        side=SIDES[base],
        price=price,
        count=count,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL if takes else TimeInForce.GOOD_TILL_CANCELED,
        post_only=not takes,
        reduces=takes and sells(base),
        purpose=PURPOSE,
        decision=decision,
        model=model,
        observation=b64encode(observation.astype("<f4").tobytes()).decode(),
    )
