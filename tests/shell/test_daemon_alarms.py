"""What the daemon makes of the steps and alarms of its charts: what counts, what is told, and how often."""

from __future__ import annotations

from daemon_world import exchange_site

from kalshi_daemon import limits


def alarms(running, name):
    """The alarms of that name that people are shown, newest first."""
    return [each.text for each in running.daemon.surface.status().last_alarms if each.alarm == name]


async def test_a_poller_that_crashes_is_told_once_a_minute_and_costs_the_trader_nothing(autojump_clock):
    """Ten minutes without a stream: no hot loop, one line a minute, and none of the trader's own crashes is spent."""
    async with exchange_site() as site:
        running = site.start()
        await running.until("trading.normal")
        rounds = 0

        async def crash():
            nonlocal rounds
            rounds += 1
            raise ValueError("a mistake of ours")

        running.parts.books._poll_round = crash
        site.cut_streams()
        await running.until("recovering")
        began_ms = running.parts.clock.now_ms()
        await running.until(lambda: running.parts.clock.now_ms() - began_ms > 600_000, 700)
        assert 10 < rounds < 40
        assert 5 < len(alarms(running, "task_restarted")) <= 600 / limits.ALARM_REPEAT_S + 1
        assert running.daemon._crashes == 0
        del running.parts.books._poll_round
        site.mend()
        await running.until("trading.normal", 200)
        assert await running.stop() == 0
