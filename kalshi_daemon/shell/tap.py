"""The stream under a WebSocket's library: split into the frames that are taken here and what the library reads.

Rules:
- Nothing is taken before the answer to the handshake is complete and says 101; then `wire/plain_frames.py` says what is
  ours. What the library reads by itself is put behind the frames that came before it.
- It notes when something was heard, and tells its end, which the library does not during a handshake.
- Nothing is read while `FRAME_QUEUE_MAX` frames wait: the peer is slowed. Frames that come when it is over are dropped.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.wire.plain_frames import PlainFrames

SWITCHING: Final = re.compile(rb"HTTP/1\.[01] 101")
HEAD_END: Final = b"\r\n\r\n"


class Tap(trio.abc.Stream):
    """Between the network's stream and the library."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.last_heard = trio.current_time()
        self.answer = b""  # how the answer to the handshake begins: evidence, where it is cut off
        self.on_end: Callable[[], object] | None = None  # until the handshake is over
        self.frames: deque[str | bytes] = deque()  # that nobody has received yet
        self.over = False  # no more will come
        self._changed = trio.lowlevel.ParkingLot()  # of the two above
        self._plain: PlainFrames | None = None  # from the end of the handshake on
        self._early: bytes | bytearray = b""  # what came with the end of the handshake
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """For the library: what it is not spared."""
        while True:
            await self.room()
            data = self._early or await self._heard(max_bytes)
            self._early = b""
            if self._plain is None or not data:
                return self._upgrade(data)
            texts, others = self._plain.split(data)
            if not self.over:
                self.frames.extend(texts)
                self._changed.unpark_all()
            if others:
                return others

    def put(self, frame: str | bytes) -> None:
        """One that the library has read, after which it reads all of them."""
        self.frames.append(frame)
        self._changed.unpark_all()

    def end(self) -> None:
        self.over = True
        self._changed.unpark_all()

    async def take(self) -> list[str | bytes]:
        """The oldest frames; none when it is over."""
        while not self.frames and not self.over:
            await self._changed.park()
        taken = [self.frames.popleft() for _ in range(min(limits.FRAMES_TOGETHER, len(self.frames)))]
        self._changed.unpark_all()
        return taken

    async def room(self) -> None:
        while len(self.frames) >= limits.FRAME_QUEUE_MAX and not self.over:
            await self._changed.park()

    async def _heard(self, max_bytes: int | None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise
        if data:
            self.last_heard = trio.current_time()
        else:
            self._ended()
        return data

    def _upgrade(self, data: bytes | bytearray) -> bytes | bytearray:
        """The part of `data` that is the answer to the handshake. What comes after a 101 is frames."""
        if self._plain is not None or self.on_end is None:
            return data
        before = len(self.answer)
        self.answer += data[: limits.SOCKET_ANSWER_MAX - before]
        end = self.answer.find(HEAD_END)
        if end < 0 or not SWITCHING.match(self.answer):
            return data
        self._plain = PlainFrames(limits.FRAME_MAX)
        length = end + len(HEAD_END) - before
        self._early = data[length:]
        return data[:length]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._ended()
        await self._stream.aclose()

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()
