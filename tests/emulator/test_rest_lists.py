"""Lists, filters, pages, token buckets and stale reads over REST, and paths that do not exist."""

from __future__ import annotations

import pytest
import trio
from emulator_world import (
    START_MS,
    V2,
    A,
    B,
    C,
    keys,
    order_body,
    part,
    recording,
    rows,
    taken,
    world,
)
from trio.testing import MockClock

from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import BookSide


async def test_paths_that_do_not_exist(autojump_clock: MockClock) -> None:
    """Unknown paths and methods are 404 without a signature; the first version's writes are 410; slashes are 301."""
    async with world() as emulator:
        for method, path in [("GET", "/nothing"), ("GET", "/trade-api/v2/nope"), ("PUT", "/trade-api/v2/markets")]:
            missing = await emulator.ask(method, path, signed=False)
            assert (missing.status, missing.json) == (404, {"error": {"code": "not_found", "message": "not found"}})
        for path in ("/series/NOSUCH", "/events/NOSUCH", "/portfolio/orders/nosuch"):
            assert (await emulator.ask("GET", "/trade-api/v2" + path)).status == 404
        unknown = await emulator.ask("GET", "/trade-api/v2/markets/NOSUCH")
        assert (unknown.status, part(unknown.json, "error")["code"]) == (404, "market_not_found")
        old = "/trade-api/v2/portfolio/orders"
        writes = [("POST", ""), ("DELETE", ""), ("DELETE", "/x"), ("POST", "/x/amend"), ("POST", "/x/decrease")]
        for method, rest in [*writes, ("POST", "/batched"), ("DELETE", "/batched")]:
            gone = await emulator.ask(method, old + rest, {})
            assert (gone.status, part(gone.json, "error")["code"]) == (410, "deprecated_v1_order_endpoint")
        slash = await emulator.ask("GET", "/trade-api/v2/markets/")
        assert (slash.status, slash.headers["location"]) == (301, "/trade-api/v2/markets")


async def test_lists_come_in_pages(autojump_clock: MockClock) -> None:
    """Every page has its cursor, the last an empty one; garbage gives the first page; additions move nothing."""
    async with world() as emulator:
        placed = [(await emulator.create(price="0.0100")).json["order_id"] for _ in range(5)]
        seen, cursor = [], ""
        for page, size in enumerate((2, 2, 1)):
            body = await emulator.get(f"/portfolio/orders?limit=2&cursor={cursor}")
            seen += [order["order_id"] for order in rows(body, "orders")]
            assert len(rows(body, "orders")) == size
            cursor = str(body["cursor"])
            assert bool(cursor) == (page < 2)
            if page == 0:
                await emulator.create(price="0.0100")
        assert seen == placed[::-1]
        garbage = await emulator.get("/markets?limit=2&cursor=garbage-cursor-fixture")
        assert [market["ticker"] for market in rows(garbage, "markets")] == [A, B]
        last = await emulator.get(f"/markets?limit=2&cursor={garbage['cursor']}")
        assert [market["ticker"] for market in rows(last, "markets")] == [C]
        assert last["cursor"] == ""


async def test_a_limit_that_is_too_large_is_refused_with_msg(autojump_clock: MockClock) -> None:
    """The body of the query's refusal is the recorded one; a limit that is no number is refused alike."""
    async with world() as emulator:
        answer = await emulator.ask("GET", "/trade-api/v2/markets?limit=1001")
        assert (answer.status, answer.json) == (400, recording("markets__limit_over_max"))
        for query in ("/markets?limit=many", "/portfolio/orders?limit=0", "/portfolio/fills?min_ts=soon"):
            answer = await emulator.ask("GET", "/trade-api/v2" + query)
            assert (answer.status, keys(answer.json)) == (400, {"msg"})


@pytest.mark.parametrize(
    ("query", "tickers"),
    [
        ("", [A, B, C]),
        (f"tickers={A},{C}", [A, C]),
        (f"tickers={C}&tickers={B}", [B, C]),
        ("event_ticker=DEMOTEMP-DAY1", [A, B]),
        ("series_ticker=DEMOGAME", [C]),
        ("status=open", [A, C]),
        ("status=paused", [B]),
        ("status=unopened", []),
        ("status=open&series_ticker=DEMOTEMP", [A]),
        ("limit=0", [A, B, C]),
    ],
)
async def test_filters_of_markets(autojump_clock: MockClock, query: str, tickers: list[str]) -> None:
    """Each filter keeps exactly its markets, and they combine."""
    async with world() as emulator:
        emulator.exchange.halt(B)
        body = await emulator.get(f"/markets?{query}", signed=False)
        assert [market["ticker"] for market in rows(body, "markets")] == tickers


async def test_status_active_is_no_filter(autojump_clock: MockClock) -> None:
    """The response's vocabulary is not the filter's."""
    async with world() as emulator:
        assert (await emulator.ask("GET", "/trade-api/v2/markets?status=active")).status == 400


async def test_filters_of_the_portfolio(autojump_clock: MockClock) -> None:
    """Orders, fills and positions are kept by ticker, event, status, order and time."""
    async with world() as emulator:
        filled = (await taken(emulator))["order_id"]
        await trio.sleep(10)
        resting = (await emulator.create(ticker=C, price="0.0100")).json["order_id"]
        later = (START_MS + 5_000) // 1_000

        async def ids(query: str) -> list[object]:
            return [order["order_id"] for order in rows(await emulator.get(f"/portfolio/orders?{query}"), "orders")]

        assert await ids("") == [resting, filled]
        assert await ids("status=executed") == [filled]
        assert await ids(f"ticker={C}") == [resting]
        assert await ids("event_ticker=DEMOTEMP-DAY1,OTHER") == [filled]
        assert await ids(f"min_ts={later}") == [resting]
        assert await ids(f"max_ts={later}") == [filled]
        assert await ids("exchange_index=1") == []
        for query, count in [("", 1), (f"order_id={filled}", 1), (f"order_id={resting}", 0), (f"ticker={C}", 0)]:
            assert len(rows(await emulator.get(f"/portfolio/fills?{query}"), "fills")) == count
        emulator.trade(A, 1, side=BookSide.BID, cents=49)
        sold = await emulator.create(side="ask", price="0.4900", time_in_force="immediate_or_cancel", reduce_only=True)
        assert sold.json["fill_count"] == "1.00"
        for query, count in [("", 1), ("count_filter=position", 0), ("count_filter=position,total_traded", 1)]:
            assert len(rows(await emulator.get(f"/portfolio/positions?{query}"), "market_positions")) == count


async def test_the_write_bucket_and_its_refill(autojump_clock: MockClock) -> None:
    """Ten creates empty the basic bucket; the eleventh is 429 and nothing is placed; 100 ms later there is one more."""
    async with world() as emulator:
        for _ in range(10):
            assert (await emulator.create(price="0.0100")).status == 201
        spent = await emulator.create(price="0.0100")
        assert (spent.status, spent.json) == (429, {"error": "too many requests"})
        assert "retry-after" not in spent.headers
        assert len(emulator.exchange.orders(emulator.member)) == 10
        assert (await emulator.ask("DELETE", V2)).status == 429
        await trio.sleep(0.02)
        assert (await emulator.ask("DELETE", V2)).status == 204
        await trio.sleep(0.1)
        assert (await emulator.create()).status == 201
        assert (await emulator.create()).status == 429


async def test_a_batch_pays_for_every_item(autojump_clock: MockClock) -> None:
    """Six creates at once leave tokens for four more, and not for a batch of five."""
    async with world() as emulator:
        batch = {"orders": [order_body(price="0.0100") for _ in range(6)]}
        assert (await emulator.ask("POST", V2 + "/batched", batch)).status == 201
        batch = {"orders": [order_body(price="0.0100") for _ in range(5)]}
        assert (await emulator.ask("POST", V2 + "/batched", batch)).status == 429
        batch["orders"].pop()
        assert (await emulator.ask("POST", V2 + "/batched", batch)).status == 201


async def test_reads_have_their_own_buckets(autojump_clock: MockClock) -> None:
    """Balance is one call a second and nothing else's; reads draw on the read bucket; unsigned reads on none."""
    settings = ServerSettings(limits=RateLimits(read_rate=10, read_capacity=20))
    async with world(settings) as emulator:
        balance = "/trade-api/v2/portfolio/balance"
        assert [(await emulator.ask("GET", balance)).status for _ in range(2)] == [200, 429]
        orders = "/trade-api/v2/portfolio/orders"
        assert [(await emulator.ask("GET", orders)).status for _ in range(3)] == [200, 200, 429]
        assert (await emulator.ask("GET", "/trade-api/v2/markets")).status == 429
        assert (await emulator.ask("GET", "/trade-api/v2/markets", signed=False)).status == 200
        assert (await emulator.create()).status == 201
        await trio.sleep(1)
        assert [(await emulator.ask("GET", path)).status for path in (balance, orders)] == [200, 200]


async def test_reads_lag_behind_writes(autojump_clock: MockClock) -> None:
    """With a lag, reads show the account as it was: orders, fills, positions and balance appear together, later."""
    async with world(ServerSettings(read_lag_ms=500, limits=RateLimits(balance_rate=1_000))) as emulator:
        filled = await taken(emulator)
        order = f"/trade-api/v2/portfolio/orders/{filled['order_id']}"
        for wait_s, shown in ((0.4, False), (0.2, True)):
            await trio.sleep(wait_s)
            assert ((await emulator.ask("GET", order)).status == 200) == shown
            for name, path in [("orders", "orders"), ("fills", "fills"), ("market_positions", "positions")]:
                assert len(rows(await emulator.get(f"/portfolio/{path}"), name)) == shown
            cash = (await emulator.get("/portfolio/balance"))["balance_dollars"]
            assert cash == ("999.4625" if shown else "1000.0000")
        as_of = await emulator.get("/exchange/user_data_timestamp")
        assert as_of == {"as_of_time": "2027-01-15T08:00:00.1Z"}
        resting = (await emulator.create(price="0.0100")).json["order_id"]
        await trio.sleep(1)
        assert (await emulator.ask("DELETE", f"{V2}/{resting}?market_ticker={A}")).status == 200
        stale = part(await emulator.get(f"/portfolio/orders/{resting}"), "order")
        assert (stale["status"], stale["remaining_count_fp"]) == ("resting", "1.00")
        await trio.sleep(0.5)
        assert part(await emulator.get(f"/portfolio/orders/{resting}"), "order")["status"] == "canceled"


async def test_what_ended_long_ago_is_in_the_archive(autojump_clock: MockClock) -> None:
    """Past the cutoff, ended orders, fills and settled positions leave the live lists; what rests stays."""
    ample = RateLimits(read_rate=10_000, read_capacity=10_000)
    async with world(ServerSettings(archive_after_ms=100_000, limits=ample)) as emulator:
        filled = (await taken(emulator))["order_id"]
        resting = (await emulator.create(ticker=C, price="0.0100")).json["order_id"]
        emulator.exchange.settle(A, "yes")
        for wait_s, live in ((70, True), (100, False)):
            await trio.sleep(wait_s)

            async def there(path: str, name: str) -> list[dict[str, object]]:
                return rows(await emulator.get(path), name)

            orders = await there("/portfolio/orders", "orders")
            assert [order["order_id"] for order in orders] == ([resting, filled] if live else [resting])
            archived = await there("/historical/orders", "orders")
            assert [order["order_id"] for order in archived] == ([] if live else [filled])
            answer = await emulator.ask("GET", f"/trade-api/v2/portfolio/orders/{filled}")
            assert answer.status == (200 if live else 404)
            for path, name, query in (
                ("fills", "fills", ""),
                ("positions", "market_positions", "?settlement_status=all"),
            ):
                assert len(await there(f"/portfolio/{path}{query}", name)) == live
                assert len(await there(f"/historical/{path}", name)) == (not live)
            assert len(await there("/portfolio/settlements", "settlements")) == live
        cutoff = await emulator.get("/historical/cutoff", signed=False)
        assert set(cutoff.values()) == {"2027-01-15T08:01:10Z"}
        assert len(cutoff) == 4
