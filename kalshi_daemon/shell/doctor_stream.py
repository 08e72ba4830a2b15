"""What the doctor hears on a stream: one subscription, some snapshots of one book, and the numbers of all its frames.

Rules: frames are asked for, not waited for, since an open market may be quiet. Every frame of the subscription counts
from 1 without a hole, so that one that is lost, comes twice or comes too early is named. How late frames come is judged
by when they say that they were sent, where they say it.
"""

from __future__ import annotations

from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.errors import ExchangeError, WireError
from kalshi_daemon.facts import BookSnapshot, StreamRefused, Subscribed
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.socket import Socket
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire import feed
from kalshi_daemon.wire.feed import decode_frame

BOOKS: Final = "orderbook_delta"
LIFECYCLE: Final = "market_lifecycle_v2"  # of all markets: where none is open, this is subscribed
SUBSCRIBE: Final = 1  # the id of the command; those of the snapshots follow


class Hearing:
    """One subscription on one socket. `lag_ms`: how much later than it was sent the latest frame came."""

    def __init__(self, socket: Socket, clock: Clock, market: Ticker | None) -> None:
        self.lag_ms: Milliseconds = 0
        self._socket = socket
        self._clock = clock
        self._market = market
        self._channel = BOOKS if market else LIFECYCLE
        self._sid = 0  # until it is subscribed
        self._numbers: dict[int, list[int]] = {}  # by subscription, as they came
        self._awaited = set(range(SUBSCRIBE, SUBSCRIBE + 1 + limits.DOCTOR_SNAPSHOTS))

    async def hear(self) -> str:
        """What was found. Raises ExchangeError, Unreachable, and WireError for a stream that is not as it must be."""
        await self._socket.send(feed.subscribe(SUBSCRIBE, [self._channel], [self._market] if self._market else []))
        while not self._sid:
            await self._take()
        if self._market is None:
            return f"{self._channel} is subscribed; no market is open"
        for request_id in range(SUBSCRIBE + 1, SUBSCRIBE + 1 + limits.DOCTOR_SNAPSHOTS):
            await self._socket.send(feed.update_subscription(request_id, self._sid, "get_snapshot", [self._market]))
        with trio.move_on_after(limits.DOCTOR_LISTEN_S):
            while self._awaited:
                await self._take()
        numbers = self._numbers.get(self._sid, [])
        if wrong := what_is_wrong(numbers) or self._what_lacks():
            raise WireError("sequence", wrong)
        return f"the book of {self._market} came; {len(numbers)} frames in order"

    async def _take(self) -> None:
        for frame in await self._socket.receive():
            decoded = decode_frame(frame, self._clock.now_ms(), self._note_lag)
            if isinstance(decoded, StreamRefused):
                raise ExchangeError(decoded.code, decoded.message or "refused", f"the subscription of {self._channel}")
            if isinstance(decoded, Subscribed):
                self._sid = decoded.sid
                continue
            if isinstance(decoded, BookSnapshot):
                self._awaited.discard(decoded.request_id or SUBSCRIBE)
            sid, number = getattr(decoded, "sid", None), getattr(decoded, "seq", None)
            if sid is not None and number is not None:
                self._numbers.setdefault(sid, []).append(number)

    def _note_lag(self, sent_ms: Milliseconds, _at_ms: Milliseconds) -> None:
        self.lag_ms = max(self.lag_ms, self._clock.exchange_now_ms() - sent_ms)

    def _what_lacks(self) -> str:
        if not self._awaited:
            return ""
        return f"{len(self._awaited)} of {1 + limits.DOCTOR_SNAPSHOTS} snapshots did not come"


def what_is_wrong(numbers: list[int]) -> str:
    """Of the frames of one subscription, in the order in which they came; empty where they are as they must be."""
    before = 0
    for number in numbers:
        if number < before and numbers.count(number) == 1:
            return f"frames come out of order: {number} after {before}"
        before = max(before, number)
    for number in numbers:
        if numbers.count(number) > 1:
            return f"a frame came twice: {number}"
    missing = sorted(set(range(1, before + 1)) - set(numbers))
    return f"a frame is lost: {missing[0]} of {before}" if missing else ""
