"""One WebSocket session: the tasks that the connection chart invokes, and the books kept about one socket.

Rules:
- Leaving the chart's `session` state closes the socket: the socket task holds it, and being cancelled closes it.
- Everything is subscribed anew on each socket. What is known of a socket is made with it and goes with it; nothing of
  an earlier one is remembered but the reason for its end.
- Frames are handled in the reader's own step (`session_frames.py`). Nothing here waits for the journal, the ledger or
  a reader of books.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

import trio
from attrs import Factory, define, frozen

from kalshi_daemon import limits
from kalshi_daemon.charts.chart import Chart, Step
from kalshi_daemon.charts.delays import Delays
from kalshi_daemon.charts.runner import Runner, Stay
from kalshi_daemon.errors import AccessRefused, ClockRefused, Unreachable, WireError
from kalshi_daemon.shell.clock import Clock, learn_date
from kalshi_daemon.shell.door import Door, Turns
from kalshi_daemon.shell.feeds import CHANNELS, GROUPS, LIFECYCLE, Role
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.recorder import Recorder
from kalshi_daemon.shell.session_frames import FrameHooks, SessionFrames
from kalshi_daemon.shell.socket import Socket
from kalshi_daemon.shell.subscriber import Subscriber
from kalshi_daemon.shell.subscriptions import Subscriptions
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire import feed
from statecharts.connection import CONNECTION


@frozen
class SessionSeams:
    """What a session needs from outside. Books come through `market`; a session without any goes to `account`."""

    market: Door
    account: Door
    network: Network
    clock: Clock
    rng: random.Random
    on_fact: Callable[[Session, feed.Decoded], None]
    on_fault: Callable[[WireError], None]
    on_gap: Callable[[Session, str], None]  # the channel that missed something, or ANY_CHANNEL
    on_change: Callable[[Session], None]  # it went live, or was lost
    on_step: Callable[[str, Step], None]
    on_alarm: Callable[[str, str], None]
    recorder: Recorder | None = None


@define(eq=False)
class _Open:
    """The socket that is open."""

    socket: Socket
    outbox: trio.MemorySendChannel[str]
    scope: trio.CancelScope  # cancelled: the socket is given up
    subscriber: Subscriber
    subscribed: trio.Event = Factory(trio.Event)  # all is answered: from here on changes of the markets are followed


class Session:
    def __init__(
        self,
        name: str,
        roles: Sequence[Role],
        markets: Sequence[Ticker],
        seams: SessionSeams,
        *,
        lifecycle: bool = True,
    ) -> None:
        """`lifecycle`: it carries the events of all markets, where it carries books."""
        self.name = name
        self.roles = tuple(roles)
        self.markets = tuple(markets)
        self.diagnosis = ""  # why the last socket ended, or was never opened
        self.reconnects = 0
        self.lag_ms: Milliseconds = 0  # of the last frame that said when it was sent, by the exchange's time
        self._seams = seams
        self._door = seams.market if Role.ORDERBOOK in roles else seams.account
        self._lifecycle = lifecycle
        self._open: _Open | None = None
        self._unanswered = ""  # the channels that the last socket ended without an answer for
        self._ids = count(1)
        self._refusals = 0
        self._frames = SessionFrames(
            FrameHooks(
                on_fact=partial(seams.on_fact, self),
                on_gap=partial(seams.on_gap, self),
                on_change=partial(seams.on_change, self),
                on_refused=self._refused,
                on_nothing=self._said_of_nothing,
                reconnect=self.reconnect,
            )
        )
        self._turns = Turns(self._door.urls)
        self._delays = Delays(seams.rng)
        self._runner = Runner(
            Chart(CONNECTION, {"refusals_left": lambda: self._refusals < limits.REFUSALS_MAX}),
            {"socket": self._run_socket, "keepalive": self._keep_alive, "subscribe": self._subscribe},
            self._delays.callables,
            limits.CHART_RESTARTS,
            on_step=self._stepped,
            on_alarm=seams.on_alarm,
        )

    def _channels(self) -> list[str]:
        channels = [channel for role in self.roles for channel in CHANNELS[role]]
        own = [channel for channel in channels if channel != LIFECYCLE or self._lifecycle]
        return [*own, GROUPS] if Role.FILLS in self.roles else own

    @property
    def counts(self) -> Counter[str]:
        """Frames that were not passed on, by why."""
        return self._frames.counts

    @property
    def state(self) -> str:
        active = self._runner.active
        return active[-1] if active else "down"

    @property
    def is_open(self) -> bool:
        """There is a socket, and it has not been given up."""
        return self._open is not None and not self._open.scope.cancel_called

    @property
    def live(self) -> bool:
        return self.is_open and self._runner.is_in("session.live")

    def carries(self, role: Role) -> bool:
        """Live, and every channel of the role is subscribed for all that was asked."""
        return self.live and role in self.roles and not self.refused(role)

    def refused(self, role: Role) -> str:
        """What the exchange has refused of this role on this socket; empty: nothing."""
        refused = {} if self._open is None else self._open.subscriber.known.refused
        return "; ".join(f"{channel}: {refused[channel]}" for channel in CHANNELS[role] if channel in refused)

    @property
    def trouble(self) -> str:
        """What the exchange refuses on a live socket; why there is none, where one has failed before; else empty."""
        refused = "; ".join(filter(None, map(self.refused, self.roles))) if self.live else ""
        if refused:
            return f"{self.name} is refused {refused}"
        well = self.live or self.state == "down" or not self.diagnosis
        return "" if well else f"{self.name} is {self.state} ({self.diagnosis})"

    @property
    def fallback(self) -> str:
        """The address that an open socket goes to, where it is not the first of the list."""
        return self._turns.fallback if self.is_open else ""

    @property
    def silent_s(self) -> float:
        """Seconds since a frame or a pong was heard; infinite without a socket."""
        return float("inf") if self._open is None else trio.current_time() - self._open.socket.last_heard

    async def run(self) -> str:
        self.open()
        return await self._runner.run()

    def open(self) -> None:
        """It is needed; where it is open already this changes nothing."""
        self._runner.post("open_wanted")

    def close(self) -> None:
        """It is not needed any more, until it is opened."""
        self._runner.post("close_wanted")

    def retry(self) -> None:
        """Do not wait for the back-off."""
        self._runner.post("retry_asked")

    def ask_again(self) -> None:
        """What was refused on this socket is asked for on another."""
        if self._open is not None and self._open.subscriber.known.refused:
            self.reconnect("asked again for what was refused")

    def reconnect(self, why: str) -> None:
        """Give this socket up: what it carries cannot be trusted any more. Without a socket, nothing."""
        if self._open is not None and not self._open.scope.cancel_called:
            self.diagnosis = why
            self._open.scope.cancel()  # also where a write hangs in it

    def request_snapshots(self, markets: Sequence[Ticker]) -> None:
        """Ask for the books of `markets` anew, on the same subscription. A refusal gives the socket up."""
        if self._open is not None:
            self._open.subscriber.request_snapshots(markets)

    def want(self, markets: Sequence[Ticker]) -> None:
        """Carry these markets and no others, on the socket that is there and on those that come."""
        self.markets = tuple(markets)
        if self._open is not None:
            self._open.subscriber.want(self.markets)

    # ---------------------------------------------------------------------------------------------- the chart's tasks

    async def _run_socket(self, stay: Stay) -> str:
        url = self._turns.take()
        clock = self._seams.clock
        sent_ms = clock.now_ms()
        headers = self._door.signer.headers("GET", feed.path_of(url), clock.exchange_now_ms())
        opened = False
        try:
            async with Socket.dial(self._seams.network, url, headers) as socket:
                opened = True
                self._refusals = 0
                await self._hold(socket, stay)
        except ClockRefused as error:
            learn_date(clock, error.date, sent_ms)
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
        outbox, outgoing = trio.open_memory_channel[str](limits.FRAME_QUEUE_MAX)
        with outbox, outgoing, trio.CancelScope() as scope:
            subscriber = Subscriber(self._channels(), self.markets, self._ids, self._send)
            opened = self._open = _Open(socket, outbox, scope, subscriber)
            try:
                stay.post("dialled")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, socket, outgoing)
                    nursery.start_soon(self._follow, opened)
                    await self._read(opened)
            except* Unreachable as errors:
                self.diagnosis = str(errors.exceptions[0])
            finally:  # told before the state is left: from here on nothing that it carried is fresh
                self._unanswered = subscriber.unanswered
                self._open = None
                self.reconnects += 1
                self._seams.on_change(self)

    async def _read(self, opened: _Open) -> None:
        clock, recorder = self._seams.clock, self._seams.recorder

        def learn(sending_ms: Milliseconds, at_ms: Milliseconds) -> None:
            clock.learn_sending(sending_ms, at_ms)
            self.lag_ms = at_ms + clock.offset_ms - sending_ms

        while True:
            try:
                frames = await opened.socket.receive()
            except WireError as error:  # the rest of it may be without end, so the socket is over too
                self._seams.on_fault(error)
                raise Unreachable(str(error), maybe_done=True) from None
            at_ms = clock.now_ms()
            for frame in frames:
                if opened.scope.cancel_called:
                    break  # given up: what it carries cannot be trusted any more
                if recorder is not None:
                    recorder.hear(self.name, frame, at_ms)
                try:
                    decoded = feed.decode_frame(frame, at_ms, learn)
                except WireError as error:
                    self._seams.on_fault(error)
                    self._frames.pass_over(opened.subscriber.known, frame)
                else:
                    self._frames.handle(opened.subscriber, decoded)
                if recorder is not None:
                    recorder.handled()

    @staticmethod
    async def _write(socket: Socket, outgoing: trio.MemoryReceiveChannel[str]) -> None:
        async for text in outgoing:
            await socket.send(text)

    @staticmethod
    async def _follow(opened: _Open) -> None:
        await opened.subscribed.wait()
        await opened.subscriber.follow()

    async def _keep_alive(self, stay: Stay) -> str | None:  # noqa: ARG002
        while self._open is not None:
            socket, now_s = self._open.socket, trio.current_time()
            dead_s = socket.last_heard + limits.SILENCE_MAX_S
            if now_s >= dead_s:
                self.diagnosis = f"nothing heard for {limits.SILENCE_MAX_S:.0f} s"
                return None
            await socket.ping()
            await trio.sleep_until(min(now_s + limits.PING_INTERVAL_S, dead_s))
        return await trio.sleep_forever()  # the socket has just ended, which its own task tells

    async def _subscribe(self, stay: Stay) -> str:  # noqa: ARG002
        """How long the answers may take is the chart's to say."""
        if (opened := self._open) is None:
            return await trio.sleep_forever()  # as above
        await opened.subscriber.subscribe()
        opened.subscribed.set()
        if (known := opened.subscriber.known).refused:
            self._tell_refused(known)
        return "answered" if known.sids else "all_refused"

    def _tell_refused(self, known: Subscriptions) -> None:
        refused = "; ".join(f"{channel}: {text}" for channel, text in known.refused.items())
        self.diagnosis = f"refused by the exchange: {refused}"
        self._seams.on_alarm("subscription_refused", f"{self.name}: {self.diagnosis}")

    def _refused(self, known: Subscriptions) -> None:
        if self.live:  # before, all is told once everything is answered
            self._tell_refused(known)

    def _said_of_nothing(self, text: str) -> None:
        self._seams.on_alarm("stream_error", f"{self.name}: the exchange says {text}, of nothing we asked")

    # -------------------------------------------------------------------------------------------------------- private

    def _send(self, text: str) -> None:
        try:
            if self._open is not None:
                self._open.outbox.send_nowait(text)
        except trio.WouldBlock:
            self.reconnect(f"{limits.FRAME_QUEUE_MAX} commands wait to be sent: the socket does not take them")

    def _stepped(self, step: Step) -> None:
        limit = limits.CHART_LIMITS
        if step.event == "steady":
            self._delays.reset()
            self._turns.lasted()
        elif step.event == "dial_overdue":
            self.diagnosis = f"no connection within {limit['dial_limit']} s"
        elif step.event == "subscribe_overdue":
            self.diagnosis = f"no answer within {limit['subscribe_limit']} s to: {self._unanswered}"
        if ("refused",) in step.entered:
            self._seams.on_alarm("access_refused", f"{self.name}: {self.diagnosis}; a person must mend the key")
        self._seams.on_step(self.name, step)
        self._seams.on_change(self)
