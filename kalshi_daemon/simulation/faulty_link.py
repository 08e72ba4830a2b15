"""A link to the emulated exchange on which single answers are lost, late or garbled: bytes in, bytes out.

It stands where the server's own handler would be served, hands every byte on, and asks for each request what becomes of
it. So an order takes effect and its answer is gone, as in the world, and neither end knows that it is a test.

Rules: a request is told by its first line; once a connection is a WebSocket its bytes are handed on and nothing is
asked any more. Without a fault the link changes nothing but the time that handing on takes, which is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

import trio
from attrs import define, frozen

from kalshi_daemon.simulation.network import Handle, stream_pair

REQUEST: Final = re.compile(rb"(GET|POST|PUT|DELETE) (\S+) HTTP/1\.1\r\n")
STREAM_PATH: Final = "/ws/v2"
CHUNK: Final = 1 << 20

Edit: TypeAlias = Callable[[bytes], bytes | None]


@frozen
class Fault:
    """What becomes of one request. It waits `before_s` on its way there, its answer `after_s` on its way back;
    `edit` is given the answer's bytes and says what arrives, None: the connection is cut. A request that does not
    arrive cuts the connection too, or is answered here by `instead`.
    """

    arrives: bool = True
    instead: bytes = b""
    before_s: float = 0.0
    after_s: float = 0.0
    edit: Edit | None = None


Judge: TypeAlias = Callable[[str, str], Fault | None]  # of the method and the path with its query


def lost(_answer: bytes) -> None:
    return None


def garbled(answer: bytes) -> bytes:
    """The status and the length are right, and the body is a page of somebody's proxy."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + b"<html>".ljust(len(body), b".")[: len(body)]


def response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def replaced(status: str, body: bytes) -> Fault:
    """What was asked is done, and another answer than was given arrives."""
    return Fault(edit=lambda _answer: response(status, body))


def refused(status: str, body: bytes) -> Fault:
    """Nothing is done, and this is the answer."""
    return Fault(arrives=False, instead=response(status, body))


LOST: Final = Fault(edit=lost)
NEVER_ARRIVES: Final = Fault(arrives=False)
GARBLED: Final = Fault(edit=garbled)
HANGS: Final = Fault(after_s=math.inf)
UNAVAILABLE: Final = replaced("503 Service Unavailable", b'{"error":{"code":"service_unavailable"}}')
TOO_MANY: Final = refused("429 Too Many Requests", b'{"error":"too many requests"}')


@define(eq=False)
class _Connection:
    """Both ends, and the fault of the request whose answer is awaited."""

    client: trio.abc.Stream
    server: trio.abc.Stream
    fault: Fault = Fault()
    streams: bool = False


class FaultyLink:
    """`handle` is served in the server's place. `judge` may be replaced at any time."""

    def __init__(self, serve: Handle) -> None:
        self.judge: Judge = lambda _method, _target: None
        self.requests: list[tuple[str, str]] = []  # (method, path with its query) in the order of their arrival here
        self._serve = serve

    def asked(self, method: str, part: str) -> int:
        """How many requests of this method had `part` in their path."""
        return sum(1 for each, target in self.requests if each == method and part in target)

    async def handle(self, stream: trio.abc.Stream) -> None:
        ours, theirs = stream_pair()
        connection = _Connection(stream, ours)
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                async with theirs:
                    await self._serve(theirs)

            async def ends(pump: Callable[[_Connection], Awaitable[None]]) -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await pump(connection)
                nursery.cancel_scope.cancel()

            nursery.start_soon(serve)
            nursery.start_soon(ends, self._upstream)
            nursery.start_soon(ends, self._downstream)
        await trio.aclose_forcefully(ours)

    async def _upstream(self, connection: _Connection) -> None:
        while data := bytes(await connection.client.receive_some(CHUNK)):
            request = None if connection.streams else REQUEST.match(data)
            if request is not None:
                connection.fault = self._judged(connection, request[1].decode(), request[2].decode())
                await trio.sleep(connection.fault.before_s)
            fault = connection.fault
            if not fault.arrives and not fault.instead:
                return
            if fault.arrives:
                await connection.server.send_all(data)
            elif request is not None:
                await connection.client.send_all(fault.instead)

    def _judged(self, connection: _Connection, method: str, target: str) -> Fault:
        self.requests.append((method, target))
        connection.streams = target.partition("?")[0].endswith(STREAM_PATH)
        return self.judge(method, target) or Fault()

    async def _downstream(self, connection: _Connection) -> None:
        while data := bytes(await connection.server.receive_some(CHUNK)):
            fault = connection.fault
            answer: bytes | None = data
            if not connection.streams:
                await trio.sleep(fault.after_s)
                answer = fault.edit(data) if fault.edit is not None else data
            if answer is None:
                return
            await connection.client.send_all(answer)
