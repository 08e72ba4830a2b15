"""What series and events charge, as it is read: exactly, or with the reason why it cannot be counted with."""

from __future__ import annotations

import json

import pytest
from test_rest_bodies import SERIES, body
from wire_samples import AT_MS, FEES_CHANGED, changed, text

from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import EventFees, EventFeesChanged, SeriesFeeChange, SeriesFees
from kalshi_daemon.units import FeeType
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.fees import read_event_fees, read_events_fees, read_series_fee_changes, read_series_fees

CHANGE = {"id": "c-1", "scheduled_ts": "2026-11-23T00:00:00Z"}
CHANGE_MS = 1_795_392_000_000


@pytest.mark.parametrize(
    ("number", "ppm"),
    [
        ("1", 1_000_000),
        ("0.5", 500_000),
        ("0", 0),
        ("1.1", 1_100_000),
        ("0.000001", 1),
        ("5e-1", 500_000),
        ("1.0E0", 1_000_000),
    ],
)
def test_a_fee_multiplier_is_exact(number, ppm):
    """A JSON number becomes millionths without having been a float."""
    text = body({"series": SERIES}).replace(b"0.5", number.encode())
    assert read_series_fees(text) == SeriesFees("KXMLBGAME", FeeType.QUADRATIC_WITH_MAKER_FEES, ppm)


@pytest.mark.parametrize("number", ['"0.5"', "-1", "0.0000001", "101", "1e9", "null", "true", "[1]", "1e-99", "1e99"])
def test_a_fee_multiplier_that_cannot_be(number):
    """Texts, negatives, more than a hundred and finer than a millionth are errors, not roundings."""
    with pytest.raises(WireError, match="bad_number"):
        read_series_fees(body({"series": SERIES}).replace(b"0.5", number.encode()))


@pytest.mark.parametrize("fee_type", ["flat", "margin_market_maker_program_fees", ""])
def test_a_series_whose_fees_we_cannot_compute_is_unsupported(fee_type):
    """It reads well, and it is not to be traded."""
    with pytest.raises(WireError) as refused:
        read_series_fees(body({"series": SERIES | {"fee_type": fee_type}}))
    assert refused.value.kind == "unsupported"


def test_announced_changes_of_series() -> None:
    """Each with its time; one that cannot be counted with says so and leaves the others as they are."""
    good = CHANGE | {"series_ticker": "A", "fee_type": "quadratic", "fee_multiplier": 0.5}
    rows = [good, good | {"series_ticker": "B", "fee_type": "flat"}, good | {"fee_multiplier": -1}]
    first, second, third = read_series_fee_changes(body({"series_fee_change_arr": rows}))
    assert first == SeriesFeeChange(CHANGE_MS, "A", SeriesFees("A", FeeType.QUADRATIC, 500_000))
    assert (second.series, second.fees) == ("B", None)
    assert second.refused == "unsupported: series B has fee type 'flat': do not trade it"
    assert (third.fees, third.refused[:11]) == (None, "bad_number:")
    with pytest.raises(WireError, match="missing_field"):
        read_series_fee_changes(body({"series_fee_change_arr": [CHANGE]}))


@pytest.mark.parametrize(
    ("fee_type", "multiplier", "fees"),
    [
        (None, None, EventFees("E", None, None)),
        ("quadratic", None, EventFees("E", FeeType.QUADRATIC, None)),
        (None, 0, EventFees("E", None, 0)),
        ("quadratic_with_maker_fees", 0.1, EventFees("E", FeeType.QUADRATIC_WITH_MAKER_FEES, 100_000)),
        ("flat", 1, EventFees("E", None, None, "unsupported: event E has fee type 'flat': do not trade it")),
        ("", 1, EventFees("E", None, None, "unsupported: event E has fee type '': do not trade it")),
        (
            None,
            "1",
            EventFees("E", None, None, "bad_number: '\"1\"' is not a fee multiplier: a number of zero or more"),
        ),
        (
            None,
            101,
            EventFees(
                "E", None, None, "bad_number: '101' is not a fee multiplier: at most 100 and no finer than a millionth"
            ),
        ),
    ],
)
def test_an_events_own_fees(fee_type: str | None, multiplier: object, fees: EventFees) -> None:
    """Alike in bodies and on the stream; null leaves a field to the series, and nonsense refuses the event."""
    event = {"event_ticker": "E", "fee_type_override": fee_type, "fee_multiplier_override": multiplier}
    assert read_event_fees(body({"event": event})) == fees
    assert read_events_fees(body({"events": [event, {"event_ticker": "F"}], "cursor": ""})) == (
        fees,
        EventFees("F", None, None),
    )
    frame = text(FEES_CHANGED | {"msg": event})
    assert decode_frame(frame, AT_MS) == EventFeesChanged(6, 4, fees)


def test_a_multiplier_on_the_stream_has_never_been_a_float() -> None:
    """The digits of the frame decide, wherever its type stands in it."""
    frame = json.dumps({"msg": FEES_CHANGED["msg"]} | FEES_CHANGED).replace("0.5", "0.123456").encode()
    told = decode_frame(frame, AT_MS)
    assert told == EventFeesChanged(6, 4, EventFees("E", None, 123_456))


@pytest.mark.parametrize("field", ["event_ticker", "fee_type_override", "fee_multiplier_override"])
def test_a_frame_of_fees_says_all(field: str) -> None:
    """What is not there is not null: the exchange always sends the three."""
    with pytest.raises(WireError, match="missing_field"):
        decode_frame(changed(FEES_CHANGED, **{field: ...}), AT_MS)
