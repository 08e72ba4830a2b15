"""Invented markets for demonstrations: a dozen, in three series with different fees and grids.

Rules: every series, event and market here is marked invented, and its ticker begins with DEMO; no exchange ever
listed one. `DEMO_FAIR` is where the crowd begins to quote each, in the YES leg's price.
"""

from __future__ import annotations

from itertools import cycle

from attrs import evolve, frozen

from kalshi_daemon.emulator.grid import DECI_CENT, LINEAR_CENT, STRUCTURES, TAPERED_DECI_CENT
from kalshi_daemon.emulator.model import Market, Series
from kalshi_daemon.units import FeeType, Milliseconds, Price, Ticker

_DAY_MS = 24 * 3_600_000
_LIFE_MS = 30 * _DAY_MS  # longer than any demonstration
_TIMER_MS = 60_000
_SOON_MS = (
    5_000  # of the market that is to close within a demonstration: from close to result, and from result to payment
)


@frozen
class _Invented:
    """One line of the table below."""

    ticker: Ticker
    title: str
    yes: str
    fair: Price
    structure: str = LINEAR_CENT


_TEMPERATURE = "Invented: highest temperature in Exampleville on day 1"
_GAME = "Invented: Example City Herons against Sampleton Owls"
_RATE = "Invented: policy rate after the next meeting"
_MARKETS = (
    _Invented("DEMOTEMP-DAY1-T58", _TEMPERATURE, "58° or above", 8_100),
    _Invented("DEMOTEMP-DAY1-T60", _TEMPERATURE, "60° or above", 6_700),
    _Invented("DEMOTEMP-DAY1-T62", _TEMPERATURE, "62° or above", 4_900),
    _Invented("DEMOTEMP-DAY1-T64", _TEMPERATURE, "64° or above", 3_000),
    _Invented("DEMOTEMP-DAY1-T66", _TEMPERATURE, "66° or above", 1_600),
    _Invented("DEMOGAME-HEROWL-HER", _GAME, "Herons win", 5_600),
    _Invented("DEMOGAME-HEROWL-OWL", _GAME, "Owls win", 4_400),
    _Invented("DEMOGAME-HEROWL-S3", _GAME, "Herons win by more than 3", 3_800),
    _Invented("DEMOGAME-HEROWL-Q1", _GAME, "Herons lead after the first quarter", 5_200),
    _Invented("DEMORATE-MEET-CUT", _RATE, "Cut", 9_400, TAPERED_DECI_CENT),
    _Invented("DEMORATE-MEET-HOLD", _RATE, "Hold", 550, TAPERED_DECI_CENT),
    _Invented("DEMORATE-MEET-HIKE", _RATE, "Hike", 240, DECI_CENT),
)
CLOSING_TICKER: Ticker = "DEMOGAME-HEROWL-Q1"  # the one that can be asked to close soon; it settles yes
DEMO_FAIR: dict[Ticker, Price] = {line.ticker: line.fair for line in _MARKETS}


def demo_series(shards: tuple[int, ...] = (0,)) -> tuple[Series, ...]:
    """Three series: the plain fees, half fees with makers charged, and the plain fees on finer grids; on each of the
    shards in turn.
    """
    series = (
        Series("DEMOTEMP", "Invented temperatures", "Climate and Weather", FeeType.QUADRATIC, 1_000_000, invented=True),
        Series("DEMOGAME", "Invented games", "Sports", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000, invented=True),
        Series("DEMORATE", "Invented rates", "Economics", FeeType.QUADRATIC, 1_000_000, invented=True),
    )
    return tuple(evolve(each, exchange_index=shard) for each, shard in zip(series, cycle(shards), strict=False))


def demo_markets(
    now_ms: Milliseconds, closing_in_ms: Milliseconds | None = None, series: tuple[Series, ...] = ()
) -> tuple[Market, ...]:
    """The markets, open since now, each on the shard of its series, where `series` has it. With `closing_in_ms` one of
    them closes then and settles ten seconds later.
    """
    shards = {each.ticker: each.exchange_index for each in series}
    lines = (invented_market(line.ticker, line.title, line.structure, now_ms, line.yes) for line in _MARKETS)
    markets = tuple(evolve(market, exchange_index=shards.get(market.series, 0)) for market in lines)
    if closing_in_ms is None:
        return markets
    return tuple(
        evolve(
            market,
            close_ms=now_ms + closing_in_ms,
            planned_result="yes",
            determination_delay_ms=_SOON_MS,
            settlement_timer_ms=_SOON_MS,
        )
        if market.ticker == CLOSING_TICKER
        else market
        for market in markets
    )


def invented_market(ticker: Ticker, title: str, structure: str, now_ms: Milliseconds, yes: str = "Yes") -> Market:
    """A market whose terms nobody published; its event and series are read off the ticker, as the exchange forms
    it.
    """
    return Market(
        ticker=ticker,
        event=ticker.rpartition("-")[0] or ticker,
        series=ticker.partition("-")[0],
        title=title,
        yes_subtitle=yes,
        no_subtitle=f"Not: {yes}",
        rules="Invented terms: this market exists only in the emulator.",
        price_level_structure=structure,
        price_ranges=STRUCTURES[structure],
        created_ms=now_ms,
        updated_ms=now_ms,
        open_ms=now_ms,
        close_ms=now_ms + _LIFE_MS,
        settlement_timer_ms=_TIMER_MS,
        invented=True,
    )
