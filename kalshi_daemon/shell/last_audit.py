"""Why the last look at the whole account did not agree: for `why`, and in the log once it lasts.

Rules: a look that meets movement is no news, so the log says what several looks in a row have met; another cause is a
line of its own, one a minute at most, and the agreement that ends it is one too.
"""

from __future__ import annotations

from math import inf

import trio

from kalshi_daemon import limits
from kalshi_daemon.shell.logging import log


class LastAudit:
    def __init__(self) -> None:
        self.detail = ""  # empty when it agreed
        self._looks = 0  # in a row that did not agree
        self._said = ""  # in the log, since the last agreement
        self._said_s = -inf

    def note(self, detail: str) -> None:
        self.detail = detail
        if not detail:
            if self._said:
                log.info("account_agrees", looks=self._looks)
            self._looks, self._said, self._said_s = 0, "", -inf
            return
        self._looks += 1
        now_s = trio.current_time()
        lasts = self._looks >= limits.CALIBRATION_ROUNDS_MAX and detail != self._said
        if lasts and now_s - self._said_s >= limits.AUDIT_LOG_INTERVAL_S:
            self._said, self._said_s = detail, now_s
            log.warning("account_not_agreed", looks=self._looks, why=detail)
