"""The exchange: every member's door to markets, orders and accounts. A facade; trading and execution do the work.

Rules: every call that looks at or changes orders first does what the clock has made due, so nothing expired can
trade and no read is ahead of the clock. What the exchange refuses is raised as `Refused`; a wrong use of its own
side is an assertion. Lists are newest first, as the exchange lists them. Order reads of an account see that
account's own orders only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from kalshi_daemon.emulator import admission, refusals
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.amendments import Amended, Amendment, Decrease, QueuePlace
from kalshi_daemon.emulator.bounds import SUBACCOUNTS_MAX
from kalshi_daemon.emulator.group_desk import GroupDesk
from kalshi_daemon.emulator.model import (
    Balance,
    BookView,
    Cancelled,
    ExchangeSettings,
    Fill,
    Market,
    MarketFigures,
    NewOrder,
    Order,
    OrderStatus,
    Placed,
    PositionRecord,
    Settlement,
    Trade,
)
from kalshi_daemon.emulator.operations import Operations
from kalshi_daemon.emulator.recorded import RecordedBook
from kalshi_daemon.emulator.trading import Trading
from kalshi_daemon.units import PRICE_ONE, BookSide, Count, Milliseconds, Money, Price, Ticker


class Exchange(Operations):
    """One emulated exchange: what it does itself is in `operations.py`, what members ask of it here."""

    def __init__(self, settings: ExchangeSettings, now_ms: Callable[[], Milliseconds], rng: random.Random) -> None:
        super().__init__(settings, now_ms, rng)
        self._trading = Trading(self._venue, self._execution)
        self._groups = GroupDesk(self._venue, self._execution)

    # ------------------------------------------------------------------------------------------------------- markets

    def market(self, ticker: Ticker) -> Market:
        """Raises Refused market_not_found, like the reads below."""
        return self._state(ticker).market

    def figures(self, ticker: Ticker) -> MarketFigures:
        return self._state(ticker).figures()

    def book(self, ticker: Ticker) -> BookView:
        """All levels; `clock` covers every LevelChanged told so far."""
        state = self._state(ticker)
        return BookView(ticker, state.book.yes.counts(), state.book.no.counts(), state.clock)

    def best(self, ticker: Ticker, side: BookSide) -> Price | None:
        """The best bid or the best ask, in the YES leg's price."""
        state = self._state(ticker)
        best = state.book.leg(side).best
        return best if best is None or side is BookSide.BID else PRICE_ONE - best

    def trades(self, ticker: Ticker | None = None) -> list[Trade]:
        """The last prints of one market, or of all."""
        if ticker is not None:
            return list(reversed(self._state(ticker).trades))
        prints = [trade for state in self._venue.states.values() for trade in state.trades]
        return sorted(prints, key=lambda trade: trade.ts_ms, reverse=True)

    # ------------------------------------------------------------------------------------------------------ accounts

    def open_account(self, key_id: str, cash: Money, exchange_index: int = 0) -> Account:
        """A member's account with cash on one shard."""
        assert key_id, "a member's account has a key"
        account = self._venue.open_account(key_id, credit=False)
        self.deposit(account, cash, exchange_index)
        return account

    def add_key(self, account: Account, key_id: str) -> None:
        """Let another key sign for an account."""
        assert key_id not in self._venue.by_key, f"key {key_id} has an account"
        self._venue.by_key[key_id] = account

    def open_crowd_account(self) -> Account:
        """An account without key, fees, lists or limits, for simulated participants."""
        return self._venue.open_account("", credit=True)

    def subaccount(self, account: Account, number: int) -> Account:
        """A member's account by its number. Raises Refused."""
        self._lifecycle.advance()
        found = account.family.get(number)
        if found is None:
            raise refusals.no_subaccount(number)
        return found

    def open_subaccount(self, account: Account, number: int) -> Account:
        """Another account of the same member, without cash."""
        assert 1 <= number <= SUBACCOUNTS_MAX, f"no subaccount {number}"
        assert number not in account.family, f"subaccount {number} is open"
        return account.open_subaccount(number)

    def deposit(self, account: Account, amount: Money, exchange_index: int = 0) -> None:
        assert amount % self.settings.balance_grain == 0, "balances are whole grains"
        account.cash[exchange_index] += amount
        account.updated_ms = self._venue.now_ms()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Members' accounts by key id."""
        return self._venue.by_key

    def balance(self, account: Account) -> Balance:
        """Positions are worth what they last traded at, or what they cost where nothing traded."""
        self._lifecycle.advance()
        collateral = dict.fromkeys(account.cash, 0)
        for ticker in account.resting:
            collateral[self._venue.markets[ticker].exchange_index] += account.collateral(ticker)
        values = dict.fromkeys(account.cash, 0)
        for ticker, position in account.positions.items():
            state = self._venue.states[ticker]
            worth = position.cost if state.last_price is None else position.worth(state.last_price)
            values[state.market.exchange_index] += worth
        less = collateral if self.settings.balance_excludes_collateral else {}
        return Balance(
            subaccount=account.number,
            shown=tuple((index, cash - less.get(index, 0)) for index, cash in account.cash.items()),
            cash=tuple(account.cash.items()),
            collateral=tuple(collateral.items()),
            values=tuple(values.items()),
            updated_ms=account.updated_ms,
        )

    def order(self, account: Account, order_id: str) -> Order:
        """Raises Refused not_found."""
        self._lifecycle.advance()
        order = account.orders.get(order_id)
        if order is None:
            raise refusals.not_found()
        return order.view()

    def orders(self, account: Account, ticker: Ticker | None = None, status: OrderStatus | None = None) -> list[Order]:
        self._lifecycle.advance()
        return [
            order.view()
            for order in reversed(account.orders.values())
            if ticker in (None, order.market) and status in (None, order.status)
        ]

    def fills(self, account: Account, ticker: Ticker | None = None, order_id: str | None = None) -> list[Fill]:
        fills = reversed(account.fills)
        return [fill for fill in fills if ticker in (None, fill.market) and order_id in (None, fill.order_id)]

    def positions(self, account: Account) -> list[PositionRecord]:
        """Every market ever traded in, flat and settled ones included."""
        self._lifecycle.advance()
        records = [
            position.view(self._venue.markets[ticker], account.number) for ticker, position in account.positions.items()
        ]
        return sorted(records, key=lambda record: record.updated_ms, reverse=True)

    def settlements(self, account: Account) -> list[Settlement]:
        self._lifecycle.advance()
        return list(reversed(account.settlements))

    # -------------------------------------------------------------------------------------------------------- orders

    def _begin_change(self) -> None:
        """Before anything that changes orders. Raises Refused while the exchange changes no state."""
        self._lifecycle.advance()
        admission.check_exchange(self._venue)

    def create_order(self, account: Account, order: NewOrder) -> Placed:
        """Admit an order and let it meet the book. Raises Refused; then nothing has changed."""
        self._begin_change()
        return self._trading.create(account, order)

    def cancel_order(
        self, account: Account, order_id: str, market_ticker: Ticker | None, exchange_index: int | None = None
    ) -> Cancelled:
        """Cancel what remains. Without a ticker the shard asked for is searched, shard 0 by default.

        Raises Refused not_found for orders that do not rest there, and MARKET_INACTIVE once the market has closed.
        """
        self._begin_change()
        return self._trading.cancel(account, order_id, market_ticker, exchange_index)

    def cancel_all(self, account: Account) -> int:
        """Cancel every resting order of one account on every shard; returns how many there were."""
        self._begin_change()
        return self._trading.cancel_all(account)

    def amend_order(self, account: Account, order_id: str, terms: Amendment) -> Amended:
        """Give a resting order another price, count or expiry. Raises Refused; then nothing has changed."""
        self._begin_change()
        return self._trading.amend(account, order_id, terms)

    def decrease_order(self, account: Account, order_id: str, decrease: Decrease) -> Cancelled:
        """Take contracts off a resting order, found as `cancel_order` finds it; 0 left cancels it."""
        self._begin_change()
        return self._trading.decrease(account, order_id, decrease)

    def queue_place(self, account: Account, order_id: str) -> QueuePlace:
        """How far from the front a resting order stands. Raises Refused not_found."""
        self._lifecycle.advance()
        return self._trading.queue_place(account, order_id)

    def queue_places(self, account: Account) -> list[QueuePlace]:
        self._lifecycle.advance()
        return self._trading.queue_places(account)

    @property
    def groups(self) -> GroupDesk:
        """The members' order groups."""
        self._lifecycle.advance()
        return self._groups

    def rests(self, order_id: str) -> bool:
        """Whether an order stands in a book."""
        return order_id in self._venue.live

    # ------------------------------------------------------------------------------------------------ recorded books

    def set_recorded(self, ticker: Ticker, price: Price, count: Count, *, yes: bool) -> None:
        """Set one recorded level, in its own leg's price (recorded.py)."""
        state = self._state(ticker)
        if state.recorded is None:
            state.recorded = RecordedBook()
        leg = state.book.yes if yes else state.book.no
        self._execution.set_recorded(state, state.recorded, leg, price, count)

    def replace_recorded(self, ticker: Ticker, yes: Mapping[Price, Count], no: Mapping[Price, Count]) -> None:
        """Replace all recorded levels. What shrinks goes first, so that the book is at no moment crossed."""
        recorded = self._state(ticker).recorded or RecordedBook()
        steps = []
        for is_yes, new, old in ((True, yes, recorded.yes), (False, no, recorded.no)):
            for price in {**old, **new}:
                count, shown = new.get(price, 0), old.get(price, 0)
                if count != shown:
                    steps.append((count > shown, is_yes, price, count))
        for _, is_yes, price, count in sorted(steps):
            self.set_recorded(ticker, price, count, yes=is_yes)
