"""From a chosen action to a proposed order, or to a proposed amend of the one that rests: side, price by the pricing
rule, count, and the evidence it was chosen on.

Rules:
- Holding proposes nothing; so does an action whose price or count the market does not give. The mask has ruled most
  of that out; it does not look at the grid.
- A sell that takes claims to be a verified reduction; one that rests cannot be (risk.md: reduce_only is for orders that
  do not rest).
- Where prices rest, a side has one order: a decision for a side where one rests moves it to the price of now, for what
  of it is not filled or less, and proposes nothing where it stands well. What was filled an amend does not ask again.
- The observation travels with the order as base64 of its 52 little-endian float32, so that the decision can be taken
  again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.commands import Proposal, ProposeAmend, ProposeOrder
from kalshi_daemon.policy.actions import SIDES, count_of, decode, sells
from kalshi_daemon.policy.inputs import MarketInput, RestingOrder
from kalshi_daemon.policy.pricing import OwnLevel, Pricing, price_of
from kalshi_daemon.units import BookSide, Count, Price, TimeInForce

PURPOSE = "policy"


def execute(
    action: int,
    market: MarketInput,
    sizes: Sequence[Count],
    pricing: Pricing,
    decision: int,
    model: str,
    observation: NDArray[np.float32],
) -> Proposal | None:
    """`observation` is this market's row, `model` the model's id, `decision` the decision's number (from 1)."""
    if action == 0:
        return None
    base, size = decode(action, sizes)
    count = count_of(base, size, market)
    takes, side = pricing == Pricing.TAKE, SIDES[base]
    there = None if takes else _resting(market, side)
    own = None if there is None else OwnLevel(there[0], there[1].remaining)
    price = price_of(pricing, side, market.book, market.grid, own)
    if not count or price is None:
        return None
    evidence = b64encode(observation.astype("<f4").tobytes()).decode()
    if there is not None:
        stands_at, resting = there
        left = min(resting.remaining, count)
        if (price, left) == (stands_at, resting.remaining):
            return None
        total = resting.filled + left
        return ProposeAmend(resting.client_order_id, price, total, PURPOSE, decision, model, evidence)
    return ProposeOrder(
        market=market.market,
        side=side,
        price=price,
        count=count,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL if takes else TimeInForce.GOOD_TILL_CANCELED,
        post_only=not takes,
        reduces=takes and sells(base),
        purpose=PURPOSE,
        decision=decision,
        model=model,
        observation=evidence,
    )


def _resting(market: MarketInput, side: BookSide) -> tuple[Price, RestingOrder] | None:
    """The order of that side that can be amended, and its price."""
    found = ((order.price, order.resting) for order in market.orders if order.side is side and order.resting)
    return next(found, None)
