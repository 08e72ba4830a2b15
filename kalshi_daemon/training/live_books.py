"""Books that live: what samples are taken from before there are recordings.

`RandomBook` is wider than life: sizes over three powers of ten, spreads up to 25 cents, prices pushed one way for long.
`CrowdBooks` are the emulator's invented markets with their crowd, as the demo has them.

Rules: everything comes from one seeded generator; each change goes through the real book and history.
"""

from __future__ import annotations

from random import Random

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.events import Event, LevelChanged
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.markets import DEMO_FAIR, demo_markets, demo_series
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.facts import BookDelta, PriceRange
from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.units import CONTRACT, PRICE_CENT, PRICE_ONE, Count, Milliseconds, Price, Ticker

START_MS = 1_790_000_000_000
WEEK_MS = 7 * 24 * 3_600_000
CENT_GRID = (PriceRange(0, PRICE_ONE, PRICE_CENT),)


class LiveBook:
    """A book, its history, and the grid of its market."""

    def __init__(self, ticker: Ticker, grid: tuple[PriceRange, ...]) -> None:
        self.book = OrderBook(ticker)
        self.history = MarketHistory()
        self.grid = grid

    def fill(self, yes: dict[Price, Count], no: dict[Price, Count], now_ms: Milliseconds) -> None:
        self.book.replace(yes.items(), no.items(), clock=None, ts_ms=None)
        self.history.note(self.book, now_ms)

    def change(self, *, yes: bool, price: Price, change: Count, now_ms: Milliseconds) -> None:
        self.book.apply_delta(BookDelta(1, 1, self.book.market, yes, price, change, now_ms, None))
        self.history.note(self.book, now_ms)


class RandomBook(LiveBook):
    """Sizes come and go, and now and then a best level is taken and the price moves on."""

    def __init__(self, rng: Random, ticker: Ticker, now_ms: Milliseconds) -> None:
        super().__init__(ticker, CENT_GRID)
        self._rng = rng
        self._now_ms = now_ms
        self._drift = rng.uniform(-1, 1)  # from always down to always up
        middle, spread = rng.randrange(4, 97), rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 10, 25))
        bid = max(1, min(middle, 98 - spread))
        self.fill(self._levels(bid), self._levels(100 - bid - spread), now_ms)

    def stir(self, changes: int) -> None:
        rng = self._rng
        for _ in range(changes):
            self._now_ms += int(rng.expovariate(1 / 150))
            if rng.random() < 0.12:
                self._move(up=rng.uniform(-1, 1) < self._drift)
            else:
                self._resize(yes=rng.random() < 0.5)

    def _size(self) -> Count:
        return int(10 ** self._rng.uniform(0, 3)) * CONTRACT

    def _levels(self, best_cents: int) -> dict[Price, Count]:
        least = max(1, best_cents - self._rng.randrange(29))
        return {cents * PRICE_CENT: self._size() for cents in range(least, best_cents + 1)}

    def _resize(self, *, yes: bool) -> None:
        """A level among the best three gains or loses, never the last of its side."""
        leg = self.book.yes if yes else self.book.no
        price = leg.prices[-1 - self._rng.randrange(min(3, len(leg.prices)))]
        size = self._size()
        gone = leg.counts[price] if len(leg.prices) > 1 else leg.counts[price] - CONTRACT
        change = size if self._rng.random() < 0.5 else -min(size, gone)
        self.change(yes=yes, price=price, change=change, now_ms=self._now_ms)

    def _move(self, *, up: bool) -> None:
        """The best level of one side is taken, and the other side follows by a cent."""
        hit, follow = (self.book.no, self.book.yes) if up else (self.book.yes, self.book.no)
        if len(hit.prices) < 2 or follow.prices[-1] > PRICE_ONE - 4 * PRICE_CENT:
            return
        best = hit.prices[-1]
        self.change(yes=not up, price=best, change=-hit.counts[best], now_ms=self._now_ms)
        self.change(yes=up, price=follow.prices[-1] + PRICE_CENT, change=self._size(), now_ms=self._now_ms)


class CrowdBooks:
    """All invented markets, traded by the crowd on an exchange of their own."""

    def __init__(self, rng: Random) -> None:
        self.now_ms = START_MS + rng.randrange(WEEK_MS)
        exchange = Exchange(ExchangeSettings(), lambda: self.now_ms, rng)
        for series in demo_series():
            exchange.add_series(series)
        self.books: dict[Ticker, LiveBook] = {}
        for market in demo_markets(self.now_ms):
            exchange.add_market(market)
            self.books[market.ticker] = LiveBook(market.ticker, market.price_ranges)
            self.books[market.ticker].fill({}, {}, self.now_ms)
        exchange.listen(self._hear)
        self._crowd = Crowd(exchange, DEMO_FAIR, CrowdSettings(), rng)
        self._crowd.step(self.now_ms)

    def stir(self, wait_ms: Milliseconds) -> None:
        self.now_ms += wait_ms
        self._crowd.step(self.now_ms)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LevelChanged):
            self.books[event.market].change(yes=event.yes, price=event.price, change=event.change, now_ms=event.ts_ms)
