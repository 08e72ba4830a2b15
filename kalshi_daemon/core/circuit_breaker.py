"""A circuit breaker: counts and a clock in, allow or deny out.

Rules:
- The states and what leads from one to the next stand in `statecharts/circuit_breaker.py`; here is only the counting.
- Nothing happens by itself. Time is what the caller says; an open breaker becomes half open when it is asked.
- `allows` takes the probe: whoever is told yes in half_open makes it, and answers with `succeeded` or `failed`. A
  probe without an answer is over after `probe_s`.
- Each failed probe doubles the wait up to its cap; a probe that works makes the wait short again.

Times are seconds of any clock that does not go back, the same one throughout.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from statecharts.circuit_breaker import CIRCUIT_BREAKER
from statecharts.types import ChartDef


def rows_by_state(chart: ChartDef) -> Mapping[tuple[str, str], tuple[tuple[str | None, str | None], ...]]:
    """A chart without tasks and without nesting as a table: (state, event) -> (guard, next) in the order tried."""
    cells: dict[tuple[str, str], tuple[tuple[str | None, str | None], ...]] = {
        (state["name"], event): () for state in chart["states"] for event in chart["outside"]
    }
    for row in chart["transitions"]:
        guard = row.get("conditions")
        assert "unless" not in row, f"{chart['name']}: a table is guarded by `conditions` alone"
        assert not isinstance(guard, list), f"{chart['name']}: a row of a table has one guard at most"
        for source in [row["source"]] if isinstance(row["source"], str) else row["source"]:
            for event in [row["trigger"]] if isinstance(row["trigger"], str) else row["trigger"]:
                cells[source, event] += ((guard, row["dest"]),)
    return cells


ROWS: Final = rows_by_state(CIRCUIT_BREAKER)


class CircuitBreaker:
    """One thing guarded. `state`, `cause`, `since` and `probe_at` are for reading only.

    `failures_max` failures within `window_s` open it. `wait_s` is the least and the most that a probe waits for;
    `probe_at` is the time of the next, None where none comes.
    """

    def __init__(
        self, name: str, *, failures_max: int, window_s: float, wait_s: tuple[float, float], probe_s: float
    ) -> None:
        assert failures_max > 0, f"breaker {name}: at least one failure opens it"
        self.name = name
        self.state = CIRCUIT_BREAKER["initial"]
        self.cause = ""
        self.since: float | None = None  # None: in its first state since it was made
        self.probe_at: float | None = None
        self.failures = 0  # all that were told, for the counters
        self._window_s = window_s
        self._wait_least_s, self._wait_max_s = wait_s
        self._wait_s = self._wait_least_s
        self._probe_s = probe_s
        self._failed_at: deque[float] = deque(maxlen=failures_max)

    def succeeded(self, now_s: float) -> None:
        """A use worked. It closes a breaker that was probing, and forgets no failure of a closed one."""
        self._step("succeeded", now_s, "the probe worked")

    def failed(self, now_s: float, cause: str) -> None:
        """A use failed in a way that may heal."""
        self.failures += 1
        self._failed_at.append(now_s)
        self._step("failed", now_s, cause)

    def failed_hard(self, now_s: float, cause: str) -> None:
        """A use failed in a way that cannot heal by itself: a person, or a reload, resets it."""
        self.failures += 1
        self._step("failed_hard", now_s, cause)

    def reset(self, now_s: float) -> None:
        """A person, or a reload: what is not closed may make one probe at once."""
        self._failed_at.clear()
        self._step("reset", now_s, "reset")
        if self.state == "half_open":
            self.probe_at = now_s

    def ready(self, now_s: float) -> bool:
        """What `allows` would say, asked without taking the probe."""
        return self.state == "closed" or (self.probe_at is not None and now_s >= self.probe_at)

    def allows(self, now_s: float) -> bool:
        """Whether a use may begin now. A yes in half_open is the one probe, and is given once."""
        if not self.ready(now_s):
            return False
        if self.state == "closed":
            return True
        self._step("time_came", now_s, self.cause)
        self.probe_at = now_s + self._probe_s
        return True

    def _step(self, event: str, now_s: float, cause: str) -> None:
        for guard, dest in ROWS[self.state, event]:
            if guard is None or self._failures_reached(now_s):
                if dest is not None:
                    self._move(dest, now_s, cause)
                return

    def _failures_reached(self, now_s: float) -> bool:
        """The literal's one guard: the window holds as many failures as it may."""
        full = len(self._failed_at) == self._failed_at.maxlen
        return full and now_s - self._failed_at[0] <= self._window_s

    def _move(self, dest: str, now_s: float, cause: str) -> None:
        before, self.state = self.state, dest
        self.cause = cause
        if before != dest or self.since is None:
            self.since = now_s
        if dest == "open":
            if before == "half_open":
                self._wait_s = min(2 * self._wait_s, self._wait_max_s)
            self.probe_at = now_s + self._wait_s
        elif dest == "closed":
            self._wait_s = self._wait_least_s
            self._failed_at.clear()
            self.probe_at = None
        elif dest == "latched":
            self.probe_at = None
