"""Readers of one configuration value each: text in, value out, ValueError for what is not allowed.

Rules: pure, strict, no float. A reader does not know its variable; `config.py` adds the name, the value and what is
allowed. A message in the ValueError names the offending part only, and never quotes what may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from attrs import frozen

from kalshi_daemon.hosts import PATH_PREFIX
from kalshi_daemon.units import Ticker

ACTION_MAX: Final = 32  # four for each of the sizes
SHOWN_MAX: Final = 200  # a longer value is not repeated: it is no slip of the keyboard, and may be a pasted key

T = TypeVar("T")

MARKET: Final = "market"
_SELECTED = ("event", "series")
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,127}", re.ASCII)
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?", re.ASCII)


@frozen
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class Selection:
    """What is to be traded: one market, every market of an event, or of a series. `kind` is the word before the colon,
    `market` where there is none.
    """

    kind: str
    ticker: Ticker

    def __str__(self) -> str:
        return self.ticker if self.kind == MARKET else f"{self.kind}:{self.ticker}"

    def covers(self, market: Ticker, event: Ticker, series: Ticker) -> bool:
        return self.ticker == {"market": market, "event": event, "series": series}[self.kind]


def looks_secret(text: str) -> bool:
    """Whether a value may be key material or carry a password: such a value is never repeated."""
    return "-----" in text or "@" in text or "\n" in text or len(text) > SHOWN_MAX


def one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return read


def script(most: int) -> Callable[[str], tuple[int, ...]]:
    """Numbers of actions, separated by commas; none for the empty text."""

    def read(text: str) -> tuple[int, ...]:
        actions = tuple(whole(0, ACTION_MAX)(part.strip()) for part in text.split(",")) if text else ()
        if len(actions) > most:
            raise ValueError(f"{len(actions)} actions")
        return actions

    return read


def amount(unit: int, least: int, most: int) -> Callable[[str], int]:
    """A decimal number of `unit`s (a power of ten), exactly: `amount(100, ...)("2.5")` is 250."""
    places = len(str(unit)) - 1
    assert unit == 10**places, "a unit is a power of ten"

    def read(text: str) -> int:
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise ValueError
        decimals = match[2] or ""
        if len(decimals) > places:
            raise ValueError(f"at most {places} decimals")
        value = int(match[1]) * unit + int(decimals.ljust(places, "0") or "0")
        if not least <= value <= most:
            raise ValueError
        return value

    return read


def distinct(read_one: Callable[[str], T], *, most: int) -> Callable[[str], tuple[T, ...]]:
    """A list with commas between, spaces around them ignored; each value once, at least one, at most `most`."""

    def read(text: str) -> tuple[T, ...]:
        parts = [part.strip() for part in text.split(",")]
        if len(parts) > most:
            raise ValueError(f"{len(parts)} values")
        found: list[T] = []
        for number, part in enumerate(parts, 1):
            try:
                value = read_one(part)
            except ValueError as problem:
                named = f"value {number}" if looks_secret(part) else repr(part)
                raise ValueError(f"{named}: {problem}" if str(problem) else f"{named} does not read") from None
            if value in found:
                raise ValueError(f"{part!r} twice")
            found.append(value)
        return tuple(found)

    return read


def ticker(text: str) -> str:
    if not _TICKER.fullmatch(text):
        raise ValueError
    return text


def selection(text: str) -> Selection:
    """`KXTEMP-26NOV22-T50`, `event:KXTEMP-26NOV22` or `series:KXTEMP`."""
    kind, colon, rest = text.rpartition(":")
    if colon and kind not in _SELECTED:
        raise ValueError("the word before the colon is event or series")
    if kind == "series" and "-" in rest:
        raise ValueError("the ticker of a series has no dash")
    return Selection(kind or MARKET, ticker(rest))


def key_id(text: str) -> str:
    if not _KEY_ID.fullmatch(text):
        raise ValueError
    return text


def absolute_path(text: str) -> Path:
    if not text.startswith("/") or "\0" in text:
        raise ValueError
    return Path(text)


def short_path(most: int) -> Callable[[str], Path]:
    """An absolute path of at most so many bytes: the kernel's limit for the name of a Unix socket."""

    def read(text: str) -> Path:
        if len(text.encode()) > most:
            raise ValueError(f"{len(text.encode())} bytes")
        return absolute_path(text)

    return read


def url(secure: str, plain: str) -> Callable[[str], str]:
    """A base URL: `secure` anywhere, `plain` on loopback only; no user, query, fragment or slash at the end.

    The path is signed with every request, so that a slash too many is a wrong signature and not a detail.
    """

    def read(text: str) -> str:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port  # raises ValueError for what is no port
        if "@" in text:
            raise ValueError("a user or a password does not belong in it")
        if not host or parts.scheme not in {secure, plain} or parts.query or parts.fragment:
            raise ValueError
        if parts.scheme == plain and not is_loopback(host):
            raise ValueError(f"{plain} to {host}, which is not loopback")
        if not parts.path or parts.path.endswith("/"):
            raise ValueError("the path is missing or ends with a slash")
        if not parts.path.startswith(PATH_PREFIX):
            raise ValueError(f"the path does not begin with {PATH_PREFIX}, and is signed with every request")
        return text

    return read


def host_of(address: str) -> str:
    return urlsplit(address).hostname or ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def optional_address(text: str) -> Address | None:
    """`127.0.0.1:9187`, `[::1]:9187`, or empty for none. A name is refused: what it resolves to can change."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("no port")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    parsed = ipaddress.ip_address(bare)
    if (parsed.version == 6) != host.startswith("["):
        raise ValueError("an IPv6 address stands in brackets")
    return Address(str(parsed), whole(1, 65_535)(port))
