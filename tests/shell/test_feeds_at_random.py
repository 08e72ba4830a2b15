"""Half a minute of random trouble, many seeds: in the end the books are the exchange's, and nothing is left over.

A seed decides everything: what the crowd does, when which trouble comes, and how trio schedules. What a book shows as
usable is held against the exchange all the while, except where a frame was taken away that nobody can know of yet.
"""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from feed_world import A, B, C, FeedWorld, feeds
from meddler import CUT, END

from kalshi_daemon.simulation.determinism import seeded_scheduling

DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
TROUBLE_S = 30.0
FRAMES = ("lose", "double", "hold", "bend", "garbage", "cut", "end", "half")
CONNECTIONS = ("drop", "cut all", "mute", "503", "401", "withdraw", "no reads", "quiet")


class Trouble:
    """Draws what goes wrong next, and does it."""

    def __init__(self, world: FeedWorld, draw: random.Random) -> None:
        self.world = world
        self.done: list[str] = []
        self.looks = 0
        self.unseen = False  # a frame was taken away since the books were last proven to be whole
        self._draw = draw
        self._held: list[str] = []

    def edit(self, text: str) -> list[object]:
        """Trouble with single frames, one in fifty."""
        held, self._held = self._held, []
        if self._draw.random() > 0.02:
            return [text, *held]
        kind = self._draw.choice(FRAMES)
        self.done.append(kind)
        if kind in {"lose", "hold"}:
            self.unseen = True
        if kind == "hold":  # until after the next one
            self._held = [text]
            return held
        bent = list(text)
        bent[self._draw.randrange(len(text) - 1)] = chr(self._draw.randrange(32, 127))
        self.unseen |= kind == "bend"  # it may still read, and say something else
        edits: dict[str, list[object]] = {
            "lose": [],
            "double": [text, text],
            "bend": ["".join(bent)],
            "garbage": [text, "\x7f{"],
            "cut": [text, CUT],
            "end": [END],
            "half": [text.encode()[: len(text) // 2], CUT],
        }
        return [*edits[kind], *held]

    async def strike(self) -> None:
        """Trouble with connections."""
        world, draw = self.world, self._draw
        kind = draw.choice(CONNECTIONS)
        self.done.append(kind)
        for_s = draw.uniform(0.0, 4.0)
        if kind == "drop":
            world.server.drop_streams()
        elif kind == "cut all":
            world.network.cut()
        elif kind == "mute":
            self.unseen = world.meddler.mute = True
            await trio.sleep(for_s)
            world.meddler.mute = False
        elif kind in {"503", "401"}:
            world.meddler.refusals = [DOWN if kind == "503" else REFUSED] * draw.randrange(1, 3)
            world.server.drop_streams()
        elif kind == "withdraw":
            world.withdraw_streams()
            world.network.cut()
            await trio.sleep(for_s)
            world.serve_streams()
        elif kind == "no reads":
            world.network.withdraw("rest.test", 80)
            await trio.sleep(for_s)
            world.serve_reads()

    async def look(self) -> None:
        """Whenever all that was sent has arrived: a book that may be traded on is the exchange's."""
        world = self.world
        while True:
            await trio.sleep(0.05)
            if not world.books.streamed:
                self.unseen = False
            elif not self.unseen:
                self.looks += 1
                assert set(world.usable()) & set(world.differing()) == set(), self.done


async def live(seed: int) -> Trouble:
    draw = random.Random(seed)
    async with feeds(seed=seed, events_per_s=4.0, sockets=1 + seed % 3) as world:
        trouble = Trouble(world, draw)
        await world.until_proven()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trouble.look)
            world.meddler.edit = trouble.edit
            while trio.current_time() < TROUBLE_S:
                await trio.sleep(draw.expovariate(0.4))
                await trouble.strike()
            world.meddler.edit = lambda text: [text]
            world.meddler.refusals = []
            nursery.cancel_scope.cancel()
        world.server.drop_streams()  # of what was bent and still read, nobody knows but the audit
        world.coordinator.retry()
        await trio.sleep(0.1)
        await world.until_proven(60)
        for market in (A, B, C):
            world.place(market, 1)
        await world.wait_quiet()
        world.assert_proven()
    return trouble


@pytest.mark.parametrize("seed", range(36))
def test_whatever_happens_the_books_come_back(seed):
    """After random losses, doubles, swaps, bent and half frames, cuts, refusals and silences: every book equal, every
    session live, no task crashed (`feeds` sees to it) and none left.
    """
    left: list[int] = []

    async def main() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        trouble = await live(seed)
        assert len(trouble.done) > 5
        left.append(trio.lowlevel.current_statistics().tasks_living - before)

    with seeded_scheduling(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert left == [0]


def test_troubles_are_of_every_kind():
    """A few of the seeds above meet each trouble, and look at usable books between them: what never happens proves
    nothing.
    """
    troubles: list[Trouble] = []

    async def main(seed: int) -> None:
        troubles.append(await live(seed))

    for seed in range(6):
        with seeded_scheduling(seed):
            trio.run(main, seed, clock=trio.testing.MockClock(autojump_threshold=0))
    assert set().union(*(trouble.done for trouble in troubles)) == {*FRAMES, *CONNECTIONS}
    assert all(trouble.looks > 25 for trouble in troubles), [trouble.looks for trouble in troubles]
