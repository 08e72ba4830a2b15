"""When the exchange pauses, known ahead: its weekly hours and its maintenance, by the clock alone.

The exchange sends no event when it opens or closes. What it answers to `GET /exchange/schedule` is the source, the
clock is the trigger; until it was read, the pause of every Thursday from 03:00 to 05:00 US Eastern is what is known.

Rules: pure; the time zone is handed in. Hours are wall times of that zone, so that a pause moves with daylight saving.
What lies between two sessions is a pause, over midnight too; pauses that touch are one. A week that no schedule covers
has no pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from attrs import frozen

from kalshi_daemon.units import SECOND_MS, Milliseconds
from kalshi_daemon.wire.reading import to_ms
from kalshi_daemon.wire.schedule import DAY_MINUTES, Hours, Schedule

WEEKLY: Final = "its weekly hours"
MAINTENANCE: Final = "its maintenance"
DAYS_AHEAD: Final = 8  # a weekly pause is always among them
_ALL_DAY: Final = ((0, DAY_MINUTES),)
_THURSDAY: Final = ((0, 180), (300, DAY_MINUTES))
ALWAYS: Final[tuple[Milliseconds, Milliseconds]] = (0, 2**53)
KNOWN_SCHEDULE: Final = Schedule((Hours(*ALWAYS, days=(*(3 * (_ALL_DAY,)), _THURSDAY, *(3 * (_ALL_DAY,)))),), ())


@frozen
class Pause:
    """From `from_ms` until `until_ms` no order is taken; `cause` is whose word it is."""

    from_ms: Milliseconds
    until_ms: Milliseconds
    cause: str


class ExchangeHours:
    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._schedule = KNOWN_SCHEDULE
        self._found: tuple[date, list[Pause]] | None = None  # the pauses as they were found on a day

    def learn(self, schedule: Schedule) -> None:
        """The exchange's schedule was read."""
        self._schedule = schedule
        self._found = None

    def next_pause(self, now_ms: Milliseconds) -> Pause | None:
        """The pause that lasts, or the next one within `DAYS_AHEAD` days."""
        today = datetime.fromtimestamp(now_ms // SECOND_MS, self._zone).date()
        if self._found is None or self._found[0] != today:
            self._found = today, self._pauses(today)
        return next((each for each in self._found[1] if each.until_ms > now_ms), None)

    def pause_at(self, moment_ms: Milliseconds, ahead_ms: Milliseconds = 0) -> Pause | None:
        """The pause that this moment lies in, or that begins within `ahead_ms`."""
        pause = self.next_pause(moment_ms)
        return pause if pause is not None and pause.from_ms <= moment_ms + ahead_ms else None

    def _pauses(self, today: date) -> list[Pause]:
        """In their order, those that touch or overlap as one."""
        spans = [Pause(start, end, MAINTENANCE) for start, end in self._schedule.maintenance]
        for offset in range(-1, DAYS_AHEAD + 1):
            spans += self._between_sessions(today + timedelta(days=offset))
        merged: list[Pause] = []
        for span in sorted(spans, key=lambda each: each.from_ms):
            last = merged[-1] if merged else None
            if last is None or span.from_ms > last.until_ms:
                merged.append(span)
            elif span.until_ms > last.until_ms:
                merged[-1] = Pause(last.from_ms, span.until_ms, last.cause)
        return merged

    def _between_sessions(self, day: date) -> Iterator[Pause]:
        hours = self._hours_of(day)
        if hours is None:
            return
        ended = 0
        for opens, closes in (*sorted(hours.days[day.weekday()]), (DAY_MINUTES, DAY_MINUTES)):
            if opens > ended:
                yield Pause(self._ms(day, ended), self._ms(day, opens), WEEKLY)
            ended = max(ended, closes)

    def _hours_of(self, day: date) -> Hours | None:
        noon_ms = self._ms(day, DAY_MINUTES // 2)
        return next((each for each in self._schedule.weeks if each.from_ms <= noon_ms < each.until_ms), None)

    def _ms(self, day: date, minutes: int) -> Milliseconds:
        days, rest = divmod(minutes, DAY_MINUTES)
        wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), self._zone)
        return to_ms(wall.astimezone(UTC))
