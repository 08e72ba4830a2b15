"""What the emulator's own door does to markets, events and series: halts, closes, results, grids and fees.

Rule: what does not suit where a market stands is refused and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import evolve

from kalshi_daemon.emulator import requests
from kalshi_daemon.emulator.bodies import Body, price_text
from kalshi_daemon.emulator.bounds import EMULATOR_MARKETS_MAX
from kalshi_daemon.emulator.control_body import NotDone, only, shard_of, text, whole, word
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.grid import STRUCTURES, contains
from kalshi_daemon.emulator.lifecycle import BEFORE_CLOSE
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import FeeChange, MarketStatus
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, FeeType, Milliseconds, Price, Ticker

SECONDS_MAX: Final = 366 * 24 * 3_600
MULTIPLIER_PPM_MAX: Final = 100_000_000  # real ones are 0, 0.5 and 1
OPEN: Final = (*BEFORE_CLOSE, MarketStatus.CLOSED)
RESULT: Final = ("result", "value")
LISTING: Final = ("ticker", "opens_in", "seconds", "shard")
TICKER: Final = re.compile(r"[A-Z0-9]{1,20}(-[A-Z0-9.]{1,20}){2}")  # of a series, its event and the market


class MarketControl:
    """Does to the markets of one exchange what is asked at the door."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._actions: dict[str, tuple[Callable[[Ticker, Body], None], tuple[str, ...]]] = {
            "halt": (self._halt, ()),
            "resume": (self._resume, ()),
            "close": (self._close, ("seconds",)),
            "grid": (self._grid, ("structure",)),
            "floor": (self._floor, ("value",)),
            "waive": (self._waive, ("seconds",)),
            "settle": (self._settle, RESULT),
            "dispute": (self._dispute, ()),
            "amend": (self._amend, RESULT),
        }

    def list_market(self, body: Body) -> Body:
        """One more market of a series that is known, with an empty book; it opens and closes by itself."""
        ticker = text(body, "ticker", "SERIES-EVENT-MARKET")
        series = self._exchange.series
        if not TICKER.fullmatch(ticker) or ticker.partition("-")[0] not in series:
            raise NotDone(400, f"{ticker[:60]} is not SERIES-EVENT-MARKET of one of {', '.join(series)}")
        if ticker in self._exchange.markets or len(self._exchange.markets) >= EMULATOR_MARKETS_MAX:
            raise NotDone(409, f"{ticker} is listed, or {EMULATOR_MARKETS_MAX} markets are")
        shard = shard_of(body, self._exchange.settings.exchange_indexes)
        now_ms = self._exchange.now_ms
        opens_ms = now_ms + whole(body, "opens_in", 0, SECONDS_MAX) * SECOND_MS
        closes_ms = opens_ms + whole(body, "seconds", 1, SECONDS_MAX) * SECOND_MS
        market = invented_market(ticker, f"Listed by hand: {ticker}", "linear_cent", now_ms)
        self._exchange.add_market(evolve(market, open_ms=opens_ms, close_ms=closes_ms, exchange_index=shard))
        return {"status": self._exchange.market(ticker).status}

    def knows(self, name: str) -> bool:
        return name in self._actions

    def do(self, name: str, ticker: Ticker, body: Body) -> Body:
        """Where the market stands after it. Raises NotDone, or Refused for a market that there is not."""
        act, fields = self._actions[name]
        only(body, fields)
        act(ticker, body)
        return {"status": self._exchange.market(ticker).status}

    def _halt(self, ticker: Ticker, _body: Body) -> None:
        self._expect(ticker, MarketStatus.ACTIVE)
        self._exchange.halt(ticker)

    def _resume(self, ticker: Ticker, _body: Body) -> None:
        self._expect(ticker, MarketStatus.INACTIVE)
        self._exchange.resume(ticker)

    def _close(self, ticker: Ticker, body: Body) -> None:
        """Move the close, either way: so many seconds from now. A closed market stands halted then."""
        self._expect(ticker, *OPEN)
        self._exchange.move_close(ticker, self._then_ms(body))

    def _grid(self, ticker: Ticker, body: Body) -> None:
        """Another price structure, on which every price of the old one is valid."""
        self._expect(ticker, *BEFORE_CLOSE)
        structure, market = word(body, "structure", STRUCTURES), self._exchange.market(ticker)
        if not contains(STRUCTURES[structure], market.price_ranges):
            raise NotDone(409, f"{structure} lacks prices of {market.price_level_structure}, at which orders may rest")
        self._exchange.change_grid(ticker, structure)

    def _floor(self, ticker: Ticker, body: Body) -> None:
        """What the YES leg settles at or above; orders below it go."""
        self._expect(ticker, *BEFORE_CLOSE)
        floor = requests.read_price(text(body, "value", "0.2500"))
        if not 0 < floor < PRICE_ONE:
            raise NotDone(400, f"a floor of {body['value']}: above 0 and below 1")
        self._exchange.set_floor(ticker, floor)

    def _waive(self, ticker: Ticker, body: Body) -> None:
        """Charge nothing for so many seconds from now."""
        self._expect(ticker, *OPEN)
        self._exchange.waive_fees(ticker, self._then_ms(body))

    def _settle(self, ticker: Ticker, body: Body) -> None:
        self._expect(ticker, *OPEN)
        self._exchange.settle(ticker, *self._result(ticker, body))

    def _dispute(self, ticker: Ticker, _body: Body) -> None:
        self._expect(ticker, MarketStatus.DETERMINED)
        self._exchange.dispute(ticker)

    def _amend(self, ticker: Ticker, body: Body) -> None:
        self._expect(ticker, MarketStatus.DETERMINED, MarketStatus.DISPUTED)
        self._exchange.amend_result(ticker, *self._result(ticker, body))

    def _result(self, ticker: Ticker, body: Body) -> tuple[str, Price | None]:
        """A result, and what the YES leg is worth where it does not say so itself."""
        result, value = body.get("result"), body.get("value")
        if result not in ("yes", "no", "void", "scalar") or (result == "scalar") != isinstance(value, str):
            raise NotDone(400, '{"result": "yes", "no" or "void"} or {"result": "scalar", "value": "0.5600"} is needed')
        price = requests.read_price(value) if isinstance(value, str) else None
        if price is not None and price > PRICE_ONE:
            raise NotDone(400, f"a contract is not worth {value}: at most 1.0000")
        floor = self._exchange.market(ticker).floor or 0
        if (result == "no" and floor) or (price is not None and price < floor):
            raise NotDone(409, f"{ticker} settles at its floor or above: at a value from {price_text(floor)} on")
        return str(result), price

    def _expect(self, ticker: Ticker, *statuses: MarketStatus) -> None:
        status = self._exchange.market(ticker).status
        if status not in statuses:
            raise NotDone(409, f"{ticker} is {status}: this takes one that is {' or '.join(statuses)}")

    def _then_ms(self, body: Body) -> Milliseconds:
        return self._exchange.now_ms + whole(body, "seconds", 0, SECONDS_MAX) * SECOND_MS

    # ---------------------------------------------------------------------------------------------------------- fees

    def change_event_fees(self, event: Ticker, body: Body) -> Body:
        return _announced(self._exchange.override_fees(event, *self._fees(body)))

    def change_series_fees(self, series: Ticker, body: Body) -> Body:
        fee_type, multiplier_ppm, at_ms = self._fees(body)
        if fee_type is None or multiplier_ppm is None:
            raise NotDone(400, "a series needs both: fee_type and multiplier")
        return _announced(self._exchange.change_series_fees(series, fee_type, multiplier_ppm, at_ms))

    def _fees(self, body: Body) -> tuple[FeeType | None, int | None, Milliseconds]:
        """What is to be charged, and from when; what is left out or null is the series'."""
        only(body, ("fee_type", "multiplier", "seconds"))
        kind, multiplier = body.get("fee_type"), body.get("multiplier")
        if kind is not None and kind not in list(FeeType):
            raise NotDone(400, f"fee_type: one of {', '.join(FeeType)}")
        if multiplier is not None and not isinstance(multiplier, str):
            raise NotDone(400, 'multiplier: a text, as "0.5"')
        ppm = None if multiplier is None else requests.read_multiplier(multiplier)
        if ppm is not None and ppm > MULTIPLIER_PPM_MAX:
            raise NotDone(400, f"multiplier: at most {MULTIPLIER_PPM_MAX // requests.PPM}")
        if self._exchange.fees.is_full:
            raise NotDone(409, "too many changes of fees are to come")
        return None if kind is None else FeeType(str(kind)), ppm, self._then_ms({"seconds": 0} | body)


def _announced(change: FeeChange) -> Body:
    return {"id": change.change_id, "scheduled_ms": change.scheduled_ms}
