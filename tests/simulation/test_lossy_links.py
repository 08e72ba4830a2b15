"""The whole daemon over a link that loses, garbles and delays answers and drops streams at random: whatever happens, no
order is sent twice, nothing is held by a false difference, and in the end the account is the exchange's to the
micro-dollar, or what may rest is named.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest
import trio
from attrs import define, field

from kalshi_daemon.core.holds import hold
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED, EXIT_UNVERIFIED
from kalshi_daemon.facts import AccountDiffers, AccountFact, Alarmed, AmendSent, HoldKind, HoldPlaced, OrderSent
from kalshi_daemon.limits import KILL_VERIFIED_MS
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, only_allowed
from kalshi_daemon.simulation.faulty_link import (
    GARBLED,
    HANGS,
    LOST,
    NEVER_ARRIVES,
    TOO_MANY,
    UNAVAILABLE,
    Fault,
    FaultyLink,
)
from kalshi_daemon.simulation.virtual_day import HOST, PORT, Stage, VirtualRun, run_virtually
from statecharts.order import UNK

Fact = TypeVar("Fact")
STREAM = "/ws/v2"
ORDERS = "/portfolio/events/orders"
SEEDS = 8  # of each kind; a run is about ten virtual minutes
CHAOS_S = 45.0
MAY_LAG = ("3: ", "7: the account did not come to rest")  # where a stop could not be verified
CALM_S = 400.0  # an unknown order takes a minute, and holds that lift by themselves some more


@define
class Chaos:
    """Faults drawn from one seed. `rate`: of a hundred requests, so many meet one."""

    seed: int
    rate: int = 8
    facts: list[AccountFact] = field(factory=list)
    draw: random.Random = field(init=False)
    pricing: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.pricing = {"KALSHI_PRICING": self.draw.choice(["join", "join", "improve", "take"])}

    def judge(self, method: str, target: str) -> Fault | None:
        if STREAM in target:
            return NEVER_ARRIVES if self.draw.random() < 0.3 else None
        if self.draw.randrange(100) >= self.rate:
            return Fault(after_s=self.draw.uniform(0.0, 0.2))
        late = Fault(before_s=self.draw.uniform(0.0, 3.0), after_s=self.draw.uniform(0.0, 3.0))
        return self.draw.choice([LOST, NEVER_ARRIVES, GARBLED, UNAVAILABLE, TOO_MANY, HANGS, late, late])

    async def strike(self, stage: Stage) -> None:
        """Drop streams, and now and then everything, at random moments."""
        while True:
            await trio.sleep(self.draw.expovariate(1 / 8))
            if self.draw.random() < 0.8:
                stage.world.server.drop_streams()
            else:
                stage.network.cut()

    def of(self, kind: type[Fact]) -> list[Fact]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


class RandomOrders:
    """A policy without sense: now and then any action that the mask allows."""

    name = model = "random"

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def select(self, observation: Observation, mask: Mask) -> Actions:
        rows = [self._draw.randrange(mask.shape[1]) if self._draw.random() < 0.1 else 0 for _ in observation]
        return only_allowed(np.array(rows, dtype=np.int64), mask)


@define
class Ended:
    """A run that is over, with what a test looks at."""

    run: VirtualRun
    stage: Stage
    link: FaultyLink

    @property
    def resting(self) -> list[str]:
        """What of ours rests at the exchange."""
        (account,) = self.stage.world.server.exchange.accounts.values()
        return [order.client_order_id for orders in account.resting.values() for order in orders.values()]


def unknown(stage: Stage) -> bool:
    """Whether some order's fate is not known: only its proven absence, a minute after it was signed, may end that."""
    return any(order.state == UNK for order in stage.daemon.parts.ledger.live())


async def choose_at_random(stage: Stage, chaos: Chaos) -> None:
    while (actor := stage.daemon.parts.policy.actor) is None:  # noqa: ASYNC110
        await trio.sleep(0.01)
    actor._selector = RandomOrders(chaos.draw)


def live(chaos: Chaos, then: Callable[[Stage, FaultyLink], Awaitable[None]]) -> Ended:
    """Chaos for a while, `then` what the test wants, and the stop."""
    lag_ms = chaos.draw.choice([0, 360, 1_000])
    settings = WorldSettings(crowd=CrowdSettings(events_per_s=2.0), server=ServerSettings(read_lag_ms=lag_ms))
    stages: list[tuple[Stage, FaultyLink]] = []

    async def scenario(stage: Stage) -> None:
        link = FaultyLink(stage.world.server.handle)
        stages.append((stage, link))
        stage.daemon.parts.bus.listen(lambda news: chaos.facts.append(news.fact))
        stage.network.serve(HOST, PORT, link.handle)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(choose_at_random, stage, chaos)
            if chaos.seed % 3:  # every third begins in chaos
                with trio.move_on_after(60):
                    while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110
                        await trio.sleep(0.1)
            link.judge = chaos.judge
            with trio.move_on_after(CHAOS_S):
                await chaos.strike(stage)
            await then(stage, link)
            nursery.cancel_scope.cancel()

    run = run_virtually(chaos.seed, scenario, settings, chaos.pricing)
    stage, link = stages[0]
    return Ended(run, stage, link)


def never(chaos: Chaos, ended: Ended) -> None:
    """What must not be, whatever the link did."""
    sent = [fact.client_order_id for fact in chaos.of(OrderSent)]
    assert len(sent) == len(set(sent))
    amends = ended.link.asked("POST", "/amend") + ended.link.asked("POST", "/decrease")
    assert amends <= len(chaos.of(AmendSent))
    assert ended.link.asked("POST", ORDERS) - amends <= len(sent)
    assert chaos.of(AccountDiffers) == []
    assert [fact.cause for fact in chaos.of(HoldPlaced) if fact.hold is HoldKind.DIVERGENCE] == []
    assert [text for text in ended.run.violated if not text.startswith(MAY_LAG)] == []


@pytest.mark.parametrize("seed", range(500, 500 + SEEDS))
def test_when_the_link_is_whole_again_it_trades_and_is_exact(seed: int) -> None:
    """After the chaos it comes back to trading by itself, whatever was unknown then, and stops swept and exact."""
    chaos = Chaos(seed)

    async def then(stage: Stage, link: FaultyLink) -> None:
        link.judge = lambda _method, _target: None
        with trio.fail_after(CALM_S):
            while not stage.daemon.runner.is_in("trading.normal") or unknown(stage):  # noqa: ASYNC110
                await trio.sleep(0.1)
        await trio.sleep(15)

    ended = live(chaos, then)
    never(chaos, ended)
    assert ended.run.violated == ()
    assert ended.run.exit_code == EXIT_STOPPED
    assert ended.resting == []


@pytest.mark.parametrize("seed", range(700, 700 + SEEDS))
def test_a_kill_in_the_chaos_is_verified_or_alarmed_within_its_time(seed: int) -> None:
    """Whatever state it meets, five seconds and a look later nothing of ours rests, proved, or an alarm says so."""
    chaos = Chaos(seed, rate=15)
    proofs: list[tuple[bool, set[str]]] = []

    async def then(stage: Stage, _link: FaultyLink) -> None:
        parts, now_ms = stage.daemon.parts, stage.daemon.parts.clock.now_ms()
        parts.bus.post(hold(HoldKind.KILL, "a test", now_ms))
        await trio.sleep((KILL_VERIFIED_MS + 1_100) / 1_000)
        alarms = {fact.alarm for fact in chaos.of(Alarmed) if fact.at_ms >= now_ms}
        proofs.append((not parts.ledger.sweep_wanted, alarms))

    ended = live(chaos, then)
    never(chaos, ended)
    ((verified, alarms),) = proofs
    assert verified or alarms & {"kill_unverified", "sweep_unverified"}


@pytest.mark.parametrize("seed", range(600, 600 + SEEDS))
def test_a_stop_in_the_chaos_is_verified_or_names_what_may_rest(seed: int) -> None:
    """Exit 0 and nothing rests, to the micro-dollar; or exit 75, and the alarm names at least what rests there."""
    chaos = Chaos(seed, rate=25)

    async def then(_stage: Stage, _link: FaultyLink) -> None:
        await trio.lowlevel.checkpoint()

    ended = live(chaos, then)
    never(chaos, ended)
    if ended.run.exit_code == EXIT_STOPPED:
        assert ended.run.violated == ()
        assert ended.resting == []
    else:
        assert ended.run.exit_code == EXIT_UNVERIFIED
        (alarm,) = [fact for fact in chaos.of(Alarmed) if fact.alarm == "stop_unverified"]
        assert [order for order in ended.resting if order not in alarm.text] == []
