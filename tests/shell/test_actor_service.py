"""The decision loop inside a whole daemon: what makes a market due, what cools it, what disables it."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import trio
from daemon_world import LIVELY, QUIET, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.facts import HoldKind, HoldLifted, OrderIntended, OrderRefused, StateChanged
from kalshi_daemon.simulation.faulty_link import TOO_MANY
from kalshi_daemon.units import SECOND_MS

ORDERS = "/portfolio/events/orders"


def facts_of(running, kinds):
    """Every durable fact of these kinds from now on, with the virtual second at which it came."""
    seen = []

    def note(news):
        if isinstance(news.fact, kinds):
            seen.append((trio.current_time(), news.fact))

    running.parts.bus.listen(note)
    return seen


def actor_states(running):
    return [line.state for line in running.daemon.surface.reporter.history() if line.label == "actor"]


async def test_a_market_is_decided_when_it_changes_and_not_too_often(autojump_clock):
    """Each decision on a market is 250 ms or more after the one before; one without news comes within some 5 s."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor = running.parts.policy.actor
        times = {}
        due = actor._due

        def noted():
            tickers = due()
            for ticker in tickers:
                times.setdefault(ticker, []).append(trio.current_time())
            return tickers

        actor._due = noted
        await trio.sleep(60)
        gaps = [after - before for each in times.values() for before, after in itertools.pairwise(each)]
        assert set(times) == set(site.world.tickers)
        assert min(gaps) >= limits.DECISION_INTERVAL_S - 1e-9
        assert max(gaps) <= 1.5 * limits.REDECIDE_S + 0.1
        assert actor.batches <= actor.decisions
        assert await running.stop() == 0


async def test_news_are_looked_at_at_once_and_no_faster_than_the_spacing(autojump_clock):
    """A change is looked at in its own instant, or where the last look was just before it, when the spacing is over."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor, looks = running.parts.policy.actor, []
        due = actor._due

        def noted():
            looks.append(trio.current_time())
            return due()

        actor._due = noted
        await trio.sleep(5)
        for wait_ms in range(1, 200, 7):
            await trio.sleep(wait_ms / SECOND_MS)
            last_s, at_s, seen = looks[-1], trio.current_time(), len(looks)
            running.parts.books.touch(site.world.tickers[0])
            await running.until(lambda seen=seen: len(looks) > seen)
            assert looks[seen] == pytest.approx(max(at_s, last_s + limits.DECISION_SPACING_S))
        gaps = [after - before for before, after in itertools.pairwise(looks)]
        assert min(gaps) >= limits.DECISION_SPACING_S - 1e-9
        assert await running.stop() == 0


async def test_orders_carry_their_decision_model_and_observation(autojump_clock):
    """Each intent names what it was decided by, and the decisions are counted by action."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        seen = facts_of(running, OrderIntended)
        await running.until(lambda: len(seen) >= 5)
        actor = running.parts.policy.actor
        for _, intent in seen:
            if intent.purpose == "policy":
                assert 0 < intent.decision <= actor.decisions
                assert intent.model == "rules"
                assert len(intent.observation) == 280  # base64 of 52 float32
        assert sum(actor.actions.values()) == actor.decisions
        assert await running.stop() == 0


async def test_a_quiet_start_is_not_called_stuck(autojump_clock):
    """With hardly any news the loop still beats: nobody disables the policy, at the start or after a long pause."""
    async with exchange_site(QUIET) as site:
        running = site.start()
        await running.until("trading.normal")
        await trio.sleep(60)
        await running.parts.bus.settle(hold(HoldKind.OPERATOR, "a test", site.clock.now_ms()))
        await running.until("paused.holding")
        await trio.sleep(120)
        await running.parts.bus.settle(HoldLifted(site.clock.now_ms(), HoldKind.OPERATOR, "", "a test"))
        await running.until("trading.normal")
        await trio.sleep(30)
        assert set(actor_states(running)) == {"running"}
        assert await running.stop() == 0


async def test_a_loop_that_hangs_is_disabled_and_probed(autojump_clock, monkeypatch):
    """No beat for two heartbeats: `policy_stuck`; after the probe's interval it runs again, beside everything else."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        with monkeypatch.context() as patch:
            patch.setattr(limits, "DECISION_SPACING_S", 1_000.0)
            await running.until(lambda: actor_states(running)[-1] == "disabled", limits.HEARTBEAT_S + 2)
        await running.until(lambda: actor_states(running)[-1] == "running", 40)
        before = running.parts.policy.actor.decisions
        await trio.sleep(5)
        assert running.parts.policy.actor.decisions > before
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


async def test_too_many_requests_cool_the_actor(autojump_clock):
    """429 for an order: cooling for a second, in which nothing is decided; then it goes on."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        seen = facts_of(running, (OrderRefused, OrderIntended, StateChanged))
        await running.until("trading.normal")
        site.fail(("POST", ORDERS, TOO_MANY))
        await running.until(lambda: any(isinstance(fact, OrderRefused) for _, fact in seen))
        site.mend()
        await running.until(lambda: "cooling" in actor_states(running), 1)
        await running.until(lambda: actor_states(running)[-1] == "running", 2)
        began = next(at for at, fact in seen if isinstance(fact, StateChanged) and fact.entered == "cooling")
        ended = next(
            at for at, fact in seen if isinstance(fact, StateChanged) and fact.left == "cooling" and at > began
        )
        assert ended - began >= limits.CHART_LIMITS["cooling_limit"]
        decided = [at for at, fact in seen if isinstance(fact, OrderIntended) and fact.purpose == "policy"]
        assert not [at for at in decided if began + 0.001 < at < ended]
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


async def test_a_policy_that_is_slow_is_disabled_by_its_breaker(autojump_clock):
    """Three inferences over the budget open it: disabled, a probe after its wait, running when one is in time."""
    async with exchange_site(LIVELY) as site:
        seconds = iter(range(1_000_000))
        slow = [True]
        running = site.start(stopwatch=lambda: next(seconds) if slow[0] else 0.0)
        await running.until("trading.normal")
        await running.until(lambda: actor_states(running)[-1] == "disabled")
        actor = running.parts.policy.actor
        assert actor.breaker.state == "open"
        assert "an inference took 1000 ms, allowed 50" in actor.breaker.cause or "crashed" in actor.breaker.cause
        slow[0] = False
        before = actor.decisions
        await trio.sleep(20)
        assert actor.decisions == before
        await running.until(lambda: actor.breaker.state == "closed", 60)
        assert actor_states(running)[-1] == "running"
        assert running.in_state("trading.normal")
        assert await running.stop() == 0


async def test_a_policy_that_crashes_is_disabled_and_trading_goes_on(autojump_clock):
    """One crash: disabled, alarmed, tried again after 30 s; closing rules and sync never stopped."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        actor = running.parts.policy.actor
        select, crashes = actor._selector.select, Counter()

        def crash(observation, mask):
            crashes["select"] += 1
            raise FloatingPointError("the model made no number")

        actor._selector.select = crash
        await running.until(lambda: actor_states(running)[-1] == "disabled")
        actor._selector.select = select
        syncs = running.parts.sync.counts["succeeded"]
        await trio.sleep(25)
        assert actor_states(running)[-1] == "disabled"
        assert running.parts.sync.counts["succeeded"] > syncs
        await running.until(lambda: actor_states(running)[-1] == "running", 10)
        assert crashes == {"select": 1}
        assert running.in_state("trading.normal")
        assert await running.stop() == 0
        assert running.parts.invariants.violated == []


async def test_nothing_is_decided_outside_trading(autojump_clock):
    """Paused, no decision is taken and no order proposed, though books change all the time."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        await trio.sleep(10)
        await running.parts.bus.settle(hold(HoldKind.OPERATOR, "a test", site.clock.now_ms()))
        await running.until("paused.holding")
        decisions, proposals = running.parts.policy.actor.decisions, running.parts.bus.counts["proposals"]
        await trio.sleep(60)
        assert (running.parts.policy.actor.decisions, running.parts.bus.counts["proposals"]) == (decisions, proposals)
        assert await running.stop() == 0
