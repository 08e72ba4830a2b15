"""What members do with orders: create, amend, decrease, cancel, and ask how far from the front one stands.

Rules: time passes first (the caller's doing), then every check, then the change: a refused request changes nothing.
An amendment keeps its order's place at its price if it changes the expiry, or makes the count smaller; any other
change is a fresh arrival in the book, which may trade. A pause stops creates and amendments; cancels and decreases
pass (of decreases it is assumed: they are cancels in part).
"""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.emulator import admission, refusals
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.amendments import Amended, Amendment, Decrease, QueuePlace
from kalshi_daemon.emulator.execution import Execution, Taken
from kalshi_daemon.emulator.model import Cancelled, MarketStatus, NewOrder, Placed, UpdateReason
from kalshi_daemon.emulator.orders import LiveOrder, live_order
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.venue import MarketState, Venue
from kalshi_daemon.units import CONTRACT, SECOND_MS, Count, Money, Price, Ticker


class Trading:
    """The order operations of one venue."""

    def __init__(self, venue: Venue, execution: Execution) -> None:
        self._venue = venue
        self._execution = execution

    def create(self, account: Account, order: NewOrder) -> Placed:
        venue, now = self._venue, self._venue.now_ms()
        state = admission.routed(venue, order)
        admission.check_terms(account, order, state.market, now)
        admission.check_open(venue, state.market)
        count = admission.admitted_count(account, order)
        admission.check_group(venue, account, order, state.market)
        owner = (account.user_id, account.number)
        live = live_order(order, count, venue.new_id(), owner, state.market.exchange_index, now)
        late = self._refused_late(state, order, live)
        if late is None:
            admission.check_money(venue, account, state, live)
        if not account.credit:
            account.orders[live.order_id] = live
            if live.client_order_id:
                account.client_order_ids.add(live.client_order_id)
        if late is not None:
            self._execution.refuse_late(account, live, late, now)
            return Placed(live.order_id, live.client_order_id, 0, 0, None, None, now)
        taken = self._execution.place(state, account, live, now)
        if now < account.cancels_until_ms and live.order_id in venue.live:
            self._execution.cancel(live, UpdateReason.NONE)
        price, fee = _averages(taken)
        return Placed(live.order_id, live.client_order_id, taken.count, live.remaining, price, fee, now)

    def _refused_late(self, state: MarketState, order: NewOrder, live: LiveOrder) -> UpdateReason | None:
        """Why an order is placed only to be cancelled, where the settings have it so. Raises Refused otherwise."""
        try:
            admission.check_book(state, order, live)
        except Refused:
            if order.post_only and self._venue.settings.places_crossing_post_only:
                return UpdateReason.POST_ONLY_CROSS_CANCEL
            if not order.post_only and self._venue.settings.places_unfillable_fok:
                return UpdateReason.NONE
            raise
        return None

    def cancel(self, account: Account, order_id: str, market_ticker: Ticker | None, index: int | None) -> Cancelled:
        order = self._resting(account, order_id, market_ticker, index)
        reduced = self._execution.cancel(order, UpdateReason.NONE)
        return Cancelled(order.order_id, order.client_order_id, reduced, order.updated_ms)

    def cancel_all(self, account: Account) -> int:
        account.cancels_until_ms = self._venue.now_ms() + self._venue.settings.cancel_all_lasts_ms
        orders = [order for resting in account.resting.values() for order in resting.values()]
        for order in orders:
            self._execution.cancel(order, UpdateReason.NONE)
        return len(orders)

    # -------------------------------------------------------------------------------------------------- amendments

    def decrease(self, account: Account, order_id: str, decrease: Decrease) -> Cancelled:
        order = self._resting(account, order_id, decrease.market, decrease.exchange_index)
        reduced = decrease.by if decrease.by is not None else order.remaining - (decrease.to or 0)
        if not 0 < reduced <= order.remaining:
            raise refusals.invalid_order_size()  # assumed
        if reduced == order.remaining:
            self._execution.cancel(order, UpdateReason.DECREASE)
        else:
            self._execution.shrink(order, reduced, UpdateReason.DECREASE)
        return Cancelled(order.order_id, order.client_order_id, reduced, order.updated_ms, order.remaining)

    def amend(self, account: Account, order_id: str, terms: Amendment) -> Amended:
        venue, now = self._venue, self._venue.now_ms()
        order = self._amendable(account, order_id, terms)
        state = venue.states[order.market]
        remaining = terms.count - order.filled
        if remaining <= 0:
            raise refusals.invalid_order_size()  # assumed
        admission.check_amendment(account, order, terms, state.market, now)
        admission.check_open(venue, state.market)
        before = order.remaining
        keeps_place = terms.price == order.price and remaining <= before
        taken = Taken()
        if not keeps_place:
            self._check_again(account, state, order, terms.price, remaining)
        self._restate(account, order, terms)
        if keeps_place:
            self._execution.shrink(order, before - remaining, UpdateReason.AMEND)
        else:
            self._execution.lift(order)
            order.reprice(terms.price, remaining)
            taken = self._execution.place(state, account, order, now)
        price, fee = _averages(taken)
        moved = bool(taken.count) or order.remaining != before
        return Amended(order.order_id, order.client_order_id, taken.count, order.remaining, price, fee, now, moved)

    def _amendable(self, account: Account, order_id: str, terms: Amendment) -> LiveOrder:
        """The order that an amendment is for. What it says of the order must be true of it."""
        order = self._own(account, order_id, self._shard(terms.market, terms.exchange_index))
        if order.market != terms.market:
            raise refusals.mismatch("order_ticker_mismatch")
        if order.side is not terms.side:
            raise refusals.mismatch("order_side_mismatch")
        if terms.client_order_id not in ("", order.client_order_id):
            raise refusals.mismatch("order_id_and_client_order_id_mismatch")
        return order

    def _check_again(
        self, account: Account, state: MarketState, order: LiveOrder, price: Price, remaining: Count
    ) -> None:
        """What a fresh arrival is asked: whether it may cross, and whether there is cash for it."""
        candidate = evolve(order)
        candidate.reprice(price, remaining)
        admission.check_crossing(state, candidate)
        account.leave(order)
        try:
            admission.check_money(self._venue, account, state, candidate)
        finally:
            account.stand(order)

    def _restate(self, account: Account, order: LiveOrder, terms: Amendment) -> None:
        """The terms that have nothing to do with the book."""
        order.initial = terms.count
        order.reason = UpdateReason.AMEND
        order.updated_ms = self._venue.now_ms()
        if terms.updated_client_order_id:
            order.client_order_id = terms.updated_client_order_id
            account.client_order_ids.add(order.client_order_id)
        if terms.expires_s is not None:
            order.expires_ms = terms.expires_s * SECOND_MS or None
            self._execution.schedule_expiry(order)

    # ------------------------------------------------------------------------------------------------- resting orders

    def queue_place(self, account: Account, order_id: str) -> QueuePlace:
        """Raises Refused not_found for an order that does not rest."""
        order = self._venue.live.get(order_id)
        if order is None or order.user_id != account.user_id:  # of any subaccount: the endpoint cannot name one
            raise refusals.not_found()
        return self._place_of(order)

    def queue_places(self, account: Account) -> list[QueuePlace]:
        """Of every resting order of an account, market by market."""
        return [self._place_of(order) for orders in account.resting.values() for order in orders.values()]

    def _place_of(self, order: LiveOrder) -> QueuePlace:
        leg = self._venue.states[order.market].book.leg(order.side)
        return QueuePlace(order.order_id, order.market, leg.ahead(order))

    def _resting(self, account: Account, order_id: str, market_ticker: Ticker | None, asked: int | None) -> LiveOrder:
        """A resting order of the account, on the shard asked for, the market's, or else shard 0."""
        shard = self._shard(market_ticker, asked)
        if market_ticker is not None:
            state = self._venue.states.get(market_ticker)
            if state is None:
                raise refusals.not_found()
            if state.market.status not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
                raise refusals.market_inactive()
        order = self._own(account, order_id, shard)
        if market_ticker not in (None, order.market):
            raise refusals.not_found()
        return order

    def _own(self, account: Account, order_id: str, shard: int) -> LiveOrder:
        order = self._venue.live.get(order_id)
        if order is None or self._venue.owner(order) is not account or order.exchange_index != shard:
            raise refusals.not_found()
        return order

    def _shard(self, market: Ticker | None, asked: int | None) -> int:
        """Where a request goes: to the shard it names, or else to its market's, or else to shard 0."""
        if asked not in (None, admission.AUTO_ROUTE):
            return asked
        state = None if market is None else self._venue.states.get(market)
        return 0 if state is None else state.market.exchange_index


def _averages(taken: Taken) -> tuple[Price | None, Money | None]:
    """The average price and fee per contract, rounded half up; None without fills."""
    count = taken.count
    if not count:
        return None, None
    return (2 * taken.cost + count) // (2 * count), (2 * taken.fees * CONTRACT + count) // (2 * count)
