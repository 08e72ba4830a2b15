"""Keeps the account agreed while trading or paused: orders, fills, balance and positions, by cursor, each at its own
pace.

Private channels carry no sequence numbers, so that a quiet feed proves nothing; this is what proves it. A difference
that is seen twice with quiet between holds by divergence. No successful sync for `SYNC_SILENCE_S` places the hold
`sync`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind, HoldLifted
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.calibration_service import CalibrationService
from kalshi_daemon.shell.clock import Clock


class SyncService:
    def __init__(
        self,
        reader: AccountReader,
        calibration: CalibrationService,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.last_error = ""
        self.last_success_s = float("-inf")
        self._reader = reader
        self._calibration = calibration
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._wanted = trio.Event()

    def want(self) -> None:
        """Read now: something says that the account may have moved without us."""
        self._wanted.set()

    async def run(self) -> None:
        """Never returns; a failed read is counted and tried again, an outage never ends it."""
        self.last_success_s = read_s = audited_s = trio.current_time()
        while True:
            await self._wait()
            now_s = trio.current_time()
            try:
                if not self._ledger.account_agreed or now_s - audited_s >= limits.SYNC_BALANCE_S:
                    await self._audit()
                    audited_s = read_s = now_s
                elif now_s - read_s >= limits.SYNC_ORDERS_S:
                    await self._reader.read_orders_and_fills()
                    read_s = now_s
                else:
                    continue
            except* (ExchangeError, Unreachable) as errors:
                await self._failed(str(errors.exceptions[0]))
            else:
                await self._succeeded()

    async def _audit(self) -> None:
        """Look once while the account is agreed; look until it rests where it is not, or where something differs."""
        if self._ledger.account_agreed:
            compared = await self._calibration.compare()
            self.counts["audits"] += 1
            self.counts["unsettled"] += bool(compared.unsettled)
            if not compared.differences:
                return
        self.counts["calibrations"] += 1
        await self._calibration.calibrate()

    async def _wait(self) -> None:
        with trio.move_on_after(limits.SYNC_TICK_S):
            await self._wanted.wait()
        self._wanted = trio.Event()

    async def _succeeded(self) -> None:
        self.counts["succeeded"] += 1
        self.last_error = ""
        self.last_success_s = trio.current_time()
        if self._ledger.account_agreed and any(held.kind is HoldKind.SYNC for held in self._ledger.holds):
            await self._settle(HoldLifted(self._clock.now_ms(), HoldKind.SYNC, "", "a full audit agrees"))

    async def _failed(self, why: str) -> None:
        self.counts["failed"] += 1
        self.last_error = why
        silent_s = trio.current_time() - self.last_success_s
        held = any(held.kind in (HoldKind.SYNC, HoldKind.EXCHANGE) for held in self._ledger.holds)
        if silent_s >= limits.SYNC_SILENCE_S and not held:
            cause = f"no successful sync for {silent_s:.0f} s: {why}"
            await self._settle(hold(HoldKind.SYNC, cause, self._clock.now_ms()))
