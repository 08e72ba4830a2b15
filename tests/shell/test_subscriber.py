"""Markets that come and go on a live socket: nothing is connected again, and every book stays the exchange's."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial

import pytest
import trio
from feed_world import A, B, C, FeedWorld, feeds
from meddler import Frame

from kalshi_daemon import limits
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.units import Ticker


def changes(world: FeedWorld) -> list[tuple[str, int, list[Ticker]]]:
    """What was asked of the subscriptions since they were made."""
    params = [command["params"] for command in world.meddler.commands if command["cmd"] == "update_subscription"]
    return [(each["action"], each["sid"], each["market_tickers"]) for each in params]  # type: ignore[index]


def refusing(code: int, which: Callable[[Frame], bool]) -> Callable[[FeedWorld, Frame], bool]:
    """The exchange's own refusal of these commands, with its number in the sequence."""

    def hear(world: FeedWorld, command: Frame) -> bool:
        if which(command) and command["params"].get("action") != "get_snapshot":  # type: ignore[attr-defined]
            world.server.faults.add(parse_fault(f"refused:{code}x1"))
        return True

    return hear


async def change_all(world: FeedWorld) -> None:
    """A tenth of a second, in which every book changes."""
    for market in (A, B, C):
        world.place(market, world.rng.randrange(1, 40), world.rng.randrange(1, 5))
    await trio.sleep(0.1)


@pytest.mark.parametrize("sockets", [1, 2, 3])
async def test_a_market_is_added_and_dropped_on_the_same_socket(sockets, autojump_clock):
    """One command for each channel that takes markets; the new book is usable once its snapshot came, the dropped one
    is gone at once, and the others never stopped being usable.
    """
    async with feeds(sockets=sockets, wanted=(A, B)) as world:
        await world.until_proven()
        assert list(world.books.books) == [A, B]
        world.place(C, 40, 3)
        world.coordinator.want([A, B, C])
        assert world.usable() == [A, B]
        await world.until(lambda: world.usable() == [A, B, C], 1)
        world.coordinator.want([C, A])
        assert world.usable() == [A, C]
        world.place(B, 40, 3)
        world.place(C, 41, 3)
        await world.wait_quiet()
        world.assert_proven()
        assert changes(world) == [
            (action, sid, [market]) for action, market in (("add_markets", C), ("delete_markets", B)) for sid in (1, 2)
        ]
        assert world.books.books.keys() == world.books.histories.keys() == {A, C}
        assert len(world.meddler.dials_s) == sockets
        assert world.books.counts["gaps"] == 0
        assert world.books.counts["unwanted"] == 0


async def test_what_is_wanted_is_carried_by_the_next_socket(autojump_clock):
    """Changed while there is no socket, and while one is being subscribed: the books are those wanted last."""
    async with feeds(wanted=(A,)) as world:
        await world.until_proven()
        world.withdraw_streams()
        world.network.cut()
        await world.wait_quiet()
        world.coordinator.want([B])
        world.serve_streams()
        held: list[Frame] = []
        world.meddler.hear = lambda command: held.append(command) or len(held) != 7  # the last is not answered yet
        await world.until(lambda: len(held) == 7)
        world.coordinator.want([B, C])
        await world.wait_quiet()
        assert len(held) == 7
        answer = {"id": held[6]["id"], "type": "subscribed", "msg": {"channel": "order_group_updates", "sid": 7}}
        await world.meddler.say(json.dumps(answer))
        await world.until_proven()
        world.place(C, 40)
        await world.wait_quiet()
        world.assert_proven()
        assert list(world.books.books) == [B, C]


async def test_a_market_that_goes_and_comes_back_at_once_is_asked_for(autojump_clock):
    """Nothing was to be changed at the exchange, so that no snapshot comes by itself."""
    async with feeds() as world:
        await world.until_proven()
        world.coordinator.want([A, C])
        world.coordinator.want([A, B, C])
        assert world.usable() == [A, C]
        await world.until(lambda: world.usable() == [A, C, B], 2 * limits.MISSING_BOOKS_S + 0.1)
        assert [(action, markets) for action, _, markets in changes(world)] == [("get_snapshot", [B])]
        assert world.books.streamed
        assert world.differing() == []


async def test_a_change_is_answered_before_the_next_is_asked_for(autojump_clock):
    """The exchange may take commands in any order: what is asked meanwhile waits, and only the last wish counts."""
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        held: list[Frame] = []
        world.meddler.hear = lambda command: bool(held.append(command))
        world.coordinator.want([A])
        await world.wait_quiet()
        for wish in ([A, B, C], [C], [A, B]):
            world.coordinator.want(wish)
            await world.wait_quiet()
        assert [command["params"]["action"] for command in held] == ["delete_markets"] * 2  # type: ignore[index]
        world.meddler.hear = lambda command: True
        await world.meddler.say(*[json.dumps({"id": command["id"], "type": "ok"}) for command in held])
        await world.until_proven()
        await world.until(lambda: world.usable() == [A, B], 5)
        assert changes(world)[2:4] == [("add_markets", 1, [B]), ("add_markets", 2, [B])]


async def test_a_snapshot_that_outruns_the_removal_of_its_market_proves_nothing(autojump_clock):
    """Dropped, and wanted again before the removal is answered: a snapshot on its way from before is passed over, since
    the changes that follow it are not sent to us.
    """
    async with feeds() as world:
        await world.until_proven()
        world.coordinator.want([A, B])
        await trio.lowlevel.checkpoint()
        held: list[Frame] = []
        world.meddler.hear = lambda command: bool(held.append(command))
        await world.until(lambda: len(held) == 2)
        world.coordinator.want([A, B, C])
        msg = {"market_ticker": C, "yes_dollars_fp": [["0.1000", "5.00"]]}
        await world.meddler.say(json.dumps({"type": "orderbook_snapshot", "sid": 1, "seq": 4, "msg": msg}))
        await world.wait_quiet()
        assert world.usable() == [A, B]
        assert world.session.counts["unwanted"] == 1


async def test_a_change_that_is_not_answered_gives_the_socket_up(autojump_clock):
    """Within the time of subscribing; the next socket carries what is wanted."""
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        world.meddler.hear = lambda command: False
        world.coordinator.want([A, B, C])
        took_s = await world.until(lambda: not world.session.is_open, 20)
        assert took_s == pytest.approx(limits.CHANGE_ANSWER_S, abs=0.1)
        assert world.session.diagnosis == "no answer to a change of the markets: orderbook_delta, trade"
        world.meddler.hear = lambda command: True
        await world.until_proven(2)
        world.assert_proven()


async def test_a_change_that_is_refused_is_said_and_spoils_no_other_book(autojump_clock):
    """Nor its own: while its changes do not come a market is not usable, whatever snapshots it is asked for; the
    addition is asked for again, later each time, until it is accepted.
    """
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        refuse = refusing(26, lambda command: command["cmd"] == "update_subscription")
        world.meddler.hear = partial(refuse, world)
        world.coordinator.want([A, B, C])
        await world.wait_quiet()
        assert world.texts("subscription_refused")[0].endswith("orderbook_delta: 26 Subscription market limit exceeded")
        assert not world.session.carries(Role.ORDERBOOK)
        for _ in range(100):
            assert world.usable() == [A, B]
            await change_all(world)
            assert set(world.usable()) & set(world.differing()) == set()
        said = len(world.texts("subscription_refused"))
        asked = [sid for action, sid, _ in changes(world) if action == "add_markets"]
        assert asked == [1, 2] * 4, "after 1, 2, 4 seconds"
        assert world.session.counts["refused_commands"] == len(asked)
        world.meddler.hear = lambda command: True
        await world.until_proven(limits.REFUSED_COMMAND_S[1])
        await world.until(lambda: world.usable() == [A, B, C], 1)
        await change_all(world)
        world.assert_proven()
        assert said == len(world.texts("subscription_refused")) == 2, "what is refused again is not said again"
        assert len(world.meddler.dials_s) == 1


async def test_a_market_whose_prints_are_refused_keeps_its_book(autojump_clock):
    """Each channel is asked for what it was refused, and for nothing that it carries."""
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        world.meddler.hear = partial(refusing(27, lambda command: command["params"].get("sid") == 2), world)
        world.coordinator.want([A, B, C])
        await world.until(lambda: world.usable() == [A, B, C], 1)
        world.meddler.hear = lambda command: True
        assert not world.session.carries(Role.ORDERBOOK)
        await world.until_proven(2)
        assert changes(world) == [("add_markets", sid, [C]) for sid in (1, 2, 2)]


async def test_a_removal_that_is_refused_is_asked_for_again(autojump_clock):
    """Its market may be wanted again meanwhile: then it is added, and asked for by itself where it was never gone."""
    async with feeds() as world:
        await world.until_proven()
        world.meddler.hear = partial(refusing(18, lambda command: True), world)
        world.coordinator.want([A, C])
        await world.wait_quiet()
        world.meddler.hear = lambda command: True
        await world.until_proven(2)
        assert changes(world) == [("delete_markets", sid, [B]) for sid in (1, 2, 1, 2)]
        world.meddler.hear = partial(refusing(18, lambda command: True), world)
        world.coordinator.want([A])
        await world.wait_quiet()
        world.meddler.hear = lambda command: True
        world.coordinator.want([A, C])
        for _ in range(100):
            await change_all(world)
            assert set(world.usable()) & set(world.differing()) == set()
        world.assert_proven()
        assert len(world.meddler.dials_s) == 1


async def test_a_snapshot_that_outruns_the_answer_to_an_addition_proves_nothing(autojump_clock):
    """Asked for while the addition was under way, and the addition is refused: nothing follows it."""
    async with feeds(wanted=(A, B)) as world:
        await world.until_proven()
        held: list[Frame] = []
        world.meddler.hear = lambda command: bool(held.append(command))
        world.coordinator.want([A, B, C])
        await world.wait_quiet()
        msg = {"market_ticker": C, "yes_dollars_fp": [["0.1000", "5.00"]]}
        await world.meddler.say(json.dumps({"type": "orderbook_snapshot", "sid": 1, "seq": 3, "msg": msg}))
        await world.wait_quiet()
        assert world.usable() == [A, B]
        assert world.session.counts["unwanted"] == 1


async def test_without_any_market_there_is_no_feed_of_all_of_them(autojump_clock):
    """No book channel is subscribed until there is a market; from then on it is the same socket."""
    async with feeds(wanted=()) as world:
        await world.until(lambda: world.session.live)
        channels = [command["params"]["channels"] for command in world.meddler.commands]  # type: ignore[index]
        assert channels == [
            ["market_lifecycle_v2"],
            ["fill"],
            ["user_orders"],
            ["market_positions"],
            ["order_group_updates"],
        ]
        assert world.coordinator.feeds_usable
        world.coordinator.want([A, B])
        await world.until_proven(10)
        world.assert_proven()
        world.coordinator.want([])
        assert world.coordinator.feeds_usable
        assert world.usable() == []
        await trio.sleep(60)
        world.coordinator.want([C])
        await world.until_proven(10)
        world.assert_proven()
        assert len(world.meddler.dials_s) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_wanted_is_what_is_carried(seed, autojump_clock):
    """Wishes at random moments, a dropped socket now and then, deltas all the while: in the end the books are those
    wanted last and the exchange's own, and none was usable that was not.
    """
    draw = random.Random(seed)
    async with feeds(seed=seed, events_per_s=8.0, sockets=1 + seed % 3) as world:
        wish: list[Ticker] = [A, B, C]
        for _ in range(60):
            await trio.sleep(draw.choice([0.0, 0.001, 0.05, 1.0]))
            wish = draw.sample([A, B, C], draw.randrange(4))
            world.coordinator.want(wish)
            if draw.random() < 0.05:
                world.server.drop_streams()
            assert set(world.usable()) <= set(wish)
            await world.wait_quiet()
            if world.books.streamed:
                assert set(world.usable()) & set(world.differing()) == set()
        world.coordinator.want(wish := wish or [B])
        await world.until(lambda: world.books.streamed and len(world.usable()) == len(wish), 60)
        await world.wait_quiet()
        assert sorted(world.books.books) == sorted(wish)
        world.assert_proven()
