"""A circuit breaker, written as a chart so that it is drawn, checked and shown like the others.

Rules:
- It has many instances and no tasks, so each one is stepped through a table made from this literal.
- What fails for good (`failed_hard`) is latched: only a person, or a reload, gives it a probe again.
- One probe at a time; a probe without an answer is over after its limit, and the next one may go.
- Cancels are never asked of the breaker of order writes.
"""

from __future__ import annotations

from statecharts.types import ChartDef

CIRCUIT_BREAKER: ChartDef = {
    "name": "circuit_breaker",
    "true": "Whether one thing that failed may be tried again.",
    "initial": "closed",
    "outside": {
        "succeeded": "the caller, after a use that worked",
        "failed": "the caller, after a use that did not",
        "failed_hard": "the caller, after a failure that cannot heal by itself",
        "time_came": "the instance itself, when it is asked and its time has come",
        "reset": "a person, or a reload",
    },
    "states": [
        {"name": "closed", "true": "Uses pass; failures of the last while are counted.", "waits": "failures"},
        {"name": "open", "true": "Nothing passes until the next probe's time.", "waits": "the instance asks its clock"},
        {
            "name": "half_open",
            "true": "One probe is under way, or may go; nothing else passes.",
            "waits": "the instance asks its clock",
        },
        {"name": "latched", "true": "Nothing passes until a person resets it.", "waits": "a person"},
    ],
    "transitions": [
        {
            "trigger": "failed",
            "source": "closed",
            "dest": "open",
            "conditions": "failures_reached",
            "otherwise": "the window's count is not reached",
        },
        {"trigger": "failed", "source": "open", "dest": None},
        {"trigger": "failed", "source": "half_open", "dest": "open"},
        {"trigger": "succeeded", "source": "half_open", "dest": "closed"},
        {"trigger": "failed_hard", "source": ["closed", "open", "half_open", "latched"], "dest": "latched"},
        {"trigger": "time_came", "source": ["open", "half_open"], "dest": "half_open"},
        {"trigger": "reset", "source": "closed", "dest": "closed"},
        {"trigger": "reset", "source": ["open", "half_open", "latched"], "dest": "half_open"},
    ],
}
