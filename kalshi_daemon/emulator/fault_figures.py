"""The figures of faults as texts: what each kind of figure may be, refused in one line where it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from kalshi_daemon.emulator.bounds import FAULT_BYTES_MAX, FAULT_SECONDS_MAX

NUMBER: Final = re.compile(r"-?\d+(\.\d*)?|-?\.\d+", re.ASCII)


class FaultRefused(ValueError):
    """A text that is no fault; the message is one line for whoever wrote it."""


def _number(text: str, most: float) -> float:
    if not NUMBER.fullmatch(text):
        raise FaultRefused(f"{text!r} is not a number of seconds")
    value = float(text)
    if abs(value) > most:
        raise FaultRefused(f"{text} s: at most {most:g}")
    return value


def seconds(text: str) -> float:
    """A time, 0 or more."""
    value = _number(text, FAULT_SECONDS_MAX)
    if value < 0:
        raise FaultRefused(f"{text} s: not below 0")
    return value


def skew(text: str) -> float:
    """A time, either way."""
    return _number(text, FAULT_SECONDS_MAX)


def byte_count(text: str) -> int:
    """Bytes, 0 or more."""
    if not (text.isascii() and text.isdecimal() and int(text) <= FAULT_BYTES_MAX):
        raise FaultRefused(f"{text!r} is not a number of bytes up to {FAULT_BYTES_MAX}")
    return int(text)


def one_of(what: str, allowed: Collection[int]) -> Callable[[str], int]:
    """One of these numbers; `what` they are, for whoever wrote another."""

    def read(text: str) -> int:
        if text not in map(str, allowed):
            raise FaultRefused(f"{text!r} is not one of the {what} {', '.join(map(str, allowed))}")
        return int(text)

    return read


def word_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise FaultRefused(f"{text!r} is not one of {', '.join(words)}")
        return text

    return read


def target(text: str) -> str:
    """A part of a path, a method, or both like `POST/orders`; empty for every request."""
    if not re.fullmatch(r"(GET|POST|PUT|DELETE)?(/[\w/.-]*)?", text, re.ASCII):
        raise FaultRefused(f"{text!r} is not a part of a path like /orders, a method, or both like POST/orders")
    return text


def frame_type(text: str) -> str:
    """The type of a frame; empty for every frame."""
    if not re.fullmatch(r"[a-z_0-9]*", text):
        raise FaultRefused(f"{text!r} is not the type of a frame, like orderbook_delta")
    return text
