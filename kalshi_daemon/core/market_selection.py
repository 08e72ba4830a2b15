"""Which markets are traded, and for each market that is known the reason why it is in or out.

Rules:
- A market named by its ticker is in while it can be traded; filters and the cap judge only what an event or a series
  brings. Who names more markets than the cap is told so when the configuration is read.
- A market where we have a position or an order stays in whatever the rest says, and is only reduced there
  (`Place.leaving`), until we have nothing left on it.
- Filters that move up and down (volume, spread) turn a market away at once that is not in, and one that is in only
  when they have refused it for `FILTER_PATIENCE_MS`: a spread that blinks costs no subscription.
- Under the cap the order is: what we have something on, what is named, what is in, what traded most.
- A market that is over, or that nothing selects, is forgotten `GONE_KEPT_MS` after it went out; a named one never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from kalshi_daemon.config_values import MARKET, Selection
from kalshi_daemon.core.market import Market
from kalshi_daemon.limits import FILTER_PATIENCE_MS, GONE_KEPT_MS, MARKETS_DEFAULT
from kalshi_daemon.units import HOUR_MS, MINUTE_MS, PRICE_ONE, Count, Milliseconds, Price, Ticker, cents, contracts
from statecharts.market import ACT, INA, INI

TRADABLE: Final = frozenset({ACT, INA})  # a halted market may be activated again
HELD: Final = "held"
IN: Final = ("named", "event", "series", HELD)  # the words of a market that is in
OVER: Final = frozenset({"over", "unlisted", "unselected"})  # why a market is out that is forgotten after a while


@frozen
class Filters:
    """What an event's or a series' market must have; times are from now to its closing."""

    volume_min: Count = 0
    spread_max: Price = PRICE_ONE
    close_min_ms: Milliseconds = 0
    close_max_ms: Milliseconds = 1_000_000 * HOUR_MS


@frozen
class Place:
    """Where one market stands. `why` is a word that can be counted, `text` says it with its figures."""

    market: Ticker
    wanted: bool
    leaving: bool
    why: str
    text: str
    since_ms: Milliseconds


@frozen
class _Found:
    """One market while the choice is made: why it would be in, and why it is out; empty: nothing speaks against it."""

    market: Market
    by: Selection | None
    out: str
    text: str


class MarketSelection:
    """The choice as it stands; `choose` makes it anew."""

    def __init__(
        self, selections: Sequence[Selection], filters: Filters | None = None, markets_max: int = MARKETS_DEFAULT
    ) -> None:
        self.selections = tuple(selections)
        self.named: tuple[Ticker, ...] = tuple(each.ticker for each in selections if each.kind == MARKET)
        self._at = {(each.kind, each.ticker): at for at, each in enumerate(self.selections)}
        self._filters = filters or Filters()
        self._markets_max = markets_max
        self._places: dict[Ticker, Place] = {}
        self._refused_ms: dict[Ticker, Milliseconds] = {}  # in, and refused by a filter without a break since then
        self.places: Mapping[Ticker, Place] = MappingProxyType(self._places)

    @property
    def wanted(self) -> tuple[Ticker, ...]:
        """The markets that are in, in the order in which they came in."""
        return tuple(place.market for place in self._places.values() if place.wanted)

    @property
    def counts(self) -> Mapping[str, int]:
        """Markets by why they are in or out."""
        return Counter(place.why for place in self._places.values())

    def brings(self, ticker: Ticker) -> Selection | None:
        """The event or series that a market not read yet belongs to, by its ticker alone."""
        event, series = ticker.rpartition("-")[0], ticker.partition("-")[0]
        return self._selection_of(ticker, event, series)

    def _selection_of(self, ticker: Ticker, event: Ticker, series: Ticker) -> Selection | None:
        """The first that covers it, found by its name: each of a thousand markets may be named."""
        names = ((MARKET, ticker), ("event", event), ("series", series))
        found = [self._at[name] for name in names if name in self._at]
        return self.selections[min(found)] if found else None

    def choose(self, markets: Mapping[Ticker, Market], held: Collection[Ticker], now_ms: Milliseconds) -> bool:
        """Judge every known market. `held`: where we have a position or an order. Whether other markets are in now."""
        before = self.wanted
        found = [self._judge(market, now_ms) for market in markets.values()]
        ranked = sorted(found, key=lambda each: self._rank(each, held))
        room = self._markets_max
        for each in ranked:
            ticker = each.market.ticker
            wanted = ticker in held or not each.out
            if wanted and room <= 0 and ticker not in held and ticker not in self.named:
                full = f"{self._markets_max} markets are in, which is the most"
                self._note(Place(ticker, wanted=False, leaving=False, why="cap", text=full, since_ms=now_ms))
                continue
            room -= wanted
            self._note(self._place(each, wanted=wanted, now_ms=now_ms))
        for ticker in self._places.keys() - markets.keys():
            del self._places[ticker]
            self._refused_ms.pop(ticker, None)
        return self.wanted != before

    def gone(self, now_ms: Milliseconds) -> list[Ticker]:
        """What nobody has to remember any more."""
        return [
            place.market
            for place in self._places.values()
            if place.why in OVER
            and not place.wanted
            and place.market not in self.named
            and now_ms - place.since_ms >= GONE_KEPT_MS
        ]

    # ------------------------------------------------------------------------------------------------------ judgements

    def _judge(self, market: Market, now_ms: Milliseconds) -> _Found:
        by = self._selection_of(market.ticker, market.event, market.series)
        if by is None:
            return _Found(market, None, "unselected", "nothing in KALSHI_MARKETS selects it")
        out, text = self._cannot_be_traded(market)
        if not out and by.kind != MARKET:
            out, text = self._filtered(market, now_ms)
        return _Found(market, by, out, text)

    @staticmethod
    def _cannot_be_traded(market: Market) -> tuple[str, str]:
        if not market.listed:
            return "unlisted", "the exchange does not list it any more"
        if market.status == INI:
            return "unopened", "it has not opened yet"
        if market.status not in TRADABLE:
            return "over", f"it is {market.status}"
        if market.kind != "binary":
            return "kind", f"it is {market.kind}: only binary markets are traded"
        if market.fees_refused:
            return "fees", market.fees_refused
        return "", ""

    def _filtered(self, market: Market, now_ms: Milliseconds) -> tuple[str, str]:
        filters, left_ms = self._filters, market.close_ms - now_ms
        if left_ms < filters.close_min_ms:
            return "closes_soon", f"closes in {_minutes(left_ms)}, at least {_minutes(filters.close_min_ms)} wanted"
        if left_ms > filters.close_max_ms:
            return "closes_late", f"closes in {_hours(left_ms)}, at most {_hours(filters.close_max_ms)} wanted"
        out, text = self._unsteady(market)
        if not out:
            self._refused_ms.pop(market.ticker, None)
            return "", ""
        place = self._places.get(market.ticker)
        if place is None or not place.wanted:
            return out, text
        since_ms = self._refused_ms.setdefault(market.ticker, now_ms)
        return (out, text) if now_ms - since_ms >= FILTER_PATIENCE_MS else ("", "")

    def _unsteady(self, market: Market) -> tuple[str, str]:
        filters = self._filters
        if market.volume_24h < filters.volume_min:
            figure, limit = contracts(market.volume_24h), contracts(filters.volume_min)
            return "volume", f"{figure} contracts in 24 h, at least {limit} wanted"
        if market.spread > filters.spread_max:
            return "spread", f"a spread of {cents(market.spread)}, at most {cents(filters.spread_max)} wanted"
        return "", ""

    # --------------------------------------------------------------------------------------------------------- the list

    def _rank(self, found: _Found, held: Collection[Ticker]) -> tuple[bool, bool, bool, Count, Ticker]:
        market = found.market
        place = self._places.get(market.ticker)
        named = found.by is not None and found.by.kind == MARKET
        return (
            market.ticker not in held,
            not named,
            place is None or not place.wanted,
            -market.volume_24h,
            market.ticker,
        )

    @staticmethod
    def _place(found: _Found, *, wanted: bool, now_ms: Milliseconds) -> Place:
        ticker, why, text = found.market.ticker, found.out, found.text
        leaving = wanted and bool(why)
        if leaving:
            why, text = HELD, f"we have something on it; else out: {text}"
        elif wanted:
            assert found.by is not None, "what nothing selects is out, or held"
            why, text = "named" if found.by.kind == MARKET else found.by.kind, f"selected by {found.by}"
        return Place(ticker, wanted=wanted, leaving=leaving, why=why, text=text, since_ms=now_ms)

    def _note(self, place: Place) -> None:
        """What stays as it was keeps its time; what comes in or goes out moves to the end of the list."""
        before = self._places.get(place.market)
        if before is not None and (before.wanted, before.why) == (place.wanted, place.why):
            place = evolve(place, since_ms=before.since_ms)
        elif before is not None and before.wanted is not place.wanted:
            del self._places[place.market]
        if not place.wanted:
            self._refused_ms.pop(place.market, None)
        self._places[place.market] = place


def _minutes(span_ms: Milliseconds) -> str:
    return f"{span_ms // MINUTE_MS} min"


def _hours(span_ms: Milliseconds) -> str:
    return f"{span_ms // HOUR_MS} h"
