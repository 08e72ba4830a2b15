"""A market that is paid otherwise afterwards: corrected where list and cash prove each other, and held elsewhere."""

from __future__ import annotations

import pytest
import trio
from account_world import A, B, World, account_world, begin
from attrs import evolve

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import CashCorrected, DriftSeen, SettlementRestated
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE, SECOND_MS, Money, Price, Ticker

WORDS = {0: "no", PRICE_ONE: "yes"}


async def paid(world: World, *markets: Ticker) -> None:
    """They settle as yes, and the account agrees on it."""
    for market in markets:
        world.exchange.settle(market, "yes")
    await trio.sleep(world.exchange.market(A).settlement_timer_ms / SECOND_MS + 10)
    assert await world.calibration.calibrate() == "agreed", world.calibration.detail


def restate(world: World, market: Ticker, value: Price, *, cash: Money | None = None, later_ms: int = 0) -> Money:
    """The exchange pays by another worth, and lists it so; by how much the cash has changed, unless it is `cash`."""
    settlements = world.account.settlements
    ((place, before),) = [(place, each) for place, each in enumerate(settlements) if each.market == market]
    revenue = before.yes_count * value + before.no_count * (PRICE_ONE - value)
    change = revenue - before.revenue
    word = WORDS.get(value, "scalar")
    settlements[place] = evolve(before, value=value, revenue=revenue, result=word, ts_ms=before.ts_ms + later_ms)
    world.account.cash[before.exchange_index] += change if cash is None else cash
    world.account.position(market).realised += change
    world.server._rest.reads._views.clear()
    return change


def replayed_equal(world: World) -> bool:
    replayed = Ledger()
    for _seq, fact in world.journal.verify_and_read():
        replayed.apply(fact)
    return replayed.snapshot() == world.ledger.snapshot()


@pytest.mark.parametrize("value", [0, 37 * PRICE_CENT])
@pytest.mark.parametrize("count", [3, -3])
@pytest.mark.parametrize("later_ms", [0, 60_000])
async def test_a_payout_that_is_restated_is_corrected(autojump_clock, value, count, later_ms):
    """To nothing or to a scalar, for either side, under its old time or a new one: cash, profit and session are the
    exchange's; journaled with its cause and told, nothing is held, and it is not done twice.
    """
    async with account_world() as world:
        await world.position(A, count)
        await paid(world, A)
        change = restate(world, A, value, later_ms=later_ms)
        await trio.sleep(120)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        await world.told()
        (fact,) = world.of(SettlementRestated)
        assert (fact.settlement.market, fact.settlement.value) == (A, value)
        assert [(each.theirs - each.ours, each.cause) for each in world.of(DriftSeen)] == [
            (change, "restated_settlement")
        ]
        assert (world.held(), world.of(CashCorrected), world.alarms) == ([], [], ["settlement"])
        assert world.exact
        assert world.ledger.session.cash_now == world.ledger.settled_total
        await begin(world, "run2")
        assert await world.calibration.calibrate() == "agreed"
        assert len(world.of(SettlementRestated)) == 1
        assert replayed_equal(world)


async def test_two_markets_of_a_shard_are_restated_together(autojump_clock):
    """What differs is what both come to; and one that is restated back is corrected again."""
    async with account_world() as world:
        await world.position(A, 3)
        await world.position(B, -2)
        await paid(world, A, B)
        restate(world, A, 0)
        restate(world, B, 0)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        restate(world, A, PRICE_ONE)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        await world.told()
        told = sorted((fact.settlement.market, fact.settlement.revenue) for fact in world.of(SettlementRestated))
        assert told == [(A, 0), (A, 3 * DOLLAR), (B, 2 * DOLLAR)]
        assert world.exact


async def test_a_scalar_that_is_restated_is_booked_below_the_cent(autojump_clock):
    """The list says whole cents; the market says what it is worth."""
    async with account_world() as world:
        await world.position(A, 3)
        await paid(world, A)
        state = world.exchange._venue.states[A]
        scalar = evolve(state.market, result="scalar", settlement_value=4_321)
        world.exchange._venue.change_market(state, scalar, "determined")
        restate(world, A, 4_321)
        assert await world.calibration.calibrate() == "agreed", world.calibration.detail
        assert world.exact


@pytest.mark.parametrize("cash", [0, -DOLLAR, -3 * DOLLAR + CENT])
async def test_a_payout_that_the_cash_does_not_follow_is_not_booked(autojump_clock, cash):
    """Where the cash is as before, the list is not believed; where it differs by something else, it is held."""
    async with account_world() as world:
        await world.position(A, 3)
        await paid(world, A)
        assert restate(world, A, 0, cash=cash) == -3 * DOLLAR
        assert await world.calibration.calibrate() == ("differs" if cash else "agreed")
        await world.told()
        assert world.of(SettlementRestated) == []
        assert world.held() == (["divergence"] if cash else [])


async def test_a_payout_for_other_contracts_or_another_worth_is_no_evidence(autojump_clock):
    """A row that contradicts what was held, or itself, explains nothing, though the cash is less by as much."""
    for wrong in ({"yes_count": 2 * CONTRACT}, {"value": PRICE_ONE, "result": "yes"}):
        async with account_world() as world:
            await world.position(A, 3)
            await paid(world, A)
            restate(world, A, 0)
            world.account.settlements[0] = evolve(world.account.settlements[0], **wrong)
            assert await world.calibration.calibrate() == "differs"
            assert world.of(SettlementRestated) == []
