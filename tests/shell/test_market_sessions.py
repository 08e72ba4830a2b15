"""Markets over several sessions: what one of them loses costs its own markets, and sessions come and go with them."""

from __future__ import annotations

import json

import pytest
import trio
from feed_world import FeedWorld, feeds, many
from meddler import CUT

from kalshi_daemon import limits
from kalshi_daemon.shell.feeds import Role

MARKETS = many(30)


def carried(world: FeedWorld) -> dict[str, int]:
    return {session.name: len(session.markets) for session in world.coordinator.sessions}


@pytest.mark.parametrize("sockets", [1, 2, 3])
async def test_markets_are_spread_over_sessions(sockets, autojump_clock):
    """Ten on each; the private channels and the events of all markets are on one socket each, and every book counts."""
    async with feeds(markets=MARKETS, sockets=sockets, socket_markets=10) as world:
        await world.until_proven()
        first = "all" if sockets == 1 else "market"
        shares = {name: count for name, count in carried(world).items() if count}
        assert shares == {first: 10, "market-2": 10, "market-3": 10}
        assert world.server.streams == sockets + 2
        channels = [str(command["params"]["channels"]) for command in world.meddler.commands]  # type: ignore[index]
        assert {channel: channels.count(channel) for channel in channels} == {
            "['orderbook_delta']": 3,
            "['trade']": 3,
            "['market_lifecycle_v2']": 1,
            "['fill']": 1,
            "['user_orders']": 1,
            "['market_positions']": 1,
            "['order_group_updates']": 1,
        }
        for market in MARKETS:
            world.place(market, 40)
        await world.wait_quiet()
        world.assert_proven()
        assert world.books.counts["deltas"] == 30
        assert world.status(Role.ORDERBOOK).state == "streaming.current"
        assert [len(world.events(label)) for label in ("orderbook_feed", "orderbook_feed 2", "orderbook_feed 3")] == [
            2,
            2,
            2,
        ]


async def test_a_gap_costs_the_markets_of_its_session(autojump_clock):
    """At once none of theirs is usable, all the others are; snapshots of theirs alone are asked for."""
    async with feeds(markets=MARKETS, sockets=2, socket_markets=10) as world:
        await world.until_proven()
        _, _, second, third = world.coordinator.sessions
        world.coordinator.on_gap(second, "orderbook_delta")
        assert set(world.usable()) == set(MARKETS) - set(second.markets)
        await world.until(lambda: len(world.usable()) == 30, 1)
        asked = [command["params"] for command in world.meddler.commands if command["cmd"] == "update_subscription"]
        assert [sorted(each["market_tickers"]) for each in asked] == [sorted(second.markets)]  # type: ignore[index]
        third.reconnect("a test")
        await world.until(lambda: len(world.usable()) < 30, 0.1)
        assert set(world.usable()) == set(MARKETS) - set(third.markets)
        assert world.texts("doubt") == []
        await world.until_proven(2)
        world.assert_proven()


async def test_one_session_that_is_not_to_be_had_is_read_by_rest(autojump_clock):
    """Its markets are polled and usable, the others are streamed; the feeds are usable and not polled as a whole."""
    async with feeds(markets=MARKETS, sockets=2, socket_markets=10) as world:
        await world.until_proven()
        second = world.coordinator.sessions[2]
        world.meddler.edit = lambda text: [CUT] if second.markets[0] in text else [text]
        second.reconnect("a test")
        await world.until(lambda: world.books.state == "polling.fresh", 30)
        await world.until(lambda: len(world.usable()) == 30, 2)
        assert {market for market in MARKETS if world.books.is_polled(market)} == set(second.markets)
        assert world.coordinator.feeds_usable
        assert not world.books.polled
        status = world.status(Role.ORDERBOOK)
        assert (status.state, "1006" in status.detail) == ("polling.fresh", True)
        world.meddler.edit = lambda text: [text]
        await world.until_proven()
        world.assert_proven()


async def test_sessions_come_and_go_with_the_markets(autojump_clock):
    """More markets open a session, fewer close it, and none of the others is connected again."""
    async with feeds(markets=MARKETS, wanted=MARKETS[:10], sockets=2, socket_markets=10) as world:
        await world.until_proven()
        assert carried(world) == {"market": 10, "account": 0}
        world.coordinator.want(MARKETS)
        assert world.usable() == list(MARKETS[:10])
        await world.until_proven(5)
        world.assert_proven()
        assert carried(world) == {"market": 10, "account": 0, "market-2": 10, "market-3": 10}
        gone = world.coordinator.sessions[3]
        world.coordinator.want([market for market in MARKETS if market not in gone.markets])
        await trio.sleep(1)
        assert gone.state == "down"
        assert world.server.streams == 3
        world.assert_proven()
        assert world.status(Role.ORDERBOOK).state == "streaming.current"
        assert world.coordinator.live(Role.ORDERBOOK)
        world.coordinator.want(MARKETS)
        await world.until_proven(5)
        world.assert_proven()
        assert len(world.meddler.dials_s) == 5
        assert world.books.counts["gaps"] == 0


async def test_nothing_waits_for_a_session_without_markets(autojump_clock):
    """One that is empty when the coordinator begins anew is not dialled again."""
    async with feeds(markets=MARKETS, sockets=2, socket_markets=10) as world:
        await world.until_proven()
        world.coordinator.want(MARKETS[:5])
        await trio.sleep(1)
    dials = len(world.meddler.dials_s)
    async with trio.open_nursery() as around:
        await around.start(world.network.run)
        await around.start(world.server.run)
        around.start_soon(world.coordinator.run, world.seams, 2)
        await trio.sleep(limits.CHART_LIMITS["session_steady_limit"])  # type: ignore[arg-type]
        world.assert_proven()
        assert len(world.meddler.dials_s) == dials + 2
        around.cancel_scope.cancel()


async def test_frames_that_come_late_are_seen_as_lag(autojump_clock):
    """By the exchange's time, whatever ours is; what the offset may be is bounded from above by an answer's Date."""
    async with feeds() as world:
        await world.until_proven()
        await world.rest.exchange_status()
        assert world.session.lag_ms == 0
        frame = {"type": "ticker", "sid": 9, "msg": {}, "sending_ts_ms": world.clock.now_ms() - 700}
        await world.meddler.say(json.dumps(frame))
        await world.wait_quiet()
        assert 700 <= world.session.lag_ms <= 720
