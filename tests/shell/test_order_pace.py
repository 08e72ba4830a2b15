"""A policy that wants far too many orders: what leaves keeps the rate (P16), the loop cools, and reductions go on."""

from __future__ import annotations

import pytest
import trio
from account_world import A, B, account_world, proposal
from attrs import evolve
from daemon_world import QUIET, exchange_site

from kalshi_daemon.core.risk import RiskLimits
from kalshi_daemon.facts import OrderIntended, OrderRefused, StateChanged
from kalshi_daemon.shell.status_text import why
from kalshi_daemon.units import BookSide, TimeInForce


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_orders_keeps_the_rate(seed, autojump_clock):
    """Most of a minute of wishes at random moments, seven at a time: at most five a second and sixty in all are meant,
    the exchange refuses none as too many, the actor cools and runs again, and `why` says by what.
    """
    async with exchange_site(QUIET, seed) as site:
        running = site.start()
        await running.until("trading.normal")
        times, entered, refused = [], [], []

        def note(news):
            if isinstance(news.fact, OrderIntended) and not news.fact.spec.reduce_only:
                times.append(news.fact.at_ms)
            elif isinstance(news.fact, StateChanged) and news.fact.chart == "actor":
                entered.append(news.fact.entered)
            elif isinstance(news.fact, OrderRefused):
                refused.append(news.fact.code)

        running.parts.bus.listen(note)
        for _ in range(45):
            await trio.sleep(site.rng.uniform(0.5, 1.5))
            for _ in range(7):
                wish = proposal(site.rng.choice([A, B]), cents=site.rng.randrange(5, 15), count=1)
                taking = TimeInForce.IMMEDIATE_OR_CANCEL  # far from the market: over when it is answered
                running.daemon._post(evolve(wish, post_only=False, time_in_force=taking))
        await running.until(lambda: running.parts.gates.last_refusal[2].code == "P16", 5)
        status = running.daemon.surface.reporter.status()
        assert "last refusal:" in why(status)
        assert "P16 on " in why(status)
        assert max(sum(0 <= at - since < 1_000 for at in times) for since in times) <= 5
        assert times[-1] - times[0] < 60_000
        assert len(times) == 60
        assert running.parts.gates.refused["P16"] > 0
        assert {"cooling", "running"} <= set(entered)
        assert refused == []
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


async def test_a_reduction_waits_for_no_rate(autojump_clock):
    """With the second's orders spent, the next increase is refused and told, and the position is lowered still."""
    async with account_world() as world:
        await world.position(A, 4)
        world.crowd(A, BookSide.BID, 38, count=1)
        world.gates._limits = RiskLimits(orders_per_s_max=1)
        number = world.ledger.next_number
        world.propose(B, cents=20)
        world.propose(B, cents=21)
        world.reduce(A, cents=38)
        await world.written()
        assert world.gates.refused == {"P16": 1}
        assert world.pokes.count("rate_spent") == 1
        states = [world.state(world.ledger.client_order_id(each)) for each in (number, number + 1)]
        assert states == ["resting", "filled"], "the first increase, and the reduction"
