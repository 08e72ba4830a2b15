"""Gets back what trading needs: the attempts of `recovering`, and the cancels for when we are blind.

An attempt asks REST once and waits for usable feeds, both within `ATTEMPT_WAIT_S`, so that it ends by itself before its
state's time is over. Attempts are counted until trading has been steady; the last one
that is allowed places the hold `recovery` before it returns, so that the daemon is paused, and watched, instead of
spinning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.sweeper import INCREASING, Sweeper
from kalshi_daemon.shell.websocket_coordinator import WebSocketCoordinator


class ErrorRecoveryManager:
    def __init__(
        self,
        rest: RestClient,
        coordinator: WebSocketCoordinator,
        sweeper: Sweeper,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self.attempts = 0
        self.detail = ""
        self._rest = rest
        self._coordinator = coordinator
        self._sweeper = sweeper
        self._clock = clock
        self._settle = settle

    def steady(self) -> None:
        """Trading has held: attempts are counted from zero again."""
        self.attempts = 0

    async def reachable(self) -> bool:
        try:
            await self._rest.exchange_status()
        except (ExchangeError, Unreachable) as error:
            self.detail = str(error)
            return False
        return True

    async def recover(self) -> str:
        """`recovered` or `failed`."""
        self.attempts += 1
        self.detail = f"REST gave no answer within {limits.ATTEMPT_WAIT_S:.0f} s"
        self._coordinator.retry()
        with trio.move_on_after(limits.ATTEMPT_WAIT_S):
            if await self._restored():
                self.detail = ""
                return "recovered"
        if self.attempts >= limits.RECOVERY_ATTEMPTS_MAX:
            cause = f"{self.attempts} attempts to recover failed; the last: {self.detail}"
            self.attempts = 0
            await self._settle(hold(HoldKind.RECOVERY, cause, self._clock.now_ms()))
        return "failed"

    async def _restored(self) -> bool:
        """False where REST is not reachable; otherwise it waits for the feeds, and says meanwhile what is missing."""
        if not await self.reachable():
            return False
        feeds = (f"{status.role} is {status.state} ({status.detail})" for status in self._coordinator.statuses())
        self.detail = f"feeds are not usable: {', '.join(feeds)}"
        await self._coordinator.until_usable()
        return True

    async def cancel_blind(self) -> None:
        """Never returns. Without books for `BLIND_S`, what increases is cancelled where REST answers."""
        await trio.sleep(limits.BLIND_S)
        while True:
            self._sweeper.cancel(INCREASING, "recovering without books")
            await trio.sleep(limits.BLIND_S)
