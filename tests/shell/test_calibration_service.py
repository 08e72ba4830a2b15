"""Calibration: equal is agreed, a difference that stays is held with both figures, and what moves is neither."""

from __future__ import annotations

import pytest
import trio
from account_world import ORDERS, A, B, C, account_world, begin

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountDiffers,
    AccountDoubted,
    AccountOpened,
    BalanceReading,
    BalanceReadingLearned,
    DayOpened,
    HoldPlaced,
)
from kalshi_daemon.simulation.faulty_link import LOST, NEVER_ARRIVES, UNAVAILABLE, replaced
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide


async def test_the_first_calibration_opens_the_account(autojump_clock):
    """Cash by shard as the exchange shows it, no position, agreed in one round."""
    async with account_world(opened=False) as world:
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert [fact.settled for fact in world.of(AccountOpened)] == [((0, 1_000 * DOLLAR),)]
        assert world.ledger.account_agreed
        assert world.calibration.rounds == 1
        assert world.held() == []


async def test_the_first_agreement_of_an_eastern_day_says_what_its_limits_are_shares_of(autojump_clock):
    """Journaled before the agreement, in the place of yesterday's; a later run of the same day keeps it."""
    async with account_world(opened=False) as world:
        await world.bus.settle(DayOpened(world.clock.now_ms(), "2026-10-18", 7 * DOLLAR))
        assert await world.calibration.calibrate() == "agreed"
        await world.position(A, 2)
        await begin(world, "run2")
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        days = [(fact.day, fact.bankroll) for fact in world.of(DayOpened)]
        assert days == [("2026-10-18", 7 * DOLLAR), ("2026-10-19", 1_000 * DOLLAR)]
        assert world.ledger.bankroll == 1_000 * DOLLAR > world.ledger.settled_total
        kinds = [type(fact) for fact in world.facts]
        assert kinds.index(AccountAgreed) > kinds.index(DayOpened, 2)


async def test_an_account_is_opened_when_nothing_rests(autojump_clock):
    """What the balance leaves out of an order that rests is not known: the account waits for its end, and whose it is
    is told meanwhile. Then the cash is the exchange's own, to the micro-dollar.
    """
    async with account_world(opened=False) as world:
        resting = world.elsewhere(A, BookSide.BID, 5, 20)
        assert await world.calibration.calibrate() == "incomplete"
        assert "1 orders rest" in world.calibration.detail
        await world.told()
        assert world.held() == ["foreign"]
        assert world.of(AccountOpened) == []
        world.exchange.cancel_order(world.account, resting.order_id, A)
        await trio.sleep(5)
        assert await world.calibration.calibrate() == "agreed"
        assert world.ledger.settled(0) == world.account.cash[0] == 1_000 * DOLLAR


async def test_a_start_after_a_clock_that_was_ahead_reads_from_the_exchanges_own_time(autojump_clock):
    """Agreed while our clock was an hour ahead: the next run reads fills from what the exchange said it was."""
    async with account_world(skew_ms=3_600_000) as world:
        ahead_ms = world.clock.now_ms()
        await world.told()
        agreed = world.of(AccountAgreed)[-1]
        assert agreed.at_ms >= ahead_ms - 10_000
        assert abs(world.ledger.agreed_ms - (ahead_ms - 3_600_000)) < 10_000


async def test_positions_from_before_this_journal_are_taken_over_and_held(autojump_clock):
    """They are part of the opening, at their cost; whose they are is for a person to say. Older fills change
    nothing.
    """
    async with account_world(opened=False) as world:
        world.crowd(A, BookSide.ASK, 40)
        world.elsewhere(A, BookSide.BID, 40, 3)
        await trio.sleep(5)
        assert await world.calibration.calibrate() == "agreed"
        assert world.ledger.position(A) == 3 * CONTRACT
        assert world.ledger.positions[A].cost == 120 * 10_000
        assert world.held() == ["foreign"]
        assert world.ledger.holds[0].cause == f"the position in {A} is not ours"
        await world.reader.read_orders_and_fills()
        assert world.ledger.fills_booked == 0


async def test_the_foreign_hold_names_what_is_there_now(autojump_clock):
    """An order by hand, another, and then both are filled: each audit names what a person's word would be for, and
    since when it holds stays.
    """
    async with account_world() as world:
        first = world.elsewhere(A, BookSide.BID, 40, 3)
        assert await world.calibration.calibrate() == "agreed"
        assert world.ledger.holds[0].cause == f"order {first.order_id} on {A} is not ours"
        since_ms = world.ledger.holds[0].since_ms
        await world.told()
        placed = len(world.of(HoldPlaced))
        second = world.elsewhere(B, BookSide.BID, 30, 1)
        await trio.sleep(5)
        assert await world.calibration.calibrate() == "agreed"
        both = f"order {first.order_id} on {A}, order {second.order_id} on {B} are not ours"
        assert world.ledger.holds[0].cause == both
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert len(world.of(HoldPlaced)) == placed + 1
        world.crowd(A, BookSide.ASK, 40, 3)
        world.crowd(B, BookSide.ASK, 30, 1)
        await trio.sleep(5)
        assert await world.calibration.calibrate() == "agreed"
        assert world.ledger.holds[0].cause == f"the position in {A}, the position in {B} are not ours"
        assert world.ledger.holds[0].since_ms == since_ms


@pytest.mark.parametrize("excludes_collateral", [True, False])
@pytest.mark.parametrize("lag_ms", [0, 1_000])
async def test_resting_orders_agree_under_both_readings_of_the_balance(autojump_clock, excludes_collateral, lag_ms):
    """Resting on both sides of what is held, so that some close and some open: agreed whatever the balance leaves
    out.
    """
    async with account_world(excludes_collateral=excludes_collateral, lag_ms=lag_ms) as world:
        await world.position(A, 4)
        await world.order(A, BookSide.ASK, 60, 3)
        await world.order(A, BookSide.ASK, 55, 3)  # one of these six contracts would open
        await world.order(B, BookSide.BID, 30, 5)
        await trio.sleep(2)
        assert await world.calibration.calibrate() == "agreed"
        assert world.held() == []
        shown, owned = world.exchange.balance(world.account).shown[0][1], world.account.cash[0]
        assert (shown < owned) is excludes_collateral
        assert world.exact


@pytest.mark.parametrize("lag_ms", [0, 360, 1_000])
async def test_reads_that_lag_a_fill_make_no_difference(autojump_clock, lag_ms):
    """The stream told the fill, the reads do not show it yet: unsettled, looked at again, agreed."""
    async with account_world(lag_ms=lag_ms) as world:
        await world.order(A, BookSide.BID, 40, 2)
        await trio.sleep(5)
        world.crowd(A, BookSide.ASK, 40, 2)
        await world.tell_fills()
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert world.calibration.rounds - 1 == (1 if lag_ms == 0 else 2)
        assert world.of(AccountDiffers) == []
        assert world.exact


async def test_a_deposit_behind_our_back_is_held_with_both_figures(autojump_clock):
    """Seen twice, with quiet before both; journaled, held by divergence, and nothing is corrected."""
    async with account_world() as world:
        await trio.sleep(10)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        rounds = world.calibration.rounds
        assert await world.calibration.calibrate() == "differs"
        await world.told()
        assert world.calibration.rounds - rounds == 2
        text = "cash of shard 0: we count $1,000.00, the exchange says $1,025.00"
        assert [fact.differences for fact in world.of(AccountDiffers)] == [(text,)]
        assert [(each.kind.value, each.cause) for each in world.ledger.holds] == [("divergence", text)]
        assert not world.ledger.account_agreed
        assert world.ledger.settled(0) == 1_000 * DOLLAR


async def test_a_deposit_is_found_while_orders_rest_and_come_and_go(autojump_clock):
    """No collateral explains more cash than we count, so it is judged also while orders move."""
    async with account_world(settings=ROOMY) as world:
        await world.order(A, BookSide.BID, 40, 5)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        async with trio.open_nursery() as nursery:

            async def come_and_go():
                while True:
                    order = await world.order(B, BookSide.BID, 30, 5)
                    await trio.sleep(0.3)
                    world.writer.accept(CancelOrder(order, world.record(order).order_id, B, 0, "a test"))
                    await world.written()

            nursery.start_soon(come_and_go)
            assert await world.calibration.calibrate() == "differs"
            nursery.cancel_scope.cancel()
        assert "the exchange says $1,02" in world.ledger.holds[0].cause


ROOMY = ServerSettings(limits=RateLimits(read_rate=10_000, read_capacity=10_000))


async def test_less_cash_than_orders_can_explain_is_a_difference(autojump_clock):
    """Below the collateral of all that rests: a withdrawal, held at once; within it, held after a third quiet look."""
    async with account_world() as world:
        await world.order(A, BookSide.BID, 40, 5)  # collateral of $2
        await trio.sleep(10)
        world.exchange.deposit(world.account, -DOLLAR)
        assert await world.calibration.calibrate() == "differs"  # $2 and $1 are missing, $2 can be explained
        assert world.held() == ["divergence"]
        world.exchange.deposit(world.account, 2 * DOLLAR)
        assert await world.calibration.calibrate() == "differs"  # $1 less: half of the order's collateral
        assert world.calibration.rounds == 1 + 2 + 4


@pytest.mark.parametrize(("excludes", "change"), [(False, -DOLLAR), (True, DOLLAR)])
@pytest.mark.parametrize("learnt", [True, False])
async def test_drift_is_found_while_an_order_rests(autojump_clock, excludes, change, learnt):
    """A dollar moves within the $2 of collateral: held by the next audits, by the third where the reading of the
    balance was not known yet; nothing that rests may hide it. Where it is known, what is shown is held against what is
    expected to be.
    """
    async with account_world(excludes_collateral=excludes) as world:
        await world.order(A, BookSide.BID, 40, 5)
        await trio.sleep(10)
        if learnt:
            assert await world.calibration.calibrate() == "agreed"
        world.exchange.deposit(world.account, change)
        with trio.move_on_after(45 if learnt else 105):
            await world.sync.run()
        assert world.held() == ["divergence"]
        assert not world.ledger.account_agreed
        expected = "$998.00" if excludes else "$1,000.00"
        count = expected if learnt else "$1,000.00, of which orders may hold back some"
        assert world.ledger.holds[0].cause == f"cash of shard 0: we count {count}, the exchange says $999.00"


@pytest.mark.parametrize(("excludes", "opening"), [(True, "opening whole"), (False, "nothing")])
async def test_what_the_balance_leaves_out_is_learnt_once(autojump_clock, excludes, opening):
    """From the first quiet agreement while the readings differ, journaled; what another reading would explain is then a
    difference, in a later run too.
    """
    async with account_world(excludes_collateral=excludes) as world:
        assert world.ledger.readings == tuple(BalanceReading)
        order = await world.order(A, BookSide.BID, 40, 5)
        await trio.sleep(10)
        for _ in range(2):
            assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert [" ".join(fact.readings) for fact in world.of(BalanceReadingLearned)] == [opening]
        await begin(world, "run2")
        world.exchange.deposit(world.account, 2 * DOLLAR if excludes else -2 * DOLLAR)
        assert await world.calibration.calibrate() == "differs"
        assert world.held() == ["divergence"]
        assert world.state(order) == "resting"
        replayed = Ledger()
        for _seq, fact in world.journal.verify_and_read():
            replayed.apply(fact)
        assert replayed.snapshot() == world.ledger.snapshot()


async def test_orders_that_close_tell_the_readings_apart(autojump_clock):
    """What is held covers part of what rests against it: of the two readings one is left."""
    async with account_world() as world:
        await world.position(A, 4)
        await world.order(A, BookSide.ASK, 60, 6)
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed"
        assert world.ledger.readings == (BalanceReading.OPENING,)


async def test_a_position_that_differs_is_named(autojump_clock):
    """Contracts that came from nowhere: both counts in the hold's cause."""
    async with account_world() as world:
        await world.position(A, 2)
        await trio.sleep(10)
        world.account.position(A).count += CONTRACT
        world.server._rest.reads._views.clear()
        assert await world.calibration.calibrate() == "differs"
        assert world.ledger.holds[0].cause == f"position in {A}: we count 2, the exchange says 3"


async def test_figures_that_change_each_time_end_in_a_hold_too(autojump_clock):
    """Somebody deposits between each two looks: never the same twice, and after the last round it is held."""
    async with account_world() as world:
        async with trio.open_nursery() as nursery:

            async def deposit():
                while True:
                    world.exchange.deposit(world.account, DOLLAR)
                    await trio.sleep(0.9)

            nursery.start_soon(deposit)
            await trio.sleep(10)
            rounds = world.calibration.rounds
            assert await world.calibration.calibrate() == "differs"
            nursery.cancel_scope.cancel()
        assert world.calibration.rounds - rounds == limits.CALIBRATION_ROUNDS_MAX
        assert world.held() == ["divergence"]


async def test_an_unknown_order_keeps_the_account_from_agreeing(autojump_clock):
    """Incomplete while its fate is not known, agreed when evidence has settled it."""
    async with account_world() as world:
        world.fail("POST", ORDERS, NEVER_ARRIVES)
        await world.order()
        world.mend()
        assert await world.calibration.calibrate() == "incomplete"
        assert world.calibration.detail == "order kd-run1-1 is unknown"
        await trio.sleep(60)
        assert await world.calibration.calibrate() == "agreed"


@pytest.mark.parametrize("part", ["/portfolio/orders", "/portfolio/balance", "/portfolio/fills", "user_data_timestamp"])
async def test_a_read_that_is_not_to_be_had_is_incomplete_never_empty(autojump_clock, part):
    """Whichever of the reads fails: incomplete, with its reason; nothing is folded as if it were all."""
    async with account_world() as world:
        order = await world.order()
        world.fail("GET", part, UNAVAILABLE)
        assert await world.calibration.calibrate() == "incomplete"
        assert "503" in world.calibration.detail
        assert world.state(order) == "resting"


async def test_reads_that_are_old_agree_with_nothing(autojump_clock):
    """The exchange says that its reads are ten minutes behind: equal figures prove nothing."""
    async with account_world() as world:
        old = b'{"as_of_time":"2026-10-19T13:50:00Z"}'
        world.fail("GET", "user_data_timestamp", replaced("200 OK", old))
        assert await world.calibration.calibrate() == "incomplete"
        assert "the exchange's reads are 60" in world.calibration.detail
        assert len(world.of(AccountAgreed)) == 1


async def test_fills_are_folded_while_it_reads_without_a_false_difference(autojump_clock):
    """Orders fill all the time while rounds are read: unsettled at worst, then agreed when it is quiet."""
    async with account_world(lag_ms=360, settings=ROOMY) as world:
        for market in (A, B, C):
            await world.order(market, BookSide.BID, 40, 25)
        async with trio.open_nursery() as nursery:

            async def fill():
                while True:
                    world.crowd(A, BookSide.ASK, 40, 1)
                    await trio.sleep(0.7)

            nursery.start_soon(fill)
            for _ in range(3):
                assert await world.calibration.calibrate() in {"agreed", "incomplete"}
            nursery.cancel_scope.cancel()
        await trio.sleep(6)
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert world.of(AccountDiffers) == []
        assert world.held() == []
        assert world.exact


async def test_a_start_from_the_journal_equals_what_ran(autojump_clock):
    """Killed with an order on the wire and fills missed: the replayed ledger is the same byte for byte, and the next
    run finds order, fills and cash as they are.
    """
    async with account_world() as world:
        filled = await world.order(A, BookSide.BID, 40, 2)
        world.fail("POST", ORDERS, LOST)
        lost = await world.order(B, BookSide.BID, 30, 2)
        world.mend()
        world.crowd(A, BookSide.ASK, 40, 2)
        replayed = Ledger()
        for _seq, fact in world.journal.verify_and_read():
            replayed.apply(fact)
        assert replayed.snapshot() == world.ledger.snapshot()
        await begin(world, "run2")
        assert await world.calibration.calibrate() == "agreed"
        assert (world.state(filled), world.state(lost)) == ("filled", "resting")
        assert world.held() == []
        assert world.exact


@pytest.mark.parametrize("read", ["exchange/", "fills", "positions", "balance"])
async def test_a_read_that_was_under_way_settles_no_doubt_that_came_meanwhile(autojump_clock, read):
    """Posted while any of its requests is on the wire: all figures agree, and the account is doubted still; the next
    look, whose reads are later, settles it.
    """
    async with account_world() as world:
        doubts = [AccountDoubted(world.clock.now_ms(), "the private session was lost")]

        def judge(method, target):
            if doubts and read in target:
                world.bus.post(doubts.pop())

        world.link.judge = judge
        compared = await world.calibration.compare()
        assert doubts == []
        assert (compared.differences, compared.agreed, world.ledger.account_agreed) == ((), False, False)
        assert compared.unsettled == ("the account came into doubt while it was read",)
        assert (await world.calibration.compare()).agreed
        assert world.ledger.account_agreed
        assert world.calibration.agreements == 2
        assert world.ledger.counts["overtaken_agreements"] == 1
