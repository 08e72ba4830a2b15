"""Counts the errors that were met: by whose they are, and the codes that nobody told us of, by name.

Rules: names come from outside, so they are cut short and bounded in number; those beyond are counted together.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from kalshi_daemon.errors import ExchangeError, OperatingError
from kalshi_daemon.limits import UNKNOWN_CODES_MAX
from kalshi_daemon.wire.error_codes import Meaning, meaning_of

OTHERS: Final = "others"
NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # without the id that a code may end in


class ErrorTally:
    def __init__(self) -> None:
        self.by_fault: Counter[str] = Counter()
        self.unknown_codes: Counter[str] = Counter()

    def note(self, error: OperatingError) -> Meaning:
        """Count it, and say what it means."""
        meaning = meaning_of(error)
        self.by_fault[meaning.fault] += 1
        if not meaning.known and isinstance(error, ExchangeError):
            found = NAME.match(error.code)
            name = f"{error.status} {found[0].rstrip('_') if found else 'without a name'}"
            full = len(self.unknown_codes) >= UNKNOWN_CODES_MAX
            self.unknown_codes[OTHERS if full and name not in self.unknown_codes else name] += 1
        return meaning
