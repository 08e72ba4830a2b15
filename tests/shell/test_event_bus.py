"""The event bus: order, durability before effect, proposals against what was folded, and what becomes of failures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from kalshi_daemon.commands import Command, PlaceOrder, Poke, ProposeOrder
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.errors import OperatingError, Overflow
from kalshi_daemon.facts import (
    AccountFact,
    AccountOpened,
    Alarmed,
    HoldKind,
    HoldPlaced,
    OrderIntended,
    OrderSent,
    OrderSpec,
    RunStarted,
)
from kalshi_daemon.limits import BUS_BATCH_MAX, BUS_QUEUE_MAX, JOURNAL_BUSY_S
from kalshi_daemon.shell.event_bus import BusEnded, EventBus, News
from kalshi_daemon.shell.journal import MEMORY, Journal, in_place
from kalshi_daemon.units import CENT, DOLLAR, BookSide, TimeInForce

MARKET = "KXHIGHNY-26NOV22-B45.5"


def alarmed(number: int) -> Alarmed:
    return Alarmed(number, f"number_{number}", "")


def proposal(number: int = 0) -> ProposeOrder:
    return ProposeOrder(
        market=MARKET,
        side=BookSide.BID,
        price=5_600,
        count=500,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        post_only=False,
        reduces=False,
        purpose="policy",
        decision=number,
        model="",
        observation="",
    )


@define
class World:
    """A real ledger, order manager and journal in memory; the commit takes `commit_s`, or fails with `failure`."""

    commit_s: float = 0.0
    failure: OperatingError | None = None
    commands: list[Command] = field(factory=list)
    commits: list[list[AccountFact]] = field(factory=list)
    ledger: Ledger = field(factory=Ledger)
    journal: Journal = field(factory=lambda: Journal.open(MEMORY, in_place))
    cash_limit: int = DOLLAR * 5
    news: list[News] = field(factory=list)
    bus: EventBus = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bus = EventBus(self.ledger, OrderManager(), self.append, self.decide, self.commands.append)
        self.bus.listen(self.news.append)

    async def append(self, facts: Sequence[AccountFact]) -> int:
        await trio.sleep(self.commit_s)
        if self.failure is not None:
            raise self.failure
        self.commits.append(list(facts))
        return await self.journal.append(facts)

    def decide(self, proposed: ProposeOrder) -> OrderIntended | None:
        """A gate that lets orders reserve five dollars in all."""
        reserve = proposed.price * proposed.count + 10 * CENT
        if self.ledger.reserved(0) + reserve > self.cash_limit:
            return None
        number = self.ledger.next_number
        spec = OrderSpec(
            market=proposed.market,
            side=proposed.side,
            price=proposed.price,
            count=proposed.count,
            time_in_force=proposed.time_in_force,
            post_only=False,
            reduce_only=False,
            expires_s=None,
            exchange_index=0,
        )
        return OrderIntended(
            at_ms=1,
            number=number,
            client_order_id=self.ledger.client_order_id(number),
            spec=spec,
            reserve=reserve,
            purpose=proposed.purpose,
            decision=proposed.decision,
            model="",
            observation="",
        )

    def journaled(self) -> list[AccountFact]:
        return [fact for _, fact in self.journal.verify_and_read()]

    def open_account(self) -> list[AccountFact]:
        return [RunStarted(0, "0t64csg00001", "0.1.0"), AccountOpened(0, ((0, 100 * DOLLAR),), ())]


async def test_facts_are_folded_and_journaled_in_the_order_they_were_posted(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """From several posters, over several batches: the ledger's version, the journal and the posting agree."""
    world = World(commit_s=0.001)
    nursery.start_soon(world.bus.run)
    posted: list[AccountFact] = []
    for round_ in range(20):
        for number in range(round_ + 1):
            posted.append(alarmed(100 * round_ + number))
            world.bus.post(posted[-1])
        await trio.sleep(0.0005)
    await world.bus.drain()
    assert world.journaled() == posted
    assert world.ledger.version == world.bus.counts["folded"] == len(posted)
    assert 1 < world.bus.counts["batches"] < len(posted)


async def test_a_batch_is_bounded_and_one_commit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """What waits is folded together, but never more than the bound between two commits."""
    world = World()
    for number in range(BUS_BATCH_MAX * 2 + 5):
        world.bus.post(alarmed(number))
    nursery.start_soon(world.bus.run)
    await world.bus.drain()
    assert [len(batch) for batch in world.commits] == [BUS_BATCH_MAX, BUS_BATCH_MAX, 5]


async def test_nothing_follows_before_it_is_durable(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """While the commit is under way: no command, no news, nobody settled; afterwards all three at once."""
    world = World(commit_s=1.0)
    settled = trio.Event()

    async def settle() -> None:
        await world.bus.settle(HoldPlaced(1, HoldKind.OPERATOR, "", "test", "resume", "", None))
        settled.set()

    nursery.start_soon(world.bus.run)
    nursery.start_soon(settle)
    await trio.sleep(0.5)
    assert world.ledger.held
    assert (world.commands, world.news, settled.is_set(), world.journaled()) == ([], [], False, [])
    await trio.sleep(0.6)
    assert world.commands[0] == Poke("hold_placed")
    assert settled.is_set()
    assert [each.seq for each in world.news] == [1]


async def test_a_proposal_is_decided_with_everything_before_it_folded(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Two proposals in one batch: the second sees what the first reserved and is refused; the first is sent once."""
    world = World()
    for item in [*world.open_account(), proposal(1), proposal(2)]:
        world.bus.post(item)
    nursery.start_soon(world.bus.run)
    await world.bus.drain()
    assert len(world.commits) == 1
    intents = [fact for fact in world.journaled() if isinstance(fact, OrderIntended)]
    assert [intent.decision for intent in intents] == [1]
    sent = [command for command in world.commands if isinstance(command, PlaceOrder)]
    assert sent == [PlaceOrder("kd-0t64csg00001-1", intents[0].spec)]
    assert (world.bus.counts["proposals"], world.bus.counts["refused"]) == (2, 1)


async def test_a_refused_proposal_alone_needs_no_commit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    world = World(cash_limit=0)
    world.bus.post(proposal())
    nursery.start_soon(world.bus.run)
    await world.bus.drain()
    assert (world.commits, world.bus.counts["refused"], world.ledger.version) == ([], 1, 0)


async def test_facts_posted_by_a_command_belong_to_a_later_batch(autojump_clock: MockClock) -> None:
    """The writer's `OrderSent` is folded after the batch of its intent, and drain waits for it."""
    world = World()

    def send(command: Command) -> None:
        if isinstance(command, PlaceOrder):
            bus.post(OrderSent(2, command.client_order_id))

    bus = EventBus(world.ledger, OrderManager(), world.append, world.decide, send)
    for item in [*world.open_account(), proposal()]:
        bus.post(item)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run)
        await bus.drain()
        nursery.cancel_scope.cancel()
    assert [[type(fact).__name__ for fact in batch] for batch in world.commits] == [
        ["RunStarted", "AccountOpened", "OrderIntended"],
        ["OrderSent"],
    ]


async def test_a_failed_commit_ends_the_bus_and_nothing_took_effect(autojump_clock: MockClock) -> None:
    """The error escapes bare to whoever runs the bus; who waited is told; what is posted later is counted, not kept."""
    world = World(failure=OperatingError("the disk is full"))
    told = []

    async def settle() -> None:
        try:
            await world.bus.settle(HoldPlaced(1, HoldKind.OPERATOR, "", "test", "resume", "", None))
        except BusEnded as error:
            told.append(str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OperatingError, match="the disk is full"):
            await world.bus.run()
    assert world.commands == []
    assert told == ["the event bus ended before HoldPlaced was durable"]
    assert world.news == []
    world.bus.post(alarmed(1))
    assert world.bus.counts["late"] == 1
    with pytest.raises(BusEnded, match="ended before 1 facts were durable"):
        await world.bus.drain()
    with pytest.raises(BusEnded):
        await world.bus.settle(alarmed(2))


async def test_a_journal_that_hangs_is_an_operating_error(autojump_clock: MockClock) -> None:
    """The wait for the disk has a bound, and says what to look at."""
    world = World(commit_s=math.inf)
    world.bus.post(alarmed(1))
    with pytest.raises(OperatingError, match="took no commit within 5 s: see that its disk is healthy"):
        await world.bus.run()
    assert trio.current_time() == JOURNAL_BUSY_S


async def test_being_cancelled_during_a_commit_finishes_the_batch(autojump_clock: MockClock) -> None:
    """The commit's end is waited for, and what it made durable takes effect; the facts behind it are durable too."""
    world = World(commit_s=1.0)
    world.bus.post(HoldPlaced(1, HoldKind.OPERATOR, "", "test", "resume", "", None))
    with trio.move_on_after(0.5) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.bus.run)
            await trio.testing.wait_all_tasks_blocked()
            world.bus.post(proposal())
            world.bus.post(alarmed(2))
    assert scope.cancelled_caught
    assert trio.current_time() == 2.0
    assert [type(fact).__name__ for fact in world.journaled()] == ["HoldPlaced", "Alarmed"]
    assert world.bus.counts["proposals"] == 0
    assert Poke("hold_placed") in world.commands


async def test_over_its_bound_the_queue_says_so() -> None:
    """Nothing is dropped in silence: the poster of one too many is told, and the rest is still there."""
    world = World()
    for number in range(BUS_QUEUE_MAX):
        world.bus.post(alarmed(number))
    with pytest.raises(Overflow, match=f"{BUS_QUEUE_MAX} facts wait for the journal"):
        world.bus.post(alarmed(0))
    assert world.bus.waiting == BUS_QUEUE_MAX


async def test_who_listens_hears_everything_in_order_with_its_changes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Each is told of every fact from its listening on, with the journal's number, and after the commands."""
    world = World()
    nursery.start_soon(world.bus.run)
    at_first: list[list[Command]] = []
    world.bus.listen(lambda _news: at_first.append(list(world.commands)))
    await world.bus.settle(HoldPlaced(1, HoldKind.OPERATOR, "", "test", "resume", "", None))
    later: list[News] = []
    world.bus.listen(later.append)
    await world.bus.settle(alarmed(2))
    await world.bus.settle(alarmed(3))
    heard = [(each.seq, type(each.fact).__name__) for each in world.news]
    assert heard == [(1, "HoldPlaced"), (2, "Alarmed"), (3, "Alarmed")]
    assert type(world.news[0].changes[0]).__name__ == "HoldsChanged"
    assert at_first[0] == [Poke("hold_placed")]
    assert [each.seq for each in later] == [2, 3]


async def test_a_bus_that_is_idle_is_drained_at_once(autojump_clock: MockClock) -> None:
    world = World()
    await world.bus.drain()
    assert world.bus.waiting == 0


async def test_the_journal_replays_to_the_same_ledger(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """What the bus folded live and what a fold of its journal gives are the same bytes."""
    world = World()
    nursery.start_soon(world.bus.run)
    for item in [*world.open_account(), proposal(1), OrderSent(2, "kd-0t64csg00001-1")]:
        world.bus.post(item)
    await world.bus.drain()
    replayed = Ledger()
    for fact in world.journaled():
        replayed.apply(fact)
    assert replayed.snapshot() == world.ledger.snapshot()
    assert replayed.version == 4
