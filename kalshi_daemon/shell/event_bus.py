"""The one writer: facts in, in order; journaled and folded; then commands and news out.

A batch is what waits when the writer looks, up to a bound. Its items are taken in the order they were posted. A
proposal is decided at that moment, with everything before it folded, so that no two orders are reserved against the
same cash; what it becomes is a fact like the others. Then the batch is committed once, durably, and only then does
anything follow from it.

Rules:
- `post` never blocks and never loses: over `BUS_QUEUE_MAX` it raises Overflow.
- Folding and deciding do no I/O. What they raise is our own mistake and ends the bus; so does a commit that fails, and
  then nothing of that batch has taken effect outside.
- Being cancelled during a commit finishes the batch first, within a bound: what was folded is on the disk and was told.
  Then one more, of the facts that wait: among them are the last words, which say how it ended. Nothing is decided then.
- Facts posted by what a batch leads to belong to a later batch.
- Who listens is told in the writer's own step, after the commands: it must not block, and none can fall behind.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio
from attrs import define, field, frozen

from kalshi_daemon import limits
from kalshi_daemon.commands import Command, Proposal
from kalshi_daemon.core.changes import Change
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.errors import OperatingError, Overflow
from kalshi_daemon.facts import AccountFact, AmendIntended, OrderIntended

Append: TypeAlias = Callable[[Sequence[AccountFact]], Awaitable[int]]  # Journal.append: durable, or it raises
Decide: TypeAlias = Callable[[Proposal], OrderIntended | AmendIntended | None]


class BusEnded(Exception):
    """The bus has ended, so the fact that was waited for will not be settled by this process."""


@frozen
class News:
    """A fact that is durable, its number in the journal, and what folding it changed."""

    seq: int
    fact: AccountFact
    changes: tuple[Change, ...]


@frozen
class _Posted:
    item: AccountFact | Proposal
    settled: _Settling | None = None


@define(eq=False)
class _Settling:
    """Somebody waits for a fact to be durable."""

    over: trio.Event = field(factory=trio.Event)
    durable: bool = False


@frozen
class _Folded:
    fact: AccountFact
    changes: tuple[Change, ...]
    commands: tuple[Command, ...]


class EventBus:
    def __init__(
        self,
        ledger: Ledger,
        order_manager: OrderManager,
        append: Append,
        decide: Decide,
        on_command: Callable[[Command], None],
    ) -> None:
        # refused: proposals that became no intent; late: posted after the end, so the next start asks the exchange
        self.counts = Counter(folded=0, batches=0, proposals=0, refused=0, late=0)
        self._ledger = ledger
        self._order_manager = order_manager
        self._append = append
        self._decide = decide
        self._on_command = on_command
        self._queue: deque[_Posted] = deque()
        self._listeners: list[Callable[[News], None]] = []
        self._posted = trio.Event()
        self._idle = trio.Event()  # set while nothing waits and no batch is under way
        self._idle.set()
        self._ended = False
        self._lost = 0  # items that were posted and not durable when it ended

    # ----------------------------------------------------------------------------------------------------- from outside

    def post(self, item: AccountFact | Proposal) -> None:
        """Raises Overflow."""
        self._put(_Posted(item))

    async def settle(self, fact: AccountFact) -> None:
        """Return when the fact is folded and durable. Raises Overflow, and BusEnded where that will not happen."""
        settling = _Settling()
        self._put(_Posted(fact, settling))
        if not self._ended:
            await settling.over.wait()
        if not settling.durable:
            raise BusEnded(f"the event bus ended before {type(fact).__name__} was durable")

    async def drain(self) -> None:
        """Return when everything posted so far, and what it led to, is folded and durable. Raises BusEnded."""
        await self._idle.wait()
        if self._lost:
            raise BusEnded(f"the event bus ended before {self._lost} facts were durable")

    def listen(self, on_news: Callable[[News], None]) -> None:
        """Tell it of every durable fact, in order, from the next batch on."""
        self._listeners.append(on_news)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    # --------------------------------------------------------------------------------------------------------- the task

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. What escapes ends the daemon."""
        assert not self._ended, "a bus has one life"
        task_status.started()
        batch: list[_Posted] = []
        try:
            while True:
                await self._posted.wait()
                batch = self._take()
                await self._handle(batch)
                batch = []
                if not self._queue:
                    self._posted = trio.Event()
                    self._idle.set()
        except trio.Cancelled:
            batch = [posted for posted in self._take() if not isinstance(posted.item, Proposal)]
            if batch:
                await self._handle(batch)
                batch = []
            raise
        finally:
            self._end(batch)

    def _take(self) -> list[_Posted]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(len(queue), limits.BUS_BATCH_MAX))]

    async def _handle(self, batch: list[_Posted]) -> None:
        self.counts["batches"] += 1
        folded: list[_Folded] = []
        settlings: list[_Settling] = []
        for posted in batch:
            item = posted.item
            fact = self._decided(item) if isinstance(item, Proposal) else item
            if fact is not None:
                folded.append(self._fold(fact))
            if posted.settled is not None:
                settlings.append(posted.settled)
        if folded:
            self._tell(folded, await self._commit(folded))
        for settling in settlings:
            settling.durable = True
            settling.over.set()

    def _decided(self, proposal: Proposal) -> OrderIntended | AmendIntended | None:
        self.counts["proposals"] += 1
        intent = self._decide(proposal)
        if intent is None:
            self.counts["refused"] += 1
        return intent

    def _fold(self, fact: AccountFact) -> _Folded:
        changes = self._ledger.apply(fact)
        return _Folded(fact, changes, tuple(self._order_manager.decide(self._ledger, fact, changes)))

    async def _commit(self, folded: list[_Folded]) -> int:
        """The number of the batch's first fact. Shielded: a batch that was folded is finished, even while leaving."""
        last: int | None = None
        with trio.move_on_after(limits.JOURNAL_BUSY_S, shield=True):
            last = await self._append([each.fact for each in folded])
        if last is None:
            raise OperatingError(
                f"the journal took no commit within {limits.JOURNAL_BUSY_S:.0f} s: see that its disk is healthy"
            )
        return last - len(folded) + 1

    def _tell(self, folded: list[_Folded], first_seq: int) -> None:
        """Everything here is durable. Commands first, so that an order does not wait for who listens."""
        self.counts["folded"] += len(folded)
        for each in folded:
            for command in each.commands:
                self._on_command(command)
        for seq, each in enumerate(folded, first_seq):
            for on_news in self._listeners:
                on_news(News(seq, each.fact, each.changes))

    def _put(self, posted: _Posted) -> None:
        if self._ended:
            self.counts["late"] += 1
            return
        if len(self._queue) >= limits.BUS_QUEUE_MAX:
            raise Overflow(
                f"{limits.BUS_QUEUE_MAX} facts wait for the journal: its disk is too slow, or the bus is stuck"
            )
        self._queue.append(posted)
        self._posted.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    def _end(self, batch: list[_Posted]) -> None:
        """Nobody waits for a bus that is gone."""
        self._ended = True
        self._lost = len(batch) + len(self._queue)
        for posted in (*batch, *self._queue):
            if posted.settled is not None:
                posted.settled.over.set()
        self._idle.set()
