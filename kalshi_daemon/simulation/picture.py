"""A report as a picture: the account's worth over time, how far below its peak it was, and where it was filled.

Plain SVG, written here: what it shows are some lines, and every browser draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final
from xml.sax.saxutils import escape

from kalshi_daemon.simulation.backtest_report import Report
from kalshi_daemon.units import Money, dollars
from kalshi_daemon.wire.fixed_point import parse_money

WIDTH: Final = 960
LEFT: Final = 110  # of the figures beside the curves
RIGHT: Final = 940
EQUITY: Final = (60, 330)  # from top to bottom
DRAWDOWN: Final = (370, 470)
FILLS: Final = (490, 520)
HEIGHT: Final = 560
STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:15px}.equity{fill:none;stroke:#1f5fa8;stroke-width:1.5}"
    ".fall{fill:#d9a0a0;stroke:none}.bid{stroke:#2a8a3a}.ask{stroke:#b03030}.frame{fill:none;stroke:#bbb}"
)


def draw(report: Report) -> str:
    """A whole SVG document of 960 by 560."""
    times = [point.at_s for point in report.equity] or [0.0]
    values = [parse_money(point.equity) for point in report.equity] or [0]
    falls = [peak - value for peak, value in zip(accumulate(values, max), values, strict=True)]
    end_s = max(report.seconds, 1.0)
    across = [_across(at_s, end_s) for at_s in times]
    least, most = min(values), max(values)
    deepest = max(falls)
    fallen = _points(across, _down([-fall for fall in falls], -deepest, 0, DRAWDOWN))
    title = f"{report.source}, {report.policy}: {_shown(report.equity_start)} to {_shown(report.equity_end)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="35">{escape(title)}</text>',
        *_frame(EQUITY, dollars(most), dollars(least), "worth"),
        *_frame(DRAWDOWN, "$0.00", dollars(-deepest), "below its peak"),
        *_frame(FILLS, "", "", f"{report.fills} fills"),
        f'<polyline class="equity" points="{_points(across, _down(values, least, most, EQUITY))}"/>',
        f'<polygon class="fall" points="{across[0]:.1f},{DRAWDOWN[0]} {fallen} {across[-1]:.1f},{DRAWDOWN[0]}"/>',
        *(_tick(each.side, _across(each.at_s, end_s)) for each in report.executions),
        f'<text x="{LEFT}" y="{HEIGHT - 12}">0 s</text>',
        f'<text x="{RIGHT}" y="{HEIGHT - 12}" text-anchor="end">{end_s:.0f} s</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _tick(side: str, x: float) -> str:
    return f'<line class="{side}" x1="{x:.1f}" x2="{x:.1f}" y1="{FILLS[0]}" y2="{FILLS[1]}"/>'


def _shown(money: str) -> str:
    return dollars(parse_money(money))


def _across(at_s: float, end_s: float) -> float:
    return LEFT + (RIGHT - LEFT) * min(max(at_s / end_s, 0.0), 1.0)


def _down(values: Sequence[Money], least: Money, most: Money, panel: tuple[int, int]) -> list[float]:
    top, bottom = panel
    span = max(most - least, 1)
    return [bottom - (bottom - top) * (value - least) / span for value in values]


def _points(across: Sequence[float], down: Sequence[float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))


def _frame(panel: tuple[int, int], above: str, below: str, about: str) -> list[str]:
    top, bottom = panel
    return [
        f'<rect class="frame" x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{bottom - top}"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{escape(above)}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">{escape(below)}</text>',
        f'<text x="{LEFT + 6}" y="{top - 5}">{escape(about)}</text>',
    ]
