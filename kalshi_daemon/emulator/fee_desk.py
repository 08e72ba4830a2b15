"""What series and events charge, and its changes: at once, or at a time that is announced (api.md 3.3).

Rules: an event's own fees outrank its series', each field by itself, and null leaves it to the series again. Fills pay
what holds when they happen. Streams are told of an event's change when it takes effect, and of a series' never, as at
the exchange. A change is listed from the moment it is announced, and on when it was made (assumed: the exchange says
that of its series' only).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from attrs import evolve

from kalshi_daemon.emulator.bounds import EMULATOR_FEE_CHANGES_MAX
from kalshi_daemon.emulator.events import EventFeesChanged
from kalshi_daemon.emulator.model import FeeChange
from kalshi_daemon.emulator.venue import Venue

FEES = "fees"  # the calendar's kind for a change that was announced


class FeeDesk:
    """Changes the fees of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._coming: dict[str, FeeChange] = {}
        self._made: deque[FeeChange] = deque(maxlen=EMULATOR_FEE_CHANGES_MAX)

    def changes(self, *, made: bool) -> Iterator[FeeChange]:
        """Those that are to come, and with `made` before them those that were made, the last of them."""
        if made:
            yield from self._made
        yield from self._coming.values()

    @property
    def is_full(self) -> bool:
        """No further change can be announced."""
        return len(self._coming) >= EMULATOR_FEE_CHANGES_MAX

    def announce(self, change: FeeChange) -> None:
        """A change takes effect when it is due, or now."""
        assert change.event in self._venue.events or not change.event, f"no event {change.event}"
        if change.scheduled_ms <= self._venue.now_ms():
            self._make(change)
            return
        assert not self.is_full, "too many changes of fees are to come"
        self._coming[change.change_id] = change
        self._venue.schedule(change.scheduled_ms, FEES, change.change_id)

    def step(self, change_id: str) -> None:
        self._make(self._coming.pop(change_id))

    def _make(self, change: FeeChange) -> None:
        venue, fee_type, multiplier_ppm = self._venue, change.fee_type, change.multiplier_ppm
        self._made.append(change)
        if change.event:
            terms = venue.events[change.event]
            venue.events[change.event] = evolve(terms, fee_type=fee_type, multiplier_ppm=multiplier_ppm)
        else:
            assert fee_type is not None and multiplier_ppm is not None, "a series charges something"  # noqa: PT018
            series = venue.series[change.series]
            venue.series[change.series] = evolve(series, fee_type=fee_type, multiplier_ppm=multiplier_ppm)
        for state in venue.states.values():
            if state.market.series == change.series:
                state.series = venue.fees_of(state.market.event)
        if change.event:
            venue.emit(EventFeesChanged(venue.events[change.event], venue.now_ms()))
