"""The loop that decides: dirty markets in, one batch, one inference, proposals out through the gate.

It is invoked by the actor's chart, which lives in the trading state's nursery.

Rules:
- Markets are conflated, never queued: the newest book wins. A market that was decided less than
  `DECISION_INTERVAL_S` ago stays dirty until its time has come; one without news is decided again after `REDECIDE_S`.
- The first news after a quiet time is decided at once; between two looks at what is dirty lies `DECISION_SPACING_S`, so
  that a busy stream is decided in batches. Nothing else sleeps, or waits for the exchange or the journal.
- A decision is a function of its inputs; each carries its number, the model and the observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.policy.action_executor import execute
from kalshi_daemon.policy.action_selector import Selector
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.gates import OrderGate
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.units import Count, Ticker

NEVER: Final = float("-inf")


class PolicySlow(Exception):
    """The policy's breaker opened: it does not answer within its budget."""


class ActorService:
    def __init__(
        self,
        books: OrderBookClient,
        inputs: MarketInputs,
        selector: Selector,
        sizes: Sequence[Count],
        pricing: Pricing,
        clock: Clock,
        increases_allowed: Callable[[], bool],
        stopwatch: Callable[[], float],
    ) -> None:
        """`stopwatch`: seconds of a clock that the simulation replaces, so that no real time reaches a decision."""
        self.beat_s = 0.0  # when the loop last came round; the watchdog reads it
        self.decisions = 0
        self.batches = 0
        self.actions: Counter[int] = Counter()
        self.breaker = CircuitBreaker(
            "policy",
            failures_max=limits.POLICY_FAILURES_MAX,
            window_s=limits.POLICY_FAILURES_S,
            wait_s=(limits.POLICY_PROBE_WAIT_S, limits.POLICY_PROBE_WAIT_MAX_S),
            probe_s=limits.POLICY_PROBE_S,
        )
        self.inference_s = 0.0  # of the last batch
        self.on_batch: Callable[[DecidedBatch], None] | None = None  # told of each, before it proposes anything
        self._books = books
        self._inputs = inputs
        self._selector = selector
        self._sizes = tuple(sizes)
        self._pricing = pricing
        self._clock = clock
        self._increases_allowed = increases_allowed
        self._stopwatch = stopwatch
        self._decided_s: dict[Ticker, float] = {}  # when last, on trio's clock; the longest ago first
        self._held_back: dict[Ticker, None] = {}  # dirty, and decided too short a time ago

    def last_decided(self) -> list[Ticker]:
        """The markets by their last decision, the newest first."""
        return list(reversed(self._decided_s))

    async def run(self, gate: OrderGate) -> None:
        """Never returns. Raises what the policy raises: the actor's chart takes it as `policy_failed`."""
        self.beat_s = trio.current_time()
        next_s = self.beat_s
        while True:
            with trio.move_on_after(self._patience_s()):
                await self._books.dirtied.wait()
            self.beat_s = trio.current_time()
            await trio.sleep_until(next_s)
            next_s = trio.current_time() + limits.DECISION_SPACING_S
            due = self._due()
            if due:
                self.decide(due, gate)

    def _patience_s(self) -> float:
        """Until the first market that is held back may be decided; half the time after which quiet ones are, at
        most.
        """
        if not self._held_back:
            return limits.REDECIDE_S / 2
        first_s = min(map(self._decided_s.__getitem__, self._held_back))
        due_s = first_s + limits.DECISION_INTERVAL_S - trio.current_time()
        return max(0.0, min(limits.REDECIDE_S / 2, due_s))

    def _due(self) -> list[Ticker]:
        """The dirty markets whose time has come, and those without news for long; the others are held back."""
        now_s = trio.current_time()
        decided, books = self._decided_s, self._books.books
        if decided.keys() != books.keys():  # markets come and go; what is new comes first
            kept = {market: at_s for market, at_s in decided.items() if market in books}
            decided = self._decided_s = dict.fromkeys((m for m in books if m not in kept), NEVER) | kept
        news = {**self._held_back, **dict.fromkeys(self._books.take_dirty())}
        dirty = [market for market in news if market in books]
        newest_s = now_s - limits.DECISION_INTERVAL_S
        self._held_back = {market: None for market in dirty if decided[market] > newest_s}
        due = [market for market in dirty if market not in self._held_back]
        quiet = takewhile(lambda market: decided[market] <= now_s - limits.REDECIDE_S, decided)
        due += [market for market in quiet if market not in news]
        for market in due:
            del decided[market]
            decided[market] = now_s
        return due

    def decide(self, tickers: Sequence[Ticker], gate: OrderGate) -> None:
        """One batch: observe, infer, mask, select, propose."""
        exchange_ms = self._clock.exchange_now_ms()
        markets = [found for found in self._inputs.markets(tickers, exchange_ms) if found.usable]
        if not markets:
            return
        account, increases = self._inputs.account(), self._increases_allowed()
        observation = observe(markets, account, exchange_ms)
        allowed = mask(markets, self._sizes, self._pricing, increases_allowed=increases)
        began_s = self._stopwatch()
        actions = self._selector.select(observation, allowed)
        self._inferred(self._stopwatch() - began_s)
        self.batches += 1
        if self.on_batch is not None:
            number, first, selector = self.batches, self.decisions + 1, self._selector
            self.on_batch(
                DecidedBatch(
                    number, first, exchange_ms, increases, selector, markets, account, observation, allowed, actions
                )
            )
        for row, (market, chosen) in enumerate(zip(markets, actions, strict=True)):
            action = int(chosen)
            self.decisions += 1
            self.actions[action] += 1
            proposal = execute(
                action, market, self._sizes, self._pricing, self.decisions, self._selector.model, observation[row]
            )
            if proposal is not None:
                gate.propose(proposal)

    def _inferred(self, seconds: float) -> None:
        """Over the budget is a failure of the policy's breaker, which the chart hears of when it opens."""
        self.inference_s = seconds
        now_s = trio.current_time()
        if seconds <= limits.INFERENCE_BUDGET_S:
            self.breaker.succeeded(now_s)
            return
        self.breaker.failed(
            now_s, f"an inference took {seconds * 1000:.0f} ms, allowed {limits.INFERENCE_BUDGET_S * 1000:.0f}"
        )
        if self.breaker.state == "open":
            raise PolicySlow(self.breaker.cause)

    def failed(self, cause: str) -> None:
        self.breaker.failed(trio.current_time(), cause)

    def may_probe(self) -> bool:
        return self.breaker.allows(trio.current_time())
