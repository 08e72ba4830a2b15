"""Asks the exchange for the whole truth once and holds it against the ledger; the trading state is entered by its word.

One phase: every read side by side, missed facts folded, then cash, positions and orders compared. A difference is
looked at again after some quiet, since reads lag events; what stays is journaled and held by divergence, never
explained away. The first calibration of a journal opens the account: it takes the exchange's figures as what every
later fact is added to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountDiffers,
    AccountFact,
    AccountOpened,
    HoldKind,
    PositionOpening,
)
from kalshi_daemon.shell.account_reader import AccountRead, AccountReader
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.units import PRICE_ONE, BookSide, Milliseconds, Money, Ticker, contracts, dollars


@frozen
class Comparison:
    """One look: what differs though nothing moved for a while, and what cannot be judged yet."""

    differences: tuple[str, ...]
    unsettled: tuple[str, ...]

    @property
    def agreed(self) -> bool:
        return not self.differences and not self.unsettled


class CalibrationService:
    def __init__(
        self,
        reader: AccountReader,
        ledger: Ledger,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self.detail = ""
        self.rounds = 0
        self.agreements = 0
        self.foreign_positions: tuple[Ticker, ...] = ()  # there before this journal began, until a person adopts them
        self._moved_ms: dict[Ticker, Milliseconds] = {}  # when a position last changed, as far as this process saw it
        self._reader = reader
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    async def calibrate(self) -> str:
        """`agreed`, `incomplete` (a read was not to be had, or the account did not come to rest) or `differs`.

        For `differs` the hold is placed first: the same difference was seen twice, with quiet before both.
        """
        seen: tuple[str, ...] = ()
        for _ in range(limits.CALIBRATION_ROUNDS_MAX):
            try:
                compared = await self.compare()
            except* (ExchangeError, Unreachable) as errors:
                self.detail = str(errors.exceptions[0])
                compared = None
            if compared is None:
                return "incomplete"
            if compared.agreed:
                self.detail = ""
                return "agreed"
            if compared.differences and compared.differences == seen:
                await self._hold(seen)
                return "differs"
            seen = compared.differences
            self.detail = "; ".join((*compared.differences, *compared.unsettled))
            await trio.sleep(limits.CALIBRATION_QUIET_S)
        return "incomplete"

    async def compare(self) -> Comparison:
        """One round; where everything agrees, the agreement is settled in it. Raises a group of what a read may
        raise.
        """
        self.rounds += 1
        read = await self._reader.read()
        if not self._ledger.opened:
            await self._open(read)
        await self._reader.fold(read.fills, read.orders, read.settlements, read.as_of_ms)
        compared = self._weigh(read)
        if compared.agreed:
            self.agreements += 1
            cash, resting = read.balance.by_shard, len(self._ledger.live())
            await self._settle(AccountAgreed(self._clock.now_ms(), cash, len(read.positions), resting))
        return compared

    def moved(self, market: Ticker, ts_ms: Milliseconds) -> None:
        """A fill or a settlement was booked: for a while reads of this market, and of cash, may be older than the
        ledger.
        """
        self._moved_ms[market] = max(ts_ms, self._moved_ms.get(market, 0))

    def _weigh(self, read: AccountRead) -> Comparison:
        differences: list[str] = []
        unsettled: list[str] = []
        calm = self._quiet(max(self._moved_ms.values(), default=0))
        for text in self._cash(read):
            (differences if calm else unsettled).append(text)
        for market, text in self._positions(read):
            (differences if self._quiet(self._moved_ms.get(market, 0)) else unsettled).append(text)
        unsettled += self._unknown()
        return Comparison(tuple(differences), tuple(unsettled))

    def _quiet(self, stamp_ms: Milliseconds) -> bool:
        """Nothing happened for so long that the exchange's read models must have caught up."""
        return self._clock.exchange_now_ms() - stamp_ms >= limits.QUIET_MS

    async def _hold(self, differences: tuple[str, ...]) -> None:
        now_ms = self._clock.now_ms()
        await self._settle(AccountDiffers(now_ms, differences))
        await self._settle(hold(HoldKind.DIVERGENCE, "; ".join(differences), now_ms))

    async def _open(self, read: AccountRead) -> None:
        now_ms = self._clock.exchange_now_ms()
        openings = tuple(
            PositionOpening(position.market, position.count, position.cost, position.fees)
            for position in read.positions
            if position.count
        )
        await self._settle(AccountOpened(now_ms, read.balance.by_shard, openings))
        self.foreign_positions = tuple(opening.market for opening in openings)
        if openings:
            cause = f"{len(openings)} positions were there before this journal began"
            await self._settle(hold(HoldKind.FOREIGN, cause, now_ms))

    def _cash(self, read: AccountRead) -> list[str]:
        """Shard by shard. Whether the balance leaves out the collateral of resting orders is not documented: both
        agree.
        """
        found = []
        for shard, theirs in read.balance.by_shard:
            ours = self._ledger.settled(shard)
            if theirs in (ours, ours - self._collateral(shard)):
                continue
            found.append(f"cash of shard {shard}: we count {dollars(ours)}, the exchange says {dollars(theirs)}")
        return found

    def _collateral(self, shard: int) -> Money:
        total = 0
        for record in self._ledger.live():
            spec = record.spec
            if spec.exchange_index == shard and not spec.reduce_only and record.order_id:
                price = spec.price if spec.side is BookSide.BID else PRICE_ONE - spec.price
                total += price * (spec.count - record.filled)
        return total

    def _positions(self, read: AccountRead) -> list[tuple[Ticker, str]]:
        theirs = {position.market: position.count for position in read.positions}
        ours = {market: position.count for market, position in self._ledger.positions.items()}
        return [
            (market, f"position in {market}: we count {contracts(mine)}, the exchange says {contracts(its)}")
            for market in sorted(theirs.keys() | ours.keys())
            if (mine := ours.get(market, 0)) != (its := theirs.get(market, 0))
        ]

    def _unknown(self) -> list[str]:
        """An order whose fate is not known is settled by evidence only, and keeps the account from agreeing until
        then.
        """
        return [
            f"order {order.client_order_id} is unknown" for order in self._ledger.live() if order.state == "unknown"
        ]
