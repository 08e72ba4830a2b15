"""Amends and decreases: the bodies that are sent, and the verdict on every answer that is known."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from wire_samples import RESTING

from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.units import BookSide, TimeInForce
from kalshi_daemon.wire import amendments
from kalshi_daemon.wire.amendments import AmendAccepted, AmendDenied, AmendNotFound, AmendUnknown

SPEC = evolve(RESTING, side=BookSide.ASK)


def body(**fields):
    return json.dumps({"order_id": "o-1", "ts_ms": 7, **fields}).encode()


def test_the_body_of_an_amend():
    """The whole count, the id that it has and keeps, a new expiry; nothing of what cannot be amended."""
    assert json.loads(amendments.encode_amend("kd-r-1", SPEC)) == {
        "ticker": "KXTEST-1-A",
        "client_order_id": "kd-r-1",
        "side": "ask",
        "count": "10.25",
        "price": "0.5600",
        "exchange_index": 2,
        "expiration_time": 1781160260,
    }


def test_the_body_of_a_decrease():
    """By how much, so that a fill on its way does not change what it comes to."""
    expected = {"reduce_by": "0.75", "market_ticker": "KXTEST-1-A", "exchange_index": 2}
    assert json.loads(amendments.encode_decrease(75, "KXTEST-1-A", 2)) == expected


@pytest.mark.parametrize(
    "changes", [{"price": 0}, {"price": 10_000}, {"count": 0}, {"time_in_force": TimeInForce.IMMEDIATE_OR_CANCEL}]
)
def test_what_cannot_be_amended_to_is_our_mistake(changes):
    """Known refusals of form never reach the exchange."""
    with pytest.raises(AssertionError):
        amendments.encode_amend("kd-r-1", evolve(SPEC, **changes))
    with pytest.raises(AssertionError):
        amendments.encode_decrease(0, SPEC.market, 0)


@pytest.mark.parametrize(
    ("fields", "remaining"),
    [
        ({"remaining_count": "4.25", "fill_count": "1.00", "average_fill_price": "0.5600"}, 425),
        ({"remaining_count": "0.00"}, 0),
        ({"remaining_count": None, "fill_count": None, "client_order_id": None}, None),
        ({}, None),
    ],
)
def test_what_an_amend_may_answer(fields, remaining):
    """Counts may be there, null, or left out; the amend's own fills are not taken from here."""
    assert amendments.read_amended(body(**fields), "o-1") == AmendAccepted(remaining, 7)


def test_what_a_decrease_answers():
    """It always says what remains."""
    assert amendments.read_decreased(body(remaining_count="2.00"), "o-1") == AmendAccepted(200, 7)
    with pytest.raises(WireError, match="missing_field"):
        amendments.read_decreased(body(), "o-1")


@pytest.mark.parametrize("read", [amendments.read_amended, amendments.read_decreased])
def test_an_answer_without_our_order_is_no_answer(read):
    """A 2xx that names another order, or none, proves nothing of ours."""
    with pytest.raises(WireError, match="inconsistent"):
        read(body(remaining_count="1.00"), "o-2")
    with pytest.raises(WireError, match="missing_field"):
        read(b'{"ts_ms":7,"remaining_count":"1.00"}', "o-1")


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "order_id_and_client_order_id_mismatch", AmendDenied),
        (400, "order_side_mismatch", AmendDenied),
        (400, "order_ticker_mismatch", AmendDenied),
        (400, "invalid_order", AmendDenied),
        (400, "invalid_order_size", AmendDenied),
        (400, "insufficient_balance", AmendDenied),
        (401, "header_timestamp_expired", AmendDenied),
        (404, "not_found", AmendNotFound),
        (404, "market_not_found", AmendNotFound),
        (409, "trading_is_paused", AmendDenied),
        (409, "exchange_is_paused", AmendDenied),
        (409, "order_already_exists", AmendUnknown),
        (410, "deprecated_v1_order_endpoint", AmendUnknown),
        (429, "too_many_requests", AmendDenied),
        (500, "internal", AmendUnknown),
        (503, "", AmendUnknown),
        (409, "never_heard_of", AmendUnknown),
    ],
)
def test_what_an_error_says_of_an_amend(status, code, verdict):
    """Refused needs a code that is known to be final; a 404 says that nothing rests; the rest is unknown."""
    assert type(amendments.amend_failed(ExchangeError(status, code, "m", "d"))) is verdict
