"""A network without sockets: servers are coroutines, connections are pairs of streams in memory.

Rules: everything is drawn from one seeded generator and timed by trio's clock, so a run on a virtual clock can be run
again. Writing hands the bytes over in the same step. Only connecting takes time; what a slow or broken exchange does is
the emulator's schedule of faults.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import CERTIFICATE_WRONG, NAME_LOST
from kalshi_daemon.errors import Unreachable

COMPLAINTS: Final = {  # as OpenSSL words them
    "name": "Hostname mismatch, certificate is not valid for '{}'.",
    "expired": "certificate has expired",
}
Handle: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]


class MemoryStream(trio.abc.Stream):
    """One end of a connection. What the peer sends waits in `_inbox`, which the peer's writes fill."""

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._news = trio.Event()
        self._closed = False  # by this end
        self._ended = False  # by the peer: nothing follows what is in the inbox
        self._broken = False  # cut: nothing can be read or written any more
        self._peer: MemoryStream

    @property
    def readable(self) -> bool:
        """Whether reading would return at once, if only with the end."""
        return bool(self._inbox) or self._ended or self._broken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check()
        if self._ended:
            raise trio.BrokenResourceError("the other end has closed")
        self._peer._inbox += data  # noqa: SLF001 - the other end is of the same class
        self._peer._tell()  # noqa: SLF001
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self.readable and not self._closed:
            self._news = trio.Event()
            await self._news.wait()
        self._check()
        size = len(self._inbox) if max_bytes is None else max_bytes
        data = bytes(self._inbox[:size])
        del self._inbox[:size]
        return data

    async def aclose(self) -> None:
        self._closed = True
        self._tell()
        self._peer._ended = True  # noqa: SLF001
        self._peer._tell()  # noqa: SLF001
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Break both ends, as a reset does: what was on its way is gone."""
        for end in (self, self._peer):
            end._broken = True  # noqa: SLF001
            end._tell()  # noqa: SLF001

    @property
    def open(self) -> bool:
        return not (self._closed or self._broken)

    def _tell(self) -> None:
        self._news.set()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end is closed")
        if self._broken:
            raise trio.BrokenResourceError("the connection was cut")


def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    one, other = MemoryStream(), MemoryStream()
    one._peer, other._peer = other, one  # noqa: SLF001
    return one, other


class MemoryNetwork:
    """Implements `shell.network.Network`. `run` must be running for connections to be served; TLS is taken as given.

    `faults`: connections meet those that are the network's, in the words of the real one.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        latency_s: tuple[float, float] = (0.001, 0.020),
        faults: FaultSchedule | None = None,
    ) -> None:
        self.connects = 0
        self._faults = faults
        self._rng = rng
        self._latency_s = latency_s
        self._servers: dict[tuple[str, int], Handle] = {}
        self._streams: list[MemoryStream] = []  # the clients' ends of the connections that are open
        self._arrivals, self._waiting = trio.open_memory_channel[tuple[Handle, MemoryStream]](1_000)

    def serve(self, host: str, port: int, handle: Handle) -> None:
        """From now on connections to host:port are handled by `handle`; again: by the new one."""
        self._servers[host, port] = handle

    def withdraw(self, host: str, port: int) -> None:
        """From now on connections to host:port are refused; those that exist stay."""
        del self._servers[host, port]

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        await trio.sleep(self._rng.uniform(*self._latency_s))
        if self._faults is not None and self._faults.bite(NAME_LOST):
            raise Unreachable(f"{host}:{port} has no address (DNS: Name or service not known)", maybe_done=False)
        wrong = self._faults.bite(CERTIFICATE_WRONG) if tls and self._faults is not None else None
        if wrong is not None:
            raise Unreachable(f"{host}:{port} failed TLS: {COMPLAINTS[wrong.why].format(host)}", maybe_done=False)
        handle = self._servers.get((host, port))
        if handle is None:
            raise Unreachable(f"{host}:{port} refused the connection", maybe_done=False)
        client, server = stream_pair()
        self.connects += 1
        self._streams = [stream for stream in self._streams if stream.open] + [client]
        self._arrivals.send_nowait((handle, server))
        return client

    def cut(self) -> int:
        """Break every connection, and say how many there were."""
        cut = [stream for stream in self._streams if stream.open]
        for stream in cut:
            stream.cut()
        self._streams = []
        return len(cut)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. A handler that crashes takes the network, and so the run, with it."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for handle, stream in self._waiting:
                nursery.start_soon(_handled, handle, stream)


async def _handled(handle: Handle, stream: MemoryStream) -> None:
    async with stream:
        await handle(stream)
