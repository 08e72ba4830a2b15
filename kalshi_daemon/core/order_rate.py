"""P16: how many orders that increase exposure may be meant in a second and in a minute (risk.md).

Rules: pure; an intent counts whatever becomes of it, since a burst that is withheld is a burst all the same. The times
are folded with the intents, so that a restart does not begin the minute anew. Reductions and cancels are never counted
and never asked. The third bound of P16, the share of the write tokens, is the governor's (`rate_governor.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.risk import Refusal, RiskLimits
from kalshi_daemon.units import SECOND_MS, Milliseconds

RATE_CODE: Final = "P16"


def increases_left(ledger: LedgerView, now_ms: Milliseconds, limits: RiskLimits) -> int:
    """How many increases would pass one after the other, now."""
    left = limits.orders_per_min_max
    for most, span_ms in ((limits.orders_per_s_max, SECOND_MS), (limits.orders_per_min_max, 60 * SECOND_MS)):
        numbers = range(1, most + 1)  # newest first, so that those within come before those that are older
        older = bisect_left(numbers, 1, key=lambda number: not _within(ledger, number, now_ms, span_ms))
        left = min(left, most - older)
    return left


def _within(ledger: LedgerView, number: int, now_ms: Milliseconds, span_ms: Milliseconds) -> bool:
    """Whether the `number`-th newest increase was meant no longer ago."""
    at_ms = ledger.increase_before(number)
    return at_ms is not None and 0 <= now_ms - at_ms < span_ms


def over_rate(ledger: LedgerView, now_ms: Milliseconds, limits: RiskLimits) -> Refusal | None:
    """Why one more increase does not pass now. `now_ms` is the clock that stamps intents; times ahead of it, from
    before it was set back, count for nothing.
    """
    for most, span_ms, span in (
        (limits.orders_per_s_max, SECOND_MS, "second"),
        (limits.orders_per_min_max, 60 * SECOND_MS, "minute"),
    ):
        if _within(ledger, most, now_ms, span_ms):
            return Refusal(RATE_CODE, f"increases in a {span}", str(most + 1), str(most))
    return None
