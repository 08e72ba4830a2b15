"""Orders over REST: cancels, batches, and every refusal word for word."""

from __future__ import annotations

import json

import httpx
import pytest
import trio
from attrs import evolve
from emulator_world import (
    V2,
    A,
    B,
    World,
    keys,
    order_body,
    part,
    recording,
    rows,
    taken,
    world,
)
from trio.testing import MockClock

from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.units import BookSide


async def test_cancels(autojump_clock: MockClock) -> None:
    """A cancel answers as recorded; a second one, an executed order and an unknown one get one and the same 404."""
    async with world() as emulator:
        order_id = (await emulator.create(client_order_id=None)).json["order_id"]
        answer = await emulator.ask("DELETE", f"{V2}/{order_id}?market_ticker={A}")
        assert (answer.status, answer.json["reduced_by"]) == (200, "1.00")
        assert keys(answer.json) == keys(recording("orders__cancel_v2"))
        executed = (await taken(emulator))["order_id"]
        for missing in (order_id, executed, "00000000-0000-0000-0000-000000000000"):
            again = await emulator.ask("DELETE", f"{V2}/{missing}?market_ticker={A}")
            assert (again.status, again.json) == (404, recording("orders__cancel_unknown_id"))
        canceled = part(await emulator.get(f"/portfolio/orders/{order_id}"), "order")
        assert [canceled[name] for name in ("status", "remaining_count_fp", "initial_count_fp")] == [
            "canceled",
            "0.00",
            "1.00",
        ]
        await emulator.create(price="0.0100")
        await emulator.create(price="0.0100", ticker=B)
        every = await emulator.ask("DELETE", V2)
        assert (every.status, every.text) == (204, "")
        assert rows(await emulator.get("/portfolio/orders?status=resting"), "orders") == []


async def test_a_cancel_is_looked_for_on_shard_0_unless_a_ticker_is_named(autojump_clock: MockClock) -> None:
    """On another shard an order is found by its market, and not by its id alone."""
    async with world(exchange_settings=ExchangeSettings(exchange_indexes=(0, 2))) as emulator:
        far = evolve(emulator.exchange.market(A), ticker="DEMOTEMP-DAY1-T99", exchange_index=2, market_id="")
        emulator.exchange.add_market(far)
        emulator.exchange.deposit(emulator.member, 10_000_000, 2)
        order_id = (await emulator.create(ticker=far.ticker)).json["order_id"]
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}")).status == 404
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}?exchange_index=0")).status == 404
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}?market_ticker={far.ticker}")).status == 200
        balance = await emulator.get("/portfolio/balance")
        assert balance["balance_breakdown"] == [
            {"exchange_index": 0, "balance": "1000.0000"},
            {"exchange_index": 2, "balance": "10.0000"},
        ]


@pytest.mark.parametrize(
    ("changes", "status", "name"),
    [
        ({"count": "10099.00", "price": "0.9900"}, 400, "orders__insufficient_balance"),
        ({"price": "0.5150"}, 400, "orders__invalid_price_structure"),
        ({"price": "0.9900", "post_only": True}, 400, "orders__post_only_cross"),
        ({"count": 1, "price": 0.01}, 400, "orders__numeric_field_types"),
        ({"client_order_id": "used"}, 409, "orders__duplicate_client_order_id"),
    ],
    ids=["balance", "price", "post only", "numbers", "duplicate"],
)
async def test_refusals_of_orders_are_the_recorded_ones(
    autojump_clock: MockClock, changes: dict[str, object], status: int, name: str
) -> None:
    """The whole body of each refusal equals the recorded one, and nothing is placed."""
    async with world(dollars=100) as emulator:
        emulator.trade(A, 3, side=BookSide.ASK, cents=52)
        await emulator.create(client_order_id="used", price="0.0100")
        answer = await emulator.create(**changes)
        assert (answer.status, answer.json) == (status, recording(name))
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == 1


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({"price": 0.5}, "number into Go struct field CreateOrderV2Request.price of type string"),
        ({"count": ["1"]}, "array into Go struct field CreateOrderV2Request.count of type string"),
        ({"post_only": "yes"}, "string into Go struct field CreateOrderV2Request.post_only of type bool"),
        (
            {"expiration_time": 1.5},
            "number 1.5 into Go struct field CreateOrderV2Request.expiration_time of type int64",
        ),
        ({"exchange_index": True}, "bool into Go struct field CreateOrderV2Request.exchange_index of type int"),
    ],
)
async def test_wrong_types_are_refused_flat(
    autojump_clock: MockClock, changes: dict[str, object], details: str
) -> None:
    """A wrong JSON type is refused in the decoder's words, in the flat shape."""
    async with world() as emulator:
        answer = await emulator.create(**changes)
        assert answer.status == 400
        assert answer.json == {
            "code": "bad_request",
            "message": "bad request",
            "details": f"json: cannot unmarshal {details}",
        }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"side": None}, "invalid_parameters"),
        ({"side": "buy"}, "invalid_parameters"),
        ({"time_in_force": "day"}, "invalid_parameters"),
        ({"self_trade_prevention_type": "none"}, "invalid_parameters"),
        ({"client_order_id": "a.b"}, "invalid_parameters"),
        ({"subaccount": 3}, "invalid_parameters"),
        ({"order_group_id": "g"}, "invalid_order"),
        ({"price": "half"}, "invalid_parameters"),
        ({"price": "-0.50"}, "invalid_parameters"),
        ({"price": "0.50001"}, "invalid_price"),
        ({"price": "1.00"}, "invalid_price"),
        ({"count": "0.001"}, "invalid_order_size"),
        ({"count": "0.00"}, "invalid_order_size"),
        ({"ticker": "NOSUCH"}, "market_not_found"),
        ({"time_in_force": "immediate_or_cancel", "expiration_time": 1_900_000_000}, "invalid_parameters"),
    ],
)
async def test_terms_that_are_not_allowed_are_refused_nested(
    autojump_clock: MockClock, changes: dict[str, object], code: str
) -> None:
    """What reads and is not allowed gets a code of the exchange's, and leaves no order behind."""
    async with world() as emulator:
        answer = await emulator.create(**changes)
        assert answer.status == (404 if code == "market_not_found" else 400)
        assert part(answer.json, "error")["code"] == code
        assert emulator.exchange.orders(emulator.member) == []


async def test_bodies_that_are_no_json(autojump_clock: MockClock) -> None:
    """The content type is looked at first, then the text; both refusals are flat."""
    async with world() as emulator:
        plain = await emulator.ask("POST", V2, {}, headers={"Content-Type": "text/plain"})
        assert (plain.status, plain.json["code"]) == (400, "invalid_content_type")
        for text in ("{", "[1]", "\xff", "[" * 100_000, ""):
            headers = emulator.headers("POST", V2) | {"Content-Type": "application/json", "Host": "h"}
            request = httpx.Request("POST", f"http://h{V2}", content=text.encode("latin-1"), headers=headers)
            answer = await raw(emulator, request)
            assert (answer["code"], answer["message"]) == ("bad_request", "bad request"), text[:5]


async def raw(emulator: World, request: httpx.Request) -> dict[str, object]:
    """The JSON answer to a request whose body is any bytes."""
    ours, theirs = trio.testing.memory_stream_pair()
    emulator.nursery.start_soon(emulator.server.handle, theirs)
    head = f"{request.method} {request.url.path} HTTP/1.1\r\n".encode()
    head += b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw)
    await ours.send_all(head + b"\r\n" + request.content)
    await ours.send_eof()
    answer = b"".join([chunk async for chunk in ours])
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(body, dict)
    return body


async def test_batches_answer_by_the_item(autojump_clock: MockClock) -> None:
    """One batch places, refuses and says which; another cancels likewise; both stay successes as a whole."""
    async with world() as emulator:
        items = [order_body(client_order_id="first"), order_body(client_order_id="first"), order_body(price="0.999")]
        answer = await emulator.ask("POST", V2 + "/batched", {"orders": items})
        assert answer.status == 201
        placed, duplicate, off_grid = rows(answer.json, "orders")
        assert (placed["remaining_count"], "error" in placed) == ("1.00", False)
        assert ("order_id" in duplicate, duplicate["client_order_id"]) == (False, "first")
        assert part(duplicate, "error")["code"] == "order_already_exists"
        assert part(off_grid, "error")["code"] == "invalid_price"
        ids = [{"order_id": placed["order_id"], "market_ticker": A}, {"order_id": "nosuch", "market_ticker": A}]
        answer = await emulator.ask("DELETE", V2 + "/batched", {"orders": ids})
        assert answer.status == 200
        cancelled, missing = rows(answer.json, "orders")
        assert (cancelled["reduced_by"], missing["reduced_by"]) == ("1.00", "0.00")
        assert part(missing, "error")["code"] == "not_found"
        wrongs: list[dict[str, object]] = [{}, {"orders": []}, {"orders": [order_body()] * 11}]
        for wrong in wrongs:
            assert (await emulator.ask("POST", V2 + "/batched", wrong)).status == 400
        for unread in ({"orders": 1}, {"orders": [1]}, {"orders": [{"count": 1}]}):
            assert (await emulator.ask("POST", V2 + "/batched", unread)).json["code"] == "bad_request"
