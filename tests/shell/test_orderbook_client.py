"""The books against the emulated exchange, level by level, while the stream loses, doubles, swaps and bends frames."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio
from feed_world import A, B, C, FeedWorld, feeds
from meddler import END, Frame

from kalshi_daemon import limits
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.shell.http_server import Request, Response, serve_http
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide

Bend = Callable[[Frame], list[object]]


def is_book(frame: Frame, kind: str = "orderbook_delta") -> bool:
    return frame["type"] == kind


def bend_one(world: FeedWorld, bend: Bend, kind: str = "orderbook_delta") -> None:
    """Do it to the next frame of this type, and to no other."""

    def edit(text: str) -> list[object]:
        frame = json.loads(text)
        if not is_book(frame, kind):
            return [text]
        world.meddler.edit = lambda text: [text]
        return bend(frame)

    world.meddler.edit = edit


def with_msg(frame: Frame, **changes: object) -> str:
    return json.dumps(frame | {"msg": frame["msg"] | changes})  # type: ignore[operator]


def withhold(market: str) -> Callable[[str], list[object]]:
    """Every snapshot of a market becomes a frame that says nothing, in its place of the sequence."""

    def edit(text: str) -> list[object]:
        frame = json.loads(text)
        if not is_book(frame, "orderbook_snapshot") or frame["msg"]["market_ticker"] != market:
            return [text]
        return [json.dumps({"type": "ok", "sid": frame["sid"], "seq": frame["seq"]})]

    return edit


def watch_requests(world: FeedWorld) -> list[list[str]]:
    """What was usable when each request for snapshots left."""
    usable: list[list[str]] = []

    def hear(command: Frame) -> bool:
        if command["params"].get("action") == "get_snapshot":  # type: ignore[attr-defined]
            usable.append(world.usable())
        return True

    world.meddler.hear = hear
    return usable


async def test_books_are_the_exchanges_own(autojump_clock):
    """Snapshots and some hundred deltas later every level is equal, none was missed, and the audit has agreed."""
    async with feeds(events_per_s=5.0) as world:
        assert await world.until_proven() < 0.1
        await trio.sleep(65)
        await world.wait_quiet()
        world.assert_proven()
        counts = world.books.counts
        assert counts["deltas"] > 500
        assert counts["snapshots"] == 3
        assert counts["gaps"] + counts["mismatches"] + counts["unproven"] + counts["polls"] == 0
        assert counts["audits"] >= 1
        assert len(world.meddler.dials_s) == 1


BENDS: dict[str, tuple[Bend, str]] = {
    "lost": (lambda frame: [], "gaps"),
    "doubled": (lambda frame: [json.dumps(frame), json.dumps(frame)], "gaps"),
    "not JSON": (lambda frame: ["{"], "gaps"),
    "not an object": (lambda frame: ["[1, 2]"], "gaps"),
    "of no known type": (lambda frame: [json.dumps(frame | {"type": "orderbook_surprise"})], "gaps"),
    "of another type": (lambda frame: [json.dumps(frame | {"type": "trade"})], "gaps"),
    "without its market": (lambda frame: [json.dumps(frame | {"msg": {}})], "gaps"),
    "with a number for a text": (lambda frame: [with_msg(frame, price_dollars=0.5)], "gaps"),
    "with a price that is none": (lambda frame: [with_msg(frame, price_dollars="1.0000")], "gaps"),
    "with a sequence number that is none": (lambda frame: [json.dumps(frame | {"seq": "7"})], "gaps"),
    "ahead of its time": (lambda frame: [json.dumps(frame | {"seq": frame["seq"] + 1})], "gaps"),
    "out of the past": (lambda frame: [json.dumps(frame | {"seq": 1})], "gaps"),
    "below zero": (lambda frame: [with_msg(frame, delta_fp="-900.00")], "mismatches"),
    "crossed": (lambda frame: [with_msg(frame, side="no", price_dollars="0.9800")], "mismatches"),
    "with a clock that went back": (lambda frame: [with_msg(frame, clock=0)], "resets"),
}


@pytest.mark.parametrize("name", BENDS)
async def test_a_bent_frame_unproves_every_book_until_its_snapshot(name, autojump_clock):
    """Whatever is wrong with one change: at once no book is usable, snapshots of all are asked for on the same
    socket, and the books are the exchange's again. What follows the frame does not have to show it.
    """
    bend, counted = BENDS[name]
    async with feeds() as world:
        for market in (A, B, C):
            world.place(market, 40, 3)
        await world.until_proven()
        usable = watch_requests(world)
        bend_one(world, bend)
        world.place(A, 41, 2)
        if name == "lost":  # nobody can know before the next frame
            await world.wait_quiet()
            assert usable == []
            world.place(C, 41, 2)
        await world.until(lambda: len(usable) > 0, 0.1)
        assert usable[0] == []
        await world.until_proven(1)
        world.place(B, 42, 2)
        await world.wait_quiet()
        world.assert_proven()
        counts = world.books.counts
        assert counts[counted] >= 1
        if name not in COUNTED_TWICE:
            assert counts["gaps"] + counts["mismatches"] + counts["resets"] == 1
        assert len(world.meddler.dials_s) == 1
        assert len(world.texts("doubt")) == (name in NAMELESS)


COUNTED_TWICE = {
    "ahead of its time",
    "out of the past",
    "not JSON",
    "not an object",
    "with a sequence number that is none",
}
NAMELESS = {"not JSON", "not an object", "with a sequence number that is none"}  # it may have been a fill


async def test_a_snapshot_that_comes_twice_is_not_believed(autojump_clock):
    """The old snapshot again, after a change: it would undo the change, and is passed over."""
    async with feeds() as world:
        old = []
        bend_one(world, lambda frame: old.append(json.dumps(frame)) or [json.dumps(frame)], "orderbook_snapshot")
        await world.until_proven()
        world.place(A, 40, 3)
        await world.wait_quiet()
        usable = watch_requests(world)
        known: list[bool] = []
        asked = world.meddler.hear
        world.meddler.hear = lambda command: known.append(world.books.books[A].known) or asked(command)
        await world.meddler.say(old[0])
        await world.until(lambda: len(usable) == 1)
        assert (usable, known) == ([[]], [False])
        await world.until_proven(1)
        world.assert_proven()
        assert world.session.counts["repeated"] == 1


async def test_two_frames_in_the_wrong_order(autojump_clock):
    """A gap, and then a frame that is not new: it is not applied, and the snapshots that were asked for mend it."""
    async with feeds() as world:
        await world.until_proven()
        held: list[str] = []

        def swap(text: str) -> list[object]:
            if not is_book(json.loads(text)):
                return [text]
            held.append(text)
            if len(held) < 2:
                return []
            world.meddler.edit = lambda text: [text]
            return held[::-1]

        world.meddler.edit = swap
        world.place(A, 40, 3)
        world.place(A, 41, 3)
        await world.until(lambda: world.books.counts["gaps"] == 2)
        await world.until_proven(1)
        await world.wait_quiet()
        world.assert_proven()
        assert len(world.meddler.dials_s) == 1


async def test_a_gap_among_trades_leaves_the_books_alone(autojump_clock):
    """Only what is folded needs every frame; and a trade that cannot be read is counted and no more."""
    async with feeds() as world:
        await world.until_proven()
        for bend in (lambda frame: [], lambda frame: [with_msg(frame, yes_price_dollars=7)]):
            bend_one(world, bend, "trade")
            for side in (BookSide.BID, BookSide.ASK) * 2:
                world.place(A, 40, side=side)
            await world.wait_quiet()
            world.assert_proven()
        assert world.books.counts["gaps"] == 0
        assert world.books.counts["trades"] == 2
        assert world.books.last_trades == {A: 40 * PRICE_CENT}
        assert world.faults.counts == {"wrong_type": 1}


async def test_snapshots_that_do_not_come_are_asked_for_again_and_then_the_socket_is_given_up(autojump_clock):
    """Three rounds without an answer, books read by REST meanwhile; the fourth time the socket goes, and the next one
    proves the books.
    """
    async with feeds() as world:
        world.place(A, 40, 3)
        await world.until_proven()
        asked: list[float] = []

        def swallow(command: Frame) -> bool:
            if command["params"].get("action") != "get_snapshot":  # type: ignore[attr-defined]
                return True
            asked.append(trio.current_time())
            return False

        world.meddler.hear = swallow
        bend_one(world, lambda frame: [])
        world.place(A, 41, 3)
        world.place(A, 42, 3)
        began_s = trio.current_time()
        await world.until(lambda: world.books.state == "polling.fresh")
        assert trio.current_time() - began_s == pytest.approx(limits.CHART_LIMITS["sync_limit"], abs=0.1)
        assert world.usable() == [A, B, C]
        assert world.differing() == []
        await world.until(lambda: len(world.meddler.dials_s) == 2, 120)
        assert len(asked) == limits.SNAPSHOT_REQUESTS_MAX
        assert "could not be proven by 3 rounds of snapshots" in world.session.diagnosis
        await world.until_proven(2)
        world.assert_proven()


async def test_snapshots_that_are_refused_give_the_socket_up_at_once(autojump_clock):
    async with feeds() as world:
        await world.until_proven()

        def refuse(command: Frame) -> bool:
            if command["params"].get("action") != "get_snapshot":  # type: ignore[attr-defined]
                return True
            text = json.dumps({"type": "error", "id": command["id"], "msg": {"code": 13, "msg": "Unsupported action"}})
            answers.append(text)
            return False

        answers: list[str] = []
        world.meddler.hear = refuse
        bend_one(world, lambda frame: ["{"])
        world.place(A, 41, 3)
        await world.until(lambda: len(answers) == 1)
        await world.meddler.say(*answers)
        await world.until(lambda: len(world.meddler.dials_s) == 2, 1.5)
        assert "refused snapshots: 13 Unsupported action" in world.session.diagnosis
        await world.until_proven(2)
        world.assert_proven()


async def test_no_proof_outlives_its_socket(autojump_clock):
    """Books proven on a socket that ends before its session was live are not usable when it is gone, and the first
    snapshot of the next one does not prove the others.
    """
    async with feeds() as world:
        world.meddler.edit = lambda text: [] if '"fill"' in text else [text]
        await world.until(lambda: world.books.streamed, 1)
        assert world.session.state == "session.subscribing"
        assert not world.coordinator.feeds_usable

        def end_then_one_snapshot(text: str) -> list[object]:
            frame = json.loads(text)
            return [] if is_book(frame, "orderbook_snapshot") and frame["msg"]["market_ticker"] != A else [text]

        world.meddler.edit = lambda text: [END]
        world.place(B, 40, 3)
        await world.wait_quiet()
        assert not world.session.is_open
        assert world.usable() == []
        world.meddler.edit = end_then_one_snapshot
        await world.until(lambda: world.session.live, 2)
        await world.wait_quiet()
        assert world.usable() == []
        assert world.books.state == "streaming.syncing"


async def test_reading_takes_over_and_gives_way(autojump_clock):
    """Without a stream the books are read by REST, never older than two seconds while usable; when the stream is
    proven, and not when it is back, reading ends.
    """
    async with feeds(events_per_s=5.0) as world:
        await world.until_proven()
        world.withdraw_streams()
        world.network.cut()
        await world.wait_quiet()
        assert world.usable() == []
        assert await world.until(lambda: world.books.state == "polling.fresh") < 3
        for _ in range(200):
            await trio.sleep(0.05)
            assert world.usable() == [A, B, C]
            assert 0 <= world.books.evidence_age_s(A) < limits.POLLED_AGE_MAX_S
            assert not world.coordinator.feeds_usable  # the private side is not streamed
        world.meddler.edit = withhold(B)
        world.serve_streams()
        await world.until(lambda: world.session.live)
        await trio.sleep(5)
        assert world.books.state == "polling.fresh"
        assert world.usable() == [A, B, C]
        world.meddler.edit = lambda text: [text]
        await world.until_proven()
        polls = world.books.counts["polls"]
        await trio.sleep(5)
        await world.wait_quiet()
        assert world.books.counts["polls"] == polls
        world.assert_proven()


async def test_reads_that_fail_make_books_unusable_by_their_age(autojump_clock):
    """REST goes away as well: two seconds after the last round was begun nothing is usable, the poller goes on, and
    the first round that succeeds is believed.
    """
    async with feeds() as world:
        await world.until_proven()
        world.withdraw_streams()
        world.network.cut()
        await world.until(lambda: world.books.state == "polling.fresh")
        world.network.withdraw("rest.test", 80)
        world.network.cut()
        begun_s = trio.current_time() - world.books.evidence_age_s(A)
        await world.until(lambda: world.usable() == [])
        assert trio.current_time() - begun_s <= limits.POLLED_AGE_MAX_S + 0.01
        await trio.sleep(60)
        assert world.usable() == []
        assert world.books.state == "polling.filling"
        assert world.books.counts["polls_failed"] >= 3
        assert "books are read by REST, and the last round failed" in world.status(Role.ORDERBOOK).detail
        world.serve_reads()
        await world.until(lambda: world.usable() == [A, B, C], 10)


async def test_a_slow_read_is_as_old_as_its_question(autojump_clock):
    """What was asked for 1.6 s ago may be as old when it comes: usable for the rest of two seconds, no longer."""
    async with feeds() as world:
        reads = Reads(world)
        reads.shown, reads.takes_s = {A: WELL, B: WELL, C: WELL}, 1.6
        world.withdraw_streams()
        await world.until(lambda: world.usable() == [A, B, C], 10)
        assert world.books.evidence_age_s(A) == pytest.approx(1.6, abs=0.03)
        assert await world.until(lambda: world.usable() == [], 1) == pytest.approx(0.4, abs=0.03)


async def test_proof_that_outruns_the_step_is_seen(autojump_clock):
    """A gap and its mending snapshot in one breath, again and again: no round of it waits for reads, and rounds that
    helped are not counted against the socket.
    """
    async with feeds(markets=(A,)) as world:
        await world.until_proven()
        world.meddler.hear = lambda command: False
        for seq in range(2, 42):
            msg = {"market_ticker": A, "yes_dollars_fp": [["0.1000", f"{seq}.00"]]}
            snapshot = {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": msg}
            await world.meddler.say("{", json.dumps(snapshot))
            await world.until(lambda: world.books.streamed and world.usable() == [A], 0.2)
            await trio.sleep(0.01)
            assert world.books.streamed
            assert world.books.books[A].bid_count == seq * CONTRACT
        assert world.books.counts["polls"] == 0
        assert len(world.meddler.dials_s) == 1


class Reads:
    """A REST side that shows these books."""

    def __init__(self, world: FeedWorld) -> None:
        self.shown: dict[str, tuple[list[list[str]], list[list[str]]]] = {}
        self.asked: list[list[str]] = []
        self.before: Callable[[], None] = lambda: None
        self.takes_s = 0.0
        world.network.serve("rest.test", 80, lambda stream: serve_http(stream, self.answer, now_ms=world.clock.now_ms))

    async def answer(self, request: Request) -> Response:
        self.before()
        await trio.sleep(self.takes_s)
        self.asked.append(request.query["tickers"])
        books = [
            {"ticker": ticker, "orderbook_fp": {"yes_dollars": yes, "no_dollars": no}}
            for ticker, (yes, no) in self.shown.items()
            if ticker in request.query["tickers"]
        ]
        return Response(200, json.dumps({"orderbooks": books}).encode())


WELL = ([["0.3000", "5.00"]], [["0.6000", "5.00"]])


async def test_a_polled_book_that_cannot_be_one_spoils_no_other(autojump_clock):
    """Crossed, or left out of the answer: that market is not usable, the others are, and the poller does not crash."""
    async with feeds() as world:
        reads = Reads(world)
        reads.shown = {A: ([["0.5000", "5.00"]], [["0.5000", "5.00"]]), B: WELL, C: WELL}
        world.withdraw_streams()
        world.network.cut()
        await world.until(lambda: world.books.state == "polling.fresh", 10)
        assert world.usable() == [B, C]
        assert "crossed" in world.books.detail
        reads.shown = {A: WELL, C: WELL}
        await world.until(lambda: world.usable() == [A, C], 2)
        assert not world.books.books[B].known
        reads.shown["UNASKED"] = WELL
        reads.shown[B] = WELL
        await world.until(lambda: world.usable() == [A, B, C], 2)
        world.unwanted.add(C)  # not read any more, so that its book only grows old
        await world.until(lambda: world.usable() == [A, B], 2)


async def test_the_stream_is_newer_than_a_read(autojump_clock):
    """While one market's snapshot is missing the others are the stream's: a read does not put them back, and a gap
    takes them away until the next round.
    """
    async with feeds() as world:
        world.place(A, 40, 3)
        world.meddler.edit = withhold(B)
        await world.until(lambda: world.books.state == "polling.fresh", 10)
        reads = Reads(world)
        reads.shown = {A: WELL, B: WELL, C: WELL}
        world.withdraw_streams()
        world.network.cut()
        await world.until(lambda: world.differing() == [A, B, C])
        world.serve_streams()
        await world.until(lambda: world.session.live)
        await trio.sleep(3)
        assert world.differing() == [B]
        assert world.usable() == [A, B, C]
        world.books.counts["gaps"] = 0
        world.meddler.hear = lambda command: False  # nothing mends the stream's books
        await world.meddler.say("{")
        await world.until(lambda: world.books.counts["gaps"] > 0, 0.1)
        assert world.usable() == [B]
        await world.until(lambda: world.usable() == [A, B, C], 2)
        assert set(world.differing()) == {A, B, C}


async def test_the_audit_finds_what_no_sequence_shows(autojump_clock):
    """A change bent in transit, provable by every number: the audit sees the level, snapshots mend it, and it
    is decided on when a look has found it equal."""
    async with feeds() as world:
        await world.until_proven()
        bend_one(world, lambda frame: [with_msg(frame, delta_fp="6.00")])
        world.place(B, 40, 5)
        await world.wait_quiet()
        assert world.differing() == [B]
        most_s = limits.AUDIT_INTERVAL_S + limits.AUDIT_ATTEMPTS_MAX * limits.AUDIT_QUIET_S + 1
        await world.until(lambda: world.books.counts["mismatches"] == 1, most_s)
        await world.until(lambda: world.usable() == [A, C], 1)
        await world.until(lambda: world.usable() == [A, B, C], limits.AUDIT_INTERVAL_S + 1)
        world.assert_proven()
        assert world.events("orderbook_feed")[-2:] == ["mismatch_found", "books_proven"]
        assert len(world.meddler.dials_s) == 1


@pytest.mark.parametrize("moves", [True, False])
async def test_a_read_that_lags_is_no_mismatch(moves, autojump_clock):
    """A read that differs counts only while the stream is quiet from the first look to the last."""
    async with feeds() as world:
        await world.until_proven()
        reads = Reads(world)
        world.network.cut()
        await world.until_proven()
        reads.shown = {A: WELL}
        if moves:
            reads.before = lambda: world.place(A, 30 + len(reads.asked) % 3) and None
        await trio.sleep(limits.AUDIT_INTERVAL_S + limits.AUDIT_ATTEMPTS_MAX * limits.AUDIT_QUIET_S + 1)
        assert world.books.counts["mismatches"] == (0 if moves else 1)


async def test_a_book_without_a_snapshot_is_set_aside_and_asked_for_again(autojump_clock):
    """Its neighbours are proven and its own snapshot never comes: after some rounds they are streamed without it, on
    the same socket; it is unusable, and usable when its snapshot comes.
    """
    async with feeds() as world:
        world.meddler.edit = withhold(B)
        await world.until(lambda: world.books.state == "polling.fresh", 10)
        assert world.usable() == [A, B, C]
        rounds_s = (limits.SNAPSHOT_REQUESTS_MAX + 1) * limits.SNAPSHOT_RETRY_S
        await world.until(lambda: world.books.streamed, rounds_s + 1)
        assert (world.usable(), world.books.is_polled(B)) == ([A, C], True)
        await trio.sleep(limits.MISSING_BOOKS_LATER_S)
        assert (world.usable(), world.books.state) == ([A, C], "streaming.current")
        assert world.books.counts["missing"] >= 1
        world.meddler.edit = lambda text: [text]
        await world.until(lambda: world.usable() == [A, B, C], limits.MISSING_BOOKS_LATER_S + limits.MISSING_BOOKS_S)
        await world.wait_quiet()
        world.assert_proven()
        assert len(world.meddler.dials_s) == 1


async def test_a_market_that_is_not_wanted_any_more_is_not_waited_for(autojump_clock):
    """One market's snapshot never comes: the others are read by REST; when it closes, the stream's proof is enough."""
    async with feeds() as world:
        world.meddler.edit = withhold(B)
        await world.until(lambda: world.books.state == "polling.fresh", 10)
        world.unwanted.add(B)
        await world.until(lambda: world.books.streamed, 3)
        assert world.usable() == [A, C]
        assert world.books.all_proven()


@pytest.mark.parametrize("says_when", [True, False])
async def test_a_snapshot_is_noted_at_the_exchanges_time(says_when, autojump_clock):
    """Its own stamp where it has one, else the exchange's time as far as it is known; never our clock's."""
    settings = ServerSettings(send_sending_ts=says_when)
    async with feeds(skew_ms=-4_000, server_settings=settings) as world:
        await world.rest.exchange_status()  # the Date of the answer sets the clock's offset
        await world.until_proven()
        exchange_ms = world.clock.now_ms() + 4_000
        tolerance_ms = 50 if says_when else 600
        assert abs(world.books.histories[A].now_ms - exchange_ms) <= tolerance_ms
        world.place(A, 40)
        await world.wait_quiet()
        assert world.books.histories[A].now_ms >= exchange_ms


async def test_news_are_conflated(autojump_clock):
    """However many changes: each market once, the oldest news first, and nothing when nothing changed."""
    async with feeds() as world:
        await world.until_proven()
        assert sorted(world.books.take_dirty()) == sorted((A, B, C))
        assert world.books.take_dirty() == []
        assert not world.books.dirtied.is_set()
        for cents in range(20, 40):
            world.place(C, cents)
            world.place(A, cents)
        await world.books.dirtied.wait()
        await world.wait_quiet()
        world.books.touch("UNWANTED")
        assert world.books.take_dirty() == [C, A]
        assert world.books.books[A].bid_count == CONTRACT
