"""Channels that the exchange refuses while they are subscribed: what passes is asked for again, on the same socket."""

from __future__ import annotations

import pytest
import trio
from daemon_world import QUIET, exchange_site
from feed_world import A, B, C, FeedWorld, feeds

from kalshi_daemon import limits
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.wire.stream_codes import StreamRemedy, remedy_of

PASSING = (1, 18, 26, 27, 99)


def asked(world: FeedWorld, channel: str) -> int:
    """How often the channel was subscribed, or tried to be."""
    subscribes = [command["params"] for command in world.meddler.commands if command["cmd"] == "subscribe"]
    return sum(params["channels"] == [channel] for params in subscribes)  # type: ignore[index]


def refuse(world: FeedWorld, fault: str) -> None:
    world.server.faults.add(parse_fault(fault))


@pytest.mark.parametrize("code", [1, 18, 26, 27])
@pytest.mark.parametrize("channel", ["orderbook_delta", "trade", "fill", "user_orders", "market_positions"])
async def test_a_channel_that_is_refused_once_is_asked_again(channel, code, autojump_clock):
    """A second later, on the same socket, with the other channels untouched; its role is carried from then on."""
    async with feeds() as world:
        refuse(world, f"refused:{code}:subscribe:{channel}x1")
        await world.until(lambda: world.session.live)
        role = next(role for role in Role if world.session.refused(role))
        assert not world.session.carries(role)
        took_s = await world.until_proven(5)
        assert took_s <= limits.REFUSED_COMMAND_S[0] + 0.5
        world.assert_proven()
        assert asked(world, channel) == 2
        assert len(world.meddler.commands) == 8
        assert len(world.meddler.dials_s) == 1
        assert world.session.counts["refused_commands"] == 1
        assert len(world.texts("subscription_refused")) == 1


async def test_a_channel_that_stays_refused_is_asked_ever_less_often(autojump_clock):
    """Two minutes of refusals: doubled from one second to a minute, told once, and the first success ends it."""
    async with feeds() as world:
        refuse(world, "refused:27:subscribe:fill@0-120")
        await trio.sleep(119)
        assert asked(world, "fill") == 7  # after 1, 2, 4, 8, 16 and 32 seconds
        assert world.session.counts["refused_commands"] == asked(world, "fill")
        assert len(world.texts("subscription_refused")) == 1
        assert not world.coordinator.feeds_usable
        took_s = await world.until_proven(limits.REFUSED_COMMAND_S[1])
        assert took_s == pytest.approx(63 + limits.REFUSED_COMMAND_S[1] - 119, abs=0.5)
        assert len(world.meddler.dials_s) == 1


async def test_a_command_that_is_wrong_is_repeated_once_a_minute(autojump_clock):
    """Asked again it is answered the same, as long as the exchange is the same."""
    async with feeds() as world:
        refuse(world, "refused:8:subscribe:fill@0-170")
        await world.until(lambda: world.session.live)
        await trio.sleep(150)
        assert asked(world, "fill") == 3
        await world.until_proven(60)
        assert (asked(world, "fill"), len(world.meddler.dials_s)) == (4, 1)


async def test_what_is_refused_is_the_cause_that_is_told(autojump_clock):
    """Not why an earlier socket was lost: of the feed, of the session that is live without it, and of the books."""
    async with feeds() as world:
        await world.until_proven()
        refuse(world, "refused:8:subscribe:orderbook_delta@0-20")
        world.server.drop_streams()
        await world.until(lambda: not world.session.live)
        await world.until(lambda: world.session.live)
        refused = "orderbook_delta: 8 Unknown channel name"
        assert world.session.trouble == f"{world.session.name} is refused {refused}"
        assert world.coordinator.books_detail == refused
        assert world.coordinator.statuses()[0].detail == refused
        await world.until_proven(120)
        assert (world.session.trouble, world.coordinator.books_detail) == ("", "")


async def test_a_subscription_that_the_exchange_does_not_know_is_made_anew(autojump_clock):
    """Code 7 in answer to a change of its markets: what it would have said since is not to be had on this socket."""
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        refuse(world, "refused:7:update_subscriptionx1")
        world.coordinator.want([A, B, C])
        await world.until(lambda: not world.session.is_open, 1)
        assert world.session.diagnosis == "the exchange ended a subscription: 7 Unknown subscription ID"
        await world.until_proven(5)
        world.assert_proven()
        assert world.usable() == [A, B, C]
        assert len(world.meddler.dials_s) == 2


def test_what_follows_from_each_code() -> None:
    """Every code of the exchange, and one that nobody knows."""
    remedies = {code: remedy_of(code, subscribed=False) for code in range(1, 29)}
    assert [code for code, remedy in remedies.items() if remedy is StreamRemedy.RESUBSCRIBE] == [10, 25]
    assert [code for code, remedy in remedies.items() if remedy is StreamRemedy.AGAIN] == [1, 6, 7, 16, 17, 18, 26, 27]
    assert all(remedy_of(code, subscribed=True) is StreamRemedy.AGAIN for code in PASSING)
    assert remedy_of(7, subscribed=True) is StreamRemedy.RESUBSCRIBE


@pytest.mark.parametrize("code", [1, 18, 27])
async def test_the_daemon_trades_again_when_its_books_are_no_longer_refused(code, autojump_clock):
    """Refused three times the books are read by REST and only reductions pass; granted, it goes back to normal."""
    async with exchange_site(QUIET) as site:
        site.world.server.faults.add(parse_fault(f"refused:{code}:subscribe:orderbook_deltax3"))
        running = site.start({"KALSHI_SOCKETS": "1"})
        await running.until("trading.reducing", 30)
        assert [each.kind.value for each in running.ledger.restrictions] == ["polled_books"]
        await running.until("trading.normal", 30)
        assert running.ledger.restrictions == ()
        assert running.states().count("recovering.reconnecting") == 0
        assert await running.stop() == 0
