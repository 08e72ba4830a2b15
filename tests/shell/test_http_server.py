"""The HTTP server against raw bytes, a real client on real sockets, and random bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import h11
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon.limits import HTTP_BODY_MAX, HTTP_HEAD_MAX, HTTP_IDLE_S, HTTP_SEND_S
from kalshi_daemon.shell.http_server import Request, Response, serve_http

Serve = Callable[[trio.abc.Stream], Awaitable[None]]
MIDNIGHT_MS = 1_700_006_400_123  # Wed, 15 Nov 2023 00:00:00 GMT, and a bit


async def echo(request: Request) -> Response:
    """An answer that shows everything the server understood."""
    query = ";".join(f"{name}={','.join(values)}" for name, values in request.query.items())
    text = f"{request.method} {request.path} [{query}] x={request.headers.get('x-word')} {request.body.decode()}"
    return Response(200, text.encode(), "text/plain", (("X-Answer", "yes"),))


async def talk(data: bytes, *, serve: Serve | None = None) -> bytes:
    """Send these bytes and close our half; everything that came back."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve or (lambda stream: serve_http(stream, echo, now_ms=lambda: MIDNIGHT_MS)), theirs)
        await ours.send_all(data)
        await ours.send_eof()
        async for chunk in ours:
            received += chunk
    return bytes(received)


async def test_an_answer_has_its_length_type_and_date() -> None:
    """One request gives exactly these bytes."""
    answer = await talk(b"GET /a/b?t=1&t=2&e= HTTP/1.1\r\nHost: h\r\nX-Word: w1\r\nX-Word: w2\r\n\r\n")
    head, _blank, body = answer.partition(b"\r\n\r\n")
    assert body == b"GET /a/b [t=1,2;e=] x=w1, w2 "
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 ",
        b"X-Answer: yes",
        b"Date: Wed, 15 Nov 2023 00:00:00 GMT",
        b"Content-Type: text/plain",
        b"Content-Length: 29",
    ]


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Two requests sent at once give two answers, and the connection outlives the first."""
    answer = await talk(
        b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
        b"DELETE /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.index(b"POST /1 [] x=None one") < answer.index(b"DELETE /2 [] x=None two")


async def test_no_body_where_http_allows_none() -> None:
    """HEAD answers have a length and no body; 204 has neither."""
    head = await talk(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"Content-Length: 17\r\n" in head
    assert head.endswith(b"\r\n\r\n")

    async def nothing(_request: Request) -> Response:
        return Response(204)

    empty = await talk(b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", serve=lambda stream: serve_http(stream, nothing))
    assert empty == b"HTTP/1.1 204 \r\n\r\n"


async def test_a_peer_that_waits_for_leave_gets_it() -> None:
    """`Expect: 100-continue` is answered before the body is read."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, echo)
        await ours.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 100 ")
        await ours.send_all(b"ok")
        assert (await ours.receive_some()).endswith(b"x=None ok")
        await ours.aclose()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 2 * HTTP_HEAD_MAX + b"\r\n\r\n", b"431"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (HTTP_BODY_MAX + 1)
            + b"x" * (HTTP_BODY_MAX + 1),
            b"413",
        ),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", b"405"),
    ],
    ids=["not http", "no host", "long head", "long body", "proxy"],
)
async def test_a_fault_of_the_peer_is_answered_and_ends_the_connection(data: bytes, status: bytes) -> None:
    """Whatever HTTP does not allow gets its status, a Date, and the end."""
    answer = await talk(data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Date: Wed, 15 Nov 2023" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_half_a_request_is_no_request() -> None:
    """A peer that goes away in the middle gets nothing and breaks nothing."""
    assert await talk(b"") == b""
    assert b"200" not in await talk(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")


async def test_an_idle_connection_ends(autojump_clock: trio.testing.MockClock) -> None:
    """Without a whole request the connection is closed after exactly the limit."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, echo)
        await ours.send_all(b"GET / HTTP/1.1\r\n")
        assert await ours.receive_some() == b""
    assert trio.current_time() == pytest.approx(HTTP_IDLE_S)


async def test_a_peer_that_does_not_read_is_left(autojump_clock: trio.testing.MockClock) -> None:
    """An answer nobody takes is given up after exactly the limit."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, echo)
        await ours.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert trio.current_time() == pytest.approx(HTTP_SEND_S)


async def test_an_upgrade_hands_over_the_stream_and_what_was_sent_early() -> None:
    """The answer's 101 is sent first; bytes after the request belong to the new protocol."""
    handed: list[tuple[str, bytes]] = []

    async def switch(request: Request) -> Response:
        return Response(101, headers=(("Upgrade", "word"), ("Connection", "upgrade")))

    async def take(stream: trio.abc.Stream, request: Request, early: bytes) -> None:
        handed.append((request.path, early + await stream.receive_some()))
        await stream.send_all(b"new words")

    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_http(theirs, switch, upgrade=take))
        await ours.send_all(b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: word\r\n\r\nearly")
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 101 ")
        await ours.send_all(b" late")
        assert await ours.receive_some() == b"new words"
        assert await ours.receive_some() == b""
    assert handed == [("/ws", b"early late")]


async def test_a_refused_upgrade_is_an_ordinary_answer() -> None:
    """Without a 101 the connection goes on as HTTP."""
    wish = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = await talk(wish + b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_a_mistake_of_ours_is_not_swallowed() -> None:
    """What `answer` raises leaves the server, and the stream is closed."""

    async def broken(_request: Request) -> Response:
        raise KeyError("ours")

    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises(KeyError, match="ours"):
        await serve_http(theirs, broken)
    assert await ours.receive_some() == b""


async def test_a_real_client_over_a_real_socket(nursery: trio.Nursery) -> None:
    """httpx keeps one connection for several requests, and reads what was sent."""
    serve = partial(trio.serve_tcp, lambda stream: serve_http(stream, echo), 0, host="127.0.0.1")
    listeners = await nursery.start(serve)
    port = listeners[0].socket.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert (await client.get("/x", params={"a": "1"})).text == "GET /x [a=1] x=None "
        answer = await client.post("/y", content=b"body", headers={"x-word": "w"})
    assert answer.text == "POST /y [] x=w body"
    nursery.cancel_scope.cancel()


REQUEST = b"POST /p?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([REQUEST, b"\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"Host: h\r\n", b"HTTP/1.0\r\n",
                             b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n",
                             b"Expect: 100-continue\r\n", b"Content-Length: 5\r\n", b"Connection: close\r\n"]),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_random_bytes_end_the_connection_and_nothing_else(pieces: list[bytes]) -> None:
    """Nothing that a peer sends raises, hangs, or is answered by something that is not HTTP."""

    async def one() -> None:
        reader = h11.Connection(h11.CLIENT)
        answer = await talk(b"".join(pieces))
        if answer and not answer.startswith(b"HTTP/1.1 100"):
            reader.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
            reader.receive_data(answer)
            assert isinstance(reader.next_event(), h11.Response)

    trio.run(one, clock=trio.testing.MockClock(autojump_threshold=0))
