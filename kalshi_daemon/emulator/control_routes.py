"""The emulator's own door, beside the exchange's: faults and the exchange's doing, switched while it runs.

Paths under `/emulator`, which the exchange does not have. Rules: no signature is asked for, so it is for loopback only,
and a change must say that it is JSON, which a foreign page in a browser cannot; what is refused changes nothing and is
one line in `error`; faults do not reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kalshi_daemon.emulator import requests
from kalshi_daemon.emulator.bodies import Body
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_figures import FaultRefused
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault, write_fault
from kalshi_daemon.emulator.faults import HANDSHAKE, NETWORK
from kalshi_daemon.emulator.model import FeeChange, MarketStatus
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.shell.http_server import Request, Response
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, FeeType, Milliseconds, Price, Ticker

PREFIX: Final = "/emulator"
SECONDS_MAX: Final = 366 * 24 * 3_600
MULTIPLIER_PPM_MAX: Final = 100_000_000  # real ones are 0, 0.5 and 1
FEES: Final = frozenset({"fee_type", "multiplier", "seconds"})
OPEN: Final = (MarketStatus.INITIALIZED, MarketStatus.ACTIVE, MarketStatus.INACTIVE, MarketStatus.CLOSED)


class _NotDone(Exception):
    """`status` and one line for whoever asked."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ControlRoutes:
    """Answers what is asked under `PREFIX`."""

    def __init__(
        self, exchange: Exchange, faults: FaultSchedule, drop_streams: Callable[[], int], *, has_tls: bool
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._has_tls = has_tls
        self._actions: dict[tuple[str, ...], Callable[[Body], Body]] = {
            ("GET", "faults"): lambda _body: {"faults": self._listed()},
            ("POST", "faults"): lambda body: {"number": self._add(body)},
            ("DELETE", "faults"): lambda _body: {"cleared": faults.clear()},
            ("POST", "exchange", "pause"): lambda _body: self._trade(active=False),
            ("POST", "exchange", "resume"): lambda _body: self._trade(active=True),
            ("POST", "exchange", "stop"): lambda _body: self._work(active=False),
            ("POST", "exchange", "start"): lambda _body: self._work(active=True),
            ("POST", "streams", "drop"): lambda _body: {"dropped": drop_streams()},
        }
        self._market_actions = {
            "halt": self._halt,
            "resume": self._resume,
            "close": self._close,
            "settle": self._settle,
            "dispute": self._dispute,
            "amend": self._amend,
            "waive": self._waive,
        }

    @staticmethod
    def concerns(request: Request) -> bool:
        return request.path.split("/")[1:2] == [PREFIX[1:]]

    def answer(self, request: Request) -> Response:
        try:
            return _json(200, self._route(request))
        except (_NotDone, FaultRefused) as error:
            return _json(getattr(error, "status", 400), {"error": str(error)})
        except Refused as refused:
            return _json(refused.status, {"error": f"{refused.message} {refused.details}".strip()})

    def _route(self, request: Request) -> Body:
        parts = tuple(request.path.split("/")[2:])
        body = {} if request.method == "GET" else _body(request)
        action = self._actions.get((request.method, *parts))
        if action is not None:
            return action(body)
        match request.method, *parts:
            case "DELETE", "faults", number if number.isdecimal() and self._faults.clear(int(number)):
                return {"cleared": 1}
            case "POST", "markets", ticker, name if name in self._market_actions:
                self._market_actions[name](ticker, body)
                return {"status": self._exchange.market(ticker).status}
            case "POST", "events", event, "fees" if event in self._exchange.events:
                return _announced(self._exchange.override_fees(event, *self._fees(body)))
            case "POST", "series", series, "fees" if series in self._exchange.series:
                fee_type, multiplier_ppm, at_ms = self._fees(body)
                if fee_type is None or multiplier_ppm is None:
                    raise _NotDone(400, "a series needs both: fee_type and multiplier")
                return _announced(self._exchange.change_series_fees(series, fee_type, multiplier_ppm, at_ms))
        raise _NotDone(404, f"{request.method} {request.path} is not here: docs/emulator.md lists what is")

    def _trade(self, *, active: bool) -> Body:
        if active:
            self._exchange.resume_trading()
        else:
            self._exchange.pause_trading()
        return {"trading_active": self._exchange.trading_active}

    def _work(self, *, active: bool) -> Body:
        if active:
            self._exchange.start()
        else:
            self._exchange.stop()
        return {"exchange_active": self._exchange.hours.active}

    def _listed(self) -> list[Body]:
        return [
            {
                "number": each.number,
                "fault": write_fault(each.planned),
                "acts": self._faults.acts(each),
                "bites": each.bites,
            }
            for each in self._faults.scheduled
        ]

    def _add(self, body: Body) -> int:
        text = body.get("fault")
        if not isinstance(text, str):
            raise _NotDone(400, '{"fault": "KIND..."} is needed')
        planned = parse_fault(text)
        kind = planned.fault.kind
        if kind.place == NETWORK:
            raise _NotDone(400, f"{kind.word} is the network's, which is not switched here: docs/emulator.md")
        if kind.place == HANDSHAKE and not self._has_tls:
            raise _NotDone(400, f"{kind.word} is for an emulator that was started with --tls")
        return self._faults.add(planned)

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

    def _waive(self, ticker: Ticker, body: Body) -> None:
        """Charge nothing for so many seconds from now."""
        self._expect(ticker, *OPEN)
        self._exchange.waive_fees(ticker, self._then_ms(body))

    def _then_ms(self, body: Body) -> Milliseconds:
        seconds = body.get("seconds")
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= SECONDS_MAX:
            raise _NotDone(400, f'{{"seconds": N}} is needed: whole ones from now, at most {SECONDS_MAX}')
        return self._exchange.now_ms + seconds * SECOND_MS

    def _fees(self, body: Body) -> tuple[FeeType | None, int | None, Milliseconds]:
        """What is to be charged, and from when; what is left out or null is the series'."""
        if unknown := body.keys() - FEES:
            raise _NotDone(400, f"{', '.join(sorted(unknown))}: only {', '.join(sorted(FEES))} are known here")
        word, multiplier = body.get("fee_type"), body.get("multiplier")
        if word is not None and word not in list(FeeType):
            raise _NotDone(400, f"fee_type: one of {', '.join(FeeType)}")
        if multiplier is not None and not isinstance(multiplier, str):
            raise _NotDone(400, 'multiplier: a text, as "0.5"')
        ppm = None if multiplier is None else requests.read_multiplier(multiplier)
        if ppm is not None and ppm > MULTIPLIER_PPM_MAX:
            raise _NotDone(400, f"multiplier: at most {MULTIPLIER_PPM_MAX // requests.PPM}")
        if self._exchange.fees.is_full:
            raise _NotDone(409, "too many changes of fees are to come")
        return None if word is None else FeeType(str(word)), ppm, self._then_ms({"seconds": 0} | body)

    def _settle(self, ticker: Ticker, body: Body) -> None:
        self._expect(ticker, *OPEN)
        self._exchange.settle(ticker, *self._result(body))

    def _dispute(self, ticker: Ticker, _body: Body) -> None:
        self._expect(ticker, MarketStatus.DETERMINED)
        self._exchange.dispute(ticker)

    def _amend(self, ticker: Ticker, body: Body) -> None:
        self._expect(ticker, MarketStatus.DETERMINED, MarketStatus.DISPUTED)
        self._exchange.amend_result(ticker, *self._result(body))

    @staticmethod
    def _result(body: Body) -> tuple[str, Price | None]:
        """A result, and what the YES leg is worth where it does not say so itself."""
        result, value = body.get("result"), body.get("value")
        if result not in ("yes", "no", "void", "scalar") or (result == "scalar") != isinstance(value, str):
            raise _NotDone(
                400, '{"result": "yes", "no" or "void"} or {"result": "scalar", "value": "0.5600"} is needed'
            )
        price = requests.read_price(value) if isinstance(value, str) else None
        if price is not None and price > PRICE_ONE:
            raise _NotDone(400, f"a contract is not worth {value}: at most 1.0000")
        return str(result), price

    def _expect(self, ticker: Ticker, *statuses: MarketStatus) -> None:
        status = self._exchange.market(ticker).status
        if status not in statuses:
            raise _NotDone(409, f"{ticker} is {status}: this takes one that is {' or '.join(statuses)}")


def _announced(change: FeeChange) -> Body:
    return {"id": change.change_id, "scheduled_ms": change.scheduled_ms}


def _body(request: Request) -> Body:
    """Raises Refused."""
    empty = not request.body and request.headers.get("content-type") == "application/json"
    return {} if empty else requests.decode_object(request)


def _json(status: int, body: Body) -> Response:
    return Response(status, msgspec.json.encode(body))
