"""A frame of books whose time lies ahead: its change is taken, and its time is not the market's."""

from __future__ import annotations

import json

import pytest
import trio
from feed_world import A, FeedWorld, feeds

from kalshi_daemon import limits
from kalshi_daemon.units import Milliseconds

DAY_MS: Milliseconds = 86_400_000


def ahead(world: FeedWorld, kind: str, field: str, by_ms: int) -> None:
    """The next frame of this type says that it is so much later."""

    def edit(text: str) -> list[object]:
        frame = json.loads(text)
        if frame["type"] != kind:
            return [text]
        world.meddler.edit = lambda text: [text]
        frame["msg"][field] = world.clock.exchange_now_ms() + by_ms
        return [json.dumps(frame)]

    world.meddler.edit = edit


@pytest.mark.parametrize("by_ms", [limits.STAMP_AHEAD_MAX_MS + 1_000, DAY_MS, 365 * DAY_MS])
async def test_a_market_goes_on_after_a_change_from_the_future(autojump_clock, by_ms):
    """A day ahead, and the window would stand still for a day: it is counted, and now is its time."""
    async with feeds() as world:
        await world.until_proven()
        ahead(world, "orderbook_delta", "ts_ms", by_ms)
        for cents in range(10, 20):
            world.place(A, cents, 1)
            await trio.sleep(0.2)
        await world.wait_quiet()
        history = world.books.histories[A]
        assert world.books.counts["stamps_ahead"] == 1
        assert 0 <= world.clock.exchange_now_ms() - history.now_ms < 5_000
        spans = [later - earlier for earlier, later in zip(history.closed_ms, [*history.closed_ms][1:], strict=False)]
        assert len(spans) >= 7
        assert max(spans) < 1_000
        world.assert_proven()


async def test_a_snapshot_from_the_future_is_of_now(autojump_clock):
    """The time that it says it was sent at is not believed either."""
    async with feeds(wanted=(A,)) as world:
        ahead(world, "orderbook_snapshot", "sending_ts_ms", DAY_MS)
        await world.until_proven()
        assert world.books.histories[A].now_ms <= world.clock.exchange_now_ms()


async def test_a_change_within_what_clocks_may_differ_has_its_own_time(autojump_clock):
    """Ours may be behind: the message's stamp is the better time."""
    async with feeds(wanted=(A,)) as world:
        await world.until_proven()
        ahead(world, "orderbook_delta", "ts_ms", 2_000)
        world.place(A, 20, 1)
        await trio.sleep(0.2)
        assert world.books.counts["stamps_ahead"] == 0
        assert world.books.histories[A].now_ms > world.clock.exchange_now_ms()
