"""Recordings of real order books: parsed and checked before anything is played.

The form is {"frames": [{"received_ms", "frame": {"type", "sid", "seq", "msg"}}]}, as it came off a socket. Rules:
every sequenced frame of a subscription follows the one before it by one; a delta needs a snapshot; no level falls
below zero; no book is crossed; time does not go back. What breaks one raises WireError, which names the frame by
its place, from 0. Frames of other channels are left out. NO prices are NO prices (use_yes_price off).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import define, field, frozen

from kalshi_daemon.errors import WireError
from kalshi_daemon.limits import RECORDING_FRAMES_MAX
from kalshi_daemon.units import PRICE_ONE, Count, Milliseconds, Price, Ticker

_FIXED = re.compile(r"(-?)(\d+)(?:\.(\d+))?")
_PRICE_DECIMALS = 4
_COUNT_DECIMALS = 2

Levels: TypeAlias = dict[Price, Count]


@frozen
class RecordedSnapshot:
    """All levels of a market, `offset_ms` after the recording began."""

    offset_ms: Milliseconds
    market: Ticker
    yes: Mapping[Price, Count]
    no: Mapping[Price, Count]


@frozen
class RecordedLevel:
    """What one level holds from `offset_ms` on."""

    offset_ms: Milliseconds
    market: Ticker
    yes: bool
    price: Price
    count: Count


@frozen
class Recording:
    """A checked recording: its steps in order, and for each market its id and every YES price that occurs."""

    steps: tuple[RecordedSnapshot | RecordedLevel, ...]
    market_ids: Mapping[Ticker, str]
    prices: Mapping[Ticker, frozenset[Price]]
    duration_ms: Milliseconds
    began_ms: Milliseconds  # when its first frame was received


@define
class _Reader:
    """The state of the check: books so far, and the last sequence number of each subscription."""

    books: dict[Ticker, tuple[Levels, Levels]] = field(factory=dict)
    sequences: dict[int, int] = field(factory=dict)
    market_ids: dict[Ticker, str] = field(factory=dict)
    prices: dict[Ticker, set[Price]] = field(factory=dict)

    def sequence(self, frame: Mapping[str, Any]) -> None:
        seq, sid = frame.get("seq"), frame.get("sid")
        if seq is None or sid is None:
            return
        last = self.sequences.get(sid, 0)
        if seq != last + 1:
            raise ValueError(f"seq {seq} of subscription {sid} follows {last}")
        self.sequences[sid] = seq

    def snapshot(self, offset_ms: Milliseconds, msg: Mapping[str, Any]) -> RecordedSnapshot:
        ticker = _text(msg, "market_ticker")
        yes, no = _levels(msg.get("yes_dollars_fp", [])), _levels(msg.get("no_dollars_fp", []))
        self.books[ticker] = (dict(yes), dict(no))
        self.market_ids[ticker] = _text(msg, "market_id")
        self.prices.setdefault(ticker, set()).update(yes, (PRICE_ONE - price for price in no))
        self._check_uncrossed(ticker)
        return RecordedSnapshot(offset_ms, ticker, yes, no)

    def delta(self, offset_ms: Milliseconds, msg: Mapping[str, Any]) -> RecordedLevel:
        ticker, side = _text(msg, "market_ticker"), _text(msg, "side")
        if ticker not in self.books:
            raise ValueError(f"a delta of {ticker} before its snapshot")
        if side not in ("yes", "no"):
            raise ValueError(f"side {side!r} is neither yes nor no")
        price = _price(msg.get("price_dollars"))
        levels = self.books[ticker][0 if side == "yes" else 1]
        count = levels.get(price, 0) + _fixed(msg.get("delta_fp"), _COUNT_DECIMALS)
        if count < 0:
            raise ValueError(f"the {side} level {price} of {ticker} falls below zero")
        if count:
            levels[price] = count
        else:
            levels.pop(price, None)
        self.prices[ticker].add(price if side == "yes" else PRICE_ONE - price)
        self._check_uncrossed(ticker)
        return RecordedLevel(offset_ms, ticker, side == "yes", price, count)

    def _check_uncrossed(self, ticker: Ticker) -> None:
        yes, no = self.books[ticker]
        if yes and no and max(yes) + max(no) >= PRICE_ONE:
            raise ValueError(f"the book of {ticker} is crossed; were NO prices recorded on the YES scale?")


def parse_recording(recording: object) -> Recording:
    """Check a parsed JSON document. Raises WireError of kind "recording"."""
    frames = recording.get("frames") if isinstance(recording, dict) else None
    if not isinstance(frames, list) or not frames:
        raise WireError("recording", 'no list "frames" with anything in it')
    if len(frames) > RECORDING_FRAMES_MAX:
        raise WireError("recording", f"{len(frames)} frames; {RECORDING_FRAMES_MAX} is the limit")
    reader = _Reader()
    steps: list[RecordedSnapshot | RecordedLevel] = []
    began = previous = 0
    for place, entry in enumerate(frames):
        try:
            received, frame = entry["received_ms"], entry["frame"]
            began = began if place else received
            _check_order(previous, received)
            previous = received
            reader.sequence(frame)
            if frame["type"] == "orderbook_snapshot":
                steps.append(reader.snapshot(received - began, frame["msg"]))
            elif frame["type"] == "orderbook_delta":
                steps.append(reader.delta(received - began, frame["msg"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WireError("recording", f"frame {place}: {type(error).__name__}: {error}") from error
    if not steps:
        raise WireError("recording", "no order book in it")
    prices = {ticker: frozenset(found) for ticker, found in reader.prices.items()}
    return Recording(tuple(steps), reader.market_ids, prices, previous - began, began)


def _check_order(previous: Milliseconds, received: Milliseconds) -> None:
    if received < previous:
        raise ValueError("received earlier than the one before it")


def _text(msg: Mapping[str, Any], name: str) -> str:
    value = msg[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is not a text")
    return value


def _levels(pairs: list[tuple[str, str]]) -> Levels:
    levels = {_price(price): _fixed(count, _COUNT_DECIMALS) for price, count in pairs}
    if len(levels) != len(pairs):
        raise ValueError("a price occurs twice")
    if any(count <= 0 for count in levels.values()):
        raise ValueError("a level without contracts")
    return levels


def _price(text: object) -> Price:
    price = _fixed(text, _PRICE_DECIMALS)
    if not 0 < price < PRICE_ONE:
        raise ValueError(f"price {text!r} is not between 0 and 1")
    return price


def _fixed(text: object, decimals: int) -> int:
    """A decimal text as an integer of its last decimal; more decimals than the unit has are refused."""
    match = _FIXED.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(match[3] or "") > decimals:
        raise ValueError(f"{text!r} is not a decimal text of at most {decimals} places")
    value = int(match[2] + (match[3] or "").ljust(decimals, "0"))
    return -value if match[1] else value
