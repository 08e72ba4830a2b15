"""The markets we know, each stepped by the table of `statecharts/market.py`.

Rules:
- Reads by REST, the lifecycle channel and the clock are told apart: a read may be old, an event may be missing, the
  clock knows only what was announced. Where the clock alone says that a market is open, it is active and unproven
  until a book or a read shows it.
- A 409 outranks the status shown: it is left by `activated`, or by a read of active a minute after another one.
- What cannot be is returned as a divergence about that market only; the state is kept.
- A market that was never read is not known: events about it are counted and make nothing. One that nobody needs any
  more is forgotten, and so are the fees of a series or an event without markets. Which markets are traded is decided in
  `core/market_selection.py`.
- A market's fees are derived here alone, each time that those of its series or its event are others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from attrs import evolve, frozen

from kalshi_daemon.core.changes import Diverged
from kalshi_daemon.core.fee_schedules import FeeSchedules
from kalshi_daemon.core.market import Market, is_grid
from kalshi_daemon.core.table import Table
from kalshi_daemon.facts import EventFees, MarketChanged, MarketRead, SeriesFees
from kalshi_daemon.limits import REFUSED_MARKET_MS
from kalshi_daemon.units import Milliseconds, Ticker
from statecharts.market import ACT, INA, INI, MARKET

TABLE: Final = Table(MARKET)
UNTIL_CLOSED: Final = frozenset({INI, ACT, INA})
NOTHING: Final = "grid_changed"  # the row that changes no state
# the exchange's word in a read -> row; a contested result has no row of its own for reads
READS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "initialized": "read_initialized",
        "active": "read_active",
        "inactive": "read_inactive",
        "closed": "read_closed",
        "determined": "determined",
        "disputed": "disputed",
        "amended": "amended",
        "finalized": "read_finalized",
    }
)
# the exchange's word in a lifecycle event -> row; empty: nothing that a market's state depends on
EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "created": "",
        "metadata_updated": "",
        "activated": "activated",
        "deactivated": "deactivated",
        "close_date_updated": "closing_moved",
        "determined": "determined",
        "settled": "settled",
        "price_level_structure_updated": "grid_changed",
    }
)


@frozen
class MarketMoved:
    """A market is in another state, or proven in it; `before` is empty for one that was not known.

    `active` after `inactive`: the exchange has cancelled everything of ours that rested there.
    """

    before: str
    market: Market


MarketChange: TypeAlias = MarketMoved | Diverged


class MarketUniverse:
    """All markets by ticker, and the fees of their series and events."""

    def __init__(self) -> None:
        self._markets: dict[Ticker, Market] = {}
        self.schedules = FeeSchedules()
        self._counts = Counter(unread_statuses=0, unread_events=0, unknown_markets=0, unusable_grids=0)
        self.markets: Mapping[Ticker, Market] = MappingProxyType(self._markets)

    @property
    def counts(self) -> Mapping[str, int]:
        """Events that changed nothing, by why."""
        return MappingProxyType(self._counts)

    def market(self, ticker: Ticker) -> Market | None:
        return self._markets.get(ticker)

    def fees(self, fees: SeriesFees) -> None:
        """A series' schedule was read."""
        if self.schedules.read_series(fees.series, fees, ""):
            self._charge(lambda market: market.series == fees.series)

    def fees_refused(self, series: Ticker, why: str) -> None:
        """A series' schedule was read, and has arithmetic that we do not know: its markets are not traded."""
        if self.schedules.read_series(series, None, why):
            self._charge(lambda market: market.series == series)

    def event_fees(self, told: Sequence[EventFees]) -> None:
        """Events' own fees were read, or heard; those of an event without a market here are passed over."""
        known = {market.event for market in self._markets.values()}
        news = {fees.event for fees in told if fees.event in known and self.schedules.read_event(fees)}
        if news:
            self._charge(lambda market: market.event in news)

    def _charge(self, concerned: Callable[[Market], bool]) -> None:
        for ticker, market in self._markets.items():
            if concerned(market):
                fees, refused = self.schedules.of(market.series, market.event)
                self._markets[ticker] = evolve(market, fees=fees, fees_refused=refused)

    def read(self, fact: MarketRead, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        """A market as REST shows it at `now_ms`."""
        row = READS.get(fact.status)
        if row is None or not is_grid(fact.price_ranges):
            self._count("unread_statuses" if row is None else "unusable_grids")
            return ()
        before = self._markets.get(fact.market)
        if before is None:
            return (MarketMoved("", self._meet(fact)),)
        if fact.close_ms != before.close_ms:
            moved = self._step(evolve(before, close_ms=fact.close_ms), "closing_moved", now_ms)
            assert not isinstance(moved, Diverged), "the table has no divergence for a moved closing"
        known = evolve(
            self._markets[fact.market],
            grid=fact.price_ranges,
            open_ms=fact.open_ms,
            result=fact.result,
            settlement_value=fact.settlement_value,
            kind=fact.kind,
            volume_24h=fact.volume_24h,
            spread=fact.spread,
            waived_ms=fact.waived_ms,
            listed=True,
        )
        if known.refused_ms is not None:
            known, row = self._outranked(known, row, now_ms)
        if row == "read_active":
            known = evolve(known, unproven=False)
        return self._told(before, self._step(known, row, now_ms))

    def changed(self, fact: MarketChanged, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        """A frame of the lifecycle channel."""
        before = self._markets.get(fact.market)
        row = EVENTS.get(fact.event)
        if before is None or row is None:
            self._count("unread_events" if row is None else "unknown_markets")
            return ()
        if not row:
            return ()
        grid = before.grid if fact.price_ranges is None else fact.price_ranges
        if not is_grid(grid):
            self._count("unusable_grids")
            grid = before.grid
        known = evolve(
            before,
            close_ms=before.close_ms if fact.close_ms is None else fact.close_ms,
            result=before.result if fact.result is None else fact.result,
            settlement_value=before.settlement_value if fact.settlement_value is None else fact.settlement_value,
            grid=grid,
        )
        if row == "activated":
            known = evolve(known, refused_ms=None, active_read_ms=None, unproven=False)
        return self._told(before, self._step(known, row, now_ms))

    def passed(self, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        """The clock: markets that by it have opened or closed."""
        changes: list[MarketChange] = []
        for market in list(self._markets.values()):
            if market.status not in UNTIL_CLOSED:
                continue
            if now_ms >= market.close_ms:
                changes.extend(self._told(market, self._step(market, "closing_passed", now_ms)))
            elif market.status == INI and now_ms >= market.open_ms:
                changes.extend(self._told(market, self._step(market, "opening_passed", now_ms)))
        return tuple(changes)

    def trading_refused(self, ticker: Ticker, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        """An order was answered 409, trading paused."""
        before = self._markets.get(ticker)
        if before is None:
            self._count("unknown_markets")
            return ()
        known = evolve(before, refused_ms=now_ms, active_read_ms=None)
        return self._told(before, self._step(known, "trading_refused", now_ms))

    def book_seen(self, ticker: Ticker) -> tuple[MarketChange, ...]:
        """A snapshot of its book came: a market that only the clock called open is proven."""
        before = self._markets.get(ticker)
        if before is None or not before.unproven:
            return ()
        self._markets[ticker] = proven = evolve(before, unproven=False)
        return (MarketMoved(before.status, proven),)

    def unlisted(self, ticker: Ticker, now_ms: Milliseconds) -> tuple[MarketChange, ...]:
        """A complete read of the markets asked for no longer lists it."""
        before = self._markets.get(ticker)
        if before is None:
            return ()
        return self._told(before, self._step(evolve(before, listed=False), "unlisted", now_ms))

    def leave(self, ticker: Ticker, *, leaving: bool) -> None:
        """It is in view only for what we have there, or is selected again."""
        before = self._markets[ticker]
        if before.leaving is not leaving:
            self._markets[ticker] = evolve(before, leaving=leaving)

    def forget(self, tickers: Collection[Ticker]) -> None:
        """Nobody needs them any more."""
        for ticker in tickers:
            del self._markets[ticker]
        left = self._markets.values()
        self.schedules.keep({market.series for market in left}, {market.event for market in left})

    def _meet(self, fact: MarketRead) -> Market:
        """A market that was not known: what is read is what it is."""
        fees, refused = self.schedules.of(fact.series, fact.event)
        market = Market(
            ticker=fact.market,
            event=fact.event,
            series=fact.series,
            status=fact.status,
            unproven=False,
            grid=fact.price_ranges,
            open_ms=fact.open_ms,
            close_ms=fact.close_ms,
            exchange_index=fact.exchange_index,
            result=fact.result,
            settlement_value=fact.settlement_value,
            fees=fees,
            refused_ms=None,
            active_read_ms=None,
            kind=fact.kind,
            volume_24h=fact.volume_24h,
            spread=fact.spread,
            fees_refused=refused,
            waived_ms=fact.waived_ms,
        )
        self._markets[fact.market] = market
        return market

    @staticmethod
    def _outranked(market: Market, row: str, now_ms: Milliseconds) -> tuple[Market, str]:
        """A read of a market that answered 409: active counts only when it is said again a minute later."""
        if row != "read_active":
            return evolve(market, active_read_ms=None), row
        if market.active_read_ms is None:
            return evolve(market, active_read_ms=now_ms), NOTHING
        if now_ms - market.active_read_ms < REFUSED_MARKET_MS:
            return market, NOTHING
        return evolve(market, refused_ms=None, active_read_ms=None), row

    def _step(self, market: Market, row: str, now_ms: Milliseconds) -> Market | Diverged:
        """One step of the table; the market's other fields are kept in every case."""
        cell = TABLE.step(market.status, row).moved(later_than_now=market.close_ms > now_ms)
        if cell.diverged:
            self._markets[market.ticker] = market
            return Diverged(market.ticker, f"market {market.ticker}: {row} while {market.status}")
        if cell.next is not None:
            market = evolve(market, status=cell.next, unproven=cell.unproven)
        self._markets[market.ticker] = market
        return market

    @staticmethod
    def _told(before: Market, after: Market | Diverged) -> tuple[MarketChange, ...]:
        if isinstance(after, Diverged):
            return (after,)
        same = (after.status, after.unproven) == (before.status, before.unproven)
        return () if same else (MarketMoved(before.status, after),)

    def _count(self, what: str) -> None:
        self._counts[what] += 1


__all__ = ["Market", "MarketChange", "MarketMoved", "MarketUniverse"]
