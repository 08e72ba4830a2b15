"""Whether an order may reach the book: every check of the exchange, in one fixed order, before anything changes.

Rules: a refused order leaves no trace; in particular its client order id is not used up. Terms are checked before the
market's state, the market's state before the book, and money last.

Affordability (assumed): the order at its own limit price with the taker's fee, beside all that rests, must be
covered by the shard's cash. Resting orders are set down with the maker's fee as one fill each; many small fills may
cost more in rounding, so cash can fall below zero by at most two fee grains for each fill.
"""

from __future__ import annotations

import re

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.amendments import Amendment
from kalshi_daemon.emulator.fees import trade_fee
from kalshi_daemon.emulator.grid import on_grid
from kalshi_daemon.emulator.model import Market, MarketStatus, NewOrder
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.emulator.venue import MarketState, Venue
from kalshi_daemon.units import SECOND_MS, Count, Milliseconds, Money, Price, TimeInForce

AUTO_ROUTE = -1
_CLIENT_ORDER_ID = re.compile(r"[-A-Za-z0-9_:+=/]{0,64}")


def routed(venue: Venue, order: NewOrder) -> MarketState:
    """The market that an order goes to. A market on another shard than the one asked for is not found there."""
    state = venue.states.get(order.market)
    if state is None or order.exchange_index not in (None, AUTO_ROUTE, state.market.exchange_index):
        raise refusals.market_not_found()
    return state


def check_terms(account: Account, order: NewOrder, market: Market, now_ms: Milliseconds) -> None:
    """What can be refused without looking at the market's state."""
    _check_client_order_id(account, order.client_order_id)
    if order.count <= 0:
        raise refusals.invalid_order_size()
    if not _is_price(order.price, market):
        raise refusals.invalid_price()
    if order.expires_s is not None:
        _check_expiry(order, order.expires_s, now_ms)
    if order.reduce_only and order.time_in_force is TimeInForce.GOOD_TILL_CANCELED:
        raise refusals.invalid_order("reduce_only can only be used with IoC or FoK orders")


def check_amendment(account: Account, order: LiveOrder, terms: Amendment, market: Market, now_ms: Milliseconds) -> None:
    """The terms that an amendment brings."""
    if terms.updated_client_order_id != order.client_order_id:
        _check_client_order_id(account, terms.updated_client_order_id)
    if terms.price != order.price and not _is_price(terms.price, market):
        raise refusals.invalid_price()
    if terms.expires_s:
        _check_future(terms.expires_s, now_ms)


def _is_price(price: Price, market: Market) -> bool:
    """Whether the market takes it: on its grid, and not below what it can settle at."""
    return on_grid(price, market.price_ranges) and price >= (market.floor or 0)


def _check_client_order_id(account: Account, client_order_id: str) -> None:
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise refusals.invalid_parameters("client_order_id: at most 64 of letters, digits and -_:+=/")
    if client_order_id in account.client_order_ids:
        raise refusals.order_already_exists()


def _check_future(expires_s: int, now_ms: Milliseconds) -> None:
    if expires_s * SECOND_MS <= now_ms:
        raise refusals.invalid_parameters("expiration_time must be in the future")


def _check_expiry(order: NewOrder, expires_s: int, now_ms: Milliseconds) -> None:
    if order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
        raise refusals.invalid_parameters("Cannot specify both immediate_or_cancel and expiration_ts")
    if order.time_in_force is TimeInForce.FILL_OR_KILL:
        raise refusals.invalid_parameters("Cannot specify both fill_or_kill and expiration_ts")
    _check_future(expires_s, now_ms)


def check_exchange(venue: Venue) -> None:
    """Whether anything changes state at all, cancels included."""
    if not venue.hours.active:
        raise refusals.exchange_is_paused()


def check_open(venue: Venue, market: Market) -> None:
    """Whether the market takes orders now."""
    if market.status not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
        raise refusals.market_inactive()
    if not venue.trades(market):
        raise refusals.trading_is_paused()


def admitted_count(account: Account, order: NewOrder) -> Count:
    """How much of the order may go on: all of it, or with reduce_only at most what it closes."""
    if not order.reduce_only:
        return order.count
    closable = -account.count(order.market) * order.side.sign
    if closable <= 0:
        raise refusals.invalid_order("reduce_only order would not reduce the position")  # assumed
    return min(order.count, closable)


def check_group(venue: Venue, account: Account, order: NewOrder, market: Market) -> None:
    """Whether the order's group, if it names one, takes it; the answers are assumed."""
    if not order.order_group_id:
        return
    group = venue.groups.get(order.order_group_id)
    if group is None or (group.user_id, group.subaccount) != (account.user_id, account.number):
        raise refusals.invalid_order("order group not found")
    if group.exchange_index != market.exchange_index:
        raise refusals.invalid_order("order group is on another exchange index")
    if group.triggered:
        raise refusals.invalid_order("order group has been triggered")


def check_book(state: MarketState, order: NewOrder, live: LiveOrder) -> None:
    """What depends on the orders that stand there now."""
    check_crossing(state, live)
    if (
        order.time_in_force is TimeInForce.FILL_OR_KILL
        and state.book.crossing_count(live.side, live.own) < live.remaining
    ):
        raise refusals.fill_or_kill_insufficient()


def check_crossing(state: MarketState, live: LiveOrder) -> None:
    if live.post_only and state.book.crosses(live.side, live.own):
        raise refusals.invalid_order("post only cross")


def check_money(venue: Venue, account: Account, state: MarketState, order: LiveOrder) -> None:
    """Whether the shard's cash covers the order beside everything that rests there."""
    if account.credit:
        return
    shard = state.market.exchange_index
    held = account.count(order.market)
    opening = order.remaining - min(order.remaining, max(0, -held * order.side.sign))
    now_ms = venue.now_ms()
    fee = trade_fee(state.charges(now_ms), order.price, opening, is_taker=True)
    needed = account.collateral(order.market, order) + fee
    for ticker, orders in account.resting.items():
        other = venue.states[ticker]
        if other.market.exchange_index != shard:
            continue
        if ticker != order.market:
            needed += account.collateral(ticker)
        needed += _maker_fees(other, orders, now_ms)
    if needed > account.cash[shard]:
        raise refusals.insufficient_balance()


def _maker_fees(state: MarketState, orders: dict[str, LiveOrder], now_ms: Milliseconds) -> Money:
    series = state.charges(now_ms)
    return sum(trade_fee(series, o.price, o.remaining, is_taker=False) for o in orders.values())
