"""What a backtest found: the account's worth over time, its deepest fall, and what each market brought.

Rules: a report is a function of what was run, with no clock and no path in it. Money is text in dollars, to the
micro-dollar; contracts are text; times are seconds since the run began.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import asdict, define, field, frozen

from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.facts import FillSeen
from kalshi_daemon.limits import EQUITY_POINTS_MAX
from kalshi_daemon.policy.inputs import HeldPosition
from kalshi_daemon.units import SECOND_MS, Milliseconds, Money, Ticker, contracts, dollars
from kalshi_daemon.wire.fixed_point import format_money, format_price, parse_money

BPS: Final = 10_000
SHOWN: Final = 12  # markets in the text; the JSON has all


@frozen
class EquityPoint:
    """Settled cash and every position at the mid of the side held."""

    at_s: float
    equity: str


@frozen
class FillRow:
    """`side` and `price` are of the YES leg: a bid buys YES or sells NO."""

    at_s: float
    market: str
    side: str
    price: str
    contracts: str
    fee: str
    is_taker: bool


@frozen
class MarketResult:
    """`profit` is realised and unrealised less fees; `unrealised` is at the mid, or at the last one that was there."""

    market: str
    fills: int
    contracts: str
    position: str
    realised: str
    unrealised: str
    fees: str
    profit: str


@frozen
class Drawdown:
    """The deepest fall from a peak, in dollars and in hundredths of a percent of that peak."""

    amount: str
    bps: int
    peak_s: float
    trough_s: float


@frozen
class Report:
    """`ended_by` is empty where the time that was asked for was lived to its end. `violated` names what should never
    be: then nothing else in here is to be believed.
    """

    policy: str
    model: str
    source: str
    seed: int
    seconds: float
    ended_by: str
    markets_seen: int
    decisions: int
    orders: int
    fills: int
    refused: dict[str, int]
    equity_start: str
    equity_end: str
    profit: str
    fees: str
    drawdown: Drawdown
    equity: tuple[EquityPoint, ...]
    markets: tuple[MarketResult, ...]
    executions: tuple[FillRow, ...]
    executions_left_out: int
    trace: str
    violated: tuple[str, ...]

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        down = self.drawdown
        lines = [
            f"{self.source}: {self.policy} {self.model[:12]}",
            f"{self.seconds:.0f} s, {self.markets_seen} markets, {self.decisions} decisions",
            f"orders    {self.orders}, with {self.fills} fills",
            f"equity    {_shown(self.equity_start)} before, {_shown(self.equity_end)} after",
            f"profit    {_shown(self.profit)}, of which fees {_shown(self.fees)}",
            f"drawdown  {_shown(down.amount)} ({down.bps / 100:.2f} %), {down.peak_s:.0f} s to {down.trough_s:.0f} s",
            f"refused   {', '.join(f'{code} {count}' for code, count in self.refused.items()) or 'none'}",
        ]
        lines += [
            f"  {each.market:<28} {each.fills:>5} fills  {each.contracts:>9} contracts  holds {each.position:>8}  "
            f"profit {_shown(each.profit)}"
            for each in self.markets[:SHOWN]
        ]
        if len(self.markets) > SHOWN:
            lines.append(f"  and {len(self.markets) - SHOWN} markets more, with --json")
        if self.ended_by:
            lines.append(f"ended before its time: {self.ended_by}")
        lines += [f"violated  {each}" for each in self.violated]
        return "\n".join(lines)


def _shown(money: str) -> str:
    return dollars(parse_money(money))


@define
class EquityCurve:
    """Every look counts for the drawdown; of the points every other one is dropped when there are too many."""

    last: tuple[Milliseconds, Money] = (0, 0)
    _points: list[tuple[Milliseconds, Money]] = field(factory=list)
    _peak: tuple[Milliseconds, Money] = (0, 0)
    _deepest: tuple[Money, Money, Milliseconds, Milliseconds] = (0, 0, 0, 0)  # the fall, its peak, since, until
    _looks: int = 0
    _stride: int = 1

    def look(self, at_ms: Milliseconds, equity: Money) -> None:
        self.last = (at_ms, equity)
        if equity > self._peak[1]:
            self._peak = self.last
        since_ms, peak = self._peak
        if peak - equity > self._deepest[0]:
            self._deepest = (peak - equity, peak, since_ms, at_ms)
        if self._looks % self._stride == 0:
            self._points.append(self.last)
        self._looks += 1
        if len(self._points) > EQUITY_POINTS_MAX:
            self._points = self._points[::2]
            self._stride *= 2

    def drawdown(self) -> Drawdown:
        fall, peak, since_ms, until_ms = self._deepest
        bps = fall * BPS // peak if peak > 0 else 0
        return Drawdown(format_money(fall), bps, since_ms / SECOND_MS, until_ms / SECOND_MS)

    def points(self) -> tuple[EquityPoint, ...]:
        """The last look is always among them."""
        told = dict(self._points) | ({self.last[0]: self.last[1]} if self._looks else {})
        return tuple(EquityPoint(at_ms / SECOND_MS, format_money(equity)) for at_ms, equity in told.items())


def fill_row(fill: FillSeen, began_ms: Milliseconds) -> FillRow:
    return FillRow(
        (fill.ts_ms - began_ms) / SECOND_MS,
        fill.market,
        str(fill.side),
        format_price(fill.price),
        contracts(fill.count),
        format_money(fill.fee),
        fill.is_taker,
    )


def market_results(
    positions: Mapping[Ticker, Position], held: Iterable[HeldPosition], fills: Iterable[FillSeen]
) -> tuple[MarketResult, ...]:
    """Those that traded, the greatest gain or loss first. `held`: what each open position is worth at its mid."""
    traded: Counter[Ticker] = Counter()
    count: Counter[Ticker] = Counter()
    for fill in fills:
        traded[fill.market] += fill.count
        count[fill.market] += 1
    gains = {each.market: each.value - each.cost for each in held}
    found = []
    for market, position in positions.items():
        gain = gains.get(market, 0)
        profit = position.realised + gain - position.fees
        row = MarketResult(
            market,
            count[market],
            contracts(traded[market]),
            contracts(position.count),
            format_money(position.realised),
            format_money(gain),
            format_money(position.fees),
            format_money(profit),
        )
        found.append((-abs(profit), market, row))
    return tuple(row for _size, _market, row in sorted(found))
