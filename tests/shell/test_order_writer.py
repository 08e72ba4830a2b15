"""The order writer against the emulated exchange: what becomes of a request, whatever becomes of its answer."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, SPEC, A, B, account_world
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder, PlaceOrder
from kalshi_daemon.core.risk import Levels
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.errors import Overflow
from kalshi_daemon.facts import (
    CancelLost,
    CancelMissing,
    CancelRefused,
    HoldKind,
    OrderAbsent,
    OrderDuplicate,
    OrderLost,
    OrderRefused,
    OrderSent,
    OrderWithheld,
)
from kalshi_daemon.simulation.faulty_link import (
    GARBLED,
    HANGS,
    LOST,
    NEVER_ARRIVES,
    TOO_MANY,
    UNAVAILABLE,
    Fault,
    refused,
    replaced,
)
from kalshi_daemon.units import CONTRACT, BookSide


def spend_all(world):
    """Others' orders have taken the tokens of the write bucket."""
    now_s = trio.current_time()
    assert world.bucket.take(world.bucket.tokens(now_s), now_s)


def cancel_of(world, client_order_id):
    record = world.record(client_order_id)
    return CancelOrder(client_order_id, record.order_id, record.spec.market, record.spec.exchange_index, "a test")


async def test_an_order_is_intended_sent_and_acknowledged(autojump_clock):
    """The way of one order, in durable facts, and the same order at the exchange."""
    async with account_world() as world:
        order = await world.order()
        assert world.kinds()[-4:] == ["OrderIntended", "OrderGroupMade", "OrderSent", "OrderAcknowledged"]
        assert world.state(order) == "resting"
        assert [each.client_order_id for each in world.exchange.orders(world.account)] == [order]
        assert +world.writer.counts == {"accepted": 1}


@pytest.mark.parametrize("fault", [LOST, GARBLED, HANGS, UNAVAILABLE], ids=["lost", "garbled", "hangs", "503"])
async def test_an_answer_that_cannot_be_read_makes_the_order_unknown(autojump_clock, fault):
    """It took effect: unknown, never sent again, its market blocked (P3) and no other, until a read shows it."""
    async with account_world() as world:
        world.fail("POST", ORDERS, fault)
        order = await world.order()
        world.mend()
        assert world.state(order) == "unknown"
        assert len(world.of(OrderLost)) == 1
        other, blocked = await world.order(B), world.ledger.next_number
        world.propose(A, cents=41)
        await world.written()
        assert world.ledger.client_order_id(blocked) not in world.ledger.orders
        assert world.gates.last_refusal[2].code == "P3"
        assert world.state(other) == "resting"
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "resting"
        assert world.link.asked("POST", ORDERS) == 2
        assert len(world.exchange.orders(world.account)) == 2
        assert world.exact


async def test_an_unknown_order_that_was_filled_is_booked_once(autojump_clock):
    """Lost and filled before anybody asked: the next read books the fills, and the one after it nothing."""
    async with account_world() as world:
        world.fail("POST", ORDERS, LOST)
        order = await world.order(A, BookSide.BID, 40, 2)
        world.mend()
        world.crowd(A, BookSide.ASK, 40, 5)
        for _ in range(2):
            await world.reader.read_orders_and_fills()
        assert world.state(order) == "filled"
        assert world.ledger.fills_booked == 1
        assert world.ledger.position(A) == 2 * CONTRACT
        assert world.exact


@pytest.mark.parametrize("lag_ms", [0, 1_000])
async def test_an_order_that_never_arrived_is_absent_only_when_it_cannot_arrive_any_more(autojump_clock, lag_ms):
    """Complete pages prove nothing until they are as of 60 s after the request; then the market is free again."""
    async with account_world(lag_ms=lag_ms) as world:
        world.fail("POST", ORDERS, NEVER_ARRIVES)
        order = await world.order()
        asked_s = trio.current_time()
        world.mend()
        assert world.state(order) == "unknown"
        while world.state(order) == "unknown":
            await trio.sleep(0.5)
            await world.reader.read_orders_and_fills()
        await world.told()
        absent = world.of(OrderAbsent)
        assert world.state(order) == "rejected"
        assert len(absent) == 1
        assert absent[0].as_of_ms >= world.record(order).asked_ms + limits.REQUEST_LIFE_MS
        assert 60 + lag_ms / 1000 - 0.5 <= trio.current_time() - asked_s <= 62 + lag_ms / 1000
        assert world.ledger.reserved_total == 0
        assert world.state(await world.order()) == "resting"


async def test_our_clock_ahead_of_theirs_settles_nothing_early(autojump_clock):
    """With 3 s between the clocks, absence still waits for 60 s of the exchange's."""
    async with account_world(skew_ms=-3_000) as world:
        world.fail("POST", ORDERS, NEVER_ARRIVES)
        order = await world.order()
        world.mend()
        await trio.sleep(59)
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "unknown"
        await trio.sleep(4)
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "rejected"


async def test_a_duplicate_is_neither_failure_nor_success(autojump_clock):
    """409 order_already_exists: the earlier send arrived, and a read says where it stands."""
    async with account_world() as world:
        order = world.ledger.client_order_id(world.ledger.next_number)
        world.fail("POST", ORDERS, replaced("409 Conflict", b'{"error":{"code":"order_already_exists"}}'))
        world.propose()
        await world.written()
        assert len(world.of(OrderDuplicate)) == 1
        assert world.state(order) == "unknown"
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "resting"


async def test_a_refusal_is_final_and_releases_what_was_reserved(autojump_clock):
    """A post-only order that would cross: refused by a code that is final; nothing rests and nothing is reserved."""
    async with account_world() as world:
        world.crowd(A, BookSide.ASK, 40)
        order = await world.order(A, BookSide.BID, 45)
        refused = world.of(OrderRefused)
        assert [fact.code for fact in refused] == ["invalid_order"]
        assert world.state(order) == "rejected"
        assert world.ledger.reserved_total == 0


@pytest.mark.parametrize(
    "change",
    [lambda w: w.place_hold(HoldKind.OPERATOR), lambda w: paused(w)],  # noqa: PLW0108 - it stands below
    ids=["hold", "state"],
)
async def test_a_pause_between_intent_and_socket_withholds(autojump_clock, change):
    """The tokens are spent, so the order waits; what changed meanwhile is seen before a byte of it has left."""
    async with account_world() as world:
        spend_all(world)
        world.propose()
        await world.bus.drain()
        await change(world)
        await world.written()
        order = world.ledger.client_order_id(1)
        withheld = world.of(OrderWithheld)
        assert [fact.code for fact in withheld] == ["P1"]
        assert world.state(order) == "denied"
        assert world.link.asked("POST", ORDERS) == 0
        assert world.of(OrderSent) == []


async def paused(world):
    world.levels = evolve(world.levels, trader="paused.sweeping")


async def test_a_request_begun_is_not_cut_by_a_pause(autojump_clock):
    """The hold comes while the request is on the wire: it is answered, and the answer is folded."""
    async with account_world() as world:
        world.fail("POST", ORDERS, Fault(before_s=0.5, after_s=0.5))
        world.propose()
        await trio.sleep(0.2)
        assert world.state(world.ledger.client_order_id(1)) == "submitted"
        await world.place_hold(HoldKind.OPERATOR)
        world.levels = Levels("paused.holding", feeds_usable=False, breaker_allows=True)
        await world.written()
        assert world.state(world.ledger.client_order_id(1)) == "resting"


async def test_an_exchange_that_is_not_there_withholds(autojump_clock):
    """Nothing has left: denied, not unknown; and the breaker counts it like any other failure."""
    async with account_world() as world:
        world.network.withdraw("exchange", 80)
        world.network.cut()
        orders = [await world.order(market) for market in (A, B, A)]
        assert [world.state(order) for order in orders] == ["denied"] * 3
        assert [fact.code for fact in world.of(OrderWithheld)] == ["unreachable"] * 3
        assert world.breaker.state == "open"


async def test_an_open_breaker_closes_by_one_probe(autojump_clock):
    """Three lost answers open it; after its wait one order passes, and no second until that one was answered."""
    async with account_world() as world:
        world.fail("POST", ORDERS, NEVER_ARRIVES)
        for market in (A, B, "DEMOGAME-HEROWL-HER"):
            await world.order(market)
        assert world.breaker.state == "open"
        await world.order()
        assert world.gates.last_refusal[2].control == "the breaker lets it pass"
        world.mend()
        await trio.sleep(62)
        await world.reader.read_orders_and_fills()  # what never arrived is absent, so that no market is blocked
        world.fail("POST", ORDERS, Fault(before_s=1.0))
        first = world.ledger.next_number
        world.propose(A)
        world.propose(B)
        await world.written()
        states = [world.state(world.ledger.client_order_id(number)) for number in (first, first + 1)]
        assert sorted(states) == ["denied", "resting"]
        assert world.breaker.state == "closed"


async def test_cancels_go_before_orders_and_need_no_gate(autojump_clock):
    """With the tokens spent and orders waiting, a cancel is written first; a hold or a kill does not stop it."""
    async with account_world() as world:
        order = await world.order(B)
        spend_all(world)
        for cents in (30, 31, 32, 33):
            world.propose(A, cents=cents)
        await world.bus.drain()
        world.writer.accept(cancel_of(world, order))
        await world.written()
        methods = [method for method, target in world.link.requests if ORDERS in target]
        assert methods == ["POST", "DELETE", "POST", "POST", "POST", "POST"]
        await world.place_hold(HoldKind.KILL)
        world.writer.accept(cancel_of(world, world.ledger.client_order_id(2)))
        await world.written()
        assert world.state(world.ledger.client_order_id(2)) == "cancelled"


async def test_one_cancel_of_an_order_is_under_way_at_most(autojump_clock):
    """Asked for three times, sent once; asked for again after its answer, it is sent again."""
    async with account_world() as world:
        order = await world.order()
        world.fail("DELETE", ORDERS, Fault(after_s=1.0))
        command = cancel_of(world, order)
        world.writer.accept(command)
        world.writer.accept(command)
        await trio.sleep(0.5)
        world.writer.accept(command)
        await world.written()
        assert world.link.asked("DELETE", ORDERS) == 1
        assert world.writer.counts["cancels_joined"] == 2
        world.writer.accept(command)
        await world.written()
        assert world.link.asked("DELETE", ORDERS) == 2
        assert len(world.of(CancelMissing)) == 1
        assert world.state(order) == "cancelled"


@pytest.mark.parametrize(
    ("fault", "fact", "state"),
    [
        (LOST, CancelLost, "unknown"),
        (NEVER_ARRIVES, CancelLost, "unknown"),
        (replaced("404 Not Found", b'{"error":{"code":"not_found"}}'), CancelMissing, "unknown"),
        (refused("409 Conflict", b'{"error":{"code":"trading_is_paused"}}'), CancelRefused, "resting"),
        (TOO_MANY, CancelRefused, "resting"),
    ],
    ids=["lost", "never arrived", "404", "409", "429"],
)
async def test_what_a_cancel_may_meet(autojump_clock, fault, fact, state):
    """Each answer is one fact; what is not known is read, and is then what it is at the exchange."""
    async with account_world() as world:
        order = await world.order()
        world.fail("DELETE", ORDERS, fault)
        world.writer.accept(cancel_of(world, order))
        await world.written()
        world.mend()
        assert len(world.of(fact)) == 1
        assert world.state(order) == state
        await world.reader.read_orders_and_fills()
        shown = world.exchange.orders(world.account)[0].status.value
        assert world.state(order) == {"resting": "resting", "canceled": "cancelled"}[shown]


async def test_what_is_refused_meanwhile_takes_no_tokens(autojump_clock):
    """Five orders wait for tokens and a hold comes: those that no lane has taken are denied at once."""
    async with account_world() as world:
        await world.groups.of(SPEC)
        world.bucket.resize(100, 20.0, trio.current_time())
        spend_all(world)
        for market, cents in ((A, 30), (A, 31), (A, 32), (B, 33), (B, 34)):
            world.propose(market, cents=cents)
        await world.bus.drain()
        began_s = trio.current_time()
        await world.place_hold(HoldKind.OPERATOR)
        await world.written()
        assert [fact.code for fact in world.of(OrderWithheld)] == ["P1"] * 5
        assert trio.current_time() - began_s < 3.0  # three lanes wait for 35, 45 and 55 tokens


async def test_too_many_requests_empty_the_bucket(autojump_clock):
    """429 for an order is a refusal, and our own count of tokens starts from nothing: the next one waits."""
    async with account_world(settings=ServerSettings(limits=RateLimits(write_rate=10, write_capacity=10))) as world:
        await world.groups.of(SPEC)
        await trio.sleep(1)
        first, second = await world.order(A), await world.order(B)
        assert world.state(first) == "resting"
        assert world.of(OrderRefused)[0].status == 429
        assert world.state(second) == "rejected"
        assert world.bucket.refusals == 1
        began_s = trio.current_time()
        await world.order(B)
        assert trio.current_time() - began_s >= 0.5  # 10 tokens, and the quarter that is kept, at half the pace
        assert world.writer.counts["paced"] >= 1


async def test_orders_over_the_bound_are_withheld_and_cancels_over_it_overflow(autojump_clock):
    """More intents than may wait: the last is denied, and said so; the writer goes on with the others."""
    async with account_world() as world:
        order = await world.order()
        record = world.record(order)
        spend_all(world)
        world.bucket.resize(100, 8, trio.current_time())  # nothing is sent within this test
        waiting = limits.WRITER_QUEUE_MAX
        while world.writer.waiting < waiting:
            world.writer.accept(PlaceOrder(order, record.spec))
            await trio.lowlevel.checkpoint()
        before = world.ledger.next_number
        world.propose(B)
        await world.told()
        extra = world.ledger.client_order_id(before)
        assert world.state(extra) == "denied"
        assert world.of(OrderWithheld)[-1].code == "overflow"
        assert world.writer.counts["overflowed"] == 1
        with pytest.raises(Overflow, match="cancels wait"):  # noqa: PT012 - which of them is too many is not the point
            for number in range(limits.CANCEL_QUEUE_MAX + 5):
                world.writer.accept(CancelOrder(f"kd-x-{number}", "o", A, 0, "a test"))
        world.writer._placements.clear()
        world.writer._cancels._waiting.clear()


async def test_waiting_for_quiet_ends_though_more_is_accepted_meanwhile(autojump_clock):
    """A waiter that began before another command came is woken when that one is over too."""
    async with account_world() as world:
        world.fail("POST", ORDERS, Fault(after_s=1.0))
        world.propose(A)
        await trio.sleep(0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.writer.until_quiet)
            await trio.sleep(0.1)
            world.propose(B)
            await world.bus.drain()
            assert not world.writer.quiet
            with trio.fail_after(5):
                await world.writer.until_quiet()
        assert world.writer.quiet


async def test_an_order_without_tokens_is_withheld_and_never_lost(autojump_clock):
    """No tokens for longer than an order may wait: denied by P16, nothing sent; a reduction takes what was kept."""
    async with account_world() as world:
        await world.position(A, 4)
        world.crowd(A, BookSide.BID, 38, count=1)
        world.bucket.resize(100, 0.1, trio.current_time())
        assert world.bucket.take(world.bucket.tokens(trio.current_time()) - 20, trio.current_time())
        asked, lost = world.link.asked("POST", ORDERS), len(world.of(OrderLost))
        began_s = trio.current_time()
        world.propose(B, cents=30)
        await world.written()
        assert [fact.code for fact in world.of(OrderWithheld)] == ["P16"]
        assert trio.current_time() - began_s <= limits.ORDER_TOKENS_WAIT_S
        assert world.link.asked("POST", ORDERS) == asked
        assert len(world.of(OrderLost)) == lost
        world.reduce(A, cents=38)
        await world.written()
        assert world.link.asked("POST", ORDERS) == asked + 1
        assert world.ledger.reserved_total == 0


async def test_a_market_that_refuses_again_and_again_is_left_alone(autojump_clock):
    """Five refusals in a row shut that market for orders and for no cancel; the other trades; one probe opens it."""
    async with account_world() as world:
        resting = await world.order(A, cents=20)
        world.fail("POST", ORDERS, refused("400 Bad Request", b'{"error":{"code":"invalid_price"}}'))
        for cents in range(30, 30 + limits.MARKET_REFUSALS_MAX):
            await world.order(A, cents=cents)
        world.mend()
        asked, number = world.link.asked("POST", ORDERS), world.ledger.next_number
        world.propose(A, cents=40)
        await world.written()
        assert world.ledger.client_order_id(number) not in world.ledger.orders
        assert world.gates.last_refusal[2].control == "the breaker lets it pass"
        assert world.link.asked("POST", ORDERS) == asked
        assert world.state(await world.order(B)) == "resting"
        world.writer.accept(cancel_of(world, resting))
        await world.written()
        assert world.state(resting) == "cancelled"
        await trio.sleep(limits.MARKET_PROBE_WAIT_S[0])
        assert world.state(await world.order(A, cents=40)) == "resting"
        assert world.market_breakers.shut() == []
