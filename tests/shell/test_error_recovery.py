"""Recovery: attempts that end by themselves, a hold when they are exhausted, and cancels while we are blind."""

from __future__ import annotations

import pytest
import trio
from daemon_world import LIVELY, RESTING, STREAM, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.facts import HoldKind, RestrictionKind, RestrictionLifted, RestrictionPlaced
from kalshi_daemon.simulation.faulty_link import HANGS, NEVER_ARRIVES, TOO_MANY, UNAVAILABLE
from kalshi_daemon.simulation.virtual_day import HOST, PORT

UNSTREAMED = ("GET", STREAM, NEVER_ARRIVES)
UNREAD = ("GET", "/portfolio/fills", UNAVAILABLE)  # so that the account is not followed by REST either


async def test_a_stream_that_comes_back_is_recovered_from(autojump_clock):
    """Sockets away, and fills not to be read either: recovering, calibrated and trading; attempts add up until trading
    has been steady.
    """
    async with exchange_site() as site:
        running = site.start()
        await running.until("trading.normal")
        attempts = 0
        for _ in range(2):
            site.cut_streams()
            site.fail(UNSTREAMED, UNREAD)
            await running.until("recovering.reconnecting")
            site.mend()
            await running.until("trading.normal")
            assert running.parts.recovery.attempts > attempts
            assert running.parts.recovery.detail == ""
            attempts = running.parts.recovery.attempts
        await running.until(lambda: running.parts.recovery.attempts == 0, limits.CHART_LIMITS["steady_limit"] + 5)
        assert await running.stop() == 0


@pytest.mark.parametrize("fault", [HANGS, UNAVAILABLE], ids=["hangs", "503"])
async def test_attempts_that_are_exhausted_hold_and_lift_when_all_is_well(autojump_clock, fault):
    """Also where the exchange takes every request and never answers: each attempt ends within its state's time, the
    last one holds `recovery`, and 30 s of usable feeds lift it.
    """
    async with exchange_site() as site:
        running = site.start()
        await running.until("trading.normal")
        site.fail(UNSTREAMED, ("", "", fault))
        site.network.cut()
        await running.until("recovering")
        await running.until(lambda: "recovery" in running.held(), 900)
        assert running.in_state("paused")
        cause = running.ledger.find_hold(HoldKind.RECOVERY).cause
        assert cause.startswith(f"{limits.RECOVERY_ATTEMPTS_MAX} attempts to recover failed; the last: ")
        assert ("no answer within 20 s" in cause) is (fault is HANGS)
        through = [line.cause for line in running.daemon.surface.reporter.history() if line.label == "trader"]
        assert "attempt_overdue" not in through
        site.mend()
        await running.until("trading.normal", 200)
        assert running.held() == []
        assert await running.stop() == 0
        assert running.parts.invariants.violated == []


async def test_what_increases_is_cancelled_after_ten_seconds_blind(autojump_clock):
    """Sockets lost, fills not to be read, and cancels refused at first: what rests is cancelled `BLIND_S` after
    recovering began.
    """
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        await running.until(lambda: len(site.resting()) >= 2)
        site.cut_streams()
        site.fail(UNSTREAMED, UNREAD, ("DELETE", "", TOO_MANY))
        await running.until("recovering")
        began_s = trio.current_time()
        site.fail(UNSTREAMED, UNREAD)
        assert len(site.resting()) >= 2
        await running.until(lambda: not site.resting(), limits.BLIND_S + 2)
        assert trio.current_time() - began_s >= limits.BLIND_S - 0.1
        site.mend()
        await running.until("trading.normal")
        assert await running.stop() == 0
        running.audit.conclude()
        assert running.parts.invariants.violated == []


async def test_only_reductions_pass_while_books_are_polled(autojump_clock):
    """`trading.reducing` cancels what increases, and again each second where a cancel was refused."""
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        await running.until(lambda: len(site.resting()) >= 2)
        site.fail(("DELETE", "", TOO_MANY))
        restriction = RestrictionPlaced(site.clock.now_ms(), RestrictionKind.CASH_RESERVE, "a test")
        await running.parts.bus.settle(restriction)
        await trio.sleep(2.5)
        assert running.in_state("trading.reducing")
        assert len(site.resting()) >= 2
        site.mend()
        await running.until(lambda: not site.resting(), 2)
        lifted = RestrictionLifted(site.clock.now_ms(), RestrictionKind.CASH_RESERVE, "a test")
        await running.parts.bus.settle(lifted)
        await running.until("trading.normal")
        assert await running.stop() == 0
        assert running.parts.invariants.violated == []


async def test_a_halt_takes_resting_orders_with_its_reason(autojump_clock):
    """One market stops while the exchange's status stays green: its orders are seen cancelled, and why; no hold."""
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        await running.until(lambda: any(record.rests for record in running.ledger.live()))
        record = next(record for record in running.ledger.live() if record.rests)
        site.exchange.halt(record.spec.market)
        await running.until(lambda: running.ledger.orders[record.client_order_id].final, 2)
        after = running.ledger.orders[record.client_order_id]
        assert (after.state, after.reason) == ("cancelled", "HaltCancel")
        await trio.sleep(30)
        assert running.held() == []
        assert running.in_state("trading.normal")
        assert not [each for each in running.ledger.live(record.spec.market) if not each.final]
        assert await running.stop() == 0
        running.audit.conclude()
        assert running.parts.invariants.violated == []


async def test_an_exchange_that_is_away_is_not_reachable(autojump_clock):
    """`reachable` asks once, says why not, and forgets it."""
    async with exchange_site() as site:
        running = site.start()
        await running.until("trading.normal")
        recovery = running.parts.recovery
        site.network.withdraw(HOST, PORT)
        site.network.cut()
        assert not await recovery.reachable()
        assert f"{HOST}:{PORT} refused" in recovery.detail
        site.network.serve(HOST, PORT, site.link.handle)
        assert await recovery.reachable()
        await running.until("trading.normal")
        assert await running.stop() == 0
