"""Which markets are nearest to a trade: their books are read and audited first."""

from __future__ import annotations

from daemon_world import LIVELY, exchange_site


async def test_what_we_have_something_on_comes_first_and_then_the_last_decision(autojump_clock):
    """Positions, then orders, then by the last decision; a position that was closed counts as none."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        parts, positions = running.parts, running.ledger.positions

        def held():
            return [market for market, position in positions.items() if position.count]

        await running.until(lambda: held() and len(held()) < len(positions), 600)
        nearest = list(dict.fromkeys(parts._nearest()))
        ordered = {record.spec.market for record in running.ledger.live()}
        ours = {*held(), *ordered}
        assert nearest[: len(held())] == held()
        assert set(nearest[: len(ours)]) == ours
        assert nearest[len(ours) :] == [market for market in parts.policy.actor.last_decided() if market not in ours]
        assert set(nearest) == set(site.world.tickers)
        assert await running.stop() == 0
