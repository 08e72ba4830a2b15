"""Executions: what the book decided, booked on accounts and told to listeners.

Rules: a trade moves cash, positions and fees of both sides in one step; the two sides share its id. Events of one
order come in this order: what recorded levels it hides, for each match the print and both fills, the levels that
changed, the orders that are over, what is left resting, the order itself, and the market's figures. Accounts of the
crowd hear nothing: nobody can sign in as one.
"""

from __future__ import annotations

from attrs import define

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.events import Filled, OrderGroupUpdated, OrderUpdated, PositionChanged, Traded
from kalshi_daemon.emulator.fees import charge, trade_fee
from kalshi_daemon.emulator.matching import Leg, Match
from kalshi_daemon.emulator.model import Fill, Trade, UpdateReason
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.emulator.recorded import RecordedBook
from kalshi_daemon.emulator.venue import MarketState, Venue
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Milliseconds, Money, Price, TimeInForce

EXPIRY = "expiry"  # the calendar's kind for an order's end


@define
class Taken:
    """Sums over the matches of one arriving order, on the YES leg."""

    count: Count = 0
    cost: Money = 0
    fees: Money = 0


class Execution:
    """Places, cancels and fills orders of one venue. Admission is the caller's."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._traded_groups: dict[str, OrderGroup] = {}  # since it was last asked whether they reached their limits

    def place(self, state: MarketState, account: Account, order: LiveOrder, now: Milliseconds) -> Taken:
        """Let an admitted order meet the book; what is left of it rests or is cancelled."""
        venue = self._venue
        capped = order.filled + order.remaining < order.initial  # by reduce_only
        outcome = state.book.match(order)
        taken = Taken()
        for match in outcome.matches:
            self._trade(state, account, order, match, taken, now)
        for change in outcome.changes:
            venue.level_changed(state, change, now)
        for match in outcome.matches:
            if match.maker is not None:
                self._after_fill(match.maker)
        for maker in outcome.displaced:
            self._end(maker, UpdateReason.SELF_TRADE_CANCEL, now)
        if order.remaining and (outcome.stopped or order.time_in_force is not TimeInForce.GOOD_TILL_CANCELED):
            order.end(UpdateReason.SELF_TRADE_CANCEL if outcome.stopped else UpdateReason.NONE, now)
        elif order.remaining:
            self._rest(state, account, order, now)
        elif capped:
            order.end(UpdateReason.REDUCE_ONLY_CANCEL, now)
        self._updated(account, order)
        if state.recorded is not None:
            self._reveal(state, now)
        venue.figures_changed(state, now)
        self._stop_groups(now)
        return taken

    def refuse_late(self, account: Account, order: LiveOrder, reason: UpdateReason, now: Milliseconds) -> None:
        """An order that is answered as placed and never reaches the book."""
        order.end(reason, now)
        self._updated(account, order)

    def _rest(self, state: MarketState, account: Account, order: LiveOrder, now: Milliseconds) -> None:
        venue = self._venue
        if state.recorded is not None:  # what it crosses goes first, so that no listener sees a crossed book
            other = state.book.leg(order.side.opposite)
            resting = max(order.own, state.book.leg(order.side).best_of_orders)
            self._show(state, state.recorded, other, resting, now)
        account.stand(order)
        venue.live[order.order_id] = order
        group = venue.groups.get(order.group_id)
        if group is not None:
            group.orders[order.order_id] = order
        self.schedule_expiry(order)
        venue.level_changed(state, state.book.leg(order.side).add(order), now)

    def schedule_expiry(self, order: LiveOrder) -> None:
        if order.expires_ms is not None:
            self._venue.schedule(order.expires_ms, EXPIRY, order.order_id)

    def cancel(self, order: LiveOrder, reason: UpdateReason) -> Count:
        """Take a resting order off its book; returns what remained of it."""
        state, now = self._venue.states[order.market], self._venue.now_ms()
        self._remove(state, order, now)
        reduced = self._end(order, reason, now)
        if state.recorded is not None:
            self._reveal(state, now)
        self._venue.figures_changed(state, now)
        return reduced

    def shrink(self, order: LiveOrder, count: Count, reason: UpdateReason) -> None:
        """Take some of a resting order's contracts, or none; it keeps its place."""
        state, now = self._venue.states[order.market], self._venue.now_ms()
        if count:
            self._venue.level_changed(state, state.book.leg(order.side).shrink(order, count), now)
        order.reason, order.updated_ms = reason, now
        self._updated(self._venue.owner(order), order)
        self._venue.figures_changed(state, now)

    def lift(self, order: LiveOrder) -> None:
        """Take a resting order off its book, to be placed again: it is not over, and nothing is told of it."""
        self._remove(self._venue.states[order.market], order, self._venue.now_ms())
        self._forget(order)

    def _remove(self, state: MarketState, order: LiveOrder, now: Milliseconds) -> None:
        self._venue.level_changed(state, state.book.leg(order.side).remove(order), now)

    def _end(self, order: LiveOrder, reason: UpdateReason, now: Milliseconds) -> Count:
        """An order that no book holds any more is over."""
        account = self._forget(order)
        reduced = order.end(reason, now)
        self._updated(account, order)
        return reduced

    def _forget(self, order: LiveOrder) -> Account:
        account = self._venue.owner(order)
        account.leave(order)
        del self._venue.live[order.order_id]
        group = self._venue.groups.get(order.group_id)
        if group is not None:
            group.orders.pop(order.order_id, None)
        return account

    # ------------------------------------------------------------------------------------------------- order groups

    def _stop_groups(self, now: Milliseconds) -> None:
        """Trigger the groups that have reached their limits by what has just traded."""
        groups = list(self._traded_groups.values())
        self._traded_groups.clear()
        for group in groups:
            if not group.triggered and group.reached(now):
                self.trigger(group)

    def trigger(self, group: OrderGroup) -> None:
        """Cancel what a group has resting, and let it take no more."""
        group.triggered = True
        self.cancel_group(group)
        self.tell_group(group, "triggered")

    def cancel_group(self, group: OrderGroup) -> None:
        for order in list(group.orders.values()):
            self.cancel(order, UpdateReason.NONE)

    def tell_group(self, group: OrderGroup, event_type: str, limit: Count | None = None) -> None:
        now = self._venue.now_ms()
        self._venue.emit(OrderGroupUpdated(group.user_id, group.group_id, event_type, limit, now, group.subaccount))

    def _after_fill(self, maker: LiveOrder) -> None:
        """Tell of a resting order that traded; it is over if nothing remains."""
        if maker.remaining:
            self._updated(self._venue.owner(maker), maker)
        elif maker.order_id in self._venue.live:
            self._updated(self._forget(maker), maker)

    def _updated(self, account: Account, order: LiveOrder) -> None:
        if account.credit:
            return
        account.updated_ms = order.updated_ms
        self._venue.emit(OrderUpdated(account.user_id, order.view()))

    # ------------------------------------------------------------------------------------------------------- trades

    def _trade(
        self, state: MarketState, taker: Account, order: LiveOrder, match: Match, taken: Taken, now: Milliseconds
    ) -> None:
        """Book one match of an arriving order."""
        trade = self._print(state, match.price, match.count, order.side, now)
        maker = self._venue.recorder if match.maker is None else self._venue.owner(match.maker)
        self._book(state, maker, match.maker, trade, is_taker=False)
        fee = self._book(state, taker, order, trade, is_taker=True)
        taken.count += match.count
        taken.cost += match.price * match.count
        taken.fees += fee

    def _print(self, state: MarketState, price: Price, count: Count, taker: BookSide, now: Milliseconds) -> Trade:
        trade = Trade(self._venue.new_id(), state.market.ticker, price, count, taker, now)
        state.trades.append(trade)
        state.last_price, state.last_count = price, count
        state.volume += count
        state.dollar_volume += price * count
        self._venue.emit(Traded(trade))
        return trade

    def _book(
        self, state: MarketState, account: Account, order: LiveOrder | None, trade: Trade, *, is_taker: bool
    ) -> Money:
        """One account's side of a trade; `order` is None for recorded contracts. Returns its fee."""
        side = trade.taker_side if is_taker else trade.taker_side.opposite
        position = account.position(trade.market)
        before = position.count
        revenue, opened = position.book_fill(side, trade.price, trade.count)
        state.open_interest += max(0, position.count) - max(0, before)
        shard = state.market.exchange_index
        if account.credit or order is None:
            account.cash[shard] += revenue
            return 0
        fee = trade_fee(state.charges(trade.ts_ms), trade.price, trade.count, is_taker=is_taker)
        charged = charge(revenue, fee, order.gathered, self._venue.settings.balance_grain)
        order.gathered = charged.gathered
        account.cash[shard] += revenue - charged.fee
        position.book_fee(charged.fee, opened, trade.count, trade.ts_ms)
        order.book_fill(trade.price, trade.count, charged.fee, trade.ts_ms, is_taker=is_taker)
        group = self._venue.groups.get(order.group_id)
        if group is not None:
            group.note(trade.count, trade.ts_ms)
            self._traded_groups[group.group_id] = group
        self._tell_fill(state, account, order, trade, charged.fee, is_taker=is_taker)
        return charged.fee

    def _tell_fill(
        self, state: MarketState, account: Account, order: LiveOrder, trade: Trade, fee: Money, *, is_taker: bool
    ) -> None:
        fill = Fill(
            trade_id=trade.trade_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            market=trade.market,
            side=order.side,
            price=trade.price,
            count=trade.count,
            fee=fee,
            is_taker=is_taker,
            ts_ms=trade.ts_ms,
            exchange_index=state.market.exchange_index,
            subaccount=account.number,
        )
        account.fills.append(fill)
        position = account.position(trade.market)
        self._venue.emit(Filled(account.user_id, fill, position.count))
        self._venue.emit(PositionChanged(account.user_id, position.view(state.market, account.number)))

    # ----------------------------------------------------------------------------------------------- recorded books

    def set_recorded(self, state: MarketState, recorded: RecordedBook, leg: Leg, price: Price, count: Count) -> None:
        """A recorded level changed: while there is trading, our orders that it meets fill; what nobody crosses is
        shown."""
        now = self._venue.now_ms()
        grown = recorded.put(leg, price, count)
        other = state.book.no if leg.yes else state.book.yes
        met = grown > 0 and other.best_of_orders + price >= PRICE_ONE and self._venue.trades(state.market)
        if met:
            self._meet_recorded(state, other, price, grown, now)
        crossed = price + other.best_of_orders >= PRICE_ONE
        change = leg.show_recorded(price, 0 if crossed else count)
        if change is not None:
            self._venue.level_changed(state, change, now)
        if met:
            self._reveal(state, now)
        self._venue.figures_changed(state, now)
        self._stop_groups(now)

    def clear_recorded(self, state: MarketState) -> None:
        """The market has closed: a recording says nothing about it any more."""
        if state.recorded is None:
            return
        for leg in (state.book.yes, state.book.no):
            for price in list(state.recorded.levels(leg)):
                self.set_recorded(state, state.recorded, leg, price, 0)
        state.recorded = None

    def _meet_recorded(self, state: MarketState, other: Leg, price: Price, count: Count, now: Milliseconds) -> None:
        """Fill the orders of `other` that recorded contracts at `price` touch or cross, best first, for at most
        `count`.
        """
        taker_side = BookSide.ASK if other.yes else BookSide.BID
        while count and (own := other.best_of_orders) + price >= PRICE_ONE:
            maker = other.levels[own].orders[0]
            met = min(count, maker.remaining)
            count -= met
            trade = self._print(state, maker.price, met, taker_side, now)
            change = other.reduce(maker, met)
            self._book(state, self._venue.recorder, None, trade, is_taker=True)
            account = self._venue.owner(maker)
            self._book(state, account, maker, trade, is_taker=False)
            self._venue.level_changed(state, change, now)
            self._after_fill(maker)

    def _reveal(self, state: MarketState, now: Milliseconds) -> None:
        """Orders may have come or gone: show of the recording what none of them crosses."""
        if state.recorded is None:
            return
        book = state.book
        self._show(state, state.recorded, book.yes, book.no.best_of_orders, now)
        self._show(state, state.recorded, book.no, book.yes.best_of_orders, now)

    def _show(self, state: MarketState, recorded: RecordedBook, leg: Leg, resting: Price, now: Milliseconds) -> None:
        for change in recorded.reveal(leg, resting):
            self._venue.level_changed(state, change, now)
