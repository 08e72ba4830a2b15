"""A crowd: simulated participants, so that books live and orders fill.

A few makers quote several levels on both sides of each market around a fair value that only the crowd knows and
that walks at random; takers hit what is there, more often on the side that the fair value favours; now and then a
quote is withdrawn. Everything goes through the exchange's own `create_order` and `cancel_order`, with accounts of
the crowd.

Rules: the crowd is a function of its seed and of the times it is stepped at; it never sleeps. A crowd that was not
stepped for long leaves out what it missed (CROWD_LAG_MAX_MS).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping

from attrs import define, field, frozen

from kalshi_daemon.emulator import grid
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.bounds import CROWD_LAG_MAX_MS
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.model import MarketStatus, NewOrder
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.units import (
    CONTRACT,
    PRICE_ONE,
    SECOND_MS,
    BookSide,
    Count,
    Milliseconds,
    Price,
    Ticker,
    TimeInForce,
)

_FAIR_LEAST = 150  # the fair value stays between 1.5 and 98.5 cents, so that both sides have room to quote
_SIDES = (BookSide.BID, BookSide.ASK)


@frozen
class CrowdSettings:
    """How lively: doings per second and market, and how they are shared out; the rest are makers' quotes."""

    events_per_s: float = 5.0
    makers: int = 3
    levels: int = 4
    taker_share: float = 0.15
    withdrawal_share: float = 0.05


@define(eq=False)
class _Scene:
    """One market as the crowd sees it. `quotes` holds the order that stands for a maker's level, if one was
    placed.
    """

    ticker: Ticker
    fair: Price
    step: Price
    halves: tuple[Price, ...]  # each maker's half spread
    quotes: dict[tuple[int, BookSide, int], str] = field(factory=dict)


class Crowd:
    """The participants of some markets. `placed` and `refused` count what became of their orders."""

    def __init__(
        self, exchange: Exchange, fair: Mapping[Ticker, Price], settings: CrowdSettings, rng: random.Random
    ) -> None:
        """`fair` names the markets, which the exchange must have listed, and where each begins."""
        self._exchange = exchange
        self._settings = settings
        self._rng = rng
        self._makers = [exchange.open_crowd_account() for _ in range(settings.makers)]
        self._taker = exchange.open_crowd_account()
        self._scenes = [self._scene(ticker, price) for ticker, price in fair.items()]
        self._due: list[tuple[Milliseconds, int]] = []
        self.placed = 0
        self.refused = 0

    def _scene(self, ticker: Ticker, fair: Price) -> _Scene:
        step = grid.step_at(fair, self._exchange.market(ticker).price_ranges)
        return _Scene(ticker, fair, step, tuple(step * self._rng.randint(1, 5) // 2 for _ in self._makers))

    def step(self, now_ms: Milliseconds) -> Milliseconds:
        """Do all that is due by now; returns when something is due next. The first step fills the books."""
        if not self._due:
            for index, scene in enumerate(self._scenes):
                self._open(scene)
                self._due.append((now_ms + self._pause_ms(), index))
            heapq.heapify(self._due)
        while self._due[0][0] <= now_ms:
            due, index = self._due[0]
            self._act(self._scenes[index])
            following = max(due, now_ms - CROWD_LAG_MAX_MS) + self._pause_ms()
            heapq.heapreplace(self._due, (following, index))
        return self._due[0][0]

    def _pause_ms(self) -> Milliseconds:
        """Doings of one market come as a Poisson process."""
        return max(1, round(self._rng.expovariate(self._settings.events_per_s) * SECOND_MS))

    def _open(self, scene: _Scene) -> None:
        for level in range(self._settings.levels):
            for maker in range(len(self._makers)):
                for side in _SIDES:
                    self._quote(scene, maker, side, level)

    def _act(self, scene: _Scene) -> None:
        if self._exchange.markets[scene.ticker].status is not MarketStatus.ACTIVE or not self._exchange.hours.active:
            return
        rng, settings = self._rng, self._settings
        drift = max(1, scene.step // 4)
        scene.fair = min(max(scene.fair + rng.randint(-drift, drift), _FAIR_LEAST), PRICE_ONE - _FAIR_LEAST)
        choice = rng.random()
        if choice < settings.taker_share:
            self._take(scene)
            return
        maker, side = rng.randrange(settings.makers), rng.choice(_SIDES)
        level = rng.randrange(settings.levels)
        if choice < settings.taker_share + settings.withdrawal_share:
            self._withdraw(scene, maker, side, level)
        else:
            self._quote(scene, maker, side, level)

    def _quote(self, scene: _Scene, maker: int, side: BookSide, level: int) -> None:
        """Replace one level of one maker. A price that would cross is moved to just short of it."""
        self._withdraw(scene, maker, side, level)
        away = scene.halves[maker] + scene.step * level
        price = self._short_of_crossing(scene, side, scene.fair - side.sign * away)
        if not 0 < price < PRICE_ONE:
            return
        contracts = self._rng.randint(5, 60) * (1 + level)
        order_id = self._send(self._makers[maker], scene, side, price, self._count(scene, contracts), resting=True)
        if order_id is not None:
            scene.quotes[maker, side, level] = order_id

    def _short_of_crossing(self, scene: _Scene, side: BookSide, price: Price) -> Price:
        ranges = self._exchange.markets[scene.ticker].price_ranges
        other = self._exchange.best(scene.ticker, side.opposite)
        if side is BookSide.BID:
            return grid.at_or_below(price if other is None else min(price, other - 1), ranges)
        return grid.at_or_above(price if other is None else max(price, other + 1), ranges)

    def _withdraw(self, scene: _Scene, maker: int, side: BookSide, level: int) -> None:
        order_id = scene.quotes.pop((maker, side, level), None)
        if order_id is not None and self._exchange.rests(order_id):
            try:
                self._exchange.cancel_order(self._makers[maker], order_id, scene.ticker)
            except Refused:  # the exchange is paused, or the market has just closed
                self.refused += 1

    def _take(self, scene: _Scene) -> None:
        """Hit the best price of the side that is wrong by the fair value, or of either."""
        bid = self._exchange.best(scene.ticker, BookSide.BID)
        ask = self._exchange.best(scene.ticker, BookSide.ASK)
        if ask is not None and scene.fair > ask:
            side = BookSide.BID
        elif bid is not None and scene.fair < bid:
            side = BookSide.ASK
        else:
            side = self._rng.choice(_SIDES)
        price = ask if side is BookSide.BID else bid
        if price is not None:
            count = self._count(scene, self._rng.randint(1, 40))
            self._send(self._taker, scene, side, price, count, resting=False)

    def _count(self, scene: _Scene, contracts: int) -> Count:
        """Whole contracts; on grids finer than a cent, fractions too."""
        fraction = 0 if scene.step >= grid.CENT_STEP else self._rng.randrange(CONTRACT)
        return contracts * CONTRACT + fraction

    def _send(
        self, account: Account, scene: _Scene, side: BookSide, price: Price, count: Count, *, resting: bool
    ) -> str | None:
        """Place an order; returns its id if it rests."""
        order = NewOrder(
            market=scene.ticker,
            side=side,
            price=price,
            count=count,
            time_in_force=TimeInForce.GOOD_TILL_CANCELED if resting else TimeInForce.IMMEDIATE_OR_CANCEL,
            post_only=resting,
        )
        try:
            placed = self._exchange.create_order(account, order)
        except Refused:  # the exchange is paused, or the market has just closed
            self.refused += 1
            return None
        self.placed += 1
        return placed.order_id if placed.remaining else None
