"""The emulator's own door, beside the exchange's: faults and the exchange's doing, switched while it runs.

Paths under `/emulator`, which the exchange does not have. Rules: no signature is asked for, so it is for loopback only,
and a change must say that it is JSON, which a foreign page in a browser cannot; what is refused changes nothing and is
one line in `error`; faults do not reach it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from kalshi_daemon.emulator import requests
from kalshi_daemon.emulator.bodies import Body, balance_text, time_text
from kalshi_daemon.emulator.bounds import MAINTENANCE_WINDOWS_MAX, SUBACCOUNTS_MAX
from kalshi_daemon.emulator.channels import CHANNELS
from kalshi_daemon.emulator.control_body import NotDone, only, shard_of, text, whole, word
from kalshi_daemon.emulator.control_market_routes import LISTING, SECONDS_MAX, MarketControl
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_figures import FaultRefused
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault, write_fault
from kalshi_daemon.emulator.faults import HANDSHAKE, NETWORK
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.shell.http_server import Request, Response
from kalshi_daemon.units import CENT, SECOND_MS, dollars

PREFIX: Final = "/emulator"
CENTS_MAX: Final = 100_000_000_00
NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)  # of a fault


class Streams(Protocol):
    """The open WebSockets; each answers how many it met."""

    def drop_streams(self) -> int: ...
    def fail_channel(self, channel: str) -> int: ...


class ControlRoutes:
    """Answers what is asked under `PREFIX`."""

    def __init__(self, exchange: Exchange, faults: FaultSchedule, streams: Streams, *, has_tls: bool) -> None:
        self._exchange = exchange
        self._faults = faults
        self._streams = streams
        self._has_tls = has_tls
        self._markets = MarketControl(exchange)
        maintenance = ("exchange", "maintenance")
        self._actions: dict[tuple[str, ...], tuple[Callable[[Body], Body], tuple[str, ...]]] = {
            ("GET", "faults"): (lambda _body: {"faults": self._listed()}, ()),
            ("POST", "faults"): (lambda body: {"number": self._add(body)}, ("fault",)),
            ("DELETE", "faults"): (lambda _body: {"cleared": faults.clear()}, ()),
            ("POST", "exchange", "pause"): (lambda body: self._trade(body, active=False), ("shard",)),
            ("POST", "exchange", "resume"): (lambda body: self._trade(body, active=True), ("shard",)),
            ("POST", "exchange", "stop"): (lambda _body: self._work(active=False), ()),
            ("POST", "exchange", "start"): (lambda _body: self._work(active=True), ()),
            ("POST", *maintenance): (self._announce, ("in_seconds", "seconds")),
            ("DELETE", *maintenance): (lambda _body: {"withdrawn": exchange.withdraw_maintenance()}, ()),
            ("POST", "account", "deposit"): (self._deposit, ("cents", "shard", "subaccount")),
            ("POST", "markets"): (self._markets.list_market, LISTING),
            ("POST", "streams", "drop"): (lambda _body: {"dropped": streams.drop_streams()}, ()),
            ("POST", "streams", "fail"): (self._fail, ("channel",)),
        }

    @staticmethod
    def concerns(request: Request) -> bool:
        return request.path.split("/")[1:2] == [PREFIX[1:]]

    def answer(self, request: Request) -> Response:
        try:
            return _json(200, self._route(request))
        except (NotDone, FaultRefused) as error:
            return _json(getattr(error, "status", 400), {"error": str(error)})
        except Refused as refused:
            return _json(refused.status, {"error": f"{refused.message} {refused.details}".strip()})

    def _route(self, request: Request) -> Body:
        parts = tuple(request.path.split("/")[2:])
        body = {} if request.method == "GET" else _body(request)
        known = self._actions.get((request.method, *parts))
        if known is not None:
            act, fields = known
            only(body, fields)
            return act(body)
        match request.method, *parts:
            case "DELETE", "faults", number if NUMBER.fullmatch(number) and self._faults.clear(int(number)):
                return {"cleared": 1}
            case "POST", "markets", ticker, name if self._markets.knows(name):
                return self._markets.do(name, ticker, body)
            case "POST", "events", event, "fees" if event in self._exchange.events:
                return self._markets.change_event_fees(event, body)
            case "POST", "series", series, "fees" if series in self._exchange.series:
                return self._markets.change_series_fees(series, body)
        raise NotDone(404, f"{request.method} {request.path} is not here: docs/emulator.md lists what is")

    def _trade(self, body: Body, *, active: bool) -> Body:
        """Of one shard, or of all of them; whether orders are taken there now."""
        shard = None if "shard" not in body else shard_of(body, self._exchange.settings.exchange_indexes)
        (self._exchange.resume_trading if active else self._exchange.pause_trading)(shard)
        return {"trading_active": self._exchange.hours.trades(shard or 0)}

    def _deposit(self, body: Body) -> Body:
        """Cash of a subaccount of the first member, behind the back of whoever trades with it; below zero it is
        withdrawn.
        """
        cents, shard = (
            whole(body, "cents", -CENTS_MAX, CENTS_MAX),
            shard_of(body, self._exchange.settings.exchange_indexes),
        )
        member = next(each for each in self._exchange.accounts.values() if not each.credit)
        number = whole(body, "subaccount", 0, SUBACCOUNTS_MAX) if "subaccount" in body else 0
        account = member.family.get(number)
        if account is None:
            raise NotDone(409, f"there is no subaccount {number}: begin with --set subaccounts=N")
        free = dict(self._exchange.balance(account).shown)[shard]
        if cents < 0 and free < -cents * CENT:
            raise NotDone(409, f"shard {shard} has {dollars(free)} that no order holds")
        self._exchange.deposit(account, cents * CENT, shard)
        return {"balance_dollars": balance_text(account.cash[shard])}

    def _work(self, *, active: bool) -> Body:
        if active:
            self._exchange.start()
        else:
            self._exchange.stop()
        return {"exchange_active": self._exchange.hours.active}

    def _announce(self, body: Body) -> Body:
        """Maintenance that the schedule tells of from now on."""
        if len(self._exchange.hours.announced) >= MAINTENANCE_WINDOWS_MAX:
            raise NotDone(409, f"{MAINTENANCE_WINDOWS_MAX} windows are announced already: withdraw them")
        begins_ms = self._exchange.now_ms + whole(body, "in_seconds", 0, SECONDS_MAX) * SECOND_MS
        ends_ms = begins_ms + whole(body, "seconds", 1, SECONDS_MAX) * SECOND_MS
        self._exchange.announce_maintenance(begins_ms, ends_ms)
        return {"start_datetime": time_text(begins_ms), "end_datetime": time_text(ends_ms)}

    def _fail(self, body: Body) -> Body:
        return {"failed": self._streams.fail_channel(word(body, "channel", CHANNELS))}

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
        planned = parse_fault(text(body, "fault", "KIND..."))
        kind = planned.fault.kind
        if kind.place == NETWORK:
            raise NotDone(400, f"{kind.word} is the network's, which is not switched here: docs/emulator.md")
        if kind.place == HANDSHAKE and not self._has_tls:
            raise NotDone(400, f"{kind.word} is for an emulator that was started with --tls")
        return self._faults.add(planned)


def _body(request: Request) -> Body:
    """Raises NotDone."""
    if not request.body and request.headers.get("content-type") == "application/json":
        return {}
    try:
        return requests.decode_object(request)
    except Refused as refused:
        text = "needed: the header Content-Type: application/json, and a body that is a JSON object, or none"
        raise NotDone(refused.status, text) from None


def _json(status: int, body: Body) -> Response:
    return Response(status, msgspec.json.encode(body))
