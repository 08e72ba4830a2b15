"""Two times: ours, and the exchange's as far as it can be known.

The exchange says its time in two ways. An answer's `Date` header is a whole second, cut off: the true time lay in
`[date, date + 999 ms]` somewhere between our sending and our receiving, so the offset (exchange minus ours) lies in
`[date - received, date + 999 - sent]`. A frame's `sending_ts_ms` is exact, but its way here took some time: the offset
is at least `sending - received`, with no upper bound.

Rules:
- The offset is corrected only when it is outside of what the evidence allows; inside, any value is as good, and a clock
  that is right stays untouched. A correction goes to the middle of what is allowed (to the bound, where there is only
  one).
- Evidence is kept for a bounded number of answers and a bounded time, since clocks drift. Evidence that contradicts the
  newest is dropped: our clock was set, or the exchange's was.
- `now_ms` never learns: it stamps our own facts. Only `exchange_now_ms` is corrected.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.units import SECOND_MS, Milliseconds
from kalshi_daemon.wire.reading import to_ms

DATE_GRAIN_MS: Final[Milliseconds] = SECOND_MS - 1  # what a Date header may have cut off


class Clock(Protocol):
    @property
    def offset_ms(self) -> Milliseconds:
        """The exchange's time minus ours."""

    def now_ms(self) -> Milliseconds:
        """Our own time since the epoch."""

    def exchange_now_ms(self) -> Milliseconds:
        """The exchange's time, as far as it is known: for signatures, expiries and closing times."""

    def learn_offset(self, server_ms: Milliseconds, sent_ms: Milliseconds, received_ms: Milliseconds) -> None:
        """An answer's Date, and our `now_ms` before its request was sent and after it came."""

    def learn_sending(self, sending_ms: Milliseconds, received_ms: Milliseconds) -> None:
        """A frame's `sending_ts_ms`, and our `now_ms` when it came."""

    @property
    def frames_disbelieved(self) -> int:
        """Frames that said they were sent when they cannot have been."""


def learn_date(clock: Clock, date: str, sent_ms: Milliseconds) -> bool:
    """Hand an answer's Date header to the clock as it comes. False where it does not read, or names a year that it
    cannot be, and teaches nothing.
    """
    try:
        server_ms = to_ms(parsedate_to_datetime(date))
    except (ValueError, TypeError, OverflowError):
        return False
    if not limits.DATE_LEAST_MS <= server_ms <= limits.DATE_MOST_MS:
        return False
    clock.learn_offset(server_ms, sent_ms, clock.now_ms())
    return True


@frozen
class Evidence:
    """The offset lies in `[low, high]`, as was seen at `at_ms`."""

    low: Milliseconds
    high: Milliseconds
    at_ms: Milliseconds


class Offset:
    """What is known of the exchange's time minus ours."""

    def __init__(self) -> None:
        self.offset_ms: Milliseconds = 0
        self.frames_disbelieved = 0  # that said they were sent when they cannot have been
        self._dates: deque[Evidence] = deque(
            maxlen=limits.CLOCK_EVIDENCE_MAX
        )  # oldest first; they agree with each other
        self._floor: tuple[Milliseconds, Milliseconds] | None = None  # (the highest lower bound of a frame, when)

    def learn(self, server_ms: Milliseconds, sent_ms: Milliseconds, received_ms: Milliseconds) -> None:
        if received_ms < sent_ms:
            return  # our clock was set back meanwhile: this proves nothing
        newest = Evidence(server_ms - received_ms, server_ms + DATE_GRAIN_MS - sent_ms, received_ms)
        self._forget_old(received_ms)
        self._dates.append(newest)
        low, high = newest.low, newest.high
        for index in range(len(self._dates) - 2, -1, -1):  # from the newest back, as far as they agree
            older = self._dates[index]
            if max(low, older.low) > min(high, older.high):
                for _ in range(index + 1):
                    self._dates.popleft()
                break
            low, high = max(low, older.low), min(high, older.high)
        if self._floor is not None and self._floor[0] > high:
            self._floor = None
        self._correct()

    def learn_sending(self, sending_ms: Milliseconds, received_ms: Milliseconds) -> None:
        """Called for every frame that carries it: two comparisons, unless the frame tells more than those before."""
        low = sending_ms - received_ms
        floor = self._floor
        if floor is not None and low <= floor[0] and received_ms - floor[1] <= limits.CLOCK_EVIDENCE_LIFE_MS:
            return
        self._forget_old(received_ms)
        most = min((date.high for date in self._dates), default=limits.SENDING_ALONE_MAX_MS)
        if low > most + limits.SENDING_OVER_DATES_MS:
            self.frames_disbelieved += 1  # in another unit, or a lie: a clock that was really set is in the next Date
            return
        self._floor = (low, received_ms)
        if low > most:
            self._dates.clear()
        self._correct()

    def _forget_old(self, now_ms: Milliseconds) -> None:
        """Old evidence goes, and so does what lies in the future: our clock was set back since."""
        while self._dates and not 0 <= now_ms - self._dates[0].at_ms <= limits.CLOCK_EVIDENCE_LIFE_MS:
            self._dates.popleft()
        if self._floor is not None and not 0 <= now_ms - self._floor[1] <= limits.CLOCK_EVIDENCE_LIFE_MS:
            self._floor = None

    def _correct(self) -> None:
        lows = [date.low for date in self._dates]
        if self._floor is not None:
            lows.append(self._floor[0])
        low = max(lows)
        if not self._dates:
            self.offset_ms = max(self.offset_ms, low)
            return
        high = min(date.high for date in self._dates)
        if not low <= self.offset_ms <= high:
            self.offset_ms = (low + high) // 2


class LearningClock:
    """The half of a clock that learns; the other half is where `now_ms` comes from."""

    def __init__(self) -> None:
        self._offset = Offset()

    @property
    def offset_ms(self) -> Milliseconds:
        return self._offset.offset_ms

    @property
    def frames_disbelieved(self) -> int:
        return self._offset.frames_disbelieved

    def now_ms(self) -> Milliseconds:
        raise NotImplementedError

    def exchange_now_ms(self) -> Milliseconds:
        return self.now_ms() + self._offset.offset_ms

    def learn_offset(self, server_ms: Milliseconds, sent_ms: Milliseconds, received_ms: Milliseconds) -> None:
        self._offset.learn(server_ms, sent_ms, received_ms)

    def learn_sending(self, sending_ms: Milliseconds, received_ms: Milliseconds) -> None:
        self._offset.learn_sending(sending_ms, received_ms)


class SystemClock(LearningClock):
    """The machine's clock. The only reader of it in the project."""

    def now_ms(self) -> Milliseconds:
        return time.time_ns() // 1_000_000


class VirtualClock(LearningClock):
    """Follows trio's clock from `start_ms`: under a `MockClock`, which begins at zero, time is a function of the run.

    Two of them with different starts are two machines whose clocks differ.
    """

    def __init__(self, start_ms: Milliseconds) -> None:
        super().__init__()
        self._start_ms = start_ms

    def now_ms(self) -> Milliseconds:
        return self._start_ms + round(trio.current_time() * SECOND_MS)


EASTERN: Final = ZoneInfo("America/New_York")  # the exchange's days and hours


def eastern_day(ms: Milliseconds) -> str:
    """The US Eastern calendar day of a moment, as `2026-11-22`: the day of profit, loss and bankroll."""
    return datetime.fromtimestamp(ms / SECOND_MS, EASTERN).date().isoformat()


def eastern_bounds(day: date) -> tuple[Milliseconds, Milliseconds]:
    """Where a US Eastern day begins and where it ends; 23 or 25 hours where the clocks are changed."""
    midnights = (datetime.combine(each, time_of_day.min, EASTERN) for each in (day, day + timedelta(days=1)))
    begin, end = (round(each.timestamp()) * SECOND_MS for each in midnights)
    return begin, end
