"""A series' schedule and an event's own fees make one schedule, in one place."""

from __future__ import annotations

import pytest

from kalshi_daemon.core.fee_schedules import FeeSchedules
from kalshi_daemon.facts import EventFees, SeriesFees
from kalshi_daemon.units import FeeType

PLAIN, MAKERS = FeeType.QUADRATIC, FeeType.QUADRATIC_WITH_MAKER_FEES
SERIES = SeriesFees("S", PLAIN, 1_000_000)


def schedules_of(own: EventFees | None = None) -> FeeSchedules:
    schedules = FeeSchedules()
    schedules.read_series("S", SERIES, "")
    if own is not None:
        schedules.read_event(own)
    return schedules


@pytest.mark.parametrize(
    ("own", "fees"),
    [
        (EventFees("E", None, None), SERIES),
        (EventFees("E", MAKERS, None), SeriesFees("S", MAKERS, 1_000_000)),
        (EventFees("E", None, 0), SeriesFees("S", PLAIN, 0)),
        (EventFees("E", MAKERS, 250_000), SeriesFees("S", MAKERS, 250_000)),
    ],
)
def test_an_event_outranks_its_series_field_by_field(own: EventFees, fees: SeriesFees) -> None:
    """What it leaves out is the series', also when the series changes."""
    schedules = schedules_of(own)
    assert schedules.of("S", "E") == (fees, "")
    schedules.read_series("S", SeriesFees("S", FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES, 3), "")
    kind = own.fee_type or FeeType.QUADRATIC_WITH_COMBO_MAKER_FEES
    ppm = 3 if own.multiplier_ppm is None else own.multiplier_ppm
    assert schedules.of("S", "E") == (SeriesFees("S", kind, ppm), "")


def test_nothing_is_counted_with_before_both_were_read() -> None:
    """An event that was not read is not one without fees of its own."""
    assert schedules_of().of("S", "E") == (None, "")
    assert schedules_of(EventFees("E", None, None)).of("OTHER", "E") == (None, "")
    assert schedules_of(EventFees("E", None, None)).of("S", "E") == (SERIES, "")


def test_what_cannot_be_counted_with_is_refused_and_what_was_known_stays() -> None:
    """An event's refusal is its own, a series' that of all its events; both end with the next good word."""
    schedules = schedules_of(EventFees("E", MAKERS, None))
    schedules.read_event(EventFees("F", None, None))
    schedules.read_event(EventFees("E", None, None, "odd"))
    assert schedules.of("S", "E") == (SeriesFees("S", MAKERS, 1_000_000), "odd")
    assert schedules.of("S", "F") == (SERIES, "")
    schedules.read_event(EventFees("E", None, None))
    assert schedules.of("S", "E") == (SERIES, "")
    schedules.read_series("S", None, "flat")
    assert (schedules.of("S", "E"), schedules.of("S", "F")) == ((SERIES, "flat"), (SERIES, "flat"))
    schedules.read_series("S", SERIES, "")
    assert schedules.of("S", "E") == (SERIES, "")


def test_only_news_is_news() -> None:
    """The same again, refused or not, is none."""
    schedules = FeeSchedules()
    assert [schedules.read_series("S", SERIES, "") for _ in range(2)] == [True, False]
    assert [schedules.read_series("S", None, "flat") for _ in range(2)] == [True, False]
    assert [schedules.read_event(EventFees("E", None, 1)) for _ in range(2)] == [True, False]
    assert [schedules.read_event(EventFees("E", None, None, "odd")) for _ in range(2)] == [True, False]


def test_what_no_market_needs_is_forgotten() -> None:
    """By series and by event."""
    schedules = schedules_of(EventFees("E", None, None))
    schedules.keep({"S"}, set())
    assert (set(schedules.series), set(schedules.events)) == ({"S"}, set())
    schedules.keep(set(), set())
    assert set(schedules.series) == set()
