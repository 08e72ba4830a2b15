"""The socket, against the library's own server side and against peers that break off, refuse or lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio_websocket
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from kalshi_daemon.errors import AccessRefused, ClockRefused, NotSpoken, OperatingError, Unreachable, WireError
from kalshi_daemon.limits import FRAME_MAX, PINGS_IN_FLIGHT_MAX, SOCKET_CLOSE_S
from kalshi_daemon.shell.socket import Address, Socket

URL = "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
HEADERS = {"KALSHI-ACCESS-KEY": "key", "KALSHI-ACCESS-TIMESTAMP": "1763800000000"}
Handle = Callable[[trio.abc.Stream], Awaitable[None]]


class Wire:
    """A network of memory streams; the peer's end of each connection is given to `handle`."""

    def __init__(self, nursery: trio.Nursery, handle: Handle) -> None:
        self.dialled: list[tuple[str, int, bool]] = []
        self.peers: list[trio.abc.Stream] = []
        self._nursery = nursery
        self._handle = handle

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self.dialled.append((host, port, tls))
        self.peers.append(theirs)
        self._nursery.start_soon(self._handle, theirs)
        return ours


def websocket(talk: Callable[[trio_websocket.WebSocketConnection], Awaitable[None]]) -> Handle:
    """A peer that accepts the upgrade, and talks."""

    async def handle(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)  # type: ignore[arg-type]
            assert (b"kalshi-access-key", b"key") in request.headers
            assert request.path == "/trade-api/ws/v2"
            await talk(await request.accept())

    return handle


def answer(said: bytes, *, then_close: bool = True) -> Handle:
    """A peer that reads the request and says `said`, whatever it is."""

    async def handle(stream: trio.abc.Stream) -> None:
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += await stream.receive_some()
        await stream.send_all(said)
        if then_close:
            await stream.aclose()

    return handle


def http(status: str, body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


@asynccontextmanager
async def dialled(handle: Handle) -> AsyncIterator[tuple[Socket, Wire]]:
    """The errors of a dial escape bare, so no nursery may stand between it and the test."""
    async with trio.open_nursery() as nursery:
        wire = Wire(nursery, handle)
        try:
            async with Socket.dial(wire, URL, HEADERS) as socket:
                yield socket, wire
        finally:
            nursery.cancel_scope.cancel()


async def error_of_dial(nursery: trio.Nursery, handle: Handle) -> OperatingError:
    with pytest.raises(OperatingError) as caught:
        async with Socket.dial(Wire(nursery, handle), URL, HEADERS):
            pytest.fail("this upgrade was refused")
    return caught.value


async def received(socket: Socket) -> bytes | str:
    """The one frame that comes."""
    (frame,) = await socket.receive()
    return frame


async def echo(connection: trio_websocket.WebSocketConnection) -> None:
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        pass


async def test_frames_go_both_ways_in_order(autojump_clock: MockClock) -> None:
    """The signed headers arrive, text comes back as it went, and the address is dialled as the URL says."""
    async with dialled(websocket(echo)) as (socket, wire):
        assert wire.dialled == [("external-api-ws.kalshi.com", 443, True)]
        for text in ("one", "zwei ¢", "x" * 100_000):
            await socket.send(text)
        assert [await received(socket) for _ in range(3)] == ["one", "zwei ¢", "x" * 100_000]


async def test_leaving_says_goodbye(autojump_clock: MockClock) -> None:
    """The peer sees an ordinary close, not a broken stream."""
    reasons = []

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await echo(connection)
        reasons.append(connection.closed)

    async with trio.open_nursery() as nursery, Socket.dial(Wire(nursery, websocket(talk)), URL, HEADERS):
        pass
    assert [reason.code for reason in reasons if reason is not None] == [1_000]


async def test_leaving_a_peer_that_does_not_answer_is_bounded(autojump_clock: MockClock) -> None:
    """No close frame comes back: the stream is closed after the limit."""

    async def deaf(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)  # type: ignore[arg-type]
            await request.accept()
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        async with Socket.dial(Wire(nursery, deaf), URL, HEADERS):
            began_s = trio.current_time()
        assert trio.current_time() - began_s == SOCKET_CLOSE_S


async def test_being_cancelled_closes_at_once(autojump_clock: MockClock) -> None:
    """A state that is left does not wait for a goodbye, and the peer's stream ends."""
    ended = trio.Event()

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await echo(connection)
        ended.set()

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3) as scope:
            async with Socket.dial(Wire(nursery, websocket(talk)), URL, HEADERS) as socket:
                await socket.receive()
        assert scope.cancelled_caught
        assert trio.current_time() == 3
        await ended.wait()


async def test_a_close_by_the_peer_names_its_reason(autojump_clock: MockClock) -> None:
    """What was sent before the close is still received; then every call says why there is no more."""

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.send_message("last")
        await connection.aclose(1_001, "maintenance")

    async with dialled(websocket(talk)) as (socket, _):
        assert await received(socket) == "last"
        with pytest.raises(Unreachable, match=r"the socket closed: 1001 going away \(maintenance\)"):
            await socket.receive()
        with pytest.raises(Unreachable, match="1001"):
            await socket.send("anything")
        await socket.ping()


async def test_a_stream_that_breaks_off_is_a_close_too(autojump_clock: MockClock) -> None:
    """A TCP reset without a close frame, as recorded on the demo exchange."""
    async with dialled(websocket(echo)) as (socket, wire):
        await socket.send("one")
        assert await received(socket) == "one"
        await trio.aclose_forcefully(wire.peers[0])
        with pytest.raises(Unreachable, match="the socket closed: 1006 abnormal closure") as caught:
            await socket.receive()
        assert caught.value.maybe_done


async def test_an_oversized_frame_is_named_and_ends_the_socket(autojump_clock: MockClock) -> None:
    """It is a frame that cannot be read, of the kind `oversized`; after it there is no socket."""

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.send_message("x" * (FRAME_MAX + 1))
        await echo(connection)

    async with dialled(websocket(talk)) as (socket, _):
        with pytest.raises(WireError, match=f"more than {FRAME_MAX} bytes") as caught:
            await socket.receive()
        assert caught.value.kind == "oversized"
        with pytest.raises(Unreachable, match="1009"):
            await socket.send("anything")


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x81\x02\xc3\x28", b"\x83\x00", b"\xc1\x01x"])
async def test_a_peer_that_breaks_the_protocol_is_unreachable(garbage: bytes, autojump_clock: MockClock) -> None:
    """Reserved bits and opcodes, and text that is not UTF-8, end the socket; nothing of the library's escapes."""

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await connection._stream.send_all(garbage)
        await trio.sleep_forever()

    async with dialled(websocket(talk)) as (socket, _):
        with pytest.raises(Unreachable):
            await socket.receive()


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=80), st.booleans())
def test_no_bytes_of_a_peer_escape_as_anything_else(said: bytes, after_upgrade: bool) -> None:
    """Whatever comes, before or after the upgrade, is frames, a refusal or Unreachable, and soon."""

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await connection._stream.send_all(said)
        await connection._stream.aclose()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            wire = Wire(nursery, websocket(talk) if after_upgrade else answer(said))
            with trio.fail_after(5), suppress(Unreachable, AccessRefused):
                async with Socket.dial(wire, URL, HEADERS) as socket:
                    while True:
                        await socket.receive()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_what_was_heard_is_noted(autojump_clock: MockClock) -> None:
    """A frame, a ping of the server's and a pong each move `last_heard`; our own sending does not."""

    async def talk(connection: trio_websocket.WebSocketConnection) -> None:
        await trio.sleep(10)
        await connection.send_message("frame")
        await trio.sleep(10)
        await connection.ping(b"heartbeat")
        await trio.sleep_forever()

    async with dialled(websocket(talk)) as (socket, _):
        assert await received(socket) == "frame"
        assert socket.last_heard == 10
        await trio.sleep(15)
        assert socket.last_heard == 20
        await socket.send("ours")
        assert socket.last_heard == 20
        await socket.ping()
        await trio.sleep(1)
        assert socket.last_heard == 25
        assert socket.pings_in_flight == 0


async def test_pings_to_a_silent_peer_do_not_wait_and_do_not_pile_up(autojump_clock: MockClock) -> None:
    """`ping` returns at once; past its bound it sends none, and `last_heard` stays where it was."""

    async def mute(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)  # type: ignore[arg-type]
            await request.accept()
            nursery.cancel_scope.cancel()

    async with dialled(mute) as (socket, _):
        for _ in range(PINGS_IN_FLIGHT_MAX + 3):
            await socket.ping()
            await trio.sleep(5)
        assert socket.pings_in_flight == PINGS_IN_FLIGHT_MAX
        assert socket.last_heard == 0


NESTED = b'{"error":{"code":"%s","message":"m","details":"%s"}}'


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            http("401 Unauthorized", NESTED % (b"authentication_error", b"INCORRECT_API_KEY_SIGNATURE")),
            AccessRefused,
            "401 authentication_error: m (INCORRECT_API_KEY_SIGNATURE)",
        ),
        (
            http("401 Unauthorized", NESTED % (b"header_timestamp_expired", b"")),
            ClockRefused,
            "header_timestamp_expired",
        ),
        (http("403 Forbidden", b"<html>blocked</html>"), AccessRefused, "403 upgrade_refused: <html>blocked</html>"),
        (http("403 Forbidden", b""), AccessRefused, "403 upgrade_refused"),
        (http("503 Service Unavailable", b"try\r\n later"), Unreachable, "refused the WebSocket with 503: try later"),
        (http("502 Bad Gateway", b""), Unreachable, "refused the WebSocket with 502"),
        (http("429 Too Many Requests", b'{"error":"too many requests"}'), Unreachable, "with 429: {"),
        (http("503 Service Unavailable", b"cut", length=500), Unreachable, "with 503: cut"),
        (http("401 Unauthorized", b"cut", length=500), AccessRefused, "401 upgrade_refused: cut"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno length", Unreachable, "with 503: no length"),
        (b"HTTP/1.1 50", Unreachable, "ended during the WebSocket upgrade, after b'HTTP/1.1 50'"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", NotSpoken, "broke the WebSocket protocol: illegal status line: "),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            NotSpoken,
            "the exchange broke the WebSocket protocol: Bad accept token",
        ),
        (b"", Unreachable, "ended during the WebSocket upgrade, without an answer"),
    ],
)
async def test_a_refused_upgrade_says_what_and_whose_fault(
    said: bytes, kind: type[OperatingError], message: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """401 and 403 are about the key; every other answer, half an answer or none is worth another dial. None hangs."""
    with trio.fail_after(1):
        error = await error_of_dial(nursery, answer(said))
    assert type(error) is kind
    assert message in str(error)
    if isinstance(error, Unreachable):
        assert not error.maybe_done


async def test_an_upgrade_that_is_never_answered_is_the_callers_to_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The dial waits as long as it is let; being cancelled ends it, with nothing left behind."""
    with trio.move_on_after(10) as scope:
        async with Socket.dial(Wire(nursery, answer(b"", then_close=False)), URL, HEADERS):
            pytest.fail("nothing was answered")
    assert scope.cancelled_caught


async def test_a_network_that_does_not_connect_is_told_as_it_is() -> None:
    class Absent:
        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            raise Unreachable(f"{host} has no address", maybe_done=False)

    with pytest.raises(Unreachable, match=r"external-api-ws\.kalshi\.com has no address"):
        async with Socket.dial(Absent(), URL, HEADERS):
            pytest.fail("nothing was connected")


async def test_errors_of_the_body_escape_bare(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """The nursery inside does not wrap what its user raises."""
    with pytest.raises(ZeroDivisionError):
        async with Socket.dial(Wire(nursery, websocket(echo)), URL, HEADERS):
            _ = 1 / 0


async def test_over_a_real_connection() -> None:
    """The same over TCP on loopback, with the port in the Host header."""
    hosts = []

    async def talk(request: trio_websocket.WebSocketRequest) -> None:
        hosts.extend(value for name, value in request.headers if name == b"host")
        connection = await request.accept()
        await echo(connection)

    class Loopback:
        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            assert not tls
            return await trio.open_tcp_stream(host, port)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, talk, "127.0.0.1", 0, None)
        async with Socket.dial(Loopback(), f"ws://127.0.0.1:{server.port}/ws", {}) as socket:
            await socket.send("ping")
            assert await received(socket) == "ping"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        (URL, Address("external-api-ws.kalshi.com", 443, "/trade-api/ws/v2", tls=True), "external-api-ws.kalshi.com"),
        ("ws://127.0.0.1:8080/x", Address("127.0.0.1", 8080, "/x", tls=False), "127.0.0.1:8080"),
        ("ws://host", Address("host", 80, "/", tls=False), "host"),
    ],
)
def test_an_address_is_read_from_its_url(url: str, address: Address, authority: str) -> None:
    assert Address.of(url) == address
    assert address.authority == authority
