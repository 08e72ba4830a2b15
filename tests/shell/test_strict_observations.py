"""Strict validation inside a whole daemon, and orders that rest past their age."""

from __future__ import annotations

import trio
from attrs import evolve
from daemon_world import LIVELY, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.facts import CancelSent, OrderIntended
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.status_text import why

STRICT = {"KALSHI_STRICT_OBSERVATIONS": "on"}


async def resume(running):
    operations = running.daemon.tasks.operations()
    return await operations["resume"](ControlRequest("resume", "looked at", who="uid 7"))


def decided(running):
    seen = []
    markets = running.parts.policy.actor._inputs.markets

    def noted(tickers, now_ms):
        seen.extend(tickers)
        return markets(tickers, now_ms)

    running.parts.policy.actor._inputs.markets = noted
    return seen


async def test_an_anomaly_shuts_its_market_until_a_person_says_otherwise(autojump_clock):
    """`why` names the feature and its value; the others are decided; after `resume` the next sound look decides."""
    async with exchange_site(LIVELY) as site:
        running = site.start(STRICT)
        await running.until("trading.normal")
        await trio.sleep(20)
        breakers, bad = running.parts.market_breakers, site.world.tickers[0]
        assert breakers.shut() == []  # nothing is wrong with what is right
        leg = running.parts.books.books[bad].yes
        leg.total += 700
        await running.until(lambda: breakers.shut() != [], 2 * limits.REDECIDE_S)
        (shut,) = breakers.shut()
        assert (shut.name, shut.state) == (f"observation of {bad}", "latched")
        assert "the YES levels add up to" in why(running.daemon.surface.reporter.status())
        seen = decided(running)
        leg.total = sum(leg.counts.values())
        await trio.sleep(2 * limits.MARKET_PROBE_WAIT_S[0])
        assert set(seen) == set(site.world.tickers) - {bad}
        await resume(running)
        await running.until(lambda: bad in seen, 2 * limits.REDECIDE_S)
        assert breakers.shut() == []
        assert await running.stop() == 0


async def test_without_it_the_features_are_bounded_and_it_goes_on(autojump_clock):
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        running.parts.books.books[site.world.tickers[0]].yes.total += 700
        await trio.sleep(2 * limits.REDECIDE_S)
        assert running.parts.market_breakers.shut() == []
        assert await running.stop() == 0


async def test_an_order_past_its_age_is_cancelled_and_counted(autojump_clock):
    """It was placed by a policy that then does nothing more; no order rests for longer than that and a moment."""
    script = ",".join(["1", "3"] * 20)
    given = {"KALSHI_POLICY": "scripted", "KALSHI_SCRIPT": script, "KALSHI_ORDER_AGE": "30", "KALSHI_PRICING": "join"}
    calm = evolve(LIVELY, crowd=evolve(LIVELY.crowd, events_per_s=0.05))
    async with exchange_site(calm) as site:
        running = site.start(given)
        intents, cancels = {}, {}

        def note(news):
            if isinstance(news.fact, OrderIntended):
                intents[news.fact.client_order_id] = news.fact.at_ms
            elif isinstance(news.fact, CancelSent):
                cancels[news.fact.client_order_id] = news.fact.at_ms

        running.parts.bus.listen(note)
        await running.until(lambda: cancels != {}, 120)
        await trio.sleep(60)
        assert running.parts.writer.counts["aged"] >= len(cancels) > 0
        for order, at_ms in cancels.items():
            assert 30_000 < at_ms - intents[order] <= 32_000
        assert running.parts.ledger.live() == []
        assert await running.stop() == 0
