"""A small HTTP/1.1 server on any trio stream: the emulator's REST and upgrades, and the daemon's metrics.

h11 decides what is allowed, this loop moves the bytes. Rules:
- One request at a time, answered before the next is read; a connection is kept until its peer closes it, errs or idles.
- A fault of the peer's is answered by its status where HTTP still allows an answer, and then the connection is closed.
  It never leaves `serve_http` as an exception; an exception of `answer` or `upgrade` is ours, and does.
- Waiting for a request, and for a slow peer to take an answer, both have a limit.
- `answer` decides about upgrades too: its 101 is sent as it is, and hands the stream to `upgrade`, together with what
  the peer had already sent after its request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Final, TypeAlias
from urllib.parse import parse_qs

import h11
import trio
from attrs import field, frozen

from kalshi_daemon.limits import HTTP_BODY_MAX, HTTP_HEAD_MAX, HTTP_IDLE_S, HTTP_SEND_S
from kalshi_daemon.units import SECOND_MS, Milliseconds

READ_SIZE: Final = 16 * 1024
SWITCHING_PROTOCOLS: Final = 101
NO_CONTENT: Final = 204


@frozen
class Request:
    """One request, read whole. `path` is as it was sent (signatures cover it); names in `headers` are lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str] = field(repr=False)  # they may carry signatures
    body: bytes = field(repr=False)


@frozen
class Response:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Answer: TypeAlias = Callable[[Request], Awaitable[Response]]
Upgrade: TypeAlias = Callable[[trio.abc.Stream, Request, bytes], Awaitable[None]]


async def serve_http(
    stream: trio.abc.Stream,
    answer: Answer,
    *,
    upgrade: Upgrade | None = None,
    now_ms: Callable[[], Milliseconds] | None = None,
) -> None:
    """Serve one connection until it ends, and close its stream. With `now_ms`, every answer carries a `Date`."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HTTP_HEAD_MAX)
    async with stream:
        switched = await _serve_requests(stream, connection, answer, now_ms)
        if switched is not None:
            assert upgrade is not None, "an answer switched protocols, and nobody takes the stream"
            trailing, _closed = connection.trailing_data
            await upgrade(stream, switched, trailing)


async def _serve_requests(
    stream: trio.abc.Stream, connection: h11.Connection, answer: Answer, now_ms: Callable[[], Milliseconds] | None
) -> Request | None:
    """Answer requests until the connection ends; returns the request, if any, that was answered by switching."""
    while True:
        try:
            request = await _read_request(stream, connection)
        except h11.RemoteProtocolError as error:
            if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                refusal = Response(error.error_status_hint, f"{error}\n".encode(), "text/plain; charset=utf-8")
                await _send(stream, _encode(connection, "GET", refusal, now_ms))
            return None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        if request is None:
            return None
        response = await answer(request)
        if not await _send(stream, _encode(connection, request.method, response, now_ms)):
            return None
        if response.status == SWITCHING_PROTOCOLS:
            return request
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return None
        connection.start_next_cycle()


async def _read_request(stream: trio.abc.Stream, connection: h11.Connection) -> Request | None:
    """The next request; None when the peer closed or idled. Raises RemoteProtocolError for what HTTP does not allow."""
    with trio.move_on_after(HTTP_IDLE_S):
        head = await _next_event(stream, connection)
        if not isinstance(head, h11.Request):
            return None
        if head.method == b"CONNECT":
            raise h11.RemoteProtocolError("this is not a proxy", error_status_hint=405)
        body = bytearray()
        while isinstance(event := await _next_event(stream, connection), h11.Data):
            body += event.data
            if len(body) > HTTP_BODY_MAX:
                raise h11.RemoteProtocolError(f"the body is over {HTTP_BODY_MAX} bytes", error_status_hint=413)
        assert isinstance(event, h11.EndOfMessage), "h11 ends a message or raises"
        return _request(head, bytes(body))
    return None


async def _next_event(stream: trio.abc.Stream, connection: h11.Connection) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            go_ahead = connection.send(h11.InformationalResponse(status_code=100, headers=[]))
            assert go_ahead is not None
            await stream.send_all(go_ahead)
        connection.receive_data(bytes(await stream.receive_some(READ_SIZE)))
    return event


def _request(head: h11.Request, body: bytes) -> Request:
    path, _mark, query = head.target.decode("ascii").partition("?")
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(head.method.decode("ascii"), path, parse_qs(query, keep_blank_values=True), headers, body)


def _encode(
    connection: h11.Connection, method: str, response: Response, now_ms: Callable[[], Milliseconds] | None
) -> bytes:
    """The bytes of a whole answer, as h11 frames it for this request."""
    headers = list(response.headers)
    if now_ms is not None:
        headers.append(("Date", formatdate(now_ms() // SECOND_MS, usegmt=True)))
    if response.status == SWITCHING_PROTOCOLS:
        switch = connection.send(h11.InformationalResponse(status_code=response.status, headers=headers))
        assert switch is not None
        return switch
    if response.status != NO_CONTENT:
        headers += [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
    if connection.their_state is h11.ERROR:
        headers.append(("Connection", "close"))
    parts = [connection.send(h11.Response(status_code=response.status, headers=headers))]
    if response.body and method != "HEAD":
        parts.append(connection.send(h11.Data(data=response.body)))
    parts.append(connection.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


async def _send(stream: trio.abc.Stream, data: bytes) -> bool:
    """Whether the peer took it, all of it, in time."""
    try:
        with trio.move_on_after(HTTP_SEND_S) as limit:
            await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return not limit.cancelled_caught
