"""The books of one subscription: applied in the reader's own step, proven, and told of when they are not.

A book is *proven* when it is a snapshot plus contiguous deltas of one socket, or *polled* when what stands in it was
read by REST a moment ago. The orderbook_feed chart says which of the two counts; a book without its own proof is
unusable by itself.

Rules:
- A gap makes every book of the subscription unproven, asks for snapshots of all of them, and gives the socket up when
  that does not help within `SNAPSHOT_REQUESTS_MAX` rounds. No proof outlives its socket. Where the other books of the
  subscription are proven, those that get no snapshot are set aside instead, and asked for now and then.
- Prices of the NO leg come in NO prices; a crossed book is what a flipped orientation would look like, and is lost like
  one with a level below zero. So is one whose clock goes back without a snapshot.
- A book that was not what REST shows is decided on again when a look has shown it equal, whatever snapshot came since:
  where the two contradict each other for good, as they would if the orientation of the NO leg changed on a market
  below 50 cents, its new snapshot is as wrong.
- Chart events are pokes: that all is proven is looked at again after each step, so that snapshots which outran the
  step they belong after are not waited for twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NoReturn

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.core.book import BookBroken
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.policy.history import message_time_ms
from kalshi_daemon.shell.book_audit import BookAudit
from kalshi_daemon.shell.book_reader import NEVER, BookReader
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.session import Session
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire.rest import BookRead
from statecharts.orderbook_feed import ORDERBOOK_FEED


@frozen
class FeedSeams:
    """What a feed needs from outside, its session left out. `wanted`: is the market open, as far as is known, so that
    its book must be proven.
    """

    table: BookTable
    reader: BookReader
    audit: BookAudit
    clock: Clock
    rng: random.Random
    wanted: Callable[[Ticker], bool]
    on_step: Callable[[str, Step], None]
    on_alarm: Callable[[str, str], None]


class OrderBookFeed:
    def __init__(self, label: str, seams: FeedSeams) -> None:
        """`label`: of its chart's instance."""
        self.label = label
        self.markets: dict[Ticker, None] = {}
        self.detail = ""  # why it is not streamed
        self._seams = seams
        self._table = seams.table
        self._counts = seams.table.counts
        self._proven: set[Ticker] = set()
        self._set_aside: set[Ticker] = set()  # no snapshot of theirs comes, while others' do
        self._disputed: dict[Ticker, None] = {}  # not what REST showed, and no look has found them equal since
        self._read_s: dict[Ticker, float] = {}  # the books that were read by REST, and when they were asked for
        self._delays = Delays(seams.rng)
        self._snapshot_rounds = 0
        self._believed_ms: Milliseconds = 0  # a stamp until then is the time, without asking what time it is
        self._session: Session | None = None  # that carries the books, while it has a socket
        self._runner = self._make_runner()

    def _make_runner(self) -> Runner:
        return Runner(
            Chart(ORDERBOOK_FEED, {"all_proven": self.all_proven}),
            {"book_audit": self._audit, "poller": self._poll},
            self._delays.callables,
            limits.CHART_RESTARTS,
            on_step=self._stepped,
            on_alarm=self._seams.on_alarm,
        )

    # --------------------------------------------------------------------------------------------------------- levels

    @property
    def state(self) -> str:
        active = self._runner.active
        return active[-1] if active else "streaming.syncing"

    @property
    def streamed(self) -> bool:
        return self._runner.is_in("streaming.current")

    @property
    def open_markets(self) -> Sequence[Ticker]:
        return [market for market in self.markets if self._seams.wanted(market)]

    @property
    def missing(self) -> Sequence[Ticker]:
        """The open markets whose books the stream has not proven."""
        return [market for market in self.open_markets if market not in self._proven]

    def usable(self, market: Ticker) -> bool:
        """May an order be decided on this market's book now?"""
        proven = market in self._proven and market not in self._disputed
        if self.streamed:
            return proven
        if not self._runner.is_in("polling.fresh"):
            return False
        return proven or trio.current_time() - self._read_at_s(market) < limits.POLLED_AGE_MAX_S

    @property
    def any_usable(self) -> bool:
        """Of its open markets. Asked with every snapshot and every order, so that the state is looked at first."""
        if not (self.streamed or self._runner.is_in("polling.fresh")):
            return False
        return any(self._seams.wanted(market) and self.usable(market) for market in self.markets)

    def polled(self, market: Ticker) -> bool:
        """Its book is not the stream's; at most it was read."""
        return not (self.streamed and market in self._proven)

    def evidence_age_s(self, market: Ticker) -> float:
        """How old the evidence of the book is (risk P13): since its session was heard, or since it was asked for."""
        if not self.streamed:
            return trio.current_time() - self._read_at_s(market)
        return self._session.silent_s if self._session is not None else float("inf")

    def all_proven(self) -> bool:
        """Where none of its markets is open there is nothing to prove."""
        proven, aside, wanted = self._proven, self._set_aside, self._seams.wanted
        if any(m not in proven and m not in aside and wanted(m) for m in self.markets):  # asked with each snapshot
            return False
        if any(map(wanted, self.markets)):
            return bool(proven)
        return not self.markets or self._session is not None

    def _read_at_s(self, market: Ticker) -> float:
        return self._read_s.get(market, NEVER)

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others. What is new is unproven until its snapshot."""
        for market in self.markets.keys() - set(markets):
            self._proven.discard(market)
            self._set_aside.discard(market)
            self._disputed.pop(market, None)
            self._read_s.pop(market, None)
        self.markets = dict.fromkeys(markets)
        self._tell_if_proven()

    # --------------------------------------------------------------------------------------------------------- frames

    def on_snapshot(self, snapshot: BookSnapshot) -> None:
        market = snapshot.market
        if market not in self.markets:
            self._counts["unwanted"] += 1
            return
        self._counts["snapshots"] += 1
        book = self._table.books[market]
        self._read_s.pop(market, None)  # what stands in it is the stream's now
        noted_ms = self._believed(message_time_ms(None, snapshot.sending_ms, self._seams.clock.exchange_now_ms()))
        if self._table.recorder is not None:
            self._table.recorder.took(noted_ms)
        try:
            book.apply_snapshot(snapshot)
            book.prove_uncrossed()
        except BookBroken as error:
            self._lose("mismatch_found", "mismatches", str(error))
            return
        self._proven.add(market)
        self._set_aside.discard(market)
        self._table.changed(book, noted_ms)
        self._tell_if_proven()

    def on_delta(self, delta: BookDelta) -> None:
        """The hot path: one look-up, one apply, one mark."""
        market = delta.market
        if market not in self._proven:
            self._counts["unproven"] += 1
            return
        book = self._table.books[market]
        known, clock = book.clock, delta.clock
        if known is not None and clock is not None and clock < known:
            self._lose("reset_found", "resets", f"the exchange's clock of {market} went back from {known} to {clock}")
            return
        noted_ms = delta.ts_ms if delta.ts_ms <= self._believed_ms else self._believed(delta.ts_ms)
        if self._table.recorder is not None:
            self._table.recorder.took(noted_ms)
        try:
            book.apply_delta(delta)
            book.prove_uncrossed()
        except BookBroken as error:
            self._lose("mismatch_found", "mismatches", str(error))
            return
        self._counts["deltas"] += 1
        self._table.changed(book, noted_ms)

    def _believed(self, stamp_ms: Milliseconds) -> Milliseconds:
        """The stamp, or now where it lies further ahead than clocks may differ: a market's time never goes back, and
        one such stamp would stop it until then.
        """
        now_ms = self._seams.clock.exchange_now_ms()
        self._believed_ms = now_ms + limits.STAMP_AHEAD_MAX_MS
        if stamp_ms <= self._believed_ms:
            return stamp_ms
        self._counts["stamps_ahead"] += 1
        return now_ms

    def on_gap(self, why: str) -> None:
        """Something of the subscription was missed."""
        self._lose("gap_found", "gaps", why)

    def on_session(self, session: Session | None, why: str) -> None:
        """The session that carries the books, while it has a socket; None when it has none, and no proof is left."""
        if session is not None:
            self._session = session
            self._tell_if_proven()
        elif self._session is not None:
            self._session = None
            self._snapshot_rounds = 0
            self.detail = why
            self._forget()
            self._runner.post("session_lost")

    def _lose(self, event: str, counted: str, why: str) -> None:
        """What stands in the books is not known any more."""
        self._counts[counted] += 1
        self.detail = why
        self._forget()
        self._runner.post(event)
        self._ask_for_snapshots()

    def _forget(self) -> None:
        """No book is the stream's any more; those that were read by REST stay what they are."""
        self._table.lose([market for market in self.markets if market in self._proven])
        self._proven.clear()
        self._set_aside.clear()

    def _tell_if_proven(self) -> None:
        if not self.streamed and self.all_proven():
            self._runner.post("books_proven")

    def _ask_for_snapshots(self) -> None:
        if self._session is None:
            return
        self._snapshot_rounds += 1
        if self._snapshot_rounds <= limits.SNAPSHOT_REQUESTS_MAX:
            self._session.request_snapshots([market for market in self.markets if market not in self._proven])
        elif self._proven:
            self._set_aside.update(self.missing)
            self._tell_if_proven()
        else:
            self._session.reconnect(
                f"the books could not be proven by {limits.SNAPSHOT_REQUESTS_MAX} rounds of snapshots: {self.detail}"
            )

    # ---------------------------------------------------------------------------------------------------------- reads

    def is_proven(self, market: Ticker) -> bool:
        """By the stream."""
        return market in self._proven

    @property
    def disputed(self) -> Sequence[Ticker]:
        """Those to be looked at before others."""
        return [market for market in self._disputed if market in self._proven]

    def agree(self, market: Ticker) -> None:
        self._disputed.pop(market, None)

    def disprove(self, market: Ticker) -> None:
        """The first time all books of the subscription are lost by it; after that its own snapshot was as wrong."""
        text = f"the book of {market} is not what REST shows"
        if market not in self._disputed:
            self._disputed[market] = None
            self._lose("mismatch_found", "mismatches", text)
            return
        self._counts["mismatches"] += 1
        self._seams.on_alarm("book_disputed", f"{text}, nor is its new snapshot: it is not traded until they agree")
        if self._session is not None:
            self._session.request_snapshots([market])

    def take_read(self, market: Ticker, read: BookRead | None, asked_s: float) -> None:
        """A market that the exchange leaves out of its answer, or whose book cannot be one, has no polled book."""
        if market in self._proven or market not in self.markets:
            return  # the stream has just proven it, and is newer; or nobody wants it any more
        if read is None:
            self._drop_read(market)
            return
        book = self._table.books[market]
        noted_ms = self._seams.clock.exchange_now_ms()
        if self._table.recorder is not None:
            self._table.recorder.read(market, read.yes, read.no, noted_ms)
        try:
            book.replace(read.yes, read.no, clock=None, ts_ms=None)
            book.prove_uncrossed()
        except BookBroken as error:
            self.detail = str(error)
            self._counts["mismatches"] += 1
            self._drop_read(market)
            return
        self._read_s[market] = asked_s
        self._table.changed(book, noted_ms)

    def _drop_read(self, market: Ticker) -> None:
        self._read_s.pop(market, None)
        self._table.lose([market])

    def round_read(self) -> None:
        self._counts["polls"] += 1
        self._runner.post("polled")

    def round_failed(self, error: Exception) -> None:
        self.detail = f"books are read by REST, and the last round failed: {error}"
        self._counts["polls_failed"] += 1

    # ---------------------------------------------------------------------------------------------- the chart's tasks

    async def run(self) -> str:
        """May be run again when it has ended: nothing is proven then, and the chart begins anew."""
        self._runner = self._make_runner()
        self._session = None
        self._snapshot_rounds = 0
        self._forget()
        self._read_s.clear()
        return await self._runner.run()

    async def _poll(self, stay: Stay) -> str | None:  # noqa: ARG002
        """Books are read while this lasts, and a stream that is there is asked for what is missing."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._seams.reader.serve, self)
            while True:
                await trio.sleep(limits.SNAPSHOT_RETRY_S)
                self._ask_for_snapshots()

    async def _audit(self, stay: Stay) -> str | None:  # noqa: ARG002
        """Hold the books against REST, and ask for the snapshots that did not come."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._seams.audit.serve, self)
            await self._find_missing()

    async def _find_missing(self) -> NoReturn:
        """A market that was added, and whose snapshot is missing at two looks in a row, is asked for by itself; a few
        times soon, and then seldom.
        """
        before: set[Ticker] = set()
        asked = 0
        while True:
            soon = asked < limits.SNAPSHOT_REQUESTS_MAX
            await trio.sleep(limits.MISSING_BOOKS_S if soon else limits.MISSING_BOOKS_LATER_S)
            missing = self.missing
            late = [market for market in missing if market in before]
            asked = asked + 1 if late else 0
            if late and self._session is not None:
                self._counts["missing"] += len(late)
                self._session.request_snapshots(late)
            before = set(missing)

    def _stepped(self, step: Step) -> None:
        if self.streamed:
            self._read_s.clear()
            self._snapshot_rounds = 0
            self.detail = ""
        self._tell_if_proven()  # also each time that was polled: what was missing may not be wanted any more
        self._seams.on_step(self.label, step)
