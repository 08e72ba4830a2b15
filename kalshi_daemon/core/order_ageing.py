"""Orders of the policy that have rested for too long: what they were decided on is gone, and they are taken back.

Rules: pure. The age counts from the last request for the order, so that an amend, which is a new decision, renews it;
a cancel that is refused or lost is a request too, and is asked again after that age, not at every look. Only what is
known to rest is asked back: an order of which something is unknown waits for evidence.
"""

from __future__ import annotations

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.units import Milliseconds


def past_their_age(ledger: LedgerView, now_ms: Milliseconds, age_ms: Milliseconds) -> list[OrderRecord]:
    """Those to be cancelled. `now_ms` is the clock that stamps requests: one that was set back ages nothing."""
    return [
        record
        for record in ledger.live()
        if record.asked_here and record.rests and record.amend is None and now_ms - record.asked_ms > age_ms
    ]
