"""What each market is charged: its series' schedule under its event's own fees. The one place where they are joined.

Rules (api.md 3.3): an event's fee type and its multiplier each outrank its series', by themselves. Nothing is assumed:
until both the series' and the event's fees were read, there are none to count with. What cannot be counted with puts
out the markets that it is about, the series' or the event's, with the reason; what was known before stays, for
whoever has to judge what we hold there. Waivers of a market are left out of account: their extent is not known, and
without them the reservation is the higher one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TypeAlias

from msgspec.structs import replace

from kalshi_daemon.facts import EventFees, SeriesFees
from kalshi_daemon.units import Ticker

Charged: TypeAlias = tuple[SeriesFees | None, str]  # what is known; why nothing may be bought by it, or empty


class FeeSchedules:
    """By series and by event; of those that are known, no more than `keep` leaves."""

    def __init__(self) -> None:
        self._series: dict[Ticker, Charged] = {}
        self._events: dict[Ticker, EventFees] = {}
        self.series: Mapping[Ticker, Charged] = MappingProxyType(self._series)
        self.events: Mapping[Ticker, EventFees] = MappingProxyType(self._events)

    def read_series(self, series: Ticker, fees: SeriesFees | None, refused: str) -> bool:
        """A series' schedule, or why it cannot be counted with. Whether that is news."""
        before = self._series.get(series)
        told = (before[0] if refused and before is not None else fees, refused)
        self._series[series] = told
        return told != before

    def read_event(self, fees: EventFees) -> bool:
        """An event's own fees. Whether that is news."""
        before = self._events.get(fees.event)
        told = replace(before, refused=fees.refused) if fees.refused and before is not None else fees
        self._events[fees.event] = told
        return told != before

    def of(self, series: Ticker, event: Ticker) -> Charged:
        """What a market of that series and event is charged; (None, "") where that was not read yet."""
        fees, refused = self._series.get(series, (None, ""))
        own = self._events.get(event)
        if own is None:
            return None, refused
        if fees is not None:
            kind = fees.fee_type if own.fee_type is None else own.fee_type
            ppm = fees.multiplier_ppm if own.multiplier_ppm is None else own.multiplier_ppm
            fees = replace(fees, fee_type=kind, multiplier_ppm=ppm)
        return fees, refused or own.refused

    def keep(self, series: Collection[Ticker], events: Collection[Ticker]) -> None:
        """Forget all others."""
        for ticker in self._series.keys() - series:
            del self._series[ticker]
        for ticker in self._events.keys() - events:
            del self._events[ticker]
