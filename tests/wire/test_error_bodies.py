"""The four shapes of an error body, and everything that only looks like an answer."""

from __future__ import annotations

import pytest
from wire_samples import demo, demo_status, needs_recordings

from kalshi_daemon.errors import AccessRefused, ClockRefused, ExchangeError, RateLimited, Unreachable
from kalshi_daemon.wire.error_bodies import error_of

NESTED = b'{"error":{"code":"invalid_order","message":"invalid order","details":"post only cross"}}'
FLAT = b'{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal number"}'
MESSAGE = b'{"msg":"Parameter validation failed for GetMarkets: Limit"}'


@pytest.mark.parametrize(
    ("status", "body", "code", "details"),
    [
        (400, NESTED, "invalid_order", "post only cross"),
        (400, FLAT, "bad_request", "json: cannot unmarshal number"),
        (400, MESSAGE, "invalid_parameters", ""),
        (
            409,
            b'{"error":{"code":"trading_is_paused","message":"m","details":null,"service":"x"}}',
            "trading_is_paused",
            "",
        ),
        (418, b'{"error":"out of order"}', "out_of_order", ""),
        (400, b'{"error":{"code":"only_a_code"}}', "only_a_code", ""),
    ],
)
def test_each_shape_gives_its_code(status, body, code, details):
    """Whatever the shape, the error carries status, code and details."""
    error = error_of(status, body, write=True)
    assert type(error) is ExchangeError
    assert (error.status, error.code, error.details) == (status, code, details)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}', ClockRefused),
        (401, b'{"error":{"code":"authentication_error","details":"NOT_FOUND"}}', AccessRefused),
        (403, b'{"error":{"code":"insufficient_scope"}}', AccessRefused),
        (429, b'{"error":"too many requests"}', RateLimited),
        (429, b"<html>slow down</html>", RateLimited),
    ],
)
def test_access_clock_and_rate_have_their_own_errors(status, body, kind):
    """A clock that is off is not a key that is wrong; a 429 is a 429 whoever answers it."""
    assert type(error_of(status, body, write=True)) is kind


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, NESTED),
        (503, b'{"error":{"code":"service_unavailable","message":"m"}}'),
        (502, b"<html>Bad Gateway</html>"),
        (400, b"<html>"),
        (403, b""),
        (404, b"404 page not found"),
        (409, b'{"error":{"message":"no code"}}'),
        (400, b'{"error":5}'),
        (400, b"[" * 100_000),
        (301, b""),
        (302, NESTED),
    ],
)
def test_what_is_no_answer_leaves_the_outcome_open(status, body, write):
    """5xx, redirects, pages and unknown shapes: a write may have been done, a read has not been answered."""
    error = error_of(status, body, write=write)
    assert type(error) is Unreachable
    assert error.maybe_done is write
    assert len(str(error)) < 250


@pytest.mark.parametrize("details", [b'{"a":1}', b"[1]", b"5", b"null", b'"x"'])
def test_the_code_is_read_whatever_the_details_are(details):
    """Words for people may be anything: a refusal is not made an unknown outcome by them."""
    error = error_of(400, b'{"error":{"code":"invalid_order","message":null,"details":' + details + b"}}", write=True)
    assert type(error) is ExchangeError
    assert (error.code, error.message) == ("invalid_order", "")
    assert error.details == ("" if details == b"null" else details.decode().strip('"'))


def test_long_texts_are_cut():
    """An error's own words are repeated only so far."""
    error = error_of(400, b'{"code":"bad_request","message":"' + b"x" * 100_000 + b'"}', write=False)
    assert len(str(error)) < 500


@needs_recordings
@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("auth__bad_signature", AccessRefused, "authentication_error"),
        ("auth__unknown_key_id", AccessRefused, "authentication_error"),
        ("auth__missing_signature_header", AccessRefused, "signature_is_missing_from_headers"),
        ("auth__skew_minus30s", ClockRefused, "header_timestamp_expired"),
        ("auth__skew_plus5min", ClockRefused, "header_timestamp_expired"),
        ("orders__numeric_field_types", ExchangeError, "bad_request"),
        ("markets__limit_over_max", ExchangeError, "invalid_parameters"),
        ("orders__cancel_unknown_id", ExchangeError, "not_found"),
    ],
)
def test_recorded_errors(name, kind, code):
    """The bodies that the demo exchange answered with, in three of the four shapes."""
    error = error_of(demo_status(name), demo(name), write=True)
    assert type(error) is kind
    assert isinstance(error, ExchangeError)
    assert error.code == code
