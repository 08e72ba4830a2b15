"""Playback: recorded books drive the exchange's, with the recording's spacing in time, from any moment on.

Rules: times are rebased to when playback opens, and `speed` divides the pauses; every market's first book is there
from the beginning, since none is known before it. The exchange numbers and stamps anew, nothing of the recording's
sequence numbers or stamps is kept. What the recording lacks (title, close, grid, fees) is invented and marked so. When
the recording ends, its last books hold. How our orders meet it: recorded.py.
"""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import coarsest_structure
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Market, MarketStatus, Series
from kalshi_daemon.emulator.recording import RecordedLevel, RecordedSnapshot, Recording
from kalshi_daemon.units import FeeType, Milliseconds, Ticker


class Playback:
    """One recording on one exchange. Open it, then call `due` whenever `next_due_ms` has come."""

    def __init__(self, recording: Recording, speed: float = 1.0) -> None:
        assert speed > 0, "speed is a positive factor"
        opening = {step.market: step for step in reversed(recording.steps) if isinstance(step, RecordedSnapshot)}
        later = (step for step in recording.steps if step is not opening.get(step.market))
        self._steps = (*(evolve(opening[market], offset_ms=0) for market in recording.market_ids), *later)
        self._recording = recording
        self._speed = speed
        self._next = 0
        self._exchange: Exchange | None = None
        self._began_ms: Milliseconds = 0

    @property
    def tickers(self) -> tuple[Ticker, ...]:
        return tuple(self._recording.market_ids)

    def open(self, exchange: Exchange, now_ms: Milliseconds) -> None:
        """List the recorded markets and let time run from now."""
        assert self._exchange is None, "a playback is opened once"
        self._exchange = exchange
        self._began_ms = now_ms
        for market in self._markets(now_ms):
            if market.series not in exchange.series:
                title = f"Recorded series {market.series}, terms invented"
                exchange.add_series(Series(market.series, title, "", FeeType.QUADRATIC, 1_000_000, invented=True))
            exchange.add_market(market)
        self.due(now_ms)

    def _markets(self, now_ms: Milliseconds) -> list[Market]:
        markets = []
        for ticker, market_id in self._recording.market_ids.items():
            structure = coarsest_structure(self._recording.prices[ticker])
            market = invented_market(ticker, f"Recorded market {ticker}, terms invented", structure, now_ms)
            markets.append(evolve(market, market_id=market_id))
        return markets

    @property
    def next_due_ms(self) -> Milliseconds | None:
        """When the next step is due; None once the recording has ended."""
        if self._next == len(self._steps):
            return None
        return self._began_ms + int(self._steps[self._next].offset_ms / self._speed)

    def due(self, now_ms: Milliseconds) -> int:
        """Apply every step that is due by now; returns how many there were."""
        assert self._exchange is not None, "open the playback first"
        before = self._next
        while (due_ms := self.next_due_ms) is not None and due_ms <= now_ms:
            self._apply(self._exchange, self._steps[self._next])
            self._next += 1
        return self._next - before

    def _apply(self, exchange: Exchange, step: RecordedSnapshot | RecordedLevel) -> None:
        """One step; a market that has closed here takes no more of them."""
        if exchange.market(step.market).status not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
            return
        if isinstance(step, RecordedSnapshot):
            exchange.replace_recorded(step.market, step.yes, step.no)
        else:
            exchange.set_recorded(step.market, step.price, step.count, yes=step.yes)
