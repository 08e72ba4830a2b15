"""An account, the slow way: lists of what happened, and every figure added up from them anew, in dollars.

Written from the exchange's rules alone (api.md 3.1, 3.3, 3.4, 3.7) and sharing nothing with the ledger: fractions of
dollars and of contracts, cash by the YES leg with a dollar of collateral for each contract short, no running totals.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from attrs import define, field, frozen

DOLLARS = Fraction(1, 1_000_000)  # of one unit of money


@frozen
class Trade:
    """`sign`: +1 buys the YES leg, -1 sells it; `price` and `fee` in dollars, `count` in contracts."""

    ts_ms: int
    trade_id: str
    market: str
    sign: int
    price: Fraction
    count: Fraction
    fee: Fraction


@frozen
class Payout:
    market: str
    revenue: Fraction


@define
class SlowAccount:
    """What has been told of an account that opened with `opening` dollars a market and nothing held."""

    opening: dict[str, Fraction]
    trades: list[Trade] = field(factory=list)
    payouts: list[Payout] = field(factory=list)

    def told_trade(self, trade: Trade) -> None:
        if all(trade.trade_id != each.trade_id for each in self.trades):
            self.trades.append(trade)

    def told_payout(self, payout: Payout) -> None:
        if all(payout.market != each.market for each in self.payouts):
            self.payouts.append(payout)

    def _of(self, market: str) -> Iterator[Trade]:
        """As they happened, in whatever order they were told."""
        trades = sorted(self.trades, key=lambda each: each.ts_ms)
        return (each for each in trades if each.market == market)

    def paid_out(self, market: str) -> bool:
        return any(each.market == market for each in self.payouts)

    def net(self, market: str) -> Fraction:
        """Contracts by the trades alone, as though the market had not been paid out."""
        return sum((each.sign * each.count for each in self._of(market)), Fraction(0))

    def moved(self, market: str) -> Fraction:
        """What a market has done to the cash, fees apart."""
        legs = sum((-each.sign * each.price * each.count for each in self._of(market)), Fraction(0))
        revenue = sum((each.revenue for each in self.payouts if each.market == market), Fraction(0))
        return legs - max(Fraction(0), -self.net(market)) + revenue

    def fees(self, market: str) -> Fraction:
        return sum((each.fee for each in self._of(market)), Fraction(0))

    def cash(self, market: str) -> Fraction:
        """The cash of the shard that has this market and no other."""
        return self.opening[market] + self.moved(market) - self.fees(market)

    def position(self, market: str) -> Fraction:
        return Fraction(0) if self.paid_out(market) else self.net(market)

    def cost(self, market: str) -> Fraction:
        """What the contracts held were bought for, at the average of their side; a walk over the trades."""
        held = cost = Fraction(0)
        for each in self._of(market):
            change = each.sign * each.count
            closing = min(each.count, abs(held)) if held * change < 0 else Fraction(0)
            if closing:
                cost -= cost * closing / abs(held)
            own = each.price if each.sign > 0 else 1 - each.price
            cost += own * (each.count - closing)
            held += change
        return Fraction(0) if self.paid_out(market) else cost

    def value(self, market: str, price: Fraction) -> Fraction:
        """What the contracts held would bring at the YES price `price`."""
        held = self.position(market)
        return held * price if held > 0 else -held * (1 - price)

    def closings(self, market: str) -> int:
        """How many trades met a position of the other side: each may have rounded its cost by a unit."""
        held, found = Fraction(0), 0
        for each in self._of(market):
            found += held * each.sign < 0
            held += each.sign * each.count
        return found


def reservation(worst: int, count: int, still: int) -> int:
    """Of the worst case of a whole order, the share of the contracts that may still fill, never too little."""
    return ceil(Fraction(worst * still, count))
