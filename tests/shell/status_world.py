"""A small daemon's worth of sources for tests of what people see: a real ledger, real charts, a clock in hand."""

from __future__ import annotations

from collections import Counter

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.degradation import Degradation
from kalshi_daemon.core.error_tally import ErrorTally
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.core.health_monitor import HealthMonitor
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.rate_governor import RateGovernor
from kalshi_daemon.core.startup import StartupTracker
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountFact,
    AccountOpened,
    FillSeen,
    HoldKind,
    OrderAcknowledged,
    OrderIntended,
    OrderSent,
    OrderSpec,
    RunStarted,
)
from kalshi_daemon.shell.feeds import FeedStatus
from kalshi_daemon.shell.state_reporter import StateReporter, StatusSources
from kalshi_daemon.shell.status import ActorStatus, RefusalStatus, Status
from kalshi_daemon.units import BookSide, TimeInForce

START_MS = 1_795_500_000_000
MARKET = "KXA-26"


class World:
    """`step` moves a chart, `tell` folds a fact and shows the news to the reporter, `status` asks."""

    def __init__(self) -> None:
        self.at_ms = START_MS
        self.ledger = Ledger()
        self.startup = StartupTracker(["key", "exchange"])
        self.health = HealthMonitor()
        self.breaker = CircuitBreaker("order_writes", failures_max=1, window_s=10.0, wait_s=(5.0, 60.0), probe_s=5.0)
        self.governor = RateGovernor()
        self.errors = ErrorTally()
        self.degradations: tuple[Degradation, ...] = ()
        self.audit_detail = ""
        self.feeds_usable = True
        self.feeds = (FeedStatus("orderbook", "streaming.current", START_MS, 120, ""),)
        self.markets = {"series": 2, "volume": 3}
        self.markets_unread: dict[str, str] = {}
        self.pause: Pause | None = None
        self.best: tuple[int | None, int | None] = (5_500, 5_700)
        self.refused: Counter[str] = Counter()
        self.last_refusal: RefusalStatus | None = None
        self.actor: ActorStatus | None = None
        self.reporter = StateReporter(self._sources(), "demo", "0.1.0")

    def _sources(self) -> StatusSources:
        return StatusSources(
            ledger=self.ledger,
            startup=self.startup,
            health=self.health,
            degradations=lambda: self.degradations,
            audit_detail=lambda: self.audit_detail,
            feeds=lambda: self.feeds,
            feeds_usable=lambda: self.feeds_usable,
            markets=lambda: self.markets,
            markets_unread=lambda: self.markets_unread,
            pause=lambda: self.pause,
            breakers=lambda: [self.breaker],
            rates=lambda: self.governor.statuses((self.at_ms - START_MS) / 1_000),
            best=lambda _market: self.best,
            reserve_threshold=lambda: 20_000_000,
            last_refusal=lambda: self.last_refusal,
            counters=lambda: {"book_deltas": 120, "policy_decisions": 7},
            gauges=lambda: {"bus_waiting": 0},
            labelled=lambda: {
                "refused": self.refused,
                "frames_malformed": {"unknown_type": 2},
                "errors": self.errors.by_fault,
                "unknown_codes": self.errors.unknown_codes,
            },
            model=lambda: "onnx:ab12",
            actor=lambda: self.actor,
            now_ms=lambda: self.at_ms,
            now_s=lambda: (self.at_ms - START_MS) / 1_000,
        )

    def step(self, path: str, event: str, chart: str = "trader", instance: str = "") -> None:
        self.reporter.stepped(chart, Step(event, taken=True, entered=(tuple(path.split(".")),)), instance)

    def tell(self, *facts: AccountFact) -> None:
        for fact in facts:
            self.reporter.saw(fact, self.ledger.apply(fact))

    def hold(self, kind: HoldKind, cause: str, subject: str = "") -> None:
        self.tell(hold(kind, cause, self.at_ms, subject))

    def status(self) -> Status:
        status = self.reporter.status()
        assert status is not None
        return status


def intended(number: int, at_ms: int, price: int = 5_000, count: int = 500) -> OrderIntended:
    spec = OrderSpec(MARKET, BookSide.BID, price, count, TimeInForce.IMMEDIATE_OR_CANCEL, False, False, None, 0)
    return OrderIntended(
        at_ms, number, f"kd-abcdef0123-{number}", spec, price * count + 10_000, "policy", 3, "ab12", ""
    )


def trading_world() -> World:
    """Trading since 3 s, $100 of cash, five contracts bought at 50 cents of ten asked."""
    world = World()
    world.step("starting.preflight", "start")
    world.tell(
        RunStarted(START_MS, "abcdef0123", "0.1.0"),
        AccountOpened(START_MS, ((0, 100_000_000),), ()),
        AccountAgreed(START_MS, START_MS, ((0, 100_000_000),), 0, 0),
    )
    world.at_ms += 1_250
    world.step("calibrating", "feeds_ready")
    world.at_ms += 750
    world.step("trading.normal", "calibrated")
    world.step("running", "start", "actor")
    world.step("session.live", "subscribed", "connection", "market")
    world.at_ms += 3_000
    order = intended(1, world.at_ms, count=1_000)
    world.tell(
        order,
        OrderSent(world.at_ms, order.client_order_id),
        OrderAcknowledged(world.at_ms, order.client_order_id, "o-1", 500, 500, world.at_ms),
        filled(world.at_ms, order.client_order_id),
    )
    return world


def filled(at_ms: int, client_order_id: str) -> FillSeen:
    return FillSeen(
        at_ms=at_ms,
        source="stream",
        trade_id="t-1",
        order_id="o-1",
        client_order_id=client_order_id,
        market=MARKET,
        side=BookSide.BID,
        price=5_000,
        count=500,
        fee=87_500,
        is_taker=True,
        ts_ms=at_ms,
        exchange_index=0,
    )
