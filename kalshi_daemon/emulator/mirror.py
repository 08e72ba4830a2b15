"""A mirror: an exchange whose markets, grids, books and results are what another exchange shows, and whose accounts are
its own.

For `run --dry-run`: the daemon sees the real markets and trades on an account here. Rules: what is told is believed,
since the daemon has proven it before; a market is listed when it is first read, with terms marked invented; levels are
met as a recording's are (recorded.py); a market that has closed here takes no more of them. What cannot be followed is
counted by kind and leaves the mirror as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from attrs import evolve

from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import LINEAR_CENT, STRUCTURES, contains
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Market, MarketStatus, Series
from kalshi_daemon.facts import EventFees, MarketChanged, MarketRead, PriceRange, SeriesFees
from kalshi_daemon.units import Count, Milliseconds, Price, Ticker

RESULTS: Final = ("yes", "no", "scalar")
TRADED: Final = (MarketStatus.ACTIVE, MarketStatus.INACTIVE)


class Mirror:
    """Bounded by the markets that are told of."""

    def __init__(self, exchange: Exchange) -> None:
        self.counts: Counter[str] = Counter()
        self._exchange = exchange
        self._waiting: dict[Ticker, MarketRead] = {}  # markets whose series has told no fees yet
        self._event_fees: dict[Ticker, EventFees] = {}  # the last of each event, listed or not

    def hear(self, fact: MarketRead | SeriesFees | EventFees | MarketChanged) -> None:
        """What the daemon learns of a market besides its book."""
        if isinstance(fact, MarketRead):
            self._on_read(fact)
        elif isinstance(fact, SeriesFees):
            self._on_fees(fact)
        elif isinstance(fact, EventFees):
            self._on_event_fees(fact)
        elif fact.market in self._exchange.markets:
            self._on_event(fact)

    def _on_fees(self, fees: SeriesFees) -> None:
        """A series is listed with what it charges, and then its markets; later it charges what is told."""
        known = self._exchange.series.get(fees.series)
        if known is not None:
            if (known.fee_type, known.multiplier_ppm) != (fees.fee_type, fees.multiplier_ppm):
                self._exchange.change_series_fees(fees.series, fees.fee_type, fees.multiplier_ppm)
            return
        title = f"Mirrored series {fees.series}, terms invented"
        self._exchange.add_series(Series(fees.series, title, "", fees.fee_type, fees.multiplier_ppm, invented=True))
        for read in [each for each in self._waiting.values() if each.series == fees.series]:
            self._on_read(self._waiting.pop(read.market))

    def _on_event_fees(self, fees: EventFees) -> None:
        if fees.refused:
            self.counts["fees_refused"] += 1
            return
        self._event_fees[fees.event] = fees
        self._charge(fees.event)

    def _charge(self, event: Ticker) -> None:
        """What was told of an event's own fees holds here, as soon as the event is listed."""
        told, terms = self._event_fees.get(event), self._exchange.events.get(event)
        if told is None or terms is None:
            return
        if (terms.fee_type, terms.multiplier_ppm) != (told.fee_type, told.multiplier_ppm):
            self._exchange.override_fees(event, told.fee_type, told.multiplier_ppm)

    def _on_read(self, read: MarketRead) -> None:
        """A market as the other exchange shows it: listed here, or brought up to date."""
        if read.market not in self._exchange.markets:
            if read.exchange_index not in self._exchange.settings.exchange_indexes:
                self.counts["unlisted"] += 1
                return
            if read.series not in self._exchange.series:
                self._waiting[read.market] = read
                return
            self._list(read)
        market = self._exchange.market(read.market)
        self._move_close(market, read.close_ms)
        self._change_grid(market, read.price_ranges)
        if read.status == "inactive":
            self._halt(read.market)
        elif read.status == "active":
            self._resume(read.market)
        self._settle(read.market, read.result, read.settlement_value)

    def _on_event(self, change: MarketChanged) -> None:
        market = self._exchange.market(change.market)
        if change.event == "deactivated":
            self._halt(change.market)
        elif change.event == "activated":
            self._resume(change.market)
        elif change.event == "close_date_updated" and change.close_ms is not None:
            self._move_close(market, change.close_ms)
        elif change.event == "price_level_structure_updated" and change.price_ranges is not None:
            self._change_grid(market, change.price_ranges)
        elif change.event == "determined":
            self._settle(change.market, change.result or "", change.settlement_value)

    def on_book(self, ticker: Ticker, yes: Mapping[Price, Count], no: Mapping[Price, Count]) -> None:
        """All levels of a market, in each leg's own prices."""
        if ticker in self._exchange.markets and self._exchange.market(ticker).status in TRADED:
            self._exchange.replace_recorded(ticker, yes, no)
        else:
            self.counts["books_refused"] += 1

    def _list(self, read: MarketRead) -> None:
        title = f"Mirrored market {read.market}, terms invented"
        market = invented_market(read.market, title, _structure(read.price_ranges) or LINEAR_CENT, read.open_ms)
        self._exchange.add_market(
            evolve(
                market,
                event=read.event,
                series=read.series,
                open_ms=read.open_ms,
                close_ms=read.close_ms,
                price_ranges=read.price_ranges,
                exchange_index=read.exchange_index,
            )
        )
        self._charge(read.event)

    def _halt(self, ticker: Ticker) -> None:
        if self._exchange.market(ticker).status is MarketStatus.ACTIVE:
            self._exchange.halt(ticker)

    def _resume(self, ticker: Ticker) -> None:
        if self._exchange.market(ticker).status is MarketStatus.INACTIVE:
            self._exchange.resume(ticker)

    def _move_close(self, market: Market, close_ms: Milliseconds) -> None:
        if close_ms != market.close_ms and market.status in (MarketStatus.INITIALIZED, *TRADED, MarketStatus.CLOSED):
            self._exchange.move_close(market.ticker, close_ms)

    def _change_grid(self, market: Market, ranges: tuple[PriceRange, ...]) -> None:
        if ranges == market.price_ranges or market.status not in TRADED:
            return
        structure = _structure(ranges)
        if structure is None or not contains(ranges, market.price_ranges):
            self.counts["grids_refused"] += 1
            return
        self._exchange.change_grid(market.ticker, structure)

    def _settle(self, ticker: Ticker, result: str, value: Price | None) -> None:
        """Determined there: determined here, and paid after the market's timer."""
        if not result or self._exchange.market(ticker).result:
            return
        if result not in RESULTS or (result == "scalar" and value is None):
            self.counts["results_refused"] += 1
            return
        self._exchange.settle(ticker, result, value if result == "scalar" else None)


def _structure(ranges: tuple[PriceRange, ...]) -> str | None:
    return next((label for label, known in STRUCTURES.items() if known == ranges), None)
