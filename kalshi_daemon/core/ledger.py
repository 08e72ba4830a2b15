"""The state of the account: a fold over account facts.

Rules:
- `apply` is the only thing that changes it. It is deterministic and total: late, repeated, early, foreign and
  contradictory facts each have an answer, and it never raises for what the world sends. The same facts from empty
  give the same `snapshot`.
- Idempotent by id: trades, settlements (one a market), intents, runs. A repetition changes counters only.
- Money is right when a fill is seen; whose fill it was may be learnt later.
- What cannot be places the divergence hold inside the fold and leaves the account in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kalshi_daemon import facts
from kalshi_daemon.core.changes import (
    Change,
    FillBooked,
    FillsWanted,
    HoldsChanged,
    Noticed,
    OrderMoved,
    OrderRestated,
    PositionSettled,
    RestrictionsChanged,
    SweepWanted,
)
from kalshi_daemon.core.fill_processor import Hearing
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger_carried import LedgerCarried
from kalshi_daemon.core.ledger_view import FIGURES, PREFIX, SOURCES
from kalshi_daemon.core.order_inputs import is_known_reason
from kalshi_daemon.core.order_record import RESTING, OrderRecord
from kalshi_daemon.core.order_tracker import Told
from kalshi_daemon.core.payouts import surprise_of
from kalshi_daemon.core.session_figures import Execution, SessionFigures
from kalshi_daemon.limits import RECENT_MAX
from kalshi_daemon.units import Milliseconds, TimeInForce, contracts, dollars
from statecharts.order import UNK

__all__ = ["Change", "Ledger", "OrderRecord"]


class Ledger(LedgerCarried):
    """One account, folded."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: dict[type[Any], Callable[[Any, list[Change]], None]] = {
            facts.RunStarted: self._run_started,
            facts.OrderIntended: self._intended,
            facts.AmendIntended: self._amend_intended,
            facts.OrderSeen: self._seen,
            facts.FillSeen: self._fill_seen,
            facts.SettlementSeen: self._settled_by,
            facts.AccountOpened: self._account_opened,
            facts.AccountCarried: self._account_carried,
            facts.AccountNamed: self._account_named,
            facts.AccountAgreed: self._account_agreed,
            facts.AccountDiffers: lambda _, changes: self._agree(changes, agreed=False),
            facts.AccountDoubted: lambda _, changes: self._agree(changes, agreed=False),
            facts.BalanceReadingLearned: self._reading_learned,
            facts.DayOpened: self._day_opened,
            facts.CashCorrected: self._cash_corrected,
            facts.FeesRestated: lambda fact, _: self._fees_are_others(fact),
            facts.SettlementRestated: self._settled_again,
            facts.DriftSeen: lambda fact, _: self._drifted(fact),
            facts.PositionCorrected: lambda fact, _: self._positions.correct(fact),
            facts.ForeignAdopted: self._adopted,
            facts.ForeignIgnored: lambda fact, _: self._accepted.update((*fact.orders, *fact.markets)),
            facts.HoldPlaced: self._place,
            facts.HoldLifted: self._lift,
            facts.RestrictionPlaced: self._restrict,
            facts.RestrictionLifted: self._release,
            facts.CancelAllSent: self._cancelling_all,
            facts.CancelAllEnded: self._cancelled_all,
            facts.OrderGroupMade: lambda fact, _: self._groups.made(fact),
            facts.OrderGroupTold: self._group_told,
            facts.SweepVerified: lambda fact, _: self._holds.swept(fact),
        }
        # kept for people; nothing follows from them here
        told = (facts.SweepUnverified, facts.StateChanged, facts.OperatorSpoke, facts.Alarmed, facts.ModelReplaced)
        self._handlers |= dict.fromkeys(told, lambda _fact, _changes: None)

    def apply(self, fact: facts.AccountFact) -> tuple[Change, ...]:
        """Folds one fact and says what it changed."""
        changes: list[Change] = []
        self.version += 1
        self._handlers.get(type(fact), self._order_told)(fact, changes)
        return tuple(changes)

    def _run_started(self, fact: facts.RunStarted, changes: list[Change]) -> None:
        if fact.run_id in self._runs:
            self._count("repeated_runs")
            return
        self._runs[fact.run_id] = None
        self.run_id, self.next_number = fact.run_id, 1
        self._accepted.clear()
        for record in self._orders.open_orders():
            told = self._orders.restart(record, fact.at_ms)
            if told.record.state != told.before:
                changes.append(OrderMoved(told.before, told.record))
        released = self._holds.restrictions
        changes.extend(HoldsChanged(each.kind, each.subject, placed=False) for each in self._holds.restart(fact.at_ms))
        changes.extend(RestrictionsChanged(each.kind, placed=False) for each in released)
        self.session = SessionFigures(fact.at_ms, self._cash.settled_total, self._positions.cost)
        self._agree(changes, agreed=False)

    def _account_opened(self, fact: facts.AccountOpened, _changes: list[Change]) -> None:
        if self.opened:
            self._count("repeated_openings")
            return
        self.opened, self.opened_ms, self.opening = True, fact.at_ms, fact.settled
        self._cash.open(fact.settled)
        self.figures_known = fact.before is not None
        for each in fact.before or ():
            self._fees_before[each.market] = each.fees
            for source in SOURCES:
                self._figures[each.market, "realised", source] = each.realised
                self._figures[each.market, "fees", source] = each.fees
        self._positions.open(fact.positions)
        # a fill that was told before is in the opening, or is found to be missing from it
        self.session = SessionFigures(self.session.started_ms, self._cash.settled_total, self._positions.cost)
        self.executions = ()
        self._strange.update((each.market, None) for each in fact.positions if each.count)

    def _cash_corrected(self, fact: facts.CashCorrected, _changes: list[Change]) -> None:
        self._cash.move(fact.exchange_index, fact.change)
        self.session = self.session.corrected(fact.change)

    def _fees_are_others(self, fact: facts.FeesRestated) -> None:
        """Whose fill it was is not known. What was told of this market's fees before is corrected with it."""
        self._cash.move(fact.exchange_index, -fact.change)
        self._positions.restate_fees(fact.market, fact.change)
        self.session = self.session.charged(fact.change)
        for source in SOURCES:
            self._figures[fact.market, "fees", source] = self._fees_before.get(fact.market, 0)

    def _drifted(self, fact: facts.DriftSeen) -> None:
        """A figure of a position that was told is what later ones are compared with. Cash and counts are corrected by
        other facts, or never.
        """
        base = self.figure_base(fact.subject, fact.what, fact.source) if fact.what in FIGURES else None
        if base is not None:
            self._figures[fact.subject, fact.what, fact.source] = base + fact.theirs - fact.ours

    def _account_named(self, fact: facts.AccountNamed, _changes: list[Change]) -> None:
        self.environment = self.environment or fact.environment
        self.account_keys[fact.key] = None

    def _account_agreed(self, fact: facts.AccountAgreed, changes: list[Change]) -> None:
        if fact.doubts not in (None, self.doubts):
            self._count("overtaken_agreements")
            return
        self.agreed_ms = fact.as_of_ms
        self._agree(changes, agreed=True)

    def _reading_learned(self, fact: facts.BalanceReadingLearned, _changes: list[Change]) -> None:
        self.readings = fact.readings

    def _day_opened(self, fact: facts.DayOpened, _changes: list[Change]) -> None:
        if fact.day <= self.day:
            self._count("repeated_days")
            return
        self.day, self.bankroll = fact.day, fact.bankroll

    # -------------------------------------------------------------------------------------------------------- orders

    def _intended(self, fact: facts.OrderIntended, changes: list[Change]) -> None:
        record = self._orders.intend(fact)
        if record is None:
            self._count("repeated_intents")
            return
        if fact.client_order_id == self.client_order_id(fact.number):
            self.next_number = max(self.next_number, fact.number + 1)
        changes.append(OrderMoved("", record))

    def _amend_intended(self, fact: facts.AmendIntended, changes: list[Change]) -> None:
        record = self._orders.intend_amend(fact)
        if record is None:
            self._count("repeated_intents")
        else:
            changes.append(OrderRestated(record))

    def _order_told(self, fact: facts.OrderFact, changes: list[Change]) -> None:
        """An answer to an order or a cancel of ours, or the proof that it is nowhere."""
        record = self.orders.get(fact.client_order_id)
        if record is None:
            self._count("orphans")
            text = f"{type(fact).__name__} of {fact.client_order_id}, which has no intent"
            self._diverge(fact.at_ms, fact.client_order_id, text, changes)
            return
        self._answered(self._orders.answer(record, fact), fact, changes)

    def _seen(self, fact: facts.OrderSeen, changes: list[Change]) -> None:
        if not is_known_reason(fact):
            self._count("unread_reasons")
            changes.append(Noticed("unread_reason", f"order {fact.order_id} was cancelled by {fact.reason!r}"))
        self._orders.seen(fact)
        record = self._orders.by_order_id(fact.order_id)
        if record is None and self._number(fact.client_order_id) is not None:
            record = self.orders.get(fact.client_order_id)
        if record is None and fact.updated_ms <= self.orders_before.get(fact.order_id, -1):
            self._count("older_facts")  # it was over before this journal began
            return
        if record is None:
            self._met(fact, changes)
            return
        told = self._orders.answer(record, fact)
        self._answered(told, fact, changes)
        if not told.record.ours:
            self._hold_foreign(told.record, fact.at_ms, changes)
        elif fact.filled > told.record.filled and (fact.source == "read" or told.record.state == UNK):
            # also when the rest of the fact was too old: what was filled stays filled
            changes.append(FillsWanted(fact.order_id))

    def _met(self, fact: facts.OrderSeen, changes: list[Change]) -> None:
        """An order without a record: of an earlier run of ours, or not ours."""
        number = self._number(fact.client_order_id)
        if number is None and not fact.client_order_id and self._orders.awaits(fact.market, fact.side):
            self._count("ambiguous_orders")  # perhaps the one whose answer is awaited; the next look will name it
            return
        if number is None and fact.status != "resting":
            self._count("foreign_past")  # over, and not ours: its fills, if any are news, speak for themselves
            return
        record = self._orders.meet(fact, number)
        changes.append(OrderMoved("", record))
        self._count("orders_met" if record.ours else "foreign_orders")
        self._attribute_held(fact.order_id, fact.at_ms, changes)
        self._hold_foreign(record, fact.at_ms, changes)

    def _answered(self, told: Told, fact: facts.OrderFact, changes: list[Change]) -> None:
        """What an order's step means for the account."""
        self._moved(told, fact.at_ms, changes)
        if told.note:
            self._count(told.note)
        if told.restated:
            self._count("orders_restated")
            changes += [OrderRestated(told.record), Noticed("order_restated", told.restated)]
        if told.record.order_id:
            self._attribute_held(told.record.order_id, fact.at_ms, changes)
            if self._fills.dropped_count and told.record.claimed > self.orders[told.record.client_order_id].filled:
                changes.append(FillsWanted(told.record.order_id))
        if self._fills.held_count:
            self._judge_held(fact.at_ms, changes)

    def _moved(self, told: Told, at_ms: Milliseconds, changes: list[Change]) -> None:
        record = told.record
        if record.state != told.before:
            changes.append(OrderMoved(told.before, record))
            if record.ours and told.before not in RESTING:
                self._sweep_what_rests(record, changes)
        if told.diverged:
            self._diverge(at_ms, record.client_order_id, told.diverged, changes)

    def _sweep_what_rests(self, record: OrderRecord, changes: list[Change]) -> None:
        # an immediate order may be shown open for a moment, and never rests
        stays = record.rests and record.spec.time_in_force is TimeInForce.GOOD_TILL_CANCELED
        if stays and self._holds.rested(reduces=record.spec.reduce_only):
            changes.append(SweepWanted(self._holds.sweep_scope))

    def _number(self, client_order_id: str) -> int | None:
        """The intent's number in an id of ours, from any run whose facts were folded; None for all other ids."""
        prefix, _, rest = client_order_id.partition("-")
        run_id, _, number = rest.rpartition("-")
        ours = prefix == PREFIX and run_id in self._runs and number.isascii() and number.isdecimal()
        return int(number) if ours else None

    # --------------------------------------------------------------------------------------------------------- fills

    def _fill_seen(self, fact: facts.FillSeen, changes: list[Change]) -> None:
        record = self._orders.by_order_id(fact.order_id)
        if record is None and self._number(fact.client_order_id) is not None:
            record = self.orders.get(fact.client_order_id)
        heard = self._fills.hear(fact)
        if heard is Hearing.CONTRADICTS:
            # the figures that came first stay booked: which of the two is right only the exchange's account can say
            self._count("contradicted_fills")
            text = f"fill {fact.trade_id} of {fact.market} was told before with other figures"
            self._diverge(fact.at_ms, fact.trade_id, text, changes)
        elif heard is Hearing.NEW:
            self._fill_is_new(fact, record, changes)
        elif heard is Hearing.UNATTRIBUTED and record is not None:
            self._fills.found(fact.trade_id)
            self._attribute(record, fact, fact.at_ms, changes)
        elif heard is Hearing.UNATTRIBUTED and self._is_foreign(fact):
            self._fills.found(fact.trade_id)
            self._foreign_fill(fact, fact.at_ms, changes)
        else:
            self._count("repeated_fills")

    def _fill_is_new(self, fact: facts.FillSeen, record: OrderRecord | None, changes: list[Change]) -> None:
        """Its money is booked whatever its order is: it moved at the exchange, and that is what the account shows."""
        if (record is None or not record.asked_here) and self.opened and fact.ts_ms < self.opened_ms:
            self._count("earlier_fills")  # part of the account as it was opened
            return
        self.fills_booked += 1
        self.last_fill_ms = max(self.last_fill_ms, fact.ts_ms)
        moved = self._positions.book(fact)
        self._cash.move(fact.exchange_index, moved.cash - fact.fee)
        self.session = self.session.filled(moved, fact.fee)
        self.executions = (*self.executions, Execution(fact, moved.realised))[-RECENT_MAX:]
        changes.append(FillBooked(fact, moved.realised, "" if record is None else record.client_order_id))
        if self._positions.is_settled(fact.market):
            self._count("late_fills")
        if not moved.in_order:
            self._count("fills_out_of_order")
        if record is not None:
            self._attribute(record, fact, fact.at_ms, changes)
            self._attribute_held(fact.order_id, fact.at_ms, changes)
        elif self._is_foreign(fact):
            self._foreign_fill(fact, fact.at_ms, changes)
        elif self._fills.hold(fact) is not None:
            self._count("fills_unattributed")
            changes.append(Noticed("fills_held", "more fills wait for their order than are kept; reads tell the rest"))

    def _attribute(self, record: OrderRecord, fill: facts.FillSeen, at_ms: Milliseconds, changes: list[Change]) -> None:
        if self._groups.filled(record, fill) is not None:
            self._hold_for_groups(at_ms, changes)
        told = self._orders.fill(record, fill)
        if told.note:
            self._count(told.note)
        self._moved(told, at_ms, changes)
        if not record.ours:
            self._foreign_fill(fill, at_ms, changes)

    def _attribute_held(self, order_id: str, at_ms: Milliseconds, changes: list[Change]) -> None:
        for fill in self._fills.take(order_id):
            record = self._orders.by_order_id(order_id)
            assert record is not None, "fills are taken for an order that is known"
            self._attribute(record, fill, at_ms, changes)

    def _judge_held(self, at_ms: Milliseconds, changes: list[Change]) -> None:
        """Fills that waited for an order of ours, when none that could be theirs is left."""
        for fill in self._fills.waiting():
            if self._is_foreign(fill):
                self._fills.take(fill.order_id)
                self._foreign_fill(fill, at_ms, changes)

    def _is_foreign(self, fill: facts.FillSeen) -> bool:
        if fill.client_order_id:
            return self._number(fill.client_order_id) is None
        return not self._orders.awaits(fill.market, fill.side)

    def _foreign_fill(self, fill: facts.FillSeen, at_ms: Milliseconds, changes: list[Change]) -> None:
        self._count("foreign_fills")
        if fill.order_id not in self._accepted:
            self._strange[fill.market] = None
            self._accepted.discard(fill.market)
            cause = f"a fill of {contracts(fill.count)} on {fill.market}, order {fill.order_id}, is not ours"
            self._place(hold(facts.HoldKind.FOREIGN, cause, at_ms), changes)

    def _adopted(self, fact: facts.ForeignAdopted, changes: list[Change]) -> None:
        for record in self._orders.adopt(fact.orders):
            changes.append(OrderRestated(record))
            self._sweep_what_rests(record, changes)
        for market in fact.markets:
            self._strange.pop(market, None)

    def _settled_by(self, fact: facts.SettlementSeen, changes: list[Change]) -> None:
        ours = self._positions.count(fact.market)
        before_us = self.opened and fact.ts_ms < self.opened_ms and not ours
        settled = None if before_us else self._positions.settle(fact)
        if settled is None:
            self._count("earlier_settlements" if before_us else "repeated_settlements")
            return
        self.settlements_booked += 1
        self._cash.move(fact.exchange_index, settled.cash)
        self.session = self.session.settled(settled)
        changes.append(PositionSettled(fact.market, settled.realised))
        if surprise := surprise_of(fact, ours):
            self._count("settlement_surprises")
            changes.append(Noticed("settlement", f"{fact.market}: {surprise}"))

    def _settled_again(self, fact: facts.SettlementRestated, changes: list[Change]) -> None:
        paid = fact.settlement
        settled = self._positions.settle_again(paid)
        if settled is None:
            return
        self._count("settlements_restated")
        self._cash.move(paid.exchange_index, settled.cash)
        self.session = self.session.settled_again(settled)
        before = dollars(paid.revenue - settled.cash)
        changes.append(
            Noticed("settlement", f"{paid.market}: {dollars(paid.revenue)} paid, and not {before} as before")
        )
