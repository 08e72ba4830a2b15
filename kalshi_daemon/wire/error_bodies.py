"""What an answer that is not a success says: the exchange's error bodies, in their four shapes (api.md 4.7).

1. `{"error": {"code", "message", "details"?}}`   2. `{"code", "message", "details"?}`   3. `{"msg": "..."}`
4. `{"error": "too many requests"}`, where `error` is a text.

Rules: only a body of one of these shapes is an answer of the exchange; anything else (a 5xx, an HTML page, nothing) is
no answer, and may follow on a request that was carried out. Branch on the code, by its beginning: codes may end in an
id.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kalshi_daemon.errors import (
    AccessRefused,
    ClockRefused,
    ExchangeError,
    RateLimited,
    Unreachable,
    WireError,
)
from kalshi_daemon.wire.error_codes import Remedy, meaning_of_code
from kalshi_daemon.wire.reading import read

RATE_LIMITED: Final = "rate_limited"  # 429 has no code of its own: these two are ours
INVALID_PARAMETERS: Final = "invalid_parameters"
ERRORS: Final = {Remedy.RETRY_AT_ONCE: ClockRefused, Remedy.HOLD_ACCESS: AccessRefused}
TEXT_MAX: Final = 300  # characters of one field that we repeat
EXCERPT_MAX: Final = 80  # bytes of an unreadable body that we repeat


class _Error(msgspec.Struct, frozen=True):
    """`message` and `details` are for people: whatever they are, the code is read."""

    code: str
    message: Any = None
    details: Any = None


class _Nested(msgspec.Struct, frozen=True):
    error: _Error | str


class _Message(msgspec.Struct, frozen=True):
    msg: str


_nested: Final = msgspec.json.Decoder(_Nested)
_flat: Final = msgspec.json.Decoder(_Error)
_message: Final = msgspec.json.Decoder(_Message)


def error_of(status: int, body: bytes, *, write: bool) -> ExchangeError | Unreachable:
    """The error that an answer with another status than 2xx means. A `write` that met no answer may have been done."""
    if status == 429:
        return RateLimited(status, RATE_LIMITED, "too many requests")
    said = _read_error(body)
    if said is None or status >= 500 or status < 400:
        excerpt = said.code if said is not None else repr(body[:EXCERPT_MAX])
        text = f"the exchange answered {status} without saying what became of it: {excerpt}"
        return Unreachable(text, maybe_done=write, status=status)
    code, message, details = (text_of(part) for part in (said.code, said.message, said.details))
    remedy = meaning_of_code(status, code).remedy
    kind = ERRORS.get(remedy, ExchangeError)
    return kind(status, code, message, details)


def text_of(part: object) -> str:
    """A part as text: as it is where it is one, and as JSON where it is anything else."""
    if part is None:
        return ""
    return (part if isinstance(part, str) else msgspec.json.encode(part).decode())[:TEXT_MAX]


def _read_error(body: bytes) -> _Error | None:
    """The error in whichever shape it has, or None."""
    try:
        error = read(_nested, body).error
        return _Error(error.replace(" ", "_"), error) if isinstance(error, str) else error
    except WireError:
        pass
    try:
        return read(_flat, body)
    except WireError:
        pass
    try:
        return _Error(INVALID_PARAMETERS, read(_message, body).msg)
    except WireError:
        return None
