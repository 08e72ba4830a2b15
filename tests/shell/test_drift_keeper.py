"""Drift: journaled with its cause, corrected where it explains itself, and by a person's word for what was held."""

from __future__ import annotations

import pytest
import trio
from account_world import A, B, World, account_world, begin

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import CommandRefused
from kalshi_daemon.facts import CashCorrected, DriftSeen, FeesRestated, PositionCorrected
from kalshi_daemon.shell.calibration_service import CalibrationService
from kalshi_daemon.simulation.faulty_link import refused
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, BookSide, Ticker


def forget_reads(world: World) -> None:
    """What was changed in the exchange's books by hand is shown by the next read."""
    world.server._rest.reads._views.clear()


def replayed_equal(world: World) -> bool:
    replayed = Ledger()
    for _seq, fact in world.journal.verify_and_read():
        replayed.apply(fact)
    return replayed.snapshot() == world.ledger.snapshot()


def restart(world: World) -> None:
    """Another process calibrates, which has seen nothing."""
    ledger, settle = world.ledger, world.bus.settle
    world.calibration = CalibrationService(world.reader, ledger, world.clock, settle, lambda: (0, ()), lambda *_: None)


async def sell(world: World, market: Ticker, count: int) -> None:
    """Close what is held, by an order of ours."""
    await world.order(market, BookSide.ASK, 45, count)
    world.crowd(market, BookSide.BID, 45, count)
    await trio.sleep(1.5)  # reads lag
    await world.reader.read_orders_and_fills()
    assert world.ledger.position(market) == 0


async def test_a_deposit_is_held_until_a_person_accepts_it(autojump_clock):
    """One drift with its cause however often it is held; then the exchange's cash, to the micro-dollar."""
    async with account_world() as world:
        await trio.sleep(10)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        for _ in range(3):
            assert await world.calibration.calibrate() == "differs"
        said = await world.calibration.accept("accepted by uid 7: my own")
        text = "cash of shard 0: we count $1,000.00, the exchange says $1,025.00"
        assert said == f"the exchange's figures are taken ({text}); two audits that agree lift the hold"
        await world.told()
        drifts = [(fact.what, fact.subject, fact.ours, fact.theirs, fact.cause) for fact in world.of(DriftSeen)]
        assert drifts == [("cash", "0", 1_000 * DOLLAR, 1_025 * DOLLAR, "deposit")]
        assert [fact.change for fact in world.of(CashCorrected)] == [25 * DOLLAR]
        assert not world.calibration.stuck
        assert await world.calibration.calibrate() == "agreed"
        assert world.exact
        assert replayed_equal(world)
        assert (await world.calibration.accept("again")).startswith("nothing differs now")


async def test_figures_that_moved_since_are_not_accepted(autojump_clock):
    """A second deposit nobody has seen: refused with what differs now, and nothing is corrected."""
    async with account_world() as world:
        await trio.sleep(10)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        assert await world.calibration.calibrate() == "differs"
        world.exchange.deposit(world.account, DOLLAR)
        with pytest.raises(CommandRefused, match=r"was not held before .*\$1,026.00"):
            await world.calibration.accept("accepted")
        await world.told()
        assert world.of(CashCorrected) == []
        assert await world.calibration.calibrate() == "differs"
        await world.calibration.accept("accepted")
        assert world.ledger.settled(0) == 1_026 * DOLLAR


async def test_nothing_is_accepted_while_the_difference_is_not_exact(autojump_clock):
    """An order rests and the reading of the balance is not known: how much is missing is not either."""
    async with account_world() as world:
        await world.order(A, BookSide.BID, 40, 5)
        await trio.sleep(10)
        world.exchange.deposit(world.account, 25 * DOLLAR)
        assert await world.calibration.calibrate() == "differs"
        with pytest.raises(CommandRefused, match="is not known while orders rest"):
            await world.calibration.accept("accepted")


async def test_a_transfer_between_shards_is_corrected_without_a_hold(autojump_clock):
    """Out of one and into the other, and nothing else: two corrections that add to nothing, and the account agrees."""
    async with account_world(opened=False) as world:
        world.account.cash[1] = 100 * DOLLAR
        assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(10)
        world.exchange.deposit(world.account, -7 * DOLLAR, 0)
        world.exchange.deposit(world.account, 7 * DOLLAR, 1)
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert world.held() == []
        assert [fact.cause for fact in world.of(DriftSeen)] == ["transfer", "transfer"]
        assert [(fact.exchange_index, fact.change) for fact in world.of(CashCorrected)] == [
            (0, -7 * DOLLAR),
            (1, 7 * DOLLAR),
        ]
        assert (world.ledger.settled(0), world.ledger.settled(1)) == (993 * DOLLAR, 107 * DOLLAR)
        assert replayed_equal(world)


async def test_a_transfer_with_a_cent_missing_is_held(autojump_clock):
    """What does not add up to nothing is no transfer."""
    async with account_world(opened=False) as world:
        world.account.cash[1] = 100 * DOLLAR
        assert await world.calibration.calibrate() == "agreed"
        await trio.sleep(10)
        world.exchange.deposit(world.account, -7 * DOLLAR, 0)
        world.exchange.deposit(world.account, 7 * DOLLAR - 10_000, 1)
        assert await world.calibration.calibrate() == "differs"
        await world.told()
        assert [fact.cause for fact in world.of(DriftSeen)] == ["deposit", "deposit"]
        assert world.of(CashCorrected) == []


async def test_a_position_is_taken_over_at_the_exchanges_cost(autojump_clock):
    """A contract that came from nowhere, accepted with its cost; a run that begins between finds it as it is."""
    async with account_world() as world:
        await world.position(A, 2)
        await trio.sleep(10)
        theirs = world.account.position(A)
        theirs.count += CONTRACT
        theirs.cost += 410_000
        forget_reads(world)
        assert await world.calibration.calibrate() == "differs"
        await world.calibration.accept("accepted")
        await world.told()
        assert [fact.cause for fact in world.of(DriftSeen)] == ["missed_fill"]
        assert [(fact.change, fact.cost_change) for fact in world.of(PositionCorrected)] == [(CONTRACT, 410_000)]
        assert world.ledger.positions[A].cost == theirs.cost
        await begin(world, "run2")
        assert await world.calibration.calibrate() == "agreed"
        assert replayed_equal(world)


async def test_a_run_that_ends_between_two_corrections_leaves_the_rest_to_be_accepted(autojump_clock):
    """Cash was corrected and the position was not: the next run holds for what is left."""
    async with account_world() as world:
        await world.position(A, 2)
        await trio.sleep(10)
        world.exchange.deposit(world.account, DOLLAR)
        world.account.position(A).count -= CONTRACT
        world.account.position(A).cost -= 400_000
        forget_reads(world)
        assert await world.calibration.calibrate() == "differs"
        await world.bus.settle(CashCorrected(world.clock.now_ms(), 0, DOLLAR, "accepted"))
        await begin(world, "run2")
        assert await world.calibration.calibrate() == "differs"
        assert world.ledger.holds[0].cause == f"position in {A}: we count 2, the exchange says 1"
        await world.calibration.accept("accepted")
        assert await world.calibration.calibrate() == "agreed"
        assert replayed_equal(world)


async def test_an_account_that_cannot_be_read_is_not_accepted(autojump_clock):
    """Without figures there is nothing to take."""
    async with account_world() as world:
        await trio.sleep(10)
        world.exchange.deposit(world.account, DOLLAR)
        assert await world.calibration.calibrate() == "differs"
        world.link.judge = lambda _method, _target: refused("503 Service Unavailable", b"{}")
        with pytest.raises(CommandRefused, match="cannot be read now"):
            await world.calibration.accept("accepted")


async def test_figures_that_the_exchange_restates_are_told_once_and_hold_nothing(autojump_clock):
    """Fees and profit of a position, with both values; cash and count agree, so that trading goes on."""
    async with account_world() as world:
        await world.position(A, 2)
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed"
        theirs, ours = world.account.position(A), world.ledger.positions[A]
        theirs.fees += 5 * CENT
        theirs.realised -= 7 * CENT
        for _ in range(2):
            forget_reads(world)
            assert await world.calibration.calibrate() == "agreed"
        await world.told()
        drifts = [(fact.what, fact.subject, fact.ours, fact.theirs, fact.cause) for fact in world.of(DriftSeen)]
        assert drifts == [
            ("realised", A, 0, -7 * CENT, "restated"),
            ("fees", A, ours.fees, ours.fees + 5 * CENT, "restated"),
        ]
        assert world.alarms == ["figures", "figures"]
        assert world.calibration.counts == {"differing_cost": 0, "differing_realised": 1, "differing_fees": 1}
        assert world.held() == []


@pytest.mark.parametrize("dead", [True, False])
async def test_figures_that_differ_since_the_opening_are_told_by_a_process_that_begins(autojump_clock, dead):
    """Profit and fees from before the journal are none; what was restated while nobody looked, before the first look of
    the next process, is told by it.
    """
    async with account_world(opened=False) as world:
        world.crowd(A, BookSide.ASK, 40, 2)
        world.elsewhere(A, BookSide.BID, 40, 2)
        world.crowd(A, BookSide.BID, 45, 2)
        world.elsewhere(A, BookSide.ASK, 45, 2)
        assert world.account.position(A).realised == 10 * CENT
        assert await world.calibration.calibrate() == "agreed"
        await world.position(A, 2)
        await trio.sleep(10)
        assert (await world.calibration.compare()).restated == ()
        if dead:
            restart(world)
        world.account.position(A).fees += 5 * CENT
        forget_reads(world)
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert [(fact.what, fact.theirs - fact.ours) for fact in world.of(DriftSeen)] == [("fees", 5 * CENT)]
        restart(world)
        assert await world.calibration.calibrate() == "agreed"
        assert len(world.of(DriftSeen)) == 1


@pytest.mark.parametrize("change", [3_000, 7 * CENT, -7 * CENT])
@pytest.mark.parametrize("closed", [True, False])
async def test_a_fee_that_the_exchange_restates_is_corrected(autojump_clock, change, closed):
    """Less than a cent or more, dearer or cheaper, also of what is closed by then: the cash that differs is what the
    exchange's own fees of the positions do. Journaled with its cause; nothing is held, and nothing is told again.
    """
    async with account_world() as world:
        await world.position(A, 2)
        await world.position(B, 3)
        if closed:
            await sell(world, B, 3)
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed"
        world.account.cash[0] -= 3 * change
        world.account.position(A).fees += change
        world.account.position(B).fees += 2 * change
        forget_reads(world)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        await world.told()
        told = [(fact.market, fact.exchange_index, fact.change) for fact in world.of(FeesRestated)]
        assert sorted(told) == [(A, 0, change), (B, 0, 2 * change)]
        cash = [(fact.theirs - fact.ours, fact.cause) for fact in world.of(DriftSeen) if fact.what == "cash"]
        assert cash == [(-3 * change, "restated_fee")]
        assert (world.held(), world.of(CashCorrected)) == ([], [])
        assert world.exact
        count, alarms = len(world.of(DriftSeen)), len(world.alarms)
        for _ in range(2):
            assert await world.calibration.calibrate() == "agreed"
            restart(world)
        await world.told()
        assert (len(world.of(DriftSeen)), len(world.alarms)) == (count, alarms)
        assert replayed_equal(world)


@pytest.mark.parametrize(("paid", "charged"), [(7, 6), (7, 0), (7, -7)])
async def test_cash_that_fees_do_not_explain_to_the_micro_dollar_is_held(autojump_clock, paid, charged):
    """A fee that was restated, and something else; or nothing but something else."""
    async with account_world() as world:
        await world.position(A, 2)
        await trio.sleep(10)
        world.account.cash[0] -= paid * CENT
        world.account.position(A).fees += charged * CENT
        forget_reads(world)
        assert await world.calibration.calibrate() == "differs"
        await world.told()
        assert world.held() == ["divergence"]
        assert world.of(FeesRestated) == []


async def busy(world: World, minutes: int) -> None:
    """Fills every three seconds, told by the stream, and an audit every half minute."""
    async with trio.open_nursery() as nursery:

        async def trade():
            while True:
                await world.order(A, BookSide.BID, 40, 1)
                world.crowd(A, BookSide.ASK, 40, 1)
                await world.tell_fills()
                await trio.sleep(3)

        nursery.start_soon(trade)
        nursery.start_soon(world.sync.run)
        await trio.sleep(60 * minutes)
        nursery.cancel_scope.cancel()


async def test_drift_is_found_while_fills_come_every_few_seconds(autojump_clock):
    """Contracts that nobody told, in a market that never rests; the same account without them is never held."""
    async with account_world(lag_ms=360) as world:
        await busy(world, 2)
        await world.told()
        assert (world.held(), world.of(DriftSeen)) == ([], [])
        world.account.position(A).count += 5 * CONTRACT
        await busy(world, 4)
        assert world.held() == ["divergence"]
        assert {(fact.what, fact.theirs - fact.ours) for fact in world.of(DriftSeen)} == {("position", 5 * CONTRACT)}
