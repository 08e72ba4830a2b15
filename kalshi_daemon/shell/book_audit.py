"""The streamed books held against REST, round after round: what no sequence number shows.

Rules:
- One read of up to `POLL_CHUNK` books each `AUDIT_INTERVAL_S`, for all feeds, made by the task of one of them in turn.
  A round looks at every proven book once, those that are nearest to a trade first.
- A difference counts only when every look shows one and the stream was quiet from the first to the last: reads lag what
  it has shown. A book that moves, or that the answer leaves out, proves nothing until the next round.
- What differs is told to its feed, which holds all its books for lost; what has differed is looked at each time, until
  it is found equal, in up to half of a read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.rest import BookRead


class Audited(Protocol):
    """A feed whose books are streamed."""

    @property
    def markets(self) -> Mapping[Ticker, None]:
        """Those that it carries."""

    def is_proven(self, market: Ticker) -> bool:
        """A snapshot and contiguous changes of one socket."""

    @property
    def disputed(self) -> Sequence[Ticker]:
        """Proven books that were not what REST showed, and have not been found equal since."""

    def disprove(self, market: Ticker) -> None:
        """Its book is not what REST shows."""

    def agree(self, market: Ticker) -> None:
        """Its book is what REST shows."""


class BookAudit:
    def __init__(self, table: BookTable, rest: RestClient, nearest: Callable[[], Iterable[Ticker]]) -> None:
        """`nearest`: markets in the order in which they matter; those that it leaves out come after them."""
        self.round_s = 0.0  # how long the last whole round took
        self._table = table
        self._rest = rest
        self._nearest = nearest
        self._feeds: dict[Audited, None] = {}
        self._turn = trio.Lock()
        self._due_s: float | None = None  # of the next look
        self._looked: set[Ticker] = set()  # in this round
        self._began_s = 0.0  # the round

    async def serve(self, feed: Audited) -> None:
        """Never returns: the feed's books are audited until this is cancelled."""
        if self._due_s is None:
            self._began_s = trio.current_time()
            self._due_s = self._began_s + limits.AUDIT_INTERVAL_S
        self._feeds[feed] = None
        try:
            while True:
                async with self._turn:
                    await trio.sleep_until(self._due_s)
                    self._due_s = trio.current_time() + limits.AUDIT_INTERVAL_S
                    await self._look()
        finally:
            del self._feeds[feed]

    async def _look(self) -> None:
        suspects = {market: (book, book.version) for market in self._chosen() if (book := self._proven(market))}
        for attempt in range(limits.AUDIT_ATTEMPTS_MAX):
            if not suspects:
                return
            if attempt:
                await trio.sleep(limits.AUDIT_QUIET_S)
            try:
                reads = await self._rest.orderbooks(list(suspects))
            except (Unreachable, ExchangeError):
                return  # not read is not different
            suspects = {
                market: known for market, known in suspects.items() if self._differs(market, *known, reads.get(market))
            }
        for market in suspects:
            feed = self._feed_of(market)
            if feed is not None:  # none where another of its books has just cost it all proof
                feed.disprove(market)

    def _chosen(self) -> list[Ticker]:
        """The next of this round, which is over with the last of them."""
        proven = {market: None for feed in self._feeds for market in feed.markets if feed.is_proven(market)}
        ranked = dict.fromkeys(market for market in self._nearest() if market in proven) | proven
        disputed = [market for feed in self._feeds for market in feed.disputed][: limits.POLL_CHUNK // 2]
        chosen = [market for market in ranked if market not in self._looked and market not in disputed]
        chosen = disputed + chosen[: limits.POLL_CHUNK - len(disputed)]
        self._looked.update(chosen)
        if not proven.keys() - self._looked:
            self._looked.clear()
            self.round_s, self._began_s = trio.current_time() - self._began_s, trio.current_time()
        return chosen

    def _differs(self, market: Ticker, book: OrderBook, version: int, read: BookRead | None) -> bool:
        """Whether the book is still as it was, and not what was read."""
        if read is None or self._proven(market) is not book or book.version != version:
            return False
        if dict(read.yes) == book.yes.counts and dict(read.no) == book.no.counts:
            self._table.counts["audits"] += 1
            if feed := self._feed_of(market):
                feed.agree(market)
            return False
        return True

    def _proven(self, market: Ticker) -> OrderBook | None:
        return None if self._feed_of(market) is None else self._table.books.get(market)

    def _feed_of(self, market: Ticker) -> Audited | None:
        """The feed that holds its book for proven."""
        return next((feed for feed in self._feeds if feed.is_proven(market)), None)
