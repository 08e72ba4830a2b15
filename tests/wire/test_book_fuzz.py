"""Streams of book frames with some of them mutated: a book is refused, or it is what the frames as they came say.

The judge is a second reader of another make: the json module, exact decimals, a dict of levels, and no code of ours.
"""

from __future__ import annotations

import json
import random
from decimal import Decimal, InvalidOperation

import pytest
from fuzz_budget import FUZZED, mutated_bytes, mutated_value
from wire_samples import AT_MS, FILL, MARKET, MARKET_ID

from kalshi_daemon.core.book import BookBroken, OrderBook
from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import BookDelta, BookSnapshot, FillSeen
from kalshi_daemon.shell.subscriptions import Subscriptions
from kalshi_daemon.wire.feed import decode_frame
from kalshi_daemon.wire.reading import KINDS

SEEDS = 8
STREAM = 12  # frames of one stream
MUTATED = 1 / 8  # of them


def book_frame(kind, seq, **msg):
    return {"type": kind, "sid": 1, "seq": seq, "msg": {"market_ticker": MARKET, "market_id": MARKET_ID} | msg}


def stream(rng):
    """A snapshot and changes that keep to it, as the exchange would send them: no side crosses the other."""
    levels = {"yes": {}, "no": {}}
    for held in levels.values():
        for _ in range(rng.randrange(6)):
            held[rng.randrange(100, 4_900, 50)] = rng.randrange(1, 50_000)
    yield book_frame(
        "orderbook_snapshot",
        1,
        **{f"{side}_dollars_fp": [[price(p), count(n)] for p, n in sorted(levels[side].items())] for side in levels},
    )
    for seq in range(2, STREAM + 1):
        side = rng.choice(["yes", "no"])
        held = levels[side]
        at = rng.choice([*held, rng.randrange(100, 4_900, 50)])
        change = rng.choice([-held.get(at, 0), rng.randrange(1, 9_999)]) or 100
        held[at] = held.get(at, 0) + change
        if not held[at]:
            del held[at]
        yield book_frame(
            "orderbook_delta",
            seq,
            price_dollars=price(at),
            delta_fp=f"{'-' if change < 0 else ''}{count(abs(change))}",
            side=side,
            ts_ms=AT_MS,
        )


def price(ten_thousandths):
    return f"0.{ten_thousandths:04}"


def count(hundredths):
    return f"{hundredths // 100}.{hundredths % 100:02}"


class Ours:
    """The reader of the daemon, without the socket: decoded, counted in its sequence, applied."""

    def __init__(self):
        self.book = OrderBook(MARKET)
        self.refused = 0
        self._subscriptions = Subscriptions()

    def receive(self, frame):
        try:
            fact = decode_frame(frame.decode("utf-8"), AT_MS)  # the socket takes no other text
        except UnicodeDecodeError:
            self._lose()
            return
        except WireError as error:
            assert error.kind in KINDS, frame  # noqa: PT017
            self._lose()
            return
        sid, seq = getattr(fact, "sid", None), getattr(fact, "seq", None)
        if sid is not None and seq is not None and self._subscriptions.count(sid, seq) != 1:
            self._lose()
            return
        if not isinstance(fact, BookSnapshot | BookDelta) or fact.market != MARKET or sid != 1:
            self._lose()
            return
        try:
            if isinstance(fact, BookSnapshot):
                self.book.apply_snapshot(fact)
            else:
                self.book.apply_delta(fact)
            self.book.prove_uncrossed()
        except BookBroken:
            self.refused += 1

    def _lose(self):
        self.refused += 1
        self.book.forget()

    def levels(self):
        return {
            "yes": {Decimal(p) / 10_000: Decimal(n) / 100 for p, n in self.book.yes.levels()},
            "no": {Decimal(p) / 10_000: Decimal(n) / 100 for p, n in self.book.no.levels()},
        }


class Theirs:
    """The slow reader. `levels` is None where the frames do not say what the book is."""

    def __init__(self):
        self.levels = None
        self._seq = 0

    def receive(self, frame):
        try:
            self._apply(json.loads(frame.decode("utf-8"), parse_constant=lambda _name: 1 / 0))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, ZeroDivisionError, RecursionError):
            self.levels = None

    def _apply(self, frame):
        self._seq, before = frame["seq"], self._seq
        contiguous = before in (0, frame["seq"] - 1)
        msg = frame["msg"]
        if frame["sid"] != 1 or not contiguous or msg["market_ticker"] != MARKET:
            raise ValueError("of another sequence")
        if frame["type"] == "orderbook_snapshot":
            sides = {side: msg.get(f"{side}_dollars_fp", []) for side in ("yes", "no")}
            self.levels = {side: {Decimal(p): Decimal(n) for p, n in rows} for side, rows in sides.items()}
        elif frame["type"] == "orderbook_delta":
            held = self.levels[msg["side"]]
            at = Decimal(msg["price_dollars"])
            held[at] = held.get(at, 0) + Decimal(msg["delta_fp"])
            if not held[at]:
                del held[at]
        else:
            raise ValueError("no frame of a book")


def mutated(rng, frame):
    if rng.random() < 0.6:
        return json.dumps(mutated_value(rng, frame)).encode()
    return mutated_bytes(rng, json.dumps(frame).encode())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_book_is_wrong_in_silence(seed):
    """After each frame of each stream: known by ours means known and equal by theirs, and every mutation is counted."""
    rng = random.Random(seed)
    mutations = known = refused = 0
    while mutations < FUZZED // (8 * SEEDS):
        ours, theirs = Ours(), Theirs()
        for frame in stream(rng):
            wrong = rng.random() < MUTATED
            sent = mutated(rng, frame) if wrong else json.dumps(frame).encode()
            mutations += wrong
            ours.receive(sent)
            theirs.receive(sent)
            if ours.book.known:
                known += 1
                assert ours.levels() == theirs.levels, sent
        refused += ours.refused
    assert known > mutations
    assert refused > mutations // 2


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_fill_is_another_one(seed):
    """A mutated fill that reads has the counts, the price and the fee that its text says, to the last digit."""
    rng = random.Random(100 + seed)
    read = 0
    for _ in range(FUZZED // (16 * SEEDS)):
        frame = mutated(rng, FILL)
        try:
            fact = decode_frame(frame.decode("utf-8"), AT_MS)
        except (WireError, UnicodeDecodeError):
            continue
        said = json.loads(frame)
        if not isinstance(fact, FillSeen):
            assert said["type"] != "fill"
            continue
        read += 1
        msg = said["msg"]
        assert Decimal(fact.count) / 100 == Decimal(msg["count_fp"])
        assert Decimal(fact.price) / 10_000 == Decimal(msg["yes_price_dollars"])
        assert Decimal(fact.fee) / 1_000_000 == Decimal(msg["fee_cost"])
        assert (fact.trade_id, fact.order_id, fact.market) == (msg["trade_id"], msg["order_id"], msg["market_ticker"])
        assert (str(fact.side), fact.is_taker, fact.ts_ms) == (msg["book_side"], msg["is_taker"], msg["ts_ms"])
    assert read > 0
