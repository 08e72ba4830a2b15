"""Accounts: cash per shard, positions, and what resting orders hold. A member has one, or one for each subaccount.

Rules: a position is one signed number per market; selling what is not held opens the NO side and costs cash. Cash
changes by exactly what a fill's contracts cost or bring, and by its fee. Cost is averaged over a side; what a
reduction takes of it is rounded down to a micro-dollar, so that a position closed in full leaves no cost behind.

Collateral is what a market's resting orders could still cost: an order that closes a position costs nothing, and
since an account's better-priced orders fill first, what is held covers those first.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from kalshi_daemon.emulator.model import Fill, Market, PositionRecord, Settlement
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Milliseconds, Money, Price, Ticker


@define(eq=False)
class Position:
    """One account's standing in one market; the fields are those of `PositionRecord`."""

    count: Count = 0
    cost: Money = 0
    realised: Money = 0
    fees: Money = 0
    open_fees: Money = 0
    traded: Money = 0
    volume: Count = 0
    updated_ms: Milliseconds = 0
    settled: bool = False

    def book_fill(self, side: BookSide, price: Price, count: Count) -> tuple[Money, Count]:
        """Apply an execution at a YES price; returns the cash that it brings (negative: costs), fee apart, and how
        many contracts it opened."""
        own, other = (price, PRICE_ONE - price) if side is BookSide.BID else (PRICE_ONE - price, price)
        reducing = min(count, max(0, -self.count * side.sign))
        revenue = other * reducing
        if reducing:
            self._release(reducing, revenue)
        opening = count - reducing
        spent = own * opening
        self.cost += spent
        self.traded += spent
        self.count += side.sign * count
        self.volume += count
        return revenue - spent, opening

    def _release(self, count: Count, proceeds: Money) -> None:
        """Give up part of what is held, at its average cost."""
        held = abs(self.count)
        cost = self.cost * count // held
        self.cost -= cost
        self.realised += proceeds - cost
        self.open_fees -= self.open_fees * count // held

    def book_fee(self, fee: Money, opened: Count, count: Count, ts_ms: Milliseconds) -> None:
        """Add a fill's fee; `opened` of its `count` contracts are still held."""
        self.fees += fee
        self.open_fees += fee * opened // count
        self.updated_ms = ts_ms

    def pay_out(self, value: Price, grain: Money, ts_ms: Milliseconds) -> Money:
        """Close at the YES leg's final worth; returns what is credited, floored to the balance's grain."""
        paid = self.worth(value)
        paid -= paid % grain
        self.realised += paid - self.cost
        self.count = self.cost = self.open_fees = 0
        self.updated_ms = ts_ms
        return paid

    def worth(self, value: Price) -> Money:
        """What the held side is worth when the YES leg is worth `value`."""
        return self.count * value if self.count > 0 else -self.count * (PRICE_ONE - value)

    def view(self, market: Market, subaccount: int) -> PositionRecord:
        return PositionRecord(
            market=market.ticker,
            event=market.event,
            count=self.count,
            cost=self.cost,
            realised=self.realised,
            fees=self.fees,
            open_fees=self.open_fees,
            traded=self.traded,
            volume=self.volume,
            updated_ms=self.updated_ms,
            exchange_index=market.exchange_index,
            settled=self.settled,
            subaccount=subaccount,
        )


@define(eq=False)
class Account:
    """One subaccount of a member, 0 the primary one; cash, positions and resting orders are its own.

    `family`, `orders`, `client_order_ids`, `fills` and `settlements` are the member's: the same objects in
    all of the member's accounts. `credit`: the crowd's and the recordings' accounts, whose cash may be anything, which
    pay no fees and keep no lists. Invariant: `resting` holds exactly the account's orders that stand in a book, by
    market.
    """

    user_id: str
    key_id: str
    credit: bool
    cash: dict[int, Money]
    number: int = 0
    family: dict[int, Account] = field(factory=dict)
    positions: dict[Ticker, Position] = field(factory=dict)
    resting: dict[Ticker, dict[str, LiveOrder]] = field(factory=dict)
    orders: dict[str, LiveOrder] = field(factory=dict)
    client_order_ids: set[str] = field(factory=set)
    fills: list[Fill] = field(factory=list)
    settlements: list[Settlement] = field(factory=list)
    updated_ms: Milliseconds = 0
    cancels_until_ms: Milliseconds = 0  # a cancel-all still acts on what comes to rest before it

    def open_subaccount(self, number: int) -> Account:
        """Another account of the same member, without cash."""
        account = evolve(self, number=number, cash=dict.fromkeys(self.cash, 0), positions={}, resting={})
        self.family[number] = account
        return account

    def position(self, ticker: Ticker) -> Position:
        """The standing in a market, flat at first."""
        position = self.positions.get(ticker)
        if position is None:
            position = self.positions[ticker] = Position()
        return position

    def count(self, ticker: Ticker) -> Count:
        """The signed count held in a market."""
        position = self.positions.get(ticker)
        return 0 if position is None else position.count

    def stand(self, order: LiveOrder) -> None:
        self.resting.setdefault(order.market, {})[order.order_id] = order

    def leave(self, order: LiveOrder) -> None:
        """Forget that an order stands; it may have been filled on arrival."""
        self.resting.get(order.market, {}).pop(order.order_id, None)

    def collateral(self, ticker: Ticker, extra: LiveOrder | None = None) -> Money:
        """What the resting orders of one market hold; `extra` is an order that might join them."""
        orders = list(self.resting.get(ticker, {}).values())
        if extra is not None:
            orders.append(extra)
        count = self.count(ticker)
        bids = side_cost((o for o in orders if o.is_bid), max(0, -count))
        return bids + side_cost((o for o in orders if not o.is_bid), max(0, count))


def side_cost(orders: Iterable[LiveOrder], covered: Count) -> Money:
    """What the orders of one side cost to fill, when `covered` contracts of the other side are held."""
    total = 0
    for order in sorted(orders, key=lambda o: -o.own):
        closing = min(covered, order.remaining)
        covered -= closing
        total += order.own * (order.remaining - closing)
    return total
