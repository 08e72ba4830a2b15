"""Each kind of fault over several seeds, at a real server: a seed says which occasions are met, another says others."""

from __future__ import annotations

import random

import pytest
import trio
from emulator_world import START_MS, A, World, ask, world
from trio.testing import MockClock

from kalshi_daemon.emulator.fault_draw import draw_faults
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import KINDS, NEEDED, STATE, Kind
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import BookSide

OCCASIONS = 12
BY_CHANCE = [kind for kind in KINDS if kind.place != STATE]


async def meet_network(faults: FaultSchedule) -> list[int]:
    """Connections through the simulation's network, to nobody."""
    network, bites = MemoryNetwork(random.Random(1), faults=faults), []
    for _ in range(OCCASIONS):
        with pytest.raises(Exception, match=r"refused|failed TLS|no address"):
            await network.connect("exchange", 443, tls=True)
        bites.append(faults.scheduled[0].bites)
    return bites


async def request(emulator: World) -> None:
    await emulator.ask("GET", "/trade-api/v2/markets")


async def stream(emulator: World) -> None:
    async with emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
        emulator.trade(A, 1, side=BookSide.BID, cents=emulator.server.faults.rng.randrange(1, 40))


async def meet_server(kind: Kind, faults: FaultSchedule, emulator: World) -> list[int]:
    """Requests or streams one after another, whatever the client makes of them."""
    bites, step = [], request if kind.place in {"request", "connection"} else stream
    for _ in range(OCCASIONS):
        with trio.move_on_after(10):
            try:
                await step(emulator)
            except* Exception:  # noqa: BLE001, S110 - cut, refused or unreadable: what was met is what counts
                pass
        bites.append(faults.scheduled[0].bites)
    return bites


def met(kind: Kind, seed: int) -> list[int]:
    """How often the fault had bitten after each of the occasions."""
    needed = ":5" if any(figure.default is NEEDED for figure in kind.figures) else ""
    planned = parse_fault(f"{kind.word}{needed}%50")

    async def run() -> list[int]:
        if kind.place in {"network", "handshake"}:
            return await meet_network(FaultSchedule(lambda: START_MS, random.Random(seed), [planned]))
        async with world() as emulator:
            emulator.server.faults.rng.seed(seed)
            emulator.server.faults.add(planned)
            return await meet_server(kind, emulator.server.faults, emulator)

    with seeded_scheduling(1):
        return trio.run(run, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("kind", BY_CHANCE, ids=[kind.word for kind in BY_CHANCE])
def test_a_seed_says_what_is_met(kind: Kind) -> None:
    """The same occasions under the same seed, others under another, and some under each."""
    runs = [met(kind, seed) for seed in (1, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2] != runs[3]
    assert all(run[-1] > 0 for run in runs)


def test_faults_of_the_state_are_drawn_by_seed() -> None:
    """They are in force all their time, so their seed says which there are and when; each comes under some."""
    drawn = [draw_faults(random.Random(seed), 60.0) for seed in range(40)]
    assert len(set(drawn)) == len(drawn)
    words = {each.fault.kind.word for run in drawn for each in run if each.fault.kind.place == STATE}
    assert words == {kind.word for kind in KINDS if kind.place == STATE}
