"""A WebSocket on a stream that HTTP has let go of: wsproto decides, two tasks move the bytes.

Rules:
- One task writes. What waits for it is bounded; who adds to it never waits, and looks at `full` before adding data.
- No command is read while the outbox is full, so a peer that asks without reading stops itself.
- A fault of the peer's, a close of the peer's and a peer that takes nothing for too long end the connection; none of
  them leaves as an exception. Cancelling ends it at once, without a close frame: that is how a stream is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

from kalshi_daemon.emulator.bounds import STREAM_COMMAND_MAX, STREAM_SEND_S
from kalshi_daemon.shell.http_server import SWITCHING_PROTOCOLS, Request, Response

READ_SIZE: Final = 16 * 1024
FRAMES_TOGETHER: Final = 64  # frames written with one call
VERSION: Final = "13"


def accept(request: Request) -> Response | None:
    """The 101 that answers an opening handshake; None where the request is not one."""
    headers = request.headers
    key = headers.get("sec-websocket-key", "")
    if (
        request.method != "GET"
        or "websocket" not in headers.get("upgrade", "").lower()
        or headers.get("sec-websocket-version") != VERSION
        or not key
    ):
        return None
    token = generate_accept_token(key.encode("latin-1")).decode("ascii")
    opening = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", token))
    return Response(SWITCHING_PROTOCOLS, headers=opening)


class Outbox:
    """What waits to be written. `full` concerns data; what closes or answers is added all the same."""

    def __init__(self, frames_max: int) -> None:
        self._frames_max = frames_max
        self._waiting: deque[Event] = deque()
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._frames_max

    def put(self, frame: str) -> None:
        self.add(TextMessage(data=frame))

    def add(self, event: Event) -> None:
        self._waiting.append(event)
        self._changed.unpark_all()

    async def take(self) -> list[Event]:
        """The next few to write."""
        while not self._waiting:
            await self._changed.park()
        taken = [self._waiting.popleft() for _ in range(min(FRAMES_TOGETHER, len(self._waiting)))]
        self._changed.unpark_all()
        return taken

    async def room(self) -> None:
        while self.full:
            await self._changed.park()


async def serve_frames(
    stream: trio.abc.Stream, early: bytes, outbox: Outbox, hear: Callable[[str | None], None]
) -> None:
    """Move frames until the connection ends. `hear` gets each whole message, None for one that is not text."""
    connection = Connection(ConnectionType.SERVER, trailing_data=early)
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            await _write(stream, connection, outbox)
            nursery.cancel_scope.cancel()

        nursery.start_soon(write)
        if not await _read(stream, connection, outbox, hear):
            nursery.cancel_scope.cancel()


async def _write(stream: trio.abc.Stream, connection: Connection, outbox: Outbox) -> None:
    """Write what the outbox gives, up to a close frame, or until the peer takes no more."""
    while True:
        events = await outbox.take()
        data = b"".join(connection.send(event) for event in events if _is_sendable(connection, event))
        try:
            with trio.move_on_after(STREAM_SEND_S) as limit:
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if limit.cancelled_caught or connection.state in {ConnectionState.CLOSED, ConnectionState.LOCAL_CLOSING}:
            return


def _is_sendable(connection: Connection, event: Event) -> bool:
    if connection.state is ConnectionState.REMOTE_CLOSING:
        return isinstance(event, CloseConnection)
    return connection.state is ConnectionState.OPEN


async def _read(
    stream: trio.abc.Stream, connection: Connection, outbox: Outbox, hear: Callable[[str | None], None]
) -> bool:
    """Read messages until the connection ends; whether a close frame is still to be written."""
    parts: list[str] = []
    length = 0
    while True:
        for event in connection.events():
            match event:
                case Ping():
                    await outbox.room()
                    outbox.add(event.response())
                case CloseConnection():
                    outbox.add(_closing(connection, event))
                    return True
                case TextMessage() | BytesMessage():
                    length += len(event.data)
                    if length > STREAM_COMMAND_MAX:
                        outbox.add(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG, reason="message too big"))
                        return True
                    if isinstance(event, TextMessage):
                        parts.append(event.data)
                    if event.message_finished:
                        await outbox.room()
                        hear("".join(parts) if isinstance(event, TextMessage) else None)
                        parts, length = [], 0
                case Pong():
                    pass
        try:
            data = await stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not data:
            return False
        connection.receive_data(bytes(data))


def _closing(connection: Connection, event: CloseConnection) -> CloseConnection:
    """The close frame to write: the peer's own code back, or what its frames did wrong."""
    if connection.state is ConnectionState.REMOTE_CLOSING:
        return event.response()
    return CloseConnection(code=event.code, reason=event.reason)
