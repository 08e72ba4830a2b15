"""The emulator as a server: one exchange behind REST and WebSocket, on any streams, with its own background.

`handle` serves one connection of either kind; `run` makes time pass: what the exchange does by the clock, what the
drivers (a crowd, a recording) do, and the pings. Rules: no threads, no clock and no randomness of its own, so that a
run under a virtual clock can be had again; streams are told in the order in which they were opened.

All that a client gets passes one of three places, and there faults act: `_answer` (each request and each upgrade), the
outlet of a stream (each frame), and the stream itself (each byte).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import trio
from attrs import frozen
from wsproto.events import Ping

from kalshi_daemon.emulator import requests
from kalshi_daemon.emulator.auth import KEY_HEADER, KeyPair, PublicKey, make_key
from kalshi_daemon.emulator.bounds import EMULATOR_CONNECTIONS_MAX, EMULATOR_TICK_S, STREAM_PING_S
from kalshi_daemon.emulator.control_routes import ControlRoutes
from kalshi_daemon.emulator.events import Event
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faulty_outlet import FaultyOutlet
from kalshi_daemon.emulator.faulty_service import FaultyService
from kalshi_daemon.emulator.faulty_stream import FaultyStream
from kalshi_daemon.emulator.keyring import Keyring, KeyTerms, Reader
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.rest import TOO_MANY_REQUESTS, Rest, refusal
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.streams import StreamSession
from kalshi_daemon.emulator.tls import Tls
from kalshi_daemon.emulator.websocket import Outbox, accept, serve_frames
from kalshi_daemon.shell.http_server import Request, Response, serve_http
from kalshi_daemon.units import Milliseconds, Money

STREAM_PATH: Final = "/trade-api/ws/v2"
HEARTBEAT: Final = b"heartbeat"


@frozen(eq=False)
class _OpenStream:
    """One WebSocket: what tells it, what it writes, and what ends it."""

    user_id: str
    session: StreamSession
    outbox: Outbox
    scope: trio.CancelScope


class EmulatorServer:
    """Serves one exchange. The accounts of `keys` must be open there; `drivers` are stepped with the time. With
    `tls` every connection is inside of it."""

    def __init__(
        self,
        exchange: Exchange,
        keys: Mapping[str, PublicKey],
        settings: ServerSettings,
        now_ms: Callable[[], Milliseconds],
        rng: random.Random,
        drivers: Sequence[Callable[[Milliseconds], object]] = (),
        tls: Tls | None = None,
    ) -> None:
        self.exchange = exchange
        self.connections = 0
        self._keys = Keyring()
        for key_id, public in keys.items():
            self._keys.add(key_id, public, KeyTerms())
        self._settings = settings
        self._now_ms = now_ms
        self._rng = rng
        self._drivers = drivers
        self._tls = tls
        self.faults = FaultSchedule(now_ms, rng)
        self._service = FaultyService(exchange, self.faults, now_ms)
        self._control = ControlRoutes(exchange, self.faults, self, has_tls=tls is not None)
        self._rest = Rest(exchange, self._keys, settings, now_ms, self._service)
        self._streams: dict[int, _OpenStream] = {}  # in the order in which they were opened
        self._opened = 0
        exchange.listen(self._tell)

    def join(self, cash: Money, *, kind: str = "ed25519") -> KeyPair:
        """Open an account with this much cash and give its member a fresh key, `ed25519` or `rsa`."""
        key = make_key(self._rng, kind=kind)
        account = self.exchange.open_account(key.key_id, cash)
        for number in range(1, self._settings.subaccounts + 1):
            self.exchange.open_subaccount(account, number)
        self._keys.add(key.key_id, key.public, KeyTerms(scopes=self._settings.key_scopes))
        return key

    def add_key(self, member: KeyPair, terms: KeyTerms) -> KeyPair:
        """Another key for a member's account."""
        key = make_key(self._rng)
        self.exchange.add_key(self.exchange.accounts[member.key_id], key.key_id)
        self._keys.add(key.key_id, key.public, terms)
        return key

    @property
    def streams(self) -> int:
        return len(self._streams)

    def drop_streams(self) -> int:
        """Close every WebSocket where it stands, without a close frame; returns how many there were."""
        dropped = list(self._streams.values())
        for stream in dropped:
            stream.scope.cancel()
        return len(dropped)

    def fail_channel(self, channel: str) -> int:
        """Channel error 10 on every stream that has it open; returns how many those were."""
        return sum(stream.session.fail(channel) for stream in self._streams.values())

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection: REST with keep-alive, or a WebSocket. One too many is closed at once."""
        if self.connections >= EMULATOR_CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        self.connections += 1
        try:
            served = stream if self._tls is None else await self._tls.secure(stream, self.faults)
            if served is None:
                return
            connection = FaultyStream(served, self.faults)
            answer = partial(self._answer, connection)
            await serve_http(connection, answer, upgrade=self._open, now_ms=self._service.clock_ms)
        finally:
            self.connections -= 1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make time pass, until cancelled."""
        task_status.started()
        ping_at = trio.current_time() + STREAM_PING_S
        while True:
            now_ms = self._now_ms()
            self._service.step()
            self.exchange.advance()
            if self.exchange.hours.maintenance:
                self.drop_streams()
            for drive in self._drivers:
                drive(now_ms)
            for stream in self._streams.values():
                stream.session.advance()
            self._rest.reads.capture()
            if trio.current_time() >= ping_at:
                ping_at += STREAM_PING_S
                self._ping()
            await trio.sleep(EMULATOR_TICK_S)

    def _ping(self) -> None:
        for stream in self._streams.values():
            if not stream.outbox.full:
                stream.outbox.add(Ping(payload=HEARTBEAT))

    def _tell(self, event: Event) -> None:
        for stream in self._streams.values():
            stream.session.tell(event)

    async def _answer(self, connection: FaultyStream, request: Request) -> Response:
        self._service.step()
        self.exchange.advance()
        if self._control.concerns(request):
            connection.spared = True
            return self._control.answer(request)
        if request.path == STREAM_PATH:
            return self._service.upgrade(request, self._accept)
        return await self._service.answer(connection, request, self._rest.answer)

    def _accept(self, request: Request) -> Response:
        """Let a signed handshake through; refuse anything else in the shape of REST."""
        if self.exchange.hours.maintenance:
            return self._rest.unavailable(request)
        try:
            account = self._rest.member(request)
        except Refused as refused:
            return refusal(refused)
        if sum(each.user_id == account.user_id for each in self._streams.values()) >= self._settings.streams_max:
            return TOO_MANY_REQUESTS  # the status is assumed: what is told is the number
        return accept(request) or refusal(requests.bad_request("not a WebSocket handshake"))

    async def _open(self, stream: trio.abc.Stream, request: Request, early: bytes) -> None:
        """Serve one WebSocket whose handshake was accepted."""
        key_id = request.headers[KEY_HEADER]
        reader = Reader(self.exchange.accounts[key_id].user_id, self._keys.terms[key_id])
        outbox = Outbox(self._settings.frames_max)
        outlet = FaultyOutlet(outbox, self.faults)
        session = StreamSession(
            self.exchange, reader, self._settings, self._now_ms, outlet, self.faults, self._service.clock_ms
        )
        self._opened += 1
        number = self._opened
        with trio.CancelScope() as scope:
            self._streams[number] = _OpenStream(reader.user_id, session, outbox, scope)
            try:
                await serve_frames(stream, early, outbox, session.hear)
            finally:
                del self._streams[number]


async def run_emulator(
    host: str, port: int, server: EmulatorServer, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a server on real sockets; `started` gives the port, which the system chooses where `port` is 0."""
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, port, host=host))
        task_status.started(int(listeners[0].socket.getsockname()[1]))
