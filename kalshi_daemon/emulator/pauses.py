"""The exchange stops and goes on: Thursday's pause by the clock, pauses by word, maintenance (api.md 6).

Rules: resting orders stay, except those that asked to go when trading pauses (cancel_order_on_pause). Maintenance
begins the clocks of all order books anew, as the documents say it may. What was announced comes by itself, and is in
the schedule until it is over; of windows that overlap the last end holds.
"""

from __future__ import annotations

from kalshi_daemon.emulator.execution import Execution
from kalshi_daemon.emulator.hours import By, weekly_pause
from kalshi_daemon.emulator.model import UpdateReason
from kalshi_daemon.emulator.venue import Venue
from kalshi_daemon.units import Milliseconds

PAUSE = "pause"  # the calendar's kind for what follows
_BEGIN, _END, _DUE = "begin", "end", "maintenance"


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
        else:
            assert key == _DUE, key
            self._maintain()

    def _maintain(self) -> None:
        """End the maintenance whose time is over, and begin what was announced for now."""
        hours, now = self._venue.hours, self._venue.now_ms()
        for by, until_ms in list(hours.maintained.items()):
            if until_ms is not None and until_ms <= now:
                self.end_maintenance(by)
        hours.announced = tuple(window for window in hours.announced if window[1] > now)
        ends = [ends_ms for begins_ms, ends_ms in hours.announced if begins_ms <= now]
        if ends and hours.maintained.get("notice") != max(ends):
            self.begin_maintenance(max(ends), "notice")

    def pause(self, exchange_index: int | None, by: By) -> None:
        """Pause the trading of one shard, or of all with None."""
        self._venue.hours.paused.add((by, exchange_index))
        self._cancel_wary(exchange_index)

    def resume(self, exchange_index: int | None, by: By) -> None:
        self._venue.hours.paused.discard((by, exchange_index))

    def stop(self, resume_ms: Milliseconds | None) -> None:
        """Pause the whole exchange: no order, no cancel; reads go on."""
        self._venue.hours.stopped = True
        self._venue.hours.stopped_until_ms = resume_ms
        self._cancel_wary(None)

    def start(self) -> None:
        self._venue.hours.stopped = False
        self._venue.hours.stopped_until_ms = None

    def begin_maintenance(self, until_ms: Milliseconds | None, by: By) -> None:
        """Nothing is answered, and streams end; by the clock until then, or until whoever began it ends it."""
        self._venue.hours.maintained[by] = until_ms
        self._cancel_wary(None)
        if until_ms is not None:
            self._venue.schedule(until_ms, PAUSE, _DUE)

    def end_maintenance(self, by: By) -> None:
        self._venue.hours.maintained.pop(by, None)
        for state in self._venue.states.values():
            state.clock = 0

    def announce(self, begins_ms: Milliseconds, ends_ms: Milliseconds) -> None:
        """A window of maintenance, in the schedule from now on."""
        hours = self._venue.hours
        hours.announced = tuple(sorted((*hours.announced, (begins_ms, ends_ms))))
        self._venue.schedule(begins_ms, PAUSE, _DUE)

    def withdraw(self) -> int:
        """Nothing is announced any more, and what was announced and is on ends; how many windows there were."""
        hours = self._venue.hours
        withdrawn, hours.announced = len(hours.announced), ()
        if "notice" in hours.maintained:
            self.end_maintenance("notice")
        return withdrawn

    def _cancel_wary(self, exchange_index: int | None) -> None:
        for order in list(self._venue.live.values()):
            if order.cancel_on_pause and exchange_index in (None, order.exchange_index):
                self._execution.cancel(order, UpdateReason.HALT_CANCEL)
