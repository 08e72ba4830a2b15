"""What becomes of figures that differ and stay: journaled with their likely cause, corrected where they explain
themselves, held otherwise, and corrected by a person's word.

Rules:
- Each figure that comes to differ is one `DriftSeen`, with both values; the same figures again are none.
- A correction is a fact that is added to what was counted; nothing that was booked is changed.
- A person's word is for the figures that were held. When they are others by then, it is refused, and so it is while
  the account moves or the exact difference is not known.
- The hold goes by two audits that agree, as always: a correction proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kalshi_daemon import limits
from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.drift import corrections, is_restated, is_transfer, likely_cause
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.errors import CommandRefused
from kalshi_daemon.facts import (
    AccountDiffers,
    AccountFact,
    CashCorrected,
    DriftCause,
    DriftSeen,
    FeesRestated,
    HoldKind,
    SettlementRestated,
    SettlementSeen,
)
from kalshi_daemon.shell.clock import Clock


class DriftKeeper:
    def __init__(self, ledger: LedgerView, clock: Clock, settle: Callable[[AccountFact], Awaitable[None]]) -> None:
        self.held_for: tuple[Difference, ...] = ()  # the figures of the last hold,
        self._held_times = 0  # and how often in a row they were the same
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    @property
    def stuck(self) -> bool:
        """The same figures differ round after round: looking more often does not help."""
        return self._held_times >= limits.DIVERGENCES_MAX

    def forget(self) -> None:
        """The account agrees, or was corrected: what comes now is news."""
        self.held_for, self._held_times = (), 0

    async def hold(self, found: tuple[Difference, ...]) -> None:
        await self._see(found)
        self._held_times = self._held_times + 1 if found == self.held_for else 1
        self.held_for = found
        now_ms = self._clock.now_ms()
        texts = tuple(each.text for each in found)
        await self._settle(AccountDiffers(now_ms, texts))
        await self._settle(hold(HoldKind.DIVERGENCE, "; ".join(texts), now_ms))

    async def corrected(
        self, found: tuple[Difference, ...], fees: tuple[FeesRestated, ...], paid: tuple[SettlementSeen, ...]
    ) -> bool:
        """Whether the figures explained themselves, and were corrected. `fees`: what is charged otherwise than told;
        `paid`: settlements that are listed with another payout than was booked.
        """
        charged = [(each.exchange_index, -each.change) for each in fees]
        repaid = [(each.exchange_index, self._ledger.payout_change(each)) for each in paid]
        now_ms = self._clock.now_ms()
        if is_restated(found, charged):
            shards = {int(each.subject) for each in found}
            facts: list[AccountFact] = [each for each in fees if each.exchange_index in shards]
            await self._correct(found, facts, DriftCause.RESTATED_FEE)
        elif is_restated(found, repaid):
            shards = {int(each.subject) for each in found}
            facts = [SettlementRestated(now_ms, each) for each in paid if each.exchange_index in shards]
            await self._correct(found, facts, DriftCause.RESTATED_SETTLEMENT)
        elif is_transfer(found):
            facts = []
            for each in found:
                assert each.change is not None, "a transfer is known exactly"
                facts.append(CashCorrected(now_ms, int(each.subject), each.change, "a transfer between shards"))
            await self._correct(found, facts, DriftCause.TRANSFER)
        else:
            return False
        return True

    async def _correct(self, found: tuple[Difference, ...], facts: list[AccountFact], cause: DriftCause) -> None:
        await self._see(found, cause)
        for fact in facts:
            await self._settle(fact)
        self.forget()

    async def accept(self, found: tuple[Difference, ...], unsettled: tuple[str, ...], by: str) -> str:
        """What a person accepted, as it was found just now. Raises CommandRefused."""
        if not found and not unsettled:
            return "nothing differs now: two audits that agree lift the hold"
        if unsettled:
            raise CommandRefused(
                f"not everything can be compared now ({'; '.join(unsettled)}): say it again in a minute"
            )
        texts = "; ".join(each.text for each in found)
        if found != self.held_for:
            raise CommandRefused(f"what differs now was not held before ({texts}): see `why`, then say it again")
        made = corrections(found, self._clock.now_ms(), by)
        if made is None:
            raise CommandRefused(
                f"by how much is not known while orders rest ({texts}): cancel them, then say it again"
            )
        for fact in made:
            await self._settle(fact)
        self.forget()
        return f"the exchange's figures are taken ({texts}); two audits that agree lift the hold"

    async def tell(self, difference: Difference) -> None:
        """Journals one figure with both values; it is neither held nor corrected."""
        await self._journal(difference, likely_cause(difference, (difference,)))

    async def _see(self, found: tuple[Difference, ...], cause: DriftCause | None = None) -> None:
        """`cause`: what it is known to be; else the likely one of each."""
        for each in found:
            if each not in self.held_for:
                await self._journal(each, cause or likely_cause(each, found))

    async def _journal(self, each: Difference, cause: DriftCause) -> None:
        await self._settle(DriftSeen(self._clock.now_ms(), each.what, each.subject, each.ours, each.theirs, cause))
