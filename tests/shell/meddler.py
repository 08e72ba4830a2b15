"""A man in the middle of a WebSocket: between the daemon's client and the emulated exchange, on streams in memory.

It takes the frames of both directions apart, hands each to the test, and writes on what the test makes of it. What it
does to a frame is a value: texts to send on instead, bytes as they stand, `CUT` for a reset, `END` for a plain end.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator

import trio

from kalshi_daemon.simulation.network import MemoryStream, stream_pair

CUT, END = object(), object()
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
Frame = dict[str, object]
Edit = Callable[[str], list[object]]


def same(text: str) -> list[object]:
    return [text]


def encode(text: str | bytes, opcode: int = TEXT) -> bytes:
    """One whole frame of a server."""
    data = text.encode() if isinstance(text, str) else text
    if len(data) < 126:
        length = bytes([len(data)])
    elif len(data) < 1 << 16:
        length = b"\x7e" + len(data).to_bytes(2, "big")
    else:
        length = b"\x7f" + len(data).to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + data


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


REFUSED = http("401 Unauthorized", b'{"error":{"code":"authentication_error","message":"no such key"}}')
FORBIDDEN = http("403 Forbidden", b"<html>blocked</html>")
DOWN = http("503 Service Unavailable", b"try later")


def take_frames(buffer: bytearray) -> Iterator[tuple[int, bytes, bytes]]:
    """Remove whole frames from the buffer: the opcode, the payload, and the frame as it came."""
    while len(buffer) >= 2:
        size, masked, at = buffer[1] & 0x7F, buffer[1] & 0x80, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                return
            size = int.from_bytes(buffer[2:at], "big")
        mask = bytes(buffer[at : at + 4]) if masked else b"\0\0\0\0"
        at += 4 if masked else 0
        if len(buffer) < at + size:
            return
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(buffer[at : at + size]))
        yield buffer[0] & 0x0F, payload, bytes(buffer[: at + size])
        del buffer[: at + size]


class Meddler:
    """Serves WebSocket connections by passing them on to `handle`, with whatever is set here done to them."""

    def __init__(self, handle: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        self.edit: Edit = same  # each text of the exchange
        self.hear: Callable[[Frame], bool] = lambda command: True  # each command; false: it is swallowed
        self.refusals: list[bytes] = []  # given instead of the next upgrades
        self.mute = False  # nothing of the exchange comes through, pings and pongs included
        self.dials_s: list[float] = []
        self.commands: list[Frame] = []
        self.open = 0
        self._handle = handle
        self._client: MemoryStream | None = None

    @property
    def client(self) -> MemoryStream:
        """The client's connection that was opened last."""
        assert self._client is not None
        return self._client

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.client.send_all(encode(text))

    async def serve(self, stream: trio.abc.Stream) -> None:
        assert isinstance(stream, MemoryStream)
        self.dials_s.append(trio.current_time())
        request = b""
        while b"\r\n\r\n" not in request:
            data = await stream.receive_some()
            if not data:
                return
            request += data
        if self.refusals:
            await stream.send_all(self.refusals.pop(0))
            return
        ours, theirs = stream_pair()
        self._client = stream
        self.open += 1
        try:
            await ours.send_all(request)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve_exchange, theirs)
                nursery.start_soon(self._up, stream, ours)
                await self._down(ours, stream)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1

    async def _serve_exchange(self, stream: MemoryStream) -> None:
        async with stream:
            await self._handle(stream)

    async def _up(self, client: MemoryStream, exchange: MemoryStream) -> None:
        buffer = bytearray()
        while data := await client.receive_some():
            buffer += data
            for opcode, payload, raw in take_frames(buffer):
                if opcode == TEXT:
                    command = json.loads(payload)
                    self.commands.append(command)
                    if not self.hear(command):
                        continue
                if not self.mute:
                    await exchange.send_all(raw)
        raise trio.ClosedResourceError("the client has ended")

    async def _down(self, exchange: MemoryStream, client: MemoryStream) -> None:
        buffer = bytearray()
        while b"\r\n\r\n" not in buffer:
            data = await exchange.receive_some()
            if not data:
                await client.send_all(bytes(buffer))
                return
            buffer += data
        head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
        await client.send_all(head + b"\r\n\r\n")
        if b" 101 " not in head:
            await client.send_all(rest)
            await trio.sleep_forever()  # until the client ends it
        buffer[:] = rest
        while True:
            for opcode, payload, raw in take_frames(buffer):
                if self.mute:
                    continue
                for item in self.edit(payload.decode()) if opcode == TEXT else [raw]:
                    if item is CUT:
                        client.cut()
                    if item is CUT or item is END:
                        return
                    await client.send_all(encode(item) if isinstance(item, str) else item)  # type: ignore[arg-type]
            data = await exchange.receive_some()
            if not data:
                return
            buffer += data
