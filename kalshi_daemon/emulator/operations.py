"""What the exchange itself does, by word: listing, pauses, halts, results, disputes, grids, fees.

Rules: a wrong use is an assertion. Reads and orders of members are `exchange.py`'s, which is built on this.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from attrs import evolve

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.events import Event
from kalshi_daemon.emulator.execution import Execution
from kalshi_daemon.emulator.fee_desk import FeeDesk
from kalshi_daemon.emulator.hours import By, Hours
from kalshi_daemon.emulator.lifecycle import Lifecycle
from kalshi_daemon.emulator.model import EventTerms, ExchangeSettings, FeeChange, Market, Series
from kalshi_daemon.emulator.pauses import Pauses
from kalshi_daemon.emulator.venue import MarketState, Venue
from kalshi_daemon.units import FeeType, Milliseconds, Price, Ticker


class Operations:
    """The exchange's own side of one venue."""

    def __init__(self, settings: ExchangeSettings, now_ms: Callable[[], Milliseconds], rng: random.Random) -> None:
        self.settings = settings
        self._venue = Venue(settings, now_ms, rng)
        self._execution = Execution(self._venue)
        self._pauses = Pauses(self._venue, self._execution)
        self._fees = FeeDesk(self._venue)
        self._lifecycle = Lifecycle(self._venue, self._execution, self._pauses, self._fees)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Hear every event, in order, while it happens. A listener must not call back into the exchange."""
        self._venue.listen(listener)

    def advance(self) -> None:
        """Do what the clock has made due: expiry, pauses, opening, closing, determination, payment."""
        self._lifecycle.advance()

    @property
    def now_ms(self) -> Milliseconds:
        """The exchange's own clock."""
        return self._venue.now_ms()

    @property
    def next_due_ms(self) -> Milliseconds | None:
        """When `advance` may next have something to do; None: never, as things stand."""
        return self._venue.next_due_ms

    def _state(self, ticker: Ticker) -> MarketState:
        """Raises Refused market_not_found."""
        self._lifecycle.advance()
        state = self._venue.states.get(ticker)
        if state is None:
            raise refusals.market_not_found()
        return state

    # ------------------------------------------------------------------------------------------------------- listing

    def add_series(self, series: Series) -> None:
        self._venue.series[series.ticker] = series

    def add_market(self, market: Market) -> None:
        """List a market of a known series, and its event if that is new; it opens by its own times."""
        assert market.ticker not in self._venue.states, f"{market.ticker} is listed"
        assert market.exchange_index in self.settings.exchange_indexes, f"no shard {market.exchange_index}"
        market = evolve(market, market_id=market.market_id or self._venue.new_id())
        self._lifecycle.list_event(market)
        state = MarketState(market, self._venue.fees_of(market.event))
        self._venue.states[market.ticker] = state
        self._venue.markets[market.ticker] = market
        self._lifecycle.begin(state)

    @property
    def series(self) -> Mapping[Ticker, Series]:
        return self._venue.series

    @property
    def events(self) -> Mapping[Ticker, EventTerms]:
        return self._venue.events

    @property
    def markets(self) -> Mapping[Ticker, Market]:
        return self._venue.markets

    def change_grid(self, ticker: Ticker, structure: str) -> None:
        """Give a market another of the structures of `grid.py`, on which every price of the old one is valid."""
        self._lifecycle.change_grid(self._state(ticker), structure)

    def set_floor(self, ticker: Ticker, floor: Price) -> None:
        """Let the YES leg of a market settle at this or above; what rests below it is cancelled."""
        self._lifecycle.set_floor(self._state(ticker), floor)

    def rename(self, ticker: Ticker, yes_subtitle: str) -> None:
        """Change what the YES side of a market is called."""
        self._lifecycle.rename(self._state(ticker), yes_subtitle)

    # ---------------------------------------------------------------------------------------------------------- fees

    def override_fees(
        self,
        event: Ticker,
        fee_type: FeeType | None,
        multiplier_ppm: int | None,
        at_ms: Milliseconds | None = None,
    ) -> FeeChange:
        """Let an event's markets have other fees than its series, from now on or from then; both None: the series'."""
        return self._change_fees(self.events[event].series, event, fee_type, multiplier_ppm, at_ms)

    def change_series_fees(
        self, series: Ticker, fee_type: FeeType, multiplier_ppm: int, at_ms: Milliseconds | None = None
    ) -> FeeChange:
        """Give a series another schedule, from now on or from then."""
        return self._change_fees(series, "", fee_type, multiplier_ppm, at_ms)

    def _change_fees(
        self,
        series: Ticker,
        event: Ticker,
        fee_type: FeeType | None,
        multiplier_ppm: int | None,
        at_ms: Milliseconds | None,
    ) -> FeeChange:
        due_ms = self.now_ms if at_ms is None else at_ms
        change = FeeChange(self._venue.new_id(), series, event, fee_type, multiplier_ppm, due_ms)
        self.advance()
        self._fees.announce(change)
        return change

    @property
    def fees(self) -> FeeDesk:
        """Which changes of fees are listed; to be read."""
        self.advance()
        return self._fees

    def waive_fees(self, ticker: Ticker, until_ms: Milliseconds) -> None:
        """Let a market charge nothing until then."""
        self._lifecycle.waive_fees(self._state(ticker), until_ms)

    # -------------------------------------------------------------------------------------------------------- pauses

    @property
    def hours(self) -> Hours:
        """What stops the exchange now; to be read."""
        return self._venue.hours

    @property
    def trading_active(self) -> bool:
        """As the exchange's status shows it: of shard 0."""
        return self._venue.hours.trades(0)

    def pause_trading(self, exchange_index: int | None = None, *, by: By = "word") -> None:
        """No orders on any market, or on those of one shard; cancels pass."""
        self._pauses.pause(exchange_index, by)

    def resume_trading(self, exchange_index: int | None = None, *, by: By = "word") -> None:
        """End the pause of the same extent that the same began."""
        self._pauses.resume(exchange_index, by)

    def stop(self, resume_ms: Milliseconds | None = None) -> None:
        """Pause the whole exchange; `resume_ms` is what its status says of the end."""
        self._pauses.stop(resume_ms)

    def start(self) -> None:
        self._pauses.start()

    def begin_maintenance(self, until_ms: Milliseconds | None = None, *, by: By = "word") -> None:
        """503 for everything, and no streams; until then, or until `end_maintenance` of the same."""
        self._pauses.begin_maintenance(until_ms, by)

    def end_maintenance(self, *, by: By = "word") -> None:
        self._pauses.end_maintenance(by)

    def announce_maintenance(self, begins_ms: Milliseconds, ends_ms: Milliseconds) -> None:
        """Maintenance to come: the schedule tells of it, and it begins and ends by the clock."""
        assert begins_ms < ends_ms, "a window has a length"
        self._pauses.announce(begins_ms, ends_ms)
        self.advance()

    def withdraw_maintenance(self) -> int:
        """Take back what was announced, begun or not; how many windows there were."""
        return self._pauses.withdraw()

    # ------------------------------------------------------------------------------------------------- one market

    def halt(self, ticker: Ticker) -> None:
        """Stop one market, while the exchange's status stays green."""
        self._lifecycle.halt(self._state(ticker))

    def resume(self, ticker: Ticker) -> None:
        self._lifecycle.resume(self._state(ticker))

    def move_close(self, ticker: Ticker, close_ms: Milliseconds) -> None:
        self._lifecycle.move_close(self._state(ticker), close_ms)
        self.advance()

    def settle(self, ticker: Ticker, result: str, value: Price | None = None) -> None:
        """Determine a market: "yes", "no", "scalar" with the YES leg's value, or "void"."""
        self._lifecycle.settle(self._state(ticker), result, value)

    def dispute(self, ticker: Ticker) -> None:
        """A determined market is disputed: it is not paid before it is amended."""
        self._lifecycle.dispute(self._state(ticker))

    def amend_result(self, ticker: Ticker, result: str, value: Price | None = None) -> None:
        """Determine a determined or disputed market again; its settlement timer begins anew."""
        self._lifecycle.amend(self._state(ticker), result, value)
