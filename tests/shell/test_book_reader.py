"""Books by REST where the budget does not reach: which are read, and which are left out."""

from __future__ import annotations

import trio
from feed_world import feeds

from kalshi_daemon import limits

MARKETS = tuple(f"DEMOTEMP-DAY1-M{number}" for number in range(150))


async def test_a_small_budget_reads_the_nearest_markets(monkeypatch, autojump_clock):
    """Tokens for one batch a round: the first hundred by nearness, then in their order; the others are left out, and
    unusable. Who becomes nearest is read in the next round.
    """
    monkeypatch.setattr(limits, "POLL_SHARE", 1_000)
    async with feeds(markets=MARKETS) as world:
        await world.until_proven()
        world.nearest = ["UNKNOWN", *reversed(MARKETS[-20:])]
        world.withdraw_streams()
        world.network.cut()
        await world.until(lambda: world.books.state == "polling.fresh", 10)
        assert set(world.usable()) == {*MARKETS[-20:], *MARKETS[:80]}
        assert world.books.reader.left_out == 50
        world.nearest = list(MARKETS[50:])
        await trio.sleep(limits.POLLED_AGE_MAX_S + limits.POLL_INTERVAL_S)
        assert world.usable() == list(MARKETS[50:])
