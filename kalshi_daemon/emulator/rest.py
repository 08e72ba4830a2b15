"""REST: which endpoint a request is for, who sent it, what it costs, and in which shape the answer or the refusal goes.

Rules, in this order: an unknown path is 404 before anybody is asked for a signature; then the signature; then the
tokens; then what the key may do; then the endpoint. Public endpoints need no signature, and take no notice of a bad
one; a good one pays read tokens. A refusal changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias
from urllib.parse import unquote

import msgspec
from attrs import field, frozen

from kalshi_daemon.emulator import candle_routes as candles
from kalshi_daemon.emulator import catalogue_routes as catalogue
from kalshi_daemon.emulator import group_routes as groups
from kalshi_daemon.emulator import member_routes as member
from kalshi_daemon.emulator import order_routes as orders
from kalshi_daemon.emulator import portfolio_routes as portfolio
from kalshi_daemon.emulator import public_routes as public
from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.auth import KEY_HEADER, authenticate
from kalshi_daemon.emulator.bodies import Body, error_body
from kalshi_daemon.emulator.buckets import Allowance
from kalshi_daemon.emulator.call import Call, TokensSpent
from kalshi_daemon.emulator.candles import Candles
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.keyring import BALANCE, READ, TRADE, Keyring
from kalshi_daemon.emulator.reads import Reads
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.shell.http_server import NO_CONTENT, Request, Response
from kalshi_daemon.units import Milliseconds

PREFIX: Final = "/trade-api/v2"
DEFAULT_COST: Final = 10
TOO_MANY_REQUESTS: Final = Response(429, b'{"error":"too many requests"}')


Endpoint: TypeAlias = Callable[..., Body | None]  # of the call and the ticker or id in its path


@frozen
class Route:
    """In `pattern`, `:name` matches one part of a path. `bucket`: read, write, balance, or items (the endpoint charges
    by the item). `status` is that of success; `scope` is what the key needs, by default to read or to trade."""

    method: str
    pattern: str
    endpoint: Endpoint
    bucket: str = "read"
    cost: int = DEFAULT_COST
    status: int = 200
    is_public: bool = False
    scope: str = field()

    @scope.default
    def _scope(self) -> str:
        return READ if self.method == "GET" else TRADE


def _public(pattern: str, endpoint: Endpoint) -> Route:
    return Route("GET", pattern, endpoint, is_public=True)


def _gone(method: str, pattern: str) -> Route:
    return Route(method, pattern, orders.legacy_write, "write")


def endpoint_costs(_call: Call) -> Body:
    """What differs from the default, as the table below has it."""
    paid = [route for route in ROUTES if route.cost != DEFAULT_COST and route.bucket != "balance"]
    costs = [{"cost": route.cost, "method": route.method, "path": PREFIX + route.pattern} for route in paid]
    return {"default_cost": DEFAULT_COST, "endpoint_costs": costs}


V2: Final = "/portfolio/events/orders"
V1: Final = "/portfolio/orders"
GROUPS: Final = "/portfolio/order_groups"
ROUTES: Final = (  # the first that matches, so the particular stands before the general
    _public("/exchange/status", public.exchange_status),
    _public("/exchange/schedule", public.exchange_schedule),
    _public("/account/endpoint_costs", endpoint_costs),
    _public("/markets", public.list_markets),
    _public("/markets/trades", public.list_trades),
    _public("/markets/orderbooks", public.orderbooks),
    _public("/markets/candlesticks", candles.batch_candles),
    _public("/markets/:ticker", public.one_market),
    _public("/markets/:ticker/orderbook", public.orderbook),
    _public("/series", catalogue.list_series),
    _public("/series/fee_changes", catalogue.series_fee_changes),
    _public("/series/:ticker", catalogue.one_series),
    _public("/series/:ticker/markets/:ticker/candlesticks", candles.market_candles),
    _public("/events", catalogue.list_events),
    _public("/events/fee_changes", catalogue.event_fee_changes),
    _public("/events/multivariate", catalogue.list_combos),
    _public("/events/:ticker", catalogue.one_event),
    _public("/historical/markets", public.archived_markets),
    _public("/historical/markets/:ticker", public.archived_market),
    _public("/historical/markets/:ticker/candlesticks", candles.archived_candles),
    _public("/historical/trades", public.archived_trades),
    Route("GET", "/exchange/user_data_timestamp", member.user_data_timestamp),
    Route("GET", "/account/limits", member.account_limits),
    Route("POST", "/account/api_usage_level/upgrade", member.upgrade, "write", 30, 201),
    Route("GET", "/api_keys", member.api_keys),
    Route("POST", V2, orders.create_order, "write", orders.CREATE_COST, 201),
    Route("DELETE", V2, orders.cancel_all, "write", orders.CANCEL_COST, NO_CONTENT),
    Route("POST", V2 + "/batched", orders.create_orders, "items", orders.CREATE_COST, 201),
    Route("DELETE", V2 + "/batched", orders.cancel_orders, "items", orders.CANCEL_COST),
    Route("DELETE", V2 + "/:order_id", orders.cancel_order, "write", orders.CANCEL_COST),
    Route("POST", V2 + "/:order_id/amend", orders.amend_order, "write"),
    Route("POST", V2 + "/:order_id/decrease", orders.decrease_order, "write"),
    Route("GET", V1, portfolio.list_orders),
    Route("GET", V1 + "/queue_positions", orders.queue_positions),
    Route("GET", V1 + "/:order_id/queue_position", orders.queue_position),
    Route("GET", V1 + "/:order_id", portfolio.one_order, "read", 2),
    _gone("POST", V1),
    _gone("DELETE", V1),
    _gone("POST", V1 + "/batched"),
    _gone("DELETE", V1 + "/batched"),
    _gone("DELETE", V1 + "/:order_id"),
    _gone("POST", V1 + "/:order_id/amend"),
    _gone("POST", V1 + "/:order_id/decrease"),
    Route("GET", GROUPS, groups.list_groups),
    Route("POST", GROUPS + "/create", groups.create_group, "write", status=201),
    Route("GET", GROUPS + "/:order_group_id", groups.one_group),
    Route("DELETE", GROUPS + "/:order_group_id", groups.delete_group, "write"),
    Route("PUT", GROUPS + "/:order_group_id/reset", groups.reset_group, "write"),
    Route("PUT", GROUPS + "/:order_group_id/trigger", groups.trigger_group, "write"),
    Route("PUT", GROUPS + "/:order_group_id/limit", groups.limit_group, "write"),
    Route("GET", "/portfolio/subaccounts/balances", member.subaccount_balances, scope=BALANCE),
    Route("GET", "/portfolio/balance", member.balance, "balance", 1, scope=BALANCE),
    Route("GET", "/portfolio/positions", portfolio.list_positions),
    Route("GET", "/portfolio/fills", portfolio.list_fills),
    Route("GET", "/portfolio/settlements", portfolio.list_settlements),
    _public("/historical/cutoff", portfolio.historical_cutoff),
    Route("GET", "/historical/orders", portfolio.archived_orders),
    Route("GET", "/historical/fills", portfolio.archived_fills),
    Route("GET", "/historical/positions", portfolio.archived_positions),
)


class ClockAndLag(Protocol):
    """What may be wrong with the exchange: its clock, as signatures are judged by it, and how far its reads lag."""

    def clock_ms(self) -> Milliseconds: ...
    def lag_ms(self) -> Milliseconds: ...


class Rest:
    """The endpoints over one exchange. `keys` may grow while it runs; its accounts are met at their first request."""

    def __init__(
        self,
        exchange: Exchange,
        keys: Keyring,
        settings: ServerSettings,
        now_ms: Callable[[], Milliseconds],
        faults: ClockAndLag,
    ) -> None:
        self._exchange = exchange
        self._keys = keys
        self._settings = settings
        self._now_ms = now_ms
        self._allowances: dict[str, Allowance] = {}
        self._clock_ms = faults.clock_ms
        self._candles = Candles()
        exchange.listen(self._candles.hear)
        self.reads = Reads(exchange, lambda: settings.read_lag_ms + faults.lag_ms(), now_ms, faults.clock_ms)

    def answer(self, request: Request) -> Response:
        """One request's answer. Nothing that a peer can send raises."""
        if self._exchange.hours.maintenance:
            return self.unavailable(request)
        try:
            response = self._answer(request)
        except Refused as refused:
            response = refusal(refused)
        except TokensSpent:
            response = TOO_MANY_REQUESTS
        self.reads.capture()
        return response

    def unavailable(self, request: Request) -> Response:
        """The answer to everything during maintenance; the status of the exchange has its own body even then."""
        if request.path == PREFIX + "/exchange/status":
            return Response(503, msgspec.json.encode(public.status_body(self._exchange)))
        return refusal(refusals.service_unavailable())

    def member(self, request: Request) -> Account:
        """Who signed this request; raises Refused (401)."""
        key_id = authenticate(request.headers, request.method, request.path, self._keys.public, self._clock_ms())
        account = self._exchange.accounts.get(key_id)
        assert account is not None, f"key {key_id} was registered without an account"
        self.reads.meet(account)
        return account

    def _answer(self, request: Request) -> Response:
        if request.path.startswith(PREFIX) and request.path.endswith("/"):
            return Response(301, headers=(("Location", request.path.rstrip("/")),))
        route, names = _route(request)
        account = self._visitor(request) if route.is_public else self.member(request)
        allowance = None if account is None else self._allowance(account)
        now_ms = self._now_ms()
        if allowance is not None and not _pays(route, allowance, now_ms):
            raise TokensSpent
        key_id = "" if account is None else request.headers[KEY_HEADER]
        if not route.is_public:
            self._keys.terms[key_id].check_scope(route.scope)
        call = Call(
            request,
            self._exchange,
            self.reads,
            self._candles,
            self._settings,
            now_ms,
            account,
            key_id,
            self._keys,
            allowance,
        )
        body = route.endpoint(call, *names)
        return Response(route.status) if body is None else Response(route.status, msgspec.json.encode(body))

    def _visitor(self, request: Request) -> Account | None:
        """Who asks a public question, if they say so and it is true."""
        try:
            return self.member(request)
        except Refused:
            return None

    def _allowance(self, account: Account) -> Allowance:
        allowance = self._allowances.get(account.user_id)
        if allowance is None:
            allowance = self._allowances[account.user_id] = Allowance(self._settings.limits, self._now_ms())
        return allowance


def refusal(refused: Refused) -> Response:
    return Response(refused.status, msgspec.json.encode(error_body(refused)))


def _pays(route: Route, allowance: Allowance, now_ms: Milliseconds) -> bool:
    match route.bucket:
        case "read":
            return allowance.read.take(route.cost, now_ms)
        case "write":
            return allowance.write.take(route.cost, now_ms)
        case "balance":
            return allowance.balance.take(route.cost, now_ms)
        case _:
            return True


def _route(request: Request) -> tuple[Route, list[str]]:
    """The endpoint and the names in its path; raises Refused (404)."""
    if request.path.startswith(PREFIX + "/"):
        parts = request.path[len(PREFIX) :].split("/")
        for route in ROUTES:
            pattern = route.pattern.split("/")
            if route.method != request.method or len(pattern) != len(parts):
                continue
            pairs = list(zip(pattern, parts, strict=True))
            if all(part == own or (own.startswith(":") and part) for own, part in pairs):
                return route, [unquote(part) for own, part in pairs if own.startswith(":")]
    raise refusals.not_found()
