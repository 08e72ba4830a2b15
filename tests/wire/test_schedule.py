"""The exchange's schedule: sessions of each day, maintenance, and what is refused."""

from __future__ import annotations

import json

import pytest

from kalshi_daemon.errors import WireError
from kalshi_daemon.wire.schedule import Hours, Schedule, read_schedule

ALL_DAY = [{"open_time": "00:00", "close_time": "00:00"}]
SCHEDULE = {
    "schedule": {
        "standard_hours": [
            {
                "start_time": "2026-01-01T00:00:00Z",
                "end_time": "2027-01-01T00:00:00Z",
                **dict.fromkeys(("monday", "tuesday", "wednesday", "friday", "saturday", "sunday"), ALL_DAY),
                "thursday": [
                    {"open_time": "00:00", "close_time": "03:00"},
                    {"open_time": "05:00", "close_time": "00:00"},
                ],
            }
        ],
        "maintenance_windows": [
            {"start_datetime": "2026-06-11T06:29:30Z", "end_datetime": "2026-06-11T07:29:30Z"},
        ],
    }
}


def test_the_schedule_of_the_exchange():
    """Sessions in minutes of the day, Monday first; one that closes at 00:00 closes with the day."""
    assert read_schedule(encoded(SCHEDULE)) == Schedule(
        weeks=(
            Hours(
                1_767_225_600_000,
                1_798_761_600_000,
                (*(3 * (((0, 1_440),),)), ((0, 180), (300, 1_440)), *(3 * (((0, 1_440),),))),
            ),
        ),
        maintenance=((1_781_159_370_000, 1_781_162_970_000),),
    )


@pytest.mark.parametrize(
    ("session", "kind"),
    [
        ({"open_time": "24:00", "close_time": "00:00"}, "bad_number"),
        ({"open_time": "3:00", "close_time": "05:00"}, "bad_number"),
        ({"open_time": "05:00", "close_time": "03:00"}, "inconsistent"),
        ({"open_time": "05:00"}, "missing_field"),
    ],
)
def test_a_session_that_is_none_is_refused(session, kind):
    """Hours that cannot be counted with leave those that were known in force."""
    week = SCHEDULE["schedule"]["standard_hours"][0] | {"friday": [session]}
    with pytest.raises(WireError) as caught:
        read_schedule(encoded({"schedule": {"standard_hours": [week], "maintenance_windows": []}}))
    assert caught.value.kind == kind


def encoded(answer):
    return json.dumps(answer).encode()
