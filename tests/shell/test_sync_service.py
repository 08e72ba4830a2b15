"""Sync: the account stays agreed by reading, at a pace, through outages, lags and refusals."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, A, B, C, account_world

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.facts import AccountAgreed, AccountDiffers, AccountDoubted, HoldKind, HoldLifted
from kalshi_daemon.simulation.faulty_link import HANGS, LOST, UNAVAILABLE, replaced
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

ROOMY = ServerSettings(
    limits=RateLimits(read_rate=10_000, read_capacity=10_000, write_rate=2_000, write_capacity=2_000)
)
AS_OF = "user_data_timestamp"  # the first request of each read
BALANCE = "/portfolio/balance"  # of each audit


async def test_orders_are_read_every_ten_seconds_and_the_whole_account_every_thirty(autojump_clock, nursery):
    """The pace of a quiet account: nothing but reads, and an agreement at each audit."""
    async with account_world() as world:
        reads, audits = world.link.asked("GET", AS_OF), world.link.asked("GET", BALANCE)
        nursery.start_soon(world.sync.run)
        await trio.sleep(300)
        assert 28 <= world.link.asked("GET", AS_OF) - reads <= 30
        assert 9 <= world.link.asked("GET", BALANCE) - audits <= 10
        await world.told()
        assert len(world.of(AccountAgreed)) - 1 == world.sync.counts["audits"]
        assert world.sync.counts["failed"] == 0
        nursery.cancel_scope.cancel()


async def test_a_missed_fill_is_found_within_the_pace(autojump_clock, nursery):
    """No stream tells it: booked once, exact, and no difference is ever seen."""
    async with account_world(lag_ms=1_000) as world:
        nursery.start_soon(world.sync.run)
        order = await world.order(A, BookSide.BID, 40, 2)
        await trio.sleep(3)
        world.crowd(A, BookSide.ASK, 40, 2)
        await trio.sleep(limits.SYNC_ORDERS_S + 3)
        assert world.state(order) == "filled"
        await trio.sleep(60)
        await world.told()
        assert world.of(AccountDiffers) == []
        assert world.exact
        nursery.cancel_scope.cancel()


async def test_what_is_wanted_is_read_at_once(autojump_clock, nursery):
    """An order is called executed before its fills are here: they are fetched within a tick, not at the next pace."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        order = await world.order(A, BookSide.BID, 40, 2)
        await trio.sleep(limits.SYNC_ORDERS_S + 2)
        world.crowd(A, BookSide.ASK, 40, 2)
        seen = await world.rest.order(world.record(order).order_id)
        await world.bus.settle(seen)
        assert world.state(order) == "unknown"
        await trio.sleep(1)
        assert world.state(order) == "filled"
        assert world.exact
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("lag_ms", [0, 360, 1_000])
@pytest.mark.parametrize("excludes_collateral", [True, False])
async def test_an_audit_while_orders_stream_makes_no_false_difference(
    autojump_clock, nursery, lag_ms, excludes_collateral
):
    """Orders come, go and fill for two minutes while audits read with a lag: never a difference, exact at the end."""
    async with account_world(lag_ms=lag_ms, excludes_collateral=excludes_collateral, settings=ROOMY) as world:
        nursery.start_soon(world.sync.run)
        async with trio.open_nursery() as trading:
            for number, market in enumerate((A, B, C)):
                trading.start_soon(stream, world, market, 0.7 + 0.31 * number)
            await trio.sleep(120)
            trading.cancel_scope.cancel()
        await world.written()
        await trio.sleep(45)
        await world.told()
        assert world.ledger.fills_booked > 50
        assert world.of(AccountDiffers) == []
        assert world.held() == []
        assert world.sync.counts["audits"] >= 4
        assert world.ledger.account_agreed
        assert world.exact
        nursery.cancel_scope.cancel()


async def stream(world, market, pause_s):
    """Buy and sell in turn, some of it filled at once, some cancelled, some left."""
    for turn in range(1_000):
        side = BookSide.BID if turn % 2 else BookSide.ASK
        await world.order(market, side, 40 if turn % 2 else 60, 3)
        if turn % 3:
            world.crowd(market, side.opposite, 40 if turn % 2 else 60, 1 + turn % 2)
            await world.tell_fills()
        if turn % 4 == 3:
            world.sweeper.cancel("all", "a test")
        await trio.sleep(pause_s)


async def test_a_real_difference_is_held_and_lifts_nothing_by_itself(autojump_clock, nursery):
    """A deposit while trading: found by the next audit, held; the same figures three rounds in a row are then looked at
    seldom; when they agree again, the account does.
    """
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        await trio.sleep(12)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        await trio.sleep(25)
        assert world.held() == ["divergence"]
        await trio.sleep(60)
        assert world.calibration.stuck
        audits = world.link.asked("GET", BALANCE)
        await trio.sleep(280)
        assert world.link.asked("GET", BALANCE) - audits <= 4
        world.exchange.deposit(world.account, -25 * DOLLAR)
        await trio.sleep(limits.DIVERGED_AUDIT_S + 10)
        assert world.ledger.account_agreed
        assert not world.calibration.stuck
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("agreed", [True, False])
async def test_two_minutes_without_a_sync_hold_and_a_full_audit_lifts(autojump_clock, nursery, agreed):
    """Whether the account was agreed before or in doubt: `sync` is held after 120 s, and lifted by an audit, no
    less.
    """
    async with account_world() as world:
        if not agreed:
            await world.bus.settle(AccountDoubted(world.clock.now_ms(), "a test"))
        nursery.start_soon(world.sync.run)
        world.network.withdraw("exchange", 80)
        world.network.cut()
        await trio.sleep(110)
        assert world.held() == []
        await trio.sleep(30)
        assert world.held() == ["sync"]
        assert "no successful sync for 12" in world.ledger.holds[0].cause
        world.network.serve("exchange", 80, world.link.handle)
        world.fail("GET", BALANCE, UNAVAILABLE)
        await trio.sleep(30)
        assert world.held() == ["sync"]  # orders and fills are to be had again, and that is not an audit
        world.mend()
        await trio.sleep(10)
        assert world.held() == []
        await world.told()
        assert world.of(HoldLifted)[-1].by == "a full audit agrees"
        nursery.cancel_scope.cancel()


async def test_an_exchange_that_never_answers_is_silence_too(autojump_clock, nursery):
    """Reads that hang until their time limit are failures: held within two minutes and one read."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        world.fail("GET", "", HANGS)
        await trio.sleep(165)
        assert world.held() == ["sync"]
        nursery.cancel_scope.cancel()


async def test_the_clock_of_silence_stands_still_while_the_exchange_is_held(autojump_clock, nursery):
    """Ten minutes of a pause that answers nothing count for nothing; afterwards 120 s are 120 s."""
    async with account_world() as world:
        await world.place_hold(HoldKind.EXCHANGE)
        nursery.start_soon(world.sync.run)
        world.fail("GET", "", UNAVAILABLE)
        await trio.sleep(600)
        assert world.held() == ["exchange"]
        await world.bus.settle(HoldLifted(world.clock.now_ms(), HoldKind.EXCHANGE, "", "a test"))
        await trio.sleep(100)
        assert world.held() == []
        await trio.sleep(40)
        assert world.held() == ["sync"]
        nursery.cancel_scope.cancel()


async def test_refused_access_is_held_and_asked_seldom(autojump_clock, nursery):
    """401 on every read: the hold `access` after three, then one try in ten seconds; lifted by a person only."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        refusal = b'{"error":{"code":"authentication_error","message":"x","details":"INCORRECT_API_KEY_SIGNATURE"}}'
        world.fail("GET", "/", replaced("401 Unauthorized", refusal))
        await trio.sleep(30)
        assert world.held() == ["access"]
        assert world.ledger.find_hold(HoldKind.ACCESS).cancels == "all"
        tries = world.link.asked("GET", AS_OF)
        await trio.sleep(60)
        assert 4 <= world.link.asked("GET", AS_OF) - tries <= 7
        world.mend()
        await trio.sleep(60)
        assert world.held() == ["access"]
        nursery.cancel_scope.cancel()


async def test_a_lost_private_session_is_made_good_by_a_full_audit(autojump_clock, nursery):
    """Doubted: no order passes until orders, fills, cash and positions were read; then the account is agreed again."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        order = await world.order(A, BookSide.BID, 40, 2)
        await trio.sleep(3)
        world.crowd(A, BookSide.ASK, 40, 2)
        await world.bus.settle(AccountDoubted(world.clock.now_ms(), "the private session was lost"))
        world.propose(B)
        await world.bus.drain()
        assert world.gates.last_refusal[2].control == "the account agreed"
        world.sync.want()
        await trio.sleep(3)
        assert world.ledger.account_agreed
        assert world.state(order) == "filled"
        assert world.state(await world.order(B)) == "resting"
        nursery.cancel_scope.cancel()


async def test_an_unknown_order_is_settled_while_trading(autojump_clock, nursery):
    """Lost after it took effect: the next read finds it, and its market trades again."""
    async with account_world() as world:
        nursery.start_soon(world.sync.run)
        world.fail("POST", ORDERS, LOST)
        order = await world.order()
        world.mend()
        await trio.sleep(limits.SYNC_ORDERS_S + 1)
        assert world.state(order) == "resting"
        assert world.state(await world.order(cents=39)) == "resting"
        nursery.cancel_scope.cancel()


async def test_settlements_are_booked_once_and_agree(autojump_clock, nursery):
    """A market pays out while nothing tells of it: found by an audit, booked once, no difference, cash exact."""
    async with account_world(lag_ms=1_000) as world:
        await world.position(A, 3)
        nursery.start_soon(world.sync.run)
        await trio.sleep(10)
        world.exchange.settle(A, "yes")
        await trio.sleep(180)
        await world.told()
        assert world.ledger.settlements_booked == 1
        assert world.ledger.position(A) == 0
        assert world.of(AccountDiffers) == []
        assert world.ledger.settled(0) == 1_000 * DOLLAR + 3 * CONTRACT * 6_000
        assert world.exact
        nursery.cancel_scope.cancel()


async def test_a_hold_on_one_market_does_not_slow_the_sync(autojump_clock, nursery):
    """Only holds on the account mean what they say here."""
    async with account_world() as world:
        await world.bus.settle(hold(HoldKind.SYNC, "a test", world.clock.now_ms(), subject=A))
        nursery.start_soon(world.sync.run)
        audits = world.link.asked("GET", BALANCE)
        await trio.sleep(65)
        assert world.link.asked("GET", BALANCE) - audits == 2
        nursery.cancel_scope.cancel()
