"""Every implemented operation, run over HTTP and judged by the exchange's specification, where that is present."""

from __future__ import annotations

import pytest
import trio
from emulator_world import START_MS, V2, A, Answer, B, C, World, now_ms, order_body, part, rows, world
from specified import PREFIX, declared, document, faults, operation
from trio.testing import MockClock

from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.rest import ROUTES, Route
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import DOLLAR, BookSide, FeeType

RATE = 100_000
LIMITS = RateLimits(read_rate=RATE, read_capacity=RATE, write_rate=RATE, write_capacity=RATE, balance_rate=RATE)
# Statuses that the exchange sends and its specification leaves out, with where they come from.
UNDECLARED = {
    400: "a query that does not validate is answered with msg (recorded), and 400 is not listed of every operation",
    401: "any signed operation answers a bad signature so (recorded)",
    403: "a key without the scope is refused by any signed operation (api.md 1)",
    404: "an unknown name in a path (recorded for cancels and orders)",
    409: "a pause stops amendments and batches as it stops creates (api.md 6)",
    429: "every signed operation draws on a bucket (api.md 5)",
}
# Implemented and not in the specification, with the reason.
UNSPECIFIED = {"legacy": "the first version's writes are gone from it, and answer 410 (api.md 4.3)"}


def is_legacy(route: Route) -> bool:
    return route.pattern.startswith("/portfolio/orders") and route.method != "GET"


def implemented() -> list[Route]:
    return [route for route in ROUTES if not is_legacy(route)]


def concrete(route: Route, names: dict[str, str]) -> str:
    """The route's path with names put in."""
    parts = [names.get(part[1:], "nosuch") if part.startswith(":") else part for part in route.pattern.split("/")]
    return PREFIX + "/".join(parts)


def named(route: Route) -> tuple[str, str]:
    """The operation that a route implements, by the specification's own pattern."""
    known = operation(route.method, concrete(route, {}))
    assert known is not None, route.pattern
    return route.method, known[0]


def test_every_route_is_an_operation() -> None:
    """Each implemented path and method is in the specification, but for those that have left it."""
    document()
    strangers = [route.pattern for route in ROUTES if operation(route.method, concrete(route, {})) is None]
    assert set(strangers) <= {route.pattern for route in ROUTES if is_legacy(route)}, UNSPECIFIED


PERIOD = f"start_ts={START_MS // 1_000}&end_ts={START_MS // 1_000 + 100_000}"
CANDLES = f"markets/{B}/candlesticks?{PERIOD}&period_interval=1"


class Judge:
    """Asks, judges each answer, and remembers which operations have succeeded."""

    def __init__(self, emulator: World) -> None:
        self.emulator = emulator
        self.succeeded: set[tuple[str, str]] = set()

    async def __call__(
        self, method: str, target: str, body: object = None, *, status: int = 200, signed: bool = True
    ) -> dict[str, object]:
        path = target if target.startswith(PREFIX) else PREFIX + target
        answer = await self.emulator.ask(method, path, body, signed=signed)
        assert answer.status == status, (method, path, answer)
        assert list(faults(method, path, answer)) == [], (method, path, answer.text[:500])
        assert status in declared(method, path) | UNDECLARED.keys(), (method, path, status)
        if status < 300:
            known = operation(method, path.partition("?")[0])
            assert known is not None
            self.succeeded.add((method, known[0]))
        return answer.json if answer.text else {}


async def prepared(emulator: World) -> None:
    """A settled position, fills as taker and maker, resting orders with every field, a book, an announcement."""
    emulator.exchange.announce_maintenance(now_ms() + 86_400_000, now_ms() + 86_500_000)
    emulator.exchange.settle(B, "yes")
    emulator.trade(A, 5, side=BookSide.ASK, cents=52)
    emulator.trade(A, 5, side=BookSide.BID, cents=47)
    second = emulator.exchange.open_subaccount(emulator.member, 1)
    emulator.exchange.deposit(second, 100 * DOLLAR, 1)
    await trio.sleep(61)


async def portfolio(judge: Judge) -> None:
    """Orders from creation to the archive, groups, and the account's reads."""
    group = await judge("POST", "/portfolio/order_groups/create", {"contracts_limit": 50}, status=201)
    groups = f"/portfolio/order_groups/{group['order_group_id']}"
    soon = now_ms() // 1_000 + 3_600
    full = order_body(
        price="0.0100", count="5.00", expiration_time=soon, cancel_order_on_pause=True,
        order_group_id=group["order_group_id"],
    )  # fmt: skip
    resting = str((await judge("POST", V2, full, status=201))["order_id"])
    await judge("POST", V2, order_body(price="0.9900", time_in_force="immediate_or_cancel"), status=201)
    await judge("POST", V2, order_body(client_order_id=None, price="0.0100"), status=201)
    own = f"{V2}/{resting}"
    terms = {"ticker": A, "side": "bid", "price": "0.0100", "count": "4.00"}
    await judge("POST", own + "/amend", terms)
    await judge("POST", own + "/amend", terms | {"expiration_time": soon + 60})
    await judge("POST", own + "/amend", terms | {"price": "0.5200", "updated_client_order_id": "changed"})
    resting = str((await judge("POST", V2, full | {"client_order_id": "again"}, status=201))["order_id"])
    own = f"{V2}/{resting}"
    await judge("POST", own + "/decrease", {"reduce_by": "1.00", "market_ticker": A})
    for target in ("", f"/{resting}", f"/{resting}/queue_position", "/queue_positions", "?status=executed&limit=1"):
        await judge("GET", "/portfolio/orders" + target)
    await judge("GET", "/portfolio/order_groups")
    await judge("GET", groups)
    await judge("DELETE", f"{own}?market_ticker={A}")
    batch = [order_body(price="0.0100"), order_body(price="0.5150"), order_body(price="0.9900", ticker=A)]
    placed = rows(await judge("POST", V2 + "/batched", {"orders": batch}, status=201), "orders")
    gone = [{"order_id": placed[0]["order_id"], "market_ticker": A}, {"order_id": "nosuch"}]
    await judge("DELETE", V2 + "/batched", {"orders": gone})
    await judge("DELETE", V2, status=204)
    for step, body in (("limit", {"contracts_limit_fp": "60.00"}), ("trigger", None), ("reset", None)):
        await judge("PUT", f"{groups}/{step}", body)
    await judge("DELETE", groups)
    for target in ("balance", "balance?exchange_index=1", "positions?settlement_status=all", "fills", "settlements"):
        await judge("GET", f"/portfolio/{target}")
    await judge("GET", "/portfolio/subaccounts/balances")


async def reads(judge: Judge) -> None:
    """The exchange, its markets and the account's terms."""
    for target in ("/exchange/status", "/exchange/schedule", "/exchange/user_data_timestamp", "/account/limits"):
        await judge("GET", target)
    await judge("POST", "/account/api_usage_level/upgrade", status=201)
    for target in ("/account/limits", "/account/endpoint_costs", "/api_keys"):
        await judge("GET", target)
    for target in ("/markets", f"/markets/{A}", f"/markets/{B}", f"/markets/{A}/orderbook", "/markets/trades"):
        await judge("GET", target, signed=False)
    await judge("GET", f"/markets/orderbooks?tickers={A}&tickers={C}", signed=False)
    exchange, soon_ms = judge.emulator.exchange, now_ms() + 3_600_000
    exchange.override_fees("DEMOTEMP-DAY1", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
    exchange.override_fees("DEMOGAME-HEROWL", None, 0, soon_ms)
    exchange.change_series_fees("DEMOTEMP", FeeType.QUADRATIC, 500_000, soon_ms)
    exchange.waive_fees(A, soon_ms)
    exchange.set_floor(A, 2_500)
    await judge("GET", f"/markets/{A}")
    for target in ("", "/fee_changes", "/DEMOTEMP", "?category=Sports"):
        await judge("GET", "/series" + target)
    for target in (
        "",
        "?with_nested_markets=true",
        "/fee_changes",
        "/multivariate",
        "/DEMOTEMP-DAY1",
        "/DEMOTEMP-DAY1?exclude_markets=true",
    ):
        await judge("GET", "/events" + target)
    for minutes in (1, 60, 1_440):
        await judge("GET", f"/series/DEMOTEMP/markets/{A}/candlesticks?{PERIOD}&period_interval={minutes}")
    await judge("GET", f"/markets/candlesticks?{PERIOD}&period_interval=1&market_tickers={A},{C}", signed=False)


async def archive(judge: Judge) -> None:
    for target in ("cutoff", "orders", "fills", "positions", "trades", "markets", f"markets/{B}", CANDLES):
        answer = await judge("GET", f"/historical/{target}")
        lists = [value for value in answer.values() if isinstance(value, list)]
        assert all(lists), target


async def test_every_operation_succeeds_as_specified(autojump_clock: MockClock) -> None:
    """One member does everything once; each answer has the declared status and validates, and none was left out."""
    settings = ServerSettings(limits=LIMITS, archive_after_ms=600_000, key_region_ends_s=1_900_000_000)
    async with world(settings, exchange_settings=ExchangeSettings(exchange_indexes=(0, 1))) as emulator:
        judge = Judge(emulator)
        await emulator.create(ticker=B, price="0.5000")
        emulator.trade(B, 1, side=BookSide.ASK, cents=50)
        await prepared(emulator)
        await portfolio(judge)
        await reads(judge)
        await trio.sleep(700)
        await archive(judge)
        wanted = {
            (route.method, str((operation(route.method, concrete(route, {})) or ("",))[0])) for route in implemented()
        }
        assert judge.succeeded == wanted


# Requests that are refused: method, target, body, status, and the code, "" for a body with `msg`.
REFUSED = (
    ("GET", "/markets?limit=1001", None, 400, ""),
    ("GET", "/markets?status=active", None, 400, "invalid_parameters"),
    ("GET", "/markets?status=open&min_close_ts=1", None, 400, "invalid_parameters"),
    ("GET", "/markets?min_updated_ts=1", None, 400, "invalid_parameters"),
    ("GET", "/markets/NOSUCH", None, 404, "market_not_found"),
    ("GET", "/markets/NOSUCH/orderbook", None, 404, "market_not_found"),
    ("GET", f"/historical/markets/{A}", None, 404, "market_not_found"),
    ("GET", "/markets/orderbooks", None, 400, "invalid_parameters"),
    ("GET", "/series/NOSUCH", None, 404, "not_found"),
    ("GET", "/events/NOSUCH", None, 404, "not_found"),
    ("GET", "/events?limit=201", None, 400, ""),
    ("GET", "/portfolio/orders?limit=0", None, 400, ""),
    ("GET", "/portfolio/orders?status=open", None, 400, "invalid_parameters"),
    ("GET", "/portfolio/orders/nosuch", None, 404, "not_found"),
    ("GET", "/portfolio/orders/nosuch/queue_position", None, 404, "not_found"),
    ("GET", "/portfolio/positions?count_filter=fees", None, 400, "invalid_parameters"),
    ("GET", "/portfolio/balance?subaccount=9", None, 400, "invalid_parameters"),
    ("POST", V2, order_body(price="0.5150"), 400, "invalid_price"),
    ("POST", V2, order_body(count=1), 400, "bad_request"),
    ("POST", V2, order_body(count="100000.00"), 400, "insufficient_balance"),
    ("POST", V2, order_body(time_in_force="fill_or_kill"), 409, "fill_or_kill_insufficient_resting_volume"),
    ("POST", V2 + "/batched", {"orders": []}, 400, "invalid_parameters"),
    ("DELETE", V2 + "/batched", {"orders": 1}, 400, "bad_request"),
    ("DELETE", V2 + "/nosuch", None, 404, "not_found"),
    ("POST", V2 + "/nosuch/amend", {"ticker": A}, 400, "invalid_parameters"),
    ("POST", V2 + "/nosuch/decrease", {"reduce_by": "1"}, 404, "not_found"),
    ("POST", "/portfolio/order_groups/create", {}, 400, "invalid_parameters"),
    ("GET", "/portfolio/order_groups/nosuch", None, 404, "not_found"),
    ("PUT", "/portfolio/order_groups/nosuch/reset", None, 404, "not_found"),
    ("POST", "/account/api_usage_level/upgrade", None, 403, "forbidden"),
)


@pytest.mark.parametrize(("method", "target", "body", "status", "code"), REFUSED)
async def test_refusals_have_a_known_shape(
    autojump_clock: MockClock, method: str, target: str, body: object, status: int, code: str
) -> None:
    """Each has its status and its code, in one of the exchange's shapes."""
    async with world(ServerSettings(limits=LIMITS)) as emulator:
        answer = await Judge(emulator)(method, target, body, status=status)
        error = answer.get("error", answer)
        assert isinstance(error, dict)
        assert error.get("code", "") == code


async def test_everything_private_asks_for_a_signature_and_for_tokens(autojump_clock: MockClock) -> None:
    """Without a signature each signed operation is 401, with empty buckets 429, both in their recorded shapes."""
    none = RateLimits(read_rate=0, read_capacity=0, write_rate=0, write_capacity=0, balance_rate=0)
    async with world(ServerSettings(limits=none)) as emulator:
        judge = Judge(emulator)
        signed = [route for route in implemented() if not route.is_public]
        for route in signed:
            answer = await judge(route.method, concrete(route, {}), status=401, signed=False)
            assert part(answer, "error")["code"] == "signature_is_missing_from_headers"
            if route.bucket != "items":
                await judge(route.method, concrete(route, {}), status=429)
        assert len(signed) >= 30


async def test_what_a_pause_answers(autojump_clock: MockClock) -> None:
    """Creates, amendments and the items of a batch get the same code; cancels pass."""
    async with world(ServerSettings(limits=LIMITS)) as emulator:
        judge = Judge(emulator)
        order_id = (await judge("POST", V2, order_body(price="0.0100"), status=201))["order_id"]
        emulator.exchange.pause_trading()
        terms = {"ticker": A, "side": "bid", "price": "0.0200", "count": "1.00"}
        for path, body in ((V2, order_body()), (f"{V2}/{order_id}/amend", terms)):
            assert part(await judge("POST", path, body, status=409), "error")["code"] == "trading_is_paused"
        batch = await judge("POST", V2 + "/batched", {"orders": [order_body()]}, status=201)
        assert part(rows(batch, "orders")[0], "error")["code"] == "trading_is_paused"
        await judge("DELETE", f"{V2}/{order_id}")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, '{"queue_position_fp": 3}'),
        (200, '{"queue_position_fp": null}'),
        (200, "{}"),
        (200, '{"queue_position_fp": "3.00", "more": 1}'),
        (201, '{"queue_position_fp": "3.00"}'),
        (404, '{"code": "not_found"}'),
        (404, '{"error": {"code": "not_found", "message": ""}}'),
        (429, '{"error": {"code": "too_many", "message": "too many"}}'),
    ],
)
def test_the_judge_finds_what_is_wrong(status: int, text: str) -> None:
    """A wrong type, null, a missing and an unknown field, an undeclared status, errors in no known shape."""
    target = PREFIX + "/portfolio/orders/x/queue_position"
    assert list(faults("GET", target, Answer(200, {}, '{"queue_position_fp": "3.00"}'))) == []
    assert list(faults("GET", target, Answer(404, {}, '{"error": {"code": "not_found", "message": "x"}}'))) == []
    assert list(faults("GET", target, Answer(status, {}, text))) != []
