"""Each fault of the emulator as the daemon's own clients meet it: an order over REST, books over a stream."""

from __future__ import annotations

import random

import pytest
import trio
from attrs import evolve
from feed_world import A, feeds
from rest_world import SPEC
from trio.testing import MockClock

from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.world import World, WorldSettings, make_world
from kalshi_daemon.errors import OperatingError, Unreachable, Withheld
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import DOLLAR
from kalshi_daemon.wire.orders import Acknowledged, Lost, Refused

START_MS = 1_792_418_400_000  # a Monday
CHEAP = evolve(SPEC, price=100, count=200, expires_s=START_MS // 1_000 + 900)


class Client:
    """An emulator, and a member's REST client on a network that meets its faults."""

    def __init__(self) -> None:
        clock = VirtualClock(START_MS)
        self.world: World = make_world(WorldSettings(), clock.now_ms, random.Random(1))
        self.faults = self.world.server.faults
        self.network = MemoryNetwork(random.Random(2), faults=self.faults)
        self.network.serve("emulator", 443, self.world.server.handle)
        key = self.world.server.join(500 * DOLLAR)
        signer = signer_from_pem(key.key_id, key.private_pem, "the key in memory")
        urls = ["https://emulator/trade-api/v2"]
        self.rest = RestClient(urls, signer, self.network, clock, lanes=2, rng=random.Random(3))
        self.account = self.world.server.exchange.accounts[key.key_id]

    async def order(self) -> object:
        """What becomes of an order, to its sender."""
        ticker = self.world.tickers[0]
        spec = evolve(CHEAP, market=ticker, exchange_index=self.world.server.exchange.market(ticker).exchange_index)
        try:
            return await self.rest.create_order("kd-test-1", spec, before_send=lambda: None)
        except OperatingError as error:
            return error


@pytest.fixture
async def client(nursery: trio.Nursery) -> Client:
    client = Client()
    await nursery.start(client.network.run)
    await nursery.start(client.world.server.run)
    return client


@pytest.mark.parametrize(
    ("text", "kind", "words", "orders"),
    [
        ("error:500:POST", Lost, "500", 0),
        ("error:502:POST", Lost, "502", 0),
        ("error:503:POST", Lost, "503", 0),
        ("error:504:POST", Lost, "504", 0),
        ("error:429:POST", Refused, "too many requests", 0),
        ("dropped:POST", Lost, "", 0),
        ("lost:POST", Lost, "", 1),
        ("masked:502:POST", Lost, "502", 1),
        ("truncated:POST", Lost, "", 1),
        ("garbled:POST", Lost, "", 1),
        ("slow:2:POST", Acknowledged, "", 1),
        ("slow:11:POST", Lost, "10 s", 1),
        ("late:11:POST", Lost, "10 s", 1),  # the exchange does it when its sender has given up
        ("reset", Lost, "", 1),
        ("reset:0", Lost, "", 1),
        ("half-open:20", Lost, "10 s", 1),
        ("stalled:2", Acknowledged, "", 1),
        ("stalled:11", Lost, "10 s", 1),
        ("pause", Refused, "trading_is_paused", 0),
        ("maintenance", Lost, "503", 0),
        ("dns", Withheld, "emulator:443 has no address (DNS: Name or service not known)", 0),
        ("tls", Withheld, "emulator:443 failed TLS: Hostname mismatch", 0),
    ],
)
async def test_an_order_meets_a_fault(
    autojump_clock: MockClock, client: Client, text: str, kind: type, words: str, orders: int
) -> None:
    """What its sender is told, and what is true: lost is lost also where it was done, and only a refusal is one."""
    async with client.rest:
        client.faults.add(parse_fault(text))
        told = await client.order()
        await trio.sleep(5)
        assert type(told) is kind, told
        assert words in str(told)
        assert len(client.account.orders) == orders
        assert client.faults.scheduled[0].bites > 0
        client.faults.clear()
        await trio.sleep(0.1)
        assert await client.rest.exchange_status()


@pytest.mark.parametrize("seconds", [-40, 40])
async def test_a_wrong_clock_is_learnt(autojump_clock: MockClock, client: Client, seconds: int) -> None:
    """The exchange's clock is off, the first signature is refused, and the date of that answer makes the next good."""
    async with client.rest:
        client.faults.add(parse_fault(f"clock:{seconds}"))
        assert await client.rest.positions() == []
        assert client.faults.scheduled[0].bites > 0


async def test_stale_reads_say_how_stale(autojump_clock: MockClock, client: Client) -> None:
    """What the exchange says about the age of its reads is true while they lag."""
    async with client.rest:
        await trio.sleep(10)
        assert START_MS + 10_000 <= await client.rest.as_of_ms() <= START_MS + 10_100
        client.faults.add(parse_fault("stale:4"))
        await trio.sleep(10)
        assert START_MS + 16_000 - 100 <= await client.rest.as_of_ms() <= START_MS + 16_100


async def test_a_read_outlives_a_storm(autojump_clock: MockClock, client: Client) -> None:
    """429 and resets in turn: a read is tried again and comes through, or says that it did not."""
    async with client.rest:
        client.faults.add(parse_fault("error:429x1"))
        client.faults.add(parse_fault("resetx1"))
        assert await client.rest.exchange_status()
        client.faults.add(parse_fault("error:503"))
        with pytest.raises(Unreachable, match="503"):
            await client.rest.exchange_status()


@pytest.mark.parametrize(
    "text",
    [
        *("upgrade:429x2", "upgrade:502x3", "upgrade:503x3", "upgrade:403x2", "upgrade:401x1"),
        *("gapx1", "gap%5", "duplicatex1", "duplicate%10", "reorderx1", "reorder%10", "overflowx1", "overflow%2"),
        *("reset%5", "half-open:200x1", "stalled:3x2", "stalled:40x1", "maintenance@0-5"),
    ],
)
async def test_feeds_meet_a_fault_and_prove_their_books_again(autojump_clock: MockClock, text: str) -> None:
    """While the market moves: the fault bites, and afterwards every book is streamed and the exchange's own."""
    async with feeds(events_per_s=5.0) as world:
        await world.until_proven()
        faults = world.server.faults
        faults.add(parse_fault(text))
        if text.startswith("upgrade"):
            world.network.cut()
        await world.until(lambda: faults.scheduled[0].bites > 0, 100)
        await trio.sleep(20)
        faults.clear()
        await world.until_proven(1_000)
        await world.until(lambda: world.differing() == [] and world.usable() == list(world.books.books), 5)
        assert A in world.usable()
