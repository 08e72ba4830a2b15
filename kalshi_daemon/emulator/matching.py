"""One market's book: price-time priority on the YES leg.

Rules: each leg holds bids in its own prices, ascending, best last; an ask at p stands on the NO leg at 1 - p, so
both legs are alike, and two prices meet when their sum is at least one dollar. A trade is at the resting order's
price. Better prices go first, then earlier orders. Nothing here knows an account's money: `match` says who met
whom, the caller books it.

A level may also show recorded contracts (recorded.py). They stand ahead of the orders at their price, are matched
against once by each arriving order, and are never consumed.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from itertools import takewhile

from attrs import define, field, frozen

from kalshi_daemon.emulator.model import SelfTradePrevention
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Price


@define(eq=False)
class Level:
    """One price of one leg. `total` is the sum of its orders' remaining counts, `recorded` what a recording shows."""

    orders: deque[LiveOrder] = field(factory=deque)
    total: Count = 0
    recorded: Count = 0


@frozen
class LevelChange:
    """What became of a level; `order` is whose doing it was, None for a trade or a recording."""

    yes: bool
    price: Price
    change: Count
    order: LiveOrder | None = None


@frozen
class Match:
    """An arriving order met `maker` (None: recorded contracts) at a YES price."""

    maker: LiveOrder | None
    price: Price
    count: Count


@define(eq=False)
class Outcome:
    """What an arriving order did to the book. `displaced`: resting orders that self-trade prevention took off.

    `stopped`: it met an order of its own account and goes no further.
    """

    matches: list[Match] = field(factory=list)
    changes: list[LevelChange] = field(factory=list)
    displaced: list[LiveOrder] = field(factory=list)
    stopped: bool = False


@define(eq=False)
class Leg:
    """The bids of one leg. Invariant: `prices` is sorted and holds exactly the keys of `levels`, none of them
    empty.
    """

    yes: bool
    prices: list[Price] = field(factory=list)
    levels: dict[Price, Level] = field(factory=dict)

    @property
    def best(self) -> Price | None:
        return self.prices[-1] if self.prices else None

    @property
    def best_count(self) -> Count:
        """All contracts at the best price; 0 on an empty leg."""
        if not self.prices:
            return 0
        level = self.levels[self.prices[-1]]
        return level.total + level.recorded

    @property
    def best_of_orders(self) -> Price:
        """The best price at which an order stands, recorded contracts left out; 0 if none does."""
        for price in reversed(self.prices):
            if self.levels[price].total:
                return price
        return 0

    def level(self, price: Price) -> Level:
        """The level at a price, made if there is none; the caller fills it."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level()
            insort(self.prices, price)
        return level

    def drop_if_empty(self, price: Price) -> None:
        level = self.levels[price]
        if not level.total and not level.recorded:
            del self.levels[price]
            self.prices.remove(price)

    def add(self, order: LiveOrder) -> LevelChange:
        """Let an order stand, last at its price."""
        level = self.level(order.own)
        level.orders.append(order)
        level.total += order.remaining
        return LevelChange(self.yes, order.own, order.remaining, order)

    def remove(self, order: LiveOrder) -> LevelChange:
        """Take a standing order off; its remaining count is still its own."""
        level = self.levels[order.own]
        level.orders.remove(order)
        level.total -= order.remaining
        self.drop_if_empty(order.own)
        return LevelChange(self.yes, order.own, -order.remaining, order)

    def shrink(self, order: LiveOrder, count: Count) -> LevelChange:
        """Take contracts off a standing order, which keeps its place and some of its contracts."""
        assert 0 <= count < order.remaining, "an order without contracts is removed"
        order.remaining -= count
        self.levels[order.own].total -= count
        return LevelChange(self.yes, order.own, -count, order)

    def ahead(self, order: LiveOrder) -> Count:
        """What trades before a standing order: better prices, recorded contracts at its own, and earlier orders."""
        better = sum(level.total + level.recorded for price, level in self.levels.items() if price > order.own)
        level = self.levels[order.own]
        earlier = takewhile(lambda other: other is not order, level.orders)
        return better + level.recorded + sum(other.remaining for other in earlier)

    def reduce(self, order: LiveOrder, count: Count) -> LevelChange:
        """Take contracts from the first order at its price; an order without any left no longer stands."""
        level = self.levels[order.own]
        assert level.orders[0] is order, "only the first order at a price can trade"
        order.remaining -= count
        level.total -= count
        if not order.remaining:
            level.orders.popleft()
        self.drop_if_empty(order.own)
        return LevelChange(self.yes, order.own, -count)

    def show_recorded(self, price: Price, count: Count) -> LevelChange | None:
        """Set what a level shows of a recording; None if that is what it showed."""
        level = self.levels.get(price)
        change = count - (0 if level is None else level.recorded)
        if not change:
            return None
        self.level(price).recorded = count
        self.drop_if_empty(price)
        return LevelChange(self.yes, price, change)

    def counts(self) -> tuple[tuple[Price, Count], ...]:
        """All levels as the wire shows them."""
        return tuple((price, level.total + level.recorded) for price, level in sorted(self.levels.items()))


@define(eq=False)
class Book:
    """Both legs of one market. Invariant: best YES + best NO < 1 after every operation of the exchange."""

    yes: Leg = field(factory=lambda: Leg(yes=True))
    no: Leg = field(factory=lambda: Leg(yes=False))

    def leg(self, side: BookSide) -> Leg:
        """The leg on which orders of a side stand."""
        return self.yes if side is BookSide.BID else self.no

    def crosses(self, side: BookSide, own: Price) -> bool:
        """Whether an order would meet another on arrival."""
        best = self.leg(side.opposite).best
        return best is not None and own + best >= PRICE_ONE

    def crossing_count(self, side: BookSide, own: Price) -> Count:
        """All contracts that an order would meet, the account's own included."""
        other = self.leg(side.opposite)
        total = 0
        for price in reversed(other.prices):
            if own + price < PRICE_ONE:
                break
            total += other.levels[price].total + other.levels[price].recorded
        return total

    def match(self, order: LiveOrder) -> Outcome:
        """Let an arriving order meet what crosses it. Lowers remaining counts; what is left of it is the caller's
        to place.
        """
        other = self.leg(order.side.opposite)
        outcome = Outcome()
        at = len(other.prices) - 1
        while at >= 0 and order.remaining and not outcome.stopped:
            price = other.prices[at]
            if order.own + price < PRICE_ONE:
                break
            self._match_level(order, other, price, outcome)
            other.drop_if_empty(price)
            at -= 1  # the level is used up, or the order is: recorded contracts are met once
        return outcome

    def _match_level(self, order: LiveOrder, other: Leg, price: Price, outcome: Outcome) -> None:
        level = other.levels[price]
        trade_price = price if other.yes else PRICE_ONE - price
        if level.recorded:
            count = min(order.remaining, level.recorded)
            order.remaining -= count
            outcome.matches.append(Match(None, trade_price, count))
        traded = 0
        while order.remaining and level.orders:
            maker = level.orders[0]
            if maker.user_id == order.user_id:
                if order.self_trade_prevention is SelfTradePrevention.TAKER_AT_CROSS:
                    outcome.stopped = True
                    break
                level.orders.popleft()
                level.total -= maker.remaining
                outcome.displaced.append(maker)
                outcome.changes.append(LevelChange(other.yes, price, -maker.remaining, maker))
                continue
            count = min(order.remaining, maker.remaining)
            order.remaining -= count
            maker.remaining -= count
            level.total -= count
            traded += count
            if not maker.remaining:
                level.orders.popleft()
            outcome.matches.append(Match(maker, trade_price, count))
        if traded:
            outcome.changes.append(LevelChange(other.yes, price, -traded))
