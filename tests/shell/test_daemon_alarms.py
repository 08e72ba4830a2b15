"""What the daemon makes of the steps and alarms of its charts: what counts, what is told, and how often."""

from __future__ import annotations

import logging
import re

import pytest
import structlog
import structlog.testing
import trio
from daemon_world import QUIET, STREAM, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.facts import HoldKind, HoldLifted, RestrictionKind, RestrictionLifted, RestrictionPlaced
from kalshi_daemon.shell.status_text import why
from kalshi_daemon.simulation.faulty_link import NEVER_ARRIVES, UNAVAILABLE


def alarms(running, name):
    """The alarms of that name that people are shown, newest first."""
    return [each.text for each in running.daemon.surface.reporter.status().last_alarms if each.alarm == name]


async def test_a_poller_that_crashes_is_told_once_a_minute_and_costs_the_trader_nothing(autojump_clock):
    """Two minutes without a stream: no hot loop, one line a minute, and none of the trader's own crashes is spent."""
    async with exchange_site(QUIET) as site:
        running = site.start()
        await running.until("trading.normal")
        rounds = 0

        async def crash(_feeds):
            nonlocal rounds
            rounds += 1
            raise ValueError("a mistake of ours")

        running.parts.books.reader._read_round = crash
        site.cut_streams()
        await running.until("recovering")
        began_ms = running.parts.clock.now_ms()
        await running.until(lambda: running.parts.clock.now_ms() - began_ms > 120_000, 130)
        assert 5 < rounds < 20
        assert len(alarms(running, "task_restarted")) in {2, 3}
        assert running.daemon._crashes == 0
        del running.parts.books.reader._read_round
        site.mend()
        await running.until("trading.normal", 200)
        assert await running.stop() == 0


@pytest.mark.parametrize(
    ("place", "state", "kind"),
    [
        (lambda now_ms: RestrictionPlaced(now_ms, RestrictionKind.CASH_RESERVE, "a test"), "trading.reducing", "cash"),
        (lambda now_ms: hold(HoldKind.OPERATOR, "a test", now_ms), "paused.holding", "operator"),
    ],
    ids=["reducing", "holding"],
)
async def test_a_state_that_lasts_is_reminded_of(autojump_clock, monkeypatch, place, state, kind):
    """At its interval, a quarter of an hour and here less, an alarm says where we still are and by what."""
    monkeypatch.setitem(limits.CHART_LIMITS, "reminder_interval", 70.0)
    async with exchange_site(QUIET) as site:
        running = site.start()
        await running.until("trading.normal")
        running.parts.bus.post(place(running.parts.clock.now_ms()))
        await running.until(state)
        await trio.sleep(2 * 70 + 1)
        told = alarms(running, "reminder")
        assert len(told) == 2
        assert all(text.startswith(f"still {state} by {kind}") for text in told)
        assert await running.stop() == 0


async def test_the_log_says_what_holds_and_what_lifted_it(autojump_clock):
    """Each hold and restriction once when it is placed, with its cause and what clears it, and once when it ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as logged:
        async with exchange_site(QUIET) as site:
            running = site.start()
            await running.until("trading.normal")
            now_ms, settle = running.parts.clock.now_ms(), running.parts.bus.settle
            await settle(RestrictionPlaced(now_ms, RestrictionKind.CASH_RESERVE, "cash is low"))
            await settle(RestrictionLifted(now_ms, RestrictionKind.CASH_RESERVE, "a deposit"))
            await settle(hold(HoldKind.OPERATOR, "lunch", now_ms))
            await settle(HoldLifted(now_ms, HoldKind.OPERATOR, "", "uid 7: back"))
            await trio.sleep(1)
            assert await running.stop() == 0
    said = {line["event"]: line for line in logged if line["event"].startswith(("hold", "restriction"))}
    assert list(said) == ["restriction", "restriction_lifted", "hold", "hold_lifted"]
    assert said["restriction"]["cause"] == "cash is low"
    assert said["restriction_lifted"]["by"] == "a deposit"
    assert (said["hold"]["kind"], said["hold"]["cause"]) == ("operator", "lunch")
    assert "resume" in said["hold"]["cleared_by"]
    assert said["hold_lifted"]["by"] == "uid 7: back"


async def test_the_log_says_why_a_socket_was_not_to_be_had(autojump_clock):
    """The line of a session that waits for its next dial has the cause, in the words of whoever refused it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as logged:
        async with exchange_site(QUIET) as site:
            running = site.start()
            await running.until("trading.normal")
            site.cut_streams()
            await trio.sleep(60)
            site.mend()
            assert await running.stop() == 0
    waits = [line for line in logged if line["event"] == "state" and line["entered"] == "backing_off"]
    assert {line["through"] for line in waits} == {"dropped", "dial_failed"}
    assert all(line["cause"] for line in waits)
    assert any("during the WebSocket upgrade" in line["cause"] for line in waits if line["through"] == "dial_failed")


async def test_books_that_cannot_be_read_by_rest_either_are_an_alarm(autojump_clock):
    """Neither a stream nor a read for a minute: told, with the last error, and not more often than alarms are; and not
    while the account is held because the exchange is away.
    """
    async with exchange_site(QUIET) as site:
        running = site.start()
        await running.until("trading.normal")
        site.fail(("GET", STREAM, NEVER_ARRIVES), ("GET", "orderbooks", UNAVAILABLE), ("GET", "status", UNAVAILABLE))
        running.parts.bus.post(hold(HoldKind.EXCHANGE, "a test", running.parts.clock.now_ms()))
        site.world.server.drop_streams()
        await trio.sleep(65)
        assert alarms(running, "poll_overdue") == []
        running.parts.bus.post(HoldLifted(running.parts.clock.now_ms(), HoldKind.EXCHANGE, "", "a test"))
        await trio.sleep(65)
        told = alarms(running, "poll_overdue")
        assert 1 <= len(told) <= 2
        assert told[0].startswith("no book could be read for 10.0 s: ")
        site.mend()
        await running.until("trading.normal", 200)
        assert await running.stop() == 0


async def test_five_reconnects_in_ten_minutes_are_an_alarm(autojump_clock):
    """The fifth of them tells, whoever dropped them; four do not."""
    async with exchange_site(QUIET) as site:
        running = site.start({"KALSHI_SOCKETS": "1"})
        await running.until("trading.normal")
        for _ in range(limits.RECONNECTS_MAX):
            assert alarms(running, "reconnects") == []
            site.world.server.drop_streams()
            await running.until(lambda: not running.parts.coordinator.feeds_usable, 10)
            await running.until(lambda: running.parts.coordinator.feeds_usable, 60)
            await trio.sleep(1)
        assert alarms(running, "reconnects")[0].startswith("5 reconnects in 10 minutes")
        assert await running.stop() == 0


async def test_what_must_never_happen_is_told_and_stays_in_sight(autojump_clock):
    """Planted: a hold that nobody is told of, and a gate that does not ask. The order that leaves and the trading that
    goes on are an alarm each, health fails, and `why` and the counts say so.
    """
    async with exchange_site() as site:
        running = site.start()
        await running.until("trading.normal")
        assert running.daemon.surface.reporter.status().health.verdict == "ok"
        writer, ledger = running.parts.writer, running.ledger

        def plant(_client_order_id):
            ledger.apply(hold(HoldKind.GUARD, "planted", running.parts.clock.now_ms()))

        writer._ask = plant
        await running.until(lambda: running.parts.invariants.violations > 1, 60)
        await trio.sleep(1)
        status = running.daemon.surface.reporter.status()
        first, second = reversed(alarms(running, "invariant_violated"))
        assert re.fullmatch(r"2: kd-\S+ increases under guard: a defect of ours; .*", first)
        assert second.startswith("4: trading.normal goes on under a hold: a defect of ours")
        assert status.health.verdict == "failing"
        assert [each.text[:2] for each in status.health.reasons if each.subject == "invariant"] == ["2:", "4:"]
        assert "  invariant: 4: trading.normal goes on under a hold" in why(status)
        assert status.activity.counters["invariants_violated"] >= 2
        await running.stop()
