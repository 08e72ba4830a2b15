"""Connections that are reset, half open or stalled, byte by byte: in memory on the virtual clock, and on a socket."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from emulator_world import START_MS, now_ms
from trio.testing import MockClock

from kalshi_daemon.emulator.bounds import HALF_OPEN_MAX_S
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faulty_stream import FaultyStream
from kalshi_daemon.simulation.network import MemoryStream, stream_pair

DATA = bytes(range(100))


def schedule(*texts: str, seed: int = 1) -> FaultSchedule:
    return FaultSchedule(now_ms, random.Random(seed), map(parse_fault, texts))


def pair(*texts: str, seed: int = 1) -> tuple[MemoryStream, FaultyStream]:
    client, server = stream_pair()
    return client, FaultyStream(server, schedule(*texts, seed=seed))


async def write(stream: trio.abc.Stream, *parts: bytes) -> None:
    for part in parts:
        await stream.send_all(part)


async def read_all(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.parametrize("after", range(0, 201, 7))
async def test_a_reset_lets_so_many_bytes_out(autojump_clock: MockClock, after: int) -> None:
    """Two writes of a hundred bytes: exactly the bytes before the reset went out, and both ends get an error."""
    arrived = bytearray()

    class Ear(trio.abc.Stream):
        """What goes out, before a reset takes back what was on its way."""

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            arrived.extend(data)

        async def wait_send_all_might_not_block(self) -> None:
            raise NotImplementedError

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            raise NotImplementedError

        async def aclose(self) -> None:
            pass

    server = FaultyStream(Ear(), schedule(f"reset:{after}"))
    if after < 200:
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await write(server, DATA, DATA)
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
    else:
        await write(server, DATA, DATA)
    assert bytes(arrived) == (DATA + DATA)[:after]


async def test_both_ends_learn_of_a_reset(autojump_clock: MockClock) -> None:
    """A reader that waits is woken with an error, as by a real reset."""
    client, server = pair("reset")
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await read_all(client)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(DATA)
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")


async def test_a_reset_on_a_socket_is_one(nursery: trio.Nursery) -> None:
    """On TCP the peer's read fails with a reset, and does not end."""

    async def serve(stream: trio.SocketStream) -> None:
        server = FaultyStream(stream, schedule("reset:3"))
        assert await server.receive_some() == b"ask"
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(DATA)
        await server.aclose()

    listeners = await nursery.start(trio.serve_tcp, serve, 0)
    client = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    await client.send_all(b"ask")
    with trio.fail_after(10), pytest.raises(trio.BrokenResourceError) as broken:
        await read_all(client)
    assert isinstance(broken.value.__cause__, ConnectionResetError)
    await client.aclose()
    nursery.cancel_scope.cancel()


async def test_half_open_is_silence_both_ways(autojump_clock: MockClock) -> None:
    """Nothing arrives on either side after it and nothing is closed, until the client lets go."""
    client, server = pair("half-open:10")
    await server.send_all(DATA)
    await server.send_all(DATA)
    assert await client.receive_some() == DATA[:10]
    await client.send_all(b"still there?")
    with trio.move_on_after(1_000) as waited:
        await server.receive_some()
    assert waited.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.aclose)  # the exchange gives up, and nobody hears of it
        with trio.move_on_after(1_000) as waited:
            await client.receive_some()
        assert waited.cancelled_caught
        await client.send_all(b"anybody?")
        await client.aclose()
    assert trio.current_time() == pytest.approx(2_000)


async def test_a_half_open_connection_is_not_held_for_ever(autojump_clock: MockClock) -> None:
    """After the limit it is closed, so that a peer that forgot it holds nothing."""
    client, server = pair("half-open:0")
    await server.send_all(DATA)
    await server.aclose()
    assert trio.current_time() == pytest.approx(HALF_OPEN_MAX_S)
    assert await client.receive_some() == b""


@pytest.mark.parametrize("seed", range(5))
async def test_a_stall_holds_back_and_goes_on(autojump_clock: MockClock, seed: int) -> None:
    """From some byte on nothing comes for so long; then everything does, in order."""
    client, server = pair("stalled:7x1", seed=seed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, DATA)
        await trio.sleep(6.9)
        before = await client.receive_some() if client.readable else b""
        assert len(before) < len(DATA)
        await trio.sleep(0.1)
        assert before + await client.receive_some() == DATA
    await server.send_all(b"more")
    assert await client.receive_some() == b"more"
    assert now_ms() == START_MS + 7_000


async def test_a_fate_stays_when_its_fault_is_cleared(autojump_clock: MockClock) -> None:
    """What was decided for a connection happens to it."""
    client, stream = stream_pair()
    faults = schedule("reset:150")
    server = FaultyStream(stream, faults)
    await server.send_all(DATA)
    assert await client.receive_some() == DATA
    faults.clear()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(DATA)


async def test_a_spared_connection_meets_nothing(autojump_clock: MockClock) -> None:
    """Faults do not act on it, and it is no occasion."""
    client, stream = stream_pair()
    faults = schedule("reset", "half-open", "stalled:5")
    server = FaultyStream(stream, faults)
    server.spared = True
    await server.send_all(DATA)
    assert await client.receive_some() == DATA
    assert [each.bites for each in faults.scheduled] == [0, 0, 0]
