"""The positions role: what the exchange says we hold, held against what the ledger says.

The two may differ for a moment, because fills and positions come in no fixed order. A difference that outlives
`QUIET_MS` is a reason to read the whole account; it is never a correction by itself. It is as old as the first report
that differed: a market that is reported more often than `QUIET_MS` would never be doubted otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.facts import PositionReported
from kalshi_daemon.units import Count, Milliseconds, Ticker, contracts


@frozen
class _Difference:
    theirs: Count
    since_ms: Milliseconds


class PositionListener:
    def __init__(self, ours: Callable[[Ticker], Count], doubt: Callable[[str], None]) -> None:
        self.messages = 0
        self.differences: dict[Ticker, _Difference] = {}  # at most one a market of the account
        self._ours = ours
        self._doubt = doubt

    def on_position(self, reported: PositionReported, now_ms: Milliseconds) -> None:
        self.messages += 1
        if reported.count == self._ours(reported.market):
            self.differences.pop(reported.market, None)
        else:
            known = self.differences.get(reported.market)
            self.differences[reported.market] = _Difference(reported.count, known.since_ms if known else now_ms)

    def forget(self) -> None:
        """The stream ended: what it said last may have changed since, unseen."""
        self.differences.clear()

    def review(self, now_ms: Milliseconds) -> None:
        """Forget what has come to agree; doubt the account for what has not within the quiet time."""
        for market, seen in list(self.differences.items()):
            ours = self._ours(market)
            if ours == seen.theirs:
                del self.differences[market]
            elif now_ms - seen.since_ms >= limits.QUIET_MS:
                del self.differences[market]
                self._doubt(f"{market}: we count {contracts(ours)}, the exchange said {contracts(seen.theirs)}")
