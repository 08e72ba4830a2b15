"""What people and machines see of a daemon, and the commands that they may give it.

One status for the CLI, the live view and the metrics; one set of operations for the control socket. Every command is
a fact in the journal, with who and why, before it takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import trio
from attrs import evolve

from kalshi_daemon import __version__
from kalshi_daemon.charts.chart import Step
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.degradation import Degradation, Degradations, Signs
from kalshi_daemon.core.holds import hold
from kalshi_daemon.errors import CommandRefused, ModelRefused
from kalshi_daemon.facts import (
    AccountFact,
    ForeignAdopted,
    ForeignIgnored,
    HoldKind,
    HoldLifted,
    ModelReplaced,
    OperatorSpoke,
)
from kalshi_daemon.parts import Parts
from kalshi_daemon.shell.control import ControlRequest, Operation
from kalshi_daemon.shell.event_bus import BusEnded
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.state_reporter import StateReporter, StatusSources
from kalshi_daemon.shell.status import ActorStatus, MarketStatus, RefusalStatus
from kalshi_daemon.shell.status_text import history_text, shortened, why
from kalshi_daemon.surface_counts import SECOND_US, counters, gauges, labelled
from kalshi_daemon.units import Price, Ticker

RESUMED: Final = (HoldKind.OPERATOR, HoldKind.DRAWDOWN, HoldKind.ACCESS)  # what a person lifts by `resume`
REASONED: Final = frozenset({"accept-divergence", "kill-clear", "group-reset"})  # commands that need a reason
ENDING: Final = "the daemon is ending, and takes no more commands"


class Surface:
    def __init__(self, parts: Parts, chart_counts: Callable[[], Mapping[str, int]]) -> None:
        """`chart_counts`: what became of the events and tasks of the trader's chart."""
        self._parts = parts
        self._chart_counts = chart_counts
        self._reloading = False
        self._degradations = Degradations()
        self.reporter = StateReporter(self._sources(), parts.environment, __version__)

    def stepped(self, chart: str, step: Step) -> None:
        """Feeds and sessions run one chart each under several names: a feed after its chart's, a session alone."""
        kind, _, instance = chart.partition(" ")
        named = kind in {"trader", "orderbook_feed", "actor"}
        self.reporter.stepped(kind if named else "connection", step, instance if named else chart)

    # ----------------------------------------------------------------------------------------------------- operations

    def operations(self, stop: Callable[[], None], model_replaced: Callable[[], None]) -> Mapping[str, Operation]:
        """`model_replaced`: another one is there; a policy that waits need wait no longer."""

        async def stop_daemon(request: ControlRequest) -> str:
            await self._spoken(request)
            stop()
            return "stopping: our orders are being cancelled and verified"

        return {
            "reload": lambda request: self.reload(request, model_replaced),
            "status": self._status,
            "why": self._why,
            "history": self._history,
            "markets": self._markets,
            "pause": self._pause,
            "resume": self._resume,
            "adopt": self._adopt,
            "ignore": self._ignore,
            "accept-divergence": self._accept_divergence,
            "kill-clear": self._clear_kill,
            "group-reset": self._reset_groups,
            "stop": stop_daemon,
        }

    async def _status(self, request: ControlRequest) -> object:
        del request
        await trio.lowlevel.checkpoint()
        return msgspec.to_builtins(self.reporter.status())

    async def _why(self, request: ControlRequest) -> str:
        del request
        await trio.lowlevel.checkpoint()
        status = self.reporter.status()
        return why(status) if status is not None else "the daemon has not begun"

    async def _history(self, request: ControlRequest) -> str:
        del request
        await trio.lowlevel.checkpoint()
        return history_text(self.reporter.history(), self._parts.clock.now_ms())

    async def _markets(self, request: ControlRequest) -> object:
        """Every market that is known; those that are in first, each side by why."""
        del request
        await trio.lowlevel.checkpoint()
        parts = self._parts
        rows = [
            MarketStatus(
                place.market,
                parts.universe.markets[place.market].status,
                place.wanted,
                place.leaving,
                place.why,
                place.text,
                place.since_ms,
                parts.universe.markets[place.market].close_ms,
            )
            for place in parts.market_watch.selection.places.values()
            if place.market in parts.universe.markets
        ]
        return msgspec.to_builtins(sorted(rows, key=lambda row: (not row.wanted, row.why, row.market)))

    async def _pause(self, request: ControlRequest) -> str:
        """The reason of the first stays: it is what whoever resumes has to know. A later one may still cancel."""
        await self._spoken(request)
        before = self._parts.ledger.find_hold(HoldKind.OPERATOR)
        cause = f"{request.who}: {request.why or 'no reason given'}" if before is None else before.cause
        placed = hold(HoldKind.OPERATOR, cause, self._parts.clock.now_ms())
        if request.cancel:
            placed = evolve(placed, cancels="all")
        if before is None or request.cancel:
            await self._settle(placed)
        if before is None:
            return "held by the operator; `resume` lifts it"
        too = "; resting orders are cancelled now" if request.cancel else ""
        return f"already held since {iso_time(before.since_ms)}: {before.cause}{too}; `resume` lifts it"

    async def _resume(self, request: ControlRequest) -> str:
        """Lifts what a person may lift, and says what remains and what would clear it."""
        await self._spoken(request)
        now_s = trio.current_time()
        self._parts.breaker.reset(now_s)
        self._parts.market_breakers.reset(now_s)
        await self._lift(RESUMED, request)
        left = [
            f"{each.kind} ({shortened(each.cause)}), cleared by {each.cleared_by}" for each in self._parts.ledger.holds
        ]
        return f"still held by {'; '.join(left)}" if left else "no hold is left"

    async def _adopt(self, request: ControlRequest) -> str:
        """Orders and positions that are not ours, also those that are ignored, are the account's own from now on."""
        await self._spoken(request)
        ledger = self._parts.ledger
        orders, markets = tuple(ledger.foreign_orders()), tuple(ledger.foreign_markets())
        if orders or markets:
            await self._settle(ForeignAdopted(self._parts.clock.now_ms(), orders, markets, _by(request)))
        if not await self._lift((HoldKind.FOREIGN,), request) and not orders and not markets:
            return "there is nothing to adopt: no order or position is there that is not ours"
        return "what was not ours is taken as the account's own"

    async def _ignore(self, request: ControlRequest) -> str:
        """Orders and positions that are not ours stay so, and hold nothing until the next start."""
        await self._spoken(request)
        ledger = self._parts.ledger
        named = set(ledger.not_ours())
        orders = tuple(each for each in ledger.foreign_orders() if each in named)
        markets = tuple(each for each in ledger.foreign_markets() if each in named)
        if named:
            await self._settle(ForeignIgnored(self._parts.clock.now_ms(), orders, markets, _by(request)))
        if not await self._lift((HoldKind.FOREIGN,), request) and not named:
            return "there is nothing to ignore: no order or position that is not ours is held for"
        return "what is not ours is let be until the next start"

    async def _accept_divergence(self, request: ControlRequest) -> str:
        """The figures that are held as different are the exchange's from now on; the hold goes by audits that agree."""
        await self._spoken(request)
        if self._parts.ledger.find_hold(HoldKind.DIVERGENCE) is None:
            return "there is nothing to accept: no divergence of the account is held"
        try:
            return await self._parts.calibration.accept(f"accepted by {request.who}: {request.why}")
        except BusEnded:
            raise CommandRefused(ENDING) from None

    async def _clear_kill(self, request: ControlRequest) -> str:
        """The latch first: a start between the two finds the hold in the journal, and this command lifts it."""
        await self._spoken(request)
        latched = bool(self._parts.kill_latch.reason())
        self._parts.kill_latch.clear()
        lifted = await self._lift((HoldKind.KILL,), request)
        return "the kill is cleared" if latched or lifted else "there is no kill to clear: neither a hold nor a latch"

    async def _reset_groups(self, request: ControlRequest) -> str:
        """The exchange first: a hold that goes before its group takes orders would let them be refused."""
        await self._spoken(request)
        if not self._parts.ledger.triggered_groups:
            return "there is nothing to reset: no order group was triggered"
        try:
            reset = await self._parts.groups.reset()
        except BusEnded:
            raise CommandRefused(ENDING) from None
        await self._settle(HoldLifted(self._parts.clock.now_ms(), HoldKind.GUARD, "", _by(request)))
        return f"order groups that take orders again: {reset}"

    async def _lift(self, kinds: tuple[HoldKind, ...], request: ControlRequest) -> int:
        """How many were lifted."""
        by = _by(request)
        lifted = [held for held in self._parts.ledger.holds if held.kind in kinds]
        for held in lifted:
            await self._settle(HoldLifted(self._parts.clock.now_ms(), held.kind, held.subject, by))
        return len(lifted)

    async def _spoken(self, request: ControlRequest) -> None:
        """Raises CommandRefused where a reason is missing: a person who reads the journal later has to know it."""
        command = request.command
        if command in REASONED and not request.why:
            raise CommandRefused(f"{command} needs a reason: {command} REASON")
        now_ms = self._parts.clock.now_ms()
        await self._settle(OperatorSpoke(now_ms, command, request.who, request.why))

    async def _settle(self, fact: AccountFact) -> None:
        """Raises CommandRefused: what cannot be journaled does not take effect."""
        try:
            await self._parts.bus.settle(fact)
        except BusEnded:
            raise CommandRefused(ENDING) from None

    # ---------------------------------------------------------------------------------------------------------- reload

    async def reload(self, request: ControlRequest, model_replaced: Callable[[], None]) -> str:
        """The model alone: everything else that is configured is read at a start. Raises OperatingError."""
        if self._reloading:
            raise CommandRefused("a reload is under way: ask again when it has ended")
        self._reloading = True
        try:
            await self._spoken(request)
            before, now = await self._reload(request)
        finally:
            self._reloading = False
        model_replaced()
        return f"model {now[:12]} decides" + (": the file is what it was" if now == before else f", not {before[:12]}")

    async def _reload(self, request: ControlRequest) -> tuple[str, str]:
        """The hashes of the model before and of the one that decides now, which the journal has before it decides."""
        policy = self._parts.policy
        try:
            before, read = await policy.read_again()
        except ModelRefused as refused:
            raise CommandRefused(f"{refused}; the model from before decides") from None
        await self._settle(ModelReplaced(self._parts.clock.now_ms(), before, read.model, _by(request)))
        policy.replace(read)
        return before, read.model

    # -------------------------------------------------------------------------------------------------------- sources

    def _sources(self) -> StatusSources:
        parts = self._parts
        return StatusSources(
            ledger=parts.ledger,
            startup=parts.preflight.tracker,
            health=parts.health,
            degradations=self.degradations,
            audit_detail=lambda: parts.calibration.detail,
            feeds=parts.coordinator.statuses,
            feeds_usable=lambda: parts.coordinator.feeds_usable,
            markets=lambda: parts.market_watch.selection.counts,
            markets_unread=lambda: parts.market_watch.problems,
            pause=lambda: parts.hours.next_pause(parts.clock.exchange_now_ms()),
            breakers=self._breakers,
            rates=lambda: parts.rest.governor.statuses(trio.current_time()),
            best=self._best,
            reserve_threshold=parts.reserve,
            last_refusal=self._last_refusal,
            counters=lambda: counters(parts, self._chart_counts()),
            gauges=lambda: gauges(parts),
            labelled=lambda: labelled(parts),
            actor=self._actor,
            model=lambda: parts.policy.selector.model[:12] if parts.policy.selector else "",
            now_ms=parts.clock.now_ms,
            now_s=trio.current_time,
        )

    def degradations(self) -> tuple[Degradation, ...]:
        """Asked each second too, so that since when is known. Before there are sessions nothing is expected of them."""
        parts, now_ms = self._parts, self._parts.clock.now_ms()
        books, coordinator = parts.books, parts.coordinator
        opened = books.open_markets if coordinator.sessions else ()
        usable = {market for market in opened if books.usable(market)}
        fallbacks = [session.fallback for session in coordinator.sessions] + [parts.market_rest.fallback]
        signs = Signs(
            polled=[market for market in opened if market in usable and books.is_polled(market)],
            unproven=[market for market in opened if market not in usable],
            books_detail=coordinator.books_detail,
            private="; ".join(filter(None, (coordinator.private_lost, self._unread()))),
            rates=parts.rest.governor.statuses(trio.current_time()),
            breakers=self._breakers(),
            sessions=[session.trouble for session in coordinator.sessions if session.trouble],
            offset_ms=parts.clock.offset_ms,
            fallbacks=list(dict.fromkeys(filter(None, fallbacks))),
        )
        return self._degradations.look(signs, now_ms)

    def _unread(self) -> str:
        """Why the account could not be read in its stream's stead."""
        poller = self._parts.account_poller
        return f"the last read failed: {poller.detail}" if poller.active and poller.detail else ""

    def _breakers(self) -> list[CircuitBreaker]:
        """Those of one kind each (a dry run reads from two exchanges), and those of markets that are not closed."""
        parts = self._parts
        policy = [parts.policy.actor.breaker] if parts.policy.actor else []
        reads = [rest.breaker for rest in dict.fromkeys((parts.market_rest, parts.rest))]
        return [parts.breaker, *reads, *policy, *parts.market_breakers.shut()]

    def _best(self, market: Ticker) -> tuple[Price | None, Price | None]:
        book = self._parts.books.books.get(market)
        return (None, None) if book is None else (book.best_bid, book.best_ask)

    def _actor(self) -> ActorStatus | None:
        actor = self._parts.policy.actor
        if actor is None:
            return None
        last = actor.last
        if last is None:
            return ActorStatus(actor.doing, actor.held_back)
        micros = round(last.inference_s * SECOND_US)
        return ActorStatus(actor.doing, actor.held_back, last.at_ms, last.markets, last.proposals, micros)

    def _last_refusal(self) -> RefusalStatus | None:
        last = self._parts.gates.last_refusal
        if last is None:
            return None
        at_ms, market, refusal = last
        return RefusalStatus(at_ms, market, refusal.code, refusal.control, refusal.figure, refusal.limit)


def _by(request: ControlRequest) -> str:
    return f"{request.command} by {request.who}: {request.why or 'no reason given'}"
