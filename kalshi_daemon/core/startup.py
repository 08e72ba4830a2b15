"""The startup tracker: the steps of a start, each with its state, its time, a detail or an error.

Rules: the steps are named once, in order. A step may be tried again (preflight is, for as long as the exchange is
away); trying one puts it and the steps after it back to waiting. Nothing here waits or decides: it is what people see.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from attrs import evolve, frozen

from kalshi_daemon.units import Milliseconds


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    DEFERRED = "deferred"  # could not be made; it is tried again
    REFUSED = "refused"  # a person must mend something


@frozen
class StartupStep:
    name: str
    state: StepState = StepState.WAITING
    attempts: int = 0
    began_ms: Milliseconds | None = None
    took_ms: Milliseconds | None = None  # None until it has ended
    detail: str = ""
    error: str = ""  # of its last attempt, until one passes


class StartupTracker:
    """What the start has done so far. An unknown step, or one ended that never began, is our mistake."""

    def __init__(self, names: Sequence[str]) -> None:
        self._steps = {name: StartupStep(name) for name in names}
        assert len(self._steps) == len(names), "a step is named twice"

    @property
    def steps(self) -> tuple[StartupStep, ...]:
        return tuple(self._steps.values())

    def began(self, name: str, now_ms: Milliseconds) -> None:
        names = list(self._steps)
        for later in names[names.index(name) :]:
            before = self._steps[later]
            self._steps[later] = StartupStep(later, attempts=before.attempts, error=before.error)
        self._steps[name] = evolve(
            self._steps[name], state=StepState.RUNNING, attempts=self._steps[name].attempts + 1, began_ms=now_ms
        )

    def passed(self, name: str, now_ms: Milliseconds, detail: str = "") -> None:
        self._end(name, now_ms, StepState.PASSED, detail=detail)

    def deferred(self, name: str, now_ms: Milliseconds, error: str) -> None:
        self._end(name, now_ms, StepState.DEFERRED, error=error)

    def refused(self, name: str, now_ms: Milliseconds, error: str) -> None:
        self._end(name, now_ms, StepState.REFUSED, error=error)

    def _end(self, name: str, now_ms: Milliseconds, state: StepState, *, detail: str = "", error: str = "") -> None:
        step = self._steps[name]
        assert step.state is StepState.RUNNING, f"the step {name} ends and has not begun"
        assert step.began_ms is not None, "a step that runs has begun"
        took_ms = max(0, now_ms - step.began_ms)  # a clock that was set back is no negative duration
        self._steps[name] = evolve(step, state=state, took_ms=took_ms, detail=detail, error=error)
