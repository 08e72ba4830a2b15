"""A circuit breaker for each market that refuses our orders, so that one market's trouble is not met again and again.

Rules: a breaker is made at a market's first refusal and forgotten at the first order that it takes, so that refusals
are counted in a row. What says nothing of the market (429, money, a pause of the exchange) is not counted. A refusal
for our access latches the market at once: a key may be refused for some markets and not for others, and nothing heals
that but a person.
"""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.limits import MARKET_PROBE_WAIT_S, MARKET_REFUSALS_MAX, MARKET_REFUSALS_S, WRITE_PROBE_S
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.error_codes import Fault, Meaning, Remedy


class MarketBreakers:
    def __init__(self) -> None:
        self._breakers: dict[Ticker, CircuitBreaker] = {}  # as many as markets that have refused us, at most

    def refused(self, market: Ticker, meaning: Meaning, cause: str, now_s: float) -> None:
        """An order was refused by a parsed answer with this meaning."""
        counted = meaning.fault is Fault.OURS or meaning.remedy in (Remedy.STOP_MARKET, Remedy.HOLD_ACCESS)
        if not counted:
            return
        breaker = self._breakers.get(market)
        if breaker is None:
            breaker = self._breakers[market] = CircuitBreaker(
                f"market {market}",
                failures_max=MARKET_REFUSALS_MAX,
                window_s=MARKET_REFUSALS_S,
                wait_s=MARKET_PROBE_WAIT_S,
                probe_s=WRITE_PROBE_S,
            )
        if meaning.remedy is Remedy.HOLD_ACCESS:
            breaker.failed_hard(now_s, cause)
        else:
            breaker.failed(now_s, cause)

    def accepted(self, market: Ticker) -> None:
        """It took an order: what it refused before is over."""
        self._breakers.pop(market, None)

    def ready(self, market: Ticker, now_s: float) -> bool:
        """Whether an order may be meant for it, without taking a probe."""
        breaker = self._breakers.get(market)
        return breaker is None or breaker.ready(now_s)

    def allows(self, market: Ticker, now_s: float) -> bool:
        """Whether an order may leave for it now; where it is the probe, it is taken."""
        breaker = self._breakers.get(market)
        return breaker is None or breaker.allows(now_s)

    def reset(self, now_s: float) -> None:
        """A person: each may make one probe at once."""
        for breaker in self._breakers.values():
            breaker.reset(now_s)

    def shut(self) -> Sequence[CircuitBreaker]:
        """Those that are not closed, to be shown."""
        return [breaker for breaker in self._breakers.values() if breaker.state != "closed"]
