"""The exchange stops and goes on: Thursday's pause by the clock, pauses by word, maintenance (api.md 6).

Rules: resting orders stay, except those that asked to go when trading pauses (cancel_order_on_pause). Maintenance
begins the clocks of all order books anew, as the documents say it may.
"""

from __future__ import annotations

from kalshi_daemon.emulator.execution import Execution
from kalshi_daemon.emulator.hours import By, weekly_pause
from kalshi_daemon.emulator.model import UpdateReason
from kalshi_daemon.emulator.venue import Venue
from kalshi_daemon.units import Milliseconds

PAUSE = "pause"  # the calendar's kind for what follows
_BEGIN, _END, _SERVED = "begin", "end", "maintenance is over"


class Pauses:
    """Stops and starts one venue."""

    def __init__(self, venue: Venue, execution: Execution) -> None:
        self._venue = venue
        self._execution = execution
        if venue.settings.weekly_pause:
            self._week = weekly_pause(venue.now_ms())
            venue.schedule(self._week[0], PAUSE, _BEGIN)

    def step(self, key: str) -> None:
        """Do what the calendar has for now."""
        hours = self._venue.hours
        if key == _BEGIN:
            hours.weekly = True
            self._cancel_wary(None)
            self._venue.schedule(self._week[1], PAUSE, _END)
        elif key == _END:
            hours.weekly = False
            self._week = weekly_pause(self._venue.now_ms())
            self._venue.schedule(self._week[0], PAUSE, _BEGIN)
        elif hours.resume_ms is not None and hours.resume_ms <= self._venue.now_ms():
            self.end_maintenance("word")

    def pause(self, exchange_index: int | None, by: By) -> None:
        """Pause the trading of one shard, or of all with None."""
        self._venue.hours.paused.add((by, exchange_index))
        self._cancel_wary(exchange_index)

    def resume(self, exchange_index: int | None, by: By) -> None:
        self._venue.hours.paused.discard((by, exchange_index))

    def stop(self, resume_ms: Milliseconds | None) -> None:
        """Pause the whole exchange: no order, no cancel; reads go on."""
        self._venue.hours.stopped = True
        self._venue.hours.resume_ms = resume_ms
        self._cancel_wary(None)

    def start(self) -> None:
        self._venue.hours.stopped = False
        self._venue.hours.resume_ms = None

    def begin_maintenance(self, until_ms: Milliseconds | None, by: By) -> None:
        """Nothing is answered, and streams end; by the clock until then, or until whoever began it ends it."""
        self._venue.hours.maintained.add(by)
        self._cancel_wary(None)
        if until_ms is not None:
            self._venue.hours.resume_ms = until_ms
            self._venue.schedule(until_ms, PAUSE, _SERVED)

    def end_maintenance(self, by: By) -> None:
        self._venue.hours.maintained.discard(by)
        if by == "word":
            self._venue.hours.resume_ms = None
        for state in self._venue.states.values():
            state.clock = 0

    def _cancel_wary(self, exchange_index: int | None) -> None:
        for order in list(self._venue.live.values()):
            if order.cancel_on_pause and exchange_index in (None, order.exchange_index):
                self._execution.cancel(order, UpdateReason.HALT_CANCEL)
