"""The network in memory: bytes arrive in order, ends and cuts are told apart, and a seed gives the same times again."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from kalshi_daemon.errors import Unreachable
from kalshi_daemon.simulation.network import MemoryNetwork, stream_pair


async def echo(stream):
    while data := await stream.receive_some(100):
        await stream.send_all(data.upper())


@pytest.fixture
async def network(nursery):
    network = MemoryNetwork(random.Random(7))
    await nursery.start(network.run)
    return network


async def test_a_connection_reaches_its_server(autojump_clock, network):
    """What is served at host and port answers, whether TLS was asked for or not."""
    network.serve("exchange", 443, echo)
    for tls in (True, False):
        stream = await network.connect("exchange", 443, tls=tls)
        await stream.send_all(b"hello")
        assert await stream.receive_some(3) == b"HEL"
        assert await stream.receive_some() == b"LO"
        await stream.aclose()
    assert network.connects == 2


async def test_nobody_there_is_unreachable(autojump_clock, network):
    """An address that is not served, or no longer, refuses before anything is sent."""
    network.serve("exchange", 443, echo)
    network.withdraw("exchange", 443)
    for port in (443, 80):
        with pytest.raises(Unreachable, match=f"exchange:{port} refused") as refused:
            await network.connect("exchange", port, tls=True)
        assert not refused.value.maybe_done


async def test_connecting_takes_the_time_that_the_seed_says(autojump_clock, nursery):
    """Two networks of one seed take the same times; another seed takes others."""

    async def times(seed):
        network = MemoryNetwork(random.Random(seed), latency_s=(0.5, 1.5))
        await nursery.start(network.run)
        network.serve("exchange", 443, echo)
        taken = []
        for _ in range(5):
            before = trio.current_time()
            await (await network.connect("exchange", 443, tls=False)).aclose()
            taken.append(round(trio.current_time() - before, 9))
        return taken

    first = await times(1)
    assert await times(1) == first
    assert await times(2) != first
    assert all(0.5 <= taken <= 1.5 for taken in first)


async def test_a_cut_breaks_both_ends(autojump_clock, network):
    """Readers that wait are woken with an error, writers get one, and what was under way is gone."""
    seen = []

    async def serve(stream):
        try:
            await stream.receive_some()
        except trio.BrokenResourceError:
            seen.append("broken")

    network.serve("exchange", 443, serve)
    stream = await network.connect("exchange", 443, tls=False)
    idle = await network.connect("exchange", 443, tls=False)
    await trio.testing.wait_all_tasks_blocked()
    await stream._peer.send_all(b"on its way")
    assert network.cut() == 2
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await idle.send_all(b"x")
    await trio.testing.wait_all_tasks_blocked()
    assert seen == ["broken", "broken"]
    assert network.cut() == 0


async def test_an_end_is_not_a_cut(autojump_clock):
    """After the peer closes, what it sent is still read, then nothing; writing to it fails."""
    ours, theirs = stream_pair()
    await theirs.send_all(b"bye")
    assert ours.readable
    await theirs.aclose()
    assert await ours.receive_some() == b"bye"
    assert await ours.receive_some() == b""
    assert ours.readable
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"x")


async def test_a_closed_end_is_closed(autojump_clock):
    """Reading and writing on it are errors of the caller; a task that waits in it is woken with one."""
    ours, _theirs = stream_pair()
    assert not ours.readable
    async with trio.open_nursery() as nursery:

        async def wait():
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await ours.wait_send_all_might_not_block()


async def test_bytes_are_handed_over_in_the_step_that_writes(autojump_clock):
    """They are with the peer before the writer lets anybody else run, which is what a gate at the socket relies on."""
    ours, theirs = stream_pair()
    sending = ours.send_all(b"now")
    assert not theirs.readable
    sending.send(None)  # as trio does: up to where the coroutine first waits
    assert theirs.readable
    sending.close()
    assert await theirs.receive_some() == b"now"
