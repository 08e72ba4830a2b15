"""Counts what could not be read, by kind, and says so once per kind and minute: a flood of bad frames is one line,
and a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kalshi_daemon import limits
from kalshi_daemon.errors import WireError


class FrameFaults:
    def __init__(self, now_s: Callable[[], float], say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._now_s = now_s
        self._say = say
        self._said_s: dict[str, float] = {}  # as long as the list of kinds, which is the decoder's and short

    def note(self, error: WireError) -> None:
        self.counts[error.kind] += 1
        now = self._now_s()
        if now - self._said_s.get(error.kind, float("-inf")) >= limits.FRAME_LOG_INTERVAL_S:
            self._said_s[error.kind] = now
            self._say(f"the exchange sent a frame that cannot be read ({error}); counted")
