"""A policy tried on an exchange that answers: the whole daemon on the virtual clock, on recorded books or on a crowd.

The policy, its model, the risk limits and the sizes are those that the environment names, as for `run`; hosts, key and
markets are the emulator's. Orders meet the emulator's matching, fees and rate limits, so that a fill is one that the
exchange's rules allow. How resting orders meet recorded books: emulator/recorded.py.

Rules: equal arguments give an equal report. The account is looked at once a second of virtual time, and held against
the emulator's own at the end; a report of a run where the two differ says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import trio
from attrs import define, field, frozen

from kalshi_daemon import limits
from kalshi_daemon.config import PREFIX, VARIABLES
from kalshi_daemon.emulator.recording import Recording
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import FillSeen, OrderSent
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.simulation.backtest_report import EquityCurve, Report, fill_row, market_results
from kalshi_daemon.simulation.virtual_day import Stage, VirtualRun, run_virtually
from kalshi_daemon.simulation.virtual_site import START_MS
from kalshi_daemon.units import SECOND_MS, Milliseconds, Money
from kalshi_daemon.wire.fixed_point import format_money

# What a backtest takes from the environment: how to decide, and how much to risk. A name that is none is refused.
TAKEN: Final = frozenset(
    f"KALSHI_{name}"
    for name in (
        *(
            "POLICY",
            "MODEL",
            "SCRIPT",
            "STRICT_OBSERVATIONS",
            "ORDER_AGE",
            "PRICING",
            "ORDER_SIZES",
            "ORDER_CONTRACTS_MAX",
            "ORDER_COST_MAX",
            "ORDER_COST_PERCENT",
        ),
        *("CASH_RESERVE_PERCENT", "OPEN_ORDERS_MARKET_MAX", "OPEN_ORDERS_ACCOUNT_MAX"),
    )
)


@frozen
class Backtest:
    """`recording` None: the emulator's crowd. `source` names what was traded on, for people."""

    seed: int
    seconds: float
    cash: Money
    recording: Recording | None
    source: str
    variables: Mapping[str, str]  # of the environment


@define(eq=False)
class _Looker:
    curve: EquityCurve = field(factory=EquityCurve)
    fills: dict[str, FillSeen] = field(factory=dict)  # by trade id: a read tells again what the stream told
    sent: int = 0  # orders that left
    stage: Stage | None = None

    def hear(self, news: News) -> None:
        if isinstance(news.fact, FillSeen):
            self.fills.setdefault(news.fact.trade_id, news.fact)
        self.sent += isinstance(news.fact, OrderSent)

    def look(self, stage: Stage, passed_s: float) -> None:
        parts = stage.daemon.parts
        if parts.ledger.opened:
            equity, _carried = parts.inputs.portfolio_value()
            self.curve.look(round(passed_s * SECOND_MS), equity)


def run_backtest(asked: Backtest, told: Callable[[float], None] = lambda _seconds: None) -> Report:
    """Live `asked.seconds` of virtual time. `told` hears at each look how many have passed. Raises ConfigurationError
    for variables, and OperatingError for a model, that are refused.
    """
    began_ms = START_MS if asked.recording is None else asked.recording.began_ms
    looker = _Looker()
    looker.curve.look(0, asked.cash)

    async def live(stage: Stage) -> None:
        looker.stage = stage
        stage.daemon.parts.bus.listen(looker.hear)
        end_s = trio.current_time() + asked.seconds
        while (left_s := end_s - trio.current_time()) > 0:
            looker.look(stage, asked.seconds - left_s)
            told(asked.seconds - left_s)
            await trio.sleep(min(limits.BACKTEST_LOOK_S, left_s))

    given = {name: text for name, text in asked.variables.items() if name.startswith(PREFIX)}
    variables = {name: text for name, text in given.items() if name in TAKEN or name not in VARIABLES}
    settings = WorldSettings(recording=asked.recording)
    run = run_virtually(asked.seed, live, settings, {"KALSHI_POLICY": "onnx", **variables}, began_ms, asked.cash)
    assert looker.stage is not None, "a run that returned has had a stage"
    cause = looker.stage.daemon.tasks.ended_by
    if cause is not None:
        raise cause
    looker.look(looker.stage, asked.seconds)  # with what was filled while it stopped
    return _report(asked, began_ms, looker, looker.stage, run)


def _report(asked: Backtest, began_ms: Milliseconds, looker: _Looker, stage: Stage, run: VirtualRun) -> Report:
    parts, curve = stage.daemon.parts, looker.curve
    selector, fills = parts.policy.selector, list(looker.fills.values())
    end = curve.last[1]
    return Report(
        policy=selector.name if selector else "",
        model=selector.model if selector else "",
        source=asked.source,
        seed=asked.seed,
        seconds=curve.last[0] / SECOND_MS,
        ended_by="" if run.exit_code == EXIT_STOPPED else f"the daemon ended with {run.exit_code}",
        markets_seen=len(parts.books.books),
        decisions=run.decisions,
        orders=looker.sent,
        fills=run.fills,
        refused={**parts.gates.refused, **stage.daemon.surface.reporter.refused_by_exchange},
        equity_start=format_money(asked.cash),
        equity_end=format_money(end),
        profit=format_money(end - asked.cash),
        fees=format_money(sum(position.fees for position in parts.ledger.positions.values())),
        drawdown=curve.drawdown(),
        equity=curve.points(),
        markets=market_results(parts.ledger.positions, parts.inputs.account().positions, fills),
        executions=tuple(fill_row(fill, began_ms) for fill in fills[: limits.BACKTEST_FILLS_MAX]),
        executions_left_out=max(0, len(fills) - limits.BACKTEST_FILLS_MAX),
        trace=run.trace,
        violated=run.violated,
    )
