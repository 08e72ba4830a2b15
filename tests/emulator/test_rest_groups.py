"""Order groups over REST."""

from __future__ import annotations

import pytest
from emulator_world import AMPLE, A, keys, world
from trio.testing import MockClock

from kalshi_daemon.units import BookSide

GROUPS = "/portfolio/order_groups"
PATH = "/trade-api/v2" + GROUPS


async def test_a_group_from_creation_to_deletion(autojump_clock: MockClock) -> None:
    """Without any the list is an empty object; each step answers as recorded or specified."""
    async with world(AMPLE) as emulator:
        assert await emulator.get(GROUPS) == {}
        created = await emulator.ask("POST", PATH + "/create", {"contracts_limit": 5})
        group_id = created.json["order_group_id"]
        expected = {"exchange_index": 0, "order_group_id": group_id, "subaccount": 0}
        assert (created.status, created.json) == (201, expected)
        shown = {"contracts_limit_fp": "5.00", "exchange_index": 0, "is_auto_cancel_enabled": True}
        assert await emulator.get(GROUPS) == {"order_groups": [shown | {"id": group_id}]}
        order_id = (await emulator.create(price="0.0100", order_group_id=group_id)).json["order_id"]
        assert await emulator.get(f"{GROUPS}/{group_id}") == shown | {"orders": [order_id]}
        order = (await emulator.get(f"/portfolio/orders/{order_id}"))["order"]
        assert order["order_group_id"] == group_id  # type: ignore[index]
        for step, body in (("trigger", None), ("reset", {}), ("limit", {"contracts_limit_fp": "2.50"})):
            answer = await emulator.ask("PUT", f"{PATH}/{group_id}/{step}", body)
            assert (answer.status, answer.json) == (200, {})
        assert (await emulator.get(f"{GROUPS}/{group_id}"))["contracts_limit_fp"] == "2.50"
        answer = await emulator.ask("DELETE", f"{PATH}/{group_id}")
        assert (answer.status, answer.json) == (200, {})
        assert (await emulator.ask("GET", f"{PATH}/{group_id}")).status == 404


async def test_a_group_stops_its_orders(autojump_clock: MockClock) -> None:
    """At its limit the create answers as filled with nothing remaining, and the next one is refused."""
    async with world(AMPLE) as emulator:
        created = await emulator.ask("POST", PATH + "/create", {"contracts_limit_fp": "2.00"})
        group_id = created.json["order_group_id"]
        emulator.trade(A, 2, side=BookSide.ASK, cents=50)
        filled = await emulator.create(count="3.00", order_group_id=group_id)
        assert (filled.json["fill_count"], filled.json["remaining_count"]) == ("2.00", "0.00")
        refused = await emulator.create(order_group_id=group_id)
        assert (refused.status, keys(refused.json["error"])) == (400, {"code", "details", "message"})


async def test_no_group_changes_while_the_exchange_is_stopped(autojump_clock: MockClock) -> None:
    """Reads go on, every change is refused with the exchange's code; a pause of trading refuses none."""
    async with world(AMPLE) as emulator:
        created = await emulator.ask("POST", PATH + "/create", {"contracts_limit": 5})
        one = f"{PATH}/{created.json['order_group_id']}"
        changes: tuple[tuple[str, str, object], ...] = (
            ("POST", PATH + "/create", {"contracts_limit": 5}),
            ("PUT", one + "/trigger", None),
            ("PUT", one + "/reset", {}),
            ("PUT", one + "/limit", {"contracts_limit": 6}),
            ("DELETE", one, None),
        )
        emulator.exchange.stop()
        before = await emulator.get(GROUPS)
        for method, path, body in changes:
            answer = await emulator.ask(method, path, body)
            assert (answer.status, answer.json["error"]["code"]) == (409, "exchange_is_paused")  # type: ignore[index]
        assert await emulator.get(GROUPS) == before
        emulator.exchange.start()
        emulator.exchange.pause_trading()
        assert [(await emulator.ask(*change)).status for change in changes] == [201, 200, 200, 200, 200]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contracts_limit": 0},
        {"contracts_limit": 5, "contracts_limit_fp": "6.00"},
        {"contracts_limit": "5"},
        {"contracts_limit_fp": 5},
        {"contracts_limit": 5, "subaccount": 1},
        {"contracts_limit": 5, "exchange_index": 4},
    ],
)
async def test_groups_that_are_refused(autojump_clock: MockClock, body: dict[str, object]) -> None:
    """Without a limit, with two that differ, of wrong types, for a subaccount or a shard that is not there."""
    async with world(AMPLE) as emulator:
        assert (await emulator.ask("POST", PATH + "/create", body)).status == 400
        assert await emulator.get(GROUPS) == {}


async def test_a_group_is_found_by_its_subaccount_and_shard(autojump_clock: MockClock) -> None:
    """Changes look in the primary subaccount and on shard 0 unless told; lists show all subaccounts."""
    async with world(AMPLE) as emulator:
        emulator.exchange.open_subaccount(emulator.member, 1)
        created = await emulator.ask("POST", PATH + "/create", {"contracts_limit": 5, "subaccount": 1})
        path = f"{PATH}/{created.json['order_group_id']}"
        assert (await emulator.ask("PUT", path + "/reset")).status == 404
        assert (await emulator.ask("PUT", path + "/reset?subaccount=1&exchange_index=1")).status == 404
        assert (await emulator.ask("PUT", path + "/reset?subaccount=1")).status == 200
        for query, status in (("", 200), ("?subaccount=1", 200), ("?subaccount=0", 404)):
            assert (await emulator.ask("GET", path + query)).status == status
        assert keys(await emulator.get(GROUPS)) == {"order_groups"}
        assert await emulator.get(GROUPS + "?subaccount=0") == {}
