"""The order books of the daemon: one table of them all, one feed for each subscription that carries a share of them.

Rules: markets are spread over feeds by whoever calls `carry`; a market belongs to one feed. A frame is the feed's whose
session brought it, so that what a session still sends of a market that another one carries by now changes nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import trio

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.shell.book_audit import BookAudit
from kalshi_daemon.shell.book_reader import BookReader
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.orderbook_feed import FeedSeams, OrderBookFeed
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Price, Ticker

CHART: Final = "orderbook_feed"
# the worst first; the outer state alone is a step that is under way
WORST: Final = ("polling", "polling.filling", "polling.fresh", "streaming", "streaming.syncing", "streaming.current")


class OrderBookClient:
    """Books, histories and the dirty list of the wanted markets; `run` drives the charts of the feeds."""

    def __init__(
        self,
        markets: Sequence[Ticker],
        rest: RestClient,
        clock: Clock,
        rng: random.Random,
        *,
        wanted: Callable[[Ticker], bool],
        on_step: Callable[[str, Step], None],
        on_alarm: Callable[[str, str], None],
        nearest: Callable[[], Iterable[Ticker]] = tuple,
    ) -> None:
        """All of `markets` in one feed, until `carry` spreads them. `wanted`: is this market one whose book must be
        proven: open, as far as is known. `nearest`: the markets that matter most, first.
        """
        self.table = BookTable()
        self.reader = BookReader(rest, nearest)
        self.feeds: list[OrderBookFeed] = []
        self.audit = BookAudit(self.table, rest, nearest)
        self._seams = FeedSeams(self.table, self.reader, self.audit, clock, rng, wanted, on_step, on_alarm)
        self._wanted = wanted
        self._feed_of: dict[Ticker, OrderBookFeed] = {}
        self._more = trio.Event()
        self.carry([markets])

    def carry(self, shares: Sequence[Sequence[Ticker]]) -> None:
        """The markets of each feed. There are never fewer feeds than there were: those that are left over have none."""
        while len(self.feeds) < len(shares):
            number = len(self.feeds) + 1
            self.feeds.append(OrderBookFeed(CHART if number == 1 else f"{CHART} {number}", self._seams))
        for number, feed in enumerate(self.feeds):
            feed.want(shares[number] if number < len(shares) else ())
        self.table.want([market for share in shares for market in share])
        self._feed_of = {market: feed for feed in self.feeds for market in feed.markets}
        self._more.set()

    # --------------------------------------------------------------------------------------------------- of the table

    @property
    def books(self) -> Mapping[Ticker, OrderBook]:
        return self.table.books

    @property
    def histories(self) -> Mapping[Ticker, MarketHistory]:
        return self.table.histories

    @property
    def last_trades(self) -> Mapping[Ticker, Price]:
        return self.table.last_trades

    @property
    def counts(self) -> Counter[str]:
        return self.table.counts

    @property
    def dirtied(self) -> trio.Event:
        return self.table.dirtied

    def touch(self, market: Ticker) -> None:
        self.table.touch(market)

    def take_dirty(self) -> list[Ticker]:
        return self.table.take_dirty()

    # --------------------------------------------------------------------------------------------------------- levels

    @property
    def state(self) -> str:
        """Of the feed that is worst off, among those that carry anything."""
        return min((feed.state for feed in self._used()), key=WORST.index)

    @property
    def detail(self) -> str:
        """Why feeds are not streamed."""
        return "; ".join(dict.fromkeys(feed.detail for feed in self._used() if feed.detail))

    @property
    def streamed(self) -> bool:
        """Every feed."""
        return all(feed.streamed for feed in self._used())

    @property
    def polled(self) -> bool:
        """Some are read by REST, and none is streamed."""
        used = self._used()
        return any(feed.state.startswith("polling") for feed in used) and not any(feed.streamed for feed in used)

    @property
    def open_markets(self) -> Sequence[Ticker]:
        return [market for market in self.books if self._wanted(market)]

    @property
    def any_usable(self) -> bool:
        """Some open market has a usable book, or none is open: then nothing is missing."""
        if any(feed.any_usable for feed in self._used()):
            return True
        return not any(map(self._wanted, self.books))

    def usable(self, market: Ticker) -> bool:
        """May an order be decided on this market's book now?"""
        feed = self._feed_of.get(market)
        return feed is not None and feed.usable(market)

    def is_polled(self, market: Ticker) -> bool:
        """Its book is not the stream's: only reductions are decided on it."""
        feed = self._feed_of.get(market)
        return feed is None or feed.polled(market)

    def evidence_age_s(self, market: Ticker) -> float:
        """How old the evidence of its book is (risk P13); infinite without any."""
        feed = self._feed_of.get(market)
        return float("inf") if feed is None else feed.evidence_age_s(market)

    def all_proven(self) -> bool:
        return all(feed.all_proven() for feed in self._used())

    def _used(self) -> Sequence[OrderBookFeed]:
        """The first one where none carries anything."""
        return [feed for feed in self.feeds if feed.markets] or self.feeds[:1]

    # ---------------------------------------------------------------------------------------------------------- tasks

    async def run(self) -> None:
        """Never returns. May be run again when it has ended: nothing is proven then."""
        async with trio.open_nursery() as nursery:
            started = 0
            while True:
                self._more = trio.Event()
                for feed in self.feeds[started:]:
                    nursery.start_soon(feed.run)
                started = len(self.feeds)
                await self._more.wait()
