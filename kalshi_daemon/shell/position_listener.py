"""The positions role: what the exchange says we hold, held against what the ledger says.

The two may differ for a moment, because fills and positions come in no fixed order. A count that differs for more than
`QUIET_MS` is a reason to read the whole account; it is never a correction by itself. It is as old as the first report
that differed: a market that is reported more often than `QUIET_MS` would never be doubted otherwise.

Cost, profit and fees of a report are compared once its position has rested for `QUIET_MS` with the count that was told:
another fill makes them old, and a report of its own follows.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.facts import PositionReported
from kalshi_daemon.units import Count, Milliseconds, Ticker, contracts


@frozen
class _Difference:
    theirs: PositionReported
    since_ms: Milliseconds


@frozen
class _Rests:
    theirs: PositionReported
    ours: Position
    since_ms: Milliseconds


class PositionListener:
    def __init__(
        self,
        held: Callable[[Ticker], Position | None],
        doubt: Callable[[str], None],
        compare: Callable[[PositionReported], None],
    ) -> None:
        """`compare` is given what rested since it was told."""
        self.messages = 0
        self.differences: dict[Ticker, _Difference] = {}  # at most one a market of the account
        self._resting: dict[Ticker, _Rests] = {}  # likewise
        self._held = held
        self._doubt = doubt
        self._compare = compare

    def on_position(self, reported: PositionReported, now_ms: Milliseconds) -> None:
        self.messages += 1
        self._resting.pop(reported.market, None)
        if reported.count == self._count(reported.market):
            self._agrees(reported, now_ms)
        else:
            known = self.differences.get(reported.market)
            self.differences[reported.market] = _Difference(reported, known.since_ms if known else now_ms)

    def forget(self) -> None:
        """The stream ended: what it said last may have changed since, unseen."""
        self.differences.clear()
        self._resting.clear()

    def review(self, now_ms: Milliseconds) -> None:
        """Forget what has come to agree, and doubt the account for what has not within the quiet time; compare what
        rested so long.
        """
        for market, rests in list(self._resting.items()):
            moved = self._held(market) != rests.ours
            if moved or now_ms - rests.since_ms >= limits.QUIET_MS:
                del self._resting[market]
            if not moved and market not in self._resting:
                self._compare(rests.theirs)
        for market, seen in list(self.differences.items()):
            ours, theirs = self._count(market), seen.theirs.count
            if ours == theirs:
                self._agrees(seen.theirs, now_ms)
            elif now_ms - seen.since_ms >= limits.QUIET_MS:
                del self.differences[market]
                self._doubt(f"{market}: we count {contracts(ours)}, the exchange said {contracts(theirs)}")

    def _agrees(self, reported: PositionReported, now_ms: Milliseconds) -> None:
        self.differences.pop(reported.market, None)
        position = self._held(reported.market)
        if position is not None:
            self._resting[reported.market] = _Rests(reported, position, now_ms)

    def _count(self, market: Ticker) -> Count:
        position = self._held(market)
        return 0 if position is None else position.count
