"""Cancels in one request: what is sent, and what each order's part of the answer means."""

from __future__ import annotations

import json

import pytest

from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.errors import AccessRefused, ExchangeError, RateLimited, WireError
from kalshi_daemon.wire.batched_cancel import BatchFailed, batch_failed, encode_cancels, read_cancels
from kalshi_daemon.wire.orders import CancelAccepted, CancelDenied, CancelNotFound, CancelUnknown, cancel_failed

IDS = ("o-1", "o-2", "o-3")
ONE = {"order_id": "o-1", "client_order_id": "kd-r-1", "reduced_by": "2.50", "ts_ms": 9}


def answer(*items):
    return json.dumps({"orders": items}).encode()


def failed(order_id, code, **more):
    return {"order_id": order_id, "client_order_id": None, "reduced_by": "0.00", "ts_ms": None} | {
        "error": {"code": code, "message": "a text", **more}
    }


def test_each_order_is_named_with_its_market_and_its_shard():
    """Without them the exchange looks on shard 0 alone."""
    commands = [CancelOrder("kd-r-1", "o-1", "KXA-1", 0, "c"), CancelOrder("kd-r-2", "o-2", "KXB-1", 3, "c")]
    assert json.loads(encode_cancels(commands)) == {
        "orders": [
            {"order_id": "o-1", "market_ticker": "KXA-1", "exchange_index": 0},
            {"order_id": "o-2", "market_ticker": "KXB-1", "exchange_index": 3},
        ]
    }


def test_an_answer_has_a_part_for_each_and_what_it_leaves_out_is_not_in_it():
    """In any order; the stamp may be missing, and is then 0: older than whatever is known."""
    found = read_cancels(answer({"order_id": "o-3", "reduced_by": "1.00"}, ONE), IDS)
    assert found == {"o-1": CancelAccepted(250, 9), "o-3": CancelAccepted(100, 0)}


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("not_found", CancelNotFound()),
        ("market_not_found", CancelNotFound()),
        ("trading_is_paused", CancelDenied(409, "trading_is_paused", "a text")),
        ("MARKET_INACTIVE", CancelDenied(400, "MARKET_INACTIVE", "a text")),
        ("invalid_parameters", CancelDenied(400, "invalid_parameters", "a text")),
        ("never_heard_of", CancelUnknown("the exchange answered 0 never_heard_of: a text")),
        ("", CancelUnknown("the exchange answered 0 : a text")),
    ],
)
def test_an_error_of_one_order_is_judged_by_its_code(code, means):
    """It has no status: a code that no row names says nothing of the cancel."""
    error = read_cancels(answer(failed("o-2", code)), IDS)["o-2"]
    assert isinstance(error, ExchangeError)
    assert cancel_failed(error) == means


@pytest.mark.parametrize(
    "body",
    [
        answer(ONE, ONE),
        answer(ONE | {"order_id": "o-9"}),
        answer({"order_id": "o-1"}),
        answer(ONE | {"reduced_by": "x"}),
        answer(ONE | {"error": "a text"}),
        b"{}",
        b"<html>",
        b"",
    ],
    ids=["twice", "unasked", "neither", "no number", "error without a code", "no list", "html", "nothing"],
)
def test_what_is_no_answer_to_this_request_cannot_be_read(body):
    with pytest.raises(WireError):
        read_cancels(body, IDS)


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (
            ExchangeError(400, "invalid_parameters", "m"),
            BatchFailed(CancelDenied(400, "invalid_parameters", "m"), True),
        ),
        (ExchangeError(404, "not_found", "m"), BatchFailed(CancelNotFound(), True)),
        (
            ExchangeError(400, "batch_too_long", "m"),
            BatchFailed(CancelUnknown("the exchange answered 400 batch_too_long: m"), True),
        ),
        (RateLimited(429, "rate_limited", "m"), BatchFailed(CancelDenied(429, "rate_limited", "m"), False)),
        (
            ExchangeError(409, "exchange_is_paused", "m"),
            BatchFailed(CancelDenied(409, "exchange_is_paused", "m"), False),
        ),
        (
            AccessRefused(401, "authentication_error", "m"),
            BatchFailed(CancelDenied(401, "authentication_error", "m"), False),
        ),
    ],
)
def test_a_batch_refused_whole_may_be_refused_for_what_it_is(error, means):
    """What is neither passing nor a matter for a person may be its size, of which nothing is documented."""
    assert batch_failed(error) == means
