"""One WebSocket session: the tasks that the connection chart invokes, and the books kept about one socket.

Rules:
- Leaving the chart's `session` state closes the socket: the socket task holds it, and being cancelled closes it.
- Everything is subscribed anew on each socket; nothing of an earlier one is remembered but the reason for its end.
- Sequence numbers are checked here, per subscription, over every frame that carries one: a gap is told, never mended
  here.
- Frames are handled in the reader's own step. Nothing here waits for the journal, the ledger or a reader of books.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import trio
from attrs import define, frozen

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.errors import AccessRefused, ClockRefused, Unreachable, WireError
from kalshi_daemon.facts import StreamRefused, Subscribed, SubscriptionUpdated, Unsubscribed
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.feeds import CHANNELS, MARKET_CHANNELS, Role
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.signer import Signs
from kalshi_daemon.shell.socket import Socket
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire import feed
from statecharts.connection import CONNECTION

DEAD_SUBSCRIPTION = frozenset({10, 25})  # channel error, buffer overflow: the subscription is gone (api.md 7.1)


@frozen
class SessionSeams:
    """What a session needs from outside."""

    urls: Sequence[str]
    signer: Signs
    network: Network
    clock: Clock
    rng: random.Random
    on_fact: Callable[[Session, feed.Decoded], None]
    on_fault: Callable[[WireError], None]
    on_gap: Callable[[Session, str], None]  # the channel whose sequence broke
    on_change: Callable[[Session], None]  # it went live, or was lost
    on_step: Callable[[str, Step], None]
    on_alarm: Callable[[str, str], None]


@define
class _Asked:
    """A command under way: the channel that it is about, and whether it was answered, and how."""

    channel: str
    answered: trio.Event
    refused: str = ""


class Session:
    def __init__(self, name: str, roles: Sequence[Role], markets: Sequence[Ticker], seams: SessionSeams) -> None:
        self.name = name
        self.roles = tuple(roles)
        self.markets = tuple(markets)
        self.diagnosis = ""  # why the last socket ended, or was never opened
        self.reconnects = 0
        self.messages: dict[str, int] = dict.fromkeys(self._channels(), 0)
        self.sids: dict[str, int] = {}
        self._seams = seams
        self._socket: Socket | None = None
        self._outbox: trio.MemorySendChannel[str] | None = None
        self._asked: dict[int, _Asked] = {}
        self._next_id = 1
        self._seqs: dict[int, int] = {}
        self._refusals = 0
        self._dials = 0
        delays = Delays(seams.rng)
        self._delays = delays
        self._runner = Runner(
            Chart(CONNECTION, {"refusals_left": lambda: self._refusals < limits.REFUSALS_MAX}),
            {"socket": self._run_socket, "keepalive": self._keep_alive, "subscribe": self._subscribe},
            delays.callables,
            limits.CHART_RESTARTS,
            on_step=self._stepped,
            on_alarm=seams.on_alarm,
        )

    def _channels(self) -> list[str]:
        return [channel for role in self.roles for channel in CHANNELS[role]]

    @property
    def state(self) -> str:
        active = self._runner.active
        return active[-1] if active else "down"

    @property
    def live(self) -> bool:
        return self._runner.is_in("session.live") and self._socket is not None

    @property
    def silent_s(self) -> float:
        """Seconds since a frame or a pong was heard; infinite without a socket."""
        return float("inf") if self._socket is None else trio.current_time() - self._socket.last_heard

    async def run(self) -> str:
        self._runner.post("open_wanted")
        return await self._runner.run()

    def retry(self) -> None:
        self._runner.post("retry_asked")

    def reconnect(self, why: str) -> None:
        """Give this socket up: what it carries cannot be trusted any more."""
        self.diagnosis = why
        if self._outbox is not None:
            self._outbox.close()

    def request_snapshots(self, markets: Sequence[Ticker]) -> None:
        """Ask for the books of `markets` anew, on the same subscription."""
        sid = self.sids.get("orderbook_delta")
        if sid is None:
            return
        for start in range(0, len(markets), limits.SUBSCRIBE_CHUNK):
            chunk = markets[start : start + limits.SUBSCRIBE_CHUNK]
            self._send(feed.update_subscription(self._new_id(), sid, "get_snapshot", chunk))

    # ---------------------------------------------------------------------------------------------- the chart's tasks

    async def _run_socket(self, stay: Stay) -> str:
        url = self._seams.urls[self._dials % len(self._seams.urls)]  # the dedicated host first, then the shared one
        self._dials += 1
        headers = self._seams.signer.headers("GET", feed.path_of(url), self._seams.clock.exchange_now_ms())
        opened = False
        try:
            async with Socket.dial(self._seams.network, url, headers) as socket:
                opened = True
                self._refusals = 0
                await self._hold(socket, stay)
        except ClockRefused as error:
            self.diagnosis = str(error)
        except AccessRefused as error:
            self._refusals += 1
            self.diagnosis = str(error)
            return "refused"
        except Unreachable as error:
            self.diagnosis = str(error)
        return "opened_and_dropped" if opened else "not_opened"

    async def _hold(self, socket: Socket, stay: Stay) -> None:
        """Use the socket until it ends, and say why it did."""
        self._socket = socket
        self._outbox, outgoing = trio.open_memory_channel[str](limits.FRAME_QUEUE_MAX)
        self._asked.clear()
        self._seqs.clear()
        self.sids.clear()
        try:
            stay.post("dialled")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, socket, outgoing, nursery.cancel_scope)
                await self._read(socket)
        except* Unreachable as errors:
            self.diagnosis = str(errors.exceptions[0])
        finally:
            self._socket = None
            self._outbox = None
            self.reconnects += 1
            self._seams.on_change(self)

    async def _read(self, socket: Socket) -> None:
        while True:
            frame = await socket.receive()
            try:
                decoded = feed.decode_frame(frame, self._seams.clock.now_ms())
            except WireError as error:
                self._seams.on_fault(error)
            else:
                self._handle(decoded)

    @staticmethod
    async def _write(socket: Socket, outgoing: trio.MemoryReceiveChannel[str], reading: trio.CancelScope) -> None:
        async for text in outgoing:
            await socket.send(text)
        reading.cancel()  # the outbox was closed: this socket is given up

    async def _keep_alive(self, stay: Stay) -> str | None:  # noqa: ARG002
        while self.silent_s < limits.SILENCE_MAX_S:
            if self._socket is not None:
                await self._socket.ping()
            await trio.sleep(limits.PING_INTERVAL_S)
        self.diagnosis = f"nothing heard for {limits.SILENCE_MAX_S:.0f} s"
        return None

    async def _subscribe(self, stay: Stay) -> str:  # noqa: ARG002
        first, rest = self.markets[: limits.SUBSCRIBE_CHUNK], self.markets[limits.SUBSCRIBE_CHUNK :]
        asked = []
        for channel in self._channels():
            request_id = self._new_id()
            asked.append(self._expect(request_id, channel))
            self._send(feed.subscribe(request_id, [channel], first if channel in MARKET_CHANNELS else ()))
        for command in asked:
            await command.answered.wait()
        for channel in MARKET_CHANNELS & self.sids.keys():
            for start in range(0, len(rest), limits.SUBSCRIBE_CHUNK):
                request_id = self._new_id()
                command = self._expect(request_id, channel)
                chunk = rest[start : start + limits.SUBSCRIBE_CHUNK]
                self._send(feed.update_subscription(request_id, self.sids[channel], "add_markets", chunk))
                await command.answered.wait()
        refused = [f"{command.channel}: {command.refused}" for command in asked if command.refused]
        if refused:
            self.diagnosis = f"refused by the exchange: {'; '.join(refused)}"
            self._seams.on_alarm("subscription_refused", f"{self.name}: {self.diagnosis}")
        return "answered" if self.sids else "all_refused"

    # --------------------------------------------------------------------------------------------------------- frames

    def _handle(self, decoded: feed.Decoded) -> None:
        sid = getattr(decoded, "sid", None)
        seq = getattr(decoded, "seq", None)
        if sid is not None and seq is not None:
            self._check_sequence(sid, seq)
        if isinstance(decoded, Subscribed):
            self.sids[decoded.channel] = decoded.sid
            self._answer(decoded.request_id, "")
        elif isinstance(decoded, SubscriptionUpdated):
            self._answer(decoded.request_id, "")
        elif isinstance(decoded, StreamRefused):
            if decoded.code in DEAD_SUBSCRIPTION:
                raise Unreachable(
                    f"the exchange ended a subscription: {decoded.code} {decoded.message}", maybe_done=False
                )
            self._answer(decoded.request_id, f"{decoded.code} {decoded.message}")
        elif not isinstance(decoded, Unsubscribed):
            self._seams.on_fact(self, decoded)

    def _check_sequence(self, sid: int, seq: int) -> None:
        """One more than the last, from 1, over every frame of the subscription, answers included (api.md 7.2)."""
        expected = self._seqs.get(sid, 0) + 1
        self._seqs[sid] = seq
        if seq != expected:
            channel = next((channel for channel, known in self.sids.items() if known == sid), "")
            self._seams.on_gap(self, channel)

    def _expect(self, request_id: int, channel: str) -> _Asked:
        command = self._asked[request_id] = _Asked(channel, trio.Event())
        return command

    def _answer(self, request_id: int | None, refused: str) -> None:
        command = self._asked.pop(request_id, None) if request_id is not None else None
        if command is not None:
            command.refused = refused
            command.answered.set()

    def _send(self, text: str) -> None:
        if self._outbox is None:
            return
        try:
            self._outbox.send_nowait(text)
        except trio.WouldBlock:
            self.reconnect(f"{limits.FRAME_QUEUE_MAX} commands wait to be sent: the socket does not take them")
        except trio.ClosedResourceError:
            pass  # given up a moment ago

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _stepped(self, step: Step) -> None:
        if step.event == "steady":
            self._delays.reset()
        self._seams.on_step(self.name, step)
        self._seams.on_change(self)
