"""One amend on its way out: asked, paid for, written, and told of as one fact.

Rules:
- What only gives up contracts is a decrease and goes like a cancel: no gate of increases, no breaker, no share of the
  tokens. Everything else is asked twice, like an order, the second time in the step that writes to the socket.
- An amend of which nothing has left is withheld, for want of tokens too, and where a cancel of the order is under way.
- Nothing is sent twice: an unknown outcome is for evidence to settle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import trio

from kalshi_daemon.commands import AmendOrder
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.core.order_amends import only_lowers
from kalshi_daemon.errors import Withheld
from kalshi_daemon.facts import (
    AccountFact,
    AmendAcknowledged,
    AmendLost,
    AmendMissing,
    AmendRefused,
    AmendSent,
    AmendWithheld,
)
from kalshi_daemon.shell.amend_requests import amend_path, decrease_path
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.requests import UNREACHABLE
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.amendments import AmendAccepted, AmendAnswer, AmendDenied, AmendNotFound, AmendUnknown
from kalshi_daemon.wire.error_codes import meaning_of_code


class Lane(Protocol):
    """What the order writer shares with whoever writes beside orders. `pay` and `probe` raise Withheld."""

    async def pay(self, method: str, path: str, *, increases: bool) -> None: ...
    def probe(self, market: Ticker) -> None: ...
    def cancels(self, client_order_id: str) -> bool: ...


class AmendWriter:
    def __init__(
        self,
        rest: RestClient,
        post: Callable[[AccountFact], None],
        ask: Callable[[str], None],
        lane: Lane,
        breakers: tuple[CircuitBreaker, MarketBreakers],
        clock: Clock,
        counts: Counter[str],
    ) -> None:
        """`ask` raises Withheld where the gate for this amend is closed; `breakers`: of order writes, of the market."""
        self._rest = rest
        self._post = post
        self._ask = ask
        self._lane = lane
        self._breaker, self._market_breakers = breakers
        self._clock = clock
        self._counts = counts

    async def write(self, command: AmendOrder) -> None:
        """One request, and its answer as one fact."""
        try:
            self._ask(command.client_order_id)
            lowers = only_lowers(command.before, command.spec)
            answer = await (self._decrease(command) if lowers else self._amend(command))
        except Withheld as refusal:
            if refusal.code == UNREACHABLE:
                self._breaker.failed(trio.current_time(), refusal.detail)
            self.withhold(command, refusal.code, refusal.detail)
            return
        self._tell_breakers(command, answer)
        self._post(self._answered(command.client_order_id, answer))

    def withhold(self, command: AmendOrder, code: str, detail: str) -> None:
        self._counts["amend_withheld"] += 1
        self._post(AmendWithheld(self._clock.now_ms(), command.client_order_id, code, detail))

    async def _amend(self, command: AmendOrder) -> AmendAnswer:
        await self._lane.pay("POST", amend_path(command.order_id), increases=True)

        def leave() -> None:
            self._check(command)
            self._lane.probe(command.spec.market)
            self._post(AmendSent(self._clock.now_ms(), command.client_order_id))

        return await self._rest.amends.amend_order(
            command.order_id, command.client_order_id, command.spec, before_send=leave
        )

    async def _decrease(self, command: AmendOrder) -> AmendAnswer:
        await self._lane.pay("POST", decrease_path(command.order_id), increases=False)

        def leave() -> None:
            self._check(command)
            self._post(AmendSent(self._clock.now_ms(), command.client_order_id))

        by = command.before.count - command.spec.count
        return await self._rest.amends.decrease_order(command.order_id, by, command.before, before_send=leave)

    def _check(self, command: AmendOrder) -> None:
        self._ask(command.client_order_id)
        if self._lane.cancels(command.client_order_id):
            raise Withheld("amend", "the order is not being cancelled: it is, allowed is not")

    def _tell_breakers(self, command: AmendOrder, answer: AmendAnswer) -> None:
        """An answer that can be read is health, whatever it says."""
        now_s = trio.current_time()
        if isinstance(answer, AmendUnknown):
            self._breaker.failed(now_s, answer.cause)
            self._market_breakers.lost(command.spec.market, answer.cause, now_s)
            return
        self._breaker.succeeded(now_s)
        if isinstance(answer, AmendAccepted):
            self._market_breakers.accepted(command.spec.market)
        elif isinstance(answer, AmendDenied):
            meaning = meaning_of_code(answer.status, answer.code)
            self._market_breakers.refused(command.spec.market, meaning, answer.code, now_s)

    def _answered(self, client_order_id: str, answer: AmendAnswer) -> AccountFact:
        now_ms = self._clock.now_ms()
        self._counts[f"amend_{type(answer).__name__.removeprefix('Amend').lower()}"] += 1
        match answer:
            case AmendAccepted():
                return AmendAcknowledged(now_ms, client_order_id, answer.remaining, answer.ts_ms)
            case AmendDenied():
                return AmendRefused(now_ms, client_order_id, answer.status, answer.code, answer.detail)
            case AmendNotFound():
                return AmendMissing(now_ms, client_order_id)
            case AmendUnknown():
                return AmendLost(now_ms, client_order_id, answer.cause)
