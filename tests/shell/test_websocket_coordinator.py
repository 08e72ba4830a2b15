"""What the daemon is told about its feeds: usable or not, lost for good, in doubt; for one, two and three sockets."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import trio
from feed_world import A, B, C, feeds
from meddler import END

from kalshi_daemon import limits
from kalshi_daemon.facts import EventFees, EventFeesChanged, FillSeen, OrderSeen
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.units import CONTRACT

BACK = "the private session is back, and what it missed is to be read"
LAYOUTS = {1: ["all"], 2: ["market", "account"], 3: ["market", "fills", "positions"]}


@pytest.mark.parametrize("sockets", LAYOUTS)
async def test_facts_reach_their_listeners_over_any_number_of_sockets(sockets, autojump_clock):
    """A fill is seen as order, fill, position, book change and print, whichever socket carries it."""
    async with feeds(sockets=sockets) as world:
        await world.until_proven()
        assert [session.name for session in world.coordinator.sessions] == LAYOUTS[sockets]
        assert world.server.streams == sockets
        world.fill_us(A, 30, 2)
        await world.wait_quiet()
        (fill,) = [fact for fact in world.facts if isinstance(fact, FillSeen)]
        assert (fill.market, fill.price, fill.count, fill.is_taker) == (A, 3_000, 2 * CONTRACT, False)
        orders = [fact for fact in world.facts if isinstance(fact, OrderSeen)]
        assert [order.status for order in orders] == ["resting", "executed"]
        assert world.positions.differences[A].theirs.count == 2 * CONTRACT
        assert world.books.last_trades == {A: 3_000}
        world.assert_proven()
        messages = {status.role: status.messages for status in world.coordinator.statuses()}
        assert messages == {"orderbook": 5, "fills": 3, "positions": 1}
        world.exchange.halt(B)
        await world.wait_quiet()
        assert [(moved.market, moved.event) for moved in world.moved] == [(B, "deactivated")]


async def test_usable_means_a_wanted_book_and_the_private_side(autojump_clock):
    """One usable book of an open market is enough; none of an open market is not, nor are books alone. Where no market
    is open nothing is missing.
    """
    async with feeds(sockets=2) as world:
        assert not world.coordinator.feeds_usable
        await world.coordinator.until_usable()
        assert world.coordinator.feeds_usable
        world.unwanted |= {A, B}
        assert world.coordinator.feeds_usable
        world.unwanted.add(C)
        assert world.coordinator.feeds_usable
        world.unwanted.clear()
        world.books.feeds[0].on_gap("a test")
        assert not world.coordinator.feeds_usable
        await world.coordinator.until_usable()
        account = world.coordinator.sessions[1]
        account.reconnect("a test")
        assert not world.coordinator.feeds_usable
        assert world.usable() == [A, B, C]
        with trio.fail_after(2):
            await world.coordinator.until_usable()


@pytest.mark.parametrize("sockets", [2, 3])
async def test_losing_one_socket_loses_its_roles_only(sockets, autojump_clock):
    """The books' socket goes: fills stay live and nothing is doubted. The fills' socket goes: the books stay usable."""
    async with feeds(sockets=sockets, events_per_s=5.0) as world:
        await world.until_proven()
        market, account = world.coordinator.sessions[:2]
        market.reconnect("a test")
        await world.until(lambda: not world.books.streamed, 0.1)
        assert world.usable() == []
        assert world.coordinator.live(Role.FILLS)
        assert world.status(Role.ORDERBOOK).detail == "a test"
        assert world.status(Role.FILLS).detail == ""
        await world.until_proven(2)
        assert world.texts("doubt") == []
        account.reconnect("another test")
        await world.wait_quiet()
        world.assert_proven()
        assert not world.coordinator.live(Role.FILLS)
        assert world.coordinator.live(Role.POSITIONS) is (sockets == 3)
        assert world.texts("doubt") == ["another test"]
        await world.until_proven(2)


# ---------------------------------------------------------------------------------------------------------- lost feeds


async def test_feeds_that_stay_lost_are_told_once_after_three_seconds(autojump_clock):
    """Not at once, not twice, and again for the next loss."""
    async with feeds() as world:
        await trio.sleep(10)
        for number in (1, 2):
            world.withdraw_streams()
            world.network.cut()
            lost_s = trio.current_time()
            await trio.sleep(60)
            told = world.texts("feeds_lost")
            assert len(told) == number
            assert float(told[-1]) - lost_s == pytest.approx(limits.FEEDS_LOST_S, abs=0.02)
            world.serve_streams()
            await world.until_proven(40)
            await trio.sleep(1)


async def test_feeds_that_come_back_in_time_are_not_told_as_lost(autojump_clock):
    """Dropped again and again, and back within half a second each time."""
    async with feeds() as world:
        for _ in range(5):
            await world.until_proven()
            await trio.sleep(limits.CHART_LIMITS["session_steady_limit"] + 1)
            world.server.drop_streams()
            await world.until(lambda: not world.coordinator.feeds_usable, 1)
        await world.until_proven()
        await trio.sleep(5)
        assert world.texts("feeds_lost") == []
        assert world.session.reconnects == 5


async def test_feeds_that_never_were_are_not_lost(autojump_clock):
    async with feeds() as world:
        world.withdraw_streams()
        await trio.sleep(60)
        assert world.usable() == [A, B, C]
        assert world.texts("feeds_lost") == []


# --------------------------------------------------------------------------------------------------------------- doubt


@pytest.mark.parametrize("sockets", LAYOUTS)
async def test_a_lost_private_session_is_doubted_once_and_read_once_it_is_back(sockets, autojump_clock):
    """However it ends, and however many dials it takes: one doubt for the loss, one for the return."""
    async with feeds(sockets=sockets) as world:
        await world.until_proven()
        assert world.texts("doubt") == []
        world.withdraw_streams()
        world.network.cut()
        await trio.sleep(100)
        assert len(world.meddler.dials_s) == sockets
        assert world.texts("doubt") == ["the socket closed: 1006 abnormal closure"]
        assert "refused the connection" in world.status(Role.FILLS).detail
        world.serve_streams()
        await world.until_proven(40)
        await trio.sleep(10)
        assert world.texts("doubt")[1:] == [BACK]
        world.meddler.mute = True
        await trio.sleep(40)
        world.meddler.mute = False
        await world.until_proven(40)
        assert world.texts("doubt")[2:] == ["nothing heard for 15 s", BACK]


async def test_a_session_that_drops_before_it_is_live_is_no_second_loss(autojump_clock):
    """The next sockets end while they are being subscribed: nothing of theirs was believed, so nothing is doubted."""
    async with feeds() as world:
        await world.until_proven()
        world.meddler.edit = lambda text: [END] if '"user_orders"' in text else [text]
        world.server.drop_streams()
        await world.until(lambda: len(world.meddler.dials_s) == 5)
        world.meddler.edit = lambda text: [text]
        await world.until_proven()
        doubts = world.texts("doubt")
        assert len(doubts) == 2
        assert doubts[1] == BACK


async def test_a_position_that_stays_different_is_doubted(autojump_clock):
    """The exchange says two, we count none for five seconds; what we have counted by then is not doubted."""
    async with feeds() as world:
        await world.until_proven()
        world.fill_us(A, 30, 2)
        world.fill_us(B, 30, 1)
        await trio.sleep(4)
        world.held[B] = CONTRACT
        assert world.texts("doubt") == []
        await trio.sleep(1.5)
        assert world.texts("doubt") == [f"{A}: we count 0, the exchange said 2"]
        assert world.positions.differences == {}


async def test_what_the_positions_said_goes_with_their_socket(autojump_clock):
    """A report of before the loss is not held against what was read since."""
    async with feeds() as world:
        await world.until_proven()
        world.fill_us(A, 30, 2)
        await world.wait_quiet()
        assert set(world.positions.differences) == {A}
        world.server.drop_streams()
        await world.until(lambda: not world.session.is_open, 1)
        assert world.positions.differences == {}
        world.held[A] = 7 * CONTRACT
        await world.until_proven(2)
        await trio.sleep(10)
        assert [text for text in world.texts("doubt") if A in text] == []


# -------------------------------------------------------------------------------------------------------------- status


async def test_status_says_since_when(autojump_clock):
    """Since the state was entered, within a quarter second, whoever asks whenever."""
    async with feeds() as world:
        await world.until_proven()
        proven_ms = world.clock.now_ms()
        await trio.sleep(40)
        for role, state in ((Role.ORDERBOOK, "streaming.current"), (Role.FILLS, "session.live")):
            status = world.status(role)
            assert status.state == state
            assert abs(status.since_ms - proven_ms) <= 1_000 * limits.LEVEL_CHECK_S
        world.withdraw_streams()
        world.network.cut()
        await trio.sleep(20)
        assert world.status(Role.ORDERBOOK).state == "polling.fresh"
        assert world.status(Role.FILLS).state == "backing_off"


async def test_the_evidence_of_the_books_has_an_age(autojump_clock):
    """Infinite before there is any; streamed: since the session was heard, pongs included; polled: see the books."""
    async with feeds() as world:
        assert world.books.evidence_age_s(A) == float("inf")
        await world.until_proven()
        for _ in range(100):
            await trio.sleep(0.3)
            assert 0 <= world.books.evidence_age_s(A) <= limits.PING_INTERVAL_S + 0.1
        world.meddler.mute = True
        before_s = world.books.evidence_age_s(A)
        await trio.sleep(3)
        assert world.books.evidence_age_s(A) == pytest.approx(before_s + 3)
        assert world.usable() == [A, B, C]


# --------------------------------------------------------------------------------------------------- a life of its own


async def test_it_can_be_started_again(autojump_clock):
    """The trader's chart starts a crashed coordinator again in place: sessions, charts and proofs begin anew."""
    async with feeds() as world:
        await world.until_proven()
    assert world.usable() == []
    assert not world.coordinator.feeds_usable
    async with trio.open_nursery() as around:
        await around.start(world.network.run)
        await around.start(world.server.run)
        around.start_soon(world.coordinator.run, world.seams, 3)
        await trio.sleep(1)
        world.place(A, 40)
        await trio.sleep(1)
        world.assert_proven()
        assert world.coordinator.feeds_usable
        assert world.texts("doubt")[-1] == BACK
        around.cancel_scope.cancel()


async def test_a_flood_of_garbage_is_one_line_a_number_and_a_doubt(autojump_clock):
    """Thousands of frames that are not JSON, over many sockets: nothing crashes, the log has one line a minute, the
    sockets back off, the books are read by REST, and all is exact when it ends.
    """
    async with feeds() as world:
        await world.until_proven()
        sent = 0
        end_s = trio.current_time() + 100
        while trio.current_time() < end_s:
            if world.session.is_open:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await world.meddler.say(*["{" * 3] * 100)
                sent += 100
            await trio.sleep(0.05)
        assert sent > 1_000
        assert world.usable() == [A, B, C]
        assert world.books.state == "polling.fresh"
        await world.until_proven()
        world.assert_proven()
        assert len(world.texts("said")) == 2
        assert set(world.faults.counts) == {"unreadable"}
        assert len(world.texts("doubt")) < 100


async def test_nothing_that_is_well_formed_and_absurd_crashes_it(autojump_clock):
    """Frames that read, and say what cannot be."""
    absurd = [
        {"type": "subscribed", "id": 77, "msg": {"channel": "trade", "sid": 2}},
        {"type": "ok", "id": 77, "msg": [{"channel": "fill", "sid": 4}]},
        {"type": "ok", "sid": 99, "seq": 12},
        {"type": "error", "msg": {"code": -1, "msg": ""}},
        {"type": "orderbook_snapshot", "sid": 1, "seq": 4, "msg": {"market_ticker": "NOBODYS"}},
        {"type": "event_lifecycle"},
        {"type": "market_lifecycle_v2", "sid": 3, "seq": 1, "msg": {"market_ticker": A, "event_type": "exploded"}},
        {
            "type": "market_lifecycle_v2",
            "sid": 3,
            "seq": 2,
            "msg": {"market_ticker": "NOBODYS", "event_type": "settled"},
        },
    ]
    async with feeds() as world:
        await world.until_proven()
        await world.meddler.say(*map(json.dumps, absurd))
        await world.until_proven()
        world.place(A, 40)
        await world.wait_quiet()
        world.assert_proven()
        assert world.session.counts["unwanted"] == 1


async def test_events_own_fees_are_passed_on(autojump_clock):
    """On the channel of the lifecycles, whose numbers they share; a frame of them that does not read costs no book."""
    async with feeds() as world:
        await world.until_proven()
        world.exchange.override_fees("DEMOTEMP-DAY1", None, 500_000)
        world.exchange.halt(A)
        world.exchange.override_fees("DEMOTEMP-DAY1", None, None)
        await world.wait_quiet()
        told = [each.fees if isinstance(each, EventFeesChanged) else each.event for each in world.moved]
        assert told == [
            EventFees("DEMOTEMP-DAY1", None, 500_000),
            "deactivated",
            EventFees("DEMOTEMP-DAY1", None, None),
        ]
        assert [each.seq for each in world.moved] == [1, 2, 3]
        await world.meddler.say(json.dumps({"type": "event_fee_update", "sid": 3, "seq": 4, "msg": {}}))
        await world.wait_quiet()
        world.assert_proven()
        assert dict(world.faults.counts) == {"missing_field": 1}


async def test_what_the_lifecycle_channel_missed_is_told(autojump_clock):
    """A frame that is lost or does not read, and a socket that was away, once it is back; the first is no loss."""
    async with feeds() as world:
        await world.until_proven()
        assert world.texts("missed") == []
        world.server.drop_streams()
        await world.until(lambda: world.texts("missed") == [""])
        await world.until_proven()
        await world.meddler.say(json.dumps({"type": "event_fee_update", "sid": 3, "seq": 1, "msg": {}}))
        await world.wait_quiet()
        assert len(world.texts("missed")) == 2
        beyond = {"market_ticker": A, "event_type": "metadata_updated"}
        await world.meddler.say(json.dumps({"type": "market_lifecycle_v2", "sid": 3, "seq": 7, "msg": beyond}))
        await world.wait_quiet()
        assert len(world.texts("missed")) == 3
        world.assert_proven()
