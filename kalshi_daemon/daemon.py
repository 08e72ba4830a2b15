"""The composition root: binds the names in the trader's chart to tasks and guards, and is one daemon's whole life.

This is the only place that does. A name in `statecharts/trader.py` is a method below; what it calls lives in `shell/`.
Nothing is decided here: charts decide what runs, the risk gate decides what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio
from attrs import asdict

from kalshi_daemon import __version__, limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.crashes import innermost_line, leaves_of_group
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Escalation, Runner
from kalshi_daemon.commands import AmendOrder, CancelOrder, Command, FetchFills, PlaceOrder, Poke, Proposal, RaiseAlarm
from kalshi_daemon.config import Config
from kalshi_daemon.core.changes import (
    Change,
    Diverged,
    FillBooked,
    HoldsChanged,
    OrderMoved,
    PositionSettled,
    RestrictionsChanged,
)
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.market_universe import MarketChange, MarketMoved
from kalshi_daemon.core.order_rate import RATE_CODE
from kalshi_daemon.errors import EXIT_CRASHED, EXIT_STOPPED, EXIT_UNVERIFIED, OperatingError
from kalshi_daemon.facts import (
    AccountDoubted,
    AccountFact,
    Alarmed,
    AmendRefused,
    AmendWithheld,
    CancelSent,
    HoldKind,
    HoldLifted,
    OrderRefused,
    OrderWithheld,
    RestrictionKind,
    RestrictionLifted,
    RestrictionPlaced,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.parts import Hooks, Parts
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.shell.ids import new_run_id
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.sweeper import INCREASING
from kalshi_daemon.surface import Surface
from kalshi_daemon.tasks import Links, Tasks
from kalshi_daemon.wire.error_bodies import RATE_LIMITED
from kalshi_daemon.wire.error_codes import Remedy, meaning_of_code
from statecharts.order import AM
from statecharts.trader import TRADER

TRADING: Final = ("trading",)
OVER: Final = frozenset({"closed", "determined", "disputed", "amended", "finalized"})  # of a market: it pays, or will
UNDIALLED: Final = frozenset({"backing_off", "refused"})  # of a session: it has a diagnosis
EXIT_OVERDUE: Final = "exit_overdue"  # the runner's: a task that was cancelled did not end within EXIT_LIMIT_S


class Daemon:
    """One daemon. `run` is its whole life, and gives the exit code."""

    def __init__(self, config: Config, seams: Seams) -> None:
        self.config = config
        self.seams = seams
        self._crashes = 0
        self._polled = False  # whether the restriction `polled_books` was posted and not lifted since
        self._alarmed: dict[str, tuple[str, float]] = {}  # as long as the list of alarms, which the code names
        self.tasks: Tasks  # made below of the parts, which are made of what it does
        self.runner: Runner
        hooks = Hooks(
            on_command=self._command,
            on_step=self._stepped,
            alarm=self.alarm,
            say=lambda text: log.warning("frame", detail=text),
            feeds_lost=lambda: self.runner.post("feeds_lost"),
            private_lost=self._doubt,
            rate_spent=self._rate_spent,
            on_changes=self._note_markets,
            trader_state=lambda: self.runner.innermost,
        )
        self.parts = Parts(config, seams, hooks)
        self.surface = Surface(self.parts, lambda: asdict(self.runner.counts))
        self._delays = Delays(seams.rng)
        links = Links(
            post=self._post,
            alarm=self.alarm,
            on_step=self._stepped,
            stop=self.stop,
            state=lambda: self.runner.innermost,
        )
        self.tasks = Tasks(self.parts, self.surface, self._delays, links)
        self.runner = Runner(
            Chart(TRADER, self._guards()),
            self.tasks.bindings(),
            self._delays.callables,
            limits.CHART_RESTARTS,
            on_step=lambda step: self._stepped("trader", step),
            on_alarm=self.alarm,
            on_plan=self._planned,
        )
        self.parts.bus.listen(self._told)

    # --------------------------------------------------------------------------------------------------- the bindings

    def _guards(self) -> Mapping[str, Callable[[], bool]]:
        parts = self.parts
        ledger = parts.ledger
        return {
            "held": lambda: ledger.held,
            "restricted": lambda: ledger.restricted,
            "sweep_wanted": lambda: ledger.sweep_wanted,
            "account_agreed": lambda: ledger.account_agreed,
            "feeds_usable": lambda: parts.coordinator.feeds_usable,
            "crashes_left": lambda: self._crashes < limits.CRASHES_MAX,
        }

    # ------------------------------------------------------------------------------------------------- the whole life

    async def run(self) -> int:
        """The exit code: 0 stopped and swept, 75 stopped and not verified, 77 or 78 for a person, 1 crashed."""
        run_id = new_run_id(self.seams.rng, self.parts.clock.now_ms())
        self._post(RunStarted(self.parts.clock.now_ms(), run_id, __version__))
        if self.parts.recorder is not None:
            self.parts.recorder.begin(run_id)
        try:
            async with self.parts.rest, self.parts.market_rest:
                ended = await self.runner.run()
        except* Exception as errors:  # noqa: BLE001 - the last who can say it; what is open is closed whatever it is
            for error in leaves_of_group(errors):
                log.error("ended", cause=_words(error), next="the process ends, and is started again")
            ended = "failed"
        finally:
            self._close()
        code = self._exit_code(ended)
        if self.tasks.lost is not None:
            self.seams.abort(code)
        return code

    def _close(self) -> None:
        """A journal that was lost is left as it is, by an end without ado: its library would remove a log by its name,
        and the name may be another daemon's by now.
        """
        if self.parts.journal is not None and self.tasks.lost is None:
            self.parts.journal.close()
        self.parts.notifier.close()

    def _exit_code(self, ended: str) -> int:
        if ended == "stopped":
            swept = EXIT_STOPPED if self.tasks.lost is None else self.tasks.lost.exit_code
            return swept if self.tasks.swept else EXIT_UNVERIFIED
        return self.tasks.ended_by.exit_code if self.tasks.ended_by is not None else EXIT_CRASHED

    def stop(self) -> None:
        """Never taken back; asked again it changes nothing."""
        if not self.runner.is_in("stopping"):
            self.parts.notifier.stopping("stopping: our orders are being cancelled and verified")
        self.runner.post("stop")

    async def reload(self, who: str) -> None:
        """As the command does, for a signal, which nobody answers."""
        try:
            text = await self.surface.reload(ControlRequest("reload", who=who), self.tasks.model_replaced)
            log.info("reload", result=text)
        except OperatingError as refused:
            self.alarm("reload_refused", str(refused))

    # ------------------------------------------------------------------------------------------------ what is told us

    def _command(self, command: Command) -> None:
        """From the bus, after the facts that led to it are durable."""
        match command:
            case PlaceOrder() | AmendOrder() | CancelOrder():
                self.parts.writer.accept(command)
            case Poke():
                self.runner.post(command.event)
            case FetchFills():
                self.parts.sync.want()
            case RaiseAlarm():
                self.alarm(command.alarm, command.text)

    def _told(self, news: News) -> None:
        """What is durable, in order: for the invariants, for people, and for who decides again because of it."""
        self.parts.invariants.saw(news.fact, news.changes)
        self.surface.reporter.saw(news.fact, news.changes)
        if isinstance(news.fact, OrderRefused | AmendRefused):
            self._order_refused(news.fact)
        elif isinstance(news.fact, OrderWithheld | AmendWithheld) and news.fact.code == RATE_CODE:
            self._rate_spent()
        for change in news.changes:
            self._account_changed(change)
            self._say_why(change, news.fact)

    def _say_why(self, change: Change, fact: AccountFact) -> None:
        """What keeps it from trading is in the log when it begins and when it ends, with its cause."""
        ledger = self.parts.ledger
        by = fact.by if isinstance(fact, HoldLifted | RestrictionLifted) else "a new run"
        if isinstance(change, HoldsChanged):
            held = ledger.find_hold(change.hold, change.subject)
            if change.placed and held is not None:
                log.warning("hold", kind=held.kind, subject=held.subject, cause=held.cause, cleared_by=held.cleared_by)
            elif not change.placed:
                log.info("hold_lifted", kind=change.hold, subject=change.subject, by=by)
        elif isinstance(change, RestrictionsChanged):
            cause = next((each.cause for each in ledger.restrictions if each.kind == change.restriction), "")
            if change.placed:
                log.warning("restriction", kind=change.restriction, cause=cause, until_then="only reductions pass")
            else:
                log.info("restriction_lifted", kind=change.restriction, by=by)

    def _order_refused(self, fact: OrderRefused | AmendRefused) -> None:
        """A 409 outranks what the exchange's status and the market's own say."""
        parts, remedy = self.parts, meaning_of_code(fact.status, fact.code).remedy
        parts.groups.refused(fact)
        if remedy is Remedy.STOP_MARKET:
            market = parts.ledger.orders[fact.client_order_id].spec.market
            self._note_markets(parts.universe.trading_refused(market, parts.clock.exchange_now_ms()))
        elif remedy is Remedy.HOLD_EXCHANGE and parts.ledger.find_hold(HoldKind.EXCHANGE) is None:
            self._post(hold(HoldKind.EXCHANGE, f"an order was refused: {fact.code}", parts.clock.now_ms()))
        elif remedy is Remedy.HOLD_ACCESS:
            market = parts.ledger.orders[fact.client_order_id].spec.market
            text = f"an order on {market} was refused: {fact.status} {fact.code}; see the key's scopes and region"
            self.alarm("order_access", f"{text}, then `resume`: the market waits for it")
        elif fact.code == RATE_LIMITED:
            self._rate_spent()

    def _rate_spent(self) -> None:
        """The policy is quiet for a moment; closing rules and cancels go on."""
        if self.tasks.actor_runner is not None:
            self.tasks.actor_runner.post("rate_spent")

    def _account_changed(self, change: Change) -> None:
        """What moved is not compared for a while, and its market is decided again."""
        parts = self.parts
        if isinstance(change, FillBooked):
            parts.fee_forecast.saw(change.fill)
            parts.calibration.moved(change.fill.market, change.fill.ts_ms)
            parts.books.touch(change.fill.market)
        elif isinstance(change, PositionSettled):
            parts.calibration.moved(change.market, parts.clock.exchange_now_ms())
        elif isinstance(change, OrderMoved):
            parts.calibration.order_moved(parts.clock.exchange_now_ms())
            if change.record.ours:
                parts.books.touch(change.record.spec.market)

    def _planned(self, step: Step) -> None:
        if TRADING in step.entered:
            self.parts.invariants.entering(step.event, self.parts.levels())

    def _stepped(self, chart: str, step: Step) -> None:
        if chart == "trader" and step.event == "task_crashed":
            self._crashes += 1
        if step.event in {"dropped", "silent"}:
            self._reconnected()
        if chart == "trader" and step.event == "steady":
            self._crashes = 0
            self._delays.reset()
            self.parts.recovery.steady()
        if chart == "actor" and step.event == "policy_failed" and self.parts.policy.actor is not None:
            self.parts.policy.actor.failed("the decision loop crashed")
        if not step.entered and not step.exited:
            return
        self.surface.stepped(chart, step)
        left, entered = step.exited[:1], step.entered[-1:]
        if left == entered:  # a state entered again, such as a feed polled each second: no news
            self._remind(step.event)
            return
        fact = StateChanged(
            self.parts.clock.now_ms(),
            chart,
            ".".join(left[0]) if left else "",
            ".".join(entered[0]) if entered else "",
            step.event,
        )
        self._post(fact)
        why = {"cause": cause} if (cause := self._cause_of(chart, fact.entered)) else {}
        log.info("state", chart=chart, entered=fact.entered, left=fact.left, through=step.event, **why)
        if chart == "trader":
            self._trader_stepped(fact)
        elif chart.startswith("orderbook_feed"):
            self._restrict_polled()

    def _cause_of(self, chart: str, entered: str) -> str:
        """Why a session lost its socket, or did not get one, in the words of whoever refused it."""
        sessions = self.parts.coordinator.sessions if entered in UNDIALLED else ()
        return next((each.diagnosis for each in sessions if each.name == chart), "")

    def _reconnected(self) -> None:
        now_ms = self.parts.clock.now_ms()
        self.parts.health.reconnected(now_ms)
        if flapping := self.parts.health.flapping(now_ms):
            self.alarm("reconnects", f"{flapping}: see the network, and the status history for what ended the sessions")

    def _remind(self, event: str) -> None:
        """Two time limits enter their state again because somebody should know that it lasts."""
        if event == "reminder_due":
            ledger = self.parts.ledger
            kinds = [*(each.kind.value for each in ledger.holds), *(each.kind.value for each in ledger.restrictions)]
            by = ", ".join(kinds) or "nothing"
            self.alarm("reminder", f"still {self.runner.innermost} by {by}; `why` says what ends it")
        elif event == "poll_overdue" and self.parts.ledger.find_hold(HoldKind.EXCHANGE) is None:
            limit_s, detail = limits.CHART_LIMITS["poll_limit"], self.parts.coordinator.books_detail
            self.alarm("poll_overdue", f"no book could be read for {limit_s} s: {detail or 'no round was complete'}")

    def _trader_stepped(self, fact: StateChanged) -> None:
        if fact.event == "preflight_passed":
            self.parts.preflight.passed.set()
        if fact.entered == "trading.reducing":
            self.parts.sweeper.cancel(INCREASING, "only reductions pass")
        if fact.entered == "failed":
            self._failed()
        else:
            self.parts.notifier.status(f"{fact.entered} ({fact.event})")

    def _failed(self) -> None:
        """The last words, for the log, the journal and systemd."""
        cause = self.tasks.ended_by
        text = str(cause) if cause is not None else "a task crashed that it cannot live without: see the alarm before"
        self.alarm("failed", text)
        self.parts.notifier.status(f"failed: {text}")

    def _restrict_polled(self) -> None:
        """Books read by REST are usable for reductions only: where none is streamed, the account says so. What was
        posted last counts, not what is folded yet.
        """
        now_ms, restriction = self.parts.clock.now_ms(), RestrictionKind.POLLED_BOOKS
        polled = self.parts.books.polled
        if polled and not self._polled:
            cause = self.parts.coordinator.books_detail or "the stream is not proven"
            self._post(RestrictionPlaced(now_ms, restriction, cause))
        elif not polled and self._polled:
            self._post(RestrictionLifted(now_ms, restriction, "the stream is proven again"))
        self._polled = polled

    def _doubt(self, cause: str) -> None:
        self.parts.account_poller.doubted()
        self._post(AccountDoubted(self.parts.clock.now_ms(), cause))
        self.parts.sync.want()

    def _note_markets(self, changes: Sequence[MarketChange]) -> None:
        for change in changes:
            if isinstance(change, Diverged):
                self._post(hold(HoldKind.DIVERGENCE, change.text, self.parts.clock.now_ms(), subject=change.subject))
            elif change.market.ticker in self.parts.books.books:
                self._market_moved(change)

    def _market_moved(self, change: MarketMoved) -> None:
        """The exchange cancels everything that rests on a market that it activates again (statecharts.md, market)."""
        ticker, status = change.market.ticker, change.market.status
        log.info("market", ticker=ticker, status=status, before=change.before)
        self.parts.books.touch(ticker)
        if status in OVER and self.parts.ledger.position(ticker):
            self.parts.sync.closed()
        if (change.before, status) == ("inactive", "active"):
            for record in self.parts.ledger.live(ticker):
                if record.ours and (record.rests or record.state == AM):
                    self._post(CancelSent(self.parts.clock.now_ms(), record.client_order_id))
            self.parts.sync.want()

    def alarm(self, name: str, text: str) -> None:
        """An ERROR line, a fact, a metric; the same text is not repeated within `ALARM_REPEAT_S`."""
        now_s = trio.current_time()
        last_text, last_s = self._alarmed.get(name, ("", 0.0))
        if text == last_text and now_s - last_s < limits.ALARM_REPEAT_S:
            return
        self._alarmed[name] = (text, now_s)
        log.error("alarm", name=name, text=text)
        self._post(Alarmed(self.parts.clock.now_ms(), name, text))
        if name == EXIT_OVERDUE:
            self.seams.abort(EXIT_CRASHED)

    def _post(self, item: AccountFact | Proposal) -> None:
        self.parts.bus.post(item)


def _words(error: BaseException) -> str:
    """What the world did says it itself; of a mistake of ours, the place too."""
    return str(error) if isinstance(error, Escalation | OperatingError) else innermost_line(error)
