"""How long to wait before the next try: full jitter under a cap that doubles.

Rules: a wait is drawn evenly from [least, cap], so that many clients do not come back at once; the cap begins at
twice the least, doubles with each draw and stays at the most. The randomness comes in; nothing here sleeps.
"""

from __future__ import annotations

import random


class Backoff:
    """The waits of one thing that is tried again, in seconds."""

    def __init__(self, least_s: float, most_s: float, rng: random.Random) -> None:
        assert 0 < least_s <= most_s, f"a back-off from {least_s} to {most_s} s is no back-off: ours to mend"
        self._least_s = least_s
        self._most_s = most_s
        self._rng = rng
        self._cap_s = min(2 * least_s, most_s)

    def next(self) -> float:
        """The next wait in seconds."""
        wait_s = self._rng.uniform(self._least_s, self._cap_s)
        self._cap_s = min(2 * self._cap_s, self._most_s)
        return wait_s

    def reset(self) -> None:
        """It has worked for long enough: the next wait is a short one again."""
        self._cap_s = min(2 * self._least_s, self._most_s)
