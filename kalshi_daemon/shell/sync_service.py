"""Keeps the account agreed while trading or paused: orders, fills, balance and positions, by cursor, each at its own
pace.

Private channels carry no sequence numbers, so that a quiet feed proves nothing; this is what proves it. A difference
that is seen twice with quiet between holds by divergence. No successful sync for `SYNC_SILENCE_S` places the hold
`sync`, which a full audit that agrees lifts, and for `SYNC_ALARM_S` it is an alarm; the clock of that silence stands
still while `exchange` is held.

Rules:
- Where the account is not agreed, or `sync` is held, every look is a full audit.
- Settlements are read every `SYNC_SETTLEMENTS_S`, after the closing of a market where we hold something, and where an
  audit without them differs.
- An audit that could not read is a failure, whatever else was learnt.
- A divergence with the same figures round after round, and refused access, are looked at seldom: they wait for a
  person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from math import inf

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind, HoldLifted
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.calibration_service import CalibrationService
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.logging import log


class SyncService:
    def __init__(
        self,
        reader: AccountReader,
        calibration: CalibrationService,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
        alarm: Callable[[str, str], None],
    ) -> None:
        self.counts = Counter(succeeded=0, failed=0, audits=0, unsettled=0, calibrations=0)
        self.silent_s = 0.0  # since the last success, but for the time while `exchange` was held
        self._reader = reader
        self._calibration = calibration
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._alarm = alarm
        self._alarmed = False  # of the silence that lasts
        self._closed_s = -inf
        self._wanted = trio.Event()
        self._looked_s = self._tried_s = self._read_s = self._audited_s = 0.0  # when each was last done

    def want(self) -> None:
        """Read now: something says that the account may have moved without us."""
        self._wanted.set()

    def closed(self) -> None:
        """A market where we hold something is over: the audits of the next while read what it pays."""
        self._closed_s = trio.current_time()

    async def run(self) -> None:
        """Never returns; a failed read is counted and tried again, an outage never ends it.

        The silence goes on where the trader was paused by it.
        """
        if not self._holds(HoldKind.SYNC):
            self.silent_s = 0.0
        self._looked_s = self._read_s = self._audited_s = trio.current_time()
        while True:
            wanted = await self._wait()
            now_s = trio.current_time()
            self._count_silence(now_s)
            audits = now_s - self._audited_s >= self._audit_pace_s()
            if not (audits or wanted or now_s - self._read_s >= limits.SYNC_ORDERS_S):
                continue
            if self._holds(HoldKind.ACCESS) and now_s - self._tried_s < limits.HELD_SYNC_S:
                continue
            self._tried_s = now_s
            failure, agreed = "", False
            try:
                agreed = await self._look(audits=audits)
            except* (ExchangeError, Unreachable) as errors:
                failure = str(errors.exceptions[0])
            if failure:
                await self._failed(failure)
                continue
            self._read_s = now_s
            self._audited_s = now_s if audits else self._audited_s
            await self._succeeded(agreed=agreed)

    async def _wait(self) -> bool:
        """One tick, or less; whether a read was asked for."""
        with trio.move_on_after(limits.SYNC_TICK_S):
            await self._wanted.wait()
        wanted, self._wanted = self._wanted.is_set(), trio.Event()
        return wanted

    def _audit_pace_s(self) -> float:
        if self._calibration.stuck:
            return limits.DIVERGED_AUDIT_S
        return 0.0 if self._doubtful else limits.SYNC_BALANCE_S

    @property
    def _doubtful(self) -> bool:
        return not self._ledger.account_agreed or self._holds(HoldKind.SYNC)

    async def _look(self, *, audits: bool) -> bool:
        """Read, and compare where it is an audit; whether a full audit agreed.

        An agreed account is looked at once. One that is not, or that differs, is looked at until it rests.
        """
        if not audits:
            await self._reader.read_orders_and_fills()
            return False
        if not self._doubtful:
            closed = trio.current_time() - self._closed_s < limits.SYNC_AFTER_CLOSE_S
            compared = await self._calibration.compare(settlements=closed or self._reader.settlements_due)
            self.counts["audits"] += 1
            self.counts["unsettled"] += bool(compared.unsettled)
            if not compared.differences:
                return compared.agreed
        self.counts["calibrations"] += 1
        return await self._calibration.converge() == "agreed"

    def _count_silence(self, now_s: float) -> None:
        if not self._holds(HoldKind.EXCHANGE):
            self.silent_s += now_s - self._looked_s
        self._looked_s = now_s

    async def _succeeded(self, *, agreed: bool) -> None:
        if self._alarmed:
            self._alarmed = False
            log.info("sync_again", silent_s=round(self.silent_s))
        self.counts["succeeded"] += 1
        self.silent_s = 0.0
        self._looked_s = trio.current_time()
        if agreed and self._holds(HoldKind.SYNC):
            await self._settle(HoldLifted(self._clock.now_ms(), HoldKind.SYNC, "", "a full audit agrees"))

    async def _failed(self, why: str) -> None:
        self.counts["failed"] += 1
        self._count_silence(trio.current_time())
        if self.silent_s >= limits.SYNC_SILENCE_S and not self._holds(HoldKind.SYNC, HoldKind.EXCHANGE):
            cause = f"no successful sync for {self.silent_s:.0f} s: {why}"
            await self._settle(hold(HoldKind.SYNC, cause, self._clock.now_ms()))
        if self.silent_s >= limits.SYNC_ALARM_S and not self._alarmed:
            self._alarmed = True
            self._alarm("sync", f"the account was not read for {self.silent_s:.0f} s ({why}): `doctor` says what fails")

    def _holds(self, *kinds: HoldKind) -> bool:
        return any(self._ledger.find_hold(kind) is not None for kind in kinds)
