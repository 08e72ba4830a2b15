"""Lifts holds whose clearing condition has come to be.

Holds on the account are watched while paused (the task `watch_holds`), those on one market wherever the account is
synchronised. A hold that a person clears is not touched here. Each lift is a fact that says by what; the last one lets
the chart look whether it may leave `paused`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.holds import Hold
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.facts import AccountFact, HoldKind, HoldLifted
from kalshi_daemon.shell.clock import Clock


class HoldWatch:
    def __init__(
        self,
        ledger: LedgerView,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
        *,
        feeds_usable: Callable[[], bool],
        agreements: Callable[[], int],
        reachable: Callable[[], Awaitable[bool]],
    ) -> None:
        """`agreements` counts full audits that agreed; `reachable` asks REST once."""
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._feeds_usable = feeds_usable
        self._agreements = agreements
        self._reachable = reachable
        self._agreements_before: dict[tuple[str, str], int] = {}  # (subject, cause) of each divergence, when first seen
        self._usable_since_s: float | None = None

    async def run(self) -> None:
        """Never returns; looks once a second at the holds on the account."""
        self._usable_since_s = None
        while True:
            self._note_levels()
            await self._look(on_markets=False)
            await trio.sleep(limits.HOLD_WATCH_S)

    async def run_on_markets(self) -> None:
        """Never returns; looks once a second at the holds on one market each, which pause nothing."""
        while True:
            await self._look(on_markets=True)
            await trio.sleep(limits.HOLD_WATCH_S)

    async def _look(self, *, on_markets: bool) -> None:
        named = {(held.subject, held.cause) for held in self._ledger.holds}
        self._agreements_before = {key: count for key, count in self._agreements_before.items() if key in named}
        for held in self._ledger.holds:
            if bool(held.subject) is not on_markets:
                continue
            by = await self._cleared(held)
            if by:
                await self._settle(HoldLifted(self._clock.now_ms(), held.kind, held.subject, by))

    def _note_levels(self) -> None:
        if not self._feeds_usable():
            self._usable_since_s = None
        elif self._usable_since_s is None:
            self._usable_since_s = trio.current_time()

    async def _cleared(self, held: Hold) -> str:
        """What clears it, in words; empty while nothing does."""
        if held.until_ms is not None and self._clock.now_ms() >= held.until_ms:
            return "its time is over"
        if held.kind is HoldKind.DIVERGENCE:
            before = self._agreements_before.setdefault((held.subject, held.cause), self._agreements())
            return "two audits agreed" if self._agreements() - before >= limits.AGREEMENTS_AFTER_DIVERGENCE else ""
        if held.kind is HoldKind.FOREIGN:
            return "" if self._ledger.not_ours() else "what was not ours is gone"
        if held.kind is HoldKind.RECOVERY:
            since_s = self._usable_since_s
            calm = since_s is not None and trio.current_time() - since_s >= limits.RECOVERED_S
            return "REST and feeds are usable again" if calm and await self._reachable() else ""
        return ""
