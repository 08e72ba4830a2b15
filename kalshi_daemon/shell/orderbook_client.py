"""The order books of the daemon: applied in the reader's own step, proven, and told of when they are not.

A book is *proven* when it is a snapshot plus contiguous deltas of one socket, or *polled* when what stands in it was
read by REST a moment ago. The orderbook_feed chart says which of the two counts; a book without its own proof is
unusable by itself.

Rules:
- The newest book wins: a change marks its market dirty and is gone; nobody is handed a queue of changes.
- A gap makes every book of the subscription unproven, asks for snapshots of all of them, and gives the socket up when
  that does not help within `SNAPSHOT_REQUESTS_MAX` rounds. No proof outlives its socket.
- Prices of the NO leg come in NO prices; a crossed book is what a flipped orientation would look like, and is lost like
  one with a level below zero. So is one whose clock goes back without a snapshot.
- Chart events are pokes: that all is proven is looked at again after each step, so that snapshots which outran the
  step they belong after are not waited for twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType

import trio

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.core.book import BookBroken, OrderBook
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import BookDelta, BookSnapshot, TradePrinted
from kalshi_daemon.policy.history import MarketHistory, message_time_ms
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.session import Session
from kalshi_daemon.units import Price, Ticker
from kalshi_daemon.wire.rest import BookRead
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
        self._books = {market: OrderBook(market) for market in markets}
        self._histories = {market: MarketHistory() for market in markets}
        self.books: Mapping[Ticker, OrderBook] = MappingProxyType(self._books)
        self.histories: Mapping[Ticker, MarketHistory] = MappingProxyType(self._histories)
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
        self._session: Session | None = None  # that carries the books, while it has a socket
        self._on_alarm = on_alarm
        self._runner = self._make_runner()

    def _make_runner(self) -> Runner:
        return Runner(
            Chart(ORDERBOOK_FEED, {"all_proven": self.all_proven}),
            {"book_audit": self._audit, "poller": self._poll},
            self._delays.callables,
            limits.CHART_RESTARTS,
            on_step=self._stepped,
            on_alarm=self._on_alarm,
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
        if not self._runner.is_in("polling.fresh"):
            return False
        return market in self._proven or (market in self._polled and self.evidence_age_s < limits.POLLED_AGE_MAX_S)

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

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others. What is new is unproven until its snapshot; of what is dropped nothing stays."""
        for market in self._books.keys() - set(markets):
            self._books.pop(market).forget()
            del self._histories[market]
            self.last_trades.pop(market, None)
            self.dirty.pop(market, None)
            self._proven.discard(market)
            self._polled.discard(market)
        for market in markets:
            if market not in self._books:
                self._books[market] = OrderBook(market)
                self._histories[market] = MarketHistory()
        self._tell_if_proven()

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
            self._polled.discard(snapshot.market)
            self._lose("mismatch_found", "mismatches", str(error))
            return
        self._polled.discard(snapshot.market)  # what stands in it is the stream's now
        self._proven.add(snapshot.market)
        if snapshot.sending_ms is not None:
            self._clock.learn_sending(snapshot.sending_ms, self._clock.now_ms())
        self._changed(book, message_time_ms(None, snapshot.sending_ms, self._clock.exchange_now_ms()))
        self._tell_if_proven()

    def on_delta(self, delta: BookDelta) -> None:
        """The hot path: one look-up, one apply, one mark."""
        market = delta.market
        if market not in self._proven:
            self.counts["unproven"] += 1
            return
        book = self.books[market]
        known, clock = book.clock, delta.clock
        if known is not None and clock is not None and clock < known:
            self._lose("reset_found", "resets", f"the exchange's clock of {market} went back from {known} to {clock}")
            return
        try:
            book.apply_delta(delta)
            book.prove_uncrossed()
        except BookBroken as error:
            self._lose("mismatch_found", "mismatches", str(error))
            return
        self.counts["deltas"] += 1
        self._changed(book, delta.ts_ms)

    def on_trade(self, trade: TradePrinted) -> None:
        self.counts["trades"] += 1
        if trade.market in self.books:
            self.last_trades[trade.market] = trade.price
            self.touch(trade.market)

    def on_gap(self, why: str) -> None:
        """Something of the subscription was missed."""
        self._lose("gap_found", "gaps", why)

    def on_session(self, session: Session | None, why: str) -> None:
        """The session that carries the books, while it has a socket; None when it has none, and no proof is left."""
        if session is not None:
            self._session = session
        elif self._session is not None:
            self._session = None
            self._snapshot_rounds = 0
            self.detail = why
            self._forget()
            self._runner.post("session_lost")

    def _lose(self, event: str, counted: str, why: str) -> None:
        """What stands in the books is not known any more."""
        self.counts[counted] += 1
        self.detail = why
        self._forget()
        self._runner.post(event)
        self._ask_for_snapshots()

    def _forget(self) -> None:
        """No book is the stream's any more; those that were read by REST stay what they are."""
        for market in self._proven:
            self.books[market].forget()
        self._proven.clear()

    def _tell_if_proven(self) -> None:
        if not self.streamed and self.all_proven():
            self._runner.post("books_proven")

    def _ask_for_snapshots(self) -> None:
        if self._session is None:
            return
        self._snapshot_rounds += 1
        if self._snapshot_rounds > limits.SNAPSHOT_REQUESTS_MAX:
            self._session.reconnect(
                f"the books could not be proven by {limits.SNAPSHOT_REQUESTS_MAX} rounds of snapshots: {self.detail}"
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

    # ---------------------------------------------------------------------------------------------- the chart's tasks

    async def run(self) -> str:
        """May be run again when it has ended: nothing is proven then, and the chart begins anew."""
        self._runner = self._make_runner()
        self._session = None
        self._snapshot_rounds = 0
        self._forget()
        self._polled.clear()
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
        """A market that the exchange leaves out of its answer, or whose book cannot be one, has no polled book."""
        markets = [market for market in self.books if self._wanted(market)]
        for start in range(0, len(markets), limits.POLL_CHUNK):
            chunk = markets[start : start + limits.POLL_CHUNK]
            reads = await self._rest.orderbooks(chunk)
            for market in chunk:
                self._take_read(market, reads.get(market))
        for market in self._polled - set(markets):
            self._drop_read(market)

    def _take_read(self, market: Ticker, read: BookRead | None) -> None:
        if market in self._proven or market not in self.books:
            return  # the stream has just proven it, and is newer; or nobody wants it any more
        if read is None:
            self._drop_read(market)
            return
        book = self.books[market]
        try:
            book.replace(read.yes, read.no, clock=None, ts_ms=None)
            book.prove_uncrossed()
        except BookBroken as error:
            self.detail = str(error)
            self.counts["mismatches"] += 1
            self._drop_read(market)
            return
        self._polled.add(market)
        self._changed(book, self._clock.exchange_now_ms())

    def _drop_read(self, market: Ticker) -> None:
        self._polled.discard(market)
        self.books[market].forget()

    async def _audit(self, stay: Stay) -> str | None:  # noqa: ARG002
        """Hold one book after another against REST, and ask for the snapshots that did not come."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._find_missing)
            while True:
                for market in list(self.books) or [""]:
                    await trio.sleep(limits.AUDIT_INTERVAL_S)
                    if market in self._proven and not await self._agrees(market):
                        self._lose("mismatch_found", "mismatches", f"the book of {market} is not what REST shows")
                        await trio.sleep_forever()  # until the step that this was leaves the state

    async def _find_missing(self) -> None:
        """A market that was added, and whose snapshot is missing at two looks in a row, is asked for by itself."""
        before: set[Ticker] = set()
        while True:
            await trio.sleep(limits.MISSING_BOOKS_S)
            missing = {market for market in self.books if market not in self._proven and self._wanted(market)}
            late = [market for market in self.books if market in missing & before]
            if late and self._session is not None:
                self.counts["missing"] += len(late)
                self._session.request_snapshots(late)
            before = missing

    async def _agrees(self, market: Ticker) -> bool:
        """A difference counts only when every look shows one and the stream was quiet from the first to the last:
        reads lag what it has shown.
        """
        book = self.books[market]
        version = book.version
        for attempt in range(limits.AUDIT_ATTEMPTS_MAX):
            if attempt:
                await trio.sleep(limits.AUDIT_QUIET_S)
            try:
                read = (await self._rest.orderbooks([market])).get(market)
            except (Unreachable, ExchangeError):
                return True  # not read is not different
            if book.version != version or read is None or market not in self._proven:
                return True
            if dict(read.yes) == book.yes.counts and dict(read.no) == book.no.counts:
                self.counts["audits"] += 1
                return True
        return False

    def _stepped(self, step: Step) -> None:
        if self.streamed:
            self._polled.clear()
            self._snapshot_rounds = 0
            self.detail = ""
        self._tell_if_proven()  # also each time that was polled: what was missing may not be wanted any more
        self._on_step("orderbook_feed", step)
