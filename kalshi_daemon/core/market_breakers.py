"""Circuit breakers for each market that fails us, so that one market's trouble is not met again and again.

Rules: there are two for a market. That of its orders is made at the first refusal or lost answer and forgotten at the
first order that it takes, so that failures are counted in a row. What says nothing of the market (429, money, a pause
of the exchange, our own gate) is not counted. A refusal for our access latches the market at once: a key may be refused
for some markets and not for others, and nothing heals that but a person. That of its observations keeps the policy from
a market that cannot be observed, and nothing else: what we hold there may still be closed.
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
        self._observations: dict[Ticker, CircuitBreaker] = {}  # and as many as could not be observed

    def refused(self, market: Ticker, meaning: Meaning, cause: str, now_s: float) -> None:
        """An order was refused by a parsed answer with this meaning."""
        counted = meaning.fault is Fault.OURS or meaning.remedy in (Remedy.STOP_MARKET, Remedy.HOLD_ACCESS)
        if not counted:
            return
        breaker = _of(self._breakers, market, "market")
        if meaning.remedy is Remedy.HOLD_ACCESS:
            breaker.failed_hard(now_s, cause)
        else:
            breaker.failed(now_s, cause)

    def lost(self, market: Ticker, cause: str, now_s: float) -> None:
        """The answer to an order or an amend did not come."""
        _of(self._breakers, market, "market").failed(now_s, cause)

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

    def unobserved(self, market: Ticker, cause: str, now_s: float) -> None:
        """It could not be observed, or nothing be made of what was decided."""
        _of(self._observations, market, "observation of").failed(now_s, cause)

    def unsound(self, market: Ticker, cause: str, now_s: float) -> None:
        """What was observed cannot be: nothing but a person lets the policy decide on it again."""
        _of(self._observations, market, "observation of").failed_hard(now_s, cause)

    @property
    def doubts(self) -> bool:
        """Whether there is a market that could not be observed."""
        return bool(self._observations)

    def observable(self, market: Ticker, now_s: float) -> bool:
        """Whether it may be observed; where that is the probe, it is taken."""
        breaker = self._observations.get(market)
        return breaker is None or breaker.allows(now_s)

    def observed(self, market: Ticker) -> None:
        """What had failed there is over."""
        self._observations.pop(market, None)

    def reset(self, now_s: float) -> None:
        """A person: each may make one probe at once."""
        for breaker in (*self._breakers.values(), *self._observations.values()):
            breaker.reset(now_s)

    def shut(self) -> Sequence[CircuitBreaker]:
        """Those that are not closed, to be shown."""
        both = (*self._breakers.values(), *self._observations.values())
        return [breaker for breaker in both if breaker.state != "closed"]


def _of(breakers: dict[Ticker, CircuitBreaker], market: Ticker, name: str) -> CircuitBreaker:
    if market not in breakers:
        breakers[market] = CircuitBreaker(
            f"{name} {market}",
            failures_max=MARKET_REFUSALS_MAX,
            window_s=MARKET_REFUSALS_S,
            wait_s=MARKET_PROBE_WAIT_S,
            probe_s=WRITE_PROBE_S,
        )
    return breakers[market]
