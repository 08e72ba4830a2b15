"""The order books of the wanted markets, what is remembered of each, and which of them have news.

Rules: the newest book wins: a change marks its market dirty and is gone; nobody is handed a queue of changes. Whether a
book may be traded on is not known here: that is its feed's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import trio

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.facts import TradePrinted
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.shell.recorder import Recorder
from kalshi_daemon.units import Milliseconds, Price, Ticker


class BookTable:
    def __init__(self) -> None:
        self.recorder: Recorder | None = None  # told of what changes a book, before it does
        self.on_book: Callable[[OrderBook], None] | None = None  # told of each change, in its own step
        self._books: dict[Ticker, OrderBook] = {}
        self._histories: dict[Ticker, MarketHistory] = {}
        self.books: Mapping[Ticker, OrderBook] = MappingProxyType(self._books)
        self.histories: Mapping[Ticker, MarketHistory] = MappingProxyType(self._histories)
        self.last_trades: dict[Ticker, Price] = {}
        self.counts = Counter(
            snapshots=0,
            deltas=0,
            trades=0,
            gaps=0,
            resets=0,
            mismatches=0,
            unproven=0,
            unwanted=0,
            stamps_ahead=0,
        )
        self.counts.update(polls=0, polls_failed=0, audits=0, missing=0)
        self.dirty: dict[Ticker, None] = {}  # ordered: the oldest news first; at most one entry a market
        self.dirtied = trio.Event()

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others; of what is dropped nothing stays."""
        if self.recorder is not None and self._books.keys() != set(markets):
            self.recorder.wanted(markets)
        for market in self._books.keys() - set(markets):
            self._books.pop(market).forget()
            del self._histories[market]
            self.last_trades.pop(market, None)
            self.dirty.pop(market, None)
        for market in markets:
            if market not in self._books:
                self._books[market] = OrderBook(market)
                self._histories[market] = MarketHistory()

    def on_trade(self, trade: TradePrinted) -> None:
        self.counts["trades"] += 1
        if trade.market in self._books:
            if self.recorder is not None:
                self.recorder.took(0)
            self.last_trades[trade.market] = trade.price
            self.touch(trade.market)

    def lose(self, markets: Sequence[Ticker]) -> None:
        """What stands in these books is not known any more."""
        known = [market for market in markets if self._books[market].known]
        if self.recorder is not None and known:
            self.recorder.lost(known)
        for market in known:
            self._books[market].forget()

    def changed(self, book: OrderBook, ts_ms: Milliseconds) -> None:
        self._histories[book.market].note(book, ts_ms)
        self.dirty[book.market] = None
        self.dirtied.set()
        if self.on_book is not None:
            self.on_book(book)

    def touch(self, market: Ticker) -> None:
        """Something that decisions depend on changed: decide this market again."""
        if market in self._books:
            self.dirty[market] = None
            self.dirtied.set()

    def take_dirty(self) -> list[Ticker]:
        taken = list(self.dirty)
        self.dirty.clear()
        self.dirtied = trio.Event()
        return taken
