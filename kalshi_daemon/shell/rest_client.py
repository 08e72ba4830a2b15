"""The exchange's REST side, signed: reads that end with the whole truth or an error, and the writes.

Rules:
- Raised for reads: `ExchangeError`; `Unreachable`, also for an answer that cannot be read (its cause is then the
  `WireError`); and `WireError` of kind `unsupported` for a series that cannot be traded.
- What a write met is an answer of `wire.orders`, never an exception but for `Withheld`: nothing was sent.
- A create is sent once, ever. Amends, cancels and order groups have modules of their own.
- Reads speak of the primary subaccount: lists would default to all of them, and positions to this one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.error_tally import ErrorTally
from kalshi_daemon.core.rate_governor import BALANCE_PATH, Budget, RateGovernor
from kalshi_daemon.errors import ExchangeError, Unreachable, Withheld
from kalshi_daemon.facts import (
    EventFees,
    FillSeen,
    MarketRead,
    OrderSeen,
    OrderSpec,
    SeriesFeeChange,
    SeriesFees,
    SettlementSeen,
)
from kalshi_daemon.shell.amend_requests import AmendRequests
from kalshi_daemon.shell.cancel_requests import CancelRequests
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.group_requests import GroupRequests
from kalshi_daemon.shell.network import Network
from kalshi_daemon.shell.requests import ORDERS_PATH, PRIMARY, UNREACHABLE, BeforeSend, Call, Requests
from kalshi_daemon.shell.signer import Signs
from kalshi_daemon.units import SECOND_MS, Milliseconds, Ticker
from kalshi_daemon.wire import fees, rest, schedule
from kalshi_daemon.wire.orders import (
    Lost,
    OrderAnswer,
    create_failed,
    encode_order,
    read_created,
)

T = TypeVar("T")

BOOKS_PATH: Final = "/markets/orderbooks"
COMBO: Final = "KXMVE"  # how the ticker of every multivariate event begins
EVENTS_SHOWN: Final = "200"  # the most that a list of events gives at once, and more than are asked for
STATUS_IN_ERRORS: Final = frozenset({500, 503, 504})  # answers to a status read that still carry the status


class RestClient:
    """One account's requests. `async with` closes its connections."""

    def __init__(
        self,
        base_urls: Sequence[str],
        signer: Signs,
        network: Network,
        clock: Clock,
        *,
        lanes: int,
        rng: random.Random,
        attempts: int = limits.READ_ATTEMPTS_MAX,
    ) -> None:
        self._requests = Requests(base_urls, signer, network, clock, lanes=lanes, rng=rng, attempts=attempts)
        self._clock = clock
        self.amends = AmendRequests(self._requests)
        self.cancels = CancelRequests(self._requests)
        self.groups = GroupRequests(self._requests)

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """Requests by (kind, outcome)."""
        return self._requests.counts

    @property
    def governor(self) -> RateGovernor:
        """What the account may still ask for. Reads are paid for here, writes by whoever writes."""
        return self._requests.governor

    @property
    def tally(self) -> ErrorTally:
        """Whose the errors were, and the codes that nobody told us of."""
        return self._requests.tally

    @property
    def latency_s(self) -> float:
        """How long the last request took that was answered."""
        return self._requests.latency_s

    @property
    def breaker(self) -> CircuitBreaker:
        """Of the reads."""
        return self._requests.breaker

    @property
    def fallback(self) -> str:
        """The address that answered last, where it is not the first of the list."""
        return self._requests.fallback

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._requests.aclose()

    # ---------------------------------------------------------------------------------------------------- the exchange

    async def exchange_status(self) -> rest.ExchangeStatus:
        path = "/exchange/status"
        return await self._requests.read(
            Call("status", "GET", path, rest.read_exchange_status, also_read=STATUS_IN_ERRORS, insists=True)
        )

    async def exchange_schedule(self) -> schedule.Schedule:
        return await self._requests.read(Call("schedule", "GET", "/exchange/schedule", schedule.read_schedule))

    async def account_limits(self) -> rest.AccountLimits:
        return await self._requests.read(Call("limits", "GET", "/account/limits", rest.read_account_limits))

    async def endpoint_costs(self) -> rest.EndpointCosts:
        return await self._requests.read(Call("costs", "GET", "/account/endpoint_costs", rest.read_endpoint_costs))

    async def region_ends_ms(self) -> Milliseconds | None:
        """Until when a location is attested for the account's keys; None where none was."""
        return await self._requests.read(Call("api_keys", "GET", "/api_keys", rest.read_region_ends))

    async def keys(self) -> dict[str, frozenset[str]]:
        """The scopes of each key of the account's member, by its id."""
        return await self._requests.read(Call("api_keys", "GET", "/api_keys", rest.read_keys))

    async def as_of_ms(self) -> Milliseconds:
        """How fresh what the other reads show is."""
        return await self._requests.read(Call("as_of", "GET", "/exchange/user_data_timestamp", rest.read_as_of))

    async def market(self, ticker: Ticker) -> MarketRead:
        return await self._requests.read(Call("market", "GET", f"/markets/{quote(ticker, safe='')}", rest.read_market))

    async def markets(self, tickers: Sequence[Ticker]) -> list[MarketRead]:
        """In the exchange's order; one that it does not know is not in the list."""
        found: list[MarketRead] = []
        for chunk in _chunks(tickers):
            found += await self._requests.pages("markets", "/markets", rest.read_markets, {"tickers": ",".join(chunk)})
        return found

    async def selected_markets(self, kind: str, ticker: Ticker, after_ms: Milliseconds) -> list[MarketRead]:
        """Every market of an `event` or a `series` that closes after `after_ms`, open yet or not."""
        params = {f"{kind}_ticker": ticker, "min_close_ts": str(after_ms // SECOND_MS)}
        return await self._requests.pages(
            "markets", "/markets", rest.read_markets, params, pages_max=limits.DISCOVERY_PAGES_MAX
        )

    async def orderbooks(self, tickers: Sequence[Ticker]) -> dict[Ticker, rest.BookRead]:
        """By ticker; one that the exchange does not know is not in it."""
        found: dict[Ticker, rest.BookRead] = {}
        for chunk in _chunks(tickers):
            found |= await self._requests.read(
                Call("orderbooks", "GET", BOOKS_PATH, rest.read_orderbooks, {"tickers": chunk})
            )
        return found

    async def open_market(self) -> Ticker | None:
        """One market that is open, whichever; None where there is none."""
        params = {"limit": "1", "status": "open"}
        page = await self._requests.read(Call("markets", "GET", "/markets", rest.read_markets, params))
        return page.items[0].market if page.items else None

    async def series_fees(self, series: Ticker) -> SeriesFees:
        return await self._requests.read(
            Call("series", "GET", f"/series/{quote(series, safe='')}", fees.read_series_fees)
        )

    async def series_fee_changes(self) -> tuple[SeriesFeeChange, ...]:
        """Those of all series that are announced."""
        call = Call("fee_changes", "GET", "/series/fee_changes", fees.read_series_fee_changes)
        return await self._requests.read(call)

    async def event_fees(self, events: Sequence[Ticker]) -> list[EventFees]:
        """In the exchange's order; an event that its lists leave out is not in it. Combos have a list of their own."""
        found: list[EventFees] = []
        for path, combos in (("/events", False), ("/events/multivariate", True)):
            for chunk in _chunks([event for event in events if event.startswith(COMBO) is combos]):
                params = {"tickers": ",".join(chunk), "limit": EVENTS_SHOWN}
                found += await self._requests.read(Call("events", "GET", path, fees.read_events_fees, params))
        return found

    async def one_event_fees(self, event: Ticker) -> EventFees:
        path = f"/events/{quote(event, safe='')}"
        return await self._requests.read(Call("event", "GET", path, fees.read_event_fees, {"exclude_markets": "true"}))

    # ----------------------------------------------------------------------------------------------------- the account

    async def until_balance_may_be_read(self) -> None:
        """For whoever reads other things beside it: the balance has a bucket of its own, which is soon empty."""
        await trio.sleep(self.governor.bucket(Budget.BALANCE).wait_s(1, trio.current_time()))

    async def balance(self) -> rest.BalanceRead:
        return await self._requests.read(Call("balance", "GET", BALANCE_PATH, rest.read_balance))

    async def positions(self) -> list[rest.PositionRead]:
        return await self._requests.pages(
            "positions", "/portfolio/positions", rest.read_positions, {"subaccount": PRIMARY}
        )

    async def orders(self, status: str | None = None, min_ms: Milliseconds | None = None) -> list[OrderSeen]:
        """Newest first: all, or those of one status, or those created at `min_ms` or later, to the second."""
        params = {"subaccount": PRIMARY}
        if status is not None:
            params["status"] = status
        if min_ms is not None:
            params["min_ts"] = str(min_ms // SECOND_MS)
        return await self._requests.pages("orders", "/portfolio/orders", self._now(rest.read_orders), params)

    async def order(self, order_id: str) -> OrderSeen:
        path = f"/portfolio/orders/{quote(order_id, safe='')}"
        return await self._requests.read(Call("order", "GET", path, self._now(rest.read_order)))

    async def fills(self, min_ms: Milliseconds) -> list[FillSeen]:
        params = {"subaccount": PRIMARY, "min_ts": str(min_ms // SECOND_MS)}
        return await self._requests.pages("fills", "/portfolio/fills", self._now(rest.read_fills), params)

    async def archived_fills(self, min_ms: Milliseconds) -> list[FillSeen]:
        """Those at `min_ms` or later that `fills` does not list any more; none where the archive ends before."""
        path = "/historical/cutoff"
        cutoff_ms = await self._requests.read(Call("cutoff", "GET", path, rest.read_fills_cutoff))
        if cutoff_ms <= min_ms:
            return []
        params = {"subaccount": PRIMARY, "min_ts": str(min_ms // SECOND_MS)}
        return await self._requests.pages("archive", "/historical/fills", self._now(rest.read_fills), params)

    async def archived_orders(self, market: Ticker) -> list[OrderSeen]:
        """Those of one market that `orders` does not list any more."""
        params = {"subaccount": PRIMARY, "ticker": market}
        return await self._requests.pages("archive", "/historical/orders", self._now(rest.read_orders), params)

    async def archived_positions(self, market: Ticker) -> list[rest.PositionRead]:
        """That of one market that is over, once the exchange has moved it."""
        params = {"subaccount": PRIMARY, "ticker": market}
        return await self._requests.pages("archive", "/historical/positions", rest.read_positions, params)

    async def archived_market(self, market: Ticker) -> MarketRead:
        path = f"/historical/markets/{quote(market, safe='')}"
        return await self._requests.read(Call("archive", "GET", path, rest.read_market))

    async def settlements(self, min_ms: Milliseconds) -> list[SettlementSeen]:
        params = {"subaccount": PRIMARY, "min_ts": str(min_ms // SECOND_MS)}
        return await self._requests.pages(
            "settlements", "/portfolio/settlements", self._now(rest.read_settlements), params
        )

    # ------------------------------------------------------------------------------------------------------ the writes

    async def create_order(
        self, client_order_id: str, spec: OrderSpec, group: str = "", *, before_send: BeforeSend
    ) -> OrderAnswer:
        """`group`: the order group that it belongs to. Sent once, ever. Raises `Withheld`, of `before_send` or with the
        code `unreachable`: nothing was sent.
        """
        call = Call(
            "create",
            "POST",
            ORDERS_PATH,
            partial(read_created, client_order_id=client_order_id),
            body=encode_order(client_order_id, spec, group),
            before_send=before_send,
        )
        try:
            return await self._requests.over_hosts(call)
        except ExchangeError as error:
            return create_failed(error)
        except Unreachable as error:
            if not error.maybe_done:
                raise Withheld(UNREACHABLE, str(error)) from error
            return Lost(str(error))

    def _now(self, reader: Callable[[bytes, Milliseconds], T]) -> Callable[[bytes], T]:
        return lambda body: reader(body, self._clock.now_ms())


def _chunks(tickers: Sequence[Ticker]) -> list[list[Ticker]]:
    size = limits.POLL_CHUNK
    return [list(tickers[start : start + size]) for start in range(0, len(tickers), size)]
