"""The REST client against the emulator itself: every read decodes, and an order goes all the way there and back."""

from __future__ import annotations

import random

import pytest

from kalshi_daemon.emulator.world import WorldSettings, make_world
from kalshi_daemon.errors import AccessRefused
from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import DOLLAR, PRICE_ONE, BookSide, TimeInForce
from kalshi_daemon.wire import orders as answers

START_MS = 1_781_159_348_379
CASH = 500 * DOLLAR


class Stage:
    """One emulator with its invented markets, and a member's client."""

    def __init__(self, *, kind="ed25519", skew_ms=0):
        self.clock = VirtualClock(START_MS + skew_ms)
        self.world = make_world(WorldSettings(), VirtualClock(START_MS).now_ms, random.Random(1))
        self.network = MemoryNetwork(random.Random(2))
        self.network.serve("emulator", 80, self.world.server.handle)
        self.key = self.world.server.join(CASH, kind=kind)
        self.client = self.client_of(self.key.key_id)

    def client_of(self, key_id):
        signer = signer_from_pem(key_id, self.key.private_pem, "the key in memory")
        urls = ["http://emulator/trade-api/v2"]
        return RestClient(urls, signer, self.network, self.clock, lanes=2, rng=random.Random(3))

    def order(self, market, **change):
        spec = {
            "market": market.market,
            "side": BookSide.BID,
            "price": market.price_ranges[0].step,
            "count": 200,
            "time_in_force": TimeInForce.GOOD_TILL_CANCELED,
            "post_only": True,
            "reduce_only": False,
            "expires_s": self.clock.exchange_now_ms() // 1_000 + 900,
            "exchange_index": market.exchange_index,
        }
        return OrderSpec(**(spec | change))


@pytest.fixture
async def stage(nursery):
    stage = Stage()
    await nursery.start(stage.network.run)
    async with stage.client:
        yield stage


def allow():
    pass


async def test_every_read_decodes(autojump_clock, stage):
    """What the emulator answers, after the exchange's specification, is what the client requires."""
    client, tickers = stage.client, list(stage.world.tickers)
    status = await client.exchange_status()
    assert status.exchange_active
    assert status.trading_active
    assert (await client.account_limits()).write.refill > 0
    assert await client.as_of_ms() >= START_MS - 60_000
    markets = await client.markets(tickers)
    assert sorted(market.market for market in markets) == sorted(tickers)
    assert await client.market(tickers[0]) == next(market for market in markets if market.market == tickers[0])
    books = await client.orderbooks(tickers)
    assert sorted(books) == sorted(tickers)
    assert all(0 < price < PRICE_ONE and count > 0 for book in books.values() for price, count in book.yes + book.no)
    for series in {market.series for market in markets}:
        assert (await client.series_fees(series)).series == series
    balance = await client.balance()
    assert balance.total == sum(cash for _shard, cash in balance.by_shard) == CASH
    assert await client.positions() == []
    assert await client.orders() == []
    assert await client.fills(min_ms=0) == []
    assert await client.settlements(min_ms=0) == []


async def test_an_order_there_and_back(autojump_clock, stage):
    """Created, refused as a duplicate, read, cancelled, and not found any more."""
    client = stage.client
    market = await client.market(stage.world.tickers[0])
    spec = stage.order(market)
    created = await client.create_order("kd-test-1", spec, before_send=allow)
    assert isinstance(created, answers.Acknowledged)
    assert (created.filled, created.remaining) == (0, spec.count)
    assert await client.create_order("kd-test-1", spec, before_send=allow) == answers.Duplicate()
    seen = next(order for order in await client.orders() if order.order_id == created.order_id)
    assert (seen.client_order_id, seen.market, seen.side) == ("kd-test-1", spec.market, spec.side)
    assert (seen.price, seen.remaining, seen.initial) == (spec.price, spec.count, spec.count)
    assert (seen.expires_s, seen.exchange_index) == (spec.expires_s, spec.exchange_index)
    where = (spec.market, spec.exchange_index)
    cancelled = await client.cancels.one(created.order_id, *where, before_send=allow)
    assert isinstance(cancelled, answers.CancelAccepted)
    assert cancelled.reduced_by == spec.count
    assert isinstance(await client.cancels.one(created.order_id, *where, before_send=allow), answers.CancelNotFound)


async def test_an_execution_is_read_as_a_fill(autojump_clock, stage):
    """A taker's fill carries price, count and a fee, and the position follows."""
    client = stage.client
    markets = await client.markets(list(stage.world.tickers))
    books = await client.orderbooks([market.market for market in markets])
    market = next(market for market in markets if books[market.market].no)
    ask = PRICE_ONE - books[market.market].no[-1][0]
    taking = {"time_in_force": TimeInForce.IMMEDIATE_OR_CANCEL, "post_only": False, "expires_s": None, "count": 100}
    created = await client.create_order("kd-test-2", stage.order(market, price=ask, **taking), before_send=allow)
    assert isinstance(created, answers.Acknowledged)
    assert created.filled == 100
    for _ in range(60):  # reads lag writes
        fills = await client.fills(min_ms=0)
        positions = await client.positions()
        if fills and positions:
            break
    assert [(fill.order_id, fill.price, fill.count, fill.is_taker) for fill in fills] == [
        (created.order_id, ask, 100, True)
    ]
    assert fills[0].fee > 0
    assert [(position.market, position.count) for position in positions] == [(market.market, 100)]


async def test_refusals_of_the_emulator(autojump_clock, stage):
    """Too dear and off the grid are refused by name; nothing of it is lost."""
    market = await stage.client.market(stage.world.tickers[0])
    dear = await stage.client.create_order(
        "kd-test-3", stage.order(market, price=5_000, count=10_000_000, post_only=False), before_send=allow
    )
    assert isinstance(dear, answers.Refused)
    assert (dear.status, dear.code) == (400, "insufficient_balance")
    off = await stage.client.create_order(
        "kd-test-4", stage.order(market, price=market.price_ranges[0].step + 1), before_send=allow
    )
    assert isinstance(off, answers.Refused)
    assert off.code == "invalid_price"


@pytest.mark.parametrize("skew_ms", [-60_000, 60_000])
async def test_a_clock_that_is_off_is_set_by_the_first_refusal(autojump_clock, nursery, skew_ms):
    """A minute either way: one refusal, then every signature is current."""
    stage = Stage(skew_ms=skew_ms, kind="rsa")
    await nursery.start(stage.network.run)
    async with stage.client as client:
        assert (await client.balance()).total == CASH
        assert (await client.orders()) == []
    assert client.counts["balance", "clock_refused"] == 1
    assert ("orders", "clock_refused") not in client.counts
    assert abs(stage.clock.offset_ms + skew_ms) <= 1_000


async def test_a_key_that_the_exchange_does_not_know(autojump_clock, stage):
    """It is access refused, once, not a reason to try again."""
    async with stage.client_of("00000000-0000-0000-0000-000000000000") as client:
        with pytest.raises(AccessRefused):
            await client.balance()
        assert dict(client.counts) == {("balance", "access_refused"): 1}
