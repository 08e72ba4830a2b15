"""A thousand markets over four sessions, whose sockets are reset again and again; and the most there may be."""

from __future__ import annotations

import random

import trio
from feed_world import FeedWorld, feeds

from kalshi_daemon import limits
from kalshi_daemon.units import Ticker

MARKETS = tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(limits.MARKETS_DEFAULT))
RESETS = 100


class Decider:
    """Looks at what has news, as the actor does, and would decide on whatever is usable."""

    def __init__(self, world: FeedWorld) -> None:
        self.decided = 0
        self.unproven: list[Ticker] = []
        self._world = world

    def look(self) -> None:
        """All that was sent has arrived: what may be decided on is what the exchange has."""
        books, exchange = self._world.books, self._world.exchange
        for ticker in books.take_dirty():
            if not books.usable(ticker):
                continue
            self.decided += 1
            book, view = books.books[ticker], exchange.book(ticker)
            if not book.known or (book.yes.levels(), book.no.levels()) != (list(view.yes), list(view.no)):
                self.unproven.append(ticker)


async def test_a_thousand_markets_survive_a_hundred_resets(autojump_clock):
    """Sockets are cut one at a time and all at once, while books move: no decision is taken on a book that is not
    the exchange's, and when it ends every book is proven.
    """
    draw = random.Random(1)
    async with feeds(markets=MARKETS, sockets=2) as world:
        await world.until_proven()
        assert [len(session.markets) for session in world.coordinator.sessions] == [250, 0, 250, 250, 250]
        decider = Decider(world)
        for number in range(RESETS):
            for ticker in draw.sample(MARKETS, 20):
                world.place(ticker, draw.randrange(2, 40))
            await trio.sleep(draw.choice([0.0, 0.002, 0.02]))
            if number % 10:
                session = draw.choice(world.coordinator.sessions)
                session.reconnect("a reset")
            else:
                world.server.drop_streams()
            for ticker in draw.sample(MARKETS, 20):
                world.place(ticker, draw.randrange(2, 40))
            await trio.sleep(draw.choice([0.02, 0.1, 0.5, 3.0]))
            await world.wait_quiet()
            if world.books.state.startswith("streaming"):
                decider.look()
            world.coordinator.retry()
        await world.until_proven()
        await world.wait_quiet()
        world.assert_proven()
        assert decider.unproven == []
        assert decider.decided > 1_000
        assert sum(session.reconnects for session in world.coordinator.sessions) >= RESETS


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
