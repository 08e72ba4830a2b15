"""The hold watch: what is lifted by itself, by what, and what waits for a person."""

from __future__ import annotations

import trio
from account_world import A, B, account_world

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.facts import HoldKind, HoldLifted
from kalshi_daemon.shell.hold_watch import HoldWatch
from kalshi_daemon.units import BookSide, contracts


class Levels:
    def __init__(self):
        self.usable = True
        self.reachable = True
        self.asked = 0


def watch_of(world, levels):
    async def reachable():
        levels.asked += 1
        return levels.reachable

    return HoldWatch(
        world.ledger,
        world.clock,
        world.bus.settle,
        feeds_usable=lambda: levels.usable,
        agreements=lambda: world.calibration.agreements,
        reachable=reachable,
    )


async def lifted(world):
    await world.told()
    return [(fact.hold.value, fact.subject, fact.by) for fact in world.of(HoldLifted)]


PERSONS = [kind for kind in HoldKind if kind not in (HoldKind.FOREIGN, HoldKind.RECOVERY)]


async def test_what_does_not_clear_by_itself_stays(autojump_clock, nursery):
    """Ten minutes pass with all well: what a person, an audit or the exchange clears is still there."""
    async with account_world() as world:
        nursery.start_soon(watch_of(world, Levels()).run)
        for kind in PERSONS:
            await world.place_hold(kind)
        await trio.sleep(600)
        assert world.held() == [kind.value for kind in PERSONS]
        nursery.cancel_scope.cancel()


async def test_a_hold_with_a_time_ends_with_it(autojump_clock, nursery):
    """Until its time and not before; within a second after it."""
    async with account_world() as world:
        nursery.start_soon(watch_of(world, Levels()).run)
        until_ms = world.clock.now_ms() + 60_000
        await world.bus.settle(hold(HoldKind.GUARD, "a test", world.clock.now_ms(), until_ms=until_ms))
        await trio.sleep(59)
        assert world.held() == ["guard"]
        await trio.sleep(2)
        assert await lifted(world) == [("guard", "", "its time is over")]
        assert world.pokes[-1] == "holds_lifted"
        nursery.cancel_scope.cancel()


async def test_a_divergence_is_lifted_by_two_audits_that_agree(autojump_clock, nursery):
    """Audits from before the hold do not count; another divergence begins to count anew."""
    async with account_world() as world:
        assert await world.calibration.calibrate() == "agreed"
        await world.place_hold(HoldKind.DIVERGENCE, "the first")
        nursery.start_soon(watch_of(world, Levels()).run)
        await trio.sleep(2)
        assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(2)
        assert world.held() == ["divergence"]
        await world.place_hold(HoldKind.DIVERGENCE, "the second")
        await trio.sleep(2)
        assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(2)
        assert world.held() == ["divergence"]
        assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(2)
        assert await lifted(world) == [("divergence", "", "two audits agreed")]
        nursery.cancel_scope.cancel()


async def test_foreign_orders_and_positions_are_waited_for(autojump_clock, nursery):
    """An order and a position that are not ours: lifted when both are gone, and not with the first of them."""
    async with account_world() as world:
        nursery.start_soon(watch_of(world, Levels()).run)
        theirs = world.elsewhere(B, BookSide.BID, 20)
        world.crowd(A, BookSide.ASK, 40, 2)
        world.elsewhere(A, BookSide.BID, 40, 2)
        await world.reader.read_orders_and_fills()
        assert world.held() == ["foreign"]
        world.exchange.cancel_order(world.account, theirs.order_id, B)
        await world.reader.read_orders_and_fills()
        await trio.sleep(3)
        assert world.held() == ["foreign"]
        world.crowd(A, BookSide.BID, 45, 2)
        world.elsewhere(A, BookSide.ASK, 45, 2)
        await world.reader.read_orders_and_fills()
        assert contracts(world.ledger.position(A)) == "0"
        await trio.sleep(3)
        assert await lifted(world) == [("foreign", "", "what was not ours is gone")]
        assert world.exact
        nursery.cancel_scope.cancel()


async def test_recovery_is_lifted_by_thirty_seconds_of_usable_feeds(autojump_clock, nursery):
    """Any moment without feeds begins the count again, and REST has to answer in the end."""
    async with account_world() as world:
        levels = Levels()
        levels.reachable = False
        nursery.start_soon(watch_of(world, levels).run)
        await world.place_hold(HoldKind.RECOVERY)
        await trio.sleep(limits.RECOVERED_S - 2)
        levels.usable = False
        await trio.sleep(2)
        levels.usable = True
        await trio.sleep(limits.RECOVERED_S - 2)
        assert levels.asked == 0
        await trio.sleep(4)
        assert levels.asked > 0
        assert world.held() == ["recovery"]
        levels.reachable = True
        await trio.sleep(2)
        assert await lifted(world) == [("recovery", "", "REST and feeds are usable again")]
        nursery.cancel_scope.cancel()


async def test_holds_on_one_market_are_watched_apart(autojump_clock, nursery):
    """They pause nothing, so they are looked at while trading too; the account's are left to the other loop."""
    async with account_world() as world:
        watch = watch_of(world, Levels())
        now_ms = world.clock.now_ms()
        await world.bus.settle(hold(HoldKind.GUARD, "a test", now_ms, until_ms=now_ms))
        await world.bus.settle(hold(HoldKind.DIVERGENCE, "a test", now_ms, subject=A))
        nursery.start_soon(watch.run_on_markets)
        await trio.sleep(2)
        for _ in range(2):
            assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(2)
        assert await lifted(world) == [("divergence", A, "two audits agreed")]
        nursery.start_soon(watch.run)
        await trio.sleep(2)
        assert (await lifted(world))[1:] == [("guard", "", "its time is over")]
        nursery.cancel_scope.cancel()
