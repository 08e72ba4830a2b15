"""Malformed frames and bodies, by the ten thousand: a fact, or one of the known errors, and never anything else."""

from __future__ import annotations

import copy
import json
import random

import msgspec
import pytest
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
from wire_samples import AT_MS, FRAMES, text

from kalshi_daemon.errors import ExchangeError, Unreachable, WireError
from kalshi_daemon.wire import orders, rest
from kalshi_daemon.wire.error_bodies import error_of
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.reading import KINDS

ODD = [
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**64, 10**40, 0.5, -0.0, 1e308, "", " ", "yes", "0.5", "0.50000",
    "-1", "1e5", "NaN", "\x00", "٣", "x" * 5_000, [], [[]], [["0.5", "1"]], [["0.5", "1", "2"]], {}, {"type": "ok"},
    "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
]  # fmt: skip
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
    (rest.read_series_fees, {"series": SERIES}),
    (lambda body: orders.read_created(body, "kd-r-1"), CREATED),
    (lambda body: orders.read_cancelled(body, "o-1"), CANCELLED),
]
ERRORS = [
    {"error": {"code": "invalid_order", "message": "invalid order", "details": "post only cross"}},
    {"code": "bad_request", "message": "bad request", "details": "json"},
    {"msg": "Parameter validation failed"},
    {"error": "too many requests"},
]
ROUNDS = 3_000  # mutations of each sample


def mutated_value(rng, value):
    """One value somewhere in the tree replaced, removed, doubled or renamed."""
    tree = copy.deepcopy({"root": value})
    node, key = tree, "root"
    while isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.8:
        node = node[key]
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    act = rng.randrange(4)
    if act == 0 and node is not tree:
        del node[key]
    elif act == 1 and isinstance(node, list):
        node.append(node[key])
    elif act == 2 and isinstance(node, dict) and node is not tree:
        node[rng.choice(["", "type", "msg", "x"])] = node.pop(key)
    else:
        node[key] = rng.choice(ODD)
    return tree["root"]


def mutated_bytes(rng, data):
    """A few bytes flipped, cut, repeated or put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at_byte = rng.randrange(len(out) + 1)
        act = rng.randrange(4)
        if act == 0:
            del out[at_byte : at_byte + rng.randint(1, 8)]
        elif act == 1:
            out[at_byte:at_byte] = rng.randbytes(rng.randint(1, 3))
        elif act == 2:
            out[at_byte:at_byte] = out[max(0, at_byte - 5) : at_byte]
        elif at_byte < len(out):
            out[at_byte] ^= 1 << rng.randrange(8)
    return bytes(out)


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
    assert read > ROUNDS // 100
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
