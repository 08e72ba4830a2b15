"""How long the timers of a chart wait: a number of `limits.CHART_LIMITS`, or a back-off where it holds a pair.

Each runner has its own, because a back-off remembers how often it was asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial

from kalshi_daemon import limits
from kalshi_daemon.core.backoff import Backoff


class Delays:
    def __init__(self, rng: random.Random) -> None:
        self._backoffs = {
            name: Backoff(*limit, rng) for name, limit in limits.CHART_LIMITS.items() if isinstance(limit, tuple)
        }
        self.callables: Mapping[str, Callable[[], float]] = {
            name: self._backoffs[name].next if isinstance(limit, tuple) else partial(float, limit)
            for name, limit in limits.CHART_LIMITS.items()
        }

    def reset(self) -> None:
        """What was waited for has held long enough: the next wait is a short one again."""
        for backoff in self._backoffs.values():
            backoff.reset()
