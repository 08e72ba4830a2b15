"""The account from one journal into the next: what is said of it, when it can be, and how it is taken up.

A journal that is put aside ends at rest: nothing of the account is open, and the last comparison with the exchange
agreed. What was doubted since is read again by the next start, as it would be without. Then what later facts need is a
few figures, which the first fact of the next journal holds.

Rules:
- From where the reads after the last agreement begin, what was booked is carried by trade id: what they tell again is
  known, and what they tell first is booked, at the same millisecond too. What is older is in the figures.
- Of orders that are over the last ones' ids are carried, so that a sight of them that lags is no order.
- Not carried: who was let be until the next run; what a run counts.
- Taken up by a ledger that has an account already, the facts change nothing: journals can be folded one after another.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import Factory, define, evolve

from kalshi_daemon import facts
from kalshi_daemon.core.changes import Change
from kalshi_daemon.core.ledger_holds import LedgerHolds
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_groups import RESET, TRIGGERED, OrderGroup
from kalshi_daemon.core.session_figures import Execution, SessionFigures
from kalshi_daemon.facts import AccountAgreed, AccountCarried, AccountDiffers, AccountFact, FillSeen, HoldKind
from kalshi_daemon.limits import ORDERS_ASKED_MAX, RUNS_CARRIED_MAX, TOLD_AGAIN_MS
from kalshi_daemon.units import Milliseconds


@define(eq=False)
class ToldAgain:
    """What the reads after the last agreement may tell again: from when on, and the fills since, as the facts of a
    journal are folded one by one.
    """

    since_ms: Milliseconds = 0
    fills: dict[str, Milliseconds] = Factory(dict)  # trade id -> stamp
    agreed: AccountAgreed | None = None  # what the last comparison with the exchange said; None where it differed

    def saw(self, fact: AccountFact, ledger: LedgerView) -> None:
        """A fact that was just folded."""
        if isinstance(fact, FillSeen):
            self.fills[fact.trade_id] = fact.ts_ms
        elif isinstance(fact, AccountCarried):
            self.since_ms = fact.opened_ms
            self.fills.update((trade_id, ts_ms) for trade_id, ts_ms, _figures in fact.trades)
        elif isinstance(fact, AccountDiffers):
            self.agreed = None
        elif isinstance(fact, AccountAgreed) and ledger.account_agreed and ledger.agreed_ms == fact.as_of_ms:
            self.agreed = fact
            self.since_ms = max(self.since_ms, ledger.opened_ms, fact.as_of_ms - TOLD_AGAIN_MS)
            self.fills = {trade_id: ts_ms for trade_id, ts_ms in self.fills.items() if ts_ms >= self.since_ms}


class LedgerCarried(LedgerHolds):
    """The part of the ledger that comes from the journal before, and goes into the next."""

    def unrest(self) -> str:
        """Why the account cannot be carried now; empty where it can."""
        if not self.opened:
            return "no account was opened in it"
        for record in self.open_orders():
            return f"order {record.client_order_id} on {record.spec.market} is {record.state}"
        if self._fills.owed_count:
            return f"{self._fills.owed_count} fills wait for their order"
        if any(each.kind is HoldKind.DIVERGENCE for each in self.holds):
            return "the account is held by divergence"
        return "" if self.agreed_ms else "it has never agreed with the exchange"

    def carried(
        self, journal: str, events: int, checksum: int, at_ms: Milliseconds, told: ToldAgain
    ) -> list[AccountFact]:
        """The facts with which the journal after `journal` begins; only at rest."""
        assert told.agreed is not None, "an account is carried that has agreed"
        positions, paid = self._positions.carried()
        account = AccountCarried(
            at_ms=at_ms,
            journal=journal,
            events=events,
            checksum=checksum,
            opened_ms=told.since_ms,
            settled=tuple(self.shards.items()),
            below_a_cent=self.below_a_cent,
            positions=positions,
            paid=paid,
            strange=tuple(self._strange),
            figures_known=self.figures_known,
            figures=tuple(facts.FigureCarried(*subject, gap) for subject, gap in self._figures.items()),
            fees_before=tuple(self._fees_before.items()),
            trades=self._fills.carried(told.fills.items()),
            executions=tuple(facts.ExecutionCarried(each.fill, each.realised) for each in self.executions),
            fills_booked=self.fills_booked,
            settlements_booked=self.settlements_booked,
            last_fill_ms=self.last_fill_ms,
            runs=tuple(self._runs)[-RUNS_CARRIED_MAX:],
            orders=tuple(self._last_orders(told.since_ms)),
            increases_ms=self._orders.increases_ms,
            cancelled_all_ms=self.cancelled_all_ms,
            orders_from_ms=self.orders_from_ms,
            counts=tuple(self._counts.items()),
            revenues=self._positions.revenues,
        )
        told_apart: list[AccountFact] = [
            *(facts.AccountNamed(at_ms, self.environment, key) for key in self.account_keys),
            facts.BalanceReadingLearned(at_ms, self.readings),
        ]
        if self.day:
            told_apart.append(facts.DayOpened(at_ms, self.day, self.bankroll))
        told_apart += [
            facts.HoldPlaced(
                each.since_ms, each.kind, each.subject, each.cause, each.cleared_by, each.cancels, each.until_ms
            )
            for each in self.holds
        ]
        for group in self._groups.groups.values():
            told_apart += _group_facts(group, at_ms)
        told_apart.append(evolve(told.agreed, doubts=None))
        if not self.account_agreed:
            told_apart.append(facts.AccountDoubted(at_ms, "the journal before ended in doubt"))
        return [account, *told_apart]

    def _last_orders(self, since_ms: Milliseconds) -> Iterator[tuple[str, Milliseconds]]:
        """Those that a read which lags may still show, and some more, by which the account is known."""
        told = [(each.order_id, each.updated_ms) for each in reversed([*self.orders.values()]) if each.order_id]
        for place, (order_id, updated_ms) in enumerate([*told, *self.orders_before.items()]):
            if updated_ms >= since_ms or place < ORDERS_ASKED_MAX:
                yield order_id, updated_ms

    def account_figures(self) -> dict[str, object]:
        """What has to be the same in the journal after this one, by name."""
        return {
            "cash": (dict(self.shards), self.reserved_total, self.below_a_cent),
            "positions": dict(self.positions),
            "settled markets": (self._positions.carried()[1], self._positions.revenues),
            "fills and settlements": (self.fills_booked, self.settlements_booked, self.last_fill_ms),
            "exchange's figures": (self.figures_known, self._figures, self._fees_before),
            "positions that are not ours": list(self._strange),
            "holds": self.holds,
            "order groups": [evolve(each, matched=()) for each in self._groups.groups.values()],
            "orders": (self.open_orders(), self._orders.increases_ms, self.cancelled_all_ms, self.orders_from_ms),
            "account": (self.environment, list(self.account_keys), self.readings),
            "day": (self.day, self.bankroll),
            "last agreement": (self.account_agreed, self.agreed_ms),
            "executions": self.executions,
            "counts": self._counts,
        }

    def _account_carried(self, fact: AccountCarried, _changes: list[Change]) -> None:
        if self.opened:
            return  # folded on behind the journal before
        self.opened, self.opened_ms, self.opening = True, fact.opened_ms, fact.settled
        self.journal_before = fact.journal
        self._cash.take_up(fact.settled, below_a_cent=fact.below_a_cent)
        self._positions.take_up(fact.positions, fact.paid, fact.revenues)
        self._strange.update((market, None) for market in fact.strange)
        self.figures_known = fact.figures_known
        self._figures.update({(each.market, each.what, each.source): each.gap for each in fact.figures})
        self._fees_before.update(fact.fees_before)
        self._fills.take_up(fact.trades)
        self.executions = tuple(Execution(each.fill, each.realised) for each in fact.executions)
        self.fills_booked, self.settlements_booked = fact.fills_booked, fact.settlements_booked
        self.last_fill_ms = fact.last_fill_ms
        self._runs.update((run_id, None) for run_id in fact.runs)
        self.orders_before.update(fact.orders)
        self._orders.take_up(fact.increases_ms)
        self.cancelled_all_ms, self.orders_from_ms = fact.cancelled_all_ms, fact.orders_from_ms
        self._counts.update(fact.counts)
        self.session = SessionFigures(0, self._cash.settled_total, self._positions.cost)


def _group_facts(group: OrderGroup, at_ms: Milliseconds) -> list[AccountFact]:
    """A group of orders as it is; what its orders traded in the last seconds is not counted on."""
    told: list[AccountFact] = [
        facts.OrderGroupMade(group.made_ms, group.exchange_index, group.group_id, group.limit),
        facts.OrderGroupTold(at_ms, "read", group.group_id, RESET, group.since_ms),
    ]
    if group.triggered:
        told.append(facts.OrderGroupTold(at_ms, "read", group.group_id, TRIGGERED, group.since_ms + 1))
    return told


def differences(before: LedgerCarried, after: LedgerCarried) -> list[str]:
    """What the next journal leads to otherwise than the one before, by name; empty where the account is the same."""
    then, now = before.account_figures(), after.account_figures()
    return [f"its {name} would be {now[name]} and not {then[name]}" for name in then if then[name] != now[name]]
