"""The doctor: tries everything that the daemon needs of its machine and of the exchange, step by step, and says what is
wrong with which, and what to do.

Rules: nothing is written at the exchange, and nothing on this machine. It goes through the daemon's own network,
signer, REST client and socket, one host at a time where the daemon would walk them. Each step has one time limit, tries
once, and later steps of a host whose step failed are not tried; one that passed and took long is a warning. Public
reads are asked without a signature, so that a wrong key does not hide a host that is well.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.config_values import MARKET, Selection
from kalshi_daemon.errors import (
    AccessRefused,
    ClockRefused,
    ConfigurationError,
    ExchangeError,
    KeyRefused,
    OperatingError,
    Unreachable,
)
from kalshi_daemon.shell import doctor_advice as advice
from kalshi_daemon.shell.account_identity import TRADES
from kalshi_daemon.shell.clock import Clock, learn_date
from kalshi_daemon.shell.doctor_report import Blame, Finding, Outcome
from kalshi_daemon.shell.doctor_stream import Hearing
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import Signer, Signs
from kalshi_daemon.shell.socket import Socket
from kalshi_daemon.units import SECOND_MS, Milliseconds, Ticker
from kalshi_daemon.wire import feed

ASIDE: Final = frozenset({"markets", "rest private", "key's region", "key's scopes"})  # no stream depends on them
ACTIVE: Final = "active"
EARLIER: Final = "an earlier step of this host failed"
KEYLESS: Final = "there is no key to sign with"
PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Warned(Exception):
    def __init__(self, detail: str, todo: str) -> None:
        super().__init__(detail)
        self.todo = todo


@frozen
class Target:
    """Where a URL leads to."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Target:
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme in {"https", "wss"})


class Unsigned:
    """Signs nothing."""

    def headers(self, method: str, path: str, now_ms: Milliseconds) -> dict[str, str]:
        del method, path, now_ms
        return {}


class Doctor:
    """One examination of the hosts of `rest_urls` and `ws_urls`. Without a signer the private steps are not tried."""

    def __init__(
        self, network: Network, resolve: Resolve, clock: Clock, rng: random.Random, signer: Signer | None
    ) -> None:
        self.findings: list[Finding] = []
        self._network = network
        self._resolve = resolve
        self._clock = clock
        self._rng = rng
        self._signer = signer
        self._market: Ticker | None = None  # an open one, once a host has named it
        self._selections: Sequence[Selection] = ()
        self._answered = False  # some host's answer has told its time

    async def examine(
        self, rest_urls: Sequence[str], ws_urls: Sequence[str], selections: Sequence[Selection] = ()
    ) -> list[Finding]:
        """Hosts side by side: how to reach them and REST; then the clock that their answers told; then streams."""
        self._selections = selections
        hosts: dict[tuple[str, int], list[str]] = {}
        for url in (*rest_urls, *ws_urls):
            address = Target.of(url)
            hosts.setdefault((address.host, address.port), []).append(url)
        parts: list[list[Finding]] = [[] for _ in hosts]
        async with trio.open_nursery() as nursery:
            for found, urls in zip(parts, hosts.values(), strict=True):
                nursery.start_soon(self._examine_rest, found, urls)
        self.findings.append(self._judge_clock())
        async with trio.open_nursery() as nursery:
            for found, urls in zip(parts, hosts.values(), strict=True):
                nursery.start_soon(self._examine_streams, found, urls)
        for found in parts:
            self.findings += found
        return self.findings

    # ------------------------------------------------------------------------------------------------------------ steps

    async def _examine_rest(self, found: list[Finding], urls: Sequence[str]) -> None:
        """How to reach one host, and its REST side where it has one."""
        address = Target.of(urls[0])
        host = Examined(found, f"{address.host}:{address.port}")
        await host.step("dns", partial(self._look_up, address))
        await host.step("tcp", partial(self._connect, address, tls=False))
        if address.tls:
            await host.step("tls", partial(self._connect, address, tls=True))
        for url in urls:
            if not _is_stream(url):
                await host.step("rest public", partial(self._read_public, url))
                if self._selections:
                    await host.aside("markets", partial(self._read_markets, url))
                await self._examine_account(host, url)

    async def _examine_account(self, host: Examined, url: str) -> None:
        signer = self._signer
        if signer is None:
            host.not_tried("rest private", KEYLESS)
            host.not_tried("key's region", KEYLESS)
            host.not_tried("key's scopes", KEYLESS)
            return
        reached = host.well
        await host.step("rest private", partial(self._read_private, url, signer))
        await host.step("key's region", partial(self._read_region, url, signer))
        await host.step("key's scopes", partial(self._read_scopes, url, signer))
        host.well = reached  # a key that is refused is refused by the stream too, which says so itself

    async def _examine_streams(self, found: list[Finding], urls: Sequence[str]) -> None:
        address = Target.of(urls[0])
        host = Examined(found, f"{address.host}:{address.port}")
        host.well = all(each.outcome is not Outcome.FAILED or each.step in ASIDE for each in found)
        for url in filter(_is_stream, urls):
            signer = self._signer
            if signer is None:
                host.not_tried("upgrade", KEYLESS)
                host.not_tried("subscription", KEYLESS)
            elif not host.well:
                host.not_tried("upgrade", EARLIER)
                host.not_tried("subscription", EARLIER)
            else:
                await self._stream(host, url, signer)

    async def _look_up(self, address: Target) -> str:
        return ", ".join(await self._resolve(address.host, address.port))

    async def _connect(self, address: Target, *, tls: bool) -> str:
        stream = await self._network.connect(address.host, address.port, tls=tls)
        try:
            version = stream.version() if isinstance(stream, trio.SSLStream) else ""
        finally:
            await trio.aclose_forcefully(stream)
        return f"{version}, its certificate is good" if version else "connected"

    async def _read_public(self, url: str) -> str:
        async with self._client(url, Unsigned()) as rest:
            status = await rest.exchange_status()
            self._answered = True
            if not status.exchange_active:
                resumes = f"; it expects to resume at {iso_time(status.resume_ms)}" if status.resume_ms else ""
                raise Unreachable(f"the exchange says that it is not active: maintenance{resumes}", maybe_done=False)
            market = await rest.open_market()
        self._market = self._market or market
        if not status.trading_active:
            raise Warned("the exchange says that trading is paused", advice.PAUSED)
        return f"exchange and trading active; {market or 'no market'} is open"

    async def _read_private(self, url: str, signer: Signer) -> str:
        async with self._client(url, signer) as rest:
            read = await rest.account_limits()
            behind_ms = self._clock.exchange_now_ms() - await rest.as_of_ms()
        if behind_ms > limits.DOCTOR_BEHIND_MS:
            raise Warned(f"reads of the account are {behind_ms / SECOND_MS:.0f} s behind", advice.BEHIND)
        return f"tier {read.tier}: {read.read.refill} read and {read.write.refill} write tokens a second"

    async def _read_region(self, url: str, signer: Signer) -> str:
        async with self._client(url, signer) as rest:
            try:
                ends_ms = await rest.region_ends_ms()
            except ExchangeError as error:  # the key has just passed: it need not be allowed to read about keys
                raise Warned(str(error), advice.REGION_UNREAD) from error
        if ends_ms is None:
            return "no location was attested, or none is needed"
        left_ms = ends_ms - self._clock.exchange_now_ms()
        if warning := advice.region_warning(left_ms):
            raise Warned(warning, advice.REGION)
        return f"attested for {left_ms // advice.DAY_MS} more days"

    async def _read_scopes(self, url: str, signer: Signer) -> str:
        async with self._client(url, signer) as rest:
            try:
                scopes = (await rest.keys()).get(signer.key_id)
            except ExchangeError as error:
                raise Warned(str(error), advice.SCOPES_UNREAD) from error
        if scopes is None:
            raise Warned("the exchange does not list this key", advice.SCOPES_UNREAD)
        if not scopes & TRADES:
            raise KeyRefused(f"the key may not trade: its scopes are {', '.join(sorted(scopes))}")
        return f"it may trade: {', '.join(sorted(scopes))}"

    async def _read_markets(self, url: str) -> str:
        """What KALSHI_MARKETS selects; the stream is then tried with one of them, where one is open."""
        after_ms = self._clock.exchange_now_ms()
        named = [each.ticker for each in self._selections if each.kind == MARKET]
        async with self._client(url, Unsigned()) as rest:
            found = await rest.markets(named)
            wide = {
                each: await rest.selected_markets(each.kind, each.ticker, after_ms)
                for each in self._selections
                if each.kind != MARKET
            }
        absent = sorted(set(named) - {each.market for each in found})
        if absent:
            raise ConfigurationError(f"KALSHI_MARKETS names {', '.join(absent)}, which the exchange does not list")
        found += [market for markets in wide.values() for market in markets]
        trading = [each.market for each in found if each.status == ACTIVE]
        self._market = trading[0] if trading else self._market
        empty = [str(each) for each, markets in wide.items() if not markets]
        if empty:
            raise Warned(f"no market that has not closed is of {', '.join(empty)}", advice.MARKETS)
        return f"{len(found)} are selected, {len(trading)} of them open"

    def _client(self, url: str, signer: Signs) -> RestClient:
        return RestClient([url], signer, self._network, self._clock, lanes=1, rng=self._rng, attempts=1)

    def _judge_clock(self) -> Finding:
        offset_ms = self._clock.offset_ms
        if not self._answered:
            return Finding("", "clock", Outcome.NOT_TRIED, Blame.NONE, None, "no host has told its time", "")
        said = f"{offset_ms:+d} ms from the exchange's"
        if abs(offset_ms) > limits.CLOCK_OFFSET_MAX_MS:
            return Finding("", "clock", Outcome.FAILED, Blame.PERSON, None, said, advice.CLOCK)
        return Finding("", "clock", Outcome.OK, Blame.NONE, None, said, "")

    # ---------------------------------------------------------------------------------------------------------- streams

    async def _stream(self, host: Examined, url: str, signer: Signer) -> None:
        """The upgrade, and one subscription on the socket that it gave."""
        step, began_s, sent_ms = "upgrade", trio.current_time(), self._clock.now_ms()
        failure: OperatingError | None = None
        with trio.CancelScope(deadline=began_s + limits.DOCTOR_STEP_S) as scope:
            try:
                headers = signer.headers("GET", feed.path_of(url), self._clock.exchange_now_ms())
                async with Socket.dial(self._network, url, headers) as socket:
                    host.passed("upgrade", began_s, "101")
                    step, began_s = "subscription", trio.current_time()
                    scope.deadline = began_s + limits.DOCTOR_STEP_S
                    hearing = Hearing(socket, self._clock, self._market)
                    detail = await hearing.hear()
                    if hearing.lag_ms > limits.DOCTOR_LAG_MS:
                        late = f"frames came {hearing.lag_ms} ms after they were sent"
                        host.warned("subscription", began_s, Warned(late, advice.SLOW))
                    else:
                        host.passed("subscription", began_s, detail)
            except OperatingError as error:
                failure = error
        if isinstance(failure, ClockRefused):
            learn_date(self._clock, failure.date, sent_ms)
        if scope.cancelled_caught:
            silent = "the socket is open, and " if step == "subscription" else ""
            failure = Unreachable(f"{silent}no answer within {limits.DOCTOR_STEP_S:g} s", maybe_done=False)
        if failure is not None:
            host.failed(step, began_s, failure)
            if step == "upgrade":
                host.not_tried("subscription", "the upgrade failed")


def _is_stream(url: str) -> bool:
    return urlsplit(url).scheme in {"ws", "wss"}


class Examined:
    """What is found out about one host, in order."""

    def __init__(self, found: list[Finding], host: str) -> None:
        self.well = True
        self._found = found
        self._host = host

    async def step(self, name: str, attempt: Callable[[], Awaitable[str]]) -> None:
        """Try it once, within the limit; not at all where an earlier step failed."""
        if not self.well:
            self.not_tried(name, EARLIER)
            return
        began_s = trio.current_time()
        try:
            with trio.fail_after(limits.DOCTOR_STEP_S):
                self.passed(name, began_s, await attempt())
        except trio.TooSlowError:
            self.failed(name, began_s, Unreachable(f"no answer within {limits.DOCTOR_STEP_S:g} s", maybe_done=False))
        except OperatingError as error:
            self.failed(name, began_s, error)
        except Warned as warned:
            self.warned(name, began_s, warned)

    async def aside(self, name: str, attempt: Callable[[], Awaitable[str]]) -> None:
        """A step upon which no later one depends."""
        reached = self.well
        await self.step(name, attempt)
        self.well = reached

    def passed(self, name: str, began_s: float, detail: str) -> None:
        """Where it took long, that is the finding."""
        took_s = trio.current_time() - began_s
        if took_s > limits.DOCTOR_SLOW_S:
            self.warned(name, began_s, Warned(f"slow: it took {took_s:.1f} s; {detail}", advice.SLOW))
        else:
            self._add(name, Outcome.OK, Blame.NONE, began_s, detail, "")

    def warned(self, name: str, began_s: float, warned: Warned) -> None:
        self._add(name, Outcome.WARNING, Blame.NONE, began_s, str(warned), warned.todo)

    def failed(self, name: str, began_s: float, error: OperatingError) -> None:
        self.well = False
        blame = Blame.UNREACHABLE
        if isinstance(error, AccessRefused | ClockRefused | KeyRefused):
            blame = Blame.PERSON
        elif isinstance(error, ConfigurationError):
            blame = Blame.CONFIGURATION
        self._add(name, Outcome.FAILED, blame, began_s, str(error), advice.for_failure(name, error))

    def not_tried(self, name: str, why: str) -> None:
        self._found.append(Finding(self._host, name, Outcome.NOT_TRIED, Blame.NONE, None, why, ""))

    def _add(self, name: str, outcome: Outcome, blame: Blame, began_s: float, detail: str, todo: str) -> None:
        took_ms = round((trio.current_time() - began_s) * SECOND_MS)
        self._found.append(Finding(self._host, name, outcome, blame, took_ms, detail, todo))
