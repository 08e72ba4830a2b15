"""The health monitor: chart states, reconnects, paces and violations in, a verdict with its reasons out.

Rules: health reports and charts decide: nothing is paused, stopped or tried again because of a verdict. A verdict is
the worst of its reasons, and ok has none. The words about a state are the chart's own sentence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.core.chart_states import sentences
from kalshi_daemon.core.rate_governor import RateStatus
from kalshi_daemon.limits import RECONNECTS_MAX, RECONNECTS_WINDOW_MS
from kalshi_daemon.units import Milliseconds


class Verdict(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # it works, or will by itself; somebody may want to know
    FAILING = "failing"  # it does not do its work, and does not mend itself


_RANK: Final = {Verdict.OK: 0, Verdict.DEGRADED: 1, Verdict.FAILING: 2}

# The states that are not well, by chart; the longest prefix of a path wins, and a state without one is well.
STATE_VERDICTS: Final[Mapping[str, Mapping[str, Verdict]]] = {
    "trader": {
        "starting": Verdict.DEGRADED,
        "calibrating": Verdict.DEGRADED,
        "trading.reducing": Verdict.DEGRADED,
        "paused": Verdict.DEGRADED,
        "paused.unswept": Verdict.FAILING,
        "recovering": Verdict.DEGRADED,
        "stopping": Verdict.DEGRADED,
        "failed": Verdict.FAILING,
    },
    "connection": {
        "session.connecting": Verdict.DEGRADED,
        "backing_off": Verdict.DEGRADED,
        "refused": Verdict.FAILING,
    },
    "orderbook_feed": {"polling": Verdict.DEGRADED, "polling.filling": Verdict.FAILING},
    "actor": {"disabled": Verdict.FAILING},
    "circuit_breaker": {"open": Verdict.DEGRADED, "half_open": Verdict.DEGRADED, "latched": Verdict.FAILING},
}


@frozen
class ChartState:
    """One chart at a moment. `instance` tells charts of one kind apart (a session, a breaker); it may be empty."""

    chart: str
    instance: str
    path: str
    since_ms: Milliseconds

    @property
    def label(self) -> str:
        return f"{self.chart} {self.instance}" if self.instance else self.chart


@frozen
class HealthReason:
    verdict: Verdict
    subject: str
    text: str


@frozen
class Health:
    verdict: Verdict
    reasons: tuple[HealthReason, ...] = ()  # worst first


class HealthMonitor:
    """Keeps the moments of reconnects, and what was violated."""

    def __init__(self) -> None:
        self._reconnects: deque[Milliseconds] = deque(maxlen=RECONNECTS_MAX)
        self._violated: list[str] = []  # one for each rule of `core/invariants.py`, which are ten

    def reconnected(self, now_ms: Milliseconds) -> None:
        self._reconnects.append(now_ms)

    def violated(self, text: str) -> None:
        """A mistake of ours, which no time mends: failing from now on."""
        self._violated.append(text)

    def flapping(self, now_ms: Milliseconds) -> str:
        """What is wrong with the sessions where they came and went too often; else empty."""
        recent = [at_ms for at_ms in self._reconnects if now_ms - at_ms <= RECONNECTS_WINDOW_MS]
        if len(recent) < RECONNECTS_MAX:
            return ""
        return f"{len(recent)} reconnects in {RECONNECTS_WINDOW_MS // 60_000} minutes"

    def assess(self, states: Iterable[ChartState], now_ms: Milliseconds, rates: Iterable[RateStatus] = ()) -> Health:
        reasons = [reason for state in states if (reason := _of_state(state)) is not None]
        reasons += [_of_rate(rate) for rate in rates if rate.pace < 1]
        reasons.extend(HealthReason(Verdict.FAILING, "invariant", text) for text in self._violated)
        if flapping := self.flapping(now_ms):
            reasons.append(HealthReason(Verdict.DEGRADED, "connection", flapping))
        reasons.sort(key=lambda reason: -_RANK[reason.verdict])
        return Health(reasons[0].verdict if reasons else Verdict.OK, tuple(reasons))


def _of_rate(rate: RateStatus) -> HealthReason:
    text = f"the exchange answered 429: {rate.budget} requests go at {rate.pace:.0%} of their pace, and get faster"
    return HealthReason(Verdict.DEGRADED, "rate limit", text)


def _of_state(state: ChartState) -> HealthReason | None:
    verdicts = STATE_VERDICTS[state.chart]
    parts = state.path.split(".")
    for length in range(len(parts), 0, -1):
        verdict = verdicts.get(".".join(parts[:length]))
        if verdict is not None:
            return HealthReason(verdict, state.label, f"{state.path}: {sentences(state.chart)[state.path]}")
    return None
