"""The one classification of errors: by code, by its beginning, and by status only where nobody told us of the code."""

from __future__ import annotations

import pytest

from kalshi_daemon.errors import ConfigurationError, ExchangeError, RateLimited, Unreachable, WireError
from kalshi_daemon.wire.error_codes import ROWS, Fault, Meaning, Remedy, Verdict, meaning_of, meaning_of_code

R, D, M = Verdict.REFUSED, Verdict.DUPLICATE, Verdict.MISSING


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (400, "insufficient_balance", Meaning(Fault.PERSON, Remedy.NONE, R, None)),
        (400, "invalid_price", Meaning(Fault.OURS, Remedy.NONE, R, R)),
        (400, "MARKET_INACTIVE", Meaning(Fault.TRANSIENT, Remedy.STOP_MARKET, R, R)),
        (401, "header_timestamp_expired", Meaning(Fault.TRANSIENT, Remedy.RETRY_AT_ONCE, R, R)),
        (401, "authentication_error", Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, R, R)),
        (401, "user_not_found:_0f3c", Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, R, R)),
        (400, "order_side_mismatch", Meaning(Fault.OURS, Remedy.NONE, R, R)),
        (403, "forbidden", Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, R, R)),
        (403, "region_expired", Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, R, R)),
        (403, "something_new", Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, R, R, known=False)),
        (404, "not_found", Meaning(Fault.OURS, Remedy.NONE, None, M)),
        (404, "market_not_found", Meaning(Fault.OURS, Remedy.NONE, R, M)),
        (409, "order_already_exists", Meaning(Fault.OURS, Remedy.NONE, D, None)),
        (409, "trading_is_paused", Meaning(Fault.TRANSIENT, Remedy.STOP_MARKET, R, R)),
        (409, "exchange_is_paused", Meaning(Fault.TRANSIENT, Remedy.HOLD_EXCHANGE, R, R)),
        (409, "something_new", Meaning(Fault.THEIRS, known=False)),
        (410, "deprecated_v1_order_endpoint", Meaning(Fault.PERSON)),
        (429, "too_many_requests", Meaning(Fault.TRANSIENT, Remedy.RETRY, R, R)),
        (409, "invalid_price", Meaning(Fault.THEIRS, known=False)),
    ],
)
def test_a_code_means_one_thing(status, code, meaning):
    """409 has opposite meanings; a known code under another status is a code that nobody told us of."""
    assert meaning_of_code(status, code) == meaning
    assert meaning_of(ExchangeError(status, code, "")) == meaning


def test_no_row_is_hidden_by_an_earlier_one():
    """Every row decides for its own beginning."""
    assert [row for row in ROWS if meaning_of_code(row[0], row[1]) != row[2]] == []


def test_what_is_no_answer_is_tried_again_and_what_cannot_be_read_is_not():
    """The same question to the same exchange brings the same bytes; a dead connection does not say that."""
    assert meaning_of(Unreachable("reset", maybe_done=True)) == Meaning(Fault.TRANSIENT, Remedy.RETRY)
    unread = Unreachable("a page", maybe_done=False)
    unread.__cause__ = WireError("unreadable", "x")
    assert meaning_of(unread) == Meaning(Fault.THEIRS)
    assert meaning_of(WireError("wrong_type", "x")).fault is Fault.THEIRS
    assert meaning_of(WireError("unsupported", "flat fees")).fault is Fault.PERSON
    assert meaning_of(RateLimited(429, "rate_limited", "")).remedy is Remedy.RETRY
    assert meaning_of(ConfigurationError("x")).fault is Fault.PERSON
