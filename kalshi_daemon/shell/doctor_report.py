"""What the doctor found, as values, a table, JSON and an exit code.

The exit code is the gravest of: 78 the configuration does not load; 77 a person must mend the key or the clock; 69 the
exchange cannot be reached: no host has a REST side, or none a stream, that is well; 1 something failed, and the daemon
would work through the other hosts; 0 all is well, with or without warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from attrs import frozen

from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_FAILED

EXIT_WELL: Final = 0
EXIT_IMPAIRED: Final = 1
# what some host must give, or no start comes to trade: the REST side, what the key may do, and the stream
NEEDED_STEPS: Final = ("rest private", "key's scopes", "subscription")
DETAIL_MAX: Final = 200  # characters of what an answer says


class Outcome(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_TRIED = "not tried"


class Blame(StrEnum):
    """Who mends it."""

    NONE = ""
    CONFIGURATION = "configuration"
    PERSON = "person"
    UNREACHABLE = "unreachable"


@frozen
class Finding:
    """One step. `host` is empty for what is about this machine; `took_ms` is None where nothing was tried."""

    host: str
    step: str
    outcome: Outcome
    blame: Blame
    took_ms: int | None
    detail: str
    todo: str


@frozen
class Report:
    environment: str
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        blamed = {each.blame for each in self.findings if each.outcome is Outcome.FAILED}
        if Blame.CONFIGURATION in blamed:
            return EXIT_CONFIGURATION
        if Blame.PERSON in blamed:
            return EXIT_FAILED
        if Blame.UNREACHABLE not in blamed:
            return EXIT_WELL
        served = all(map(self._passed, NEEDED_STEPS))
        return EXIT_IMPAIRED if served else EXIT_ABSENT

    @property
    def verdict(self) -> str:
        words = {
            EXIT_CONFIGURATION: "the configuration must be mended",
            EXIT_FAILED: "a person must mend what failed: the daemon cannot trade like this",
            EXIT_ABSENT: "the exchange cannot be reached as the daemon needs it",
            EXIT_IMPAIRED: "impaired: the daemon works through the other hosts",
            EXIT_WELL: "all is well",
        }
        warned = any(each.outcome is Outcome.WARNING for each in self.findings)
        return words[self.exit_code] + (", with warnings" if warned and self.exit_code == EXIT_WELL else "")

    def as_text(self) -> str:
        head = ("host", "step", "outcome", "ms", "what was found")
        rows = [head, *(_row(each) for each in self.findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
        lines = []
        for place, row in enumerate(rows):
            cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
            todo = self.findings[place - 1].todo if place else ""
            if todo:
                lines.append(" " * (sum(widths) + 2 * len(widths)) + f"-> {todo}")
        return "\n".join([*lines, "", f"{self.environment}: {self.verdict}"])

    def as_json(self) -> str:
        read = {
            "environment": self.environment,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "findings": [msgspec.to_builtins(each) for each in self.findings],
        }
        return msgspec.json.encode(read).decode()

    def _passed(self, step: str) -> bool:
        return any(each.step == step and each.outcome in (Outcome.OK, Outcome.WARNING) for each in self.findings)


def _row(finding: Finding) -> Sequence[str]:
    took = "" if finding.took_ms is None else str(finding.took_ms)
    detail = " ".join(finding.detail.split())[:DETAIL_MAX]
    return (finding.host or "this machine", finding.step, finding.outcome, took, detail)
