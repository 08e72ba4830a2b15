"""The parts of one daemon, built in the order in which they need each other. Nothing runs here, and nothing is
decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Step
from kalshi_daemon.commands import Command
from kalshi_daemon.config import Config
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.drift import likely_cause
from kalshi_daemon.core.exchange_hours import ExchangeHours
from kalshi_daemon.core.fee_forecast import FeeForecast
from kalshi_daemon.core.figure_watch import FigureWatch
from kalshi_daemon.core.health_monitor import HealthMonitor
from kalshi_daemon.core.invariants import Invariants
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.core.market_selection import Filters, MarketSelection
from kalshi_daemon.core.market_universe import MarketChange, MarketUniverse
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.core.order_rate import increases_left
from kalshi_daemon.core.risk import BookEvidence, Levels, RiskLimits, cash_reserve
from kalshi_daemon.facts import AccountFact, AmendSent, DriftSeen, OrderSent, PositionReported
from kalshi_daemon.policy_parts import PolicyParts
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.account_identity import AccountIdentity
from kalshi_daemon.shell.account_poller import AccountPoller
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.batch_recorder import BatchRecorder, BatchSources
from kalshi_daemon.shell.book_memory import remember
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.calibration_service import CalibrationService
from kalshi_daemon.shell.clock import EASTERN
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.error_recovery import ErrorRecoveryManager
from kalshi_daemon.shell.event_bus import EventBus, News
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.shell.fill_listener import FillListener
from kalshi_daemon.shell.frame_faults import FrameFaults
from kalshi_daemon.shell.gates import Gates, GateViews
from kalshi_daemon.shell.hold_watch import HoldWatch
from kalshi_daemon.shell.journal import Journal
from kalshi_daemon.shell.journal_rotation import JournalRotation
from kalshi_daemon.shell.kill_latch import KillLatch
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.market_watch import MarketWatch
from kalshi_daemon.shell.notify import Notifier
from kalshi_daemon.shell.order_groups import OrderGroups
from kalshi_daemon.shell.order_writer import OrderWriter
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.shell.preflight import Preflight
from kalshi_daemon.shell.recorder import Recorder
from kalshi_daemon.shell.recording_directory import RecordingDirectory
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.session import SessionSeams
from kalshi_daemon.shell.signer import LateSigner
from kalshi_daemon.shell.snapshots import Snapshots
from kalshi_daemon.shell.sweeper import Sweeper
from kalshi_daemon.shell.sync_service import SyncService
from kalshi_daemon.shell.versions import versions
from kalshi_daemon.shell.watches import Watchdog
from kalshi_daemon.shell.websocket_coordinator import WebSocketCoordinator
from kalshi_daemon.units import SECOND_MS, Money, Ticker


@frozen
class Hooks:
    """What the parts tell the daemon. Each is called in the teller's own step and must not block."""

    on_command: Callable[[Command], None]
    on_step: Callable[[str, Step], None]
    alarm: Callable[[str, str], None]
    say: Callable[[str], None]
    feeds_lost: Callable[[], None]
    private_lost: Callable[[str], None]
    rate_spent: Callable[[], None]
    on_changes: Callable[[Sequence[MarketChange]], None]
    trader_state: Callable[[], str]


class Parts:
    def __init__(self, config: Config, seams: Seams, hooks: Hooks) -> None:
        self.config = config
        self.seams = seams
        self._hooks = hooks
        clock = self.clock = seams.clock
        self.notifier = Notifier(seams.variables)
        self.kill_latch = KillLatch(seams.kill_latch)
        self.health = HealthMonitor()
        self.ledger = Ledger()
        self.universe = MarketUniverse() if seams.practice is None else seams.practice.universe
        self.hours = ExchangeHours(EASTERN)
        self.invariants = Invariants(self.ledger, self._violated)
        self.fee_forecast = FeeForecast(self.universe.market, hooks.alarm)
        self.journal: Journal | None = None
        self.snapshots = Snapshots(self.ledger, seams.journal, seams.run_in_thread, hooks.alarm)
        self.rotation = JournalRotation(
            seams.journal,
            self.ledger,
            self.snapshots,
            bytes_max=config.journal_bytes_max,
            kept_max=config.journals_kept,
            run_in_thread=seams.run_in_thread,
            alarm=hooks.alarm,
        )
        self.risk_limits = _risk_limits(config)  # the same for the gates and for what proposes
        self.signer = LateSigner(seams.load_signer)
        self.market_rest = self._make_rest(Door(config.rest_urls, self.signer))
        self.rest = self.market_rest if seams.practice is None else self._make_rest(seams.practice.rest)
        self.faults = FrameFaults(trio.current_time, hooks.say)
        self.market_breakers = MarketBreakers()
        self.breaker = CircuitBreaker(
            "order_writes",
            failures_max=limits.WRITE_FAILURES_MAX,
            window_s=limits.WRITE_FAILURES_S,
            wait_s=limits.WRITE_PROBE_WAIT_S,
            probe_s=limits.WRITE_PROBE_S,
        )
        self._build_feeds()
        self._build_money()
        on_batch = None if self.recorder is None else self._record_batches(self.recorder).decided
        self.policy = PolicyParts(
            config, seams, self.books, self.inputs, self.increases_left, self.market_breakers, on_batch
        )
        self.preflight = Preflight(
            ledger=self.ledger,
            hours=self.hours,
            rest=self.market_rest,
            identity=AccountIdentity(
                self.environment, config.api_key_id, self.ledger, self.rest, clock, self.bus.settle
            ),
            snapshots=self.snapshots,
            rotation=self.rotation,
            clock=clock,
            open_key=self.signer.load,
            load_model=self.policy.load,
            latched=self.kill_latch.reason,
            settle=self.bus.settle,
            find_markets=self.market_watch.prepare,
        )
        self.watchdog = Watchdog(self.bus, self.ledger, clock, self.notifier, hooks.alarm)

    def _record_batches(self, recorder: Recorder) -> BatchRecorder:
        config = self.config
        sources = BatchSources(
            self.books.table, self.ledger, self.clock, self.reserve, config.order_sizes, config.pricing
        )
        return BatchRecorder(recorder, sources)

    def _make_rest(self, door: Door) -> RestClient:
        seams = self.seams
        return RestClient(door.urls, door.signer, seams.network, seams.clock, lanes=limits.REST_LANES, rng=seams.rng)

    def _build_feeds(self) -> None:
        hooks, seams = self._hooks, self.seams
        self.books = OrderBookClient(
            (),  # the market watch says which
            self.market_rest,
            self.clock,
            seams.rng,
            wanted=self._is_open,
            on_step=hooks.on_step,
            on_alarm=hooks.alarm,
            nearest=self._nearest,
        )
        self.recorder = self.books.table.recorder = _recorder(self.config, seams, self.books.table, hooks.alarm)
        if seams.practice is not None:
            self.books.table.on_book = seams.practice.on_book
        self.fills = FillListener(self._post)
        self.stream_figures = FigureWatch(self.ledger, "stream")
        self.positions = PositionListener(self.ledger.positions.get, hooks.private_lost, self._compare_figures)
        self.coordinator = WebSocketCoordinator(
            self.books,
            self.fills,
            self.positions,
            self.clock,
            socket_markets=self.config.socket_markets,
            on_market=lambda fact: self.market_watch.heard(fact),  # noqa: PLW0108 - it is made below
            on_market_missed=lambda: self.market_watch.missed(),  # noqa: PLW0108 - likewise
            on_private_lost=hooks.private_lost,
            on_feeds_lost=hooks.feeds_lost,
            account_polled=lambda: self.account_poller.active,
            account_read=lambda: self.account_poller.fresh,
        )
        self.market_watch = MarketWatch(
            _selection(self.config),
            self.universe,
            self.ledger,
            self.market_rest,
            self.clock,
            proven=lambda ticker: self.books.usable(ticker) and not self.books.is_polled(ticker),
            want=self.coordinator.want,
            on_changes=hooks.on_changes,
            alarm=hooks.alarm,
        )

    def _build_money(self) -> None:
        hooks, clock, ledger = self._hooks, self.clock, self.ledger
        self.inputs = MarketInputs(self.books, self.ledger, self.universe, self.clock, self.reserve)
        views = GateViews(
            ledger,
            self.universe,
            self.evidence,
            self.levels,
            lambda market: self.market_breakers.ready(market, trio.current_time()),
        )
        self.gates = Gates(views, self.risk_limits, clock, hooks.rate_spent)
        self.bus = EventBus(ledger, OrderManager(), self._append, self.gates.decide, hooks.on_command)
        settle = self.bus.settle
        self.groups = OrderGroups(self.rest, ledger, clock, settle, self.risk_limits.order_count_max)
        self.bus.listen(self._look_at_snapshots)
        self.writer = OrderWriter(
            self.rest,
            self._post_written,
            self.gates.ask,
            self.breaker,
            self.market_breakers,
            clock,
            self.gates.ask_amend,
            self.groups.of,
        )
        self.reader = AccountReader(self.rest, ledger, clock, settle)
        self.account_poller = AccountPoller(
            self.reader,
            ledger,
            clock,
            settle,
            streamed=lambda: self.coordinator.live(Role.FILLS),
            why=lambda: self.coordinator.private_lost,
        )
        self.calibration = CalibrationService(
            self.reader, ledger, clock, settle, self.inputs.portfolio_value, hooks.alarm
        )
        self.sync = SyncService(self.reader, self.calibration, ledger, clock, settle, hooks.alarm)
        self.sweeper = Sweeper(self.reader, self.writer, ledger, clock, settle)
        self.recovery = ErrorRecoveryManager(self.market_rest, self.coordinator, self.sweeper, clock, settle)
        self.hold_watch = HoldWatch(
            ledger,
            clock,
            settle,
            feeds_usable=lambda: self.coordinator.feeds_usable,
            agreements=lambda: self.calibration.agreements,
            reachable=self.recovery.reachable,
        )

    def _compare_figures(self, told: PositionReported) -> None:
        """What the stream says of a position that rests. It holds nothing, and corrects nothing."""
        theirs = {"cost": told.cost, "realised": told.realised, "fees": told.fees}
        for each in self.stream_figures.look(told.market, theirs):
            now_ms, cause = self.clock.now_ms(), likely_cause(each, (each,))
            self._post(DriftSeen(now_ms, each.what, each.subject, each.ours, each.theirs, cause, "stream"))
            self._hooks.alarm("figures", f"{each.text}, by its stream")

    def _post_written(self, fact: AccountFact) -> None:
        """From the order writer, in the step of its writing: what it sends is asked about where the levels are."""
        if isinstance(fact, OrderSent | AmendSent):
            self.invariants.leaving(fact.client_order_id, self.levels(), self.evidence, self.breaker.state)
        self._post(fact)

    def _violated(self, text: str) -> None:
        self.health.violated(text)
        self._hooks.alarm("invariant_violated", f"{text}: a defect of ours; stop, keep the journal, report it")

    # --------------------------------------------------------------------------------------------------------- levels

    def levels(self) -> Levels:
        return Levels(
            trader=self._hooks.trader_state(),
            feeds_usable=self.coordinator.feeds_usable,
            breaker_allows=self.breaker.ready(trio.current_time()),
        )

    def evidence(self, market: Ticker) -> BookEvidence:
        book = self.books.books.get(market)
        silent_s = min(self.books.evidence_age_s(market), limits.SILENCE_SHOWN_MAX_S)
        return BookEvidence(
            usable=self.books.usable(market),
            evidence_age_ms=round(silent_s * SECOND_MS),
            best_bid=book.best_bid if book else None,
            best_ask=book.best_ask if book else None,
            polled=self.books.is_polled(market),
        )

    def reserve(self) -> Money:
        return cash_reserve(self.ledger.bankroll, self.risk_limits)

    def increases_left(self) -> int:
        """How many orders that increase may be proposed now, as far as the account is concerned."""
        ledger = self.ledger
        if self._hooks.trader_state() != "trading.normal" or ledger.held or ledger.restricted:
            return 0
        return increases_left(ledger, self.clock.now_ms(), self.risk_limits)

    def _nearest(self) -> Iterable[Ticker]:
        """The markets that are nearest to a trade: those with a position or an order of ours, then by their last
        decision.
        """
        yield from (market for market, position in self.ledger.positions.items() if position.count)
        yield from (record.spec.market for record in self.ledger.live())
        if self.policy.actor is not None:
            yield from self.policy.actor.last_decided()

    def _is_open(self, ticker: Ticker) -> bool:
        market = self.universe.market(ticker)
        return market is not None and market.status == "active"

    # ---------------------------------------------------------------------------------------------- preflight's hands

    def open_journal(self) -> None:
        """Raises OperatingError. Preflight verifies and replays it, the bus writes it, the daemon closes it."""
        self.journal = Journal.open(self.seams.journal, self.seams.run_in_thread)
        self.preflight.journal = self.journal
        self.preflight.opened.set()

    def _look_at_snapshots(self, _news: News) -> None:
        if self.journal is not None:
            self.snapshots.look(self.journal)

    async def _append(self, facts: Sequence[AccountFact]) -> int:
        assert self.journal is not None, "the bus runs when the journal is open"
        return await self.journal.append(facts)

    def session_seams(self) -> SessionSeams:
        return SessionSeams(
            market=Door(self.config.ws_urls, self.signer),
            account=self._account_door(),
            network=self.seams.network,
            clock=self.clock,
            rng=self.seams.rng,
            on_fact=self.coordinator.on_fact,
            on_fault=self.faults.note,
            on_gap=self.coordinator.on_gap,
            on_change=self.coordinator.on_change,
            on_step=self._hooks.on_step,
            on_alarm=self._hooks.alarm,
            recorder=self.recorder,
        )

    @property
    def environment(self) -> str:
        return str(self.config.environment) + ("" if self.seams.practice is None else ", dry run")

    def _account_door(self) -> Door:
        practice = self.seams.practice
        return Door(self.config.ws_urls, self.signer) if practice is None else practice.ws

    def _post(self, fact: AccountFact) -> None:
        self.bus.post(fact)


def _recorder(config: Config, seams: Seams, table: BookTable, alarm: Callable[[str, str], None]) -> Recorder | None:
    if config.recording_dir is None:
        return None
    directory = RecordingDirectory(config.recording_dir, config.recording_bytes_max)
    return Recorder(directory, seams.clock, seams.run_in_thread, partial(remember, table), versions, alarm)


def _risk_limits(config: Config) -> RiskLimits:
    return RiskLimits(
        order_count_max=config.order_count_max,
        order_cost_max=config.order_cost_max,
        order_cost_bps=config.order_cost_bps,
        open_orders_market_max=config.open_orders_market_max,
        open_orders_account_max=config.open_orders_account_max,
        cash_reserve_bps=config.cash_reserve_bps,
    )


def _selection(config: Config) -> MarketSelection:
    filters = Filters(
        volume_min=config.volume_min,
        spread_max=config.spread_max,
        close_min_ms=config.close_min_ms,
        close_max_ms=config.close_max_ms,
    )
    return MarketSelection(config.markets, filters, config.markets_max)
