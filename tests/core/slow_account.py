"""An account, the slow way: lists of what happened, and every figure added up from them anew, in dollars.

Written from the exchange's rules alone (api.md 3.1, 3.4, 3.7) and sharing nothing with the ledger: fractions of
dollars and of contracts, cash by the YES leg with a dollar of collateral for each contract short, no running totals.
Fees are told (`slow_fees.py`).
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


@frozen
class Recount:
    """The exchange's word for a position was taken: contracts and cost that no trade explains, and no cash."""

    market: str
    count: Fraction  # added, signed
    cost: Fraction  # added
    collateral: Fraction  # that the contracts short would have come with, had they been sold


@define
class SlowAccount:
    """What has been told of an account that opened with `opening` dollars a market and nothing held."""

    opening: dict[str, Fraction]
    trades: list[Trade] = field(factory=list)
    payouts: list[Payout] = field(factory=list)
    recounts: list[Recount] = field(factory=list)
    _after: dict[str, int] = field(factory=dict)  # trade id -> how many recounts had been told

    def told_trade(self, trade: Trade) -> None:
        if trade.trade_id not in self._after:
            self.trades.append(trade)
            self._after[trade.trade_id] = len(self.recounts)

    def told_payout(self, payout: Payout) -> None:
        if all(payout.market != each.market for each in self.payouts):
            self.payouts.append(payout)

    def recount(self, market: str, count: Fraction, cost: Fraction) -> None:
        before, after = (max(Fraction(0), -held) for held in (self.net(market), self.net(market) + count))
        self.recounts.append(Recount(market, count, cost, after - before))

    def _of(self, market: str) -> Iterator[Trade]:
        """As they happened, in whatever order they were told; but none goes before a recount that was told earlier."""
        trades = sorted(self.trades, key=lambda each: (self._after[each.trade_id], each.ts_ms))
        return (each for each in trades if each.market == market)

    def _recounts(self, market: str) -> Iterator[tuple[int, Recount]]:
        """Each with how many had been told before it."""
        return ((told, each) for told, each in enumerate(self.recounts) if each.market == market)

    def _walk(self, market: str) -> Iterator[Trade | Recount]:
        recounts = list(self._recounts(market))
        for each in self._of(market):
            while recounts and recounts[0][0] < self._after[each.trade_id]:
                yield recounts.pop(0)[1]
            yield each
        yield from (each for _told, each in recounts)

    def paid_out(self, market: str) -> bool:
        return any(each.market == market for each in self.payouts)

    def net(self, market: str) -> Fraction:
        """Contracts by trades and recounts alone, as though the market had not been paid out."""
        traded = sum((each.sign * each.count for each in self._of(market)), Fraction(0))
        return traded + sum((each.count for _told, each in self._recounts(market)), Fraction(0))

    def moved(self, market: str) -> Fraction:
        """What a market has done to the cash, fees apart."""
        legs = sum((-each.sign * each.price * each.count for each in self._of(market)), Fraction(0))
        revenue = sum((each.revenue for each in self.payouts if each.market == market), Fraction(0))
        free = sum((each.collateral for _told, each in self._recounts(market)), Fraction(0))
        return legs - max(Fraction(0), -self.net(market)) + free + revenue

    def recounted(self, market: str) -> Fraction:
        """The cost that recounts added."""
        return sum((each.cost for _told, each in self._recounts(market)), Fraction(0))

    def fees(self, market: str) -> Fraction:
        return sum((each.fee for each in self._of(market)), Fraction(0))

    def cash(self, market: str) -> Fraction:
        """The cash of the shard that has this market and no other."""
        return self.opening[market] + self.moved(market) - self.fees(market)

    def position(self, market: str) -> Fraction:
        return Fraction(0) if self.paid_out(market) else self.net(market)

    def cost(self, market: str) -> Fraction:
        """What the contracts held were bought for, at the average of their side; a walk over all that was told."""
        held = cost = Fraction(0)
        for each in self._walk(market):
            if isinstance(each, Recount):
                held, cost = held + each.count, cost + each.cost
                continue
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
        for each in self._walk(market):
            change = each.count if isinstance(each, Recount) else each.sign * each.count
            found += held * change < 0
            held += change
        return found


def reservation(worst: int, count: int, still: int) -> int:
    """Of the worst case of a whole order, the share of the contracts that may still fill, never too little."""
    return ceil(Fraction(worst * still, count))
