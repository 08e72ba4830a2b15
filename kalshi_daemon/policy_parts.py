"""What decides: the selector that the configuration names, and the actor that asks it. Both are there once preflight
has loaded them.

Rule: a model is replaced by one that was read and checked as at a start, and by nothing else; the one that decides goes
on until then.
"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_daemon.config import Config
from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.errors import CommandRefused
from kalshi_daemon.hosts import Environment
from kalshi_daemon.policy.action_selector import Selector, choose_selector
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.seams import Seams
from kalshi_daemon.shell.actor_service import ActorService, Policy
from kalshi_daemon.shell.market_inputs import MarketInputs
from kalshi_daemon.shell.model import Model, load
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
        self._senseless = 0  # of the models that were replaced

    @property
    def senseless(self) -> int:
        """Answers that were no allowed action, of every model of this run."""
        return self._senseless + (self.selector.senseless if self.selector is not None else 0)

    def load(self) -> str:
        """What was loaded, for people. Raises OperatingError for a model that is refused."""
        config, seams = self._config, self._seams
        self.selector = (
            self._read_model() if config.policy == "onnx" else choose_selector(config.policy, script=config.script)
        )
        self.actor = ActorService(
            self._books,
            self._inputs,
            Policy(self.selector, config.order_sizes, Pricing(config.pricing)),
            seams.clock,
            self._increases_left,
            self._breakers,
            seams.stopwatch,
        )
        self.actor.strict = config.strict_observations
        self.actor.on_batch = self._on_batch
        return f"{self.selector.name}: {self.selector.model[:12]}"

    async def read_again(self) -> tuple[str, Model]:
        """The hash of the model that decides, and what its file holds by now, read and checked in a thread.

        Raises OperatingError for one that is refused, and CommandRefused where there is none. Nothing is changed yet.
        """
        if self._config.policy != "onnx":
            raise CommandRefused(f"KALSHI_POLICY is {self._config.policy}, which has no model to read again")
        if self.actor is None or self.selector is None:
            raise CommandRefused("the policy is not loaded yet: wait for preflight")
        read = await self._seams.run_in_thread(self._read_model)
        return self.selector.model, read

    def replace(self, model: Model) -> None:
        """It decides from the next batch on."""
        assert self.actor is not None, "what is replaced was loaded"
        self._senseless = self.senseless
        self.selector = model
        self.actor.replace(model)

    def _read_model(self) -> Model:
        config = self._config
        production = config.environment is Environment.PRODUCTION and self._seams.practice is None
        return load(config.model, config.order_sizes, Pricing(config.pricing), production=production)
