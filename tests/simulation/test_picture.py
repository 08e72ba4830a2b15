"""The picture of a report: well-formed, within its frame, and of what the report says."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from kalshi_daemon.simulation.backtest import Backtest, run_backtest
from kalshi_daemon.simulation.picture import HEIGHT, WIDTH, draw
from kalshi_daemon.units import DOLLAR

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("policy", ["rules", "hold"])
def test_a_curve_a_fall_and_a_line_for_each_fill(policy: str) -> None:
    """Also of a run in which nothing happened, and whatever the source is called."""
    asked = Backtest(3, 30.0, 5_000 * DOLLAR, None, 'a <b> & "c"', {"KALSHI_POLICY": policy})
    report = run_backtest(asked)
    root = ET.fromstring(draw(report))  # noqa: S314 - ours
    (curve,) = root.findall(f"{SVG}polyline")
    (fall,) = root.findall(f"{SVG}polygon")
    assert len(curve.attrib["points"].split()) == len(report.equity)
    assert len(fall.attrib["points"].split()) == len(report.equity) + 2
    for shape in (curve, fall):
        for pair in shape.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    assert len(root.findall(f"{SVG}line")) == report.fills
    assert any((text.text or "").startswith('a <b> & "c", ') for text in root.findall(f"{SVG}text"))


def test_a_run_that_never_traded_is_drawn_too() -> None:
    report = run_backtest(Backtest(1, 1.0, DOLLAR, None, "crowd", {"KALSHI_POLICY": "hold"}))
    ET.fromstring(draw(evolve(report, equity=())))  # noqa: S314
