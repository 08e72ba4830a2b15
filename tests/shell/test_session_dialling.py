"""When and where a session dials: refused, off in its time, not answered, from host to host."""

from __future__ import annotations

import pytest
import trio
from feed_world import START_MS, WS_URLS, A, B, C, FeedWorld, feeds
from meddler import DOWN, FORBIDDEN, REFUSED

from kalshi_daemon import limits
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.shell.network import Network
from kalshi_daemon.units import BookSide

BACKOFF_S = limits.CHART_LIMITS["session_backoff"]


def waits(world: FeedWorld) -> list[float]:
    """Between one dial and the next."""
    return [later - earlier for earlier, later in zip(world.meddler.dials_s, world.meddler.dials_s[1:], strict=False)]


@pytest.mark.parametrize("answer", [REFUSED, FORBIDDEN])
async def test_a_refused_key_is_tried_three_times_and_then_four_times_an_hour(answer, autojump_clock):
    """Short waits first; then `refused`, with an alarm that says how, and a quarter of an hour between two dials."""
    async with feeds() as world:
        world.unwanted |= {A, B, C}  # no book is read meanwhile, which would only cost time
        world.meddler.refusals = [answer] * 5
        await world.until(lambda: world.session.state == "refused", 5)
        assert len(world.meddler.dials_s) == limits.REFUSALS_MAX
        alarms = world.texts("access_refused")
        assert len(alarms) == 1
        assert ("401 authentication_error" if answer is REFUSED else "403 upgrade_refused") in alarms[0]
        await trio.sleep(limits.CHART_LIMITS["refused_interval"] - 10)
        assert len(world.meddler.dials_s) == limits.REFUSALS_MAX
        assert world.status(Role.FILLS).state == "refused"
        await trio.sleep(20)
        assert len(world.meddler.dials_s) == limits.REFUSALS_MAX + 1
        assert world.session.state == "refused"
        world.coordinator.retry()
        await world.until(lambda: len(world.meddler.dials_s) == limits.REFUSALS_MAX + 2, 1)
        world.coordinator.retry()
        await world.until(lambda: world.session.live, 1)


async def test_refusals_are_counted_from_the_last_socket_that_opened(autojump_clock):
    """Two, a session, and two more are not four."""
    async with feeds() as world:
        world.meddler.refusals = [REFUSED] * 2
        await world.until_proven(10)
        world.meddler.refusals = [REFUSED] * 2
        world.server.drop_streams()
        await world.until(lambda: len(world.meddler.dials_s) == 6, 20)
        await world.until_proven(10)
        assert world.texts("access_refused") == []


async def test_a_clock_that_is_off_is_set_by_the_refusal(autojump_clock):
    """The exchange refuses the stamp: its Date sets the offset, nothing counts against the key, the next dial opens."""
    async with feeds(skew_ms=40_000) as world:
        await world.until_proven(5)
        assert world.events("all")[2] == "dial_failed"
        assert len(world.meddler.dials_s) == 2
        assert abs(world.clock.offset_ms + 40_000) <= 1_000


@pytest.mark.parametrize("by", ["a change", "a trade", "an answer"])
async def test_a_frame_that_says_when_it_was_sent_teaches_the_clock(by, autojump_clock):
    """Ours was set back meanwhile: the next frame of whatever kind says so, to the millisecond."""
    async with feeds() as world:
        await world.until_proven()
        assert world.clock.offset_ms == 0
        world.clock._start_ms -= 4_000
        if by == "a change":
            world.place(A, 40)
        elif by == "a trade":
            world.coordinator.want([B, C])  # of whose prints one is on its way
            world.place(B, 40)
            world.place(B, 40, side=BookSide.ASK)
        else:
            world.coordinator.want([A, B])
        await world.wait_quiet()
        assert world.clock.offset_ms == 4_000
        assert world.clock.exchange_now_ms() - START_MS == round(trio.current_time() * 1_000)


async def test_an_upgrade_that_is_refused_for_long_is_tried_without_end(autojump_clock):
    """503 for long: one host after the other, waits up to half a minute, books by REST; then it streams."""
    async with feeds() as world:
        world.meddler.refusals = [DOWN] * 10_000
        await world.until(lambda: world.books.state == "polling.fresh")
        await trio.sleep(900)
        assert world.usable() == [A, B, C]
        assert "refused the WebSocket with 503: try later" in world.status(Role.FILLS).detail
        least_s, most_s = BACKOFF_S
        assert all(least_s <= wait_s <= most_s + 0.1 for wait_s in waits(world))
        assert sum(waits(world)[-30:]) / 30 == pytest.approx((least_s + most_s) / 2, rel=0.25)
        world.meddler.refusals = []
        await world.until_proven(most_s + 1)
        world.assert_proven()


async def test_the_hosts_take_turns_and_the_one_that_lasted_is_remembered(autojump_clock):
    """The dedicated host, then the shared one; after a session that lasted it begins with the one that it was on."""
    hosts: list[str] = []

    class Noted:
        def __init__(self, network: Network) -> None:
            self._network = network

        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            hosts.append(host)
            return await self._network.connect(host, port, tls=tls)

    async with feeds(wrap=Noted) as world:
        world.meddler.refusals = [DOWN]
        await world.until(lambda: world.session.live, 10)
        assert world.session.fallback == WS_URLS[1]
        world.server.drop_streams()  # too soon to be remembered
        await world.until(lambda: len(hosts) == 3, 10)
        await world.until(lambda: world.session.live, 10)
        assert world.session.fallback == ""
        world.meddler.refusals = [DOWN] * 2
        world.server.drop_streams()
        await world.until(lambda: len(hosts) == 6, 10)
        await trio.sleep(limits.CHART_LIMITS["session_steady_limit"] + 1)
        world.server.drop_streams()
        await world.until(lambda: len(hosts) == 7, 10)
    first, second = (url.split("/")[2] for url in WS_URLS)
    assert hosts == [first, second, first, second, first, second, second]


@pytest.mark.parametrize("steady", [True, False])
async def test_waits_begin_short_again_after_a_steady_minute(steady, autojump_clock):
    """A socket that lasted a minute counts as mended; one that opened and dropped does not."""
    async with feeds() as world:
        world.meddler.refusals = [DOWN] * 8
        await world.until_proven(300)
        await trio.sleep(limits.CHART_LIMITS["session_steady_limit"] + (1 if steady else -1))
        assert ("steady" in world.events("all")) is steady
        dropped_s = trio.current_time()
        world.server.drop_streams()
        await world.until(lambda: len(world.meddler.dials_s) == 10)
        wait_s = world.meddler.dials_s[-1] - dropped_s
        assert (wait_s <= 2 * BACKOFF_S[0] + 0.05) is steady


async def test_a_dial_that_is_not_answered_has_its_time(autojump_clock):
    async with feeds() as world:
        for host in ("first.test", "second.test"):
            world.network.serve(host, 80, swallow)
        await world.until(lambda: world.session.state == "backing_off", 15)
        assert trio.current_time() == pytest.approx(limits.CHART_LIMITS["dial_limit"], abs=0.03)
        assert world.session.diagnosis == "no connection within 10.0 s"
        world.serve_streams()
        await world.until_proven(2)


async def swallow(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass
