"""What keeps the account from trading, as facts make it: holds, restrictions, doubt, and the groups that stop orders.

The ledger's own handlers end here when something cannot be. Rules: a divergence is counted, held and doubted, all
three; a group of orders that was triggered holds whatever other guard is lifted.
"""

from __future__ import annotations

from kalshi_daemon import facts
from kalshi_daemon.core.changes import AgreementChanged, Change, Diverged, HoldsChanged, RestrictionsChanged
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_groups import hold_for
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.limits import CANCEL_ALL_LASTS_MS, REQUEST_LIFE_MS
from kalshi_daemon.units import Milliseconds


class LedgerHolds(LedgerView):
    """The part of the ledger that says no."""

    def _agree(self, changes: list[Change], *, agreed: bool) -> None:
        self.doubts += not agreed
        if self.account_agreed is not agreed:
            self.account_agreed = agreed
            changes.append(AgreementChanged(agreed))

    def _place(self, fact: facts.HoldPlaced, changes: list[Change]) -> None:
        if self._holds.place(fact):
            changes.append(HoldsChanged(fact.hold, fact.subject, placed=True))

    def _lift(self, fact: facts.HoldLifted, changes: list[Change]) -> None:
        if not self._holds.lift(fact):
            return
        changes.append(HoldsChanged(fact.hold, fact.subject, placed=False))
        if fact.hold is facts.HoldKind.GUARD and not fact.subject:
            self._hold_for_groups(fact.at_ms, changes)  # another guard's time was over; the groups' never is
        if fact.hold is facts.HoldKind.FOREIGN:
            self._accepted.update(record.order_id for record in self.live() if not record.ours)
            self._strange = {market: None for market in self._strange if market in self._accepted}

    def _cancelling_all(self, fact: facts.CancelAllSent, _changes: list[Change]) -> None:
        """Without an answer it may arrive as long as its signature is taken."""
        self.cancelled_all_ms = fact.at_ms
        self.orders_from_ms = fact.ts_ms + REQUEST_LIFE_MS + CANCEL_ALL_LASTS_MS

    def _cancelled_all(self, fact: facts.CancelAllEnded, _changes: list[Change]) -> None:
        if fact.answered:
            self.orders_from_ms = fact.ts_ms + CANCEL_ALL_LASTS_MS

    def _group_told(self, fact: facts.OrderGroupTold, changes: list[Change]) -> None:
        if self._groups.told(fact) is not None:
            self._hold_for_groups(fact.at_ms, changes)

    def _hold_for_groups(self, at_ms: Milliseconds, changes: list[Change]) -> None:
        for group in self._groups.triggered:
            self._place(hold_for(group, at_ms), changes)

    def _restrict(self, fact: facts.RestrictionPlaced, changes: list[Change]) -> None:
        if self._holds.restrict(fact):
            changes.append(RestrictionsChanged(fact.restriction, placed=True))

    def _release(self, fact: facts.RestrictionLifted, changes: list[Change]) -> None:
        if self._holds.release(fact.restriction):
            changes.append(RestrictionsChanged(fact.restriction, placed=False))

    def _diverge(self, at_ms: Milliseconds, subject: str, text: str, changes: list[Change]) -> None:
        self._count("divergences")
        changes.append(Diverged(subject, text))
        self._place(hold(facts.HoldKind.DIVERGENCE, text, at_ms), changes)
        self._agree(changes, agreed=False)

    def _count(self, what: str) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1

    def _hold_foreign(self, record: OrderRecord, at_ms: Milliseconds, changes: list[Change]) -> None:
        """Somebody else's order that can still be filled pauses us, until a person has let it be."""
        if record.ours or record.final or record.order_id in self._accepted or self.find_hold(facts.HoldKind.FOREIGN):
            return
        cause = f"order {record.order_id} on {record.spec.market} is not ours"
        self._place(hold(facts.HoldKind.FOREIGN, cause, at_ms), changes)
