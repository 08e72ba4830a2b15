"""What the parts of the exchange share: markets with their books, accounts, orders, listeners, and the calendar.

Rules: events are told in order and at once, to every listener; a market's `clock` moves by one with every change
of a level. The calendar may hold entries that have become void (an order cancelled before its expiry): who takes one
looks again.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator

from attrs import define, evolve, field

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.bounds import EMULATOR_TRADES_MAX
from kalshi_daemon.emulator.events import Event, LevelChanged, MarketMoved, TickerChanged
from kalshi_daemon.emulator.hours import Hours
from kalshi_daemon.emulator.matching import Book, LevelChange
from kalshi_daemon.emulator.model import (
    EventTerms,
    ExchangeSettings,
    Market,
    MarketFigures,
    MarketStatus,
    Series,
    Trade,
)
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.emulator.recorded import RecordedBook
from kalshi_daemon.units import PRICE_ONE, Count, Milliseconds, Money, Price, Ticker


@define(eq=False)
class MarketState:
    """One market while the exchange runs. `series` has the fees that hold for it now, waivers apart."""

    market: Market
    series: Series
    book: Book = field(factory=Book)
    recorded: RecordedBook | None = None
    clock: int = 0
    last_price: Price | None = None
    last_count: Count = 0
    volume: Count = 0
    open_interest: Count = 0
    dollar_volume: Money = 0
    trades: deque[Trade] = field(factory=lambda: deque(maxlen=EMULATOR_TRADES_MAX))
    told: MarketFigures | None = None  # by the last TickerChanged

    def charges(self, now_ms: Milliseconds) -> Series:
        """The schedule by which a fill pays at that time."""
        waived_ms = self.market.fee_waiver_ms
        return self.series if waived_ms is None or now_ms >= waived_ms else evolve(self.series, multiplier_ppm=0)

    def figures(self) -> MarketFigures:
        yes, no = self.book.yes, self.book.no
        return MarketFigures(
            best_bid=yes.best,
            best_bid_count=yes.best_count,
            best_ask=None if no.best is None else PRICE_ONE - no.best,
            best_ask_count=no.best_count,
            last_price=self.last_price,
            last_count=self.last_count,
            volume=self.volume,
            open_interest=self.open_interest,
            dollar_volume=self.dollar_volume,
        )


class Venue:
    """The exchange's state. `live` holds the orders that stand in a book, `groups` all order groups, by id."""

    def __init__(self, settings: ExchangeSettings, now_ms: Callable[[], Milliseconds], rng: random.Random) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.rng = rng
        self.hours = Hours()
        self.series: dict[Ticker, Series] = {}
        self.events: dict[Ticker, EventTerms] = {}
        self.states: dict[Ticker, MarketState] = {}
        self.markets: dict[Ticker, Market] = {}
        self.by_user: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.live: dict[str, LiveOrder] = {}
        self.groups: dict[str, OrderGroup] = {}
        self.recorder: Account = self.open_account("", credit=True)  # the other side of every recorded contract
        self._listeners: list[Callable[[Event], None]] = []
        self._calendar: list[tuple[Milliseconds, str, str]] = []

    def new_id(self) -> str:
        """A random UUID, version 4."""
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def open_account(self, key_id: str, *, credit: bool) -> Account:
        account = Account(
            user_id=self.new_id(), key_id=key_id, credit=credit, cash=dict.fromkeys(self.settings.exchange_indexes, 0)
        )
        self.by_user[account.user_id] = account.family[0] = account
        if key_id:
            assert key_id not in self.by_key, f"key {key_id} has an account"
            self.by_key[key_id] = account
        return account

    def trades(self, market: Market) -> bool:
        """Whether orders of a market can trade now."""
        return market.status is MarketStatus.ACTIVE and self.hours.trades(market.exchange_index)

    def fees_of(self, event: Ticker) -> Series:
        """The series of an event, with the event's own fees where it has any."""
        terms = self.events[event]
        series = self.series[terms.series]
        if terms.fee_type is not None:
            series = evolve(series, fee_type=terms.fee_type)
        return series if terms.multiplier_ppm is None else evolve(series, multiplier_ppm=terms.multiplier_ppm)

    def owner(self, order: LiveOrder) -> Account:
        """Whose order it is."""
        return self.by_user[order.user_id].family[order.subaccount]

    def accounts(self) -> Iterator[Account]:
        """Every account there is, subaccounts included."""
        for member in self.by_user.values():
            yield from member.family.values()

    def listen(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def level_changed(self, state: MarketState, change: LevelChange, ts_ms: Milliseconds) -> None:
        """Tell of a level; the market's clock moves."""
        state.clock += 1
        order = change.order
        self.emit(
            LevelChanged(
                state.market.ticker,
                change.yes,
                change.price,
                change.change,
                state.clock,
                ts_ms,
                "" if order is None else order.user_id,
                "" if order is None else order.client_order_id,
                0 if order is None else order.subaccount,
            )
        )

    def figures_changed(self, state: MarketState, ts_ms: Milliseconds) -> None:
        """Tell of a market's figures, if they are not what was told last."""
        figures = state.figures()
        if figures != state.told:
            state.told = figures
            self.emit(TickerChanged(state.market.ticker, figures, ts_ms))

    def change_market(self, state: MarketState, market: Market, event: str) -> None:
        """Replace a market's terms or status, and tell of it; `event` is "" where the exchange sends nothing."""
        now = self.now_ms()
        state.market = self.markets[market.ticker] = evolve(market, updated_ms=now)
        self.emit(MarketMoved(state.market, event, now))

    def schedule(self, due_ms: Milliseconds, kind: str, key: str) -> None:
        heapq.heappush(self._calendar, (due_ms, kind, key))

    @property
    def next_due_ms(self) -> Milliseconds | None:
        return self._calendar[0][0] if self._calendar else None

    def take_due(self, now_ms: Milliseconds) -> tuple[str, str] | None:
        """The earliest entry that is due: its kind and its key."""
        if not self._calendar or self._calendar[0][0] > now_ms:
            return None
        _, kind, key = heapq.heappop(self._calendar)
        return kind, key
