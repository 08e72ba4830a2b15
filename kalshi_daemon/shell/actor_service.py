"""The loop that decides: dirty markets in, one batch, one inference, proposals out through the gate.

It is invoked by the actor's chart, which lives in the trading state's nursery.

Rules:
- Markets are conflated, never queued: the newest book wins. A market that was decided less than
  `DECISION_INTERVAL_S` ago stays dirty until its time has come; one without news is decided again after `REDECIDE_S`.
- A market whose inputs cannot be observed is left out of the batch, and told to its breaker; the others are decided.
  What fails for a whole batch, or in the model, ends the loop.
- More increases than the order rate has room for are not proposed: their markets stay dirty. Cooling is for what the
  exchange says.
- The first news after a quiet time is decided at once; between two looks at what is dirty lies `DECISION_SPACING_S`, so
  that a busy stream is decided in batches. Nothing else sleeps, or waits for the exchange or the journal.
- A decision is a function of its inputs; each carries its number, the model and the observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

import numpy as np
import structlog
import trio
from attrs import frozen
from numpy.typing import NDArray

from kalshi_daemon import limits
from kalshi_daemon.commands import Proposal, ProposeOrder
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.policy.action_executor import execute
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, Selector
from kalshi_daemon.policy.anomalies import anomaly
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import ObservationAdapter, bounded
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.gates import OrderGate
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.units import Count, Milliseconds, Ticker

log = structlog.get_logger()

NEVER: Final = float("-inf")


class PolicySlow(Exception):
    """The policy's breaker opened: it does not answer within its budget."""


@frozen
class Policy:
    """What decides, and how its actions become orders."""

    selector: Selector
    sizes: tuple[Count, ...]
    pricing: Pricing


@frozen
class Batch:
    """The last batch that was decided: `at_ms` by our clock."""

    at_ms: Milliseconds
    markets: int
    proposals: int
    inference_s: float


@frozen
class _Seen:
    """What a batch is decided on."""

    now_ms: Milliseconds
    increases: bool
    markets: Sequence[MarketInput]
    account: AccountInput
    observation: Observation
    allowed: Mask

    def decided(self, number: int, first_decision: int, selector: Selector, actions: Actions) -> DecidedBatch:
        return DecidedBatch(
            number,
            first_decision,
            self.now_ms,
            self.increases,
            selector,
            self.markets,
            self.account,
            self.observation,
            self.allowed,
            actions,
        )


class ActorService:
    def __init__(
        self,
        books: OrderBookClient,
        inputs: MarketInputs,
        policy: Policy,
        clock: Clock,
        increases_left: Callable[[], int],
        breakers: MarketBreakers,
        stopwatch: Callable[[], float],
    ) -> None:
        """`increases_left`: how many orders that increase would pass now. `stopwatch`: seconds of a clock that the
        simulation replaces, so that no real time reaches a decision.
        """
        self.doing = "waiting"  # or deciding, or acting: what it was at when it ended
        self.last: Batch | None = None
        self.throttled = 0  # proposals that the order rate had no room for
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
        self.observations = ObservationAdapter()
        self.strict = False  # whether any anomaly of an observation shuts its market, until a person says otherwise
        self.on_batch: Callable[[DecidedBatch], None] | None = None  # told of each, before it proposes anything
        self._books = books
        self._inputs = inputs
        self._selector, self._sizes, self._pricing = policy.selector, policy.sizes, policy.pricing
        self._clock = clock
        self._increases_left = increases_left
        self._breakers = breakers
        self._stopwatch = stopwatch
        self._decided_s: dict[Ticker, float] = {}  # when last, on trio's clock; the longest ago first
        self._held_back: dict[Ticker, None] = {}  # dirty, and decided too short a time ago

    @property
    def held_back(self) -> int:
        """Markets with news that were decided, or met the order rate, too short a time ago."""
        return len(self._held_back)

    def last_decided(self) -> list[Ticker]:
        """The markets by their last decision, the newest first."""
        return list(reversed(self._decided_s))

    async def run(self, gate: OrderGate) -> None:
        """Never returns. Raises what the policy raises: the actor's chart takes it as `policy_failed`."""
        self.beat_s = trio.current_time()
        next_s = self.beat_s
        while True:
            self.doing = "waiting"
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
        """One batch: observe, mask, infer, select, propose."""
        self.doing = "deciding"
        left = self._increases_left()
        seen = self._look(tickers, increases=left > 0)
        if not seen.markets:
            return
        if self._breakers.doubts:
            for market in seen.markets:
                self._breakers.observed(market.market)
        began_s = self._stopwatch()
        actions = self._selector.select(seen.observation, seen.allowed)
        self._inferred(self._stopwatch() - began_s)
        self.doing = "acting"
        self.batches += 1
        if self.on_batch is not None:
            self.on_batch(seen.decided(self.batches, self.decisions + 1, self._selector, actions))
        proposed = self._act(seen, actions, left, gate)
        self.last = Batch(self._clock.now_ms(), len(seen.markets), proposed, self.inference_s)

    def _look(self, tickers: Sequence[Ticker], *, increases: bool) -> _Seen:
        """What is decided on; without the markets that cannot be observed, where others can."""
        account, now_ms = self._inputs.account(), self._clock.exchange_now_ms()
        due = [ticker for ticker in tickers if self._breakers.observable(ticker, trio.current_time())]
        try:
            return self._observed(due, account, now_ms, increases=increases)
        except Exception as error:  # noqa: BLE001 - raised below, where it is not one market's
            whole = error
        fit = [ticker for ticker in due if self._is_fit(ticker, account, now_ms)]
        if len(fit) == len(due) > 0:
            raise whole
        return self._observed(fit, account, now_ms, increases=increases)

    def _observed(
        self, tickers: Sequence[Ticker], account: AccountInput, now_ms: Milliseconds, *, increases: bool
    ) -> _Seen:
        markets = [found for found in self._inputs.markets(tickers, now_ms) if found.usable]
        raw = self.observations.observe_raw(markets, account, now_ms)
        if self.strict:
            sound = [row for row, market in enumerate(markets) if self._is_sound(market, raw[row])]
            markets, raw = [markets[row] for row in sound], raw[sound]
        observation = bounded(raw)
        allowed = mask(markets, self._sizes, self._pricing, increases_allowed=increases)
        return _Seen(now_ms, increases, markets, account, observation, allowed)

    def _is_sound(self, market: MarketInput, row: NDArray[np.float64]) -> bool:
        wrong = anomaly(market, row)
        if wrong:
            log.error("observation_anomaly", ticker=market.market, what=wrong)
            self._breakers.unsound(market.market, wrong, trio.current_time())
        return not wrong

    def _is_fit(self, ticker: Ticker, account: AccountInput, now_ms: Milliseconds) -> bool:
        try:
            self._observed([ticker], account, now_ms, increases=True)
        except Exception as error:  # noqa: BLE001 - whatever it is: the other markets go on
            self._unfit(ticker, error)
            return False
        return True

    def _act(self, seen: _Seen, actions: Actions, left: int, gate: OrderGate) -> int:
        """How many orders were proposed; of those that increase `left` at most."""
        proposed = 0
        for row, (market, chosen) in enumerate(zip(seen.markets, actions, strict=True)):
            action = int(chosen)
            self.decisions += 1
            self.actions[action] += 1
            proposal = self._execute(action, market, seen.observation[row])
            if proposal is None:
                continue
            increases = not (isinstance(proposal, ProposeOrder) and proposal.reduces)
            if increases and not left:
                self.throttled += 1
                self._held_back[market.market] = None
                continue
            left -= increases
            proposed += 1
            gate.propose(proposal)
        return proposed

    def _execute(self, action: int, market: MarketInput, row: NDArray[np.float32]) -> Proposal | None:
        try:
            return execute(action, market, self._sizes, self._pricing, self.decisions, self._selector.model, row)
        except Exception as error:  # noqa: BLE001 - as above
            self._unfit(market.market, error)
            return None

    def _unfit(self, ticker: Ticker, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}"
        log.error("market_not_observed", ticker=ticker, cause=cause)
        self._breakers.unobserved(ticker, cause, trio.current_time())

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

    def replace(self, selector: Selector) -> None:
        """Another one, which has been checked, decides from the next batch on; what the one before did is forgiven."""
        self._selector = selector
        self.breaker.reset(trio.current_time())

    def failed(self, cause: str) -> None:
        self.breaker.failed(trio.current_time(), cause)

    def may_probe(self) -> bool:
        return self.breaker.allows(trio.current_time())
