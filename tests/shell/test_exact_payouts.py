"""Settlements below the cent in which they are told, end to end: cash and profit are the exchange's at once."""

from __future__ import annotations

import pytest
import trio
from account_world import A, account_world

from kalshi_daemon.emulator.model import NewOrder
from kalshi_daemon.facts import AccountDiffers, SettlementSeen
from kalshi_daemon.units import CENT, FEE_GRAIN, PRICE_CENT, SECOND_MS, BookSide, TimeInForce

GTC = TimeInForce.GOOD_TILL_CANCELED


@pytest.mark.parametrize("grain", [FEE_GRAIN, CENT], ids=["direct member", "by the cent"])
@pytest.mark.parametrize(
    ("side", "count", "value", "paid"),
    [
        (BookSide.BID, 137, 4_321, {FEE_GRAIN: 591_900, CENT: 590_000}),  # exactly 59.1977 cents
        (BookSide.ASK, 137, 4_321, {FEE_GRAIN: 778_000, CENT: 770_000}),  # exactly 77.8023
        (BookSide.BID, 1, 5_600, {FEE_GRAIN: 5_600, CENT: 0}),  # a hundredth of a contract
        (BookSide.ASK, 300, 9_999, {FEE_GRAIN: 300, CENT: 0}),
        (BookSide.BID, 300, 4_321, {FEE_GRAIN: 1_296_300, CENT: 1_290_000}),  # all in whole cents until here
    ],
)
async def test_a_scalar_is_booked_as_it_was_credited(autojump_clock, grain, side, count, value, paid):
    """Fractions of contracts and of cents, on both sides, for accounts of either grain: nothing drifts."""
    async with account_world(grain=grain) as world:
        await world.order(A, side, 40, 3)
        taker = world.asker if side is BookSide.BID else world.bidder
        world.exchange.create_order(taker, NewOrder(A, side.opposite, 40 * PRICE_CENT, count, GTC))
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed"
        world.exchange.settle(A, "scalar", value)
        await trio.sleep(world.exchange.market(A).settlement_timer_ms / SECOND_MS + 10)
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        booked = [(fact.value, fact.revenue) for fact in world.of(SettlementSeen)]
        assert booked == [(value, paid[grain])]
        assert world.of(AccountDiffers) == []
        assert "settlement_surprises" not in world.ledger.counts
        assert world.exact


async def test_yes_and_no_are_asked_for_nothing_more(autojump_clock):
    """They pay whole cents for any count: no market is read again."""
    async with account_world() as world:
        await world.position(A, 2)
        world.exchange.settle(A, "yes")
        await trio.sleep(world.exchange.market(A).settlement_timer_ms / SECOND_MS + 10)
        asked = {kind: count for kind, count in world.rest.counts.items() if kind[0].startswith("market")}
        assert await world.calibration.calibrate() == "agreed"
        assert {kind: count for kind, count in world.rest.counts.items() if kind[0].startswith("market")} == asked != {}
        assert world.ledger.is_settled(A)
