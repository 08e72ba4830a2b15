"""What REST answers look like: against the exchange's recordings and its specification."""

from __future__ import annotations

import trio
from emulator_world import (
    START_MS,
    V2,
    A,
    B,
    first,
    keys,
    now_ms,
    part,
    recording,
    rows,
    taken,
    world,
)
from trio.testing import MockClock

from kalshi_daemon.units import BookSide

OLD_MARKET_KEYS = {"fractional_trading_enabled", "response_price_units", "liquidity_dollars"}
OWN_TERMS = {"custom_strike", "early_close_condition", "occurrence_datetime", "strike_type"}  # of that market only


async def test_creates_look_as_recorded(autojump_clock: MockClock) -> None:
    """A resting order and a taken one answer with the recorded keys and number formats, the recorded fee among them."""
    async with world() as emulator:
        resting = (await emulator.create(price="0.0100")).json
        recorded = recording("orders__create_v2_maker")
        assert keys(resting) == keys(recorded)
        assert (resting["fill_count"], resting["remaining_count"]) == ("0.00", "1.00")
        assert resting["ts_ms"] == now_ms()
        filled = await taken(emulator)
        recorded = recording("orders__create_v2_taker_ioc")
        assert keys(filled) == keys(recorded)
        same = ("average_fee_paid", "average_fill_price", "fill_count", "remaining_count")
        assert [filled[name] for name in same] == [recorded[name] for name in same]


async def test_a_create_without_a_client_order_id_has_none(autojump_clock: MockClock) -> None:
    """An unset optional is absent, and not an empty string."""
    async with world() as emulator:
        answer = (await emulator.create(client_order_id=None)).json
        assert keys(answer) == {"fill_count", "order_id", "remaining_count", "ts_ms"}


async def test_reads_look_as_recorded(autojump_clock: MockClock) -> None:
    """Order, fill, position, balance and limits have the recorded keys, and what was added or removed since."""
    async with world() as emulator:
        await taken(emulator)
        await emulator.create(price="0.0100")
        orders = await emulator.get("/portfolio/orders")
        recorded = first(recording("portfolio__orders_list"), "orders")
        assert keys(orders) == {"cursor", "orders"}
        assert [keys(order) for order in rows(orders, "orders")] == [keys(recorded) | {"exchange_index"}] * 2
        executed = rows(orders, "orders")[1]
        same: tuple[str, ...] = (
            "taker_fees_dollars",
            "taker_fill_cost_dollars",
            "yes_price_dollars",
            "no_price_dollars",
            "status",
        )
        same += ("fill_count_fp", "remaining_count_fp", "initial_count_fp", "side", "action", "book_side", "type")
        assert [executed[name] for name in same] == [recorded[name] for name in same]
        fill = first(await emulator.get("/portfolio/fills"), "fills")
        recorded = first(recording("fills__after_taker"), "fills")
        assert keys(fill) == keys(recorded) | {"exchange_index"}
        same = ("fee_cost", "count_fp", "yes_price_dollars", "no_price_dollars", "is_taker", "outcome_side")
        assert [fill[name] for name in same] == [recorded[name] for name in same]
        assert fill["fill_id"] == fill["trade_id"]
        positions, recorded = await emulator.get("/portfolio/positions"), recording("portfolio__positions")
        assert keys(positions) == keys(recorded)
        recorded_position = keys(first(recorded, "market_positions")) - {"resting_orders_count"}
        assert keys(first(positions, "market_positions")) == recorded_position | {"exchange_index"}
        assert keys(first(positions, "event_positions")) == keys(first(recorded, "event_positions"))
        assert keys(await emulator.get("/account/limits")) == keys(recording("account__limits"))
        assert await emulator.get("/account/limits") == recording("account__limits")
        assert await emulator.get("/portfolio/settlements") == recording("settlements__page")


async def test_balance_is_exact_and_its_cents_are_cut(autojump_clock: MockClock) -> None:
    """After a fill of 52 cents and a fee of 1.75 the balance has both forms, as the recorded one has."""
    async with world(dollars=100) as emulator:
        await taken(emulator)
        body, recorded = await emulator.get("/portfolio/balance"), recording("auth__balance_ok")
        assert keys(body) == keys(recorded)
        assert body["balance_dollars"] == "99.4625"
        assert body["balance"] == 9_946
        assert body["portfolio_value"] == 52
        assert body["balance_breakdown"] == [{"exchange_index": 0, "balance": "99.4625"}]
        assert body["updated_ts"] == START_MS // 1_000


async def test_markets_and_books_look_as_recorded(autojump_clock: MockClock) -> None:
    """A market has the recorded keys; its book has two sides of ascending levels, bids only."""
    async with world() as emulator:
        for cents, count in ((47, 3), (45, 7)):
            emulator.trade(A, count, side=BookSide.BID, cents=cents)
        emulator.trade(A, 3, side=BookSide.ASK, cents=52)
        market = part(await emulator.get(f"/markets/{A}", signed=False), "market")
        recorded = keys(part(recording("markets__single"), "market")) - OLD_MARKET_KEYS - OWN_TERMS
        assert keys(market) == recorded | {"exchange_index", "settlement_bounds_type"}
        quotes = ("yes_bid_dollars", "yes_ask_dollars", "no_bid_dollars", "no_ask_dollars", "yes_bid_size_fp", "status")
        assert [market[name] for name in quotes] == ["0.4700", "0.5200", "0.4800", "0.5300", "3.00", "active"]
        book = await emulator.get(f"/markets/{A}/orderbook")
        assert keys(book["orderbook_fp"]) == keys(recording("orderbook__base")["orderbook_fp"])
        expected = {"yes_dollars": [["0.4500", "7.00"], ["0.4700", "3.00"]], "no_dollars": [["0.4800", "3.00"]]}
        assert book == {"orderbook_fp": expected}
        for depth in (101, -1):
            too_deep = await emulator.ask("GET", f"/trade-api/v2/markets/{A}/orderbook?depth={depth}")
            assert too_deep.status == 400
        best = await emulator.get(f"/markets/{A}/orderbook?depth=1")
        assert best == {"orderbook_fp": expected | {"yes_dollars": [["0.4700", "3.00"]]}}
        both = await emulator.get(f"/markets/orderbooks?tickers={A}&tickers={B}")
        empty: dict[str, list[str]] = {"yes_dollars": [], "no_dollars": []}
        assert both["orderbooks"] == [
            {"ticker": A, "orderbook_fp": expected},
            {"ticker": B, "orderbook_fp": empty},
        ]
        idle = part(await emulator.get(f"/markets/{B}"), "market")
        assert [idle[name] for name in quotes[:4]] == ["0.0000", "1.0000", "0.0000", "1.0000"]


async def test_public_trades_look_as_recorded(autojump_clock: MockClock) -> None:
    """A print names the taker's side in both words."""
    async with world() as emulator:
        await taken(emulator)
        trade = first(await emulator.get(f"/markets/trades?ticker={A}"), "trades")
        assert keys(trade) == keys(first(recording("trades__public_recorded"), "trades"))
        assert (trade["taker_outcome_side"], trade["taker_book_side"]) == ("yes", "bid")
        assert (trade["yes_price_dollars"], trade["count_fp"]) == ("0.5200", "1.00")
        assert rows(await emulator.get(f"/markets/trades?ticker={B}"), "trades") == []


async def test_series_event_and_the_exchange_itself(autojump_clock: MockClock) -> None:
    """The small reads say what they must: the fee schedule, an event's markets, whether there is trading, the hours."""
    async with world() as emulator:
        series = part(await emulator.get("/series/DEMOGAME"), "series")
        assert (series["fee_type"], series["fee_multiplier"]) == ("quadratic_with_maker_fees", 0.5)
        assert part(await emulator.get("/series/DEMOTEMP"), "series")["fee_multiplier"] == 1
        event = await emulator.get("/events/DEMOTEMP-DAY1")
        assert part(event, "event")["series_ticker"] == "DEMOTEMP"
        assert [market["ticker"] for market in rows(event, "markets")] == [A, B]
        nested = await emulator.get("/events/DEMOTEMP-DAY1?with_nested_markets=true")
        assert [market["ticker"] for market in rows(part(nested, "event"), "markets")] == [A, B]
        assert (await emulator.get("/exchange/status"))["trading_active"] is True
        emulator.exchange.pause_trading()
        paused = await emulator.get("/exchange/status")
        assert (paused["exchange_active"], paused["trading_active"]) == (True, False)
        assert keys(recording("exchange__status")) <= keys(paused)
        assert (await emulator.create()).json["error"]["code"] == "trading_is_paused"  # type: ignore[index]
        week = first(part(await emulator.get("/exchange/schedule"), "schedule"), "standard_hours")
        assert week["thursday"] == week["monday"]  # this exchange keeps no pause
        costs = await emulator.get("/account/endpoint_costs")
        assert costs["default_cost"] == 10
        paths = {(row["method"], row["path"]): row["cost"] for row in rows(costs, "endpoint_costs")}
        recorded = rows(recording("account__endpoint_costs"), "endpoint_costs")
        for method, path in [("DELETE", V2 + "/:order_id"), ("GET", "/trade-api/v2/portfolio/orders/:order_id")]:
            assert {"cost": paths[method, path], "method": method, "path": path} in recorded


async def test_settlements_appear_and_positions_go(autojump_clock: MockClock) -> None:
    """A market that pays out shows a settlement in cents, and its position only where settled ones are asked for."""
    async with world() as emulator:
        await taken(emulator, 2)
        emulator.exchange.settle(A, "yes")
        await trio.sleep(61)
        row = first(await emulator.get("/portfolio/settlements"), "settlements")
        assert row == {
            "event_ticker": "DEMOTEMP-DAY1",
            "exchange_index": 0,
            "fee_cost": row["fee_cost"],
            "market_result": "yes",
            "no_count_fp": "0.00",
            "no_total_cost_dollars": "0.000000",
            "revenue": 200,
            "settled_time": "2027-01-15T08:01:00Z",
            "ticker": A,
            "value": 100,
            "yes_count_fp": "2.00",
            "yes_total_cost_dollars": "1.040000",
        }
        assert rows(await emulator.get("/portfolio/positions"), "market_positions") == []
        settled = await emulator.get("/portfolio/positions?settlement_status=settled")
        assert first(settled, "market_positions")["position_fp"] == "0.00"
        market = part(await emulator.get(f"/markets/{A}"), "market")
        assert (market["status"], market["result"], market["settlement_value_dollars"]) == (
            "finalized",
            "yes",
            "1.0000",
        )
        assert [m["ticker"] for m in rows(await emulator.get("/markets?status=settled"), "markets")] == [A]
