"""Finds the markets that the configuration selects, follows them, and says which are in.

Rules:
- A round reads each event and series, then by ticker what is named, what we have something on, and what an event or a
  series no longer shows: only a market that is not there by its own ticker either is unlisted. A read that failed
  proves nothing about its markets.
- Between rounds the lifecycle channel names what is new: its event or series is read a moment later, and a market that
  by the clock has opened is read at once.
- Where the channel missed something, what it may have said is read in a round before its time, but in no hot loop.
- What is charged is read when a market is met and again in the rounds, and heard of the lifecycle channel too
  (`fee_reader.py`).
- Reads keep a distance and have a bound of pages, so that a round never spends the account's tokens.
- The choice is made anew when something moved, when what we have somewhere changed, and now and then, since times to
  a closing pass by themselves. Whoever carries the books is told when other markets are in.
- A market is met only while fewer than `MARKETS_KNOWN_MAX` are known, and forgotten when nobody needs it any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.config_values import MARKET, Selection
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.market_selection import MarketSelection
from kalshi_daemon.core.market_universe import UNTIL_CLOSED, MarketChange, MarketMoved, MarketUniverse
from kalshi_daemon.errors import ConfigurationError, ExchangeError, Unreachable
from kalshi_daemon.facts import EventFeesChanged, MarketChanged, MarketRead
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.fee_reader import FeeReader
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Milliseconds, Ticker

BRINGS: Final = frozenset({"created", "activated", "close_date_updated"})  # events through which a market may be new
NAMES_LOGGED_MAX: Final = 8
ANNOUNCED: Final = "announced changes of fees"


class MarketWatch:
    def __init__(  # noqa: PLR0913 - whom it asks, and whom it tells
        self,
        selection: MarketSelection,
        universe: MarketUniverse,
        ledger: LedgerView,
        rest: RestClient,
        clock: Clock,
        *,
        proven: Callable[[Ticker], bool],
        want: Callable[[Sequence[Ticker]], None],
        on_changes: Callable[[Sequence[MarketChange]], None],
        alarm: Callable[[str, str], None],
    ) -> None:
        """`proven`: a market's book is usable; `want`: the books of these markets are to be carried."""
        self.counts = Counter(rounds=0, failed=0, added=0, dropped=0, too_many=0)
        self.selection = selection
        self.fees = FeeReader(universe, rest, clock, alarm)
        self.problems: dict[str, str] = {}  # what could not be read when it was last tried -> why
        self._wide = [each for each in selection.selections if each.kind != MARKET]
        self._universe = universe
        self._ledger = ledger
        self._rest = rest
        self._clock = clock
        self._proven = proven
        self._want = want
        self._on_changes = on_changes
        self._alarm = alarm
        self._spacing_s = 0.0  # between two reads: nothing else is read while a start waits for them
        self._round_s = self._rounded_s = float("-inf")  # when the next round is, and when the last one was
        self._asked = trio.Event()
        self._asked_wide: dict[Selection, None] = {}
        self._asked_tickers: dict[Ticker, None] = {}  # known ones, and those that we have something on
        self._held: frozenset[Ticker] = frozenset()
        self._moved = False
        self._looked_s = float("-inf")

    # ------------------------------------------------------------------------------------------------------- the reads

    async def prepare(self) -> str:
        """Every selection read once, before anything trades; what was found, in words. Where markets are many, the fees
        of those of which nothing is held are left to `run`.

        Raises what a read raises, and ConfigurationError for a named market that the exchange does not list.
        """
        for selection in self._wide:
            await self._read_wide(selection)
        await self._read_tickers(self._always())
        for ticker in self.selection.named:
            if self._universe.market(ticker) is None:
                raise ConfigurationError(
                    f"KALSHI_MARKETS names {ticker}, which the exchange does not list; allowed: tickers that it lists"
                )
        left = await self.fees.read_first(self._held_now())
        with self._noting(ANNOUNCED):
            await self.fees.read_announced()
        self.review()
        known, chosen = len(self._universe.markets), len(self.selection.wanted)
        later = f"; the fees of {left} are read while it trades" if left else ""
        return f"{known} markets known, with grid, times and fees; {chosen} in{later}"

    async def run(self) -> None:
        """Never returns."""
        self._spacing_s = limits.DISCOVERY_SPACING_S
        self._begin_round()
        await self.fees.read(self._noting, self._spacing_s, again=False)
        self._moved = True
        while True:
            with trio.move_on_at(self._round_s):
                await self._asked.wait()
                await trio.sleep(limits.DISCOVERY_DELAY_S)
            wide, tickers = list(self._asked_wide), list(self._asked_tickers)
            self._asked_wide.clear()
            self._asked_tickers.clear()
            self._asked = trio.Event()
            whole = trio.current_time() >= self._round_s
            if whole:
                wide, tickers = self._wide, [*self._always(), *tickers]
                self._begin_round()
                self.counts["rounds"] += 1
            await self._round(wide, tickers, whole=whole)

    def _begin_round(self) -> None:
        self._rounded_s = trio.current_time()
        self._round_s = self._rounded_s + limits.MARKETS_READ_S

    async def _round(self, wide: Sequence[Selection], tickers: Sequence[Ticker], *, whole: bool) -> None:
        """What cannot be read is noted, and asked again in the next round."""
        asked = dict.fromkeys(tickers)
        for selection in wide:
            with self._noting(str(selection)):
                asked |= dict.fromkeys(await self._read_wide(selection))
        with self._noting("markets by ticker"):
            await self._read_tickers(tuple(asked))
        await self.fees.read(self._noting, self._spacing_s, again=whole)
        if whole:
            with self._noting(ANNOUNCED):
                await self.fees.read_announced()
        self._moved = True

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ExchangeError, Unreachable) as error:
            self.counts["failed"] += 1
            self.problems[what] = str(error)
        else:
            self.problems.pop(what, None)

    async def _read_wide(self, selection: Selection) -> list[Ticker]:
        """The markets that it was known to bring and that are not there any more: to be read by their tickers."""
        reads = await self._rest.selected_markets(selection.kind, selection.ticker, self._clock.exchange_now_ms())
        for read in reads:
            self._take(read)
        await trio.sleep(self._spacing_s)
        shown = {read.market for read in reads}
        return [
            each.ticker
            for each in self._universe.markets.values()
            if each.status in UNTIL_CLOSED
            and each.listed
            and each.ticker not in shown
            and selection.covers(each.ticker, each.event, each.series)
        ]

    async def _read_tickers(self, tickers: Sequence[Ticker]) -> None:
        for start in range(0, len(tickers), limits.POLL_CHUNK):
            chunk = tickers[start : start + limits.POLL_CHUNK]
            reads = await self._rest.markets(chunk)
            for read in reads:
                self._take(read)
            for ticker in set(chunk) - {read.market for read in reads}:
                self._tell(self._universe.unlisted(ticker, self._clock.exchange_now_ms()))
            await trio.sleep(self._spacing_s)

    def _take(self, read: MarketRead) -> None:
        if self._universe.market(read.market) is None and len(self._universe.markets) >= limits.MARKETS_KNOWN_MAX:
            self.counts["too_many"] += 1
            self._alarm(
                "too_many_markets",
                f"{limits.MARKETS_KNOWN_MAX} markets are known, and more are selected: narrow KALSHI_MARKETS",
            )
            return
        self._tell(self._universe.read(read, self._clock.exchange_now_ms()))

    def _always(self) -> list[Ticker]:
        """What every round reads by ticker."""
        return list(dict.fromkeys([*self.selection.named, *sorted(self._held_now())]))

    # ------------------------------------------------------------------------------------------------- what is told us

    def heard(self, fact: MarketChanged | EventFeesChanged) -> None:
        """A frame of the lifecycle channel, which speaks of every market of the exchange."""
        if isinstance(fact, EventFeesChanged):
            self.fees.heard(fact.fees)
            self._moved = True
            return
        if self._universe.market(fact.market) is None and fact.event in BRINGS:
            selection = self.selection.brings(fact.market)
            if selection is not None and selection.kind != MARKET:
                self._asked_wide[selection] = None
                self._asked.set()
        self._tell(self._universe.changed(fact, self._clock.exchange_now_ms()))

    def missed(self) -> None:
        """Frames of the lifecycle channel were missed, or there was none for a while."""
        soon_s = max(self._rounded_s + limits.MARKETS_READ_LEAST_S, trio.current_time() + limits.DISCOVERY_DELAY_S)
        if soon_s < self._round_s:
            self._round_s = soon_s
            self._asked.set()

    def tick(self, exchange_ms: Milliseconds) -> None:
        """The clock: what opens and closes without an event, and the choice where it may be another one now."""
        self._tell(self._universe.passed(exchange_ms))
        self._moved |= self.fees.tick(exchange_ms)
        for ticker in self.selection.wanted:
            market = self._universe.market(ticker)
            if market is not None and market.unproven and self._proven(ticker):
                self._tell(self._universe.book_seen(ticker))
        held = self._held_now()
        if held != self._held:
            self._moved = self._moved or any(map(self._hangs_on_it, held ^ self._held))
            self._held = held
            self._ask_for(held - self._universe.markets.keys())
        if self._moved or trio.current_time() - self._looked_s >= limits.SELECTION_LOOK_S:
            self.review()

    def review(self) -> None:
        """Make the choice anew, and tell whoever carries the books."""
        self._moved = False
        self._looked_s = trio.current_time()
        now_ms, before = self._clock.exchange_now_ms(), self.selection.wanted
        changed = self.selection.choose(self._universe.markets, self._held_now(), now_ms)
        for place in self.selection.places.values():
            self._universe.leave(place.market, leaving=place.leaving)
        self._universe.forget(self.selection.gone(now_ms))
        if changed:
            wanted = self.selection.wanted
            added, dropped = _without(wanted, before), _without(before, wanted)
            self.counts["added"] += len(added)
            self.counts["dropped"] += len(dropped)
            log.info("markets", now=len(wanted), added=_named(added), dropped=_named(dropped))
            self._want(wanted)

    def _held_now(self) -> frozenset[Ticker]:
        """Where we have a position, or an order that is not over."""
        ledger = self._ledger
        held = {ticker for ticker, position in ledger.positions.items() if position.count}
        return frozenset(held | {record.spec.market for record in ledger.live()})

    def _hangs_on_it(self, ticker: Ticker) -> bool:
        """Whether having something there, or not, changes the choice: not where the market is in for itself."""
        place = self.selection.places.get(ticker)
        return place is None or place.leaving or not place.wanted

    def _ask_for(self, tickers: frozenset[Ticker]) -> None:
        if tickers:
            self._asked_tickers |= dict.fromkeys(sorted(tickers))
            self._asked.set()

    def _tell(self, changes: Sequence[MarketChange]) -> None:
        if changes:
            self._moved = True
            self._ask_for(frozenset(_unproven(changes)))
            self._on_changes(changes)


def _unproven(changes: Sequence[MarketChange]) -> Iterator[Ticker]:
    """What is open by the clock alone: a read says whether it is."""
    return (each.market.ticker for each in changes if isinstance(each, MarketMoved) and each.market.unproven)


def _without(these: Sequence[Ticker], those: Sequence[Ticker]) -> list[Ticker]:
    left_out = set(those)
    return [ticker for ticker in these if ticker not in left_out]


def _named(tickers: Sequence[Ticker]) -> str:
    more = f" and {len(tickers) - NAMES_LOGGED_MAX} more" if len(tickers) > NAMES_LOGGED_MAX else ""
    return ", ".join(tickers[:NAMES_LOGGED_MAX]) + more
