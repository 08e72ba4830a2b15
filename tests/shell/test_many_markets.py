"""A thousand markets over four sessions, whose sockets are reset again and again; and the most there may be."""

from __future__ import annotations

import random
from collections import deque
from math import inf

import trio
from feed_world import FeedWorld, feeds

from kalshi_daemon import limits
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import RESET
from kalshi_daemon.units import Count, Price, Ticker

MARKETS = tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(limits.MARKETS_DEFAULT))
RESETS = 100
LATE_S = 0.05  # within which what was sent has arrived, on the links of these tests
Levels = tuple[list[tuple[Price, Count]], list[tuple[Price, Count]]]


class Decider:
    """Looks at every book that has news, at any moment, as the actor does, and would decide on whatever is usable."""

    def __init__(self, world: FeedWorld) -> None:
        self.decided = 0
        self.unproven: list[Ticker] = []
        self._world = world
        self._were: dict[Ticker, deque[tuple[float, Levels]]] = {}  # what the exchange's books were, the newest last

    def note(self, ticker: Ticker) -> None:
        """The exchange's book has changed; before the first time it was empty."""
        view = self._world.exchange.book(ticker)
        were = self._were.setdefault(ticker, deque([(-inf, ([], []))], maxlen=50))
        were.append((trio.current_time(), (list(view.yes), list(view.no))))

    async def run(self) -> None:
        while True:
            self._look()
            await trio.sleep(0.01)

    def _look(self) -> None:
        """What may be decided on is what the exchange has, or had within the time that a frame takes."""
        books, late_s = self._world.books, trio.current_time() - LATE_S
        for ticker in books.take_dirty():
            if not books.usable(ticker):
                continue
            self.decided += 1
            book, were = books.books[ticker], list(self._were.get(ticker, [(-inf, ([], []))]))
            ended_s = [at_s for at_s, _ in were[1:]] + [inf]
            held = (book.yes.levels(), book.no.levels())
            if held not in [levels for (_, levels), end_s in zip(were, ended_s, strict=True) if end_s >= late_s]:
                self.unproven.append(ticker)


async def test_a_thousand_markets_survive_a_hundred_resets(autojump_clock):
    """Sockets are cut at any byte, one at a time and all at once, while books move: at no moment is a decision taken
    on a book that is not the exchange's, and when it ends every book is proven.
    """
    draw = random.Random(1)
    async with feeds(markets=MARKETS, sockets=2) as world, trio.open_nursery() as nursery:
        await world.until_proven()
        assert [len(session.markets) for session in world.coordinator.sessions] == [250, 0, 250, 250, 250]
        decider = Decider(world)
        nursery.start_soon(decider.run)

        def move() -> None:
            for ticker in draw.sample(MARKETS, 20):
                world.place(ticker, draw.randrange(2, 40))
                decider.note(ticker)

        for number in range(RESETS):
            move()
            await trio.sleep(draw.choice([0.0, 0.002, 0.02]))
            if number % 10:
                world.server.faults.add(parse_fault("resetx1"))  # in the middle of the next write of any connection
            else:
                world.server.drop_streams()
            move()
            await trio.sleep(draw.choice([0.02, 0.1, 0.5, 3.0]))
            world.coordinator.retry()
        await world.until_proven()
        await world.wait_quiet()
        world.assert_proven()
        assert decider.unproven == []
        assert decider.decided > 1_000
        assert world.server.faults.bites(RESET) == RESETS - RESETS // 10
        assert sum(session.reconnects for session in world.coordinator.sessions) >= RESETS
        nursery.cancel_scope.cancel()


async def test_as_many_markets_as_there_may_be_are_proven_and_a_gap_costs_one_session(autojump_clock):
    """Three thousand on twelve sessions: every book is the exchange's, and a lost frame costs its session's alone."""
    markets = tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(limits.MARKETS_MAX))
    async with feeds(markets=markets, sockets=2) as world:
        await world.until_proven()
        carried = [len(session.markets) for session in world.coordinator.sessions if session.markets]
        assert carried == [limits.SOCKET_MARKETS] * (limits.MARKETS_MAX // limits.SOCKET_MARKETS)
        for ticker in markets[::100]:
            world.place(ticker, 40, 5)
        await world.wait_quiet()
        world.assert_proven()
        feed = world.books.feeds[-1]
        feed.on_gap("a test")
        assert set(markets) - set(world.usable()) == set(feed.markets)
        assert len(feed.markets) == limits.SOCKET_MARKETS
        await world.until(lambda: set(feed.markets) <= set(world.usable()), 2)
        world.assert_proven()
