"""How a signed request gets to the exchange and what comes back: the mechanism below `rest_client`.

Rules:
- Every attempt is signed afresh and has one time limit around all of it; every answer's `Date` teaches the clock.
- A read is repeated a bounded number of times, where the exchange did not answer or asked to wait.
- While the breaker of reads is not closed each is made once and none is repeated, but for the status: it sheds
  repetitions, never a question (docs/decisions/0011-what-the-breakers-hold-back.md).
- Hosts are tried in order, and one that gave no answer or a 5xx comes last from then on: they are doors of one
  exchange. A write goes to another only where nothing of it has left, and is not repeated here; the next one begins
  at the next door.
- `before_send` is called in the step that writes the first byte, once for each time that it is written; what it raises
  is raised, and nothing was sent. (Under TLS trio encrypts in that step, and lets others run once before the socket.)
- A list is read to its last page, or it is an error: incomplete is not empty.
- A read waits for its tokens here, a write before it comes here (`order_writer`): what waits has not left.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import httpx
import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.backoff import Backoff
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.error_tally import ErrorTally
from kalshi_daemon.core.rate_governor import RateGovernor
from kalshi_daemon.errors import (
    AccessRefused,
    ClockRefused,
    ExchangeError,
    OperatingError,
    RateLimited,
    Unreachable,
    WireError,
    Withheld,
)
from kalshi_daemon.shell.clock import Clock, learn_date
from kalshi_daemon.shell.http_transport import HttpTransport
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.signer import Signs
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire.error_bodies import error_of
from kalshi_daemon.wire.error_codes import Remedy, meaning_of
from kalshi_daemon.wire.rest import Page

T = TypeVar("T")
BeforeSend = Callable[[], None]

REPEATED: Final = frozenset({Remedy.RETRY, Remedy.RETRY_AT_ONCE})
ORDERS_PATH: Final = "/portfolio/events/orders"
PRIMARY: Final = "0"  # the subaccount that is ours; lists would default to all of them, and positions to this one
UNREACHABLE: Final = "unreachable"  # the code of a write of which nothing has left
FIRST_BYTE: Final = "http11.send_request_headers.started"  # httpcore's trace event just before it writes
HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "kalshi-daemon"}


@frozen
class Call(Generic[T]):
    """One request, whatever the number of times it is sent. `kind` labels the counts; `reader` takes a 2xx body."""

    kind: str
    method: str
    path: str
    reader: Callable[[bytes], T]
    params: Mapping[str, str | list[str]] = {}
    body: bytes = b""
    before_send: BeforeSend | None = None
    insists: bool = False  # repeated whatever the breaker says: it is how others learn that all is well again
    also_read: frozenset[int] = frozenset()  # other statuses whose bodies the reader may read

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class Unreadable(Unreachable):
    """A 2xx whose body does not read: asking again brings the same. The `WireError` is its cause."""


class Requests:
    """Sends calls. Knows hosts, signatures, repetitions and pages, and nothing of what is asked."""

    def __init__(
        self,
        base_urls: Sequence[str],
        signer: Signs,
        network: Network,
        clock: Clock,
        *,
        lanes: int,
        rng: random.Random,
        attempts: int,
    ) -> None:
        """`attempts`: how often a read is made before its failure is told."""
        assert base_urls, "no address of the exchange"
        self.latency_s = 0.0  # of the last request that was answered
        self.fallback = ""  # the address that answered last, where it is not the first of the list
        self.counts: Counter[tuple[str, str]] = Counter()  # (kind of request, outcome)
        self.governor = RateGovernor()
        self.tally = ErrorTally()
        self.breaker = CircuitBreaker(
            "reads",
            failures_max=limits.READ_FAILURES_MAX,
            window_s=limits.READ_FAILURES_S,
            wait_s=limits.READ_PROBE_WAIT_S,
            probe_s=limits.READ_PROBE_S,
        )
        self._base_urls = tuple(url.rstrip("/") for url in base_urls)
        self._hosts = list(self._base_urls)  # in the order in which they are asked now
        self._signer = signer
        self._clock = clock
        self._rng = rng
        self._attempts = attempts
        self._http = httpx.AsyncClient(
            transport=HttpTransport(network, lanes), trust_env=False, timeout=httpx.Timeout(None), headers=HEADERS
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def pages(
        self,
        kind: str,
        path: str,
        reader: Callable[[bytes], Page[T]],
        params: Mapping[str, str],
        *,
        pages_max: int | None = None,
    ) -> list[T]:
        """Every page to the last; a cursor that comes twice would never end."""
        items: list[T] = []
        cursors: set[str] = set()
        asked = {**params, "limit": str(limits.READ_PAGE_SIZE)}
        while len(cursors) < (pages_max or limits.READ_PAGES_MAX):
            page = await self.read(Call(kind, "GET", path, reader, dict(asked)))
            items += page.items
            if not page.cursor:
                return items
            if page.cursor in cursors:
                break
            cursors.add(page.cursor)
            asked["cursor"] = page.cursor
        self.counts[kind, "incomplete"] += 1
        raise Unreachable(f"the pages of {path} do not end: incomplete after {len(cursors)}", maybe_done=False)

    async def read(self, call: Call[T]) -> T:
        """Repeat what may be repeated, a bounded number of times; where their breaker is not closed, once."""
        backoff = Backoff(*limits.READ_BACKOFF_S, self._rng)
        learnt = False
        probe = not self.breaker.allows(trio.current_time()) or self.breaker.state != "closed"
        attempts = 1 if probe and not call.insists else self._attempts
        for attempts_left in range(attempts - 1, -1, -1):
            await self._pay(call)
            try:
                answer = await self.over_hosts(call)
            except (ExchangeError, Unreachable) as error:
                self._tell_breaker(error)
                remedy = meaning_of(error).remedy
                if not attempts_left or remedy not in REPEATED or (learnt and remedy is Remedy.RETRY_AT_ONCE):
                    raise
                learnt = learnt or remedy is Remedy.RETRY_AT_ONCE
            else:
                self.breaker.succeeded(trio.current_time())
                return answer
            if remedy is Remedy.RETRY:
                await trio.sleep(backoff.next())
        raise AssertionError("the last attempt returns or raises")

    def _tell_breaker(self, error: ExchangeError | Unreachable) -> None:
        """An answer that can be read is health, whatever it says; one that cannot says nothing of other reads."""
        if isinstance(error, ExchangeError):
            self.breaker.succeeded(trio.current_time())
        elif not isinstance(error, Unreadable):
            self.breaker.failed(trio.current_time(), str(error))

    async def _pay(self, call: Call[Any]) -> None:
        """Wait for the tokens of a read, so that a 429 is the exchange's surprise and not our habit."""
        until_s = trio.current_time() + limits.READ_TOKENS_WAIT_S
        while wait_s := self.governor.pays(call.method, call.path, trio.current_time()):
            self.counts[call.kind, "paced"] += 1
            if trio.current_time() + wait_s > until_s:
                self.counts[call.kind, "no_tokens"] += 1
                what = f"{call.method} {call.path} was not sent: no tokens within {limits.READ_TOKENS_WAIT_S:g} s"
                raise Unreachable(what, maybe_done=False)
            await trio.sleep(wait_s)

    async def over_hosts(self, call: Call[T]) -> T:
        """Ask one host after another, until one answers or, for a write, something has left."""
        hosts = tuple(self._hosts)
        for base_url in hosts:
            try:
                return await self._counted(base_url, call)
            except Unreadable:
                raise
            except Unreachable as error:
                if self._hosts[0] == base_url:  # else others who asked it have found the same
                    self._hosts.append(self._hosts.pop(0))
                if base_url == hosts[-1] or (call.writes and error.maybe_done):
                    raise
        raise AssertionError("the last host answers or raises")

    async def _counted(self, base_url: str, call: Call[T]) -> T:
        try:
            answer = await self._ask(base_url, call)
        except OperatingError as error:
            self.counts[call.kind, _outcome(error)] += 1
            self.tally.note(error)
            if isinstance(error, RateLimited):
                self.governor.refused(call.method, call.path, trio.current_time())
            raise
        self.counts[call.kind, "ok"] += 1
        return answer

    async def _ask(self, base_url: str, call: Call[T]) -> T:
        """One request on one host, and what its answer says."""
        response = await self._send(base_url, call)
        status, body = response.status_code, response.content
        if response.is_success or status in call.also_read:
            try:
                return call.reader(body)
            except WireError as error:
                if error.kind == "unsupported":
                    raise
                if response.is_success:
                    what = f"{call.method} {call.path} answered {status} and cannot be read: {error}"
                    raise Unreadable(what, maybe_done=call.writes) from error
        raise error_of(status, body, write=call.writes)

    async def _send(self, base_url: str, call: Call[Any]) -> httpx.Response:
        """One signed request and its whole answer. Raises `Unreachable`, or what `before_send` raises."""
        request = self._http.build_request(
            call.method, base_url + call.path, params=dict(call.params) or None, content=call.body or None
        )
        path = request.url.raw_path.partition(b"?")[0].decode("ascii")
        request.headers.update(self._signer.headers(call.method, path, self._clock.exchange_now_ms()))
        if call.body:
            request.headers["Content-Type"] = "application/json"
        sent_ms: Milliseconds | None = None

        async def on_trace(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal sent_ms
            if event == FIRST_BYTE:
                if call.before_send is not None:
                    call.before_send()
                sent_ms = self._clock.now_ms()

        request.extensions["trace"] = on_trace
        started_s = trio.current_time()
        try:
            with trio.fail_after(limits.REST_TIMEOUT_S):
                response = await self._http.send(request)
        except (httpx.HTTPError, trio.TooSlowError) as error:
            cause = f"no answer within {limits.REST_TIMEOUT_S:g} s" if isinstance(error, trio.TooSlowError) else error
            what = f"{call.method} {request.url.host}{call.path}: {cause}"
            raise Unreachable(what, maybe_done=sent_ms is not None) from error
        self.latency_s = trio.current_time() - started_s
        self.fallback = "" if base_url == self._base_urls[0] else base_url
        if sent_ms is not None:
            self._learn(response.headers.get("Date"), sent_ms)
        return response

    def _learn(self, date: str | None, sent_ms: Milliseconds) -> None:
        """Hand the answer's Date to the clock; one that does not read teaches nothing."""
        if not learn_date(self._clock, date or "", sent_ms):
            self.counts["date", "unreadable"] += 1


def _outcome(error: OperatingError) -> str:
    """The label of the counts: the first class that fits."""
    labels: tuple[tuple[type[OperatingError], str], ...] = (
        (Withheld, "withheld"),
        (Unreadable, "unreadable"),
        (WireError, "unsupported"),
        (Unreachable, "unreachable"),
        (RateLimited, "rate_limited"),
        (ClockRefused, "clock_refused"),
        (AccessRefused, "access_refused"),
    )
    return next((label for kind, label in labels if isinstance(error, kind)), "refused")
