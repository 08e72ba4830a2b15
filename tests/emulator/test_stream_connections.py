"""Connections of streams by the real client: upgrades, pings, slow readers, and the ways in which they end."""

from __future__ import annotations

import json

import pytest
import trio
from emulator_world import BARE, A, Tap, ask, heard, part, recording, say, seqs, world
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, ConnectionRejected

from kalshi_daemon.emulator.bounds import STREAM_SEND_S
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.units import BookSide

PING = b"\x89\x09heartbeat"  # a ping frame of nine bytes


async def test_pings_come_every_ten_seconds(autojump_clock: MockClock) -> None:
    """The server pings with `heartbeat` on time, and answers the client's own pings."""
    tap = Tap()
    async with world(BARE) as emulator, emulator.stream(tap=tap) as socket:
        with trio.fail_after(1):
            await socket.ping(b"ours")
        await trio.sleep(9.9)
        assert tap.sent.count(PING) == 0
        await trio.sleep(25)
        assert tap.sent.count(PING) == 3
        assert await ask(socket, 1, "list_subscriptions") == [{"type": "ok", "id": 1, "msg": []}]


async def test_a_slow_reader_loses_its_subscription_and_nobody_waits(autojump_clock: MockClock) -> None:
    """A client that does not read is told code 25 for its channel; a quick one misses nothing, the exchange goes on."""
    tap, settings = Tap(), ServerSettings(send_sending_ts=False, frames_max=50)
    async with world(settings) as emulator, emulator.stream() as quick, emulator.stream(tap=tap) as slow:
        for socket in (quick, slow):
            await ask(socket, 1, "subscribe", channels=["orderbook_delta", "fill"], market_tickers=[A])
        tap.close()
        total = 0
        for _ in range(20):
            for _ in range(10):
                emulator.trade(A, 1, side=BookSide.BID)
            total += len(await heard(quick))
        assert total == 200
        tap.open()
        *deltas, last = await heard(slow)
        assert seqs(deltas, 1) == list(range(2, len(deltas) + 2))
        assert 50 <= len(deltas) < 120  # the queue, and what the writer had already taken
        overflow = {"code": 25, "msg": "Subscription buffer overflow"}
        assert last == {"type": "error", "sid": 1, "seq": len(deltas) + 2, "msg": overflow}
        listed = await ask(slow, 2, "list_subscriptions")
        assert listed[0]["msg"] == [{"channel": "fill", "sid": 2}]
        again = await ask(slow, 3, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
        assert part(again[0], "msg")["sid"] == 3


async def test_a_reader_that_takes_nothing_is_left(autojump_clock: MockClock) -> None:
    """After the limit the connection of a peer that does not read at all ends."""
    tap = Tap()
    async with world(BARE) as emulator, emulator.stream(tap=tap) as socket:
        tap.close()
        await say(socket, 1, "list_subscriptions")
        await trio.sleep(STREAM_SEND_S - 0.1)
        assert emulator.server.streams == 1
        await trio.sleep(0.2)
        assert emulator.server.streams == 0


async def test_dropped_streams_end_without_a_close_frame(autojump_clock: MockClock) -> None:
    """Every stream ends at once and abnormally, and the member can come again."""
    async with world(BARE) as emulator:
        async with emulator.stream() as first, emulator.stream() as second:
            assert emulator.server.streams == 2
            assert emulator.server.drop_streams() == 2
            for socket in (first, second):
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.get_message()
                assert closed.value.reason is not None
                assert closed.value.reason.code == 1006
        assert (emulator.server.streams, emulator.server.connections) == (0, 0)
        async with emulator.stream() as third:
            assert (await ask(third, 1, "list_subscriptions"))[0]["type"] == "ok"


async def test_an_orderly_close_is_answered(autojump_clock: MockClock) -> None:
    """The client's close gets its own code back, and the server forgets the stream."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        with trio.fail_after(1):
            await socket.aclose(code=1001, reason="going")
        assert socket.closed is not None
        assert socket.closed.code == 1001
        assert emulator.server.streams == 0


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        ({"KALSHI-ACCESS-KEY": "nobody"}, "auth__unknown_key_id"),
        ({"KALSHI-ACCESS-SIGNATURE": "AAAA"}, "auth__bad_signature"),
        ({"KALSHI-ACCESS-TIMESTAMP": "1"}, "auth__skew_minus30s"),
    ],
)
async def test_an_upgrade_needs_a_signature(autojump_clock: MockClock, spoil: dict[str, str], name: str) -> None:
    """A bad signature is answered 401, with the body that REST gives, and no stream is opened."""
    async with world() as emulator:
        headers = emulator.headers("GET", "/trade-api/ws/v2") | spoil
        with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as caught:
            async with emulator.stream(headers):
                pytest.fail("the handshake was accepted")
        rejected: BaseException = caught.value
        while isinstance(rejected, BaseExceptionGroup):
            rejected = rejected.exceptions[0]
        assert isinstance(rejected, ConnectionRejected)
        assert rejected.status_code == 401
        assert json.loads(rejected.body or b"") == recording(name)
        assert emulator.server.streams == 0


async def test_a_member_has_so_many_streams_and_no_more(autojump_clock: MockClock) -> None:
    """One more is refused with 429, another member's is not; where one has ended there is room again."""
    async with world(ServerSettings(streams_max=2)) as emulator, emulator.stream():
        async with emulator.stream():
            refused = pytest.RaisesExc(ConnectionRejected, check=lambda e: e.status_code == 429)
            with pytest.RaisesGroup(refused, flatten_subgroups=True):
                async with emulator.stream():
                    pytest.fail("the handshake was accepted")
        await trio.sleep(1)
        async with emulator.stream() as socket:
            assert await ask(socket, 1, "list_subscriptions")


async def test_a_request_that_is_no_handshake_is_refused(autojump_clock: MockClock) -> None:
    """The stream's path by plain HTTP is a bad request, and the connection goes on."""
    async with world() as emulator:
        answer = await emulator.ask("GET", "/trade-api/ws/v2")
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
