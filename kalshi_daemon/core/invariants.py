"""What must never happen, asserted while the daemon runs (statecharts.md, the ten lines).

Each fact that the event bus has made durable is held against the state of the moment. A violation is counted, named and
alarmed; it is a defect of ours, and the demo, the simulation and `run` all look at the same list.
"""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_daemon.core.changes import Change, FillBooked, OrderMoved
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.facts import AccountFact, OrderSent, StateChanged
from kalshi_daemon.limits import TRADE_IDS_MAX, VIOLATIONS_KEPT
from statecharts.order import FINAL_STATES

DOORS = frozenset({"calibrated", "swept", "holds_lifted"})  # the events by which trading may be entered


class Invariants:
    """`checked` counts questions asked, `violated` names the first answers that were no."""

    def __init__(self, ledger: LedgerView) -> None:
        self.checked = 0
        self.violations = 0
        self.violated: list[str] = []
        self._ledger = ledger
        self._trader = ""
        self._stopping = False
        self._trades: dict[str, None] = {}  # booked, oldest first, as many as are remembered for telling duplicates

    def saw(self, fact: AccountFact, changes: Sequence[Change]) -> None:
        """One durable fact, in order, with what it changed."""
        if isinstance(fact, StateChanged) and fact.chart == "trader" and fact.entered:
            self._entered(fact)
        elif isinstance(fact, OrderSent):
            self._sent(fact)
        for change in changes:
            if isinstance(change, FillBooked):
                self._booked(change.fill.trade_id)
            elif isinstance(change, OrderMoved):
                self._moved(change)
        self._check_cash()

    def _entered(self, fact: StateChanged) -> None:
        was_trading = self._trader.startswith("trading")
        self._trader = fact.entered
        if fact.entered.startswith("trading") and not was_trading:
            self.ask(f"5: trading was entered by {fact.event}", holds=fact.event in DOORS)
        if self._stopping:
            ends = fact.entered.startswith("stopping") or fact.entered in {"stopped", "failed"}
            self.ask(f"9: a stop was taken back to {fact.entered}", holds=ends)
        self._stopping = self._stopping or fact.entered.startswith("stopping")

    def _sent(self, fact: OrderSent) -> None:
        """An order left: with an intent, and only while its gate could have been open.

        Steps of the chart and sends are facts of one queue, posted when they happen, so their order is the order of
        events.
        """
        record = self._ledger.orders.get(fact.client_order_id)
        self.ask(f"1: {fact.client_order_id} was sent without an intent", holds=record is not None)
        if record is not None and record.spec.reduce_only:
            open_in = self._trader.startswith("trading") or self._trader == "paused.holding"
        else:
            open_in = self._trader == "trading.normal"
        self.ask(f"1: {fact.client_order_id} was sent in {self._trader}", holds=open_in)

    def _moved(self, change: OrderMoved) -> None:
        record = change.record
        whole = record.filled <= record.spec.count
        self.ask(f"10: {record.client_order_id} filled more than its count", holds=whole)
        final = record.final or change.before not in FINAL_STATES
        self.ask(f"10: {record.client_order_id} was {change.before} and is {record.state}", holds=final)

    def _booked(self, trade_id: str) -> None:
        self.ask(f"7: trade {trade_id} was booked twice", holds=trade_id not in self._trades)
        self._trades[trade_id] = None
        if len(self._trades) > TRADE_IDS_MAX:
            del self._trades[next(iter(self._trades))]

    def _check_cash(self) -> None:
        """What is reserved is what the open orders keep, and nothing else."""
        kept = sum(record.reserve for record in self._ledger.open_orders())
        reserved = self._ledger.reserved_total
        self.ask(f"7: reserved {reserved}, orders keep {kept}", holds=kept == reserved)

    def ask(self, text: str, *, holds: bool) -> None:
        """One question, also from outside: the account at the emulated exchange against ours."""
        self.checked += 1
        if not holds:
            self.violations += 1
            if len(self.violated) < VIOLATIONS_KEPT:
                self.violated.append(text)
