"""A token bucket as the exchange keeps one for reads and one for writes (api.md 5).

Rules: pure; `now` is any clock in seconds that does not go back. The bucket starts full. Tokens are a rate's
arithmetic, not money, so they are floats. We keep our own count to stay below the exchange's: a 429 means that ours was
too high, so the bucket is empty and is refilled at half the pace, which comes back by itself. Several 429 at once are
one: they answer requests that were sent at one pace.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kalshi_daemon.limits import PACE_GRAIN_S, PACE_LEAST, PACE_RECOVERY_S, SPENT_WINDOW_S, TOKENS_WAIT_LEAST_S

GRAIN: Final = 1e-9  # a wait that is slept exactly may leave the bucket short by a rounding error


class TokenBucket:
    """`pace` is the share of `refill_per_s` by which it is refilled; 1 but for a while after a 429."""

    def __init__(self, capacity: float, refill_per_s: float, now: float) -> None:
        self.capacity = capacity
        self.refill_per_s = refill_per_s
        self.taken = 0.0  # tokens handed out since it was made
        self.refusals = 0  # times the exchange said 429 nevertheless
        self.pace = 1.0
        self._tokens = capacity
        self._at = now
        self._lowered_at = float("-inf")
        self._spent: deque[tuple[int, float]] = deque(maxlen=SPENT_WINDOW_S)  # (second, tokens taken in it)
        self._check()

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until `cost` is there, if nobody else takes any; 0 when it is."""
        assert cost <= self.capacity, f"a request of {cost} tokens never fits a bucket of {self.capacity}"
        missing = cost - self.tokens(now)
        return max(missing / (self.refill_per_s * self.pace), TOKENS_WAIT_LEAST_S) if missing > GRAIN else 0.0

    def take(self, cost: float, now: float) -> bool:
        """Takes all of `cost`, or nothing and says False."""
        if self.wait_s(cost, now) > 0.0:
            return False
        self._tokens -= cost
        self.taken += cost
        second, before = self._spent.pop() if self._spent and self._spent[-1][0] == int(now) else (int(now), 0.0)
        self._spent.append((second, before + cost))
        return True

    def tokens(self, now: float) -> float:
        """What is there. Time that has passed is counted at the pace that it began with, so never for too much."""
        passed_s = max(0.0, now - self._at)
        self._tokens = min(self.capacity, self._tokens + passed_s * self.refill_per_s * self.pace)
        self.pace = min(1.0, self.pace + passed_s / PACE_RECOVERY_S)
        self._at = max(self._at, now)
        return self._tokens

    def spent_share(self, now: float) -> float:
        """Of what the account may spend in the last minute, the share that we took."""
        recent = sum(cost for second, cost in self._spent if now - second < SPENT_WINDOW_S)
        return recent / (self.refill_per_s * SPENT_WINDOW_S)

    def refused(self, now: float) -> None:
        """The exchange said 429: whatever we counted, there is nothing, and we were too fast."""
        self.tokens(now)
        self._tokens = 0.0
        self.refusals += 1
        if now - self._lowered_at >= PACE_GRAIN_S:
            self.pace = max(PACE_LEAST, self.pace / 2)
            self._lowered_at = now

    def resize(self, capacity: float, refill_per_s: float, now: float) -> None:
        """The account's limits were read. What was spent stays spent."""
        spent = self.capacity - self.tokens(now)
        self.capacity = capacity
        self.refill_per_s = refill_per_s
        self._tokens = max(0.0, capacity - spent)
        self._check()

    def _check(self) -> None:
        assert self.capacity > 0, "a bucket holds something"
        assert self.refill_per_s > 0, "a bucket is refilled"
