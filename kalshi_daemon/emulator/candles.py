"""Candlesticks: what a market's quotes and trades were, minute by minute, and the same over hours and days.

Rules: a minute in which nothing was told has no bar, and its quotes open where they stood before; minutes are those of
Unix time, and a bar is named by its end. An empty side is written as the exchange writes it: 0 (no bid), 1 (no ask).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import define, evolve, field

from kalshi_daemon.emulator.bounds import EMULATOR_BARS_MAX
from kalshi_daemon.emulator.events import Event, TickerChanged, Traded
from kalshi_daemon.emulator.model import DayFigures
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, Count, Milliseconds, Money, Price, Ticker

MINUTE_S = 60
DAY_S = 86_400


@define
class Span:
    """The first, lowest, highest and last of some prices."""

    open: Price
    low: Price
    high: Price
    close: Price

    @classmethod
    def at(cls, price: Price) -> Span:
        return cls(price, price, price, price)

    def add(self, price: Price) -> None:
        self.low, self.high, self.close = min(self.low, price), max(self.high, price), price

    def join(self, later: Span) -> None:
        self.low, self.high, self.close = min(self.low, later.low), max(self.high, later.high), later.close


@define
class Bar:
    """One period. `trades` is None where nothing traded; `previous` the last price before it; `cost` adds up prices
    times counts."""

    end_s: int
    bid: Span
    ask: Span
    previous: Price | None
    trades: Span | None = None
    volume: Count = 0
    cost: Money = 0
    open_interest: Count = 0

    def join(self, later: Bar) -> None:
        """Take in the next bar."""
        self.bid.join(later.bid)
        self.ask.join(later.ask)
        if self.trades is None:
            self.trades = None if later.trades is None else evolve(later.trades)
        elif later.trades is not None:
            self.trades.join(later.trades)
        self.volume += later.volume
        self.cost += later.cost
        self.open_interest = later.open_interest

    def copy(self, end_s: int) -> Bar:
        trades = None if self.trades is None else evolve(self.trades)
        return evolve(self, end_s=end_s, bid=evolve(self.bid), ask=evolve(self.ask), trades=trades)


@define
class _Track:
    """One market: its bars, and where it stood last."""

    bars: deque[Bar] = field(factory=lambda: deque(maxlen=EMULATOR_BARS_MAX))
    bid: Price = 0
    ask: Price = PRICE_ONE
    last: Price | None = None
    open_interest: Count = 0

    def bar(self, ts_ms: Milliseconds) -> Bar:
        """The bar of a moment, opened where the market stood."""
        end_s = (ts_ms // SECOND_MS // MINUTE_S + 1) * MINUTE_S
        if not self.bars or self.bars[-1].end_s != end_s:
            bar = Bar(end_s, Span.at(self.bid), Span.at(self.ask), self.last, open_interest=self.open_interest)
            self.bars.append(bar)
        return self.bars[-1]


class Candles:
    """All markets' bars. `hear` is a listener of the exchange."""

    def __init__(self) -> None:
        self._tracks: dict[Ticker, _Track] = {}

    def hear(self, event: Event) -> None:
        match event:
            case Traded():
                self._trade(event)
            case TickerChanged():
                self._quote(event)

    def _trade(self, event: Traded) -> None:
        trade = event.trade
        track = self._tracks.setdefault(trade.market, _Track())
        bar = track.bar(trade.ts_ms)
        if bar.trades is None:
            bar.trades = Span.at(trade.price)
        else:
            bar.trades.add(trade.price)
        bar.volume += trade.count
        bar.cost += trade.price * trade.count
        track.last = trade.price

    def _quote(self, event: TickerChanged) -> None:
        track = self._tracks.setdefault(event.market, _Track())
        bar = track.bar(event.ts_ms)
        figures = event.figures
        track.bid = 0 if figures.best_bid is None else figures.best_bid
        track.ask = PRICE_ONE if figures.best_ask is None else figures.best_ask
        track.open_interest = bar.open_interest = figures.open_interest
        bar.bid.add(track.bid)
        bar.ask.add(track.ask)

    def day(self, ticker: Ticker, now_ms: Milliseconds) -> DayFigures:
        """The last day of a market, to the minute: the one that a day ago lies in counts as a whole."""
        track, since_s, volume = self._tracks.get(ticker), now_ms // SECOND_MS - DAY_S, 0
        for bar in reversed(() if track is None else track.bars):
            if bar.end_s <= since_s:
                last = bar.previous if bar.trades is None else bar.trades.close
                return DayFigures(volume, last or 0, bar.bid.close, bar.ask.close)
            volume += bar.volume
        return DayFigures(volume)

    def of(self, ticker: Ticker, minutes: int) -> list[Bar]:
        """A market's bars over periods of so many minutes, oldest first."""
        track = self._tracks.get(ticker)
        return [] if track is None else _joined(track.bars, minutes * MINUTE_S)


def _joined(bars: Iterable[Bar], period_s: int) -> list[Bar]:
    """Minutes put together to longer periods."""
    joined: list[Bar] = []
    for bar in bars:
        end_s = -(-bar.end_s // period_s) * period_s
        if joined and joined[-1].end_s == end_s:
            joined[-1].join(bar)
        else:
            joined.append(bar.copy(end_s))
    return joined
