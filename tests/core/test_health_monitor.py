"""core/health_monitor.py: chart states and reconnects in, a verdict with reasons out."""

from __future__ import annotations

import pytest

from kalshi_daemon.charts.literals import dotted, leaves_of
from kalshi_daemon.core.chart_states import CHARTS, sentences
from kalshi_daemon.core.health_monitor import STATE_VERDICTS, ChartState, Health, HealthMonitor, HealthReason, Verdict
from kalshi_daemon.core.rate_governor import RateGovernor
from kalshi_daemon.limits import RECONNECTS_MAX, RECONNECTS_WINDOW_MS

TRADING = (
    ChartState("trader", "", "trading.normal", 0),
    ChartState("connection", "market", "session.live", 0),
    ChartState("orderbook_feed", "", "streaming.current", 0),
    ChartState("actor", "", "running", 0),
    ChartState("circuit_breaker", "writes", "closed", 0),
)


def test_every_verdict_names_a_state_of_its_chart() -> None:
    """The table of verdicts and the charts are in step: no path in it is unknown, and every chart is in it."""
    assert STATE_VERDICTS.keys() == CHARTS.keys()
    assert [path for chart, table in STATE_VERDICTS.items() for path in table if path not in sentences(chart)] == []


def test_trading_is_well() -> None:
    """Every chart where it should be is ok, without a reason."""
    assert HealthMonitor().assess(TRADING, 0) == Health(Verdict.OK)


@pytest.mark.parametrize(
    ("chart", "path", "verdict"),
    [
        ("trader", "paused.holding", Verdict.DEGRADED),
        ("trader", "paused.unswept", Verdict.FAILING),
        ("trader", "starting.deferred", Verdict.DEGRADED),
        ("trader", "failed", Verdict.FAILING),
        ("connection", "session.subscribing", None),
        ("connection", "refused", Verdict.FAILING),
        ("orderbook_feed", "polling.fresh", Verdict.DEGRADED),
        ("orderbook_feed", "polling.filling", Verdict.FAILING),
        ("circuit_breaker", "latched", Verdict.FAILING),
    ],
)
def test_a_state_speaks_with_the_charts_own_sentence(chart: str, path: str, verdict: Verdict | None) -> None:
    """The longest prefix decides, and the reason is the sentence in the chart."""
    health = HealthMonitor().assess([ChartState(chart, "x", path, 0)], 0)
    if verdict is None:
        assert health == Health(Verdict.OK)
    else:
        assert health == Health(verdict, (HealthReason(verdict, f"{chart} x", f"{path}: {sentences(chart)[path]}"),))


def test_every_leaf_can_be_assessed() -> None:
    """No state of any chart is without an answer."""
    for chart in CHARTS:
        for path in map(dotted, leaves_of(CHARTS[chart])):
            HealthMonitor().assess([ChartState(chart, "", path, 0)], 0)


def test_many_reconnects_are_a_figure_not_an_event() -> None:
    """Five in ten minutes degrade; the verdict ends when the oldest leaves the window; the worst is first."""
    monitor = HealthMonitor()
    for number in range(RECONNECTS_MAX):
        assert monitor.assess(TRADING, number).verdict is Verdict.OK
        monitor.reconnected(number)
    assert monitor.assess(TRADING, RECONNECTS_WINDOW_MS).reasons == (
        HealthReason(Verdict.DEGRADED, "connection", "5 reconnects in 10 minutes"),
    )
    assert monitor.assess(TRADING, RECONNECTS_WINDOW_MS + 1).verdict is Verdict.OK
    monitor.reconnected(6)
    worst = monitor.assess([ChartState("trader", "", "failed", 0)], 10).reasons
    assert [reason.verdict for reason in worst] == [Verdict.FAILING, Verdict.DEGRADED]


def test_a_lowered_pace_degrades_and_a_whole_one_is_no_reason() -> None:
    """After a 429 health says which requests go slower, and by how much."""
    governor = RateGovernor()
    assert HealthMonitor().assess(TRADING, 0, governor.statuses(0.0)).verdict is Verdict.OK
    governor.refused("GET", "/markets", 0.0)
    health = HealthMonitor().assess(TRADING, 0, governor.statuses(0.0))
    assert health.verdict is Verdict.DEGRADED
    assert [each.text for each in health.reasons] == [
        "the exchange answered 429: read requests go at 50% of their pace, and get faster"
    ]
