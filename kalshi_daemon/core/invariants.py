"""What must never happen, asked while the daemon runs; the number before each text is the rule's.

1 no order leaves outside its gate; 2 none increases under a hold or a restriction; 4 what a level asks for comes about;
5 trading is entered by its doors, free and with usable feeds; 7 nothing is booked twice, and what is reserved belongs
to open orders; 8 a latch survives a restart; 9 a stop is not taken back; 10 what is over stays over. Rule 3 is the
watchdog's (shell/watches.py), and the runner holds rule 6 itself (charts/runner.py).

Rules: what a fact says is asked of the facts, which come in order; what is the case is asked in the very step that it
is about, since a moment later it may rightly be otherwise. A violation is a defect of ours: counted, kept by its text,
and the first of each rule told. Nothing is stopped because of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kalshi_daemon.core.changes import Change, FillBooked, HoldsChanged, OrderMoved
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_amends import only_lowers
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.risk import FLATTEN, BookEvidence, Levels
from kalshi_daemon.facts import AccountFact, AmendSent, HoldKind, OrderSent, RunStarted, StateChanged
from kalshi_daemon.limits import LEVEL_LOOKS_MAX, TRADE_IDS_MAX, VIOLATIONS_KEPT
from kalshi_daemon.units import Ticker
from statecharts.order import FINAL_STATES, UNK

LATCHES = frozenset({HoldKind.KILL, HoldKind.DIVERGENCE, HoldKind.DRAWDOWN, HoldKind.DAY_LOSS, HoldKind.OPERATOR})
DOORS = frozenset({"calibrated", "swept", "holds_lifted"})  # the events by which trading may be entered


class Invariants:
    """`checked` counts questions asked, `violated` names the first answers that were no, each once.

    `tell` is called with the text of the first violation of each rule; it must not block.
    """

    def __init__(self, ledger: LedgerView, tell: Callable[[str], None]) -> None:
        self.checked = 0
        self.violations = 0
        self.violated: list[str] = []
        self._ledger = ledger
        self._tell = tell
        self._told: set[str] = set()  # the rules of which a violation was told
        self._looks = 0  # in a row at which a level was not followed
        self._trader = ""
        self._stopping = False
        self._trades: dict[str, None] = {}  # booked, oldest first, as many as are remembered for telling duplicates

    def saw(self, fact: AccountFact, changes: Sequence[Change]) -> None:
        """One durable fact, in order, with what it changed."""
        if isinstance(fact, StateChanged) and fact.chart == "trader" and fact.entered:
            self._entered(fact)
        elif isinstance(fact, OrderSent | AmendSent):
            self._sent(fact)
        for change in changes:
            if isinstance(change, FillBooked):
                self._booked(change.fill.trade_id)
            elif isinstance(change, OrderMoved):
                self._moved(change)
            elif isinstance(change, HoldsChanged) and isinstance(fact, RunStarted):
                latched = change.hold in LATCHES and not change.placed
                self.ask(f"8: the hold {change.hold} did not survive a restart", holds=not latched)
        self._check_cash()

    def leaving(
        self, client_order_id: str, levels: Levels, evidence: Callable[[Ticker], BookEvidence], breaker: str
    ) -> None:
        """An order, or an amend of one, is being written to the socket, in this very step. `breaker` is the state of
        the order writes'.
        """
        record, ledger = self._ledger.orders.get(client_order_id), self._ledger
        if record is None:
            return  # named when the fact is seen
        if record.amend is not None and only_lowers(record.spec, record.amend.spec):
            return  # a cancel in part asks no gate
        market = record.spec.market
        unknown = any(each.state == UNK for each in ledger.open_orders(market))
        self.ask(f"1: {client_order_id} left on a book that is not usable", holds=evidence(market).usable)
        self.ask(f"1: {client_order_id} left before the account agreed", holds=ledger.account_agreed)
        self.ask(f"1: {client_order_id} left beside an unknown order on {market}", holds=not unknown)
        self.ask(f"1: {client_order_id} left with the breaker {breaker}", holds=breaker not in {"open", "latched"})
        if record.spec.reduce_only:
            killed = ledger.find_hold(HoldKind.KILL) is not None and record.purpose != FLATTEN
            self.ask(f"2: {client_order_id} reduces under a kill", holds=not killed)
        else:
            self._increasing(record, levels)

    def _increasing(self, record: OrderRecord, levels: Levels) -> None:
        ledger, name = self._ledger, record.client_order_id
        holds = [each.kind for each in ledger.holds if each.subject in {"", record.spec.market}]
        self.ask(f"2: {name} increases under {', '.join(holds)}", holds=not holds)
        self.ask(f"2: {name} increases under a restriction", holds=not ledger.restricted)
        self.ask(f"1: {name} increases without usable feeds", holds=levels.feeds_usable)

    def entering(self, event: str, levels: Levels) -> None:
        """The trader's chart has just chosen to enter trading, and nothing has happened since its guards were read."""
        ledger = self._ledger
        self.ask(f"5: {event} led to trading under a hold", holds=not ledger.held)
        self.ask(f"5: {event} led to trading without usable feeds", holds=levels.feeds_usable)
        agreed = event == "calibrated" or ledger.account_agreed  # a doubt since then shuts the gates, not this door
        self.ask(f"5: {event} led to trading before the account agreed", holds=agreed)

    def looked(self, trader: str) -> None:
        """Once a second, with the trader's state: a hold in force leads out of trading, and none out of holding."""
        free = trader == "paused.holding" and not self._ledger.held
        held = trader.startswith("trading") and self._ledger.held
        self._looks = self._looks + 1 if free or held else 0
        self.ask(f"4: {trader} goes on {'under' if held else 'without'} a hold", holds=self._looks <= LEVEL_LOOKS_MAX)

    def _entered(self, fact: StateChanged) -> None:
        was_trading = self._trader.startswith("trading")
        self._trader = fact.entered
        if fact.entered.startswith("trading") and not was_trading:
            self.ask(f"5: trading was entered by {fact.event}", holds=fact.event in DOORS)
        if self._stopping:
            ends = fact.entered.startswith("stopping") or fact.entered in {"stopped", "failed"}
            self.ask(f"9: a stop was taken back to {fact.entered}", holds=ends)
        self._stopping = self._stopping or fact.entered.startswith("stopping")

    def _sent(self, fact: OrderSent | AmendSent) -> None:
        """An order, or an amend of one, left: with an intent, and only while its gate could have been open.

        Steps of the chart and sends are facts of one queue, posted when they happen, so their order is the order of
        events.
        """
        record = self._ledger.orders.get(fact.client_order_id)
        self.ask(f"1: {fact.client_order_id} was sent without an intent", holds=record is not None)
        if record is not None and record.amend is not None and only_lowers(record.spec, record.amend.spec):
            return  # a cancel in part asks no gate
        if record is not None and record.spec.reduce_only:
            open_in = self._trader.startswith("trading") or self._trader == "paused.holding"
        else:
            open_in = self._trader == "trading.normal"
        self.ask(f"1: {fact.client_order_id} was sent in {self._trader}", holds=open_in)

    def _moved(self, change: OrderMoved) -> None:
        record = change.record
        whole = record.filled <= record.count_max
        self.ask(f"10: {record.client_order_id} filled more than its count", holds=whole)
        final = record.final or change.before not in FINAL_STATES
        self.ask(f"10: {record.client_order_id} was {change.before} and is {record.state}", holds=final)

    def _booked(self, trade_id: str) -> None:
        self.ask(f"7: trade {trade_id} was booked twice", holds=trade_id not in self._trades)
        self._trades[trade_id] = None
        if len(self._trades) > TRADE_IDS_MAX:
            del self._trades[next(iter(self._trades))]

    def _check_cash(self) -> None:
        """What is reserved is what the open orders keep, and cash is what the run's figures add up to."""
        kept = sum(record.reserve for record in self._ledger.open_orders())
        reserved = self._ledger.reserved_total
        self.ask(f"7: reserved {reserved}, orders keep {kept}", holds=kept == reserved)
        settled, added = self._ledger.settled_total, self._ledger.session.cash_now
        self.ask(f"7: settled {settled}, the run's figures add up to {added}", holds=settled == added)

    def ask(self, text: str, *, holds: bool) -> None:
        """One question, also from outside: the account at the emulated exchange against ours."""
        self.checked += 1
        if not holds:
            self.violations += 1
            rule = text.partition(":")[0]
            if rule not in self._told:
                self._told.add(rule)
                self._tell(text)
            if len(self.violated) < VIOLATIONS_KEPT and text not in self.violated:
                self.violated.append(text)
