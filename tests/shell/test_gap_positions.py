"""A gap at each place of a stream is found: by the counting of one subscription, and by the feeds end to end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import count

import pytest
import trio
from attrs import frozen
from feed_world import A, B, C, feeds

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.emulator.auth import make_key
from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import BookDelta, BookSnapshot
from kalshi_daemon.shell.clock import VirtualClock
from kalshi_daemon.shell.door import Door
from kalshi_daemon.shell.feeds import ANY_CHANNEL, Role
from kalshi_daemon.shell.session import Session, SessionSeams
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.shell.subscriber import Subscriber
from kalshi_daemon.shell.subscriptions import Asked
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.wire.feed import Decoded, decode_frame

POSITIONS = 1_000
MARKETS = (A, B, C)
SIGNER = signer_from_pem("key", make_key(random.Random(1)).private_pem, "the key in memory")


def stream(draw: random.Random) -> list[str]:
    """Snapshots, changes, answers and errors of one subscription, numbered from 1."""
    frames: list[dict[str, object]] = []
    for seq in range(1, POSITIONS + 1):
        market = draw.choice(MARKETS)
        kind = "orderbook_snapshot" if seq <= len(MARKETS) else draw.choice(["orderbook_delta"] * 8 + ["ok", "error"])
        msg: dict[str, object] = {"market_ticker": market}
        if kind == "orderbook_snapshot":
            msg = {"market_ticker": MARKETS[seq - 1], "yes_dollars_fp": [["0.1000", "500.00"]]}
        elif kind == "orderbook_delta":
            msg |= {"price_dollars": "0.1000", "delta_fp": "1.00", "side": "yes", "ts_ms": seq}
        elif kind == "error":
            msg = {"code": 7, "msg": "Unknown subscription ID"}
        else:
            msg = {"market_tickers": list(MARKETS)}
        frames.append({"type": kind, "sid": 1, "seq": seq, "msg": msg})
    return [json.dumps(frame) for frame in frames]


@frozen
class Heard:
    """What a session tells of the frames that it is given."""

    facts: list[Decoded]
    gaps: list[str]


def session_that_hears() -> tuple[Session, Subscriber, Heard]:
    heard = Heard([], [])
    rng = random.Random(1)
    clock = VirtualClock(1_800_000_000_000)

    def nothing(*_arguments: object) -> None:
        """Of no matter here."""

    def on_fault(error: WireError) -> None:
        raise AssertionError(error)

    def on_step(_chart: str, _step: Step) -> None:
        raise AssertionError("nothing runs")

    seams = SessionSeams(
        market=Door(("ws://first.test/",), SIGNER),
        account=Door(("ws://first.test/",), SIGNER),
        network=MemoryNetwork(rng),
        clock=clock,
        rng=rng,
        on_fact=lambda _, fact: heard.facts.append(fact),
        on_fault=on_fault,
        on_gap=lambda _, channel: heard.gaps.append(channel),
        on_change=nothing,
        on_step=on_step,
        on_alarm=nothing,
    )
    session = Session("market", (Role.ORDERBOOK,), MARKETS, seams)
    subscriber = Subscriber(("orderbook_delta",), MARKETS, count(1), nothing)
    subscriber._channels["orderbook_delta"].asked = dict.fromkeys(MARKETS, Asked("orderbook_delta", accepted=True))
    subscriber.known.sids["orderbook_delta"] = 1
    return session, subscriber, heard


async def test_a_frame_that_is_missing_is_found_at_every_place() -> None:
    """Each of a thousand, whatever it was; told once, with the frame after it, and with no other. The last one is
    missed by what comes next, as any other is.
    """
    texts = stream(random.Random(1))
    texts.append(json.dumps({"type": "ok", "sid": 1, "seq": POSITIONS + 1}))
    decoded = [decode_frame(text, 0) for text in texts]
    for missing in range(POSITIONS):
        session, subscriber, heard = session_that_hears()
        for at, fact in enumerate(decoded):
            if at == missing:
                continue
            session._frames.handle(subscriber, fact)
            assert len(heard.gaps) == (at > missing), missing
        assert heard.gaps == ["orderbook_delta"]


@pytest.mark.parametrize("kind", ["doubled", "swapped", "unreadable"])
async def test_a_frame_that_is_out_of_place_is_found_at_every_place(kind: str) -> None:
    """Come twice, come after its successor, or come as something that cannot be read: told at once, everywhere."""
    texts = stream(random.Random(2))
    decoded = [decode_frame(text, 0) for text in texts]
    for place in range(POSITIONS - 1):
        session, subscriber, heard = session_that_hears()
        subscriber.known._highest[1] = place
        if kind == "doubled":
            session._frames.handle(subscriber, decoded[place])
            assert heard.gaps == []
            session._frames.handle(subscriber, decoded[place])
        elif kind == "swapped":
            session._frames.handle(subscriber, decoded[place + 1])
        else:
            session._frames.pass_over(subscriber.known, texts[place].replace('"type": "', '"type": "not '))
        assert heard.gaps == ["orderbook_delta"], place
        books = [fact for fact in heard.facts if isinstance(fact, BookDelta | BookSnapshot)]
        assert len(books) <= 1, "the second one is not handed on"
    assert ANY_CHANNEL not in heard.gaps


def lose_one(skip: int, lost: list[str]) -> Callable[[str], list[object]]:
    """Take away the change after `skip` others, and note it."""
    left = [skip]

    def edit(text: str) -> list[object]:
        if json.loads(text)["type"] == "orderbook_delta" and not lost:
            left[0] -= 1
            if left[0] < 0:
                lost.append(text)
                return []
        return [text]

    return edit


@pytest.mark.parametrize("seed", range(4))
async def test_lost_frames_leave_no_usable_book_behind(seed: int, autojump_clock: object) -> None:
    """End to end, a dozen places in turn: from the frame after the lost one on nothing is usable, until it is proven
    again, and then it is the exchange's.
    """
    draw = random.Random(seed)
    async with feeds(seed=seed) as world:
        await world.until_proven()
        for _ in range(12):
            lost: list[str] = []
            world.meddler.edit = lose_one(draw.randrange(20), lost)
            gaps = world.books.counts["gaps"]
            while not lost:
                world.place(draw.choice(MARKETS), draw.randrange(5, 25))
                await trio.sleep(0.003)
            world.place(draw.choice(MARKETS), 26)
            await world.until(lambda gaps=gaps: world.books.counts["gaps"] == gaps + 1, 0.2)
            await world.until(lambda: world.usable() == list(MARKETS), 2)
            await world.wait_quiet()
            assert world.differing() == []
        assert len(world.meddler.dials_s) == 1
