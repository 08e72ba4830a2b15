"""The tasks that the trader's chart invokes, under their names there. What a task does lives in `shell/`; here is
what it is given.

Rules: a service never returns; the task of a state returns an outcome where the chart asks for one. Nothing is caught
here: a crash is the chart's to hear.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio
from attrs import frozen

from kalshi_daemon import __version__, limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Invoke, Runner, Stay
from kalshi_daemon.commands import Proposal
from kalshi_daemon.core.closing_rules import close_before_the_end
from kalshi_daemon.core.order_ageing import past_their_age
from kalshi_daemon.errors import JournalLost, OperatingError
from kalshi_daemon.facts import AccountFact, HoldKind
from kalshi_daemon.parts import Parts
from kalshi_daemon.shell.control import Control, Operation
from kalshi_daemon.shell.control_client import somebody_answers
from kalshi_daemon.shell.metrics import Metrics
from kalshi_daemon.shell.sweeper import ALL, INCREASING
from kalshi_daemon.shell.watches import read_hours, watch_clock, watch_exchange, watch_hours, watch_limits, watch_region
from kalshi_daemon.surface import Surface
from statecharts.actor import ACTOR


@frozen
class Links:
    """What the tasks tell the daemon, and ask it."""

    post: Callable[[AccountFact | Proposal], None]
    alarm: Callable[[str, str], None]
    on_step: Callable[[str, Step], None]
    stop: Callable[[], None]
    state: Callable[[], str]


class Tasks:
    def __init__(self, parts: Parts, surface: Surface, delays: Delays, links: Links) -> None:
        self.parts = parts
        self.actor_runner: Runner | None = None
        self.ended_by: OperatingError | None = None  # why the daemon failed, where a person must mend it
        self.swept = False  # the drain was verified
        self.lost: JournalLost | None = None  # nothing that is written is found again, which nothing mends
        self._surface = surface
        self._delays = delays
        self._post = links.post
        self._alarm = links.alarm
        self._on_step = links.on_step
        self._stop = links.stop
        self._state = links.state

    def bindings(self) -> Mapping[str, Invoke]:
        parts = self.parts
        tasks: Mapping[str, Callable[[], Awaitable[str | None]]] = {
            "journal": self._hold_journal,
            "event_bus": self._run_bus,
            "order_writer": parts.writer.run,
            "watchdog": partial(parts.watchdog.run, self._look),
            "websocket_coordinator": self._coordinate,
            "clock_watch": partial(watch_clock, parts.clock, parts.market_watch.tick, self._alarm),
            "exchange_watch": self._watch_exchange,
            "recorder": self._record,
            "metrics": self._serve_metrics,
            "control": self._serve_control,
            "dashboard": self._show,
            "preflight": self._preflight,
            "await_feeds": parts.coordinator.until_usable,
            "calibrate": parts.calibration.calibrate,
            "actor": self._act,
            "sync": self._sync,
            "closing_rules": self._close,
            "watch_holds": parts.hold_watch.run,
            "sweep": self._sweep,
            "cancel_blind": parts.recovery.cancel_blind,
            "recover": parts.recovery.recover,
            "drain": self._drain,
            "seal": self._seal,
        }
        return {name: _invoked(task) for name, task in tasks.items()}

    # ------------------------------------------------------------------------------------------------------- services

    async def _hold_journal(self) -> None:
        """The file is open from here on, until the daemon has ended."""
        try:
            self.parts.open_journal()
            self._refuse_beside_another()
        except OperatingError as error:
            self.ended_by = error
            raise
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parts.snapshots.run)
            await self.parts.preflight.passed.wait()
            await self.parts.snapshots.prove()

    def _refuse_beside_another(self) -> None:
        """Of another state directory, maybe on the same account. Ours does not listen yet: it waits for the journal."""
        path = self.parts.config.control_socket
        if self.parts.seams.listens and somebody_answers(path):
            raise OperatingError(
                f"another daemon answers at {path}: stop it first, or name another KALSHI_CONTROL_SOCKET"
            )

    async def _run_bus(self) -> None:
        await self.parts.preflight.replayed.wait()
        await self.parts.bus.run()

    async def _coordinate(self) -> None:
        await self.parts.preflight.passed.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parts.account_poller.run)
            await self.parts.coordinator.run(self.parts.session_seams(), self.parts.config.sockets)

    async def _watch_exchange(self) -> None:
        parts = self.parts
        await parts.preflight.passed.wait()
        async with trio.open_nursery() as nursery:
            for rest in dict.fromkeys((parts.rest, parts.market_rest)):
                nursery.start_soon(watch_limits, rest)
            nursery.start_soon(parts.market_watch.run)
            nursery.start_soon(watch_region, parts.market_rest, parts.clock, self._alarm)
            nursery.start_soon(read_hours, parts.market_rest, parts.hours)
            nursery.start_soon(watch_hours, parts.hours, parts.ledger, parts.clock, parts.bus.settle)
            await watch_exchange(parts.market_rest, parts.hours, parts.ledger, parts.clock, parts.bus.settle)

    async def _record(self) -> None:
        if self.parts.recorder is None:
            await trio.sleep_forever()
        else:
            await self.parts.recorder.run()

    async def _serve_metrics(self) -> None:
        await self.parts.preflight.opened.wait()  # whoever does not hold the lock takes no port either
        address = self.parts.config.metrics_address
        if address is None or not self.parts.seams.listens:
            await trio.sleep_forever()
        else:
            await Metrics(self._surface.reporter, __version__).run(address)

    async def _serve_control(self) -> None:
        """systemd hears READY when control listens and the journal is open, and so the directory locked."""
        await self.parts.preflight.opened.wait()
        async with trio.open_nursery() as nursery:
            if self.parts.seams.listens:
                await nursery.start(Control(self.parts.config.control_socket, self.operations()).run)
            self.parts.notifier.ready(self._state())
            await trio.sleep_forever()

    def operations(self) -> Mapping[str, Operation]:
        """What the control socket takes, by name."""
        return self._surface.operations(self._stop, self.model_replaced)

    async def _show(self) -> None:
        if self.parts.seams.view is None:
            await trio.sleep_forever()
        else:
            await self.parts.seams.view(self._surface.reporter)

    # ------------------------------------------------------------------------------------------------ tasks of states

    async def _preflight(self) -> str:
        outcome = await self.parts.preflight.run()
        self.ended_by = self.parts.preflight.failure
        return outcome

    async def _act(self) -> None:
        """The actor's chart, inside the trading state's nursery; its gate is shut when that nursery is left."""
        actor = self.parts.policy.actor
        assert actor is not None, "preflight has loaded the policy"

        with self.parts.gates.opened(self._post, increases=True) as gate:
            runner = Runner(
                Chart(ACTOR, {"policy_may_probe": actor.may_probe}),
                {"decide_and_act": _invoked(partial(actor.run, gate))},
                self._delays.callables,
                limits.CHART_RESTARTS,
                on_step=lambda step: self._on_step("actor", step),
                on_alarm=self._alarm,
            )
            self.actor_runner = runner
            try:
                await runner.run()
            finally:
                self.actor_runner = None
                self._surface.reporter.ended("actor")

    def model_replaced(self) -> None:
        """A policy that cools down, or is disabled, decides with it at once."""
        runner = self.actor_runner
        if runner is not None and not runner.is_in("running"):
            runner.post("model_replaced")

    async def _sync(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parts.hold_watch.run_on_markets)
            await self.parts.sync.run()

    async def _close(self) -> None:
        parts, ledger = self.parts, self.parts.ledger
        with parts.gates.opened(self._post, increases=False) as gate:
            while True:
                books = {market: parts.evidence(market) for market in ledger.positions}
                now_ms, markets = parts.clock.exchange_now_ms(), parts.universe.markets
                for proposal in close_before_the_end(ledger, markets, books, now_ms, parts.risk_limits):
                    gate.propose(proposal)
                if self._state() == "trading.reducing":  # again and again: a cancel may have been refused
                    parts.sweeper.cancel(INCREASING, "only reductions pass")
                old = past_their_age(ledger, parts.clock.now_ms(), parts.config.order_age_ms)
                parts.writer.counts["aged"] += parts.sweeper.cancel_each(old, "it has rested past its age")
                await trio.sleep(limits.CLOSING_RULES_S)

    async def _sweep(self) -> str:
        ledger = self.parts.ledger
        until_s = trio.current_time() + limits.SWEEP_WORK_S
        while ledger.sweep_scope:
            kill = ledger.find_hold(HoldKind.KILL)
            everything = kill is not None and ledger.cancelled_all_ms < kill.since_ms  # once for each kill
            if not await self.parts.sweeper.sweep(
                ledger.sweep_scope, self._holds_text(), until_s, everything=everything
            ):
                self._alarm(
                    "sweep_unverified", f"may still rest: {', '.join(self.parts.sweeper.names(ALL)) or 'not known'}"
                )
                return "not_verified"
        return "verified"

    async def _drain(self) -> str:
        """Verified by complete lists; or by the journal alone where this run never reached the exchange and nothing
        lives.
        """
        parts = self.parts
        if not parts.preflight.passed.is_set():
            await parts.preflight.prepare_sweep()
            self.swept = not parts.ledger.live()
        if not self.swept:
            self.swept = await parts.sweeper.sweep(ALL, "stop", trio.current_time() + limits.DRAIN_WORK_S)
        return "verified" if self.swept else "not_verified"

    async def _seal(self) -> None:
        left = self.parts.sweeper.names(ALL)
        if not self.swept:
            self._alarm("stop_unverified", f"stopped without proof; may still rest: {', '.join(left) or 'not known'}")
        if self.parts.preflight.replayed.is_set():
            await self.parts.bus.drain()
            assert self.parts.journal is not None, "it was replayed"
            await self.parts.snapshots.seal(self.parts.journal)
        if self.parts.recorder is not None:
            await self.parts.recorder.end()

    def _look(self) -> None:
        """At what nothing else would tell."""
        self._find_stuck_actor()
        self._find_lost_files()
        self.parts.rotation.look()
        self._surface.degradations()  # which note since when
        self.parts.invariants.looked(self._state())

    def _find_lost_files(self) -> None:
        """A second daemon could start on the same account: ours ends, with its orders cancelled."""
        journal = self.parts.journal
        lost = journal.lost() if journal is not None and self.lost is None else ""
        if lost:
            self.lost = JournalLost(
                f"{lost}: our orders are cancelled and the daemon ends; see who changed the directory"
            )
            self._alarm("state_files_lost", str(self.lost))
            self._stop()

    def _find_stuck_actor(self) -> None:
        actor, runner = self.parts.policy.actor, self.actor_runner
        if actor is None or runner is None or not runner.is_in("running"):
            return
        if trio.current_time() - actor.beat_s > limits.HEARTBEAT_S:
            runner.post("policy_stuck")

    def _holds_text(self) -> str:
        return ", ".join(held.kind for held in self.parts.ledger.holds)


def _invoked(task: Callable[[], Awaitable[str | None]]) -> Invoke:
    """A task that needs no handle on its stay."""

    async def invoked(_stay: Stay) -> str | None:
        return await task()

    return invoked
