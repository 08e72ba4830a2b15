"""The state reporter: takes in steps of charts and news of the bus, gives out one `Status` value.

Rules: it only listens. What the ledger or a service knows is read from it at the moment of asking; kept here is only
what nobody else keeps: which state since when and why, and the last few fills and alarms. Everything kept has a
bound.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from attrs import evolve, frozen

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.literals import dotted
from kalshi_daemon.core.changes import Change, OrderMoved
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.degradation import Degradation
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.core.health_monitor import ChartState, HealthMonitor
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_inputs import NOT_CANCELS, UNTOLD, cancel_label
from kalshi_daemon.core.order_record import RESTING
from kalshi_daemon.core.position_tracker import Position, unrealised
from kalshi_daemon.core.rate_governor import RateStatus
from kalshi_daemon.core.session_figures import Execution
from kalshi_daemon.core.startup import StartupTracker
from kalshi_daemon.facts import AccountDiffers, AccountFact, Alarmed, OrderRefused, OrderSeen
from kalshi_daemon.limits import RECENT_MAX, STATUS_HISTORY_MAX
from kalshi_daemon.shell.feeds import FeedStatus
from kalshi_daemon.shell.status import (
    Activity,
    ActorStatus,
    AlarmStatus,
    BreakerStatus,
    CashStatus,
    FillStatus,
    HistoryLine,
    OrderStatus,
    PositionStatus,
    ProfitStatus,
    RefusalStatus,
    Status,
)
from kalshi_daemon.units import SECOND_MS, Milliseconds, Money, Price, Ticker

TRADER: Final = "trader"


@frozen
class StatusSources:
    """Whom the reporter asks; each is read at the moment of asking."""

    ledger: LedgerView
    startup: StartupTracker
    health: HealthMonitor
    degradations: Callable[[], tuple[Degradation, ...]]
    audit_detail: Callable[[], str]
    feeds: Callable[[], Sequence[FeedStatus]]
    feeds_usable: Callable[[], bool]
    markets: Callable[[], Mapping[str, int]]
    markets_unread: Callable[[], Mapping[str, str]]
    pause: Callable[[], Pause | None]
    breakers: Callable[[], Sequence[CircuitBreaker]]
    rates: Callable[[], tuple[RateStatus, ...]]
    best: Callable[[Ticker], tuple[Price | None, Price | None]]  # bid and ask
    reserve_threshold: Callable[[], Money]
    last_refusal: Callable[[], RefusalStatus | None]
    counters: Callable[[], Mapping[str, int]]
    gauges: Callable[[], Mapping[str, int]]
    labelled: Callable[[], Mapping[str, Mapping[str, int]]]
    model: Callable[[], str]
    actor: Callable[[], ActorStatus | None]
    now_ms: Callable[[], Milliseconds]
    now_s: Callable[[], float]  # the clock of the breakers


class StatusProvider(Protocol):
    """What the live view, the metrics and the control socket are given."""

    def status(self) -> Status | None:
        """The status of this moment; None before the trader's chart has begun."""

    def history(self) -> tuple[HistoryLine, ...]:
        """The status history of every chart, oldest first."""


class StateReporter:
    """One per process. `environment` and `version` are shown as they are."""

    def __init__(self, sources: StatusSources, environment: str, version: str) -> None:
        self._sources = sources
        self._environment = environment
        self._version = version
        self._started_ms = sources.now_ms()
        self._states: dict[tuple[str, str], ChartState] = {}
        self._history: dict[str, deque[HistoryLine]] = {}  # by chart, so that a flapping socket hides no trader's line
        self._alarms: deque[AlarmStatus] = deque(maxlen=RECENT_MAX)
        self._orders_total: Counter[str] = Counter()
        self.refused_by_exchange: Counter[str] = Counter()
        self.cancelled_by_exchange: Counter[str] = Counter()
        self._cancelled: deque[str] = deque(maxlen=RECENT_MAX)  # order ids: a read says again what the stream has said
        self._last_divergence = ""

    # ------------------------------------------------------------------------------------------------------- listening

    def stepped(self, chart: str, step: Step, instance: str = "") -> None:
        """A chart took a step. One that stays where it was leaves no line."""
        if not step.entered:
            return
        path, now_ms = dotted(step.entered[-1]), self._sources.now_ms()
        state = self._states.get((chart, instance))
        if state is not None and state.path == path:
            return
        self._close(chart, instance, now_ms)
        state = self._states[chart, instance] = ChartState(chart, instance, path, now_ms)
        lines = self._history.setdefault(chart, deque(maxlen=STATUS_HISTORY_MAX))
        lines.append(HistoryLine(state.label, path, now_ms, step.event, None))

    def ended(self, chart: str, instance: str = "") -> None:
        """The state that ran this chart was left."""
        self._close(chart, instance, self._sources.now_ms())
        self._states.pop((chart, instance), None)

    def saw(self, fact: AccountFact, changes: Sequence[Change]) -> None:
        """News of the event bus."""
        if isinstance(fact, Alarmed):
            self._alarms.appendleft(AlarmStatus(fact.at_ms, fact.alarm, fact.text))
        elif isinstance(fact, AccountDiffers):
            self._last_divergence = "; ".join(fact.differences)
        elif isinstance(fact, OrderRefused):
            self.refused_by_exchange[fact.code] += 1
        elif isinstance(fact, OrderSeen):
            self._count_cancel(fact, changes)
        for change in changes:
            if isinstance(change, OrderMoved):
                self._orders_total[change.record.state] += 1

    def _count_cancel(self, fact: OrderSeen, changes: Sequence[Change]) -> None:
        """Without a reason it is the exchange's where the order rested, and no cancel of ours was under way."""
        record = self._sources.ledger.by_order_id(fact.order_id)
        ours = record is not None and record.ours and fact.order_id not in self._cancelled
        if fact.status != "canceled" or fact.reason in NOT_CANCELS or not ours:
            return
        rested = any(isinstance(change, OrderMoved) and change.before in RESTING for change in changes)
        label = cancel_label(fact)
        if label != UNTOLD or rested:
            self._cancelled.append(fact.order_id)
            self.cancelled_by_exchange[label] += 1

    def _close(self, chart: str, instance: str, now_ms: Milliseconds) -> None:
        """The line of the state that this instance is leaving gets its length."""
        state = self._states.get((chart, instance))
        lines = self._history.get(chart, deque())
        for place in range(len(lines) - 1, -1, -1):
            line = lines[place]
            if state is not None and line.label == state.label and line.lasted_ms is None:
                lines[place] = evolve(line, lasted_ms=max(0, now_ms - line.since_ms))
                return

    # ---------------------------------------------------------------------------------------------------------- asking

    def history(self) -> tuple[HistoryLine, ...]:
        """The lines of every chart, oldest first."""
        lines = [line for lines in self._history.values() for line in lines]
        return tuple(sorted(lines, key=lambda line: line.since_ms))

    def states(self) -> tuple[ChartState, ...]:
        """Every chart that runs; the trader first, since it says most."""
        return tuple(sorted(self._states.values(), key=lambda state: state.chart != TRADER))

    def status(self) -> Status | None:
        sources = self._sources
        if (TRADER, "") not in self._states:
            return None
        ledger, now_ms = sources.ledger, sources.now_ms()
        trader = self._states[TRADER, ""]
        states = self.states()
        breakers = tuple(self._breaker(breaker, now_ms) for breaker in sources.breakers())
        assessed = [*states, *(ChartState("circuit_breaker", each.name, each.state, now_ms) for each in breakers)]
        positions = tuple(_position(each, *sources.best(each.market)) for each in ledger.positions.values())
        rates = sources.rates()
        settled, reserved = ledger.settled_total, ledger.reserved_total
        return Status(
            at_ms=now_ms,
            started_ms=self._started_ms,
            version=self._version,
            environment=self._environment,
            run_id=ledger.run_id,
            model=sources.model(),
            charts=states,
            cause=next(line.cause for line in reversed(self._history[TRADER]) if line.state == trader.path),
            holds=ledger.holds,
            restrictions=ledger.restrictions,
            degradations=sources.degradations(),
            feeds=tuple(sources.feeds()),
            feeds_usable=sources.feeds_usable(),
            markets=dict(sources.markets()),
            markets_unread=dict(sources.markets_unread()),
            pause=sources.pause(),
            breakers=breakers,
            rates=rates,
            account_agreed=ledger.account_agreed,
            last_divergence=self._last_divergence,
            audit_detail=sources.audit_detail(),
            orders=_orders(ledger),
            session=ledger.session,
            last_fills=tuple(_fill(ledger, each) for each in reversed(ledger.executions)),
            last_refusal=sources.last_refusal(),
            last_alarms=tuple(self._alarms),
            cash=CashStatus(settled, reserved, settled - reserved - sources.reserve_threshold()),
            positions=tuple(each for each in positions if each.count),
            profit=_profit(positions),
            startup=sources.startup.steps,
            health=sources.health.assess(assessed, now_ms, rates),
            actor=sources.actor(),
            history=tuple(self._history[TRADER]),
            activity=self._activity(),
        )

    def _activity(self) -> Activity:
        sources = self._sources
        labelled = {
            "orders": dict(self._orders_total),
            "refused_by_exchange": dict(self.refused_by_exchange),
            "cancelled_by_exchange": dict(self.cancelled_by_exchange),
            "ledger": dict(sources.ledger.counts),
            **{name: dict(counts) for name, counts in sources.labelled().items()},
        }
        return Activity(dict(sources.counters()), labelled, dict(sources.gauges()))

    def _breaker(self, breaker: CircuitBreaker, now_ms: Milliseconds) -> BreakerStatus:
        """Its times are seconds of another clock: shown as moments of ours and as a wait."""
        now_s = self._sources.now_s()
        since_ms = None if breaker.since is None else now_ms - round((now_s - breaker.since) * SECOND_MS)
        probe_in_ms = None if breaker.probe_at is None else max(0, round((breaker.probe_at - now_s) * SECOND_MS))
        return BreakerStatus(breaker.name, breaker.state, breaker.cause, since_ms, probe_in_ms, breaker.failures)


def _orders(ledger: LedgerView) -> tuple[OrderStatus, ...]:
    return tuple(
        OrderStatus(
            record.client_order_id,
            record.spec.market,
            record.spec.side,
            record.spec.price,
            record.spec.count,
            record.filled,
            record.state,
            record.ours,
            record.intended_ms,
        )
        for record in ledger.live()
    )


def _fill(ledger: LedgerView, execution: Execution) -> FillStatus:
    fill = execution.fill
    return FillStatus(
        fill.at_ms,
        fill.market,
        fill.side,
        fill.price,
        fill.count,
        fill.fee,
        execution.realised,
        fill.is_taker,
        *ledger.origin(execution),
    )


def _position(position: Position, bid: Price | None, ask: Price | None) -> PositionStatus:
    mid = (bid + ask) // 2 if bid is not None and ask is not None else None
    closes_at = bid if position.count > 0 else ask
    return PositionStatus(
        position.market,
        position.count,
        position.cost // abs(position.count) if position.count else 0,
        position.cost,
        mid,
        unrealised(position, mid) if mid is not None else None,
        unrealised(position, closes_at) if closes_at is not None else None,
        position.realised,
        position.fees,
    )


def _profit(positions: Sequence[PositionStatus]) -> ProfitStatus:
    held = [each for each in positions if each.count]
    return ProfitStatus(
        realised=sum(each.realised for each in positions),
        unrealised=sum(each.unrealised or 0 for each in held),
        unrealised_conservative=sum(each.unrealised_conservative or 0 for each in held),
        fees=sum(each.fees for each in positions),
        unmarked=sum(1 for each in held if each.unrealised is None or each.unrealised_conservative is None),
    )
