"""Token buckets: what one member may still ask for. In thousandths of a token and milliseconds, so that no time is
lost."""

from __future__ import annotations

from attrs import define, field

from kalshi_daemon.emulator.settings import RateLimits
from kalshi_daemon.units import Milliseconds

MILLI = 1_000


@define
class TokenBucket:
    """Refills by `rate` a second up to `capacity`, and starts full."""

    rate: int
    capacity: int
    _filled_ms: Milliseconds
    _level_milli: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._level_milli = self.capacity * MILLI

    def take(self, cost: int, now_ms: Milliseconds) -> bool:
        """Whether there were `cost` tokens; if not, none is taken."""
        passed_ms = max(0, now_ms - self._filled_ms)
        self._level_milli = min(self.capacity * MILLI, self._level_milli + self.rate * passed_ms)
        self._filled_ms = now_ms
        if self._level_milli < cost * MILLI:
            return False
        self._level_milli -= cost * MILLI
        return True


class Allowance:
    """The three buckets of one member; streams draw on none of them. `granted`: the level was raised on request."""

    def __init__(self, limits: RateLimits, now_ms: Milliseconds) -> None:
        self.granted = False
        self.set_limits(limits, now_ms)

    def set_limits(self, limits: RateLimits, now_ms: Milliseconds) -> None:
        """Fresh buckets of these sizes."""
        self.limits = limits
        self.read = TokenBucket(limits.read_rate, limits.read_capacity, now_ms)
        self.write = TokenBucket(limits.write_rate, limits.write_capacity, now_ms)
        self.balance = TokenBucket(limits.balance_rate, limits.balance_rate, now_ms)
