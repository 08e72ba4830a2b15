"""What the emulator's server tests share: a small exchange on the virtual clock, a signing member, plain clients."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest
import trio
import trio.testing
from attrs import Factory, define
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from trio_websocket import WebSocketConnection, wrap_client_stream

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import DEMO_FAIR, demo_series, invented_market
from kalshi_daemon.emulator.model import ExchangeSettings, NewOrder, Placed
from kalshi_daemon.emulator.server import EmulatorServer
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, BookSide, TimeInForce

START_MS = 1_800_000_000_000
SHARED = Path(__file__).resolve().parents[3] / "shared" / "kalshi"
A, B = "DEMOTEMP-DAY1-T58", "DEMOTEMP-DAY1-T60"  # one event
C = "DEMOGAME-HEROWL-HER"  # another, with maker fees
Frame = dict[str, object]
V2 = "/trade-api/v2/portfolio/events/orders"
AMPLE = ServerSettings(limits=RateLimits(write_rate=10_000, write_capacity=10_000))
BARE = ServerSettings(send_clock=False, send_sending_ts=False)


def now_ms() -> int:
    """The virtual clock, in whole milliseconds."""
    return START_MS + round(trio.current_time() * 1_000)


def recording(name: str) -> dict[str, object]:
    """A recorded body of the exchange, without what it has stopped sending since (api.md 2 and 9)."""
    path = SHARED / "recordings" / "demo-2026-06-11" / f"{name}.json"
    if not path.exists():
        pytest.skip("the exchange's recordings are not beside the repository")
    body = json.loads(path.read_text())
    if isinstance(body.get("error"), dict):
        body["error"].pop("service", None)
    assert isinstance(body, dict)
    return body


def specification(name: str) -> str:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the exchange's specification is not beside the repository")
    return path.read_text()


@define
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict[str, object]:
        body = json.loads(self.text)
        assert isinstance(body, dict)
        return body


@define(eq=False)
class Tap(trio.abc.Stream):
    """The server's end of a stream, with what it sent, and a peer that can stop reading."""

    sent: bytearray = Factory(bytearray)
    _opened: trio.Event | None = None
    _stream: trio.abc.Stream | None = None

    def on(self, stream: trio.abc.Stream) -> Tap:
        self._stream = stream
        return self

    def close(self) -> None:
        self._opened = trio.Event()

    def open(self) -> None:
        assert self._opened is not None
        self._opened.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        assert self._stream is not None
        if self._opened is not None:
            await self._opened.wait()
        self.sent += data
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        assert self._stream is not None
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        assert self._stream is not None
        await self._stream.aclose()


@define
class Taken:
    """An outlet with as much room as a test leaves it."""

    room: int = 10**9
    frames: list[Frame] = Factory(list)

    @property
    def full(self) -> bool:
        return len(self.frames) >= self.room

    def put(self, frame: str) -> None:
        assert frame.endswith("\n")
        self.frames.append(json.loads(frame))


@define
class World:
    """One server with one member; `bidder` and `asker` trade without limits, and with one another."""

    exchange: Exchange
    server: EmulatorServer
    key: KeyPair
    member: Account
    bidder: Account
    asker: Account
    nursery: trio.Nursery

    def headers(
        self, method: str, path: str, *, at_ms: int | None = None, key: KeyPair | None = None
    ) -> dict[str, str]:
        """The three headers, made as a member makes them."""
        key = key or self.key
        stamp = str(now_ms() if at_ms is None else at_ms)
        private = load_pem_private_key(key.private_pem, None)
        signature = private.sign(f"{stamp}{method}{path}".encode())  # type: ignore[union-attr,call-arg]
        return {
            "KALSHI-ACCESS-KEY": key.key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": b64encode(signature).decode(),
        }

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        signed: bool = True,
    ) -> Answer:
        """One request on a connection of its own; a body goes as JSON."""
        path = target.partition("?")[0]
        sent = {"Host": "emulator"} | (self.headers(method, path) if signed else {})
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.server.handle, theirs)
        client = h11.Connection(h11.CLIENT)
        request = h11.Request(method=method, target=target, headers=list((sent | (headers or {})).items()))
        data = [
            client.send(request),
            client.send(h11.Data(content)) if content else b"",
            client.send(h11.EndOfMessage()),
        ]
        await ours.send_all(b"".join(part for part in data if part))
        answer = await _receive(client, ours)
        await ours.aclose()
        return answer

    async def get(self, path: str, **kwargs: bool) -> dict[str, object]:
        answer = await self.ask("GET", "/trade-api/v2" + path, **kwargs)  # type: ignore[arg-type]
        assert answer.status == 200, answer
        return answer.json

    async def create(self, **changes: object) -> Answer:
        """The member's order, one contract at 50 cents unless changed."""
        return await self.ask("POST", V2, order_body(**changes))

    def trade(self, market: str = A, count: int = 1, *, side: BookSide = BookSide.ASK, cents: int = 50) -> Placed:
        """The crowd's order; an ask hits bids."""
        order = NewOrder(market, side, cents * PRICE_CENT, count * CONTRACT, TimeInForce.GOOD_TILL_CANCELED)
        return self.exchange.create_order(self.bidder if side is BookSide.BID else self.asker, order)

    @asynccontextmanager
    async def stream(
        self, headers: dict[str, str] | None = None, tap: Tap | None = None
    ) -> AsyncIterator[WebSocketConnection]:
        """The member's WebSocket, by the real client."""
        path = "/trade-api/ws/v2"
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.server.handle, theirs if tap is None else tap.on(theirs))
        sent = self.headers("GET", path) if headers is None else headers
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        async with trio.open_nursery() as nursery:
            socket = await wrap_client_stream(nursery, ours, "emulator", path, extra_headers=pairs)  # type: ignore[arg-type]
            yield socket
            with trio.move_on_after(1):
                await socket.aclose()
            nursery.cancel_scope.cancel()


async def _receive(client: h11.Connection, stream: trio.abc.Stream) -> Answer:
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert response is not None, event
            headers = {name.decode(): value.decode() for name, value in response.headers}
            return Answer(response.status_code, headers, body.decode())


_numbers = iter(range(1, 1_000_000))


def order_body(**changes: object) -> dict[str, object]:
    """A create's body; a change to None leaves the field out."""
    body: dict[str, object] = {
        "ticker": A,
        "client_order_id": f"test-{next(_numbers)}",
        "side": "bid",
        "count": "1.00",
        "price": "0.5000",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


@asynccontextmanager
async def world(
    settings: ServerSettings | None = None,
    *,
    dollars: int = 1_000,
    exchange_settings: ExchangeSettings | None = None,
    crowd_seed: int | None = None,
) -> AsyncIterator[World]:
    """A running server with three open markets and one member, and a crowd if it has a seed."""
    exchange = Exchange(exchange_settings or ExchangeSettings(), now_ms, random.Random(7))
    for series in demo_series():
        exchange.add_series(series)
    for ticker in (A, B, C):
        exchange.add_market(invented_market(ticker, f"Invented: {ticker}", LINEAR_CENT, now_ms()))
    drivers = []
    if crowd_seed is not None:
        fair = {ticker: DEMO_FAIR[ticker] for ticker in (A, B, C)}
        drivers.append(Crowd(exchange, fair, CrowdSettings(), random.Random(crowd_seed)).step)
    server = EmulatorServer(exchange, {}, settings or ServerSettings(), now_ms, random.Random(8), drivers)
    key = server.join(dollars * DOLLAR)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        member = exchange.accounts[key.key_id]
        bidder, asker = exchange.open_crowd_account(), exchange.open_crowd_account()
        yield World(exchange, server, key, member, bidder, asker, nursery)
        nursery.cancel_scope.cancel()


def keys(value: object) -> set[str]:
    assert isinstance(value, dict)
    return set(value)


def first(body: dict[str, object], name: str) -> dict[str, object]:
    items = body[name]
    assert isinstance(items, list)
    return items[0]  # type: ignore[no-any-return]


def part(body: dict[str, object], name: str) -> dict[str, object]:
    value = body[name]
    assert isinstance(value, dict)
    return value


def rows(body: dict[str, object], name: str) -> list[dict[str, object]]:
    items = body[name]
    assert isinstance(items, list)
    return items


async def taken(emulator: World, count: int = 1) -> dict[str, object]:
    """The member buys at 52 from the crowd, who asks there; the create's answer."""
    emulator.trade(A, 10, side=BookSide.ASK, cents=52)
    answer = await emulator.create(price="0.9900", count=f"{count}.00", time_in_force="immediate_or_cancel")
    assert answer.status == 201, answer
    return answer.json


async def say(socket: WebSocketConnection, request_id: int, cmd: str, **params: object) -> None:
    command = {"id": request_id, "cmd": cmd} | ({"params": params} if params else {})
    await socket.send_message(json.dumps(command))


async def heard(socket: WebSocketConnection) -> list[Frame]:
    """Every frame that is there or on its way; each ends with a newline."""
    frames = []
    while True:
        with trio.move_on_after(0.01):
            text = await socket.get_message()
            assert isinstance(text, str)
            assert text.endswith("}\n")
            frames.append(json.loads(text))
            continue
        return frames


async def ask(socket: WebSocketConnection, request_id: int, cmd: str, **params: object) -> list[Frame]:
    await say(socket, request_id, cmd, **params)
    return await heard(socket)


def seqs(frames: list[Frame], sid: int) -> list[object]:
    return [frame["seq"] for frame in frames if frame.get("sid") == sid]
