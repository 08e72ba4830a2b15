"""The exchange's schedule, to a value: when it is open in US Eastern time, and when it is maintained (api.md 4.1)."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from attrs import frozen

from kalshi_daemon.errors import WireError
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire import bodies
from kalshi_daemon.wire.reading import read, to_ms

WALL_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
DAY_MINUTES: Final = 24 * 60

_decoder: Final = msgspec.json.Decoder(bodies.ScheduleAnswer)


@frozen
class Hours:
    """The sessions of each day of a week, Monday first, while `from_ms <= now < until_ms`: minutes of the day in US
    Eastern time, `(opens, closes)`.
    """

    from_ms: Milliseconds
    until_ms: Milliseconds
    days: tuple[tuple[tuple[int, int], ...], ...]


@frozen
class Schedule:
    """When the exchange is open, and its `(from_ms, until_ms)` of maintenance."""

    weeks: tuple[Hours, ...]
    maintenance: tuple[tuple[Milliseconds, Milliseconds], ...]


def read_schedule(body: bytes) -> Schedule:
    answer = read(_decoder, body).schedule
    return Schedule(
        tuple(_to_hours(week) for week in answer.standard_hours),
        tuple((to_ms(each.start_datetime), to_ms(each.end_datetime)) for each in answer.maintenance_windows),
    )


def _to_hours(week: bodies.WeekBody) -> Hours:
    days = (week.monday, week.tuesday, week.wednesday, week.thursday, week.friday, week.saturday, week.sunday)
    return Hours(to_ms(week.start_time), to_ms(week.end_time), tuple(tuple(map(_to_session, day)) for day in days))


def _to_session(session: bodies.SessionBody) -> tuple[int, int]:
    """A session that closes at 00:00 closes with the day."""
    opens, closes = _to_minutes(session.open_time), _to_minutes(session.close_time) or DAY_MINUTES
    if opens >= closes:
        raise WireError("inconsistent", f"a session from {session.open_time} to {session.close_time}")
    return opens, closes


def _to_minutes(text: str) -> int:
    match = WALL_TIME.fullmatch(text)
    if match is None:
        raise WireError("bad_number", f"{text[:40]!r} is no time of a day")
    return int(match[1]) * 60 + int(match[2])
