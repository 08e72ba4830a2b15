"""Cancels what has to go and verifies that it is gone.

A sweep is: cancel all that has to go; wait until the writer has nothing on the wire; cancel what was accepted
meanwhile; read two complete lists after that, both empty of what had to go, with no order unknown. Cancels go in
batches (`cancel_queue`), each for an order by its id. Under a kill the exchange is first told to cancel everything of
our subaccount, ours or not: that may take orders of the minute after it too, so that no gate is open meanwhile.

Rules:
- A list proves something only where nothing was on the wire while it was read, and the exchange says that it is as of
  later than the last answer.
- A read that fails is tried again until the time is over; one that is refused ends the sweep.
- What is not proved in time is told as `SweepUnverified`, which names the orders. The caller's state gives a second
  longer than the sweep takes, so that this is always said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.errors import ExchangeError, RateLimited, Unreachable
from kalshi_daemon.facts import AccountFact, SweepUnverified, SweepVerified
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.order_writer import OrderWriter
from statecharts.order import CAN

ALL = "all"
INCREASING = "increasing"


class Sweeper:
    def __init__(
        self,
        reader: AccountReader,
        writer: OrderWriter,
        ledger: LedgerView,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self.detail = ""  # why the last sweep did not come to its proof
        self._reader = reader
        self._writer = writer
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    async def sweep(self, scope: str, cause: str, until_s: float | None = None, *, everything: bool = False) -> bool:
        """True where it is verified that nothing of ours that had to go can still rest.

        `until_s`: trio's time at which it gives up; `SWEEP_WORK_S` from now where it is left out. `everything`: with
        the cancel of everything first.
        """
        self.detail = "the time was over"
        verified = False
        with trio.move_on_at(trio.current_time() + limits.SWEEP_WORK_S if until_s is None else until_s):
            if everything:
                self._writer.cancel_everything([_cancel_of(each, cause) for each in self.left(ALL) if each.rests])
                with trio.move_on_after(limits.WRITER_IDLE_S):
                    await self._writer.until_quiet()
            verified = await self._verify(scope, cause, by_id=not everything)
        now_ms = self._clock.now_ms()
        if not verified:
            await self._settle(SweepUnverified(now_ms, scope, self.names(scope)))
            return False
        self.detail = ""
        await self._settle(SweepVerified(now_ms, scope))
        return True

    async def _verify(self, scope: str, cause: str, *, by_id: bool) -> bool:
        """Round after round until the proofs are together; False where the exchange refuses to be asked. Where all was
        cancelled before (not `by_id`), a list that is new enough says first what of it is left.
        """
        proofs = 0
        while proofs < limits.SWEEP_PROOFS:
            refused = ""
            try:
                proved, fresh = await self._round(scope, cause, by_id=by_id)
                by_id = by_id or fresh
            except (Unreachable, RateLimited) as error:
                self.detail = str(error)
                proved = False
            except ExchangeError as error:
                refused = str(error)
            if refused:
                self.detail = refused
                return False
            proofs = proofs + 1 if proved else 0
            if not proved:
                await trio.sleep(limits.SWEEP_PAUSE_S)
        return True

    async def _round(self, scope: str, cause: str, *, by_id: bool) -> tuple[bool, bool]:
        """Cancel what is there, read, and say whether this was a proof, and whether it shows what was done last."""
        if by_id:
            self.cancel(scope, cause)
        with trio.move_on_after(limits.WRITER_IDLE_S):
            await self._writer.until_quiet()
        quiet, begun = self._writer.quiet, self._writer.begun
        as_of_ms = await self._reader.read_orders_and_fills()
        alone = quiet and self._writer.quiet and begun == self._writer.begun
        fresh = as_of_ms >= self._writer.ended_ms
        return alone and fresh and not self.left(scope), fresh

    def cancel(self, scope: str, cause: str) -> int:
        """Ask for the cancel of every order that has to go and has an id; those without one are not answered yet."""
        wanted = [record for record in self.left(scope) if record.order_id and record.state != CAN]
        return self.cancel_each(wanted, cause)

    def cancel_each(self, records: Sequence[OrderRecord], cause: str) -> int:
        """Of orders that have an id."""
        for record in records:
            self._writer.accept(_cancel_of(record, cause))
        return len(records)

    def left(self, scope: str) -> list[OrderRecord]:
        """Our live orders that have to go; orders that are not ours stay."""
        return [
            record for record in self._ledger.live() if record.ours and (scope == ALL or not record.spec.reduce_only)
        ]

    def names(self, scope: str) -> tuple[str, ...]:
        return tuple(record.client_order_id for record in self.left(scope))


def _cancel_of(record: OrderRecord, cause: str) -> CancelOrder:
    spec = record.spec
    return CancelOrder(record.client_order_id, record.order_id, spec.market, spec.exchange_index, cause)
