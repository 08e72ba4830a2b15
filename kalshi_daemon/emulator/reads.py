"""The read side of the accounts: what portfolio reads show, which lags behind what has happened (api.md 4.3).

Every order, position and balance that changes is shown `lag_ms` later; fills and settlements by their own stamps. A
read is therefore consistent in itself and old, as the exchange's are, and `as_of_ms` says how old. With no lag all
reads are current. Where the lag grows, reads stand still for so long: none shows an older account than one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from attrs import Factory, define, evolve

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.bounds import READ_QUEUE_MAX
from kalshi_daemon.emulator.events import Event, Filled, MarketMoved, OrderUpdated, PositionChanged
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.model import Balance, Fill, Order, PositionRecord, Settlement
from kalshi_daemon.units import Milliseconds, Ticker

Shown: TypeAlias = Order | PositionRecord | Balance


@define
class _View:
    """One member as reads show it. `captured` are the newest balances that are shown or wait to be, by subaccount."""

    account: Account
    captured: dict[int, Balance] = Factory(dict)
    balances: dict[int, Balance] = Factory(dict)
    orders: dict[str, Order] = Factory(dict)  # by order id, oldest first
    positions: dict[tuple[int, Ticker], PositionRecord] = Factory(dict)  # by subaccount and market


class Reads:
    """The lagging views of the accounts that have a key; the crowd's are nobody's to read."""

    def __init__(
        self,
        exchange: Exchange,
        lag_ms: Callable[[], Milliseconds],
        now_ms: Callable[[], Milliseconds],
        clock_ms: Callable[[], Milliseconds],
    ) -> None:
        self._clock_ms = clock_ms
        self._exchange = exchange
        self._lag_ms = lag_ms
        self._now_ms = now_ms
        self._views: dict[str, _View] = {}  # by user id
        self._unsettled: dict[str, _View] = {}  # views whose balance may have changed since it was captured
        self._as_of_ms: Milliseconds = 0  # what could be read at the last step
        self._waiting: deque[tuple[Milliseconds, _View, Shown]] = deque()  # by when they happened, ascending
        exchange.listen(self._hear)

    @property
    def as_of_ms(self) -> Milliseconds:
        """How old a read is now. It never goes back, also where the lag has grown since."""
        return max(self._as_of_ms, self._now_ms() - self._lag_ms())

    @property
    def shown_as_of_ms(self) -> Milliseconds:
        """The same by the clock that the exchange believes in."""
        return self.as_of_ms + self._clock_ms() - self._now_ms()

    def meet(self, account: Account) -> None:
        """Begin to show an account, from what it is now."""
        if account.user_id in self._views:
            return
        view = _View(account)
        view.orders = {order.order_id: order for order in reversed(self._exchange.orders(account))}
        for one in account.family.values():
            view.captured[one.number] = view.balances[one.number] = self._exchange.balance(one)
            for position in self._exchange.positions(one):
                view.positions[one.number, position.market] = position
        self._views[account.user_id] = view

    def orders(self, account: Account) -> list[Order]:
        """Oldest first."""
        return list(self._current(account).orders.values())

    def order(self, account: Account, order_id: str) -> Order | None:
        return self._current(account).orders.get(order_id)

    def positions(self, account: Account, subaccount: int = 0) -> list[PositionRecord]:
        return [one for one in self._current(account).positions.values() if one.subaccount == subaccount]

    def balances(self, account: Account) -> list[Balance]:
        """Of every subaccount that has been seen, the primary one first."""
        return [balance for _number, balance in sorted(self._current(account).balances.items())]

    def fills(self, account: Account) -> list[Fill]:
        """Oldest first."""
        as_of_ms = self.as_of_ms
        return [fill for fill in reversed(self._exchange.fills(account)) if fill.ts_ms <= as_of_ms]

    def settlements(self, account: Account) -> list[Settlement]:
        """Oldest first."""
        as_of_ms = self.as_of_ms
        return [one for one in reversed(self._exchange.settlements(account)) if one.ts_ms <= as_of_ms]

    def _hear(self, event: Event) -> None:
        if isinstance(event, MarketMoved) and event.event == "settled":
            self._settle(event.market.ticker)
        if not isinstance(event, OrderUpdated | PositionChanged | Filled):
            return
        view = self._views.get(event.account)
        if view is None:
            return
        self._unsettled[event.account] = view
        if isinstance(event, OrderUpdated):
            self._wait(view, event.order)
        elif isinstance(event, PositionChanged):
            self._wait(view, event.position)

    def _settle(self, ticker: Ticker) -> None:
        """A position that is flat when its market pays is over too, though nothing is told of it."""
        for view in self._views.values():
            for (_number, market), position in view.positions.items():
                if market == ticker and not position.count:
                    self._wait(view, evolve(position, settled=True))

    def capture(self) -> None:
        """Note the balances as they are now: called between two steps of the exchange, when they add up."""
        self._as_of_ms = self.as_of_ms
        views = list(self._unsettled.values())
        self._unsettled.clear()
        for view in views:  # asking for a balance lets time pass, and may unsettle others
            for account in list(view.account.family.values()):
                balance = self._exchange.balance(account)
                if balance != view.captured.get(account.number):
                    view.captured[account.number] = balance
                    self._wait(view, balance)

    def _wait(self, view: _View, value: Shown) -> None:
        self._waiting.append((self._now_ms(), view, value))
        if len(self._waiting) > READ_QUEUE_MAX:
            self._show(*self._waiting.popleft()[1:])

    def _current(self, account: Account) -> _View:
        view = self._views[account.user_id]
        self._unsettled[account.user_id] = view  # marks and deposits move a balance without an event
        self.capture()
        as_of_ms = self.as_of_ms
        while self._waiting and self._waiting[0][0] <= as_of_ms:
            self._show(*self._waiting.popleft()[1:])
        return view

    @staticmethod
    def _show(view: _View, value: Shown) -> None:
        match value:
            case Order():
                view.orders[value.order_id] = value
            case PositionRecord():
                view.positions[value.subaccount, value.market] = value
            case Balance():
                view.balances[value.subaccount] = value
