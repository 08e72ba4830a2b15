"""Backtests: one report for one seed, exact to the micro-dollar, on the crowd and on recorded books."""

from __future__ import annotations

import json
import random
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from kalshi_daemon.demo import read_recording
from kalshi_daemon.emulator.recording import parse_recording
from kalshi_daemon.errors import ConfigurationError, OperatingError
from kalshi_daemon.limits import EQUITY_POINTS_MAX
from kalshi_daemon.simulation.backtest import Backtest, run_backtest
from kalshi_daemon.simulation.backtest_report import EquityCurve, Report
from kalshi_daemon.units import DOLLAR
from kalshi_daemon.wire.fixed_point import parse_money

RECORDED = Path(__file__).parents[3] / "shared/kalshi/recordings/prod-2026-08/ws_orderbook_stream.json"
CROWD = Backtest(3, 20.0, 5_000 * DOLLAR, None, "crowd", {"KALSHI_POLICY": "rules"})
BEGAN_MS = 1_786_000_000_000  # an afternoon of US Eastern, and no Thursday


def frame(at_ms: int, seq: int, kind: str, **msg: Any) -> dict[str, Any]:
    msg = {"market_ticker": "TESTREC-1-A", "market_id": "0a0a0a0a-0000-0000-0000-000000000001", **msg}
    return {"received_ms": at_ms, "frame": {"type": kind, "sid": 1, "seq": seq, "msg": msg}}


def small_recording() -> dict[str, Any]:
    """A book of one market that five seconds of buyers and five of sellers press in turn, for half a minute."""
    levels = {"yes_dollars_fp": [["0.4500", "40.00"], ["0.4400", "40.00"]], "no_dollars_fp": [["0.5300", "40.00"]]}
    frames = [frame(BEGAN_MS, 1, "orderbook_snapshot", **levels)]
    for second in range(1, 31):
        price, side = ("0.4500", "yes") if second % 10 < 5 else ("0.5300", "no")
        change = "900.00" if second % 5 == 1 else "-900.00" if second % 5 == 4 else "1.00"
        level = {"price_dollars": price, "delta_fp": change, "side": side}
        frames.append(frame(BEGAN_MS + 1_000 * second, second + 1, "orderbook_delta", **level))
    return {"frames": frames}


def judge(report: Report) -> None:
    """What holds of every report."""
    assert (report.violated, report.ended_by) == ((), "")
    assert parse_money(report.equity_end) - parse_money(report.equity_start) == parse_money(report.profit)
    assert sum(parse_money(each.profit) for each in report.markets) == parse_money(report.profit)
    assert sum(parse_money(each.fees) for each in report.markets) == parse_money(report.fees)
    assert sum(each.fills for each in report.markets) == report.fills == len(report.executions)
    assert sum(parse_money(each.fee) for each in report.executions) == parse_money(report.fees)
    assert report.equity[0].equity == report.equity_start
    assert report.equity[-1].equity == report.equity_end
    values = [parse_money(point.equity) for point in report.equity]
    falls = [max(values[: place + 1]) - value for place, value in enumerate(values)]
    assert parse_money(report.drawdown.amount) == max(falls)


@pytest.mark.parametrize("policy", ["rules", "onnx"])
def test_a_report_is_a_function_of_its_seed(policy: str) -> None:
    """Twice the same is the same to the byte, it adds up to the micro-dollar, and another seed is another run."""
    asked = evolve(CROWD, variables={"KALSHI_POLICY": policy})
    report = run_backtest(asked)
    judge(report)
    assert report.fills > 0
    assert run_backtest(asked).as_json() == report.as_json()
    assert run_backtest(evolve(asked, seed=4)).trace != report.trace


def test_who_holds_earns_exactly_nothing() -> None:
    report = run_backtest(evolve(CROWD, variables={"KALSHI_POLICY": "hold"}))
    judge(report)
    assert (report.orders, report.profit, report.fees, report.markets) == (0, "0.000000", "0.000000", ())
    assert {point.equity for point in report.equity} == {"5000.000000"}
    assert report.decisions > 0


def test_fewer_dollars_and_smaller_orders_are_those_of_the_environment() -> None:
    """Sizes are the environment's, the account's own variables are left alone, and a misspelt one is refused."""
    variables = {
        "KALSHI_POLICY": "rules",
        "KALSHI_ORDER_SIZES": "2",
        "KALSHI_API_KEY_ID": "not read",
        "KALSHI_ENVIRONMENT": "production",
    }
    report = run_backtest(evolve(CROWD, cash=60 * DOLLAR, variables=variables))
    judge(report)
    assert report.equity_start == "60.000000"
    assert report.executions
    assert all(Decimal(fill.contracts) <= 2 for fill in report.executions)
    with pytest.raises(ConfigurationError, match="KALSHI_ORDER_SIZE is not known"):
        run_backtest(evolve(CROWD, variables={"KALSHI_ORDER_SIZE": "2"}))
    with pytest.raises(OperatingError, match=r"/nowhere/model\.onnx"):
        run_backtest(evolve(CROWD, variables={"KALSHI_POLICY": "onnx", "KALSHI_MODEL": "/nowhere/model.onnx"}))


def test_a_recording_is_traded_on_at_its_own_time() -> None:
    """The daemon's day is the recording's, and it is filled at recorded prices only."""
    recording = parse_recording(small_recording())
    asked = evolve(CROWD, seconds=32.0, recording=recording, variables={"KALSHI_POLICY": "rules"})
    report = run_backtest(asked)
    judge(report)
    assert recording.began_ms == BEGAN_MS
    assert {fill.market for fill in report.executions} == {"TESTREC-1-A"}
    assert {fill.price for fill in report.executions} == {"0.4500", "0.4700"}
    assert all(0 <= fill.at_s <= 33 for fill in report.executions)
    assert run_backtest(asked).as_json() == report.as_json()


def test_a_scripted_round_trip_costs_the_spread_and_the_fees() -> None:
    """Five contracts of YES bought at the ask and sold at the bid, by api.md's formula of fees, to the micro-dollar."""
    still = small_recording()
    still["frames"] = still["frames"][:1]
    script = {"KALSHI_POLICY": "scripted", "KALSHI_SCRIPT": "1,2"}
    asked = evolve(CROWD, seconds=20.0, recording=parse_recording(still), variables=script)
    report = run_backtest(asked)
    judge(report)
    assert [(fill.side, fill.price, fill.contracts) for fill in report.executions] == [
        ("bid", "0.4700", "5"),
        ("ask", "0.4500", "5"),
    ]
    fees = [Decimal("0.07") * 5 * price * (1 - price) for price in (Decimal("0.47"), Decimal("0.45"))]
    rounded = sum(fee.quantize(Decimal("0.0001"), ROUND_UP) for fee in fees)
    assert Decimal(report.fees) == rounded
    assert Decimal(report.profit) == -5 * Decimal("0.02") - rounded


@pytest.mark.skipif(not RECORDED.exists(), reason=f"the recording of the exchange is not here: {RECORDED}")
def test_the_recording_of_the_exchange() -> None:
    recording = read_recording(RECORDED)
    report = run_backtest(evolve(CROWD, seconds=56.0, recording=recording, variables={"KALSHI_POLICY": "onnx"}))
    judge(report)
    assert report.fills > 0
    assert report.markets_seen == len(recording.market_ids)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_curve_is_thinned_and_its_drawdown_is_not(seed: int) -> None:
    """The points stay below their bound, and the deepest fall is that of every look."""
    draw = random.Random(seed)
    curve, values = EquityCurve(), [1_000_000_000]
    curve.look(0, values[0])
    for second in range(1, 3 * EQUITY_POINTS_MAX):
        values.append(values[-1] + draw.randint(-1_000_000, 1_000_000))
        curve.look(second * 1_000, values[-1])
    points = curve.points()
    assert len(points) <= EQUITY_POINTS_MAX + 1
    assert [point.at_s for point in points] == sorted({point.at_s for point in points})
    assert all(parse_money(point.equity) == values[round(point.at_s)] for point in points)
    assert (points[-1].at_s, parse_money(points[-1].equity)) == (len(values) - 1, values[-1])
    peak, deepest = 0, (0, 0, 0)
    for second, value in enumerate(values):
        peak = second if value > values[peak] else peak
        deepest = max(deepest, (values[peak] - value, peak, second), key=lambda fall: fall[0])
    told = curve.drawdown()
    assert (parse_money(told.amount), told.peak_s, told.trough_s) == deepest
    assert told.bps == deepest[0] * 10_000 // values[deepest[1]]


def test_the_text_and_the_json_say_the_same() -> None:
    report = run_backtest(CROWD)
    told = json.loads(report.as_json())
    assert (told["fills"], told["profit"], told["seed"]) == (report.fills, report.profit, 3)
    assert len(told["executions"]) == report.fills
    assert f"with {report.fills} fills" in report.as_text()
