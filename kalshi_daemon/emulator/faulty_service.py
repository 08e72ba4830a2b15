"""What stands between the emulator's connections and its exchange: requests and upgrades met by faults, and the faults
of the exchange's own state.

Rules: a refusal by a fault has the body that the exchange, or what stands before it, is known to send with that status;
what is only assumed says so. Without a fault everything is handed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import trio

from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.faults import (
    ANSWER_GARBLED,
    ANSWER_LOST,
    ANSWER_MASKED,
    ANSWER_SLOW,
    ANSWER_TRUNCATED,
    MAINTENANCE,
    REQUEST_DROPPED,
    REQUEST_LATE,
    REQUEST_REFUSED,
    STALE_READS,
    TRADING_PAUSED,
    UPGRADE_REFUSED,
    WRONG_CLOCK,
    Fault,
    Kind,
)
from kalshi_daemon.emulator.faulty_stream import FaultyStream
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.rest import TOO_MANY_REQUESTS, refusal
from kalshi_daemon.shell.http_server import Request, Response
from kalshi_daemon.units import SECOND_MS, Milliseconds

PAGE: Final = b"<html><head><title>%d</title></head><body>the page of somebody's proxy</body></html>\n"
CODES: Final = {
    400: Refused(400, "invalid_parameters", "invalid parameters"),
    401: Refused(401, "authentication_error", "authentication_error", "NOT_FOUND"),
    403: Refused(403, "forbidden", "forbidden"),  # assumed
    404: Refused(404, "not_found", "not found"),
    409: Refused(409, "exchange_is_paused", "exchange is paused"),
    410: Refused(410, "deprecated_v1_order_endpoint", "deprecated v1 order endpoint"),
    500: Refused(500, "internal_server_error", "internal server error"),  # assumed
    503: Refused(503, "service_unavailable", "service unavailable"),
}
Answer: TypeAlias = Callable[[Request], Response]
STATES: Final = (STALE_READS, WRONG_CLOCK, TRADING_PAUSED, MAINTENANCE)


def failure(status: int) -> Response:
    """What comes with this status: the exchange's own body, or where something before it answers, that one's page."""
    if status == TOO_MANY_REQUESTS.status:
        return TOO_MANY_REQUESTS
    if status in CODES:
        return refusal(CODES[status])
    return Response(status, PAGE % status, "text/html; charset=utf-8")


class FaultyService:
    """Meets requests and upgrades with the faults of a schedule; `step` carries out those of the exchange's state."""

    def __init__(
        self,
        exchange: Exchange,
        faults: FaultSchedule,
        now_ms: Callable[[], Milliseconds],
    ) -> None:
        self.faults = faults
        self._exchange = exchange
        self._now_ms = now_ms
        self._held: dict[Kind, Fault] = {}  # in force at the last look

    def clock_ms(self) -> Milliseconds:
        """The time as the exchange believes it, for signatures and dates."""
        wrong = self.faults.in_force(WRONG_CLOCK)
        return self._now_ms() + (round(wrong.seconds * SECOND_MS) if wrong else 0)

    def lag_ms(self) -> Milliseconds:
        """How much more than usual the reads of accounts lag."""
        stale = self.faults.in_force(STALE_READS)
        return round(stale.seconds * SECOND_MS) if stale else 0

    def step(self) -> None:
        """Begin and end pauses and maintenance; to begin counts as a bite of any fault of the state."""
        for kind in STATES:
            before, now = self._held.pop(kind, None), self.faults.in_force(kind)
            if now is not None:
                self._held[kind] = now
            if now is not None and now is not before:
                self.faults.bite(kind)
            if (now is None) != (before is None):
                self._switch(kind, on=now is not None)

    def _switch(self, kind: Kind, *, on: bool) -> None:
        """Let the exchange itself stop or go on; what was stopped by word stays so."""
        if kind == TRADING_PAUSED:
            (self._exchange.pause_trading if on else self._exchange.resume_trading)(by="fault")
        elif kind == MAINTENANCE:
            (self._exchange.begin_maintenance if on else self._exchange.end_maintenance)(by="fault")

    def upgrade(self, request: Request, accept: Answer) -> Response:
        """The answer to a handshake."""
        refused = self.faults.bite(UPGRADE_REFUSED)
        return failure(refused.status) if refused else accept(request)

    async def answer(self, connection: FaultyStream, request: Request, answer: Answer) -> Response:
        """The answer to a request; where there is none, the connection is broken and what is returned goes nowhere."""
        if not self.faults.scheduled:
            return answer(request)
        late = self._bite(REQUEST_LATE, request)
        if late:
            await trio.sleep(late.seconds)
        refused = self._bite(REQUEST_REFUSED, request)
        if refused:
            return failure(refused.status)
        if self._bite(REQUEST_DROPPED, request):
            await connection.reset()
            return failure(503)
        response = self._altered(request, answer(request))
        slow = self._bite(ANSWER_SLOW, request)
        if slow:
            await trio.sleep(slow.seconds)
        if self._bite(ANSWER_LOST, request):
            await connection.reset()
        return response

    def _altered(self, request: Request, response: Response) -> Response:
        masked = self._bite(ANSWER_MASKED, request)
        if masked:
            return failure(masked.status)
        if self._bite(ANSWER_GARBLED, request):
            return Response(response.status, PAGE % response.status, "text/html; charset=utf-8")
        if response.body and self._bite(ANSWER_TRUNCATED, request):
            return Response(response.status, response.body[: len(response.body) // 2])
        return response

    def _bite(self, kind: Kind, request: Request) -> Fault | None:
        def fits(fault: Fault) -> bool:
            method, slash, path = fault.target.partition("/")
            return method in ("", request.method) and slash + path in request.path

        return self.faults.bite(kind, fits)
