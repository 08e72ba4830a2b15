"""The only way out for orders, amends and cancels: lanes that take commands, ask the gates, write, and say what came.

It lives as long as the daemon, so that a request on the wire is never cut by leaving a state.

Rules:
- A placement asks its gate before it waits for tokens, and again in the step that writes to the socket; there it also
  takes the breakers' probes, of all order writes and of its market. A cancel asks none.
- Cancels go before orders, have a lane that orders never use, and tokens that orders leave them (`cancel_queue`).
- Amends wait and go among the orders (`amend_writer`).
- An order that has no tokens within `ORDER_TOKENS_WAIT_S` is withheld: it has not left, and is never lost by waiting.
- Every request ends as exactly one fact. No answer, or one that cannot be read, is `OrderLost`, never a refusal.
- Nothing is sent twice: an unknown outcome is for evidence to settle, not for a retry.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import trio

from kalshi_daemon import limits
from kalshi_daemon.commands import AmendOrder, CancelOrder, PlaceOrder
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.core.order_rate import RATE_CODE
from kalshi_daemon.errors import Withheld
from kalshi_daemon.facts import (
    AccountFact,
    OrderAcknowledged,
    OrderDuplicate,
    OrderLost,
    OrderRefused,
    OrderSent,
    OrderSpec,
    OrderWithheld,
)
from kalshi_daemon.shell.amend_writer import AmendWriter
from kalshi_daemon.shell.cancel_queue import CancelQueue
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.requests import ORDERS_PATH, UNREACHABLE
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire import orders as answers
from kalshi_daemon.wire.error_codes import meaning_of_code


class OrderWriter:
    def __init__(
        self,
        rest: RestClient,
        post: Callable[[AccountFact], None],
        ask: Callable[[str], None],
        breaker: CircuitBreaker,
        market_breakers: MarketBreakers,
        clock: Clock,
        ask_amend: Callable[[str], None],
        group: Callable[[OrderSpec], Awaitable[str]],
    ) -> None:
        """`ask` raises Withheld where the order's gate is closed, `ask_amend` where that of its amend is, `group` where
        the order has no group (P23).
        """
        self.counts = Counter(accepted=0, refused=0, duplicate=0, lost=0, withheld=0, overflowed=0, paced=0)
        self.counts.update(cancels_joined=0)
        self.on_the_wire = 0
        self.begun = 0  # requests that a lane has taken; a sweep sees by it that nothing was sent meanwhile
        self.ended_ms: Milliseconds = 0  # when the last of them was over, by the exchange's clock
        self._rest = rest
        self._post = post
        self._ask = ask
        self._breaker = breaker
        self._market_breakers = market_breakers
        self._clock = clock
        self._group = group
        self._cancels = CancelQueue(rest, post, clock, market_breakers, self.counts)
        self._amends = AmendWriter(rest, post, ask_amend, self, (breaker, market_breakers), clock, self.counts)
        self._placements: deque[PlaceOrder | AmendOrder] = deque()
        self._work = trio.Event()  # replaced when something was accepted
        self._rested = trio.Event()  # replaced when nothing was left to do

    # --------------------------------------------------------------------------------------------------- from outside

    def accept(self, command: PlaceOrder | AmendOrder | CancelOrder) -> None:
        """An order or an amend over the bound is withheld. Raises Overflow for a cancel over it: more than can rest."""
        if isinstance(command, CancelOrder):
            self._cancels.accept(command)
        elif len(self._placements) >= limits.WRITER_QUEUE_MAX:
            self.counts["overflowed"] += 1
            detail = f"{limits.WRITER_QUEUE_MAX} orders wait to be sent: they are made faster than the exchange takes"
            if isinstance(command, AmendOrder):
                self._amends.withhold(command, "overflow", detail)
            else:
                self._withheld(command.client_order_id, "overflow", detail)
            return
        else:
            self._placements.append(command)
        self._work.set()
        self._work = trio.Event()

    def cancel_everything(self, resting: Sequence[CancelOrder]) -> None:
        """Of our subaccount, before whatever waits; `resting` is what is known of that it will take."""
        self._cancels.accept_everything(resting)
        self._work.set()
        self._work = trio.Event()

    @property
    def waiting(self) -> int:
        return len(self._cancels) + len(self._placements)

    @property
    def quiet(self) -> bool:
        """Nothing waits and nothing is on the wire."""
        return not self.on_the_wire and not self.waiting

    async def until_quiet(self) -> None:
        while not self.quiet:
            await self._rested.wait()

    # ------------------------------------------------------------------------------------------------------- the task

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for lane in range(limits.WRITER_LANES):
                nursery.start_soon(self._lane, lane < limits.WRITER_LANES_FOR_CANCELS)

    async def _lane(self, cancels_only: bool) -> None:  # noqa: FBT001 - trio hands arguments on by place
        while True:
            while not (self._cancels or (self._placements and not cancels_only)):
                await self._work.wait()
            self.on_the_wire += 1
            self.begun += 1
            try:
                if self._cancels:
                    await self._cancels.send()
                else:
                    await self._write(self._placements.popleft())
            finally:
                self.on_the_wire -= 1
                self.ended_ms = self._clock.exchange_now_ms()
                if self.quiet:
                    self._rested.set()
                    self._rested = trio.Event()

    async def _write(self, command: PlaceOrder | AmendOrder) -> None:
        if isinstance(command, AmendOrder):
            await self._amends.write(command)
        else:
            await self._place(command)

    # --------------------------------------------------------------------------------- what orders and amends share

    async def pay(self, method: str, path: str, *, increases: bool) -> None:
        """Wait for the tokens, so that a 429 is the exchange's surprise and not our habit. Raises Withheld (P16)."""
        within_s = limits.ORDER_TOKENS_WAIT_S
        until_s = trio.current_time() + within_s
        while wait_s := self._rest.governor.pays(method, path, trio.current_time(), increases=increases):
            self.counts["paced"] += 1
            if trio.current_time() + wait_s > until_s:
                raise Withheld(RATE_CODE, f"tokens of the write bucket: none within {within_s:g} s, allowed at once")
            await trio.sleep(wait_s)

    def probe(self, market: Ticker) -> None:
        """In the step that writes: the breakers, and their probes where this is one. Raises Withheld."""
        now_s = trio.current_time()
        if not (self._market_breakers.ready(market, now_s) and self._breaker.allows(now_s)):
            raise Withheld("P1", "the breaker lets it pass: no, allowed yes")
        self._market_breakers.allows(market, now_s)

    def cancels(self, client_order_id: str) -> bool:
        """Whether a cancel of this order waits, or is on the wire."""
        return client_order_id in self._cancels

    # --------------------------------------------------------------------------------------------------------- orders

    async def _place(self, command: PlaceOrder) -> None:
        client_order_id = command.client_order_id

        def leave() -> None:
            self._ask(client_order_id)
            self.probe(command.spec.market)
            self._post(OrderSent(self._clock.now_ms(), client_order_id))

        try:
            self._ask(client_order_id)
            group = await self._group(command.spec)
            increases = not command.spec.reduce_only
            await self.pay("POST", ORDERS_PATH, increases=increases)
            answer = await self._rest.create_order(client_order_id, command.spec, group, before_send=leave)
        except Withheld as refusal:
            if refusal.code == UNREACHABLE:
                self._breaker.failed(trio.current_time(), refusal.detail)
            self._withheld(client_order_id, refusal.code, refusal.detail)
            return
        if isinstance(answer, answers.Acknowledged):
            self._market_breakers.accepted(command.spec.market)
        elif isinstance(answer, answers.Refused):
            meaning = meaning_of_code(answer.status, answer.code)
            self._market_breakers.refused(command.spec.market, meaning, answer.code, trio.current_time())
        elif isinstance(answer, answers.Lost):
            self._market_breakers.lost(command.spec.market, answer.cause, trio.current_time())
        self._post(self._placed(client_order_id, answer))

    def _withheld(self, client_order_id: str, code: str, detail: str) -> None:
        self.counts["withheld"] += 1
        self._post(OrderWithheld(self._clock.now_ms(), client_order_id, code, detail))

    def _placed(self, client_order_id: str, answer: answers.OrderAnswer) -> AccountFact:
        """An answer that can be read is health, whatever it says."""
        now_ms, now_s = self._clock.now_ms(), trio.current_time()
        match answer:
            case answers.Acknowledged():
                self.counts["accepted"] += 1
                self._breaker.succeeded(now_s)
                return OrderAcknowledged(
                    now_ms, client_order_id, answer.order_id, answer.filled, answer.remaining, answer.ts_ms
                )
            case answers.Refused():
                self.counts["refused"] += 1
                self._breaker.succeeded(now_s)
                return OrderRefused(now_ms, client_order_id, answer.status, answer.code, answer.detail)
            case answers.Duplicate():
                self.counts["duplicate"] += 1
                self._breaker.succeeded(now_s)
                return OrderDuplicate(now_ms, client_order_id)
            case answers.Lost():
                self.counts["lost"] += 1
                self._breaker.failed(now_s, answer.cause)
                return OrderLost(now_ms, client_order_id, answer.cause)
