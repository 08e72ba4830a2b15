"""Decision replay: a day that was recorded is decided again to the byte, and one thing that is another is named."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen
from msgspec.structs import replace

from kalshi_daemon import limits
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings, make_world
from kalshi_daemon.facts import AccountFact, FillSeen, OrderIntended
from kalshi_daemon.policy.action_selector import HoldSelector, RulesSelector
from kalshi_daemon.replay.decisions import Compared, DecisionReplay
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.shell.versions import versions
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.faulty_link import NEVER_ARRIVES, FaultyLink
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.simulation.virtual_site import CASH, HOST, PORT, START_MS, VirtualSite
from kalshi_daemon.wire.records import Batch, Checkpoint, Decided, Frame, Head, Hole, Record

LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=4.0))
STREAM = "/ws/v2"
DAYS = int(os.environ.get("DAYS", "2"))  # `make nightly` lives more
Facts = list[tuple[int, AccountFact]]


@frozen
class Day:
    records: list[Record]
    facts: Facts


async def run_once(folder: Path, site: VirtualSite, link: FaultyLink, variables: Mapping[str, str]) -> None:
    """A reset, some seconds without any stream, and a stop."""
    daemon = site.daemon(variables, journal=folder / "journal.sqlite3")
    stopped = trio.Event()

    async def run() -> None:
        assert await daemon.run() == 0
        stopped.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await daemon.parts.coordinator.until_usable()
        await trio.sleep(8.0)
        site.world.server.drop_streams()
        await trio.sleep(5.0)
        link.judge = lambda method, target: NEVER_ARRIVES if (method, STREAM in target) == ("GET", True) else None
        site.world.server.drop_streams()
        await trio.sleep(5.0)
        link.judge = lambda _method, _target: None
        await trio.sleep(12.0)
        assert daemon.parts.books.streamed
        daemon.stop()
        await stopped.wait()


async def live(folder: Path, seed: int, pricing: str) -> Day:
    """Two runs on one journal."""
    variables = {"KALSHI_RECORDING_DIR": str(folder / "recorded"), "KALSHI_PRICING": pricing}
    rng, clock = random.Random(seed), VirtualClock(START_MS)
    world = make_world(LIVELY, clock.now_ms, rng)
    network, link = MemoryNetwork(rng), FaultyLink(world.server.handle)
    network.serve(HOST, PORT, link.handle)
    site = VirtualSite(world, world.server.join(CASH), network, clock, rng)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        nursery.start_soon(world.server.run)
        for _ in range(2):
            await run_once(folder, site, link, variables)
        nursery.cancel_scope.cancel()
    records = [record for path in segments_of(folder / "recorded") for record in SegmentReader(path).records()]
    return Day(records, list(read_journal(folder / "journal.sqlite3")))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Day]:
    """Days by their seeds, each lived once; those of even seeds rest their orders."""

    @cache
    def lived(seed: int) -> Day:
        with pytest.MonkeyPatch.context() as patch, seeded_scheduling(seed):
            patch.setattr(limits, "RECORDING_BLOCK", 20_000)
            patch.setattr(limits, "RECORDING_SEGMENT", 60_000)
            clock = trio.testing.MockClock(autojump_threshold=0)
            folder = tmp_path_factory.mktemp("day")
            return trio.run(live, folder, seed, "take" if seed % 2 else "join", clock=clock)

    return lived


@pytest.fixture(params=[1, 2], ids=["take", "join"])
def day(request: pytest.FixtureRequest, days: Callable[[int], Day]) -> Day:
    return days(request.param)


def compare(records: Iterable[Record], facts: Facts, selector=RulesSelector) -> Compared:
    return DecisionReplay(lambda: facts, lambda _policy: selector(), versions()).compare(records)


@pytest.mark.parametrize("seed", range(1, DAYS + 1))
def test_a_day_is_decided_again_to_the_byte(days: Callable[[int], Day], seed: int) -> None:
    """Every batch of both runs, and every order and amend that the journal has of the policy."""
    day = days(seed)
    compared = compare(day.records, day.facts)
    batches = [record for record in day.records if isinstance(record, Batch)]
    assert (compared.difference, compared.verdict, compared.unjudged) == ("", "equal", {})
    assert compared.batches == len(batches) > 50
    assert compared.decisions == sum(len(batch.markets) for batch in batches)
    meant = [fact for _seq, fact in day.facts if getattr(fact, "decision", 0) and hasattr(fact, "spec")]
    assert compared.orders == len(meant)
    assert compared.checkpoints > 0
    assert (compared.holes, compared.versions) == (0, {})


def changed(items: list[Record], wanted: Callable[[Record], bool], change: Callable[[Record], Record]) -> list[Record]:
    """The same, with one of those that are wanted, in their middle, as another."""
    places = [place for place, item in enumerate(items) if wanted(item)]
    place = places[len(places) // 2]
    return [*items[:place], change(items[place]), *items[place + 1 :]]


def _act(batch: Batch) -> Batch:
    first = batch.markets[0]
    return replace(batch, markets=[replace(first, action=first.action + 1), *batch.markets[1:]])


def _is_delta(record: Record) -> bool:
    return isinstance(record, Frame) and record.noted_ms is not None and b"orderbook_delta" in record.data


CHANGES: dict[str, tuple[Callable[[Record], bool], Callable[[Record], Record]]] = {
    "an action": (lambda r: isinstance(r, Batch), _act),
    "a bit of the observation": (
        lambda r: isinstance(r, Batch),
        lambda r: replace(r, observation_crc=r.observation_crc ^ 1),
    ),
    "a bit of the mask": (lambda r: isinstance(r, Batch), lambda r: replace(r, mask_crc=r.mask_crc ^ 1)),
    "a book's version": (
        lambda r: isinstance(r, Batch),
        lambda r: replace(r, markets=[replace(each, version=each.version + 1) for each in r.markets]),
    ),
    "what the portfolio is worth": (
        lambda r: isinstance(r, Batch),
        lambda r: replace(r, portfolio_value=r.portfolio_value + 1),
    ),
    "a delta that nothing took": (_is_delta, lambda r: replace(r, noted_ms=None)),
    "the time of a delta": (_is_delta, lambda r: replace(r, noted_ms=r.noted_ms + 60_000)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_thing_that_is_another_is_found(day: Day, what: str) -> None:
    """Of a batch, or of a frame before one: the replay ends there, and says where."""
    wanted, change = CHANGES[what]
    compared = compare(changed(day.records, wanted, change), day.facts)
    assert compared.verdict == "different"
    assert compared.batches < len([record for record in day.records if isinstance(record, Batch)])
    assert compared.difference


def test_a_fact_that_is_another_is_found(day: Day) -> None:
    """A fill of another count leads to another portfolio or observation; an order of another price was not proposed."""
    facts = list(day.facts)
    place = next(at for at, (_seq, fact) in enumerate(facts) if isinstance(fact, FillSeen))
    seq, fill = facts[place]
    assert isinstance(fill, FillSeen)
    less = [*facts[:place], (seq, evolve(fill, count=fill.count - 100)), *facts[place + 1 :]]
    assert compare(day.records, less).verdict == "different"
    place = next(at for at, (_seq, fact) in enumerate(facts) if isinstance(fact, OrderIntended) and fact.decision)
    seq, meant = facts[place]
    assert isinstance(meant, OrderIntended)
    dearer = evolve(meant, spec=evolve(meant.spec, price=meant.spec.price + 100))
    compared = compare(day.records, [*facts[:place], (seq, dearer), *facts[place + 1 :]])
    assert compared.difference.startswith(f"decision {meant.decision}, {meant.spec.market}: ")
    assert compared.difference.endswith(" was meant")


def test_what_cannot_be_judged_is_said(day: Day) -> None:
    """Another model, a journal that ends early, one of other runs, a hole: counted by why, and no difference."""
    batches = sum(isinstance(record, Batch) for record in day.records)
    other = compare(day.records, day.facts, HoldSelector)
    assert (other.verdict, other.unjudged) == ("undecided", {"of the model rules, which is not at hand": batches})
    early = compare(day.records, day.facts[: len(day.facts) // 2])
    assert early.verdict == "equal"
    assert 0 < sum(early.unjudged.values()) < batches
    strange = compare(day.records, [])
    assert strange.unjudged == {"of a run that the journal does not know": batches}
    at = next(place for place, record in enumerate(day.records) if isinstance(record, Checkpoint) and place > 0)
    hole = [*day.records[:at], Hole(0, 0, 3, "a test"), *day.records[at:]]
    assert (compare(hole, day.facts).verdict, compare(hole, day.facts).holes) == ("equal", 1)
    heads = [replace(r, versions={**r.versions, "numpy": "0"}) if isinstance(r, Head) else r for r in day.records]
    assert compare(heads, day.facts).versions == {"numpy": ("0", versions()["numpy"])}
    assert isinstance(next(r for r in day.records if isinstance(r, Batch)).markets[0], Decided)
