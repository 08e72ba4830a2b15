"""One session against an exchange that refuses, falls silent, breaks off or talks nonsense; the books stay exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
import trio
from feed_world import SILENCE_S, A, B, C, delta, feeds, many
from meddler import CUT, DOWN, END, Frame, encode

from kalshi_daemon import limits
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.shell.network import Network


def refuse_channel(*channels: str, code: int = 8) -> Callable[[str], list[object]]:
    def edit(text: str) -> list[object]:
        frame = json.loads(text)
        if frame["type"] == "subscribed" and frame["msg"]["channel"] in channels:
            return [
                json.dumps({"type": "error", "id": frame["id"], "msg": {"code": code, "msg": "Unknown channel name"}})
            ]
        return [text]

    return edit


# ------------------------------------------------------------------------------------------------------- subscribing


async def test_each_role_is_subscribed_on_its_socket(autojump_clock):
    """One command a channel; markets only where the channel takes them; the orientation is always said."""
    async with feeds() as world:
        await world.until_proven()
        sent = {command["params"]["channels"][0]: command for command in world.meddler.commands}
        assert list(sent) == [
            "orderbook_delta",
            "trade",
            "market_lifecycle_v2",
            "fill",
            "user_orders",
            "market_positions",
            "order_group_updates",
        ]
        assert {command["cmd"] for command in sent.values()} == {"subscribe"}
        assert sent["orderbook_delta"]["params"]["market_tickers"] == [A, B, C]
        assert sent["orderbook_delta"]["params"]["use_yes_price"] is False
        assert sent["trade"]["params"]["market_tickers"] == [A, B, C]
        assert all("market_tickers" not in sent[channel]["params"] for channel in list(sent)[2:])
        assert world.session.state == "session.live"
        assert all(world.session.carries(role) for role in Role)


async def test_answers_in_any_order(autojump_clock):
    """Acknowledgements are matched by id: all of them held back behind the snapshots, and then the last one first."""
    async with feeds() as world:
        held: list[str] = []

        def edit(text: str) -> list[object]:
            if json.loads(text)["type"] != "subscribed":
                return [text]
            held.append(text)
            return []

        world.meddler.edit = edit
        await world.until(lambda: len(held) == 7)
        await world.wait_quiet()
        assert world.session.state == "session.subscribing"
        assert world.books.streamed
        world.meddler.edit = lambda text: [text]
        await world.meddler.say(*held[::-1])
        await world.until_proven(0.1)
        world.place(A, 40)
        await world.wait_quiet()
        world.assert_proven()
        assert world.books.counts["gaps"] == 0


async def test_a_gap_before_the_acknowledgement_is_a_gap(autojump_clock):
    """A change is lost while nothing has yet said what the subscription carries: the books are unproven all the same,
    and asked for once the session is known.
    """
    async with feeds() as world:
        held: list[str] = []

        def edit(text: str) -> list[object]:
            frame = json.loads(text)
            if frame["type"] == "subscribed" and frame["msg"]["channel"] == "orderbook_delta":
                held.append(text)
            return [] if text in held or (frame["type"] == "orderbook_delta" and frame["seq"] == 4) else [text]

        world.meddler.edit = edit
        await world.until(lambda: world.books.streamed)
        world.place(A, 40)
        world.place(B, 40)
        await world.wait_quiet()
        assert world.books.counts["gaps"] == 1
        assert world.usable() == []
        await world.meddler.say(*held)
        await world.until_proven(30)
        world.assert_proven()


async def test_more_markets_than_one_command_takes(autojump_clock):
    """The rest are added chunk by chunk, to both channels; each answer counts in the sequence, and every book is
    proven.
    """
    markets = many(2 * limits.SUBSCRIBE_CHUNK + 7)
    async with feeds(markets=markets, socket_markets=1_000) as world:
        await world.until_proven(30)
        sizes = [len(command["params"].get("market_tickers", ())) for command in world.meddler.commands]
        assert max(sizes) == limits.SUBSCRIBE_CHUNK
        added = [command for command in world.meddler.commands if command["cmd"] == "update_subscription"]
        assert [(command["params"]["sid"], len(command["params"]["market_tickers"])) for command in added] == [
            (sid, size) for size in (limits.SUBSCRIBE_CHUNK, 7) for sid in (1, 2)
        ]
        world.place(markets[-1], 40)
        await world.wait_quiet()
        world.assert_proven()
        assert world.books.counts["gaps"] == 0
        await world.meddler.say("{")  # and get_snapshot is asked for in chunks, too
        await world.until(lambda: world.books.counts["snapshots"] == 2 * len(markets), 30)
        await world.until_proven()
        world.assert_proven()
        assert len(world.meddler.dials_s) == 1


async def test_markets_that_are_refused_are_said(autojump_clock):
    """The second chunk is refused: the session lives, an alarm says so, and its role is not carried."""
    markets = many(limits.SUBSCRIBE_CHUNK + 1)
    async with feeds(markets=markets, socket_markets=1_000) as world:
        answers: list[str] = []

        def hear(command: Frame) -> bool:
            if command["cmd"] != "update_subscription" or command["params"]["sid"] != 1:  # type: ignore[index]
                return True
            msg = {"code": 26, "msg": "Subscription market limit exceeded"}
            answers.append(json.dumps({"type": "error", "id": command["id"], "msg": msg}))
            return False

        world.meddler.hear = hear
        await world.until(lambda: len(answers) == 1)
        await world.meddler.say(*answers)
        await world.until(lambda: world.session.live, 1)
        assert world.texts("subscription_refused") == [
            "all: refused by the exchange: orderbook_delta: 26 Subscription market limit exceeded"
        ]
        assert not world.session.carries(Role.ORDERBOOK)
        assert world.session.carries(Role.FILLS)


async def test_a_refused_channel_takes_its_role_and_no_other(autojump_clock):
    """The fills are refused: the session lives with its books, the feeds are not usable, status and alarm say why, and
    a retry asks again on another socket.
    """
    async with feeds() as world:
        world.meddler.edit = refuse_channel("fill")
        await world.until(lambda: world.session.live)
        await world.wait_quiet()
        world.assert_proven()
        assert not world.coordinator.feeds_usable
        assert world.coordinator.live(Role.POSITIONS)
        assert world.status(Role.FILLS).detail == "fill: 8 Unknown channel name"
        assert world.status(Role.ORDERBOOK).detail == ""
        assert world.texts("subscription_refused") == ["all: refused by the exchange: fill: 8 Unknown channel name"]
        await trio.sleep(50)
        assert len(world.meddler.dials_s) == 1
        world.meddler.edit = lambda text: [text]
        world.coordinator.retry()
        await world.until_proven(2)
        assert len(world.meddler.dials_s) == 2
        assert world.status(Role.FILLS).detail == ""
        world.coordinator.retry()
        await trio.sleep(5)
        assert len(world.meddler.dials_s) == 2


async def test_fills_are_whole_without_the_channel_of_order_groups(autojump_clock):
    """Refused, it takes no role: the feeds are usable, and an alarm names it."""
    async with feeds() as world:
        world.meddler.edit = refuse_channel("order_group_updates")
        await world.until_proven()
        assert world.coordinator.feeds_usable
        refused = "all: refused by the exchange: order_group_updates: 8 Unknown channel name"
        assert world.texts("subscription_refused") == [refused]


async def test_all_channels_refused_is_no_session(autojump_clock):
    async with feeds() as world:
        everything = ("orderbook_delta", "trade", "market_lifecycle_v2", "fill", "user_orders", "market_positions")
        everything += ("order_group_updates",)
        world.meddler.edit = refuse_channel(*everything, code=27)
        await world.until(lambda: len(world.meddler.dials_s) == 3)
        assert world.events("all")[:4] == ["start", "open_wanted", "dialled", "subscribe_failed"]
        assert "refused by the exchange: orderbook_delta: 27" in world.session.diagnosis
        assert not world.session.live
        world.meddler.edit = lambda text: [text]
        await world.until_proven()


async def test_an_answer_that_does_not_come_ends_the_socket_and_nothing_of_it_stays(autojump_clock):
    """Ten seconds for all answers; the diagnosis names what was missing; on the next socket ids, numbers and channels
    are counted anew.
    """
    async with feeds() as world:
        world.meddler.hear = lambda command: command["params"]["channels"] != ["trade"]
        await world.until(lambda: world.session.state == "backing_off", 15)
        assert trio.current_time() == pytest.approx(limits.CHART_LIMITS["subscribe_limit"], abs=0.05)
        assert world.session.diagnosis == "no answer within 10.0 s to: trade"
        assert world.usable() == [] or not world.books.streamed
        world.meddler.hear = lambda command: True
        await world.until_proven(2)
        world.place(A, 40)
        await world.wait_quiet()
        world.assert_proven()
        assert world.books.counts["gaps"] == 0
        ids = [command["id"] for command in world.meddler.commands]
        assert len(set(ids)) == len(ids) == 14


# ------------------------------------------------------------------------------------------------- ends of a socket


@pytest.mark.parametrize("sid", [1, 4])
@pytest.mark.parametrize("code", [10, 25])
async def test_a_subscription_that_is_over_ends_the_socket(code, sid, autojump_clock):
    """Channel error and buffer overflow: dialled again after a short wait, and the books are exact."""
    async with feeds(events_per_s=5.0) as world:
        await world.until_proven()
        await world.meddler.say(json.dumps({"type": "error", "sid": sid, "msg": {"code": code, "msg": "over"}}))
        await world.until(lambda: world.session.state == "backing_off", 1)
        assert world.session.diagnosis == f"the exchange ended a subscription: {code} over"
        assert world.usable() == []
        await world.until_proven(2)
        await world.wait_quiet()
        world.assert_proven()


async def test_the_emulators_own_overflow(autojump_clock):
    """The same from the exchange itself, for a reader that it finds too slow."""
    async with feeds() as world:
        await world.until_proven()
        (stream,) = world.server._streams.values()
        stream.outbox._frames_max = 0
        world.place(A, 40)
        stream.outbox._frames_max = 10_000
        await world.until(lambda: len(world.meddler.dials_s) == 2, 2)
        assert "25 Subscription buffer overflow" in world.session.diagnosis
        await world.until_proven(2)
        world.assert_proven()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([json.dumps({"type": "unsubscribed", "sid": 1, "seq": 4})], "unsubscribed orderbook_delta"),
        ([delta(A, 1, 1)] * 4, "sequence numbers went back 4 times"),
        ([delta(A, 1, 40), *(delta(A, 1, number) for number in (5, 6, 7, 8))], "could not be proven by 3 rounds"),
        (["{"] * 4, "could not be proven by 3 rounds of snapshots"),
    ],
)
async def test_a_socket_that_cannot_be_trusted_is_given_up(texts, said, autojump_clock):
    """Unsubscribed without being asked; numbers that go back or jump; garbage and no end of it."""
    async with feeds() as world:
        await world.until_proven()
        await world.meddler.say(*texts)
        await world.until(lambda: len(world.meddler.dials_s) == 2, 2)
        assert said in world.session.diagnosis
        await world.until_proven(2)
        world.assert_proven()


async def test_an_error_about_nothing_is_told_and_changes_nothing(autojump_clock):
    """Counted each time, told once a minute, whatever the texts."""
    async with feeds() as world:
        await world.until_proven()
        for number in range(100):
            msg = {"code": 5, "msg": f"Unknown command {number}"}
            await world.meddler.say(json.dumps({"type": "error", "id": 99, "msg": msg}))
        await world.wait_quiet()
        world.assert_proven()
        assert world.texts("stream_error") == ["all: the exchange says 5 Unknown command 0, of nothing we asked"]
        assert +world.session.counts == {"refused": 100}
        assert world.session.live


@pytest.mark.parametrize("seq", [1, 2, 9])
async def test_a_book_frame_of_a_subscription_that_is_not_ours_touches_no_book(seq, autojump_clock):
    """Whatever its number, 1 too: it is counted and passed over, and what ours may have missed is asked for."""
    async with feeds() as world:
        await world.until_proven()
        levels = world.books.books[A].yes.levels()
        frame = json.loads(delta(A, 1, seq, cents=10, count="5.00")) | {"sid": 77}
        msg = {"market_ticker": B, "yes_dollars_fp": [["0.1000", "5.00"]]}
        await world.meddler.say(
            json.dumps(frame), json.dumps({"type": "orderbook_snapshot", "sid": 77, "seq": seq + 1, "msg": msg})
        )
        await world.wait_quiet()
        assert world.session.counts["foreign"] == 2
        assert world.books.counts["gaps"] == 2
        await world.until_proven(2)
        assert world.books.books[A].yes.levels() == levels
        world.assert_proven()


async def test_an_acknowledgement_that_names_another_subscription_is_a_gap(autojump_clock):
    """Frames came before it, of a subscription that is not the one it names: what they said proves nothing."""
    async with feeds() as world:
        held: list[str] = []

        def edit(text: str) -> list[object]:
            frame = json.loads(text)
            if frame["type"] == "subscribed" and frame["msg"]["channel"] == "orderbook_delta":
                frame["msg"]["sid"] = 77
                held.append(json.dumps(frame))
                return []
            return [text]

        world.meddler.edit = edit
        await world.until(lambda: world.books.streamed)
        assert world.books.counts["gaps"] == 0
        await world.meddler.say(*held)
        await world.wait_quiet()
        assert world.books.counts["gaps"] == 1
        assert world.usable() == []


async def test_numbers_count_every_frame_of_a_subscription(autojump_clock):
    """Answers, errors and frames that say nothing to us have their place among the changes of the books."""
    async with feeds() as world:
        await world.until_proven()
        for number, frame in enumerate(
            [
                {"type": "ok", "id": 98, "msg": {"market_tickers": [A, B, C]}},
                {"type": "error", "id": 99, "msg": {"code": 7, "msg": "Unknown subscription ID"}},
                {"type": "ticker", "msg": {}},
            ]
        ):
            await world.meddler.say(json.dumps(frame | {"sid": 1, "seq": 4 + number}))
        await world.meddler.say(delta(A, 1, 7, cents=10, count="5.00"))
        await world.wait_quiet()
        assert world.books.counts["gaps"] == 0
        assert world.books.books[A].yes.levels() == [(1_000, 500)]
        assert world.differing() == [A]


@pytest.mark.parametrize("ends", [[END], [CUT], [encode("x" * 500)[:100], CUT], [encode("x" * 500)[:100], END]])
async def test_a_stream_that_breaks_off(ends, autojump_clock):
    """Closed or reset, between two frames or within one: nothing is usable at once, and all is well soon."""
    async with feeds() as world:
        await world.until_proven()
        world.meddler.edit = lambda text: ends
        world.place(A, 40)
        await world.until(lambda: not world.session.is_open, 0.1)
        world.meddler.edit = lambda text: [text]
        assert world.usable() == []
        assert not world.coordinator.feeds_usable
        await world.until_proven(2)
        world.assert_proven()
        assert world.events("all")[4:] == ["dropped", "retry_due", "dialled", "subscribed"]


async def test_a_frame_that_is_too_long_is_counted_by_its_kind_and_ends_the_socket(autojump_clock):
    """Each is counted, the log says so once a minute, and all is well on the next socket."""
    async with feeds() as world:
        for number in (1, 2):
            await world.until_proven()
            await world.meddler.say("x" * (limits.FRAME_MAX + 1))
            await world.until(lambda dials=number + 1: len(world.meddler.dials_s) == dials, 5)
            assert world.session.diagnosis.startswith(f"oversized: a frame of more than {limits.FRAME_MAX} bytes")
            assert world.faults.counts == {"oversized": number}
        assert len(world.texts("said")) == 1
        await world.until_proven(5)


async def test_silence_ends_a_session_and_quiet_does_not(autojump_clock):
    """A quiet market lives by its pongs, for as long as it likes; without frames and pongs it is over after fifteen
    seconds, and the next dial opens.
    """
    async with feeds() as world:
        await world.until_proven()
        await trio.sleep(600)
        assert len(world.meddler.dials_s) == 1
        assert world.books.evidence_age_s(A) <= limits.PING_INTERVAL_S
        world.meddler.mute = True
        heard_s = trio.current_time() - world.session.silent_s
        await world.until(lambda: not world.session.is_open)
        assert trio.current_time() - heard_s == pytest.approx(SILENCE_S, abs=0.02)
        assert world.events("all")[-1] == "silent"
        assert world.session.diagnosis == "nothing heard for 15 s"
        world.meddler.mute = False
        await world.until_proven(2)
        world.assert_proven()


class Jam:
    """A network whose connections stop taking what is written, while `jammed`."""

    def __init__(self, network: Network) -> None:
        self.jammed = False
        self._network = network

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        return JammedStream(self, await self._network.connect(host, port, tls=tls))


class JammedStream(trio.abc.Stream):
    def __init__(self, jam: Jam, stream: trio.abc.Stream) -> None:
        self._jam = jam
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._jam.jammed:
            await trio.sleep_forever()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.mark.parametrize("commands", [1, limits.FRAME_QUEUE_MAX + 2])
async def test_a_socket_that_takes_no_more_commands_can_be_given_up(commands, autojump_clock):
    """A write hangs in it while frames arrive, so that it is never silent: told to reconnect, or when the queue of
    commands is full, it ends all the same, within the time of a goodbye.
    """
    jams: list[Jam] = []

    def wrap(network: Network) -> Network:
        jams.append(Jam(network))
        return jams[0]

    async with feeds(events_per_s=5.0, wrap=wrap) as world:
        await world.until_proven()
        jams[0].jammed = True
        for _ in range(commands):
            world.session.request_snapshots([A])
            if commands == 1:
                await trio.sleep(5)
                assert len(world.meddler.dials_s) == 1
                world.session.reconnect("a test")
        assert not world.session.live
        assert world.session.diagnosis == "a test" if commands == 1 else "1000 commands wait" in world.session.diagnosis
        await trio.sleep(limits.SOCKET_CLOSE_S + 0.01)
        jams[0].jammed = False
        assert world.session.state == "backing_off"
        await world.until_proven(2)
        await world.wait_quiet()
        world.assert_proven()


async def test_giving_up_without_a_socket_is_nothing(autojump_clock):
    async with feeds() as world:
        world.meddler.refusals = [DOWN]
        await world.until(lambda: world.session.state == "backing_off")
        diagnosis = world.session.diagnosis
        world.session.reconnect("nothing to give up")
        world.session.request_snapshots([A])
        assert world.session.diagnosis == diagnosis
        await world.until_proven(2)
        assert "get_snapshot" not in str(world.meddler.commands)


# ------------------------------------------------------------------------------------------------------ private frames


@pytest.mark.parametrize("kind", ["fill", "user_order", "user_orders", "market_position"])
async def test_a_private_frame_that_cannot_be_read_doubts_the_account(kind, autojump_clock):
    """Nobody numbers private frames: one that is lost is told at once, and a flood of them at most once in five
    seconds. The books and the socket are left alone.
    """
    async with feeds() as world:
        await world.until_proven()
        say = partial(world.meddler.say, json.dumps({"type": kind, "sid": 4, "msg": {"nonsense": True}}))
        await say()
        await world.wait_quiet()
        assert len(world.texts("doubt")) == 1
        for _ in range(300):
            await say()
        await world.wait_quiet()
        assert len(world.texts("doubt")) == 1
        await trio.sleep(limits.PRIVATE_DOUBT_S + 0.5)
        assert len(world.texts("doubt")) == 2
        await trio.sleep(60)
        assert len(world.texts("doubt")) == 2
        world.assert_proven()
        assert sum(world.faults.counts.values()) == 301
        assert len(world.texts("said")) == 1


async def test_a_frame_of_a_new_type_is_counted_and_harms_nothing(autojump_clock):
    """What the exchange may add one day, of none of our subscriptions, is no reason to stop."""
    async with feeds() as world:
        await world.until_proven()
        await world.meddler.say(*[json.dumps({"type": "weather", "msg": {}})] * 50)
        await world.wait_quiet()
        world.assert_proven()
        assert world.texts("doubt") == []
        assert world.faults.counts == {"unknown_type": 50}
