"""What decides: the selector that the configuration names, and the actor that asks it. Both are there once preflight
has loaded them.
"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_daemon.config import Config
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.hosts import Environment
from kalshi_daemon.policy.action_selector import Selector, choose_selector
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.actor_service import ActorService, Policy
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.model import load
from kalshi_daemon.shell.orderbook_client import OrderBookClient


class PolicyParts:
    def __init__(
        self,
        config: Config,
        seams: Seams,
        books: OrderBookClient,
        inputs: MarketInputs,
        increases_left: Callable[[], int],
        breakers: MarketBreakers,
        on_batch: Callable[[DecidedBatch], None] | None,
    ) -> None:
        self.selector: Selector | None = None
        self.actor: ActorService | None = None
        self._config = config
        self._seams = seams
        self._books = books
        self._inputs = inputs
        self._increases_left = increases_left
        self._breakers = breakers
        self._on_batch = on_batch

    def load(self) -> str:
        """What was loaded, for people. Raises OperatingError for a model that is refused."""
        config, seams = self._config, self._seams
        pricing = Pricing(config.pricing)
        if config.policy == "onnx":
            production = config.environment is Environment.PRODUCTION and seams.practice is None
            self.selector = load(config.model, config.order_sizes, pricing, production=production)
        else:
            self.selector = choose_selector(config.policy)
        self.actor = ActorService(
            self._books,
            self._inputs,
            Policy(self.selector, config.order_sizes, pricing),
            seams.clock,
            self._increases_left,
            self._breakers,
            seams.stopwatch,
        )
        self.actor.on_batch = self._on_batch
        return f"{self.selector.name}: {self.selector.model[:12]}"
