"""Malformed frames and bodies, a hundred thousand of them: a fact, or one of the known errors, nothing else."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from fuzz_budget import FUZZED, mutated_bytes, mutated_value
from hypothesis import given, settings
from hypothesis import strategies as st
from test_order_answers import CANCELLED, CREATED
from test_rest_bodies import (
    BALANCE,
    BOOKS,
    FILL_BODY,
    LIMITS,
    MARKET_BODY,
    ORDER_BODY,
    POSITION_BODY,
    SERIES,
    SETTLEMENT_BODY,
    STATUS,
    at,
)
from test_schedule import SCHEDULE
from wire_samples import AT_MS, FRAMES, text

from kalshi_daemon.errors import ExchangeError, Unreachable, WireError
from kalshi_daemon.wire import amendments, batched_cancel, fees, order_groups, orders, rest
from kalshi_daemon.wire.error_bodies import error_of
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.reading import KINDS
from kalshi_daemon.wire.schedule import read_schedule

AN_HOUR = "2026-11-23T00:00:00Z"
FEE_CHANGE = {"series_ticker": "S", "fee_type": "quadratic", "fee_multiplier": 1, "scheduled_ts": AN_HOUR}
EVENT = {"event_ticker": "E", "fee_type_override": "flat", "fee_multiplier_override": 1}
BODIES = [
    (rest.read_market, {"market": MARKET_BODY}),
    (rest.read_markets, {"markets": [MARKET_BODY], "cursor": "c"}),
    (at(rest.read_orders), {"orders": [ORDER_BODY], "cursor": ""}),
    (at(rest.read_order), {"order": ORDER_BODY}),
    (at(rest.read_fills), {"fills": [FILL_BODY], "cursor": ""}),
    (at(rest.read_settlements), {"settlements": [SETTLEMENT_BODY], "cursor": ""}),
    (rest.read_positions, {"market_positions": [POSITION_BODY], "cursor": ""}),
    (rest.read_balance, BALANCE),
    (rest.read_exchange_status, STATUS),
    (rest.read_account_limits, LIMITS),
    (rest.read_as_of, {"as_of_time": "2026-06-11T06:29:30.165032Z"}),
    (rest.read_orderbooks, BOOKS),
    (fees.read_series_fees, {"series": SERIES}),
    (fees.read_event_fees, {"event": EVENT}),
    (fees.read_series_fee_changes, {"series_fee_change_arr": [FEE_CHANGE]}),
    (fees.read_events_fees, {"events": [EVENT, {"event_ticker": "F", "fee_type_override": None}], "cursor": ""}),
    (rest.read_endpoint_costs, {"default_cost": 10, "endpoint_costs": [{"method": "GET", "path": "/x", "cost": 2}]}),
    (rest.read_keys, {"api_keys": [{"api_key_id": "k", "name": "n", "scopes": ["read", "write"]}]}),
    (rest.read_region_ends, {"api_keys": [], "api_key_region_expiration_ts": 1_795_392_000}),
    (rest.read_fills_cutoff, {"trades_created_ts": AN_HOUR, "orders_updated_ts": AN_HOUR}),
    (read_schedule, SCHEDULE),
    (lambda body: orders.read_created(body, "kd-r-1"), CREATED),
    (lambda body: orders.read_cancelled(body, "o-1"), CANCELLED),
    (lambda body: amendments.read_amended(body, "o-1"), {"order_id": "o-1", "remaining_count": "2.50", "ts_ms": 9}),
    (lambda body: amendments.read_decreased(body, "o-1"), {"order_id": "o-1", "remaining_count": "2.50", "ts_ms": 9}),
    (lambda body: batched_cancel.read_cancels(body, ["o-1"]), {"orders": [{"order_id": "o-1", "reduced_by": "2.50"}]}),
    (order_groups.read_made, {"order_group_id": "g-1", "subaccount": 0, "exchange_index": 2}),
    (order_groups.read_groups, {"order_groups": [{"id": "g-1", "contracts_limit_fp": "75.00", "exchange_index": 1}]}),
]
ERRORS = [
    {"error": {"code": "invalid_order", "message": "invalid order", "details": "post only cross"}},
    {"code": "bad_request", "message": "bad request", "details": "json"},
    {"msg": "Parameter validation failed"},
    {"error": "too many requests"},
]
ROUNDS = FUZZED // (len(FRAMES) + len(BODIES) + len(ERRORS)) + 1  # mutations of each sample


def mutations(rng, sample, count):
    for _ in range(count):
        if rng.random() < 0.6:
            yield json.dumps(mutated_value(rng, sample)).encode()
        else:
            yield mutated_bytes(rng, json.dumps(sample).encode())


@pytest.mark.parametrize("number", range(len(FRAMES)))
def test_mutated_frames(number):
    """Only `WireError` of a known kind comes out, some mutations still read, and what reads can be journaled."""
    read = refused = 0
    for frame in mutations(random.Random(number), FRAMES[number], ROUNDS):
        try:
            fact = decode_frame(frame, AT_MS)
        except WireError as error:
            assert error.kind in KINDS, frame  # noqa: PT017 - both ways out are checked
            refused += 1
        else:
            msgspec.json.encode(fact)
            read += 1
    assert read + refused == ROUNDS
    assert read > ROUNDS // 100
    assert refused > ROUNDS // 10


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_mutated_bodies(number):
    """As for frames, with the readers of REST bodies."""
    reader, sample = BODIES[number]
    read = refused = 0
    for body in mutations(random.Random(1_000 + number), sample, ROUNDS):
        try:
            value = reader(body)
        except WireError as error:
            assert error.kind in KINDS, body  # noqa: PT017
            refused += 1
        else:
            msgspec.json.encode(value)
            read += 1
    assert read + refused == ROUNDS
    assert read > ROUNDS // 200
    assert refused > ROUNDS // 10


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_mutated_error_bodies(number):
    """An error body becomes an `ExchangeError` or `Unreachable`, and a create knows what to make of it."""
    rng = random.Random(2_000 + number)
    for body in mutations(rng, ERRORS[number], ROUNDS):
        error = error_of(rng.choice([301, 400, 401, 403, 404, 409, 410, 429, 500, 503]), body, write=True)
        if isinstance(error, ExchangeError):
            assert type(orders.create_failed(error)) in (orders.Refused, orders.Duplicate, orders.Lost)
        else:
            assert isinstance(error, Unreachable)
            assert error.maybe_done


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["msg", "sid", "seq", "id"]), inner),
    max_leaves=8,
)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    st.sampled_from([frame["type"] for frame in FRAMES]), st.dictionaries(st.sampled_from(["sid", "seq", "msg"]), JSON)
)
def test_frames_of_known_types_with_any_content(kind, content):
    """A known type with anything at all inside reads or is a `WireError`."""
    try:
        decode_frame(text({"type": kind} | content), AT_MS)
    except WireError as error:
        assert error.kind in KINDS  # noqa: PT017


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.binary(max_size=64) | st.text(max_size=64))
def test_any_bytes_at_all(frame):
    """Noise is a `WireError`."""
    with pytest.raises(WireError):
        decode_frame(frame, AT_MS)
