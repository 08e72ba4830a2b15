"""shell/market_inputs.py: what the account is worth, and which marks are not of this moment."""

from __future__ import annotations

from feed_world import A, B, feeds

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.facts import AccountOpened, PositionOpening
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide


async def test_a_market_without_a_mid_is_valued_at_its_last_and_named(autojump_clock):
    """Both sides quoted: the mid of now. One side gone: the mid that was, and its market is said to be carried."""
    async with feeds(markets=(A, B)) as world:
        held = tuple(PositionOpening(market, 10 * CONTRACT, DOLLAR, 0) for market in (A, B))
        ledger = Ledger()
        ledger.apply(AccountOpened(1, ((0, 50 * DOLLAR),), held))
        inputs = MarketInputs(world.books, ledger, MarketUniverse(), world.clock, lambda: 0)
        for market in (A, B):
            world.place(market, 40)
            asked = world.place(market, 50, side=BookSide.ASK)
        await world.until(lambda: world.books.books[B].best_ask is not None)
        assert inputs.portfolio_value() == (50 * DOLLAR + 2 * 4_500_000, ())
        world.exchange.cancel_order(world.asker, asked.order_id, B)
        await world.until(lambda: world.books.books[B].best_ask is None)
        assert inputs.portfolio_value() == (50 * DOLLAR + 2 * 4_500_000, (B,))
