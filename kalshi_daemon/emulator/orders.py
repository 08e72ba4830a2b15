"""An order while the exchange works on it: the one mutable thing that matching, accounts and lists share.

Rules: `filled + remaining == initial` while it rests, unless it was decreased; a decrease, a cancel and the cap of
reduce_only leave the initial count unchanged, an amendment sets it; `own` is its price on the leg that it stands on (a
bid: the YES price, an ask: the NO price), which is also what one contract of it costs to open.
"""

from __future__ import annotations

from attrs import define

from kalshi_daemon.emulator.model import NewOrder, Order, OrderStatus, SelfTradePrevention, UpdateReason
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, BookSide, Count, Milliseconds, Money, Price, Ticker, TimeInForce


@define(eq=False)
class LiveOrder:
    """One order. Compared by identity; `gathered` is its rounding accumulator (fees.py)."""

    order_id: str
    client_order_id: str
    user_id: str
    market: Ticker
    exchange_index: int
    side: BookSide
    price: Price
    own: Price
    initial: Count
    remaining: Count
    time_in_force: TimeInForce
    self_trade_prevention: SelfTradePrevention
    cancel_on_pause: bool
    post_only: bool
    expires_ms: Milliseconds | None
    created_ms: Milliseconds
    updated_ms: Milliseconds
    subaccount: int = 0
    group_id: str = ""
    status: OrderStatus = OrderStatus.RESTING
    reason: UpdateReason = UpdateReason.NONE
    filled: Count = 0
    taker_cost: Money = 0
    maker_cost: Money = 0
    taker_fees: Money = 0
    maker_fees: Money = 0
    gathered: Money = 0

    @property
    def is_bid(self) -> bool:
        return self.side is BookSide.BID

    def book_fill(self, price: Price, count: Count, fee: Money, ts_ms: Milliseconds, *, is_taker: bool) -> None:
        """Note an execution's cost and fee; `remaining` was lowered by the book."""
        cost = (price if self.is_bid else PRICE_ONE - price) * count
        self.filled += count
        self.updated_ms = ts_ms
        self.reason = UpdateReason.TRADE
        if is_taker:
            self.taker_cost += cost
            self.taker_fees += fee
        else:
            self.maker_cost += cost
            self.maker_fees += fee
        if not self.remaining:
            self.status = OrderStatus.EXECUTED

    def reprice(self, price: Price, remaining: Count) -> None:
        """Take another price and count, while no book holds it."""
        self.price = price
        self.own = price if self.is_bid else PRICE_ONE - price
        self.remaining = remaining

    def end(self, reason: UpdateReason, ts_ms: Milliseconds) -> Count:
        """Cancel what remains; returns how much that was."""
        reduced, self.remaining = self.remaining, 0
        self.status = OrderStatus.CANCELED
        self.reason = reason
        self.updated_ms = ts_ms
        return reduced

    def view(self) -> Order:
        """The order as it stands now, for listeners and lists."""
        return Order(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            user_id=self.user_id,
            market=self.market,
            side=self.side,
            price=self.price,
            status=self.status,
            initial=self.initial,
            filled=self.filled,
            remaining=self.remaining,
            taker_cost=self.taker_cost,
            maker_cost=self.maker_cost,
            taker_fees=self.taker_fees,
            maker_fees=self.maker_fees,
            time_in_force=self.time_in_force,
            self_trade_prevention=self.self_trade_prevention,
            cancel_on_pause=self.cancel_on_pause,
            expires_ms=self.expires_ms,
            created_ms=self.created_ms,
            updated_ms=self.updated_ms,
            reason=self.reason,
            exchange_index=self.exchange_index,
            subaccount=self.subaccount,
            group_id=self.group_id,
        )


def live_order(
    new: NewOrder, count: Count, order_id: str, owner: tuple[str, int], exchange_index: int, now_ms: Milliseconds
) -> LiveOrder:
    """An admitted order, before it meets the book. `count` of it may go on: less than asked for with reduce_only.

    `owner` is its user and subaccount.
    """
    user_id, subaccount = owner
    return LiveOrder(
        order_id=order_id,
        client_order_id=new.client_order_id,
        user_id=user_id,
        market=new.market,
        exchange_index=exchange_index,
        side=new.side,
        price=new.price,
        own=new.price if new.side is BookSide.BID else PRICE_ONE - new.price,
        initial=new.count,
        remaining=count,
        time_in_force=new.time_in_force,
        self_trade_prevention=new.self_trade_prevention,
        cancel_on_pause=new.cancel_on_pause,
        post_only=new.post_only,
        expires_ms=None if new.expires_s is None else new.expires_s * SECOND_MS,
        created_ms=now_ms,
        updated_ms=now_ms,
        subaccount=subaccount,
        group_id=new.order_group_id,
    )
