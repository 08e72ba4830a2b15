"""What the actor is at, as a person reads it; that no chart steps for a decision; and that one market is not all."""

from __future__ import annotations

import trio
from daemon_world import LIVELY, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.facts import OrderIntended, StateChanged
from kalshi_daemon.policy.action_selector import only_allowed
from kalshi_daemon.shell.status_text import why


def policy_line(running):
    status = running.daemon.surface.reporter.status()
    return next(line for line in why(status).splitlines() if line.startswith("policy: "))


def actor_states(running):
    return [line.state for line in running.daemon.surface.reporter.history() if line.label == "actor"]


class Buyer:
    """Buys YES wherever it may."""

    name = model = "buyer"
    senseless = 0

    def select(self, observation, mask):
        return only_allowed(mask.argmax(axis=1) * 0 + 1, mask)


class Holder(Buyer):
    def select(self, observation, mask):
        return mask.argmax(axis=1)


async def test_ten_thousand_decisions_step_no_chart(autojump_clock):
    """Waiting, deciding and acting are a label, and never a state; the journal has no line of them."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        steps = []
        running.parts.bus.listen(lambda news: steps.append(news.fact) if isinstance(news.fact, StateChanged) else None)
        actor = running.parts.policy.actor
        actor._selector = Holder()
        with running.parts.gates.opened(running.parts.bus.post, increases=True) as gate:
            while actor.decisions < 10_000:
                actor.decide(site.world.tickers, gate)
        await trio.sleep(5)
        assert [each for each in steps if each.chart == "actor"] == []
        assert "policy: waiting" in policy_line(running)
        assert "markets, 0 proposals, inferred in 0 us" in policy_line(running)
        status = running.daemon.surface.reporter.status()
        assert status.actor.batch_markets >= 1
        assert status.at_ms - status.actor.batch_ms < 1_000 * limits.REDECIDE_S
        assert await running.stop() == 0


async def test_the_loop_waits_for_news_and_for_its_spacing_alone(autojump_clock, monkeypatch):
    """Nothing else in it takes time: between the looks of one loop lie the event, and `sleep_until` of the spacing."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor = running.parts.policy.actor
        decide, spans = actor.decide, []

        def timed(*given):
            began_s = trio.current_time()
            decide(*given)
            spans.append((began_s, trio.current_time(), actor.doing))

        monkeypatch.setattr(actor, "decide", timed)
        await trio.sleep(30)
        assert len(spans) > 100
        assert all(began_s == ended_s for began_s, ended_s, _doing in spans)
        assert {doing for _began_s, _ended_s, doing in spans} <= {"acting", "deciding"}
        assert await running.stop() == 0


async def test_the_order_rate_is_kept_without_cooling(autojump_clock):
    """A policy that wants more orders than P16 lets pass is held back, and no chart flaps for it: as many orders as the
    rate allows go out, and reductions are decided all the time.
    """
    async with exchange_site(LIVELY) as site:
        running = site.start({"KALSHI_ORDER_SIZES": "0.01"})
        await running.until("trading.normal")
        intents, steps = [], []

        def note(news):
            if isinstance(news.fact, OrderIntended):
                intents.append(news.fact.at_ms)
            elif isinstance(news.fact, StateChanged) and news.fact.chart == "actor":
                steps.append(news.fact)

        running.parts.bus.listen(note)
        actor = running.parts.policy.actor
        actor._selector = Buyer()
        await trio.sleep(75)
        assert steps == []
        assert running.parts.gates.refused["P16"] == 0
        assert actor.throttled > 0
        for span_ms, most in ((1_000, limits.ORDERS_PER_S_MAX), (60_000, limits.ORDERS_PER_MIN_MAX)):
            counts = [sum(0 <= at_ms - first_ms < span_ms for at_ms in intents) for first_ms in intents]
            assert max(counts) == most
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


async def test_a_market_that_cannot_be_observed_leaves_the_others_their_decisions(autojump_clock):
    """It is told to its breaker, which opens; the others are decided all the time; observed again, it is decided."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor, bad = running.parts.policy.actor, site.world.tickers[0]
        markets, decided = actor._inputs.markets, []

        def broken(tickers, now_ms):
            found = markets(tickers, now_ms)
            if any(each.market == bad for each in found):
                raise ZeroDivisionError("a window without time")
            decided.extend(each.market for each in found)
            return found

        actor._inputs.markets = broken
        await trio.sleep(30)
        assert running.in_state("trading.normal")
        assert {line.state for line in running.daemon.surface.reporter.history() if line.label == "actor"} == {
            "running"
        }
        assert set(decided) == set(site.world.tickers) - {bad}
        (shut,) = running.parts.market_breakers.shut()
        assert (shut.name, shut.state) == (f"observation of {bad}", "open")
        assert shut.cause == "ZeroDivisionError: a window without time"
        assert running.parts.market_breakers.ready(bad, trio.current_time())  # what is held there may be closed
        actor._inputs.markets = markets
        await trio.sleep(limits.MARKET_PROBE_WAIT_S[0] + limits.REDECIDE_S)
        assert running.parts.market_breakers.shut() == []
        assert await running.stop() == 0


async def test_what_fails_for_every_market_is_the_policys(autojump_clock):
    """Not one market can be told apart: the loop ends, and the chart disables the policy."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor = running.parts.policy.actor
        look = actor._observed

        def broken(tickers, *given, **named):
            if len(tickers) > 1:
                raise MemoryError("a batch")
            return look(tickers, *given, **named)

        actor._observed = broken
        await running.until(
            lambda: (
                [line.state for line in running.daemon.surface.reporter.history() if line.label == "actor"][-1]
                == "disabled"
            ),
            20,
        )
        assert policy_line(running).startswith("policy: disabled; it was deciding")
        assert running.parts.market_breakers.shut() == []
        actor._observed = look
        assert await running.stop() == 0
