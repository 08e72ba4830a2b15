"""The only way out for orders and cancels: lanes that take commands, ask the gates, write, and report what came of it.

It lives as long as the daemon, so that a request on the wire is never cut by leaving a state. Cancels go before orders.

Rules:
- A placement asks its gate in the step that writes to the socket; a cancel asks none.
- Every request ends as exactly one fact. No answer, or one that cannot be read, is `OrderLost`, never a refusal.
- Nothing is sent twice: an unknown outcome is for evidence to settle, not for a retry.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import trio

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder, PlaceOrder
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.rate_limit import TokenBucket
from kalshi_daemon.errors import Overflow, Withheld
from kalshi_daemon.facts import (
    AccountFact,
    CancelAcknowledged,
    CancelLost,
    CancelMissing,
    CancelRefused,
    CancelSent,
    OrderAcknowledged,
    OrderDuplicate,
    OrderLost,
    OrderRefused,
    OrderSent,
    OrderWithheld,
)
from kalshi_daemon.shell import rest_client as answers
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient

PLACE_COST = 10  # tokens of the write bucket (api.md 5)
CANCEL_COST = 2


class OrderWriter:
    def __init__(
        self,
        rest: RestClient,
        post: Callable[[AccountFact], None],
        ask: Callable[[str], None],
        breaker: CircuitBreaker,
        bucket: TokenBucket,
        clock: Clock,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.on_the_wire = 0
        self._rest = rest
        self._post = post
        self._ask = ask
        self._breaker = breaker
        self._bucket = bucket
        self._clock = clock
        self._cancels: deque[CancelOrder] = deque()
        self._placements: deque[PlaceOrder] = deque()
        self._work = trio.Semaphore(0)
        self._quiet = trio.Event()
        self._quiet.set()

    # --------------------------------------------------------------------------------------------------- from outside

    def accept(self, command: PlaceOrder | CancelOrder) -> None:
        """Raises Overflow: the intents of a whole burst wait, and something is wrong."""
        if len(self._cancels) + len(self._placements) >= limits.WRITER_QUEUE_MAX:
            raise Overflow(
                f"{limits.WRITER_QUEUE_MAX} orders and cancels wait to be sent: the exchange does not take them as "
                "fast as they are made"
            )
        if isinstance(command, CancelOrder):
            self._cancels.append(command)
        else:
            self._placements.append(command)
        self._quiet = trio.Event()
        self._work.release()

    @property
    def waiting(self) -> int:
        return len(self._cancels) + len(self._placements)

    async def until_quiet(self) -> None:
        """Return when nothing waits and nothing is on the wire."""
        await self._quiet.wait()

    # ------------------------------------------------------------------------------------------------------- the task

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(limits.WRITER_LANES):
                nursery.start_soon(self._lane)

    async def _lane(self) -> None:
        while True:
            await self._work.acquire()
            command = self._cancels.popleft() if self._cancels else self._placements.popleft()
            self.on_the_wire += 1
            try:
                if isinstance(command, CancelOrder):
                    await self._cancel(command)
                else:
                    await self._place(command)
            finally:
                self.on_the_wire -= 1
                if not self.on_the_wire and not self.waiting:
                    self._quiet.set()

    async def _pace(self, cost: int) -> None:
        """Wait for the tokens, so that a 429 is the exchange's surprise and not our habit."""
        while wait_s := self._bucket.wait_s(cost, trio.current_time()):
            self.counts["paced"] += 1
            await trio.sleep(wait_s)
        self._bucket.take(cost, trio.current_time())

    async def _place(self, command: PlaceOrder) -> None:
        client_order_id = command.client_order_id

        def leave() -> None:
            self._ask(client_order_id)
            self._post(OrderSent(self._clock.now_ms(), client_order_id))

        try:
            await self._pace(PLACE_COST)
            answer = await self._rest.create_order(client_order_id, command.spec, before_send=leave)
        except Withheld as refusal:
            self.counts["withheld"] += 1
            self._post(OrderWithheld(self._clock.now_ms(), client_order_id, refusal.code, refusal.detail))
            return
        self._post(self._placed(client_order_id, answer))

    def _placed(self, client_order_id: str, answer: answers.OrderAnswer) -> AccountFact:
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
                self._breaker.succeeded(now_s)  # an answer that can be read is health, whatever it says
                return OrderRefused(now_ms, client_order_id, answer.status, answer.code, answer.detail)
            case answers.Duplicate():
                self.counts["duplicate"] += 1
                return OrderDuplicate(now_ms, client_order_id)
            case answers.Lost():
                self.counts["lost"] += 1
                self._breaker.failed(now_s, answer.cause)
                return OrderLost(now_ms, client_order_id, answer.cause)

    async def _cancel(self, command: CancelOrder) -> None:
        client_order_id = command.client_order_id
        await self._pace(CANCEL_COST)
        answer = await self._rest.cancel_order(
            command.order_id,
            command.market,
            command.exchange_index,
            before_send=lambda: self._post(CancelSent(self._clock.now_ms(), client_order_id)),
        )
        now_ms = self._clock.now_ms()
        self.counts[f"cancel_{type(answer).__name__.lower()}"] += 1
        match answer:
            case answers.CancelAccepted():
                self._post(CancelAcknowledged(now_ms, client_order_id, answer.reduced_by, answer.ts_ms))
            case answers.CancelNotFound():
                self._post(CancelMissing(now_ms, client_order_id))
            case answers.CancelDenied():
                self._post(CancelRefused(now_ms, client_order_id, answer.status, answer.code, answer.detail))
            case answers.CancelUnknown():
                self._post(CancelLost(now_ms, client_order_id, answer.cause))
