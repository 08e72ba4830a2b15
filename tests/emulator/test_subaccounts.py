"""Subaccounts: what each has of its own, what the member's share, and which one a request is about."""

from __future__ import annotations

import pytest
import trio
from emulator_world import V2, A, C, World, order_body, part, rows, world
from small_exchange import ASK, BID, IOC, TICKER, listing
from trio.testing import MockClock

from kalshi_daemon.emulator.model import OrderStatus, UpdateReason
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import DOLLAR, BookSide

AMPLE = ServerSettings(
    limits=RateLimits(
        read_rate=10_000, read_capacity=10_000, write_rate=10_000, write_capacity=10_000, balance_rate=100
    )
)


def test_cash_positions_and_orders_are_its_own() -> None:
    """A fill moves one subaccount's cash and position; the other cannot cancel its order, nor pay with its cash."""
    world = listing()
    member = world.member("m", dollars=10)
    second = world.exchange.open_subaccount(member, 2)
    world.place(world.member("s"), ASK, 5_000, 1_000)
    with pytest.raises(Refused, match="insufficient_balance"):
        world.place(second, BID, 5_000, 100)
    world.exchange.deposit(second, 5 * DOLLAR)
    assert world.place(second, BID, 5_000, 500, IOC, client_order_id="kd-1").filled == 500
    assert (second.count(TICKER), member.count(TICKER), member.cash[0]) == (500, 0, 10 * DOLLAR)
    resting = world.place(second, BID, 1_000, 100).order_id
    with pytest.raises(Refused, match="not_found"):
        world.exchange.cancel_order(member, resting, TICKER)
    with pytest.raises(Refused, match="order_already_exists"):  # ids are the member's
        world.place(member, BID, 100, 100, client_order_id="kd-1")
    assert [order.subaccount for order in world.exchange.orders(member)] == [2, 2]
    assert [fill.subaccount for fill in world.exchange.fills(member)] == [2]
    world.exchange.settle(TICKER, "yes")
    world.pass_time(61_000)
    assert [settlement.subaccount for settlement in world.exchange.settlements(member)] == [2]
    assert second.cash[0] == 5 * DOLLAR - 2_587_500 + 5 * DOLLAR


def test_a_member_does_not_trade_with_itself() -> None:
    """Orders of two subaccounts that meet are a self-trade."""
    world = listing()
    member = world.member("m")
    second = world.exchange.open_subaccount(member, 1)
    world.exchange.deposit(second, 100 * DOLLAR)
    world.place(member, BID, 5_000, 100)
    order_id = world.place(second, ASK, 5_000, 100).order_id
    order = world.exchange.order(member, order_id)
    assert (order.status, order.reason) == (OrderStatus.CANCELED, UpdateReason.SELF_TRADE_CANCEL)


def fund(emulator: World, number: int, dollars: int) -> None:
    account = emulator.exchange.open_subaccount(emulator.member, number)
    emulator.exchange.deposit(account, dollars * DOLLAR)


async def test_which_subaccount_a_request_is_about(autojump_clock: MockClock) -> None:
    """Lists without one show all; positions, balance, queue, cancel and amend mean the primary one."""
    async with world(AMPLE) as emulator:
        fund(emulator, 3, 50)
        emulator.trade(A, 10, side=BookSide.ASK, cents=52)
        taken = await emulator.create(price="0.5200", subaccount=3, time_in_force="immediate_or_cancel")
        assert taken.json["fill_count"] == "1.00"
        resting = (await emulator.create(price="0.0100", subaccount=3)).json["order_id"]
        own = (await emulator.create(ticker=C, price="0.0100")).json["order_id"]
        for query, orders, fills in (("", 3, 1), ("?subaccount=3", 2, 1), ("?subaccount=0", 1, 0)):
            listed = rows(await emulator.get("/portfolio/orders" + query), "orders")
            assert len(listed) == orders
            assert len(rows(await emulator.get("/portfolio/fills" + query), "fills")) == fills
        assert rows(await emulator.get("/portfolio/positions"), "market_positions") == []
        held = rows(await emulator.get("/portfolio/positions?subaccount=3"), "market_positions")
        assert [position["position_fp"] for position in held] == ["1.00"]
        assert (await emulator.get("/portfolio/balance"))["balance"] == 99_999  # less what one order holds
        assert (await emulator.get("/portfolio/balance?subaccount=3"))["balance_dollars"] == "49.4525"
        assert await emulator.get("/portfolio/subaccounts/balances") == {
            "subaccount_balances": [
                {"balance": "999.9900", "exchange_index": 0, "subaccount_number": 0, "updated_ts": 1_800_000_000},
                {"balance": "49.4525", "exchange_index": 0, "subaccount_number": 3, "updated_ts": 1_800_000_000},
            ]
        }
        queue = "/portfolio/orders/queue_positions"
        assert [row["order_id"] for row in rows(await emulator.get(queue), "queue_positions")] == [own]
        assert [row["order_id"] for row in rows(await emulator.get(queue + "?subaccount=3"), "queue_positions")] == [
            resting
        ]
        path = f"{V2}/{resting}"
        terms = {"ticker": A, "side": "bid", "price": "0.0200", "count": "1.00"}
        for query, status in (("", 404), ("?subaccount=3", 200)):
            assert (await emulator.ask("POST", f"{path}/amend{query}", terms)).status == status
            smaller = {"reduce_by": "0.10", "market_ticker": A}
            assert (await emulator.ask("POST", f"{path}/decrease{query}", smaller)).status == status
            answer = await emulator.ask("DELETE", f"{path}?market_ticker={A}{query.replace('?', '&')}")
            assert answer.status == status


async def test_batches_and_cancel_all_across_subaccounts(autojump_clock: MockClock) -> None:
    """Each item of a batch names its own; cancel-all takes one subaccount's orders, or everybody's."""
    async with world(AMPLE) as emulator:
        fund(emulator, 1, 50)
        items = [order_body(price="0.0100", subaccount=number) for number in (0, 1, 1, 2)]
        placed = rows((await emulator.ask("POST", V2 + "/batched", {"orders": items})).json, "orders")
        assert part(placed[3], "error")["code"] == "invalid_parameters"
        gone = [{"order_id": placed[1]["order_id"], "market_ticker": A, "subaccount": number} for number in (0, 1)]
        answer = await emulator.ask("DELETE", V2 + "/batched", {"orders": gone})
        assert ["error" in row for row in rows(answer.json, "orders")] == [True, False]

        async def resting() -> list[object]:
            body = await emulator.get("/portfolio/orders?status=resting")
            return [order["subaccount_number"] for order in rows(body, "orders")]

        assert await resting() == [1, 0]
        assert (await emulator.ask("DELETE", V2 + "?subaccount=1")).status == 204
        assert await resting() == [0]
        await emulator.create(price="0.0100", subaccount=1)
        assert (await emulator.ask("DELETE", V2)).status == 204
        assert await resting() == []


@pytest.mark.parametrize("number", ["64", "-1", "one", "5"])
async def test_numbers_that_no_subaccount_has(autojump_clock: MockClock, number: str) -> None:
    """What is out of range and what was never opened is refused."""
    async with world(AMPLE) as emulator:
        answer = await emulator.ask("GET", f"/trade-api/v2/portfolio/balance?subaccount={number}")
        assert (answer.status, part(answer.json, "error")["code"]) == (400, "invalid_parameters")


async def test_a_subaccount_is_read_with_the_lag(autojump_clock: MockClock) -> None:
    """One that was opened a moment ago has no balance to show yet."""
    async with world(ServerSettings(read_lag_ms=500, limits=AMPLE.limits)) as emulator:
        await emulator.get("/portfolio/balance")
        fund(emulator, 1, 50)
        balance = "/trade-api/v2/portfolio/balance?subaccount=1"
        assert (await emulator.ask("GET", balance)).status == 400
        await trio.sleep(0.6)
        assert (await emulator.ask("GET", balance)).json["balance_dollars"] == "50.0000"
