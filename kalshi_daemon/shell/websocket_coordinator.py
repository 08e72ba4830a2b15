"""The sockets of the daemon: opens the sessions, hands each frame to its role, and says whether the feeds are usable.

It is invoked by the trader's chart for the daemon's whole life, so that going from trading to paused and back touches
no socket. It waits until preflight has passed, because nothing can be signed before.

Markets are spread over sessions (`core/market_spread.py`), each with a feed of its own in the order book client. The
first carries what the layout gives it; further ones carry books and prints, are opened when they are needed and closed
when they are not.

`feeds_usable` is a level: some wanted market has a usable book, and the private side is streamed, or read by REST in
the stream's stead (`AccountPoller`). Losing it closes the gates at once; the trader is told when it has been false for
`FEEDS_LOST_S`.

The private channels carry no sequence numbers, so that whatever interrupts them puts the account in doubt: their loss,
once; their return, since what happened in between was streamed to nobody and may have been read too early (so does
their first coming, where the account was read by REST until then); and a private frame that could not be read, at most
once in `PRIVATE_DOUBT_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.market_spread import MarketSpread
from kalshi_daemon.facts import (
    BookDelta,
    BookSnapshot,
    EventFeesChanged,
    FillSeen,
    MarketChanged,
    OrderGroupReported,
    OrderSeen,
    PositionReported,
    TradePrinted,
)
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.feeds import ANY_CHANNEL, BOOKS, LAYOUTS, LIFECYCLE, PRIVATE_CHANNELS, FeedStatus, Role
from kalshi_daemon.shell.fill_listener import FillListener
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.shell.orderbook_feed import OrderBookFeed
from kalshi_daemon.shell.position_listener import PositionListener
from kalshi_daemon.shell.session import Session, SessionSeams
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire.feed import Decoded


class WebSocketCoordinator:
    def __init__(  # noqa: PLR0913 - what it feeds, and whom it tells
        self,
        books: OrderBookClient,
        fills: FillListener,
        positions: PositionListener,
        clock: Clock,
        *,
        socket_markets: int,
        on_market: Callable[[MarketChanged | EventFeesChanged], None],
        on_market_missed: Callable[[], None],
        on_private_lost: Callable[[str], None],
        on_feeds_lost: Callable[[], None],
        account_polled: Callable[[], bool],
        account_read: Callable[[], bool],
    ) -> None:
        """`socket_markets`: how many one session carries. `account_polled`: the account is to be read by REST, and
        `account_read`: it was, lately enough.
        """
        self.sessions: tuple[Session, ...] = ()
        self.changed = trio.Event()  # replaced each time that a level may have changed
        self._books = books
        self._fills = fills
        self._positions = positions
        self._clock = clock
        self._socket_markets = socket_markets
        self._spread = MarketSpread(socket_markets)
        self._carriers: list[Session] = []  # of the books: one for each feed
        self._feeds: dict[Session, OrderBookFeed] = {}
        self._seams: SessionSeams | None = None  # while it runs
        self._more = trio.Event()
        self._on_market = on_market
        self._on_market_missed = on_market_missed
        self._on_private_lost = on_private_lost
        self._on_feeds_lost = on_feeds_lost
        self._account_polled = account_polled
        self._account_read = account_read
        self._market_was_live = False
        self._market_was_lost = False
        self._private_was_live = False
        self._private_was_lost = False
        self._doubt = ""  # why the account is to be doubted, once it is time
        self._doubted_s = -inf
        self._since_ms: dict[Role, tuple[str, Milliseconds]] = {}

    # --------------------------------------------------------------------------------------------------------- levels

    def live(self, role: Role) -> bool:
        """Everything of the role is subscribed on live sockets: on all of them that are needed."""
        needed = [session for session in self.sessions if role in session.roles and session.state != "down"]
        return bool(needed) and all(session.carries(role) for session in needed)

    @property
    def feeds_usable(self) -> bool:
        return self._books.any_usable and (self.live(Role.FILLS) or self._account_read())

    @property
    def books_detail(self) -> str:
        """Why books are not streamed: what the exchange refuses of them now, or why the last stream was lost."""
        refused = [session.refused(Role.ORDERBOOK) for session in self.sessions if session.live]
        return "; ".join(dict.fromkeys(filter(None, refused))) or self._books.detail

    @property
    def private_lost(self) -> str:
        """Why the account is not streamed; empty where it is, and where there is no session yet."""
        private = [each for each in self.statuses() if each.role != Role.ORDERBOOK] if self.sessions else []
        lost = [each for each in private if not self.live(Role(each.role))]
        return "; ".join(f"{each.role} is {each.state}" + (f" ({each.detail})" if each.detail else "") for each in lost)

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
        self._spread.want(markets)
        shares = self._spread.shares
        self._books.carry(shares)
        if self._seams is not None:
            self._open_carriers(self._seams)
            for at, (session, share) in enumerate(zip(self._carriers, shares, strict=True)):
                session.want(share)
                if share or not at:
                    session.open()
                else:
                    session.close()
        self._note_change()

    def _open_carriers(self, seams: SessionSeams) -> None:
        """A session for each share that has none yet."""
        shares = self._spread.shares
        for at in range(len(self._carriers), len(shares)):
            session = Session(f"market-{at + 1}", (Role.ORDERBOOK,), shares[at], seams, lifecycle=False)
            self._carry(session)
            self.sessions = (*self.sessions, session)
        self._more.set()

    def _carry(self, session: Session) -> None:
        self._feeds[session] = self._books.feeds[len(self._carriers)]
        self._carriers.append(session)

    def retry(self) -> None:
        """Dial now what waits for its next dial; ask again for what was refused, where the feeds want for something."""
        streamed = self._books.any_usable and self.live(Role.FILLS)
        for session in self.sessions:
            session.retry()
            if not streamed:
                session.ask_again()

    def statuses(self) -> tuple[FeedStatus, ...]:
        messages = {
            Role.ORDERBOOK: self._books.counts["deltas"] + self._books.counts["snapshots"],
            Role.FILLS: self._fills.messages,
            Role.POSITIONS: self._positions.messages,
        }
        return tuple(self._status(role, messages[role]) for role in Role)

    def _status(self, role: Role, messages: int) -> FeedStatus:
        sessions = [session for session in self.sessions if role in session.roles and session.state != "down"]
        if not sessions:
            return FeedStatus(role, "down", 0, messages, "no session yet")
        worst = min(sessions, key=lambda session: session.live)
        state = worst.state
        said = [session.refused(role) if session.live else session.diagnosis for session in sessions]
        detail = "; ".join(dict.fromkeys(each for each in said if each))
        if role is Role.ORDERBOOK:
            detail = self.books_detail or detail
            if worst.live or self._books.state.startswith("polling"):
                state = self._books.state
        known, since_ms = self._since_ms.get(role, ("", 0))
        if known != state:
            since_ms = self._clock.now_ms()
            self._since_ms[role] = (state, since_ms)
        return FeedStatus(role, state, since_ms, messages, detail)

    # ---------------------------------------------------------------------------------------------------------- tasks

    async def run(self, seams: SessionSeams, sockets: int) -> None:
        """Never returns. `seams.on_fact`, `on_gap` and `on_change` are this object's to bind: see
        `session_callbacks`. May be run again when it has ended: every session is another one then.
        """
        self._carriers, self._feeds = [], {}
        self._spread = MarketSpread(self._socket_markets)
        self._spread.want(tuple(self._books.books))
        self._books.carry(self._spread.shares)
        first = self._spread.shares[0]
        self.sessions = tuple(
            Session(name, roles, first if Role.ORDERBOOK in roles else (), seams)
            for name, roles in LAYOUTS[sockets].items()
        )
        self._carry(next(session for session in self.sessions if Role.ORDERBOOK in session.roles))
        self._open_carriers(seams)
        self._seams = seams
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._books.run)
                nursery.start_soon(self._watch_level)
                started = 0
                while True:
                    self._more = trio.Event()
                    for session in self.sessions[started:]:
                        nursery.start_soon(session.run)
                    started = len(self.sessions)
                    await self._more.wait()
        finally:
            self._seams = None

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
        if isinstance(fact, BookDelta | BookSnapshot):
            self._on_book(self._feeds.get(session), fact)
        elif isinstance(fact, TradePrinted):
            self._books.table.on_trade(fact)
        elif isinstance(fact, FillSeen | OrderSeen):
            self._fills.on_private(fact)
        elif isinstance(fact, OrderGroupReported):
            self._fills.on_private(fact.told)
        elif isinstance(fact, PositionReported):
            self._positions.on_position(fact, self._clock.now_ms())
        elif isinstance(fact, MarketChanged | EventFeesChanged):
            self._on_market(fact)

    def _on_book(self, feed: OrderBookFeed | None, fact: BookDelta | BookSnapshot) -> None:
        if feed is None:
            self._books.counts["unwanted"] += 1
        elif isinstance(fact, BookDelta):
            feed.on_delta(fact)
        else:
            feed.on_snapshot(fact)
            self._note_change()

    def on_gap(self, session: Session, channel: str) -> None:
        """Only the books fold over a gap, and only the account counts on every frame; what lifecycle events missed is
        read sooner, and what trades missed is gone.
        """
        why = f"{session.name}: frames of {channel or 'no known channel'} were missed"
        private = Role.FILLS in session.roles or Role.POSITIONS in session.roles
        if channel in PRIVATE_CHANNELS or (channel == ANY_CHANNEL and private):
            self._doubt = why
            self._raise_doubt()
        if self._tells_of_markets(session) and channel in (LIFECYCLE, ANY_CHANNEL):
            self._on_market_missed()
        if session in self._feeds and channel in (BOOKS, ANY_CHANNEL):
            self._feeds[session].on_gap(why)

    def _raise_doubt(self) -> None:
        if self._doubt and trio.current_time() - self._doubted_s >= limits.PRIVATE_DOUBT_S:
            why, self._doubt = self._doubt, ""
            self._doubted_s = trio.current_time()
            self._on_private_lost(why)

    def on_change(self, session: Session) -> None:
        """A session stepped, or its socket ended."""
        if session in self._feeds:
            self._feeds[session].on_session(session if session.is_open else None, session.diagnosis)
        if Role.POSITIONS in session.roles and not session.is_open:
            self._positions.forget()
        if self._tells_of_markets(session):
            self._market_stepped(live=session.live)
        private = self.live(Role.FILLS)
        if self._private_was_live and not private:
            self._private_was_lost = True
            self._on_private_lost(session.diagnosis or "the private session was lost")
        elif private and not self._private_was_live and (self._private_was_lost or self._account_polled()):
            self._private_was_lost = False
            self._on_private_lost("the private session is back, and what it missed is to be read")
        self._private_was_live = private
        self._note_change()

    def _tells_of_markets(self, session: Session) -> bool:
        """Whether it carries the events of all markets."""
        return session in self._carriers[:1]

    def _market_stepped(self, *, live: bool) -> None:
        self._market_was_lost |= self._market_was_live and not live
        self._market_was_live = live
        if live and self._market_was_lost:
            self._market_was_lost = False
            self._on_market_missed()

    def _note_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()
