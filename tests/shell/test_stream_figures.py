"""What the stream says of a position's cost, profit and fees, held against the ledger by the running daemon."""

from __future__ import annotations

from daemon_world import LIVELY, RESTING, exchange_site

from kalshi_daemon.facts import AccountFact, Alarmed, DriftSeen
from kalshi_daemon.units import CENT, Ticker


async def test_fees_that_the_stream_counts_otherwise_are_told_once(autojump_clock):
    """Nothing of a lively account's own; then a fee that the exchange restated, with both values and its cause, by the
    stream and by a read each once. It holds nothing.
    """
    async with exchange_site(LIVELY) as site:
        running = site.start(RESTING)
        facts: list[AccountFact] = []
        running.parts.bus.listen(lambda news: facts.append(news.fact))

        def drifts() -> list[tuple[str, Ticker, int]]:
            told = [fact for fact in facts if isinstance(fact, DriftSeen) and fact.source == "stream"]
            return [(each.what, each.subject, each.theirs - each.ours) for each in told]

        def held() -> list[Ticker]:
            return [market for market, position in running.ledger.positions.items() if position.count]

        await running.until("trading.normal")
        await running.until(lambda: bool(held()), 900.0)
        await running.until(lambda: running.ledger.fills_booked > 5, 3_600.0)
        market = held()[0]
        assert drifts() == []
        site.account.position(market).fees += 5 * CENT
        await running.until(lambda: bool(drifts()), 3_600.0)
        assert drifts() == [("fees", market, 5 * CENT)]
        await running.until(lambda: sum(isinstance(fact, DriftSeen) for fact in facts) > 1, 3_600.0)
        assert [(fact.what, fact.source) for fact in facts if isinstance(fact, DriftSeen)].count(("fees", "read")) == 1
        alarms = [fact for fact in facts if isinstance(fact, Alarmed)]
        assert [each.alarm for each in alarms] == ["figures", "figures"]
        assert sum(each.text.endswith("by its stream") for each in alarms) == 1
        assert running.held() == []
        assert await running.stop() == 0
