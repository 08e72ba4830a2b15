"""What follows from a fact: the ledger's changes in, commands out.

Rules: no state of its own; nothing is read but the ledger as it is after the fact. Replay folds and never asks
here, so a command is given once. A poke carries no news: the chart's guard reads the level.
"""

from __future__ import annotations

from kalshi_daemon.commands import AmendOrder, CancelOrder, Command, FetchFills, PlaceOrder, Poke, RaiseAlarm
from kalshi_daemon.core.changes import (
    Change,
    Diverged,
    FillsWanted,
    HoldsChanged,
    Noticed,
    OrderMoved,
    OrderRestated,
    RestrictionsChanged,
    SweepWanted,
)
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.facts import AccountFact, OrderIntended
from statecharts.order import CAN


class OrderManager:
    """Decides, after each fact that was folded and made durable."""

    def decide(self, ledger: LedgerView, fact: AccountFact, changes: tuple[Change, ...]) -> list[Command]:
        """The commands of one fact, in the order of its changes."""
        commands: list[Command] = []
        for change in changes:
            commands.extend(self._of_change(ledger, change))
        if isinstance(fact, OrderIntended) and changes:  # without a change it was told before, and sent before
            commands.append(PlaceOrder(fact.client_order_id, fact.spec))
        return commands

    def _of_change(self, ledger: LedgerView, change: Change) -> list[Command]:
        commands: list[Command] = []
        match change:
            case HoldsChanged(placed=True) | SweepWanted():
                commands = [Poke("hold_placed")]
            case HoldsChanged():
                commands = [Poke("holds_lifted")]
            case RestrictionsChanged(placed=True):
                commands = [Poke("restriction_placed"), *self._cancels_of_increases(ledger, ledger.live())]
            case RestrictionsChanged():
                commands = [Poke("restrictions_lifted")]
            case OrderMoved(before=before, record=record) if before != CAN:
                # not from CAN: an order whose cancel was refused, cancelled again at once, would be a loop at the speed
                # of the network
                commands = list(self._cancels_of_increases(ledger, [record]))
            case OrderRestated(record=record) if record.amend is not None:
                commands = [AmendOrder(record.client_order_id, record.order_id, record.spec, record.amend.spec)]
            case FillsWanted(order_id=order_id):
                commands = [FetchFills(order_id, "the exchange counts fills that are not here")]
            case Diverged(text=text):
                commands = [RaiseAlarm("divergence", text)]
            case Noticed(alarm=alarm, text=text):
                commands = [RaiseAlarm(alarm, text)]
        return commands

    @staticmethod
    def _cancels_of_increases(ledger: LedgerView, records: list[OrderRecord]) -> list[CancelOrder]:
        """Under a restriction what rests and increases goes; under a hold the sweep sees to it, and proves it."""
        if not ledger.restricted or ledger.held:
            return []
        cause = ", ".join(each.kind.value for each in ledger.restrictions)
        return [
            CancelOrder(
                client_order_id=each.client_order_id,
                order_id=each.order_id,
                market=each.spec.market,
                exchange_index=each.spec.exchange_index,
                cause=cause,
            )
            for each in records
            if each.ours and each.rests and each.order_id and not each.spec.reduce_only
        ]
