"""The gates: who may send what, asked when an intent is made and again in the step that writes to the socket.

- `OrderGate` is the power to propose an order, and one for increases exists only while the actor runs, inside
  `trading`: the closing rules, which run in `paused` too, are handed one for reductions. It is shut when the state that
  holds it is left: what is proposed afterwards is our mistake, not a race to be lost.
- `Gates.decide` turns a proposal into an intent, or refuses it with a code. The event bus calls it between two facts,
  so that every order intended before is already reserved.
- `Gates.ask` is called by the order writer in the step that writes to the socket; a refusal there is `Withheld`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve, frozen

from kalshi_daemon.commands import Proposal, ProposeAmend, ProposeOrder
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.core.order_amends import only_lowers
from kalshi_daemon.core.order_rate import over_rate
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.risk import (
    BookEvidence,
    Levels,
    Refusal,
    RiskLimits,
    Situation,
    evaluate,
    evaluate_amend,
    may_amend,
    may_send,
)
from kalshi_daemon.errors import Withheld
from kalshi_daemon.facts import AmendIntended, OrderIntended
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.units import Milliseconds, Ticker


class OrderGate:
    """The power to propose; shut for good when its state is left."""

    def __init__(self, post: Callable[[Proposal], None], *, increases: bool) -> None:
        self._post = post
        self._increases = increases
        self._shut = False

    def propose(self, proposal: Proposal) -> None:
        assert not self._shut, f"{proposal.purpose} proposes an order after its state was left"
        reduces = isinstance(proposal, ProposeOrder) and proposal.reduces
        assert reduces or self._increases, f"{proposal.purpose} proposes an increase at a gate for reductions"
        self._post(proposal)

    def shut(self) -> None:
        self._shut = True


@frozen
class GateViews:
    """What the gates look at; each is read at the moment of asking."""

    ledger: LedgerView
    universe: MarketUniverse
    evidence: Callable[[Ticker], BookEvidence]
    levels: Callable[[], Levels]
    market_ready: Callable[[Ticker], bool]  # its breaker lets an order be meant for it


class Gates:
    def __init__(self, views: GateViews, risk_limits: RiskLimits, clock: Clock, rate_spent: Callable[[], None]) -> None:
        """`rate_spent` is called when an order did not pass for the rate of orders."""
        self.refused: Counter[str] = Counter()
        self.last_refusal: tuple[int, Ticker, Refusal] | None = None
        self._views = views
        self._limits = risk_limits
        self._clock = clock
        self._rate_spent = rate_spent

    @contextmanager
    def opened(self, post: Callable[[Proposal], None], *, increases: bool) -> Iterator[OrderGate]:
        gate = OrderGate(post, increases=increases)
        try:
            yield gate
        finally:
            gate.shut()

    def decide(self, proposal: Proposal) -> OrderIntended | AmendIntended | None:
        return self._decide_amend(proposal) if isinstance(proposal, ProposeAmend) else self._decide_order(proposal)

    def _decide_order(self, proposal: ProposeOrder) -> OrderIntended | None:
        ledger, now_ms = self._views.ledger, self._clock.now_ms()
        verdict = evaluate(proposal, self._situation(proposal.market))
        if isinstance(verdict, Refusal):
            self._note(proposal.market, verdict)
            return None
        if not proposal.reduces and self._is_over_rate(proposal.market, now_ms):
            return None
        number = ledger.next_number
        return OrderIntended(
            at_ms=now_ms,
            number=number,
            client_order_id=ledger.client_order_id(number),
            spec=verdict.spec,
            reserve=verdict.reserve,
            purpose=proposal.purpose,
            decision=proposal.decision,
            model=proposal.model,
            observation=proposal.observation,
        )

    def _decide_amend(self, proposal: ProposeAmend) -> AmendIntended | None:
        now_ms = self._clock.now_ms()
        record = self._views.ledger.orders.get(proposal.client_order_id)
        if record is None:
            self._note("", Refusal("amend", "an order of ours rests", proposal.client_order_id, "one that is known"))
            return None
        market = record.spec.market
        verdict = evaluate_amend(proposal, record, self._situation(market))
        if isinstance(verdict, Refusal):
            self._note(market, verdict)
            return None
        if not only_lowers(record.spec, verdict.spec) and self._is_over_rate(market, now_ms):
            return None
        return AmendIntended(
            at_ms=now_ms,
            client_order_id=proposal.client_order_id,
            spec=verdict.spec,
            reserve=verdict.reserve,
            purpose=proposal.purpose,
            decision=proposal.decision,
            model=proposal.model,
            observation=proposal.observation,
        )

    def _is_over_rate(self, market: Ticker, now_ms: Milliseconds) -> bool:
        over = over_rate(self._views.ledger, now_ms, self._limits)
        if over is None:
            return False
        self._note(market, over)
        self._rate_spent()
        return True

    def ask(self, client_order_id: str) -> None:
        """Raises Withheld. Called in the same step as the write to the socket, so nothing can change in between."""
        self._ask(may_send, client_order_id)

    def ask_amend(self, client_order_id: str) -> None:
        """The same of the amend that is pending of this order."""
        self._ask(may_amend, client_order_id)

    def _ask(self, may: Callable[[OrderRecord, Situation], Refusal | None], client_order_id: str) -> None:
        record = self._views.ledger.orders[client_order_id]
        market = record.spec.market
        refusal = may(record, self._situation(market))
        if refusal is not None:
            self._note(market, refusal)
            raise Withheld(refusal.code, f"{refusal.control}: {refusal.figure}, allowed {refusal.limit}")

    def _situation(self, market: Ticker) -> Situation:
        views, levels = self._views, self._views.levels()
        return Situation(
            views.ledger,
            views.universe.market(market),
            views.evidence(market),
            levels if views.market_ready(market) else evolve(levels, breaker_allows=False),
            self._clock.exchange_now_ms(),
            self._limits,
        )

    def _note(self, market: Ticker, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1
        self.last_refusal = (self._clock.now_ms(), market, refusal)
