"""The sockets of the daemon: opens the sessions, hands each frame to its role, and says whether the feeds are usable.

It is invoked by the trader's chart for the daemon's whole life, so that going from trading to paused and back touches
no socket. It waits until preflight has passed, because nothing can be signed before.

`feeds_usable` is a level: some wanted market has a usable book, and the private side is streamed. Losing it closes
the gates at once; the trader is told when it has been false for `FEEDS_LOST_S`.

The private channels carry no sequence numbers, so that whatever interrupts them puts the account in doubt: their loss,
once; their return, since what happened in between was streamed to nobody and may have been read too early; and a
private frame that could not be read, at most once in `PRIVATE_DOUBT_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import trio

from kalshi_daemon import limits
from kalshi_daemon.facts import (
    BookDelta,
    BookSnapshot,
    FillSeen,
    MarketChanged,
    OrderSeen,
    PositionReported,
    TradePrinted,
)
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.feeds import ANY_CHANNEL, BOOKS, LAYOUTS, PRIVATE_CHANNELS, FeedStatus, Role
from kalshi_daemon.shell.fill_listener import FillListener
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.shell.session import Session, SessionSeams
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire.feed import Decoded


class WebSocketCoordinator:
    def __init__(
        self,
        books: OrderBookClient,
        fills: FillListener,
        positions: PositionListener,
        clock: Clock,
        *,
        on_market: Callable[[MarketChanged], None],
        on_private_lost: Callable[[str], None],
        on_feeds_lost: Callable[[], None],
    ) -> None:
        self.sessions: tuple[Session, ...] = ()
        self.changed = trio.Event()  # replaced each time that a level may have changed
        self._books = books
        self._fills = fills
        self._positions = positions
        self._clock = clock
        self._on_market = on_market
        self._on_private_lost = on_private_lost
        self._on_feeds_lost = on_feeds_lost
        self._private_was_live = False
        self._private_was_lost = False
        self._doubt = ""  # why the account is to be doubted, once it is time
        self._doubted_s = -inf
        self._since_ms: dict[Role, tuple[str, Milliseconds]] = {}

    # --------------------------------------------------------------------------------------------------------- levels

    def live(self, role: Role) -> bool:
        """Everything of the role is subscribed on a live socket."""
        return any(session.carries(role) for session in self.sessions)

    @property
    def feeds_usable(self) -> bool:
        return self._books.any_usable and self.live(Role.FILLS)

    @property
    def book_silence_s(self) -> float:
        """How old the evidence of the books is (risk P13): seconds since their session was heard, or since the last
        complete round was begun where they are read by REST; infinite without either.
        """
        if not self._books.streamed:
            return self._books.evidence_age_s
        return min((session.silent_s for session in self.sessions if Role.ORDERBOOK in session.roles), default=inf)

    async def until_usable(self) -> None:
        """Return when the feeds are usable, at once where they are."""
        while not self.feeds_usable:
            await self._next_change()

    async def _next_change(self, by_s: float = inf) -> None:
        """Levels also change by time alone (a polled round grows old), so that no wait is longer than a quarter
        second.
        """
        with trio.move_on_at(min(by_s, trio.current_time() + limits.LEVEL_CHECK_S)):
            await self.changed.wait()

    def want(self, markets: Sequence[Ticker]) -> None:
        """These markets and no others, streamed or read by REST; nothing is connected again for it.

        A market that is new has no usable book until its snapshot has come. One that is dropped has none from here on:
        whoever calls keeps those that hold a position or an order. May be called before `run`.
        """
        self._books.want(markets)
        for session in self.sessions:
            if Role.ORDERBOOK in session.roles:
                session.want(markets)
        self._note_change()

    def retry(self) -> None:
        """Dial now what waits for its next dial; ask again for what was refused, where the feeds want for something."""
        usable = self.feeds_usable
        for session in self.sessions:
            session.retry()
            if not usable:
                session.ask_again()

    def statuses(self) -> tuple[FeedStatus, ...]:
        messages = {
            Role.ORDERBOOK: self._books.counts["deltas"] + self._books.counts["snapshots"],
            Role.FILLS: self._fills.messages,
            Role.POSITIONS: self._positions.messages,
        }
        return tuple(self._status(role, messages[role]) for role in Role)

    def _status(self, role: Role, messages: int) -> FeedStatus:
        session = next((session for session in self.sessions if role in session.roles), None)
        if session is None:
            return FeedStatus(role, "down", 0, messages, "no session yet")
        state = session.state
        detail = session.refused(role) if session.live else session.diagnosis
        if role is Role.ORDERBOOK:
            detail = self._books.detail or detail
            if session.live or self._books.state.startswith("polling"):
                state = self._books.state
        known, since_ms = self._since_ms.get(role, ("", 0))
        if known != state:
            since_ms = self._clock.now_ms()
            self._since_ms[role] = (state, since_ms)
        return FeedStatus(role, state, since_ms, messages, detail)

    # ---------------------------------------------------------------------------------------------------------- tasks

    async def run(self, seams: SessionSeams, sockets: int) -> None:
        """Never returns. `seams.on_fact`, `on_gap` and `on_change` are this object's to bind: see
        `session_callbacks`.
        """
        markets = tuple(self._books.books)
        self.sessions = tuple(
            Session(name, roles, markets if Role.ORDERBOOK in roles else (), seams)
            for name, roles in LAYOUTS[sockets].items()
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._books.run)
            for session in self.sessions:
                nursery.start_soon(session.run)
            nursery.start_soon(self._watch_level)

    async def _watch_level(self) -> None:
        """Tell the loss of the feeds once, when they were not usable for `FEEDS_LOST_S`. What never was is not lost."""
        was_usable, tell_s = False, inf
        while True:
            self.statuses()  # which note since when
            self._raise_doubt()
            if self.feeds_usable:
                was_usable, tell_s = True, inf
                self._positions.review(self._clock.now_ms())
            elif was_usable:
                tell_s = min(tell_s, trio.current_time() + limits.FEEDS_LOST_S)
                if trio.current_time() >= tell_s:
                    was_usable, tell_s = False, inf
                    self._on_feeds_lost()
            await self._next_change(tell_s)

    # ---------------------------------------------------------------------------------------------- session callbacks

    def on_fact(self, session: Session, fact: Decoded) -> None:
        del session
        if isinstance(fact, BookDelta):
            self._books.on_delta(fact)
        elif isinstance(fact, BookSnapshot):
            self._books.on_snapshot(fact)
            self._note_change()
        elif isinstance(fact, TradePrinted):
            self._books.on_trade(fact)
        elif isinstance(fact, FillSeen | OrderSeen):
            self._fills.on_private(fact)
        elif isinstance(fact, PositionReported):
            self._positions.on_position(fact, self._clock.now_ms())
        elif isinstance(fact, MarketChanged):
            self._on_market(fact)

    def on_gap(self, session: Session, channel: str) -> None:
        """Only the books fold over a gap, and only the account counts on every frame; what trades and lifecycle
        events miss is read elsewhere.
        """
        why = f"{session.name}: frames of {channel or 'no known channel'} were missed"
        private = Role.FILLS in session.roles or Role.POSITIONS in session.roles
        if channel in PRIVATE_CHANNELS or (channel == ANY_CHANNEL and private):
            self._doubt = why
            self._raise_doubt()
        if channel == BOOKS or (channel == ANY_CHANNEL and Role.ORDERBOOK in session.roles):
            self._books.on_gap(why)

    def _raise_doubt(self) -> None:
        if self._doubt and trio.current_time() - self._doubted_s >= limits.PRIVATE_DOUBT_S:
            why, self._doubt = self._doubt, ""
            self._doubted_s = trio.current_time()
            self._on_private_lost(why)

    def on_change(self, session: Session) -> None:
        """A session stepped, or its socket ended."""
        if Role.ORDERBOOK in session.roles:
            self._books.on_session(session if session.is_open else None, session.diagnosis)
        if Role.POSITIONS in session.roles and not session.is_open:
            self._positions.forget()
        private = self.live(Role.FILLS)
        if self._private_was_live and not private:
            self._private_was_lost = True
            self._on_private_lost(session.diagnosis or "the private session was lost")
        elif private and self._private_was_lost:
            self._private_was_lost = False
            self._on_private_lost("the private session is back, and what it missed is to be read")
        self._private_was_live = private
        self._note_change()

    def _note_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()
