"""The order books of the daemon: applied in the reader's own step, proven, and told of when they are not.

A book is *proven* when it is a snapshot plus contiguous deltas of the stream, or *polled* when it was read by REST a
moment ago. The orderbook_feed chart says which of the two counts; a book without its own proof is unusable by itself.

Rules:
- The newest book wins: a change marks its market dirty and is gone; nobody is handed a queue of changes.
- A gap makes every book of the subscription unproven, asks for snapshots of all of them, and gives the socket up when
  that does not help within `SNAPSHOT_REQUESTS_MAX` rounds.
- Prices of the NO leg come in NO prices; a crossed book is what a flipped orientation would look like, and is a gap.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import trio

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.core.book import BookBroken, OrderBook
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import BookDelta, BookSnapshot, TradePrinted
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.session import Session
from kalshi_daemon.units import Price, Ticker
from statecharts.orderbook_feed import ORDERBOOK_FEED


class OrderBookClient:
    """Books, histories and the dirty list of the wanted markets; `run` drives the feed's chart."""

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
    ) -> None:
        self.books: Mapping[Ticker, OrderBook] = {market: OrderBook(market) for market in markets}
        self.histories: Mapping[Ticker, MarketHistory] = {market: MarketHistory() for market in markets}
        self.last_trades: dict[Ticker, Price] = {}
        self.counts: Counter[str] = Counter()
        self.dirty: dict[Ticker, None] = {}  # ordered: the oldest news first; at most one entry a market
        self.dirtied = trio.Event()
        self.detail = ""
        self._proven: set[Ticker] = set()
        self._polled: set[Ticker] = set()
        self._polled_s = float("-inf")  # when the last complete round was begun
        self._rest = rest
        self._clock = clock
        self._rng = rng
        self._wanted = wanted  # is this market one whose book must be proven: open, as far as is known
        self._on_step = on_step
        self._delays = Delays(rng)
        self._snapshot_rounds = 0
        self._session: Session | None = None  # the live session that carries the books
        self._runner = Runner(
            Chart(ORDERBOOK_FEED, {"all_proven": self.all_proven}),
            {"book_audit": self._audit, "poller": self._poll},
            self._delays.callables,
            limits.CHART_RESTARTS,
            on_step=self._stepped,
            on_alarm=on_alarm,
        )

    # --------------------------------------------------------------------------------------------------------- levels

    @property
    def state(self) -> str:
        active = self._runner.active
        return active[-1] if active else "streaming.syncing"

    @property
    def streamed(self) -> bool:
        return self._runner.is_in("streaming.current")

    def usable(self, market: Ticker) -> bool:
        """May an order be decided on this market's book now?"""
        if self.streamed:
            return market in self._proven
        return (
            self._runner.is_in("polling.fresh")
            and market in self._polled
            and self.evidence_age_s < limits.POLLED_AGE_MAX_S
        )

    @property
    def any_usable(self) -> bool:
        return any(self.usable(market) for market in self.books if self._wanted(market))

    @property
    def evidence_age_s(self) -> float:
        """Seconds since the last complete polled round was begun; streamed books are proven by their session
        instead.
        """
        return trio.current_time() - self._polled_s

    def all_proven(self) -> bool:
        return bool(self._proven) and all(market in self._proven for market in self.books if self._wanted(market))

    # --------------------------------------------------------------------------------------------------------- frames

    def on_snapshot(self, snapshot: BookSnapshot) -> None:
        book = self.books.get(snapshot.market)
        if book is None:
            self.counts["unwanted"] += 1
            return
        self.counts["snapshots"] += 1
        try:
            book.apply_snapshot(snapshot)
            book.prove_uncrossed()
        except BookBroken as error:
            self.on_gap(str(error))
            return
        self._proven.add(snapshot.market)
        self._changed(book, snapshot.sending_ms or self._clock.exchange_now_ms())
        if not self.streamed and self.all_proven():
            self._snapshot_rounds = 0
            self._runner.post("books_proven")

    def on_delta(self, delta: BookDelta) -> None:
        """The hot path: one look-up, one apply, one mark."""
        market = delta.market
        if market not in self._proven:
            self.counts["unproven"] += 1
            return
        book = self.books[market]
        try:
            book.apply_delta(delta)
            book.prove_uncrossed()
        except BookBroken as error:
            self.on_gap(str(error))
            return
        self.counts["deltas"] += 1
        self._changed(book, delta.ts_ms)

    def on_trade(self, trade: TradePrinted) -> None:
        self.counts["trades"] += 1
        if trade.market in self.books:
            self.last_trades[trade.market] = trade.price
            self.touch(trade.market)

    def on_gap(self, why: str) -> None:
        """What stands in the books is not known any more."""
        self.counts["gaps"] += 1
        self.detail = why
        self._forget()
        self._runner.post("gap_found")
        self._ask_for_snapshots()

    def on_session(self, session: Session | None, why: str) -> None:
        """The session that carries the books is live, or is lost (None)."""
        if session is self._session:
            return
        self._session = session
        self._snapshot_rounds = 0
        if session is None:
            self.detail = why
            self._forget()
            self._runner.post("session_lost")

    def _ask_for_snapshots(self) -> None:
        if self._session is None:
            return
        self._snapshot_rounds += 1
        if self._snapshot_rounds > limits.SNAPSHOT_REQUESTS_MAX:
            self._session.reconnect(
                f"the books could not be proven by {limits.SNAPSHOT_REQUESTS_MAX} rounds of snapshots"
            )
        else:
            self._session.request_snapshots(list(self.books))

    def touch(self, market: Ticker) -> None:
        """Something that decisions depend on changed: decide this market again."""
        if market in self.books:
            self.dirty[market] = None
            self.dirtied.set()

    def take_dirty(self) -> list[Ticker]:
        taken = list(self.dirty)
        self.dirty.clear()
        self.dirtied = trio.Event()
        return taken

    def _changed(self, book: OrderBook, ts_ms: int) -> None:
        self.histories[book.market].note(book, ts_ms)
        self.dirty[book.market] = None
        self.dirtied.set()

    def _forget(self) -> None:
        self._proven.clear()
        if not self._polled:
            for book in self.books.values():
                book.forget()

    # ---------------------------------------------------------------------------------------------- the chart's tasks

    async def run(self) -> str:
        return await self._runner.run()

    async def _poll(self, stay: Stay) -> str | None:
        """Read every wanted book by REST, round after round; the stream is retried all the while, elsewhere."""
        for turn in count(1):
            begun_s = trio.current_time()
            if turn % limits.SNAPSHOT_RETRY_POLLS == 0:
                self._ask_for_snapshots()
            try:
                await self._poll_round()
            except (Unreachable, ExchangeError) as error:
                self.detail = f"books are read by REST, and the last round failed: {error}"
                self.counts["polls_failed"] += 1
            else:
                self._polled_s = begun_s
                self.counts["polls"] += 1
                stay.post("polled")
            await trio.sleep(limits.POLL_INTERVAL_S)
        return None

    async def _poll_round(self) -> None:
        markets = [market for market in self.books if self._wanted(market)]
        for start in range(0, len(markets), limits.POLL_CHUNK):
            reads = await self._rest.orderbooks(markets[start : start + limits.POLL_CHUNK])
            for market, read in reads.items():
                if market in self._proven:
                    continue  # the stream has just proven it, and is newer
                book = self.books[market]
                book.replace(read.yes, read.no, clock=None, ts_ms=None)
                self._polled.add(market)
                self._changed(book, self._clock.exchange_now_ms())

    async def _audit(self, stay: Stay) -> str | None:  # noqa: ARG002
        """Hold one book after another against REST. A difference counts only while the stream was quiet around the
        read.
        """
        while True:
            for market in list(self.books):
                await trio.sleep(limits.AUDIT_INTERVAL_S)
                if market in self._proven and not await self._agrees(market):
                    self.detail = f"the book of {market} is not what REST shows"
                    self.counts["mismatches"] += 1
                    self._forget()
                    self._ask_for_snapshots()
                    return None

    async def _agrees(self, market: Ticker) -> bool:
        book = self.books[market]
        for _ in range(limits.AUDIT_ATTEMPTS_MAX):
            version = book.version
            try:
                read = (await self._rest.orderbooks([market]))[market]
            except (Unreachable, ExchangeError, KeyError):
                return True  # not read is not different
            same = dict(read.yes) == book.yes.counts and dict(read.no) == book.no.counts
            if same or book.version != version:
                self.counts["audits"] += same
                return True
            await trio.sleep(limits.AUDIT_QUIET_S)
        return False

    def _stepped(self, step: Step) -> None:
        if self.streamed:
            self._polled.clear()
            self.detail = ""
        self._on_step("orderbook_feed", step)
