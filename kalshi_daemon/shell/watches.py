"""The watches of the daemon's whole life: the exchange's own status, the clock, and whether this process is alive.

Each is a loop with one question. What they find is a fact, an alarm or silence towards systemd; none of them decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.core.exchange_hours import ExchangeHours
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind, HoldLifted
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.doctor_advice import REGION, region_warning
from kalshi_daemon.shell.event_bus import EventBus
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.notify import Notifier
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.wire.rest import ExchangeStatus

Alarm = Callable[[str, str], None]
Settle = Callable[[AccountFact], Awaitable[None]]


async def watch_exchange(
    rest: RestClient, hours: ExchangeHours, ledger: LedgerView, clock: Clock, settle: Settle
) -> None:
    """Never returns. Places the hold `exchange` while the exchange says that it is paused; active twice lifts it, and
    nothing does before the end of a pause that is known.
    """
    active = 0
    while True:
        try:
            status = await rest.exchange_status()
        except (ExchangeError, Unreachable):
            active = 0  # not reached says nothing about the exchange
        else:
            held = ledger.find_hold(HoldKind.EXCHANGE) is not None
            if await hold_for_status(status, ledger, clock, settle):
                active = 0
            else:
                lasts = hours.pause_at(clock.exchange_now_ms(), limits.PAUSE_LEAD_MS) is not None
                active = active + 1 if held and not lasts else 0  # what was said before the hold does not lift it
                if active >= limits.ACTIVE_TWICE:
                    await settle(HoldLifted(clock.now_ms(), HoldKind.EXCHANGE, "", "its status says active twice"))
        await trio.sleep(limits.EXCHANGE_WATCH_S)


async def hold_for_status(status: ExchangeStatus, ledger: LedgerView, clock: Clock, settle: Settle) -> bool:
    """Whether the exchange says that it is paused, which the account is held for."""
    paused = not (status.exchange_active and status.trading_active)
    if paused and ledger.find_hold(HoldKind.EXCHANGE) is None:
        await settle(hold(HoldKind.EXCHANGE, "the exchange says that it is paused", clock.now_ms()))
    return paused


async def watch_hours(hours: ExchangeHours, ledger: LedgerView, clock: Clock, settle: Settle) -> None:
    """Never returns. Places the hold `exchange` shortly before a pause that is known: no event would tell of it."""
    while True:
        await hold_for_hours(hours, ledger, clock, settle)
        await trio.sleep(limits.CLOCK_WATCH_S)


async def hold_for_hours(hours: ExchangeHours, ledger: LedgerView, clock: Clock, settle: Settle) -> None:
    """Hold the account for a pause that is known and near, saying until when."""
    pause, found = hours.pause_at(clock.exchange_now_ms(), limits.PAUSE_LEAD_MS), ledger.find_hold(HoldKind.EXCHANGE)
    if pause is None:
        return
    span = f"from {iso_time(pause.from_ms)} to {iso_time(pause.until_ms)}"
    placed = hold(HoldKind.EXCHANGE, f"the exchange pauses by {pause.cause}, {span}", clock.now_ms())
    if found is None or found.cause != placed.cause:
        await settle(evolve(placed, cleared_by=f"a status that says active twice, after {iso_time(pause.until_ms)}"))


async def read_hours(rest: RestClient, hours: ExchangeHours) -> None:
    """Never returns. The schedule changes rarely: holidays, and maintenance that is announced."""
    while True:
        await trio.sleep(limits.SCHEDULE_READ_S)
        with suppress(ExchangeError, Unreachable):  # counted by the client; what was read last goes on
            hours.learn(await rest.exchange_schedule())


async def learn_limits(rest: RestClient) -> str:
    """Hand the account's own limits and costs to the governor; returns the tier. Raises ExchangeError or Unreachable.

    An exchange that does not tell its costs has those that are documented.
    """
    limits_read = await rest.account_limits()
    rest.governor.take_limits(limits_read, trio.current_time())
    with suppress(ExchangeError):
        rest.governor.take_costs(await rest.endpoint_costs())
    return limits_read.tier


async def watch_limits(rest: RestClient) -> None:
    """Never returns. Reads the account's limits again: an upgrade, or a person, changes them."""
    while True:
        await trio.sleep(limits.LIMITS_READ_S)
        with suppress(ExchangeError, Unreachable):  # counted by the client; the next round asks again
            await learn_limits(rest)


async def watch_region(rest: RestClient, clock: Clock, alarm: Alarm) -> None:
    """Never returns. Alarms, day after day, from two weeks before the location attested for the key ends: without one
    it cannot trade everything. A read that fails is made again in an hour; a key need not be allowed to make it.
    """
    while True:
        wait_s = limits.REGION_RETRY_S
        with suppress(ExchangeError, Unreachable):  # counted by the client
            ends_ms = await rest.region_ends_ms()
            wait_s = limits.REGION_READ_S
            if ends_ms is not None and (warning := region_warning(ends_ms - clock.exchange_now_ms())):
                alarm("key_region", f"{warning}; {REGION}")
        await trio.sleep(wait_s)


async def watch_clock(clock: Clock, tick: Callable[[int], None], alarm: Alarm) -> None:
    """Never returns. Hands the exchange's time on, for what happens without an event; alarms when ours is far off."""
    while True:
        tick(clock.exchange_now_ms())
        if abs(clock.offset_ms) > limits.CLOCK_OFFSET_MAX_MS:
            alarm(
                "clock_off", f"our clock is {clock.offset_ms:+d} ms from the exchange's: see that time is synchronised"
            )
        await trio.sleep(limits.CLOCK_WATCH_S)


class Watchdog:
    """Says to systemd that the loop and the writer are alive, and alarms when a kill is not verified in time."""

    def __init__(self, bus: EventBus, ledger: LedgerView, clock: Clock, notifier: Notifier, alarm: Alarm) -> None:
        self._bus = bus
        self._ledger = ledger
        self._clock = clock
        self._notifier = notifier
        self._alarm = alarm
        self._batches = -1
        self._began_ms = clock.now_ms()  # a kill of an earlier process is this one's to sweep from here on

    async def run(self, look: Callable[[], None]) -> None:
        """Never returns. `look` is what others watch at the same pace."""
        while True:
            if self._writer_alive():
                self._notifier.alive()
            self._check_kill()
            look()
            await trio.sleep(min(self._notifier.watchdog_s or limits.WATCHDOG_S, limits.WATCHDOG_S))

    def _writer_alive(self) -> bool:
        """It has nothing to do, or did something since the last look."""
        batches = self._bus.counts["batches"]
        alive = not self._bus.waiting or batches != self._batches
        self._batches = batches
        return alive

    def _check_kill(self) -> None:
        for held in self._ledger.holds:
            late_ms = self._clock.now_ms() - max(held.since_ms, self._began_ms)
            if held.kind is HoldKind.KILL and self._ledger.sweep_wanted and late_ms > limits.KILL_VERIFIED_MS:
                self._alarm(
                    "kill_unverified", f"{late_ms / 1000:.0f} s after the kill nothing proves that no order rests"
                )
