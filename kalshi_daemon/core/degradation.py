"""What is worse than it should be, beside the states: a set of named degradations, each with its cause and since when.

Rules:
- The set is derived from what the parts say at the moment of asking (`Signs`); no part has to keep it in step. Only
  since when is remembered here, and that is no older than the first look that found it.
- A degradation decides nothing: gates ask the levels, the charts hear events. It says why less is done than could be.
- There is one of a kind; where several things are behind it, its cause names them, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.rate_governor import RateStatus
from kalshi_daemon.limits import CLOCK_OFFSET_MAX_MS, DEGRADED_NAMED_MAX
from kalshi_daemon.units import Milliseconds, Ticker


class Degraded(StrEnum):
    """What it is called, in the status and as a label."""

    BOOKS_POLLED = "books_polled"
    BOOKS_UNPROVEN = "books_unproven"
    PRIVATE_FEED = "private_feed"
    RATE_LOWERED = "rate_lowered"
    READS_BREAKER = "reads_breaker"
    WRITES_BREAKER = "writes_breaker"
    SESSION_BREAKER = "session_breaker"
    POLICY_BREAKER = "policy_breaker"
    MARKET_BREAKER = "market_breaker"
    CLOCK_OFFSET = "clock_offset"
    HOST_FALLBACK = "host_fallback"


BREAKERS: Final = {  # by name; any other is a market's
    "reads": Degraded.READS_BREAKER,
    "order_writes": Degraded.WRITES_BREAKER,
    "policy": Degraded.POLICY_BREAKER,
}


@frozen
class Degradation:
    kind: Degraded
    cause: str
    since_ms: Milliseconds


@frozen
class Signs:
    """What the parts say. The lists are empty where all is well."""

    polled: Sequence[Ticker]  # open markets whose books are read by REST
    unproven: Sequence[Ticker]  # open markets without a usable book
    books_detail: str  # why books are not streamed
    private: str  # why the account is not streamed
    rates: Sequence[RateStatus]
    breakers: Sequence[CircuitBreaker]
    sessions: Sequence[str]  # those that are not live, with the reason: their chart is their breaker
    offset_ms: Milliseconds
    fallbacks: Sequence[str]  # the hosts that are used instead of the first of their list


class Degradations:
    """Remembers since when each kind has been found, look after look."""

    def __init__(self) -> None:
        self._since_ms: dict[Degraded, Milliseconds] = {}

    def look(self, signs: Signs, now_ms: Milliseconds) -> tuple[Degradation, ...]:
        """In the order of the kinds."""
        causes = dict(_found(signs))
        self._since_ms = {kind: self._since_ms.get(kind, now_ms) for kind in causes}
        return tuple(Degradation(kind, causes[kind], self._since_ms[kind]) for kind in Degraded if kind in causes)


def _found(signs: Signs) -> Iterator[tuple[Degraded, str]]:
    why = f": {signs.books_detail}" if signs.books_detail else ""
    if signs.polled:
        yield Degraded.BOOKS_POLLED, f"read by REST, for reductions only: {_named(signs.polled)}{why}"
    if signs.unproven:
        yield Degraded.BOOKS_UNPROVEN, f"without a usable book: {_named(signs.unproven)}{why}"
    if signs.private:
        yield Degraded.PRIVATE_FEED, f"not streamed, so read by REST: {signs.private}"
    lowered = [f"{each.budget} requests at {each.pace:.0%}" for each in signs.rates if each.pace < 1]
    if lowered:
        yield Degraded.RATE_LOWERED, f"since an answer 429: {', '.join(lowered)} of their pace"
    by_kind: dict[Degraded, list[str]] = {}
    for breaker in signs.breakers:
        if breaker.state != "closed":
            kind = BREAKERS.get(breaker.name, Degraded.MARKET_BREAKER)
            by_kind.setdefault(kind, []).append(f"{breaker.name} is {breaker.state} ({breaker.cause})")
    yield from ((kind, _named(said)) for kind, said in by_kind.items())
    if signs.sessions:
        yield Degraded.SESSION_BREAKER, _named(signs.sessions)
    if abs(signs.offset_ms) > CLOCK_OFFSET_MAX_MS:
        yield Degraded.CLOCK_OFFSET, f"our clock is {signs.offset_ms:+d} ms from the exchange's"
    if signs.fallbacks:
        yield Degraded.HOST_FALLBACK, f"not the first of their lists: {_named(signs.fallbacks)}"


def _named(names: Sequence[str]) -> str:
    """So many of them as fit into a line."""
    more = len(names) - DEGRADED_NAMED_MAX
    return ", ".join(names[:DEGRADED_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
