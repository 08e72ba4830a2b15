"""A connection of the emulator's that can be reset, stalled, or left half open: bytes in, bytes out.

Every write is an occasion. Rules: what is decided for a connection stays, also when its fault is cleared meanwhile; a
half-open connection is held, so that its peer hears nothing, until the peer lets go or the limit is over; a connection
over which the emulator is controlled is spared.
"""

from __future__ import annotations

import socket
import struct
from typing import Final, Protocol, TypeAlias, runtime_checkable

import trio

from kalshi_daemon.emulator.bounds import HALF_OPEN_MAX_S
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import HALF_OPEN, RESET, STALLED, Fault

LINGER_NOT: Final = struct.pack("ii", 1, 0)  # closing discards what is unsent and sends a reset
READ_SIZE: Final = 16 * 1024
Bytes: TypeAlias = bytes | bytearray | memoryview


@runtime_checkable
class Cuttable(Protocol):
    """A stream in memory that knows what a reset is."""

    def cut(self) -> None: ...


class FaultyStream(trio.abc.Stream):
    """Wraps the server's end of one connection."""

    def __init__(self, stream: trio.abc.Stream, faults: FaultSchedule) -> None:
        self.spared = False
        self._stream = stream
        self._faults = faults
        self._fate: Fault | None = None
        self._left = 0  # bytes until its fate
        self._silent = False  # half open
        self._broken = False  # reset

    async def send_all(self, data: Bytes) -> None:
        self._check()
        if data and not self.spared:
            data = await self._meet_faults(data)
        if self._silent:
            await trio.lowlevel.checkpoint()
        elif self._fate is None or len(data) <= self._left:
            self._left -= len(data)
            await self._stream.send_all(data)
        else:
            await self._stream.send_all(data[: self._left])
            if self._fate.kind == HALF_OPEN:
                self._silent = True
            else:
                await self.reset()
                self._check()

    async def _meet_faults(self, data: Bytes) -> Bytes:
        """Draw what becomes of this write; returns what of it is still to be sent."""
        if self._fate is None:
            self._fate = self._faults.bite(RESET) or self._faults.bite(HALF_OPEN)
            if self._fate is not None:
                after = self._fate.after_bytes
                self._left = self._faults.rng.randrange(len(data)) if after is None else after
        stalled = None if self._fate else self._faults.bite(STALLED)
        if stalled is None:
            return data
        place = self._faults.rng.randrange(len(data))
        await self._stream.send_all(data[:place])
        await trio.sleep(stalled.seconds)
        return data[place:]

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        while True:
            self._check()
            data = await self._stream.receive_some(max_bytes)
            if not data or not self._silent:
                return data

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def reset(self) -> None:
        """Break the connection, so that both ends get an error."""
        self._broken = True
        stream = self._stream
        if isinstance(stream, Cuttable):
            stream.cut()
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        await trio.aclose_forcefully(stream)

    async def aclose(self) -> None:
        try:
            if self._silent and not self._broken:
                with trio.move_on_after(HALF_OPEN_MAX_S):
                    while await self._stream.receive_some(READ_SIZE):
                        pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await self._stream.aclose()

    def _check(self) -> None:
        if self._broken:
            raise trio.BrokenResourceError("the connection was reset")
