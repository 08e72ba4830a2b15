"""Learns what is charged: series' schedules and events' own fees, from reads, the stream, and the clock.

Rules:
- What a market needs and nobody has read is read at once; a start waits for some of it only (`read_first`), and a
  market is not decided on before its fees are known. What is known is read again in rotation, a bounded number in each
  round: a series' change is told by no stream, and what a stream has missed is found so.
- A series' change that is announced is made by the clock, when it is due.
- What was heard, or was due, outranks a read that began before, or so shortly after that it may lag.
- Events are read by the list; the few that it does not show, each by its own ticker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeAlias

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.facts import EventFees, SeriesFeeChange, SeriesFees
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Milliseconds, Ticker

Noting: TypeAlias = Callable[[str], AbstractContextManager[None]]  # what happens to the failure of a read so named
NOT_FOUND: Final = 404


class FeeReader:
    """`schedules` of the universe are its to fill."""

    def __init__(
        self, universe: MarketUniverse, rest: RestClient, clock: Clock, alarm: Callable[[str, str], None]
    ) -> None:
        self.counts = Counter(heard=0, changed=0, announced=0, outranked=0)
        self._universe = universe
        self._rest = rest
        self._clock = clock
        self._alarm = alarm
        self._series_turns: dict[Ticker, None] = {}  # those that were read longest ago first
        self._event_turns: dict[Ticker, None] = {}
        self._announced: list[SeriesFeeChange] = []  # of our series, the next first
        self._series_said_s: dict[Ticker, float] = {}  # when they changed other than by a read, the last while
        self._event_said_s: dict[Ticker, float] = {}

    # ------------------------------------------------------------------------------------------------------- the reads

    async def read_first(self, held: Collection[Ticker]) -> int:
        """What is not known of markets that something is held of, and of some others: all that a start waits for. How
        many markets are left to be read. Raises what a read raises.
        """
        series: set[Ticker] = set()
        events: set[Ticker] = set()
        first: list[Market] = []
        markets = sorted(self._universe.markets.values(), key=lambda market: market.ticker not in held)
        for market in markets:
            room = (
                len(series) < limits.SERIES_AWAITED_MAX or market.series in series,
                len(events) < limits.EVENT_LISTS_AWAITED_MAX * limits.POLL_CHUNK or market.event in events,
            )
            if market.ticker in held or all(room):
                series.add(market.series)
                events.add(market.event)
                first.append(market)
        await self._read(first, lambda _what: nullcontext(), 0.0, again=False)
        return len(markets) - len(first)

    async def read(self, noting: Noting, spacing_s: float, *, again: bool) -> None:
        """What is not known; with `again` also, by turns, what is."""
        await self._read(list(self._universe.markets.values()), noting, spacing_s, again=again)

    async def _read(self, markets: Sequence[Market], noting: Noting, spacing_s: float, *, again: bool) -> None:
        known = self._universe.schedules
        series, events = ({each.series for each in markets}, {each.event for each in markets})
        most = limits.SERIES_READS_MAX if again else 0
        for ticker in _next(self._series_turns, series, known.series, most):
            with noting(f"the fees of series {ticker}"):
                await self._read_series(ticker)
            await trio.sleep(spacing_s)
        most = limits.EVENT_READS_MAX * limits.POLL_CHUNK if again else 0
        due = _next(self._event_turns, events, known.events, most)
        for start in range(0, len(due), limits.POLL_CHUNK):
            with noting("the fees of events"):
                await self._read_events(due[start : start + limits.POLL_CHUNK], spacing_s)

    async def read_announced(self) -> None:
        """What of our series' schedules is to change, and when."""
        changes = await self._rest.series_fee_changes()
        now_ms = self._clock.exchange_now_ms()
        self.tick(now_ms)
        series = {market.series for market in self._universe.markets.values()}
        ours = sorted((each for each in changes if each.series in series and each.at_ms > now_ms), key=_due_ms)
        self._announced = ours[: limits.FEE_CHANGES_MAX]

    async def _read_series(self, series: Ticker) -> None:
        begun_s = trio.current_time()
        fees: SeriesFees | None
        try:
            fees, refused = await self._rest.series_fees(series), ""
        except WireError as error:
            fees, refused = None, str(error)
        if self._is_outranked(self._series_said_s, series, begun_s):
            return
        self._take_series(series, fees, refused)

    async def _read_events(self, events: Sequence[Ticker], spacing_s: float) -> None:
        begun_s = trio.current_time()
        self._take_read(await self._rest.event_fees(events), begun_s)
        await trio.sleep(spacing_s)
        left = [event for event in events if event not in self._universe.schedules.events]
        for event in left[: limits.EVENTS_UNLISTED_MAX]:
            begun_s = trio.current_time()
            try:
                fees = await self._rest.one_event_fees(event)
            except ExchangeError as error:
                if error.status != NOT_FOUND:
                    raise
                fees = EventFees(event, None, None, f"the exchange does not know the event {event}")
            self._take_read([fees], begun_s)
            await trio.sleep(spacing_s)

    # ------------------------------------------------------------------------------------------------ what else is told

    def heard(self, fees: EventFees) -> None:
        """The stream's word, of any event of the exchange."""
        self.counts["heard"] += 1
        if any(market.event == fees.event for market in self._universe.markets.values()):
            self._say(self._event_said_s, fees.event)
            self._take_events([fees])

    def tick(self, exchange_ms: Milliseconds) -> bool:
        """Make the changes that are due; whether there were any."""
        due = [change for change in self._announced if change.at_ms <= exchange_ms]
        self._announced = self._announced[len(due) :]
        for change in due:
            self.counts["announced"] += 1
            if change.series in self._universe.schedules.series:
                self._say(self._series_said_s, change.series)
                self._take_series(change.series, change.fees, change.refused)
        return bool(due)

    # --------------------------------------------------------------------------------------------------------- private

    def _say(self, said_s: dict[Ticker, float], ticker: Ticker) -> None:
        now_s = trio.current_time()
        for old in [each for each, at_s in said_s.items() if at_s < now_s - limits.READS_OUTRANKED_S]:
            del said_s[old]
        said_s[ticker] = now_s

    def _is_outranked(self, said_s: dict[Ticker, float], ticker: Ticker, begun_s: float) -> bool:
        outranked = begun_s - said_s.get(ticker, float("-inf")) < limits.READS_OUTRANKED_S
        self.counts["outranked"] += outranked
        return outranked

    def _take_read(self, read: Sequence[EventFees], begun_s: float) -> None:
        self._take_events([each for each in read if not self._is_outranked(self._event_said_s, each.event, begun_s)])

    def _take_events(self, told: Sequence[EventFees]) -> None:
        known = self._universe.schedules.events
        before = {fees.event: known.get(fees.event) for fees in told}
        self._universe.event_fees(told)
        for event, was in before.items():
            self._note("event", event, was, known.get(event), getattr(known.get(event), "refused", ""))

    def _take_series(self, series: Ticker, fees: SeriesFees | None, refused: str) -> None:
        known = self._universe.schedules.series
        before = known.get(series)
        if fees is None:
            self._universe.fees_refused(series, refused)
        else:
            self._universe.fees(fees)
        self._note("series", series, before, known[series], refused)

    def _note(self, kind: str, ticker: Ticker, before: object, now: object, refused: str) -> None:
        """Say what changed; the first that is known of a market is no change, unless it cannot be counted with."""
        if before == now:
            return
        if before is not None:
            self.counts["changed"] += 1
            log.info("fees", of=kind, ticker=ticker, now=str(now))
        if refused:
            self._alarm(f"{kind}_refused", f"{refused}: the markets of {kind} {ticker} are out")


def _next(turns: dict[Ticker, None], wanted: Collection[Ticker], known: Collection[Ticker], most: int) -> list[Ticker]:
    """What of the wanted is not known, and of the others the `most` whose turn it is; their next turn is the last."""
    for ticker in [each for each in turns if each not in wanted]:
        del turns[ticker]
    for ticker in sorted(wanted):
        turns.setdefault(ticker)
    due = [each for each in turns if each not in known] + [each for each in turns if each in known][:most]
    for ticker in due:
        del turns[ticker]
        turns[ticker] = None
    return due


def _due_ms(change: SeriesFeeChange) -> Milliseconds:
    return change.at_ms
