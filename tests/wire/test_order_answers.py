"""Order writes: the body that is sent, and the verdict on every answer that is known."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from wire_samples import RESTING, demo, demo_status, needs_recordings

from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.units import BookSide, TimeInForce
from kalshi_daemon.wire import orders
from kalshi_daemon.wire.error_bodies import error_of
from kalshi_daemon.wire.orders import CancelDenied, CancelNotFound, CancelUnknown, Duplicate, Lost, Refused

TAKING = evolve(
    RESTING,
    side=BookSide.ASK,
    time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
    post_only=False,
    reduce_only=True,
    expires_s=None,
)
CREATED = {"order_id": "o-1", "client_order_id": "kd-r-1", "fill_count": "0.25", "remaining_count": "10.00", "ts_ms": 7}
CANCELLED = {"order_id": "o-1", "reduced_by": "10.00", "ts_ms": 9}


def body(value):
    return json.dumps(value).encode()


def test_an_order_that_rests():
    """Numbers are texts with fixed decimals; it expires, and goes when trading pauses."""
    assert json.loads(orders.encode_order("kd-r-1", RESTING)) == {
        "ticker": "KXTEST-1-A",
        "client_order_id": "kd-r-1",
        "side": "bid",
        "count": "10.25",
        "price": "0.5600",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        "exchange_index": 2,
        "post_only": True,
        "cancel_order_on_pause": True,
        "expiration_time": 1781160260,
    }


def test_an_order_that_takes():
    """No expiry, no pause, and only such an order may be reduce-only."""
    assert json.loads(orders.encode_order("kd-r-2", TAKING)) == {
        "ticker": "KXTEST-1-A",
        "client_order_id": "kd-r-2",
        "side": "ask",
        "count": "10.25",
        "price": "0.5600",
        "time_in_force": "immediate_or_cancel",
        "self_trade_prevention_type": "taker_at_cross",
        "exchange_index": 2,
        "reduce_only": True,
    }


@pytest.mark.parametrize(
    ("client_order_id", "spec"),
    [
        ("has.dot", RESTING),
        ("", RESTING),
        ("x" * 65, RESTING),
        ("kd-r-1", evolve(RESTING, price=0)),
        ("kd-r-1", evolve(RESTING, price=10_000)),
        ("kd-r-1", evolve(RESTING, count=0)),
        ("kd-r-1", evolve(RESTING, reduce_only=True)),
        ("kd-r-1", evolve(TAKING, expires_s=1781160260)),
        ("kd-r-1", evolve(TAKING, post_only=True)),
        ("kd-r-1", evolve(TAKING, time_in_force=TimeInForce.FILL_OR_KILL)),
    ],
)
def test_what_the_exchange_would_refuse_is_our_mistake(client_order_id, spec):
    """Known refusals of form never reach the exchange."""
    with pytest.raises(AssertionError):
        orders.encode_order(client_order_id, spec)


def test_an_acknowledgement():
    """What filled and what remains; the client's id may be left out of the answer."""
    assert orders.read_created(body(CREATED), "kd-r-1") == orders.Acknowledged("o-1", 25, 1_000, 7)
    unnamed = {key: value for key, value in CREATED.items() if key != "client_order_id"}
    assert orders.read_created(body(unnamed), "kd-r-1") == orders.Acknowledged("o-1", 25, 1_000, 7)
    assert orders.read_cancelled(body(CANCELLED), "o-1") == orders.CancelAccepted(1_000, 9)


def test_an_answer_for_another_order_is_no_answer():
    """A success that speaks of something else proves nothing of ours."""
    with pytest.raises(WireError, match="inconsistent"):
        orders.read_created(body(CREATED), "kd-r-2")
    with pytest.raises(WireError, match="inconsistent"):
        orders.read_cancelled(body(CANCELLED), "o-2")


@pytest.mark.parametrize("field", ["order_id", "fill_count", "remaining_count", "ts_ms"])
def test_a_success_without_an_order_does_not_read(field):
    """A 2xx is an acknowledgement only with the order in it."""
    with pytest.raises(WireError, match="missing_field"):
        orders.read_created(body({key: value for key, value in CREATED.items() if key != field}), "kd-r-1")


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "insufficient_balance", Refused),
        (400, "available_balance_too_low", Refused),
        (400, "invalid_price", Refused),
        (400, "invalid_order", Refused),
        (400, "invalid_order_size", Refused),
        (400, "invalid_parameters", Refused),
        (400, "bad_request", Refused),
        (400, "order_was_taken_by_the_sea", Lost),
        (401, "authentication_error", Refused),
        (401, "header_timestamp_expired", Refused),
        (403, "region_not_allowed", Refused),
        (404, "market_not_found", Refused),
        (404, "not_found", Lost),
        (409, "order_already_exists", Duplicate),
        (409, "order_already_exists:_97ec18b7", Duplicate),
        (409, "trading_is_paused", Refused),
        (409, "exchange_is_paused", Refused),
        (409, "MARKET_INACTIVE", Refused),
        (409, "fill_or_kill_insufficient_resting_volume", Refused),
        (409, "something_new", Lost),
        (410, "deprecated_v1_order_endpoint", Lost),
        (418, "teapot", Lost),
        (429, "rate_limited", Refused),
    ],
)
def test_what_a_create_met(status, code, verdict):
    """Refused only for a code that is known to be final; 409 goes by its code; what nobody told us of is lost."""
    met = orders.create_failed(ExchangeError(status, code, "words", "more"))
    assert type(met) is verdict
    if isinstance(met, Refused):
        assert met == Refused(status, code, "words: more")


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (404, "not_found", CancelNotFound),
        (404, "market_not_found", CancelNotFound),
        (409, "trading_is_paused", CancelDenied),
        (409, "exchange_is_paused", CancelDenied),
        (409, "MARKET_INACTIVE", CancelDenied),
        (400, "invalid_parameters", CancelDenied),
        (401, "authentication_error", CancelDenied),
        (403, "scope", CancelDenied),
        (429, "rate_limited", CancelDenied),
        (409, "something_new", CancelUnknown),
        (410, "gone", CancelUnknown),
    ],
)
def test_what_a_cancel_met(status, code, verdict):
    """A 404 is its own answer: it proves nothing."""
    assert type(orders.cancel_failed(ExchangeError(status, code, "words"))) is verdict


@needs_recordings
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders__duplicate_client_order_id", Duplicate()),
        ("orders__reuse_canceled_client_id", Duplicate()),
        ("orders__insufficient_balance", Refused(400, "insufficient_balance", "insufficient balance")),
        ("orders__invalid_price_structure", Refused(400, "invalid_price", "invalid price")),
        ("orders__post_only_cross", Refused(400, "invalid_order", "invalid order: post only cross")),
    ],
)
def test_recorded_refusals_of_creates(name, expected):
    """What the demo exchange answered to creates that could not be."""
    error = error_of(demo_status(name), demo(name), write=True)
    assert isinstance(error, ExchangeError)
    assert orders.create_failed(error) == expected


@needs_recordings
def test_recorded_answers_to_writes():
    """Acknowledgements, a cancel, and the three cancels that met nothing."""
    maker = orders.read_created(demo("orders__create_v2_maker"), "4a75a66e-ca85-4187-93cd-aac5e01ad982")
    assert maker == orders.Acknowledged("2597b999-f887-4195-8bac-c3f97a1f2021", 0, 100, 1781159360866)
    taker = orders.read_created(demo("orders__create_v2_taker_ioc"), "2b8394e0-515e-4b89-b624-f34067756855")
    assert (taker.filled, taker.remaining) == (100, 0)
    assert orders.read_cancelled(demo("orders__cancel_v2"), maker.order_id) == orders.CancelAccepted(100, 1781159364112)
    with pytest.raises(WireError):
        orders.read_created(demo("orders__legacy_create"), "ae0d38e7-648d-45c0-8ff9-971452e75e52")
    for name in ("already_canceled", "executed", "unknown_id"):
        error = error_of(404, demo(f"orders__cancel_{name}"), write=True)
        assert isinstance(error, ExchangeError)
        assert orders.cancel_failed(error) == CancelNotFound()
