"""The last executions, and what one run did to the account so far: views of the journal, folded with the ledger.

Rules: integers. `cash_now` is the settled cash at any moment. A fill that crosses zero counts with what it moved on
balance. The run that opened the account begins with that.
"""

from __future__ import annotations

from attrs import evolve, frozen

from kalshi_daemon.core.position_tracker import Booked
from kalshi_daemon.facts import FillSeen
from kalshi_daemon.units import Milliseconds, Money


@frozen
class Execution:
    """A fill as it was booked; what it was decided for is in the record of its order."""

    fill: FillSeen
    realised: Money


@frozen
class SessionFigures:
    started_ms: Milliseconds = 0
    cash: Money = 0  # settled, when the run began
    cost: Money = 0  # of the positions held then
    fills: int = 0
    settlements: int = 0
    invested: Money = 0
    recouped: Money = 0
    fees: Money = 0
    realised: Money = 0
    drift: Money = 0  # by corrections: what was paid in or out behind our back, and mistakes

    @property
    def cash_now(self) -> Money:
        """What the settled cash is by these figures."""
        return self.cash - self.invested - self.fees + self.recouped + self.drift

    def filled(self, moved: Booked, fee: Money) -> SessionFigures:
        return evolve(self._moved(moved), fills=self.fills + 1, fees=self.fees + fee)

    def settled(self, moved: Booked) -> SessionFigures:
        return evolve(self._moved(moved), settlements=self.settlements + 1)

    def settled_again(self, moved: Booked) -> SessionFigures:
        """Another payout for what was settled."""
        return self._moved(moved)

    def charged(self, fee: Money) -> SessionFigures:
        """More, or less, than fills were charged when they were told."""
        return evolve(self, fees=self.fees + fee)

    def corrected(self, change: Money) -> SessionFigures:
        return evolve(self, drift=self.drift + change)

    def _moved(self, moved: Booked) -> SessionFigures:
        return evolve(
            self,
            invested=self.invested + max(0, -moved.cash),
            recouped=self.recouped + max(0, moved.cash),
            realised=self.realised + moved.realised,
        )
