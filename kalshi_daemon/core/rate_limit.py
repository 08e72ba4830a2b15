"""A token bucket as the exchange keeps one for reads and one for writes (api.md 5).

Rules: pure; `now` is any clock in seconds that does not go back. The bucket starts full. Tokens are a rate's
arithmetic, not money, so they are floats. We keep our own count to stay below the exchange's: a 429 means that ours was
too high.
"""

from __future__ import annotations

from typing import Final

GRAIN: Final = 1e-9  # a wait that is slept exactly may leave the bucket short by a rounding error


class TokenBucket:
    def __init__(self, capacity: float, refill_per_s: float, now: float) -> None:
        self.capacity = capacity
        self.refill_per_s = refill_per_s
        self.taken = 0.0  # tokens handed out since it was made
        self.refusals = 0  # times the exchange said 429 nevertheless
        self._tokens = capacity
        self._at = now
        self._check()

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until `cost` is there, if nobody else takes any; 0 when it is."""
        assert cost <= self.capacity, f"a request of {cost} tokens never fits a bucket of {self.capacity}"
        missing = cost - self.tokens(now)
        return missing / self.refill_per_s if missing > GRAIN else 0.0

    def take(self, cost: float, now: float) -> bool:
        """Takes all of `cost`, or nothing and says False."""
        if self.wait_s(cost, now) > 0.0:
            return False
        self._tokens -= cost
        self.taken += cost
        return True

    def tokens(self, now: float) -> float:
        self._tokens = min(self.capacity, self._tokens + max(0.0, now - self._at) * self.refill_per_s)
        self._at = max(self._at, now)
        return self._tokens

    def refused(self, now: float) -> None:
        """The exchange said 429: whatever we counted, there is nothing."""
        self.tokens(now)
        self._tokens = 0.0
        self.refusals += 1

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
