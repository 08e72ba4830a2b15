"""The tally of errors: whose they were, and unknown codes by a bounded number of short names."""

from __future__ import annotations

from kalshi_daemon.core.error_tally import OTHERS, ErrorTally
from kalshi_daemon.errors import ExchangeError, Unreachable
from kalshi_daemon.limits import UNKNOWN_CODES_MAX


def test_errors_are_counted_by_whose_they_are():
    tally = ErrorTally()
    tally.note(Unreachable("reset", maybe_done=False))
    tally.note(ExchangeError(400, "invalid_price", ""))
    tally.note(ExchangeError(400, "invalid_order", ""))
    assert tally.by_fault == {"transient": 1, "ours": 2}
    assert tally.unknown_codes == {}


def test_unknown_codes_are_named_without_their_ids_and_bounded():
    """One name for a code with any id; whatever the exchange invents, the names stay few and short."""
    tally = ErrorTally()
    for number in range(3):
        assert not tally.note(ExchangeError(409, f"order_is_odd:_{number}", "")).known
    tally.note(ExchangeError(418, "\x00" * 5_000, ""))
    assert tally.unknown_codes == {"409 order_is_odd": 3, "418 without a name": 1}
    for number in range(1_000):
        tally.note(ExchangeError(409, f"code{number}" + "x" * 500, ""))
    assert len(tally.unknown_codes) == UNKNOWN_CODES_MAX + 1
    assert tally.unknown_codes[OTHERS] == 1_000 - UNKNOWN_CODES_MAX + 2
    assert max(map(len, tally.unknown_codes)) <= 68
