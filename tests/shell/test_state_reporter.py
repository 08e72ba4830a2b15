"""shell/state_reporter.py: steps and news in, one status out."""

from __future__ import annotations

import msgspec
import pytest
from attrs import evolve
from status_world import MARKET, START_MS, World, filled, trading_world

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.core.health_monitor import ChartState, Verdict
from kalshi_daemon.core.session_figures import SessionFigures
from kalshi_daemon.facts import AccountDiffers, Alarmed, HoldKind, OrderRefused
from kalshi_daemon.limits import RECENT_MAX, STATUS_HISTORY_MAX
from kalshi_daemon.shell.status import (
    AlarmStatus,
    BreakerStatus,
    CashStatus,
    FillStatus,
    HistoryLine,
    PositionStatus,
    ProfitStatus,
    Status,
)
from kalshi_daemon.units import BookSide


def test_there_is_no_status_before_the_trader_has_begun() -> None:
    """Nothing is made up: without the trader's first state there is nothing to report."""
    assert World().reporter.status() is None


def test_a_status_of_trading() -> None:
    """State, cash, position, profit and counts are the ledger's and the sources', exactly."""
    status = trading_world().status()
    assert status.trader == ChartState("trader", "", "trading.normal", START_MS + 2_000)
    assert (status.cause, status.at_ms, status.run_id, status.model) == (
        "calibrated",
        START_MS + 5_000,
        "abcdef0123",
        "onnx:ab12",
    )
    assert status.cash == CashStatus(97_412_500, 2_505_000, 74_907_500)
    assert status.positions == (PositionStatus(MARKET, 500, 5_000, 2_500_000, 5_600, 300_000, 250_000, 0, 87_500),)
    assert status.profit == ProfitStatus(
        realised=0, unrealised=300_000, unrealised_conservative=250_000, fees=87_500, unmarked=0
    )
    assert [(order.state, order.filled, order.count) for order in status.orders] == [("partially_filled", 500, 1_000)]
    assert status.session == SessionFigures(
        started_ms=START_MS, cash=100_000_000, fills=1, invested=2_500_000, fees=87_500
    )
    assert status.last_fills == (
        FillStatus(START_MS + 5_000, MARKET, BookSide.BID, 5_000, 500, 87_500, 0, True, "kd-abcdef0123-1", 3),
    )
    assert status.health.verdict is Verdict.OK
    assert status.activity.labelled["orders"] == {"intended": 1, "submitted": 1, "partially_filled": 1}
    assert status.activity.labelled["frames_malformed"] == {"unknown_type": 2}
    assert (status.account_agreed, status.holds, status.restrictions) == (True, (), ())


def test_the_status_crosses_the_socket_unchanged() -> None:
    """Encoded as JSON and read back it is the same value, holds and enums included."""
    world = trading_world()
    world.hold(HoldKind.OPERATOR, "maintenance")
    status = world.status()
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


def test_history_says_since_when_how_long_and_through_what() -> None:
    """Each state entered is a line; the one that is left gets its length; a step that stays leaves none."""
    world = trading_world()
    world.reporter.stepped("trader", Step("steady", taken=True))
    world.step("trading.normal", "again")
    assert world.status().history == (
        HistoryLine("trader", "starting.preflight", START_MS, "start", 1_250),
        HistoryLine("trader", "calibrating", START_MS + 1_250, "feeds_ready", 750),
        HistoryLine("trader", "trading.normal", START_MS + 2_000, "calibrated", None),
    )
    assert [line.label for line in world.reporter.history()][-2:] == ["actor", "connection market"]


def test_a_flapping_socket_hides_nothing_of_the_trader() -> None:
    """Each chart has its own bound of lines, and instances of one chart are told apart."""
    world = trading_world()
    for number in range(2 * STATUS_HISTORY_MAX):
        world.step("backing_off" if number % 2 == 0 else "session.live", "dropped", "connection", "market")
        world.step("down", "start", "connection", f"other{number}")
    lines = world.reporter.history()
    assert len(lines) <= 3 * STATUS_HISTORY_MAX
    assert lines[0].state == "starting.preflight"
    assert len(world.status().history) == 3


def test_a_chart_that_ended_is_no_longer_shown() -> None:
    """The actor goes with trading, and its last line has a length."""
    world = trading_world()
    world.at_ms += 500
    world.reporter.ended("actor")
    assert [state.chart for state in world.status().charts] == ["trader", "connection"]
    (line,) = [line for line in world.reporter.history() if line.label == "actor"]
    assert line.lasted_ms == 3_500


@pytest.mark.parametrize(
    ("best", "unrealised", "conservative"), [((5_500, None), None, 250_000), ((None, 5_700), None, None)]
)
def test_a_position_without_a_price_is_unmarked_not_worthless(
    best: tuple[int | None, int | None], unrealised: int | None, conservative: int | None
) -> None:
    """What has no mid, or nobody to sell it to, has no such figure, and the profit says how many it leaves out."""
    world = trading_world()
    world.best = best
    status = world.status()
    (position,) = status.positions
    assert (position.unrealised, position.unrealised_conservative) == (unrealised, conservative)
    assert status.profit == ProfitStatus(
        realised=0, unrealised=0, unrealised_conservative=conservative or 0, fees=87_500, unmarked=1
    )


def test_a_short_positions_average_cost_is_of_the_side_held() -> None:
    """NO is valued at one minus the YES mid."""
    world = trading_world()
    sold = evolve(filled(world.at_ms, ""), trade_id="t-2", order_id="o-2", side=BookSide.ASK, count=1_500, price=6_000)
    world.tell(sold)
    (position,) = world.status().positions
    assert (position.count, position.average_cost, position.cost) == (-1_000, 4_000, 4_000_000)
    assert position.unrealised == 1_000 * (10_000 - 5_600) - 4_000_000
    assert position.unrealised_conservative == 1_000 * (10_000 - 5_700) - 4_000_000
    assert position.realised == 500_000


def test_refusals_differences_and_alarms_are_kept() -> None:
    """What the exchange refused is counted by code; the last difference and the last alarms are there, newest first."""
    world = trading_world()
    order_id = "kd-abcdef0123-1"
    world.tell(
        OrderRefused(world.at_ms, order_id, 400, "insufficient_balance", ""),
        AccountDiffers(world.at_ms, ("cash: ours $1.00, theirs $2.00",)),
        *(Alarmed(world.at_ms + number, "sweep", f"number {number}") for number in range(RECENT_MAX + 5)),
    )
    status = world.status()
    assert status.activity.labelled["refused_by_exchange"] == {"insufficient_balance": 1}
    assert status.last_divergence == "cash: ours $1.00, theirs $2.00"
    assert not status.account_agreed
    assert len(status.last_alarms) == RECENT_MAX
    assert status.last_alarms[0] == AlarmStatus(world.at_ms + RECENT_MAX + 4, "sweep", f"number {RECENT_MAX + 4}")


def test_a_breakers_times_become_moments_and_waits() -> None:
    """Seconds of the monotonic clock are shown as since when, and in how long it probes; it degrades health."""
    world = trading_world()
    world.breaker.failed(4.5, "503 from the exchange")
    status = world.status()
    breaker = BreakerStatus("order_writes", "open", "503 from the exchange", START_MS + 4_500, 4_500, 1)
    assert status.breakers == (breaker,)
    assert [(reason.verdict, reason.subject) for reason in status.health.reasons] == [
        (Verdict.DEGRADED, "circuit_breaker order_writes")
    ]
