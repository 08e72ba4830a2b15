"""The exchange's pauses, known ahead from its schedule and the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from kalshi_daemon.core.exchange_hours import ALWAYS, KNOWN_SCHEDULE, MAINTENANCE, WEEKLY, ExchangeHours, Pause
from kalshi_daemon.units import HOUR_MS, MINUTE_MS, Milliseconds
from kalshi_daemon.wire.schedule import DAY_MINUTES, Hours, Schedule

EASTERN = ZoneInfo("America/New_York")
ALL_DAY = ((0, DAY_MINUTES),)


def ms(text: str) -> Milliseconds:
    """A moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


def hours(schedule: Schedule = KNOWN_SCHEDULE) -> ExchangeHours:
    made = ExchangeHours(EASTERN)
    made.learn(schedule)
    return made


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-11-22T18:00", "2026-11-26T08:00", "2026-11-26T10:00"),
        ("2026-11-26T07:59:59", "2026-11-26T08:00", "2026-11-26T10:00"),
        ("2026-11-26T09:59:59", "2026-11-26T08:00", "2026-11-26T10:00"),
        ("2026-11-26T10:00", "2026-12-03T08:00", "2026-12-03T10:00"),
        ("2026-07-01T00:00", "2026-07-02T07:00", "2026-07-02T09:00"),
        ("2026-03-06T00:00", "2026-03-12T07:00", "2026-03-12T09:00"),
        ("2026-10-30T00:00", "2026-11-05T08:00", "2026-11-05T10:00"),
    ],
)
def test_thursday_morning_is_known_without_asking(now: str, start: str, end: str) -> None:
    """03:00 to 05:00 US Eastern, in winter and in summer, and over both changes of the clocks."""
    assert ExchangeHours(EASTERN).next_pause(ms(now)) == Pause(ms(start), ms(end), WEEKLY)


def test_a_moment_is_in_the_pause_or_not_in_whatever_order_it_is_asked() -> None:
    """From its first millisecond to its last; asking about later moments changes no answer about earlier ones."""
    known, start, end = ExchangeHours(EASTERN), ms("2026-11-26T08:00"), ms("2026-11-26T10:00")
    asked = [end, start - 1, start, end - 1, end + HOUR_MS * 24, start]
    assert [known.pause_at(moment) is not None for moment in asked] == [False, False, True, True, False, True]
    assert known.pause_at(start - 1, 1) is not None
    assert known.pause_at(start - 2, 1) is None
    assert known.pause_at(end - 1, MINUTE_MS) is not None
    assert known.pause_at(end, MINUTE_MS) is None


def test_a_pause_over_midnight_is_one() -> None:
    """Closed from 22:00 on one day to 02:00 on the next."""
    evening, morning = ((0, 22 * 60),), ((2 * 60, DAY_MINUTES),)
    week = Hours(*ALWAYS, days=(evening, morning, *(5 * (ALL_DAY,))))
    pause = hours(Schedule((week,), ())).next_pause(ms("2026-11-22T18:00"))
    assert pause == Pause(ms("2026-11-24T03:00"), ms("2026-11-24T07:00"), WEEKLY)


def test_maintenance_counts_and_joins_what_it_touches() -> None:
    """Announced for itself, and as the longer end of the weekly pause."""
    own = (ms("2026-11-23T12:00"), ms("2026-11-23T12:30"))
    longer = (ms("2026-11-26T09:30"), ms("2026-11-26T12:00"))
    known = hours(Schedule(KNOWN_SCHEDULE.weeks, (longer, own)))
    assert known.next_pause(ms("2026-11-22T18:00")) == Pause(*own, MAINTENANCE)
    assert known.next_pause(own[1]) == Pause(ms("2026-11-26T08:00"), longer[1], WEEKLY)


def test_sessions_and_weeks_are_the_exchange_s_own() -> None:
    """Several sessions a day, out of order; a week that nothing covers has no pause; an empty day is one."""
    lunch = ((13 * 60, DAY_MINUTES), (0, 12 * 60))
    monday = Hours(*ALWAYS, days=(lunch, *(6 * (ALL_DAY,))))
    pause = hours(Schedule((monday,), ())).next_pause(ms("2026-11-22T18:00"))
    assert pause == Pause(ms("2026-11-23T17:00"), ms("2026-11-23T18:00"), WEEKLY)
    assert hours(Schedule((), ())).next_pause(ms("2026-11-22T18:00")) is None
    assert hours(Schedule((Hours(*ALWAYS, days=7 * (ALL_DAY,)),), ())).next_pause(ms("2026-11-22T18:00")) is None
    closed = Hours(*ALWAYS, days=((), *(6 * (ALL_DAY,))))
    pause = hours(Schedule((closed,), ())).next_pause(ms("2026-11-22T18:00"))
    assert pause == Pause(ms("2026-11-23T05:00"), ms("2026-11-24T05:00"), WEEKLY)


def test_a_schedule_that_ends_gives_way_to_the_next() -> None:
    """Each day has the hours of the week that covers it."""
    change = ms("2026-11-25T05:00")
    before = Hours(0, change, days=7 * (ALL_DAY,))
    after = Hours(change, ALWAYS[1], days=7 * (((0, DAY_MINUTES - 30),),))
    pause = hours(Schedule((before, after), ())).next_pause(ms("2026-11-22T18:00"))
    assert pause == Pause(ms("2026-11-26T05:00") - 30 * MINUTE_MS, ms("2026-11-26T05:00"), WEEKLY)
