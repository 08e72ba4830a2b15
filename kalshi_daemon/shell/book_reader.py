"""Order books by REST, for the feeds that are not streamed: round after round, within the token budget.

Rules:
- One round is under way at a time, for all feeds, read by the task of one of them in turn. It begins with the markets
  that are nearest to a trade, and ends where the budget of one interval ends: books that few look at are left out
  before those that matter grow old.
- A read is as old as its question. It is handed to the feed at once; that the round is complete is told when it is.
- Streaming is retried all the while, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.rate_governor import Budget
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.shell.rest_client import BOOKS_PATH, RestClient
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.rest import BookRead

NEVER: Final = float("-inf")


class Polled(Protocol):
    """A feed whose books are read."""

    @property
    def open_markets(self) -> Sequence[Ticker]:
        """The markets whose books it wants."""

    def take_read(self, market: Ticker, read: BookRead | None, asked_s: float) -> None:
        """One book, asked for at `asked_s`; None: the exchange left it out."""

    def round_read(self) -> None:
        """All that a round was to read has been handed over."""

    def round_failed(self, error: Exception) -> None:
        """The rest of a round was not read."""


class BookReader:
    def __init__(self, rest: RestClient, nearest: Callable[[], Iterable[Ticker]]) -> None:
        """`nearest`: markets in the order in which they matter; those that it leaves out come after them."""
        self.left_out = 0  # markets that the last round had no budget for
        self._rest = rest
        self._nearest = nearest
        self._feeds: dict[Polled, None] = {}
        self._turn = trio.Lock()
        self._due_s = NEVER  # when the next round may begin

    async def serve(self, feed: Polled) -> None:
        """Never returns: the feed's books are read until this is cancelled. Raises nothing that a read may meet."""
        self._feeds[feed] = None
        try:
            while True:
                async with self._turn:
                    await trio.sleep_until(self._due_s)
                    begun_s = trio.current_time()
                    await self._round()
                    self._due_s = max(begun_s + limits.POLL_INTERVAL_S, trio.current_time() + limits.POLL_PAUSE_S)
        finally:
            del self._feeds[feed]

    async def _round(self) -> None:
        feeds = list(self._feeds)
        try:
            await self._read_round({market: feed for feed in feeds for market in feed.open_markets})
        except (Unreachable, ExchangeError) as error:
            for feed in self._still(feeds):
                feed.round_failed(error)
        else:
            for feed in self._still(feeds):
                feed.round_read()

    async def _read_round(self, feeds: Mapping[Ticker, Polled]) -> None:
        ranked = dict.fromkeys(market for market in self._nearest() if market in feeds)
        markets = list(ranked | dict.fromkeys(feeds))
        chosen = markets[: self._reads_max() * limits.POLL_CHUNK]
        self.left_out = len(markets) - len(chosen)
        for start in range(0, len(chosen), limits.POLL_CHUNK):
            chunk = chosen[start : start + limits.POLL_CHUNK]
            asked_s = trio.current_time()
            reads = await self._rest.orderbooks(chunk)
            for market in chunk:
                if feeds[market] in self._feeds:
                    feeds[market].take_read(market, reads.get(market), asked_s)

    def _reads_max(self) -> int:
        """Batched reads in one round: what a share of the read bucket refills meanwhile, at its pace after a 429."""
        governor = self._rest.governor
        bucket = governor.bucket(Budget.READ)
        tokens = bucket.refill_per_s * bucket.pace * limits.POLL_INTERVAL_S / limits.POLL_SHARE
        return max(1, int(tokens / governor.cost("GET", BOOKS_PATH)))

    def _still(self, feeds: Iterable[Polled]) -> list[Polled]:
        return [feed for feed in feeds if feed in self._feeds]
