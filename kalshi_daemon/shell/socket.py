"""One WebSocket to the exchange, over any stream that a `Network` opens.

The only importer of the WebSocket library on the client's side, so that a successor can take its place.

Rules:
- `Socket.dial` is a context: the task that reads the stream lives inside it and ends with it. Nothing outlives the
  `with`.
- Errors have one meaning here: AccessRefused or ClockRefused where the key was refused (401, 403), Unreachable for
  everything else, naming the status or the reason of the close; WireError for a frame that is too long, which ends the
  socket too. They escape bare, not in groups.
- Leaving without being cancelled says goodbye and waits `SOCKET_CLOSE_S` for the answer; being cancelled just closes.
- Whole texts are taken out of the stream before the library sees them (`wire/plain_frames.py`); everything else is
  the library's, which answers the pings of the server.
- Compression is never offered: it costs more than it saves on frames of 200 bytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import h11
import trio
import trio_websocket
from attrs import frozen
from wsproto.utilities import LocalProtocolError, ProtocolError, RemoteProtocolError

from kalshi_daemon import limits
from kalshi_daemon.errors import AccessRefused, ClockRefused, NotSpoken, Unreachable, WireError
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.tap import Tap
from kalshi_daemon.wire.error_bodies import error_of

KEY_REFUSED: Final = frozenset({401, 403})
OVERSIZED: Final = f"Exceeded maximum message size: {limits.FRAME_MAX} bytes"  # the library's own word, in its close
HTTP: Final = b"HTTP/"
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")


@frozen
class Address:
    host: str
    port: int
    resource: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        assert parts.scheme in {"ws", "wss"}, f"{url} is not the address of a WebSocket"
        assert parts.hostname is not None, f"{url} names no host"
        tls = parts.scheme == "wss"
        resource = parts.path or "/"
        return cls(parts.hostname, parts.port or (443 if tls else 80), resource, tls)

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        return self.host if self.port == (443 if self.tls else 80) else f"{self.host}:{self.port}"


class Socket:
    """An open WebSocket. Made by `dial`."""

    def __init__(self, tap: Tap) -> None:
        self.pings_in_flight = 0
        self._pings = trio.Semaphore(0)  # wanted, and not begun
        self._tap = tap
        self._connection: trio_websocket.WebSocketConnection  # from the handshake on
        self._broken = ""  # what ended the reading task, where the library has no word for it

    @classmethod
    @asynccontextmanager
    async def dial(cls, network: Network, url: str, headers: Mapping[str, str]) -> AsyncIterator[Socket]:
        """Raises AccessRefused, ClockRefused and Unreachable."""
        address = Address.of(url)
        tap = Tap(await network.connect(address.host, address.port, tls=address.tls))
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                socket = cls(tap)
                try:
                    await nursery.start(socket._run, address, headers)
                    nursery.start_soon(socket._send_pings)
                    nursery.start_soon(socket._pass_on)
                    yield socket
                    await socket.aclose()
                except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery and its groups
                    failure = error
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(tap)
        if failure is not None:
            raise failure

    @property
    def last_heard(self) -> float:
        """When the stream last brought anything (frame, ping or pong), on trio's clock."""
        return self._tap.last_heard

    async def send(self, text: str) -> None:
        """Raises Unreachable."""
        try:
            await self._connection.send_message(text)
        except (trio_websocket.ConnectionClosed, LocalProtocolError):
            raise self._closed() from None

    async def receive(self) -> Sequence[bytes | str]:
        """The payloads of the next frames, oldest first: one at least, and as many as have come, up to a bound.

        Raises Unreachable, and WireError for a frame over `FRAME_MAX`, which ends the socket.
        """
        await trio.lowlevel.checkpoint()
        frames = await self._tap.take()
        if not frames:
            reason = self._connection.closed
            if reason is not None and reason.reason == OVERSIZED:
                text = f"a frame of more than {limits.FRAME_MAX} bytes, which ended the socket"
                raise WireError("oversized", text)
            raise self._closed()
        return frames

    async def ping(self) -> None:
        """Send a ping and do not wait for its pong, which moves `last_heard`. None where too many are unanswered."""
        if self.pings_in_flight < limits.PINGS_IN_FLIGHT_MAX:
            self.pings_in_flight += 1
            self._pings.release()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Say goodbye, within a bound. May be called again."""
        with trio.move_on_after(limits.SOCKET_CLOSE_S):
            await self._connection.aclose()

    async def _pass_on(self) -> None:
        """The messages that the library was not spared, and that there are no more of any kind."""
        try:
            while True:
                message = await self._connection.get_message()
                await self._tap.room()
                self._tap.put(message)
        except trio_websocket.ConnectionClosed:
            self._tap.end()

    async def _send_pings(self) -> None:
        """A task for each, since the library's ping waits for its pong; none is cut off half sent."""
        async with trio.open_nursery() as waiting:
            for number in itertools.count(1):
                await self._pings.acquire()
                waiting.start_soon(self._send_ping, b"%d" % number)

    async def _send_ping(self, payload: bytes) -> None:
        try:
            await self._connection.ping(payload)
        except (trio_websocket.ConnectionClosed, LocalProtocolError):
            pass  # whoever receives is told
        finally:
            self.pings_in_flight -= 1

    async def _run(self, address: Address, headers: Mapping[str, str], *, task_status: trio.TaskStatus[None]) -> None:
        """The reading task. Says started when the upgrade is done; before that, what it raises is the dial's."""
        refusal: Exception | None = None
        try:
            async with trio.open_nursery() as reading:
                self._tap.on_end = reading.cancel_scope.cancel
                self._connection = await trio_websocket.wrap_client_stream(
                    reading,
                    self._tap,  # type: ignore[arg-type]  # its hint names two streams; any is taken
                    address.authority,
                    address.resource,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                    message_queue_size=limits.FRAME_QUEUE_MAX,
                    max_message_size=limits.FRAME_MAX,
                    receive_buffer_size=limits.SOCKET_RECEIVE_BYTES,
                )
                self._tap.on_end = None
                task_status.started()
        except* trio_websocket.ConnectionRejected as rejections:
            rejected = rejections.exceptions[0]
            assert isinstance(rejected, trio_websocket.ConnectionRejected), "the reader raises it bare"
            refusal = _refused(rejected.status_code, rejected.body or b"")
            if isinstance(refusal, ClockRefused):
                refusal.date = dict(rejected.headers).get(b"date", b"").decode("latin-1")
        except* (ProtocolError, h11.ProtocolError) as errors:  # its answer to a broken peer may itself be impossible
            self._broken = f"the exchange broke the WebSocket protocol: {_peers_fault(errors.exceptions[0])}"
        if self._tap.on_end is not None:
            raise refusal or _cut_off(self._tap.answer, self._broken)

    def _closed(self) -> Unreachable:
        reason = self._connection.closed
        if self._broken or reason is None:
            return Unreachable(self._broken or "the socket closed", maybe_done=True)
        text = f"the socket closed: {reason.code} {reason.name.lower().replace('_', ' ')}"
        return Unreachable(text + (f" ({reason.reason})" if reason.reason else ""), maybe_done=True)


def _refused(status: int, body: bytes) -> Exception:
    """What a refused upgrade means. Only 401 and 403 are about the key (api.md 7); the rest is worth another dial."""
    error = error_of(status, body, write=False)
    if isinstance(error, AccessRefused | ClockRefused):
        return error
    text = " ".join(body[: limits.UPGRADE_ANSWER_SHOWN_MAX].decode("utf-8", "replace").split())
    if status in KEY_REFUSED:
        return AccessRefused(status, "upgrade_refused", text)
    what = f"the exchange refused the WebSocket with {status}: {text}"
    return Unreachable(what, maybe_done=False, status=status)


def _cut_off(answer: bytes, broken: str) -> Exception:
    """The stream ended during the handshake; what came of an answer is the evidence."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = STATUS_LINE.match(head)
    if status is not None and status[1] != b"101":
        return _refused(int(status[1]), body)
    said = f"after {head[:60]!r}" if head else "without an answer"
    is_http = HTTP.startswith(head[: len(HTTP)])  # as far as it came
    kind = Unreachable if is_http and not broken else NotSpoken
    return kind(broken or f"the connection ended during the WebSocket upgrade, {said}", maybe_done=False)


def _peers_fault(error: BaseException) -> str:
    """What the peer did, where the libraries trip over it once more in saying so: the innermost of its faults."""
    fault, inner = error, error.__context__
    while inner is not None:
        if isinstance(inner, RemoteProtocolError | h11.RemoteProtocolError):
            fault = inner
        inner = inner.__context__
    return str(fault)[: limits.UPGRADE_ANSWER_SHOWN_MAX]
