"""What a market did lately: the window behind the temporal features (observation.md, rows 26 to 35).

A *point* is the book after the changes of one slot of 100 ms, slots counted from the epoch. The window is the last ten
points: nine closed ones kept here, and the open one, which is the book itself.

Rules:
- Time is that of the messages: max(what it was, the message's own stamp); it never goes back and is never the moment of
  asking. A point's time is that of its last change.
- The mid is carried: a book with a side missing keeps the mid it had, and 50 cents before it had any. It is kept as an
  integer, twice the mid in `Price`, so that a position's value is exact.
- Activity is the contracts changed in the current second and the 59 before it; the sum itself is the book's
  (`contracts_changed`), where the first snapshot counts nothing and a later one counts the difference of the books.
- `note` runs for every change applied, so its common path is a few loads and stores.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.limits import ACTIVITY_SECONDS, HISTORY_POINTS, POINT_MS
from kalshi_daemon.units import CONTRACT, PRICE_ONE, SECOND_MS, Count, Milliseconds, Price
from kalshi_daemon.wire.records import WindowState

ACTIVITY_FULL: Count = 10_000 * CONTRACT  # contracts changed in the window above which activity does not rise


def message_time_ms(ts_ms: Milliseconds | None, sending_ms: Milliseconds | None, received_ms: Milliseconds) -> int:
    """The time of a message: its own stamp, else when it was sent, else when it came, by the exchange's clock."""
    if ts_ms is not None:
        return ts_ms
    return received_ms if sending_ms is None else sending_ms


class MarketHistory:
    """The window of one market. One `OrderBook` is noted in it for the whole of its life."""

    __slots__ = (
        "_seconds",
        "_sum",
        "_until_ms",
        "closed_changed",
        "closed_mids",
        "closed_ms",
        "mid_twice",
        "now_ms",
        "observed",
    )

    def __init__(self) -> None:
        # the closed points, oldest first, as three columns: their times, twice their mids, and what `changed` was
        self.closed_ms: deque[Milliseconds] = deque(maxlen=HISTORY_POINTS - 1)
        self.closed_mids: deque[int] = deque(maxlen=HISTORY_POINTS - 1)
        self.closed_changed: deque[Count] = deque(maxlen=HISTORY_POINTS - 1)
        self.now_ms: Milliseconds = 0  # the time of the last change; 0: none was noted
        self.mid_twice: int = PRICE_ONE  # the last mid known, doubled
        # what the adapter made of book and window last, and of which; it is kept here because it ends with them
        self.observed: tuple[tuple[int, Price | None, int], NDArray[np.float64]] | None = None
        self._until_ms: Milliseconds = 0  # the end of the open point's slot
        self._sum: Count = 0  # the book's running sum at the last change
        self._seconds: deque[tuple[int, Count]] = deque()  # (second, running sum before it), at most ACTIVITY_SECONDS

    def note(self, book: OrderBook, ts_ms: Milliseconds) -> None:
        """A message was applied to the book; `ts_ms` is from `message_time_ms`."""
        if ts_ms > self.now_ms:
            if ts_ms >= self._until_ms:
                self._open(ts_ms, book)
            self.now_ms = ts_ms
        self._sum = book.contracts_changed
        yes, no = book.yes.prices, book.no.prices
        if yes and no:
            self.mid_twice = yes[-1] + PRICE_ONE - no[-1]

    def remember(self) -> WindowState:
        return WindowState(
            list(self.closed_ms),
            list(self.closed_mids),
            list(self.closed_changed),
            self.now_ms,
            self.mid_twice,
            self._until_ms,
            self._sum,
            list(self._seconds),
        )

    def restore(self, state: WindowState) -> None:
        """It goes on as the one that was remembered."""
        self.closed_ms = deque(state.closed_ms, HISTORY_POINTS - 1)
        self.closed_mids = deque(state.closed_mids, HISTORY_POINTS - 1)
        self.closed_changed = deque(state.closed_changed, HISTORY_POINTS - 1)
        self.now_ms, self.mid_twice = state.now_ms, state.mid_twice
        self._until_ms, self._sum = state.until_ms, state.sum
        self._seconds = deque(state.seconds)

    @property
    def changed(self) -> Count:
        """Contracts changed within the window as of the last change, at most `ACTIVITY_FULL`."""
        if not self._seconds:
            return 0
        return min(self._sum - self._seconds[0][1], ACTIVITY_FULL)

    def _open(self, ts_ms: Milliseconds, book: OrderBook) -> None:
        """Closes the open point as it stood before this change and opens the one of `ts_ms`."""
        if self.now_ms:
            self.closed_ms.append(self.now_ms)
            self.closed_mids.append(self.mid_twice)
            self.closed_changed.append(self.changed)
        else:
            self._sum = book.contracts_changed  # what changed before the first note is not activity
        self._until_ms = ts_ms - ts_ms % POINT_MS + POINT_MS
        second = ts_ms // SECOND_MS
        seconds = self._seconds
        if not seconds or seconds[-1][0] != second:
            seconds.append((second, self._sum))
            while seconds[0][0] <= second - ACTIVITY_SECONDS:
                seconds.popleft()
