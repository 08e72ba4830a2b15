"""Which actions each market allows: bool, (markets, actions), in training and in trading alike.

Rules:
- Holding is always allowed.
- A book that is not usable or has a side missing, a spread over the limit, and an unknown write on the market leave
  holding alone.
- A buy asks further that increases are allowed, that the market does not close too soon, and that no order is open on
  its side: one live order per market and side. Where prices rest, one that can be amended is no obstacle: a new
  decision amends it.
- A sell asks for something held that is not being given up already. Where it takes it is a verified reduction
  (immediate_or_cancel with reduce_only) and needs nothing else; where it rests it is like a buy to the risk gate, and
  asks for what a buy asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.limits import SPREAD_MAX_CENTS
from kalshi_daemon.policy.actions import action_count
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.units import PRICE_CENT, PRICE_ONE, BookSide, Count

SPREAD_MAX = SPREAD_MAX_CENTS * PRICE_CENT
HOLD_ALONE = (False, False, False, False)


def mask(
    markets: Sequence[MarketInput], sizes: Sequence[Count], pricing: Pricing, *, increases_allowed: bool
) -> NDArray[np.bool_]:
    """`increases_allowed`: the trader is in `trading.normal` and nothing restricts the account."""
    allowed = np.ones((len(markets), action_count(sizes)), dtype=np.bool_)
    takes = pricing == Pricing.TAKE
    rows = [_allowed(market, takes=takes, increases=increases_allowed) for market in markets]
    allowed[:, 1:] = np.repeat(np.array(rows, dtype=np.bool_).reshape(len(markets), 4), len(sizes), axis=1)
    return allowed


def tradable(market: MarketInput) -> bool:
    """Whether anything but holding may be thought of."""
    yes, no = market.book.yes.prices, market.book.no.prices
    if market.unknown or not market.usable or not yes or not no:
        return False
    return 0 < PRICE_ONE - no[-1] - yes[-1] <= SPREAD_MAX


def _allowed(market: MarketInput, *, takes: bool, increases: bool) -> tuple[bool, bool, bool, bool]:
    """BUY_YES, SELL_YES, BUY_NO, SELL_NO; which size does not matter, since a sell is clipped."""
    if not tradable(market):
        return HOLD_ALONE
    held = market.position
    bid_free = ask_free = increases and not market.closing
    if market.orders:
        bid_free = bid_free and _is_free(market, BookSide.BID, takes=takes)
        ask_free = ask_free and _is_free(market, BookSide.ASK, takes=takes)
    sellable = abs(held) > market.reducing
    return (
        held >= 0 and bid_free,
        held > 0 and sellable and (takes or ask_free),
        held <= 0 and ask_free,
        held < 0 and sellable and (takes or bid_free),
    )


def _is_free(market: MarketInput, side: BookSide, *, takes: bool) -> bool:
    """Whether a decision there becomes the one live order of its side, new or amended."""
    there = [order for order in market.orders if order.side is side]
    return not there or (not takes and len(there) == 1 and there[0].resting is not None)
