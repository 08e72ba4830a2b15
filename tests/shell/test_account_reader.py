"""Reading the account: complete pages or nothing, news only, and evidence that is neither too old nor too early."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, A, B, account_world, begin

from kalshi_daemon import limits
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.errors import AccessRefused, Unreachable
from kalshi_daemon.facts import FillSeen, HoldKind, HoldLifted, OrderSeen, OrderVanished
from kalshi_daemon.simulation.faulty_link import LOST, UNAVAILABLE, Fault, replaced
from kalshi_daemon.units import CONTRACT, BookSide

DENIED = replaced("403 Forbidden", b'{"error":{"code":"forbidden","message":"forbidden"}}')
ROOMY = ServerSettings(limits=RateLimits(read_rate=10_000, read_capacity=10_000, balance_rate=1_000))


async def test_missed_fills_are_booked_once_and_the_account_agrees(autojump_clock):
    """No stream told them: three fills of two orders, read twice, booked once each, exact to the micro-dollar."""
    async with account_world() as world:
        first, second = await world.order(A, BookSide.BID, 40, 3), await world.order(B, BookSide.ASK, 60, 2)
        world.crowd(A, BookSide.ASK, 40, 1)
        world.crowd(A, BookSide.ASK, 40, 1)
        world.crowd(B, BookSide.BID, 60, 5)
        for _ in range(2):
            await world.reader.read_orders_and_fills()
        await world.told()
        assert [world.state(order) for order in (first, second)] == ["partially_filled", "filled"]
        assert world.ledger.position(A) == 2 * CONTRACT
        assert world.ledger.position(B) == -2 * CONTRACT
        assert len(world.of(FillSeen)) == 3
        assert world.exact


async def test_a_fill_missed_long_before_one_that_was_told_is_found(autojump_clock):
    """A newer fill came by the stream, and the older one never did: it is read all the same."""
    async with account_world() as world:
        await world.order(A, BookSide.BID, 40, 3)
        world.crowd(A, BookSide.ASK, 40, 1)
        await trio.sleep(200)
        world.crowd(A, BookSide.ASK, 40, 1)
        newest = (await world.rest.fills(min_ms=world.clock.now_ms() - 1_000))[0]
        await world.bus.settle(newest)
        assert world.ledger.position(A) == CONTRACT
        await world.reader.read_orders_and_fills()
        assert world.ledger.position(A) == 2 * CONTRACT
        assert world.exact


async def test_what_is_known_is_not_told_again(autojump_clock):
    """Reading an account that rests adds nothing to the journal, however often."""
    async with account_world() as world:
        await world.position(A, 3)
        await world.order(B)
        await world.reader.read_orders_and_fills()
        await world.told()
        facts = world.ledger.version
        for _ in range(5):
            await trio.sleep(10)
            await world.reader.read_orders_and_fills()
        assert world.ledger.version == facts


async def test_lists_are_read_to_their_last_page(autojump_clock, monkeypatch):
    """Orders and fills over many pages: all of them, in pages of two; one page that fails is no read at all."""
    monkeypatch.setattr(limits, "READ_PAGE_SIZE", 2)
    async with account_world(settings=ROOMY) as world:
        for market in (A, B):
            for cents in (40, 39, 38):
                await world.order(market, BookSide.BID, cents, 1)
        for _ in range(3):
            world.crowd(A, BookSide.ASK, 38, 1)
        second_page = "cursor="
        world.fail("GET", second_page, UNAVAILABLE)
        with pytest.raises(Unreachable):
            await world.reader.read_orders_and_fills()
        assert world.ledger.fills_booked == 0
        world.mend()
        await world.reader.read_orders_and_fills()
        assert world.ledger.fills_booked == 3
        assert world.link.asked("GET", second_page) > 6
        assert world.exact


async def test_an_order_of_somebody_else_holds_until_it_is_gone(autojump_clock):
    """It is met by a read: foreign, hold. Made long before that and cancelled long after, it is found by its id."""
    async with account_world() as world:
        theirs = world.elsewhere(A, BookSide.BID, 20)
        await trio.sleep(600)
        await world.reader.read_orders_and_fills()
        assert world.held() == ["foreign"]
        assert world.ledger.not_ours() == [theirs.order_id]
        await trio.sleep(600)
        world.exchange.cancel_order(world.account, theirs.order_id, A)
        await world.reader.read_orders_and_fills()
        await world.told()
        assert world.ledger.not_ours() == []
        assert world.ledger.live() == []
        assert world.of(OrderVanished) == []
        assert world.held() == ["foreign"]  # lifting is the hold watch's


async def test_a_fill_of_somebody_else_makes_the_position_not_ours(autojump_clock):
    """A person trades by hand: the position is booked, and is not ours until adopted; a restart does not adopt it."""
    async with account_world() as world:
        world.crowd(A, BookSide.ASK, 40)
        world.elsewhere(A, BookSide.BID, 40, 2)
        await world.reader.read_orders_and_fills()
        assert world.held() == ["foreign"]
        assert world.ledger.not_ours() == [A]
        await begin(world, "run2")
        assert world.held() == []
        assert await world.calibration.calibrate() == "agreed"
        assert world.held() == ["foreign"]
        await world.bus.settle(HoldLifted(world.clock.now_ms(), HoldKind.FOREIGN, "", "adopt"))
        assert world.ledger.not_ours() == []
        await begin(world, "run3")
        assert await world.calibration.calibrate() == "agreed"
        assert world.held() == []
        assert world.exact


def denies_all_orders(method, target):
    path = target.partition("?")[0]
    if path.endswith("/portfolio/orders"):
        return replaced("200 OK", b'{"orders":[],"cursor":""}')
    missing = replaced("404 Not Found", b'{"error":{"code":"not_found","message":"not found"}}')
    return missing if "/portfolio/orders/" in path else None


async def test_an_order_that_the_exchange_denies_to_have_is_a_divergence(autojump_clock):
    """Acknowledged, in no page, and 404 by its id, a minute later: that cannot be, and holds."""
    async with account_world() as world:
        order = await world.order()
        await trio.sleep(61)
        world.link.judge = denies_all_orders
        await world.reader.read_orders_and_fills()
        await world.told()
        assert len(world.of(OrderVanished)) == 1
        assert world.state(order) == "unknown"
        assert world.held() == ["divergence"]


async def test_a_fresh_order_that_lists_do_not_show_yet_has_not_vanished(autojump_clock):
    """Reads lag the acknowledgement by a second: nothing is concluded, and nothing asked by id."""
    async with account_world(lag_ms=1_000) as world:
        order = await world.order()
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "resting"
        assert world.held() == []


async def test_an_unknown_order_is_not_revived_by_a_read_older_than_its_cancel(autojump_clock):
    """The cancel's answer is lost; a list as of before it says resting, and is no evidence."""
    async with account_world(lag_ms=1_000) as world:
        order = await world.order()
        await trio.sleep(2)
        world.fail("DELETE", ORDERS, LOST)
        world.sweeper.cancel("all", "a test")
        await world.written()
        assert world.state(order) == "unknown"
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "unknown"
        await trio.sleep(1.1)
        await world.reader.read_orders_and_fills()
        assert world.state(order) == "cancelled"


@pytest.mark.parametrize("halts", [True, False])
async def test_what_the_exchange_cancels_is_seen(autojump_clock, halts):
    """A halt takes orders that asked to go, an expiry the others. A read says cancelled, and nothing of why."""
    async with account_world() as world:
        order = await world.order()
        if halts:
            world.exchange.halt(A)
        else:
            await trio.sleep(901)
        await world.reader.read_orders_and_fills()
        await world.told()
        assert world.state(order) == "cancelled"
        assert world.ledger.reserved_total == 0
        assert [fact.status for fact in world.of(OrderSeen)] == ["canceled"]
        assert world.held() == []


async def test_three_refusals_of_our_access_in_a_row_hold(autojump_clock):
    """403 three times: the hold `access`. Two and a read that passes do not add up to it."""
    async with account_world() as world:
        for times in (2, 3):
            world.fail("GET", "/portfolio/orders", DENIED)
            for _ in range(times):
                assert "access" not in world.held()
                with pytest.raises(AccessRefused):
                    await world.reader.read()
            world.mend()
            if times == 2:
                await world.reader.read()
        await world.told()
        assert world.held() == ["access"]
        assert "403 forbidden" in world.ledger.holds[0].cause


async def test_a_read_that_fails_while_it_is_cancelled_leaves_no_error(autojump_clock):
    """Two things at once: the failure goes with the cancellation, so that leaving a state is not a crash."""
    async with account_world() as world:
        world.fail("GET", "/portfolio/orders", Fault(edit=lambda _answer: _leave(scope)))
        with trio.CancelScope() as scope:
            await world.reader.read()
        assert scope.cancelled_caught


def _leave(scope):
    scope.cancel()
