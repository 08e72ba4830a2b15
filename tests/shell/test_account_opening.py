"""The opening of an account: its figures are what later facts are added to, so nothing may be on its way to them."""

from __future__ import annotations

import pytest
import trio
from account_world import A, B, account_world

from kalshi_daemon.facts import AccountDiffers, AccountOpened
from kalshi_daemon.simulation.faulty_link import replaced
from kalshi_daemon.units import BookSide

OLD = replaced("200 OK", b'{"as_of_time":"2026-10-19T13:50:00Z"}')


@pytest.mark.parametrize(("told", "lag_ms"), [(True, 0), (True, 1_000), (False, 0)])
async def test_a_fill_of_just_before_is_in_the_opening(autojump_clock, told, lag_ms):
    """Filled by another hand as the daemon starts, told by the stream or a list, and perhaps not yet in positions and
    balance: the account is opened when reads must show it, once and exactly.
    """
    async with account_world(lag_ms=lag_ms, opened=False) as world:
        await trio.sleep(10)
        world.crowd(A, BookSide.ASK, 40)
        world.elsewhere(A, BookSide.BID, 40, 3)
        if told:
            await world.tell_fills()
        assert await world.calibration.calibrate() == "agreed"
        await world.told()
        assert len(world.of(AccountOpened)) == 1
        assert dict(world.of(AccountOpened)[0].settled) == dict(world.account.cash)
        world.crowd(B, BookSide.ASK, 40)
        world.elsewhere(B, BookSide.BID, 40, 1)
        await world.tell_fills()
        await trio.sleep(10)
        assert await world.calibration.calibrate() == "agreed"
        assert world.of(AccountDiffers) == []
        assert dict(world.ledger.shards) == dict(world.account.cash)
        held = {market: each.count for market, each in world.account.positions.items()}
        assert {market: each.count for market, each in world.ledger.positions.items()} == held


async def test_an_account_is_not_opened_on_reads_that_are_old(autojump_clock):
    """The exchange says that its reads are ten minutes behind: nobody knows what was filled since."""
    async with account_world(opened=False) as world:
        world.fail("GET", "user_data_timestamp", OLD)
        assert await world.calibration.calibrate() == "incomplete"
        assert "the exchange's reads are 60" in world.calibration.detail
        await world.told()
        assert world.of(AccountOpened) == []
        world.mend()
        assert await world.calibration.calibrate() == "agreed"
