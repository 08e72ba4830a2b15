"""Amendments, decreases and queue positions over REST."""

from __future__ import annotations

import pytest
from emulator_world import AMPLE, START_MS, V2, A, C, keys, now_ms, part, rows, world
from trio.testing import MockClock

from kalshi_daemon.units import BookSide

V1 = "/trade-api/v2/portfolio/orders"


def terms(**changes: object) -> dict[str, object]:
    return {"ticker": A, "side": "bid", "price": "0.4000", "count": "5.00"} | changes


async def test_an_amendment_answers_with_what_it_did(autojump_clock: MockClock) -> None:
    """Counts where the size moved or it filled, averages where it filled, neither for an expiry alone."""
    async with world(AMPLE) as emulator:
        order_id = (await emulator.create(price="0.4000", count="5.00", client_order_id="kd-1")).json["order_id"]
        path = f"{V2}/{order_id}/amend"
        answer = await emulator.ask("POST", path, terms(expiration_time=START_MS // 1_000 + 60))
        assert (answer.status, keys(answer.json)) == (200, {"client_order_id", "order_id", "ts_ms"})
        smaller = (await emulator.ask("POST", path, terms(count="4.00", updated_client_order_id="kd-2"))).json
        assert smaller == {
            "client_order_id": "kd-2",
            "fill_count": "0.00",
            "order_id": order_id,
            "remaining_count": "4.00",
            "ts_ms": now_ms(),
        }
        emulator.trade(A, 1, side=BookSide.ASK, cents=45)
        crossed = (await emulator.ask("POST", path, terms(price="0.4500"))).json
        assert (crossed["fill_count"], crossed["remaining_count"]) == ("1.00", "4.00")
        assert (crossed["average_fill_price"], crossed["average_fee_paid"]) == ("0.4500", "0.0174")
        order = part(await emulator.get(f"/portfolio/orders/{order_id}"), "order")
        assert (order["yes_price_dollars"], order["initial_count_fp"]) == ("0.4500", "5.00")
        assert order["expiration_time"] == "2027-01-15T08:01:00Z"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (terms(count=5), "bad_request"),
        (terms(ticker=None), "invalid_parameters"),
        (terms(side="yes"), "invalid_parameters"),
        (terms(ticker=C), "order_ticker_mismatch"),
        (terms(side="ask"), "order_side_mismatch"),
        (terms(client_order_id="other"), "order_id_and_client_order_id_mismatch"),
        (terms(price="0.4050"), "invalid_price"),
        (terms(expiration_time=1), "invalid_parameters"),
    ],
)
async def test_amendments_refused(autojump_clock: MockClock, body: dict[str, object], code: str) -> None:
    """Wrong types flat, the rest nested, each 400 with its code."""
    async with world() as emulator:
        order_id = (await emulator.create(price="0.4000", count="5.00")).json["order_id"]
        answer = await emulator.ask("POST", f"{V2}/{order_id}/amend", body)
        assert answer.status == 400
        error = answer.json if "code" in answer.json else part(answer.json, "error")
        assert error["code"] == code


async def test_decreases(autojump_clock: MockClock) -> None:
    """By or to a count; both, neither and too much are refused; what is gone is not found."""
    async with world(AMPLE) as emulator:
        order_id = (await emulator.create(price="0.4000", count="5.00", client_order_id="kd-1")).json["order_id"]
        path = f"{V2}/{order_id}/decrease"
        answer = await emulator.ask("POST", path, {"reduce_by": "2", "market_ticker": A})
        left = {"client_order_id": "kd-1", "order_id": order_id, "remaining_count": "3.00", "ts_ms": now_ms()}
        assert (answer.status, answer.json) == (200, left)
        for wrong in ({}, {"reduce_by": "1", "reduce_to": "1"}, {"reduce_to": "3.00"}, {"reduce_by": 1}):
            assert (await emulator.ask("POST", path, wrong)).status == 400
        assert (await emulator.ask("POST", path, {"reduce_to": "0.00"})).json["remaining_count"] == "0.00"
        assert (await emulator.ask("POST", path, {"reduce_to": "0.00"})).status == 404


async def test_queue_positions(autojump_clock: MockClock) -> None:
    """One order's, and all of them by market and by event; an order that does not rest has none."""
    async with world(AMPLE) as emulator:
        emulator.trade(A, 3, side=BookSide.BID, cents=40)
        first = (await emulator.create(price="0.4000")).json["order_id"]
        other = (await emulator.create(ticker=C, price="0.4000")).json["order_id"]
        assert await emulator.get(f"/portfolio/orders/{first}/queue_position") == {"queue_position_fp": "3.00"}

        async def places(query: str = "") -> list[dict[str, object]]:
            return rows(await emulator.get("/portfolio/orders/queue_positions" + query), "queue_positions")

        assert await places(f"?market_tickers={A}") == [
            {"market_ticker": A, "order_id": first, "queue_position_fp": "3.00"}
        ]
        assert [place["order_id"] for place in await places()] == [first, other]
        assert [place["order_id"] for place in await places("?event_ticker=DEMOGAME-HEROWL")] == [other]
        await emulator.ask("DELETE", V2)
        assert (await emulator.ask("GET", f"{V1}/{first}/queue_position")).status == 404
        assert await places() == []
