"""What series and events charge, from bodies and frames to facts (api.md 3.3).

Rules: a multiplier is a JSON number, taken as text, since as a float it would already be rounded. A series whose fees
cannot be counted with is a `WireError` of kind `unsupported`, or of `bad_number`. An event's fees are a fact in every
case, which then says why: the markets of an event whose fees are not known are not to be traded, and no others.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import EventFees, SeriesFeeChange, SeriesFees
from kalshi_daemon.units import FeeType, Ticker
from kalshi_daemon.wire import bodies
from kalshi_daemon.wire.fixed_point import parse_multiplier
from kalshi_daemon.wire.reading import read, to_ms

FEE_TYPES: Final = frozenset(FeeType)
NULL: Final = msgspec.Raw(b"null")

_series: Final = msgspec.json.Decoder(bodies.SeriesAnswer)
_event: Final = msgspec.json.Decoder(bodies.EventAnswer)
_events: Final = msgspec.json.Decoder(bodies.EventsAnswer)
_changes: Final = msgspec.json.Decoder(bodies.SeriesFeeChangesAnswer)


def read_series_fees(body: bytes) -> SeriesFees:
    """Raises WireError for a schedule whose arithmetic we do not have: such a series is not to be traded."""
    series = read(_series, body).series
    return _series_fees(series.ticker, series.fee_type, series.fee_multiplier)


def read_series_fee_changes(body: bytes) -> tuple[SeriesFeeChange, ...]:
    """What is announced; a schedule that cannot be counted with is said so in its row."""
    return tuple(_to_change(row) for row in read(_changes, body).series_fee_change_arr)


def read_event_fees(body: bytes) -> EventFees:
    return _to_event_fees(read(_event, body).event)


def read_events_fees(body: bytes) -> tuple[EventFees, ...]:
    """Of a page of the list of events."""
    return tuple(_to_event_fees(event) for event in read(_events, body).events)


def event_fees(event: Ticker, fee_type: str | None, multiplier: msgspec.Raw) -> EventFees:
    """An event's own fees; null, in either field, leaves it to the series."""
    try:
        ppm = None if bytes(multiplier) == bytes(NULL) else parse_multiplier(bytes(multiplier))
        kind = None if fee_type is None else _fee_type(f"event {event}", fee_type)
    except WireError as error:
        return EventFees(event, None, None, str(error))
    return EventFees(event, kind, ppm)


def _to_event_fees(body: bodies.EventBody) -> EventFees:
    return event_fees(body.event_ticker, body.fee_type_override, body.fee_multiplier_override)


def _to_change(row: bodies.SeriesFeeChangeBody) -> SeriesFeeChange:
    at_ms = to_ms(row.scheduled_ts)
    try:
        fees = _series_fees(row.series_ticker, row.fee_type, row.fee_multiplier)
    except WireError as error:
        return SeriesFeeChange(at_ms, row.series_ticker, None, str(error))
    return SeriesFeeChange(at_ms, row.series_ticker, fees)


def _series_fees(series: Ticker, fee_type: str, multiplier: msgspec.Raw) -> SeriesFees:
    return SeriesFees(series, _fee_type(f"series {series}", fee_type), parse_multiplier(bytes(multiplier)))


def _fee_type(whose: str, word: str) -> FeeType:
    if word not in FEE_TYPES:
        raise WireError("unsupported", f"{whose} has fee type {word!r}: do not trade it")
    return FeeType(word)
