"""The audit of streamed books: in which order they are looked at, by how many reads, and who loses what."""

from __future__ import annotations

import trio
from feed_world import feeds

from kalshi_daemon import limits
from kalshi_daemon.emulator import streams
from kalshi_daemon.shell.rest_client import BOOKS_PATH
from kalshi_daemon.units import BookSide

MARKETS = tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(250))


def watch_reads(world):
    """The markets of each batched read of books from now on."""
    asked = []
    orderbooks = world.rest.orderbooks

    async def noted(tickers):
        asked.append((trio.current_time(), list(tickers)))
        return await orderbooks(tickers)

    world.rest.orderbooks = noted
    return asked


async def test_every_book_is_audited_once_in_a_round_the_nearest_first(autojump_clock):
    """250 markets on three sockets: a read of a hundred at a time for all of them, so that a round is three reads."""
    async with feeds(markets=MARKETS, socket_markets=100) as world:
        world.nearest = ["UNKNOWN", *reversed(MARKETS[-20:])]
        await world.until_proven()
        asked = watch_reads(world)
        await world.until(lambda: world.books.counts["audits"] >= len(MARKETS), 3 * limits.AUDIT_INTERVAL_S + 1)
        assert asked[0][1][:20] == list(reversed(MARKETS[-20:]))
        assert [len(markets) for _, markets in asked] == [100, 100, 50]
        assert sorted(market for _, markets in asked for market in markets) == sorted(MARKETS)
        assert asked[2][0] - asked[0][0] < 2 * limits.AUDIT_INTERVAL_S + 1
        await world.until(lambda: len(asked) == 4, limits.AUDIT_INTERVAL_S + 1)
        assert asked[3][1] == asked[0][1]
        assert 3 * limits.AUDIT_INTERVAL_S <= world.books.audit.round_s < 3 * limits.AUDIT_INTERVAL_S + 1
        cost = world.rest.governor.cost("GET", BOOKS_PATH)
        assert cost / limits.AUDIT_INTERVAL_S <= limits.READ_TOKENS_LEAST / 200


async def test_a_wrong_book_costs_its_own_feed_alone(autojump_clock):
    """A change bent in transit on one of two sockets: its books are lost until their snapshots, the bent one until a
    look has found it equal; the others go on, and the audit with them.
    """
    async with feeds(markets=MARKETS[:40], socket_markets=20) as world:
        await world.until_proven()
        world.meddler.edit = lambda text: [text.replace('"5.00"', '"6.00"') if "orderbook_delta" in text else text]
        world.place(MARKETS[3], 40, 5)
        await world.wait_quiet()
        world.meddler.edit = lambda text: [text]
        assert world.differing() == [MARKETS[3]]
        lost = []
        for feed in world.books.feeds:
            feed._forget = lambda feed=feed, forget=feed._forget: lost.append(feed) or forget()
        most_s = limits.AUDIT_INTERVAL_S + limits.AUDIT_ATTEMPTS_MAX * limits.AUDIT_QUIET_S + 1
        await world.until(lambda: world.books.counts["mismatches"] == 1, most_s)
        await world.until(lambda: len(world.usable()) == 39, 1)
        await world.until(lambda: len(world.usable()) == 40, limits.AUDIT_INTERVAL_S + 1)
        world.assert_proven()
        assert [MARKETS[3] in feed.markets for feed in lost] == [True]
        audits = world.books.counts["audits"]
        await world.until(lambda: world.books.counts["audits"] == audits + 40, 2 * limits.AUDIT_INTERVAL_S + 1)


async def test_a_book_whose_snapshots_are_wrong_is_not_decided_on(autojump_clock, monkeypatch):
    """An exchange that turns the NO leg round, on a market where that crosses nothing: after the first look the book is
    not usable, said so, while the other goes on; when the exchange is as before a look brings it back.
    """
    turned = True
    flag = streams.read.flag

    def bent(params, name, **unsaid):
        return turned if name == "use_yes_price" else flag(params, name, **unsaid)

    monkeypatch.setattr(streams.read, "flag", bent)
    async with feeds(markets=MARKETS[:2]) as world:
        world.place(MARKETS[0], 28, 10)
        world.place(MARKETS[0], 32, 10, side=BookSide.ASK)
        first_s = trio.current_time() + limits.AUDIT_INTERVAL_S + limits.AUDIT_ATTEMPTS_MAX * limits.AUDIT_QUIET_S + 1
        await world.until(lambda: MARKETS[0] in world.differing(), 5)
        await trio.sleep_until(first_s)
        while trio.current_time() < first_s + 600:
            assert MARKETS[0] not in world.usable()
            await trio.sleep(0.1)
        assert "book_disputed" in {alarm for alarm, _ in world.told}
        turned = False
        world.server.drop_streams()
        await world.until(lambda: len(world.usable()) == 2, 2 * limits.AUDIT_INTERVAL_S + 5)
        world.assert_proven()


async def test_a_read_that_fails_says_nothing(autojump_clock):
    """Without an answer no book is lost; the next look is an interval away."""
    async with feeds(markets=MARKETS[:5]) as world:
        await world.until_proven()
        world.network.withdraw("rest.test", 80)
        world.network.cut()
        await world.until_proven()
        await trio.sleep(3 * limits.AUDIT_INTERVAL_S)
        assert world.usable() == list(MARKETS[:5])
        assert world.books.counts["mismatches"] == world.books.counts["audits"] == 0
