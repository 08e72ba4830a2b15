"""Streams under anything a client may send, against the specification, and the same again from the same seed."""

from __future__ import annotations

import json
import random

import pytest
import trio
from emulator_world import A, B, C, Taken, Tap, part, world
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from kalshi_daemon.emulator.bounds import STREAM_COMMAND_MAX, STREAM_NAMES_MAX
from kalshi_daemon.emulator.channels import CHANNELS, OUTSIDE
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.keyring import KeyTerms, Reader
from kalshi_daemon.emulator.markets import demo_series, invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, NewOrder
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.streams import StreamSession
from kalshi_daemon.emulator.websocket import Outbox, serve_frames
from kalshi_daemon.units import BookSide, TimeInForce

Frame = dict[str, object]
NOW_MS = 1_800_000_000_000
MARKETS_MAX = 1_000
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MARKETS = st.lists(st.sampled_from([A, B, C, "NOSUCH"]) | JUNK, max_size=3)
ACTIONS = [
    "add_markets",
    "delete_markets",
    "get_snapshot",
    *(action for outside in OUTSIDE.values() for action in (outside.add, outside.drop, outside.show)),
]
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "channels": st.lists(st.sampled_from(sorted(CHANNELS)), max_size=3) | JUNK,
        "market_tickers": MARKETS | JUNK,
        "market_ticker": st.sampled_from([A, B]) | JUNK,
        "sids": st.lists(st.integers(0, 4), max_size=2) | JUNK,
        "sid": st.integers(0, 4) | JUNK,
        "action": st.sampled_from(ACTIONS) | JUNK,
        "use_yes_price": st.booleans() | JUNK,
        "skip_ticker_ack": st.booleans(),
        "send_initial_snapshot": st.booleans() | JUNK,
        "market_ids": st.lists(st.text(max_size=3), max_size=2) | JUNK,
        "index_ids": st.lists(st.sampled_from(["BRTI", "all"]), max_size=2) | JUNK,
        "underlying_tickers": st.lists(st.sampled_from(["Crypto.BTC", "all"]), max_size=2) | JUNK,
        "shard_factor": st.integers(-1, 101) | JUNK,
        "shard_key": st.integers(-1, 5) | JUNK,
        "user_filter": st.sampled_from(["", "self"]) | JUNK,
    },
)
COMMANDS = st.fixed_dictionaries(
    {"cmd": st.sampled_from(["subscribe", "unsubscribe", "update_subscription", "list_subscriptions"]) | JUNK},
    optional={"id": st.integers(0, 9) | JUNK, "params": PARAMS | JUNK},
)


def small_session(outlet: Taken) -> tuple[Exchange, StreamSession]:
    """A session on an exchange of two markets, which tells it everything."""
    exchange = Exchange(ExchangeSettings(), lambda: NOW_MS, random.Random(1))
    for series in demo_series():
        exchange.add_series(series)
    for ticker in (A, B):
        exchange.add_market(invented_market(ticker, "Invented", LINEAR_CENT, NOW_MS))
    rules = ServerSettings(send_sending_ts=False, markets_max=MARKETS_MAX)
    faults = FaultSchedule(lambda: NOW_MS, random.Random(2))
    reader = Reader("nobody", KeyTerms())
    session = StreamSession(exchange, reader, rules, lambda: NOW_MS, outlet, faults, lambda: NOW_MS)
    exchange.listen(session.tell)
    return exchange, session


@settings(deadline=None, max_examples=200)
@given(st.lists(COMMANDS | JUNK | st.integers(40, 60), max_size=12))
def test_any_commands_are_answered_and_counted(steps: list[object]) -> None:
    """Whatever is commanded between whatever trades: nothing raises, and every sequenced sid counts without a gap."""
    outlet = Taken()
    exchange, session = small_session(outlet)
    crowd = exchange.open_crowd_account()
    for step in steps:
        if isinstance(step, int) and not isinstance(step, bool):
            side = BookSide.BID if step % 2 else BookSide.ASK
            price = max(1, min(99, step % 100 or 1)) * 100
            exchange.create_order(crowd, NewOrder(A, side, price, 100, TimeInForce.GOOD_TILL_CANCELED))
        else:
            session.hear(json.dumps(step))
    channels: dict[object, object] = {}
    last: dict[object, int] = {}
    for frame in outlet.frames:
        if frame["type"] == "subscribed":
            channels[part(frame, "msg")["sid"]] = part(frame, "msg")["channel"]
        sid = frame.get("sid")
        if sid is not None:
            assert ("seq" in frame) == (CHANNELS[str(channels[sid])].sequenced or frame["type"] == "unsubscribed")
            if "seq" in frame:
                assert frame["seq"] == last.get(sid, 0) + 1
                last[sid] = last.get(sid, 0) + 1


@given(st.text(max_size=30) | st.just("[" * 200_000))
@settings(deadline=None, max_examples=60)
def test_any_text_is_answered_by_an_error(text: str) -> None:
    """What is no command gets exactly one error frame."""
    outlet = Taken()
    small_session(outlet)[1].hear(text)
    assert [frame["type"] for frame in outlet.frames] == ["error"]


def test_commands_are_bounded() -> None:
    """Too many names in one command, and too many markets in one subscription, are refused."""
    outlet = Taken()
    _exchange, session = small_session(outlet)
    session.hear(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": ["x"] * (STREAM_NAMES_MAX + 1)}}))
    session.hear(json.dumps({"id": 2, "cmd": "unsubscribe", "params": {"sids": [1] * (STREAM_NAMES_MAX + 1)}}))
    many = [f"M{number}" for number in range(MARKETS_MAX + 1)]
    session.hear(json.dumps({"id": 3, "cmd": "subscribe", "params": {"channels": ["trade"], "market_tickers": many}}))
    session.hear(json.dumps({"id": 4, "cmd": "subscribe", "params": {"channels": ["trade"], "market_tickers": [A]}}))
    more = {"sid": 1, "action": "add_markets", "market_tickers": many[1:]}
    session.hear(json.dumps({"id": 5, "cmd": "update_subscription", "params": more}))
    codes = [part(frame, "msg").get("code") for frame in outlet.frames]
    assert codes == [11, 11, 26, None, 26]
    assert (outlet.frames[-1]["sid"], outlet.frames[-1]["seq"]) == (1, 1)


def test_an_overflow_while_books_are_shown_ends_quietly() -> None:
    """Where the snapshots themselves find no room, error 25 comes once, and the subscription is gone."""
    outlet = Taken(room=2)
    _exchange, session = small_session(outlet)
    params = {"channels": ["orderbook_delta"], "market_tickers": [A, B]}
    session.hear(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
    assert [frame["type"] for frame in outlet.frames] == ["subscribed", "orderbook_snapshot", "error"]
    assert outlet.frames[-1] == {
        "type": "error",
        "sid": 1,
        "seq": 2,
        "msg": {"code": 25, "msg": "Subscription buffer overflow"},
    }
    session.hear('{"id":2,"cmd":"list_subscriptions"}')
    assert outlet.frames[-1]["msg"] == []


def client_bytes(pieces: list[object]) -> bytes:
    """What a client writes: well-formed frames and raw bytes, mixed."""
    client = Connection(ConnectionType.CLIENT)
    return b"".join(
        piece if isinstance(piece, bytes) else client.send(TextMessage(data=piece)) for piece in pieces  # type: ignore[arg-type]
    )  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(st.binary(max_size=30) | st.text(max_size=10), max_size=6), st.booleans())
def test_any_bytes_end_the_connection_and_nothing_else(pieces: list[object], early: bool) -> None:
    """No bytes after the handshake raise or hang, whether they came with it or later."""

    async def one() -> None:
        ours, theirs = memory_stream_pair()
        outbox = Outbox(10)
        data = client_bytes(pieces)
        heard: list[str | None] = []
        if not early:
            await ours.send_all(data)
        await ours.send_eof()
        await serve_frames(theirs, data if early else b"", outbox, heard.append)
        whole = 0
        while whole < len(pieces) and not isinstance(pieces[whole], bytes):
            whole += 1
        assert heard[:whole] == pieces[:whole]

    trio.run(one, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01a", 1002),  # a client's frame has to be masked
        (b"\xf1\x80\0\0\0\0", 1002),  # reserved bits
        (Connection(ConnectionType.CLIENT).send(TextMessage(data="x" * (STREAM_COMMAND_MAX + 1))), 1009),
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
    ],
    ids=["unmasked", "reserved", "too big", "not text"],
)
async def test_a_fault_of_the_peer_is_closed_with_its_code(
    autojump_clock: MockClock, data: bytes, code: int
) -> None:  # fmt: skip
    """Whatever the protocol does not allow is answered by a close frame that says so."""
    ours, theirs = memory_stream_pair()
    heard: list[str | None] = []
    await ours.send_all(data)
    with trio.fail_after(1):
        await serve_frames(theirs, b"", Outbox(10), heard.append)
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(bytes(await ours.receive_some()))
    (closing,) = client.events()
    assert isinstance(closing, CloseConnection)
    assert (closing.code, heard) == (code, [])


async def test_a_client_that_asks_without_reading_stops_itself(autojump_clock: MockClock) -> None:
    """While the outbox is full no further command is heard; once the client reads, the rest are."""
    ours, theirs = memory_stream_pair()
    tap, outbox, heard = Tap().on(theirs), Outbox(2), []

    def hear(text: str | None) -> None:
        heard.append(text)
        outbox.put(f"answer to {text}")

    client = Connection(ConnectionType.CLIENT)
    await ours.send_all(b"".join(client.send(TextMessage(data=str(number))) for number in range(6)))
    tap.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_frames, tap, b"", outbox, hear)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == ["0", "1", "2", "3"]  # two that the writer has taken, and two that wait for it
        tap.open()
        await trio.testing.wait_all_tasks_blocked()
        assert heard == ["0", "1", "2", "3", "4", "5"]
        await ours.aclose()
    assert tap.sent.count(b"answer to ") == 6


def test_a_seed_gives_the_same_frames_again() -> None:
    """Twenty seconds of a crowd under the virtual clock, twice from one seed: byte for byte the same frames."""

    async def one(seed: int) -> list[str]:
        frames = []
        async with world(crowd_seed=seed) as emulator, emulator.stream() as socket:
            params = {"channels": ["orderbook_delta", "trade"], "market_tickers": [A, B, C]}
            await socket.send_message(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            with trio.move_on_after(20):
                while True:
                    frames.append(str(await socket.get_message()))
        return frames

    first, again, other = (trio.run(one, seed, clock=MockClock(autojump_threshold=0)) for seed in (3, 3, 4))
    assert len(first) > 150
    assert first == again
    assert first != other
