"""The daemon and everything that the exchange does wrong: one fault after another, and many at once, on the virtual
clock. Each bites, no order is sent twice, and afterwards it trades again and the account is equal to the micro-dollar.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from stages import until_trading

from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.fault_draw import draw_faults
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import KINDS
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.facts import AccountDiffers, AccountFact, OrderSent
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually

LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=1.0))
VARIABLES = {"KALSHI_PRICING": "join", "KALSHI_MARKETS": "DEMOTEMP-DAY1-T60,DEMOTEMP-DAY1-T62,DEMORATE-MEET-CUT"}
FAULTY_S = 20.0  # of faults drawn at random
BITTEN_S = 600.0  # an order, a fill or a frame to meet the fault comes within it
AFTER_S = 5.0  # a fault goes on for so long when it has bitten
CALM_S = 1_200.0  # a refused key is tried again after a quarter of an hour
KNOWN_S = 75.0  # an order whose fate is unknown is resolved when its request can no longer arrive
FAULTS = {
    "key refused": ("upgrade:401", "upgrade:403"),
    "upgrade refused": ("upgrade:429", "upgrade:502", "upgrade:503"),
    "requests refused": ("error:429", "error:500%30", "error:502%30", "error:503", "error:504:POST"),
    "requests lost": ("dropped%30", "late:3%30", "dropped:POST/orders"),
    "answers lost": ("lost%20", "lost:POST/orders", "masked:503%20", "masked:502:POST/orders"),
    "answers late": ("slow:4%30", "slow:15%20"),
    "answers wrong": ("truncated%30", "garbled%30", "truncated:POST/orders"),
    "frames": ("gap%3", "gap:fill", "gap:user_order", "duplicate%10", "reorder%10", "overflow%10"),
    "connections": ("reset%10", "half-open%5", "stalled:1%10", "stalled:20%5"),
    "reads and clock": ("stale:3", "clock:-40", "clock:40"),
    "pauses": ("pause", "maintenance"),
    "network": ("dns", "tls"),
    "commands refused": ("refused:18x3", "refused:27x2", "refused:1:subscribex1"),
}
DROPS = ("upgrade", "refused", "dns", "tls")  # they are met by what connects anew


Meet = Callable[[Stage], Awaitable[None]]


def survive(seed: int, meet: Meet) -> None:
    """Trade, meet the faults, trade again, and stop with an account that is exact."""
    facts: list[AccountFact] = []

    async def scenario(stage: Stage) -> None:
        stage.daemon.parts.bus.listen(lambda news: facts.append(news.fact))
        await until_trading(stage, 60)
        await meet(stage)
        await until_trading(stage, CALM_S)
        await trio.sleep(KNOWN_S)

    run = run_virtually(seed, scenario, LIVELY, VARIABLES)
    sent = [fact.client_order_id for fact in facts if isinstance(fact, OrderSent)]
    assert len(sent) == len(set(sent))
    assert [fact for fact in facts if isinstance(fact, AccountDiffers)] == []
    assert run.violated == ()
    assert run.exit_code == EXIT_STOPPED
    assert run.compared > 0


async def until_bitten(stage: Stage, text: str) -> None:
    faults = stage.world.server.faults
    planned = parse_fault(text)
    faults.add(planned)
    if planned.fault.kind.word in DROPS:
        stage.network.cut()
    with trio.fail_after(BITTEN_S):
        while not faults.bites(planned.fault.kind):  # noqa: ASYNC110 - the virtual clock makes waiting free
            await trio.sleep(0.1)
    await trio.sleep(AFTER_S)
    faults.clear()


@pytest.mark.parametrize(("seed", "name"), list(enumerate(FAULTS)))
def test_each_fault_is_survived(name: str, seed: int) -> None:
    """One after another while it trades: each bites, and what follows is as if it had not been."""

    async def meet(stage: Stage) -> None:
        for text in FAULTS[name]:
            await until_bitten(stage, text)
            await until_trading(stage, CALM_S)

    survive(seed, meet)


def test_every_kind_is_among_them() -> None:
    """A kind of fault that is added is survived too, or this names it."""
    words = {parse_fault(text).fault.kind.word for texts in FAULTS.values() for text in texts}
    assert words == {kind.word for kind in KINDS}


@pytest.mark.parametrize("seed", range(1_000, 1_005))
def test_faults_drawn_at_random_are_survived(seed: int) -> None:
    """Several at once, at any time, twice over."""
    draw = random.Random(seed)
    bites: list[int] = []

    async def meet(stage: Stage) -> None:
        faults = stage.world.server.faults
        for _ in range(2):
            for each in draw_faults(draw, FAULTY_S):
                faults.add(each)
            if draw.random() < 0.5:
                stage.network.cut()
            await trio.sleep(FAULTY_S)
            bites.extend(each.bites for each in faults.scheduled)
            faults.clear()
            await until_trading(stage, CALM_S)

    survive(seed, meet)
    assert sum(bites) > 0
