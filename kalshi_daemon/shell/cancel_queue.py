"""Cancels on their way out: what waits goes together, in batches that the write bucket pays for at once.

Rules:
- One cancel of an order is under way at most; asked for again before it is answered, it has joined.
- A batch is as large as the tokens that are there, within what the account's limits allow. Where there are hardly any
  it waits for a tenth of a second's worth, so that a long queue is not sent one by one.
- Every cancel ends as exactly one fact. One that the answer to its batch leaves out is `CancelLost`: unknown, for a
  read to settle; and so is each of a batch whose answer is lost.
- The cancel of everything goes before all others. It names no order, so that each that rested is unknown after it, and
  for a read to settle: those that it left are cancelled by their ids.
- The largest batch is not documented. One that the exchange refuses as a batch is sent again in halves, and the house
  stays below that size until it is started again; a batch of one is the request for one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

import trio

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.errors import Overflow
from kalshi_daemon.facts import (
    AccountFact,
    CancelAcknowledged,
    CancelAllEnded,
    CancelAllSent,
    CancelLost,
    CancelMissing,
    CancelRefused,
    CancelSent,
)
from kalshi_daemon.shell.cancel_requests import DONE, cancel_path
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.requests import ORDERS_PATH
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.wire import orders as answers
from kalshi_daemon.wire.batched_cancel import BatchFailed
from kalshi_daemon.wire.error_codes import meaning_of_code


class CancelQueue:
    def __init__(
        self,
        rest: RestClient,
        post: Callable[[AccountFact], None],
        clock: Clock,
        breakers: MarketBreakers,
        counts: Counter[str],
    ) -> None:
        self.batch_max = limits.CANCEL_BATCH_MAX  # lowered by what the exchange refuses
        self._rest = rest
        self._post = post
        self._clock = clock
        self._breakers = breakers
        self._counts = counts
        self._waiting: deque[CancelOrder] = deque()
        self._everything: Sequence[CancelOrder] | None = None  # what rests, where all of it is to go in one request
        self._under_way: set[str] = set()  # client order ids whose cancel waits or is on the wire

    def __len__(self) -> int:
        return len(self._waiting) + (self._everything is not None)

    def __contains__(self, client_order_id: str) -> bool:
        """Whether a cancel of this order waits, or is on the wire."""
        return client_order_id in self._under_way

    def accept(self, command: CancelOrder) -> None:
        """Raises Overflow over the bound: more of them than orders can rest."""
        if command.client_order_id in self._under_way:
            self._counts["cancels_joined"] += 1
            return
        if len(self._waiting) >= limits.CANCEL_QUEUE_MAX:
            raise Overflow(f"{limits.CANCEL_QUEUE_MAX} cancels wait to be sent: more than orders may rest")
        self._under_way.add(command.client_order_id)
        self._waiting.append(command)

    def accept_everything(self, resting: Sequence[CancelOrder]) -> None:
        """`resting`: what is known of that it will take."""
        self._everything = resting

    async def send(self) -> None:
        """One request for what waits, and its answers; nothing, where other lanes were faster."""
        if self._everything is not None:
            resting, self._everything = self._everything, None
            await self._all(resting)
            return
        batch = await self._paid()
        if not batch:
            return
        again = False
        try:
            if len(batch) == 1:
                found: Sequence[answers.CancelAnswer] = [await self._one(batch[0])]
            else:
                found, again = await self._together(batch)
        finally:
            self._under_way.difference_update(command.client_order_id for command in batch)
        for command, answer in zip(batch, found, strict=True):
            self._tell(command, answer)
        if again:
            for command in batch:
                self.accept(command)

    async def _paid(self) -> list[CancelOrder]:
        """The oldest that waits, and as many behind it as there are tokens for; its path stands for all of theirs."""
        while self._waiting:
            path, wanted = cancel_path(self._waiting[0].order_id), min(len(self._waiting), self.batch_max)
            items, wait_s = self._rest.governor.pays_batch("DELETE", path, wanted, trio.current_time())
            if items:
                return [self._waiting.popleft() for _ in range(items)]
            self._counts["paced"] += 1
            await trio.sleep(wait_s)
        return []

    def _sent(self, batch: Sequence[CancelOrder]) -> None:
        for command in batch:
            self._post(CancelSent(self._clock.now_ms(), command.client_order_id))

    async def _all(self, resting: Sequence[CancelOrder]) -> None:
        while wait_s := self._rest.governor.pays("DELETE", ORDERS_PATH, trio.current_time()):
            self._counts["paced"] += 1
            await trio.sleep(wait_s)
        sent = False

        def leave() -> None:
            nonlocal sent
            sent = True
            self._post(CancelAllSent(self._clock.now_ms(), self._clock.exchange_now_ms()))
            self._sent(resting)

        answer = await self._rest.cancels.everything(before_send=leave)
        self._counts["cancels_of_everything"] += 1
        if sent:
            answered = answer == DONE or not isinstance(answer, answers.CancelUnknown)
            cause = "" if answer == DONE else str(answer)
            now_ms = self._clock.now_ms()
            self._post(CancelAllEnded(now_ms, self._clock.exchange_now_ms(), answered, cause))
        for command in resting:
            self._tell(command, answer)

    async def _one(self, command: CancelOrder) -> answers.CancelAnswer:
        return await self._rest.cancels.one(
            command.order_id, command.market, command.exchange_index, before_send=lambda: self._sent([command])
        )

    async def _together(self, batch: Sequence[CancelOrder]) -> tuple[Sequence[answers.CancelAnswer], bool]:
        """An answer to each, and whether they go again: nothing was done, for what the batch is."""
        found = await self._rest.cancels.several(batch, before_send=lambda: self._sent(batch))
        self._counts["cancel_batches"] += 1
        if not isinstance(found, BatchFailed):
            return found, False
        if found.as_a_batch:
            self._counts["cancel_batches_refused"] += 1
            self.batch_max = min(self.batch_max, len(batch) // 2)
        again = found.as_a_batch and isinstance(found.answer, answers.CancelDenied)
        return [found.answer] * len(batch), again

    def _tell(self, command: CancelOrder, answer: answers.CancelAnswer) -> None:
        now_ms, client_order_id = self._clock.now_ms(), command.client_order_id
        self._counts[f"cancel_{type(answer).__name__.lower()}"] += 1
        match answer:
            case answers.CancelAccepted():
                self._post(CancelAcknowledged(now_ms, client_order_id, answer.reduced_by, answer.ts_ms))
            case answers.CancelNotFound():
                self._post(CancelMissing(now_ms, client_order_id))
            case answers.CancelDenied():
                meaning = meaning_of_code(answer.status, answer.code)
                self._breakers.refused(command.market, meaning, answer.code, trio.current_time())
                self._post(CancelRefused(now_ms, client_order_id, answer.status, answer.code, answer.detail))
            case answers.CancelUnknown():
                self._post(CancelLost(now_ms, client_order_id, answer.cause))
