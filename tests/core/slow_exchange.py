"""An exchange for one account, as far as the ledger can tell: it knows what became of every order, and queues the news.

Nothing matches here: a test says what trades, what is struck off and what pays out, and when any of it is told.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from account_facts import IOC, NOON
from attrs import define, evolve, field
from slow_account import DOLLARS
from slow_fees import Rates, charge

from kalshi_daemon import facts
from kalshi_daemon.facts import AccountFact, BalanceReading, FillSeen, OrderSeen, OrderSpec, SettlementSeen
from kalshi_daemon.units import CONTRACT, PRICE_ONE, BookSide, Count, Milliseconds, Money, Price, Ticker


class Terms(NamedTuple):
    spec: OrderSpec
    worst: Money


@define(eq=False)
class Truth:
    """One order as the exchange has it; `answer` is under way to us."""

    spec: OrderSpec
    key: str
    order_id: str
    worst: Money
    sent_ms: Milliseconds = 0
    there: bool = False  # it reached the exchange
    over: bool = False
    filled: Count = 0
    reason: str = ""
    stamp_ms: Milliseconds = 0
    answer: AccountFact | None = None
    paid: Money = 0  # for its fills, fees with it, each as though nothing was held
    gathered: Fraction = Fraction(0)  # dollars of rounding fees
    before: Terms | None = None  # of the amend that was asked for last: what it had been,
    asked: Terms | None = None  # and was to become
    initial: Count = 0  # what it was placed or amended for, where it was decreased since
    touched: bool = False  # another hand has changed it,
    had: list[OrderSpec] = field(factory=list)  # and what it was before

    @property
    def left(self) -> Count:
        return self.spec.count - self.filled


@define
class SlowExchange:
    """`orders` are ours, `others` somebody else's on this account; `fills`, `paid` and `drift` are all that moved its
    positions; `news` is what the stream says of it.
    """

    rates: dict[Ticker, Rates]
    now_ms: Milliseconds = NOON
    orders: list[Truth] = field(factory=list)
    others: list[Truth] = field(factory=list)
    fills: dict[str, FillSeen] = field(factory=dict)  # by trade id
    drift: dict[Ticker, Count] = field(factory=dict)  # contracts that came by no fill
    paid: dict[Ticker, SettlementSeen] = field(factory=dict)
    news: list[AccountFact] = field(factory=list)

    def tick(self) -> Milliseconds:
        self.now_ms += 1
        return self.now_ms

    def resting(self) -> list[Truth]:
        return [each for each in (*self.orders, *self.others) if each.there and not each.over]

    def collateral(self, market: Ticker, held: Count, reading: BalanceReading) -> Money:
        """What the balance leaves out of the cash for what rests; the dearest orders close what is held first."""
        if reading is BalanceReading.NOTHING:
            return 0
        total = 0
        for side in BookSide:
            covered = max(0, -side.sign * held) if reading is BalanceReading.OPENING else 0
            orders = [each for each in self.resting() if (each.spec.market, each.spec.side) == (market, side)]
            for order in sorted(orders, key=lambda each: worst_of(side, each.spec.price, 1), reverse=True):
                total += worst_of(side, order.spec.price, max(0, order.left - covered))
                covered = max(0, covered - order.left)
        return total

    def arrive(self, order: Truth, fate: str, taken: Count, better: Price) -> None:
        """A request for an order: it may never arrive, be refused, rest, or take `taken` at once."""
        self.tick()
        if fate == "never":
            order.answer = facts.OrderLost(self.now_ms, order.key, "reset")
        elif fate == "refused" or order.spec.market in self.paid:
            order.answer = facts.OrderRefused(self.now_ms, order.key, 409, "market_closed", "")
        else:
            order.there = True
            if order.spec.time_in_force is IOC:
                self.execute(order, min(taken, order.spec.count), better)
                order.over = True
            self._tell(order)
            left = 0 if order.over else order.left
            order.answer = facts.OrderAcknowledged(
                self.now_ms, order.key, order.order_id, order.filled, left, self.now_ms
            )

    def cancel(self, order: Truth) -> None:
        """A cancel arrives."""
        if order.over:
            order.answer = facts.CancelMissing(self.tick(), order.key)
        else:
            self.end(order, "")
            order.answer = facts.CancelAcknowledged(self.now_ms, order.key, order.left, self.now_ms)

    def amend(self, order: Truth, spec: OrderSpec, worst: Money, fate: str) -> None:
        """An amend to `spec`: it may never arrive, be refused, find nothing that rests, or be carried out."""
        self.tick()
        if fate == "never":
            order.answer = facts.AmendLost(self.now_ms, order.key, "reset")
        elif order.over:
            order.answer = facts.AmendMissing(self.now_ms, order.key)
        elif fate == "refused" or spec.count <= order.filled:
            order.answer = facts.AmendRefused(self.now_ms, order.key, 400, "invalid_order_size", "")
        else:
            order.spec, order.worst, order.initial = spec, worst, 0
            self._tell(order)
            order.answer = facts.AmendAcknowledged(self.now_ms, order.key, order.left, self.now_ms)

    def decrease(self, order: Truth, left: Count) -> None:
        """Another hand leaves `left` contracts of it to rest; what it was first for stays what is shown."""
        self.tick()
        initial = order.initial or order.spec.count
        self.change(order, order.spec.price, left, order.spec.expires_s)
        order.initial = initial
        self.news[-1] = self._sight(order)

    def change(self, order: Truth, price: Price, left: Count, expires_s: int | None) -> None:
        """Another hand amends it, also to have no end of its own any more."""
        self.tick()
        order.touched, order.initial = True, 0
        order.had.append(order.spec)
        order.spec = evolve(order.spec, price=price, count=order.filled + left, expires_s=expires_s)
        self._tell(order)

    def trade(self, order: Truth, count: Count) -> None:
        """Somebody takes `count` of a resting order."""
        self.tick()
        self.execute(order, count, 0)
        self._tell(order)

    def execute(self, order: Truth, count: Count, better: Price) -> None:
        """`count` of it trade, `better` than its limit where the grid has room."""
        if not count:
            return
        side, takes = order.spec.side, order.spec.time_in_force is IOC
        price = min(max(order.spec.price - better * side.sign, 1), PRICE_ONE - 1)
        rates = self.rates[order.spec.market]
        rate = rates.taker if takes else rates.maker
        dollars, contracts = Fraction(price, PRICE_ONE), Fraction(count, CONTRACT)
        charged, order.gathered = charge(rate, side.sign, dollars, contracts, order.gathered)
        fee = int(charged / DOLLARS)
        trade_id = f"t{len(self.fills)}"
        self.fills[trade_id] = fill = FillSeen(
            at_ms=self.now_ms,
            source="stream",
            trade_id=trade_id,
            order_id=order.order_id,
            client_order_id=order.key,
            market=order.spec.market,
            side=side,
            price=price,
            count=count,
            fee=fee,
            is_taker=takes,
            ts_ms=self.now_ms,
            exchange_index=order.spec.exchange_index,
        )
        order.paid += worst_of(side, price, count) + fee
        order.filled += count
        order.over |= not order.left
        self.news.append(fill)

    def end(self, order: Truth, reason: str) -> None:
        """It is cancelled, whoever wanted it so."""
        self.tick()
        order.over, order.reason = True, reason
        self._tell(order)

    def place(self, order: Truth) -> None:
        """Somebody else places an order on this account, by hand or with another program: it rests."""
        self.tick()
        order.there = True
        self.others.append(order)
        self._tell(order)

    def settle(self, market: Ticker, shard: int, value: Price) -> SettlementSeen:
        """The market is over: what rests is struck off, what is held is paid out."""
        for order in self.resting():
            if order.spec.market == market:
                self.end(order, "CloseCancel")
        held = self.held(market)
        word = {0: "no", PRICE_ONE: "yes"}.get(value, "scalar")
        revenue = held * value if held > 0 else -held * (PRICE_ONE - value)
        self.paid[market] = SettlementSeen(self.tick(), market, word, value, held, revenue, 0, self.now_ms, shard)
        self.news.append(self.paid[market])
        return self.paid[market]

    def held(self, market: Ticker) -> Count:
        """By its fills and by what came without one."""
        filled = sum(each.side.sign * each.count for each in self.fills.values() if each.market == market)
        return filled + self.drift.get(market, 0)

    def page(self, *, newest_first: bool = False) -> list[AccountFact]:
        """Complete reads of orders, fills and settlements as of now; of a fill a read does not say the client's id."""
        there = [each for each in (*self.orders, *self.others) if each.there]
        orders = [evolve(self._sight(order), source="read") for order in there]
        fills = [evolve(fill, source="read", client_order_id="") for fill in self.fills.values()]
        return [*orders, *(reversed(fills) if newest_first else fills), *self.paid.values()]

    def _tell(self, order: Truth) -> None:
        order.stamp_ms = self.now_ms
        self.news.append(self._sight(order))

    def _sight(self, order: Truth) -> OrderSeen:
        status = "executed" if not order.left else "canceled" if order.over else "resting"
        return OrderSeen(
            at_ms=self.now_ms,
            source="stream",
            order_id=order.order_id,
            client_order_id=order.key,
            market=order.spec.market,
            side=order.spec.side,
            price=order.spec.price,
            status=status,
            filled=order.filled,
            remaining=0 if order.over else order.left,
            initial=order.initial or order.spec.count,
            updated_ms=order.stamp_ms,
            expires_s=order.spec.expires_s,
            reason=order.reason,
            exchange_index=order.spec.exchange_index,
        )


def somebody_elses(spec: OrderSpec, number: int) -> Truth:
    """An order on this account that is not ours; one that is never placed is never shown, only its fills are."""
    return Truth(spec, f"somebody-{number}", f"f{number}", 0)


def worst_of(side: BookSide, price: Price, count: Count) -> Money:
    """What an order can cost at most, fees apart."""
    return (price if side is BookSide.BID else PRICE_ONE - price) * count
