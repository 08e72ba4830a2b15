"""Cancels what has to go and verifies that it is gone.

A sweep is: cancel all that has to go; wait until the writer has nothing on the wire; cancel what was accepted
meanwhile; read two complete lists after that, both empty of what had to go, with no order unknown. A list read while
a request is on the wire proves nothing. Cancels go one by one: the exchange's cancel-all may take orders placed in
the minute after it, and is for kill alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from kalshi_daemon import limits
from kalshi_daemon.commands import CancelOrder
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_tracker import OrderRecord
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, SweepUnverified, SweepVerified
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.order_writer import OrderWriter

ALL = "all"
INCREASING = "increasing"


class Sweeper:
    def __init__(
        self,
        reader: AccountReader,
        writer: OrderWriter,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    async def sweep(self, scope: str, cause: str) -> bool:
        """True where it is verified that nothing of ours that had to go can still rest. Bounded by its caller's
        state.
        """
        proofs = 0
        try:
            while proofs < limits.SWEEP_PROOFS:
                self.cancel(scope, cause)
                with trio.move_on_after(limits.WRITER_IDLE_S):
                    await self._writer.until_quiet()
                await self._reader.read_orders_and_fills()
                left = self.left(scope)
                proofs = 0 if left or self._writer.on_the_wire else proofs + 1
                if left:
                    await trio.sleep(limits.SWEEP_PAUSE_S)
        except* (ExchangeError, Unreachable):
            proofs = -1
        if proofs < 0:
            await self._settle(SweepUnverified(self._clock.now_ms(), scope, self.names(scope)))
            return False
        await self._settle(SweepVerified(self._clock.now_ms(), scope))
        return True

    def cancel(self, scope: str, cause: str) -> int:
        """Ask for the cancel of every order that has to go and has an id; those without one are not answered yet."""
        wanted = [record for record in self.left(scope) if record.order_id and record.state != "cancel_pending"]
        for record in wanted:
            spec = record.spec
            self._writer.accept(
                CancelOrder(record.client_order_id, record.order_id, spec.market, spec.exchange_index, cause)
            )
        return len(wanted)

    def left(self, scope: str) -> list[OrderRecord]:
        """Our live orders that have to go; orders that are not ours stay."""
        return [
            record for record in self._ledger.live() if record.ours and (scope == ALL or not record.spec.reduce_only)
        ]

    def names(self, scope: str) -> tuple[str, ...]:
        return tuple(record.client_order_id for record in self.left(scope))
