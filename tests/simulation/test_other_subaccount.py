"""A member whose other subaccount trades too, by another hand."""

from __future__ import annotations

import trio
from stages import until_trading

from kalshi_daemon.emulator.model import NewOrder, SelfTradePrevention
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, BookSide, TimeInForce


def test_what_another_subaccount_trades_moves_nothing_of_ours() -> None:
    """The stream tells of its orders, fills and positions: they are counted, and our account agrees."""

    async def scenario(stage: Stage) -> None:
        parts, exchange = stage.daemon.parts, stage.world.server.exchange
        (account,) = (each for each in exchange.accounts.values() if not each.credit)
        other = exchange.open_subaccount(account, 1)
        exchange.deposit(other, 50 * DOLLAR)
        await until_trading(stage)
        market = next(iter(parts.universe.markets))
        for side, price in ((BookSide.BID, PRICE_ONE - 100), (BookSide.ASK, 100)):
            order = NewOrder(
                market,
                side,
                price,
                CONTRACT,
                TimeInForce.IMMEDIATE_OR_CANCEL,
                SelfTradePrevention.TAKER_AT_CROSS,
            )
            assert exchange.create_order(other, order).filled == CONTRACT
            await trio.sleep(120)
            assert stage.daemon.runner.is_in("trading.normal")
        assert "foreign_fills" not in parts.ledger.counts
        assert not parts.ledger.holds
        assert sum(session.counts["other_subaccount"] for session in parts.coordinator.sessions) == 6

    run = run_virtually(1, scenario, WorldSettings())
    assert run.violated == ()
    assert run.exit_code == EXIT_STOPPED
