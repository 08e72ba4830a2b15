"""What an error means, whose it is and what follows: the one classification, by code (api.md 4.7).

Rules: the first row that fits decides. A code fits by its beginning, whatever its case, because codes may end in an
id; 409 has opposite meanings by its code, so no status decides where the code is known. A code that no row names is
unknown: it has the fault of its status, says of most writes nothing, and is counted, so that somebody reads it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.errors import ExchangeError, OperatingError, RateLimited, Unreachable, WireError


class Fault(StrEnum):
    """Whose it is."""

    TRANSIENT = "transient"  # nobody's: it heals by itself
    THEIRS = "theirs"  # the exchange, or what stands before it, does not keep to its protocol
    OURS = "ours"  # the request was wrong: asked again it is answered the same
    PERSON = "person"  # the key, the money, or this version of the daemon: nothing heals it but a person


class Remedy(StrEnum):
    """What follows, beyond what the request itself comes to."""

    NONE = "none"  # the request is over, and nothing else is
    RETRY = "retry"  # a read again, after a back-off; a write never
    RETRY_AT_ONCE = "retry_at_once"  # the answer has set our clock right
    STOP_MARKET = "stop_market"  # the market does not take orders, whatever its status says
    HOLD_EXCHANGE = "hold_exchange"
    HOLD_ACCESS = "hold_access"  # where it is met again and again


class Verdict(StrEnum):
    """What a code says of the write that met it."""

    REFUSED = "refused"
    DUPLICATE = "duplicate"
    MISSING = "missing"


@frozen
class Meaning:
    """`create`, `cancel`: what became of such a request; None: that is not said. `known`: a row names the code."""

    fault: Fault
    remedy: Remedy = Remedy.NONE
    create: Verdict | None = None
    cancel: Verdict | None = None
    known: bool = True


_REFUSED: Final = Verdict.REFUSED
_OURS: Final = Meaning(Fault.OURS, create=_REFUSED, cancel=_REFUSED)
_MONEY: Final = Meaning(Fault.PERSON, create=_REFUSED)
_CLOSED: Final = Meaning(Fault.TRANSIENT, Remedy.STOP_MARKET, _REFUSED, _REFUSED)
_ACCESS: Final = Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, _REFUSED, _REFUSED)

# (status, beginning of the code): meaning.
ROWS: Final[tuple[tuple[int, str, Meaning], ...]] = (
    (400, "insufficient_balance", _MONEY),
    (400, "available_balance_too_low", _MONEY),
    (400, "invalid_", _OURS),  # price, order, order_size, parameters, content_type
    (400, "bad_request", _OURS),
    (400, "market_inactive", _CLOSED),
    (400, "order_id_and_client_order_id_mismatch", _OURS),  # of an amendment; the status of the three is assumed
    (400, "order_side_mismatch", _OURS),
    (400, "order_ticker_mismatch", _OURS),
    (401, "header_timestamp_expired", Meaning(Fault.TRANSIENT, Remedy.RETRY_AT_ONCE, _REFUSED, _REFUSED)),
    (401, "authentication_error", _ACCESS),
    (401, "signature_is_missing", _ACCESS),
    (401, "user_not_found", _ACCESS),
    (403, "forbidden", _ACCESS),  # assumed, as the two below: what is known of a 403 is its reasons, not its codes
    (403, "scope", _ACCESS),
    (403, "region", _ACCESS),
    (404, "market_not_found", Meaning(Fault.OURS, create=_REFUSED, cancel=Verdict.MISSING)),
    (404, "not_found", Meaning(Fault.OURS, cancel=Verdict.MISSING)),
    (409, "order_already_exists", Meaning(Fault.OURS, create=Verdict.DUPLICATE)),
    (409, "trading_is_paused", _CLOSED),
    (409, "market_inactive", _CLOSED),
    (409, "exchange_is_paused", Meaning(Fault.TRANSIENT, Remedy.HOLD_EXCHANGE, _REFUSED, _REFUSED)),
    (409, "fill_or_kill_insufficient_resting_volume", Meaning(Fault.TRANSIENT, create=_REFUSED)),
    (410, "deprecated_v1_order_endpoint", Meaning(Fault.PERSON)),
    (429, "", Meaning(Fault.TRANSIENT, Remedy.RETRY, _REFUSED, _REFUSED)),
)
# What is left by its status alone, for a code that no row names.
UNKNOWN: Final[dict[int, Meaning]] = {
    401: Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, _REFUSED, _REFUSED, known=False),
    403: Meaning(Fault.PERSON, Remedy.HOLD_ACCESS, _REFUSED, _REFUSED, known=False),
    404: Meaning(Fault.OURS, cancel=Verdict.MISSING, known=False),
    408: Meaning(Fault.TRANSIENT, Remedy.RETRY, known=False),
}
UNKNOWN_ELSE: Final = Meaning(Fault.THEIRS, known=False)
NO_ANSWER: Final = Meaning(Fault.TRANSIENT, Remedy.RETRY)
UNREADABLE: Final = Meaning(Fault.THEIRS)  # asked again it says the same
MISTAKE: Final = Meaning(Fault.PERSON)  # a key, a configuration, a journal, a series that cannot be traded


def meaning_of_code(status: int, code: str) -> Meaning:
    """What an answer of the exchange means."""
    lowered = code.lower()
    for row_status, start, meaning in ROWS:
        if row_status == status and lowered.startswith(start):
            return meaning
    return UNKNOWN.get(status, UNKNOWN_ELSE)


def status_of_code(code: str) -> int:
    """With which status a code comes where it is alone; inside a batch it has none. 0: no row names it."""
    lowered = code.lower()
    return next((status for status, start, _meaning in ROWS if start and lowered.startswith(start)), 0)


def meaning_of(error: OperatingError) -> Meaning:
    """What any operating error means."""
    if isinstance(error, RateLimited):
        return meaning_of_code(429, "")
    if isinstance(error, ExchangeError):
        return meaning_of_code(error.status, error.code)
    if isinstance(error, Unreachable):
        return UNREADABLE if isinstance(error.__cause__, WireError) else NO_ANSWER
    return UNREADABLE if isinstance(error, WireError) and error.kind != "unsupported" else MISTAKE
