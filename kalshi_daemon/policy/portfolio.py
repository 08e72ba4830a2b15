"""What the account is worth: settled cash and each position at the mid of the side it holds (money.md).

Rules: integers, rounded down to the millionth of a dollar where a mid lies between two prices. A mid that is missing is
carried, by the market's history while there is one, and here for a position whose market is no longer followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.policy.inputs import AccountInput, HeldPosition
from kalshi_daemon.units import PRICE_ONE, Count, Money, Ticker


def value_at_mid(count: Count, mid_twice: int) -> Money:
    """|count| times the mid of the side held; `mid_twice` is twice the YES mid, in `Price`."""
    held_twice = mid_twice if count > 0 else 2 * PRICE_ONE - mid_twice
    return abs(count) * held_twice // 2


class Portfolio:
    """Values positions. Its one memory is the last mid of each market held, bounded by the positions themselves."""

    def __init__(self, histories: Mapping[Ticker, MarketHistory]) -> None:
        self._histories = histories  # the caller's, read at each call
        self._mids: dict[Ticker, int] = {}  # market -> twice its last mid, for markets held at the last call

    def account(
        self, available: Money, settled: Money, positions: Iterable[tuple[Ticker, Count, Money]]
    ) -> AccountInput:
        """`positions` are (market, signed count, cost), those of 0 left out; `settled` is cash before reservations."""
        mids: dict[Ticker, int] = {}
        held = []
        for market, count, cost in positions:
            if count:
                mids[market] = self._mid_twice(market)
                held.append(HeldPosition(market, count, cost, value_at_mid(count, mids[market])))
        self._mids = mids
        return AccountInput(available, settled + sum(position.value for position in held), tuple(held))

    def _mid_twice(self, market: Ticker) -> int:
        history = self._histories.get(market)
        if history is None:
            return self._mids.get(market, PRICE_ONE)
        return history.mid_twice
