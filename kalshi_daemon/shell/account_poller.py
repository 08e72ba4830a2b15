"""Reads the account by REST while its stream is away, so that trading goes on, for reductions only.

It lives as long as the sockets do, whatever the trader's state is, as the reader of the books does: who starts,
recovers or trades finds the account followed.

Rules:
- Without a stream for `PRIVATE_AWAY_S` the restriction is placed first, and then it reads. A read counts only under the
  restriction in force, and while it began less than `PRIVATE_AGE_MAX_S` ago.
- Streaming is retried all the while, elsewhere. What happened between the last read and the new subscription was told
  by nobody: the stream's return doubts the account, and the restriction is lifted when a read that is as of later than
  the last doubt was folded, and the account is agreed again.
- A failed read is counted and made again, an outage never ends it; where the key is refused it is asked seldom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind, RestrictionKind, RestrictionLifted, RestrictionPlaced
from kalshi_daemon.shell.account_reader import AccountReader
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.units import Milliseconds

POLLED: Final = RestrictionKind.PRIVATE_POLLED
RETURNED: Final = "streamed again; what the stream missed is being read"


class AccountPoller:
    def __init__(
        self,
        reader: AccountReader,
        ledger: LedgerView,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
        *,
        streamed: Callable[[], bool],
        why: Callable[[], str],
    ) -> None:
        """`why`: why the account is not streamed."""
        self.counts = Counter(reads=0, failed=0, outages=0)
        self.detail = ""  # why the last read failed
        self.active = False  # from before the restriction is placed until it has been lifted
        self._reader = reader
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._streamed = streamed
        self._why = why
        self._read_s = float("-inf")  # when the last read that was folded began
        self._doubted_ms: Milliseconds = 0  # the last time, by the exchange's clock

    @property
    def fresh(self) -> bool:
        """Whether the account is read in the stream's stead, within its limit."""
        restricted = any(each.kind is POLLED for each in self._ledger.restrictions)
        return restricted and trio.current_time() - self._read_s < limits.PRIVATE_AGE_MAX_S

    def doubted(self) -> None:
        """Something was not told: what is read as of now or earlier does not show it."""
        self._doubted_ms = self._clock.exchange_now_ms()

    async def run(self) -> None:
        """Never returns. Started again after a crash it goes on with the outage that it was in."""
        while True:
            if not self.active:
                await self._until_away()
                self.active = True
                self.counts["outages"] += 1
            await self._bridge()
            await self._settle(RestrictionLifted(self._clock.now_ms(), POLLED, "what the stream missed was read"))
            self.active = False

    async def _until_away(self) -> None:
        away_s = trio.current_time()
        while trio.current_time() - away_s < limits.PRIVATE_AWAY_S:
            await trio.sleep(limits.LEVEL_CHECK_S)
            if self._streamed():
                away_s = trio.current_time()

    async def _bridge(self) -> None:
        """Read, until the account is streamed, was read since, and is agreed."""
        cause = ""
        while True:
            streamed = self._streamed()
            if not cause or streamed is not (cause == RETURNED):
                cause = RETURNED if streamed else self._why()
                # behind the doubt that a return has posted, so that this is folded now
                await self._settle(RestrictionPlaced(self._clock.now_ms(), POLLED, cause))
            begun_s = trio.current_time()
            as_of_ms = await self._read(begun_s)
            whole = as_of_ms >= self._doubted_ms + limits.AS_OF_GRAIN_MS
            if whole and cause == RETURNED and self._streamed() and self._ledger.account_agreed:
                return
            await self._wait(begun_s, streamed=streamed)

    async def _read(self, begun_s: float) -> Milliseconds:
        """As of when it was; 0 where there was none."""
        try:
            as_of_ms = await self._reader.read_orders_and_fills()
        except (ExchangeError, Unreachable) as error:
            self.counts["failed"] += 1
            self.detail = str(error)
            return 0
        self.counts["reads"] += 1
        self.detail = ""
        self._read_s = begun_s
        return as_of_ms

    async def _wait(self, begun_s: float, *, streamed: bool) -> None:
        """Until the next read is due, or the stream has come or gone."""
        pace_s = limits.PRIVATE_BACK_POLL_S if streamed else limits.PRIVATE_POLL_S
        if self._ledger.find_hold(HoldKind.ACCESS) is not None:
            pace_s = limits.HELD_SYNC_S
        await trio.sleep(limits.LEVEL_CHECK_S)
        while trio.current_time() < begun_s + pace_s and self._streamed() is streamed:  # noqa: ASYNC110 - a level
            await trio.sleep(limits.LEVEL_CHECK_S)
