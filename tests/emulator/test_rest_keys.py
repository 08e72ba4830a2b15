"""Keys and tiers over REST: what a key may do, whose subaccount it is locked to, and how the level is raised."""

from __future__ import annotations

import pytest
from emulator_world import V2, A, Answer, World, keys, order_body, part, rows, world
from trio.testing import MockClock

from kalshi_daemon.emulator.auth import KeyPair
from kalshi_daemon.emulator.keyring import KeyTerms
from kalshi_daemon.emulator.settings import TIERS, RateLimits, ServerSettings
from kalshi_daemon.units import DOLLAR

REST = "/trade-api/v2"


async def ask(emulator: World, key: KeyPair, method: str, target: str, body: object = None) -> Answer:
    """A request signed by another key."""
    headers = emulator.headers(method, target.partition("?")[0], key=key)
    return await emulator.ask(method, target, body, headers=headers, signed=False)


@pytest.mark.parametrize(
    ("scopes", "balance", "orders", "create"),
    [
        (("read", "write"), 200, 200, 201),
        (("read",), 200, 200, 403),
        (("write",), 403, 403, 201),
        (("write::trade",), 403, 403, 201),
        (("write::transfer",), 403, 403, 403),
        (("read::portfolio_balance",), 200, 403, 403),
    ],
)
async def test_a_key_does_what_its_scopes_grant(
    autojump_clock: MockClock, scopes: tuple[str, ...], balance: int, orders: int, create: int
) -> None:
    """A parent grants its children, a child its own group alone; the rest is 403, and nothing is placed."""
    async with world() as emulator:
        key = emulator.server.add_key(emulator.key, KeyTerms(scopes=scopes))
        assert (await ask(emulator, key, "GET", REST + "/portfolio/balance")).status == balance
        assert (await ask(emulator, key, "GET", REST + "/portfolio/orders")).status == orders
        answer = await ask(emulator, key, "POST", V2, order_body(price="0.0100"))
        assert answer.status == create
        assert len(emulator.exchange.orders(emulator.member)) == (create == 201)
        if create == 403:
            assert part(answer.json, "error")["code"] == "forbidden"
        assert (await ask(emulator, key, "GET", REST + "/markets")).status == 200


async def test_a_key_may_be_locked_to_a_subaccount(autojump_clock: MockClock) -> None:
    """Left out, the subaccount is the key's own, in lists too; another one is 403."""
    async with world() as emulator:
        second = emulator.exchange.open_subaccount(emulator.member, 2)
        emulator.exchange.deposit(second, 50 * DOLLAR)
        await emulator.create(price="0.0100")
        key = emulator.server.add_key(emulator.key, KeyTerms("locked", subaccount=2))
        for changes, status in (({}, 201), ({"subaccount": 2}, 201), ({"subaccount": 0}, 403)):
            body = order_body(price="0.0100", **changes)
            assert (await ask(emulator, key, "POST", V2, body)).status == status
        for query, status in (("", 200), ("?subaccount=2", 200), ("?subaccount=0", 403)):
            answer = await ask(emulator, key, "GET", f"{REST}/portfolio/orders{query}")
            assert answer.status == status
            if status == 200:
                assert [order["subaccount_number"] for order in rows(answer.json, "orders")] == [2, 2]
        assert (await ask(emulator, key, "GET", REST + "/portfolio/balance")).json["balance"] == 4_998
        assert (await ask(emulator, key, "DELETE", V2)).status == 204
        resting = rows(await emulator.get("/portfolio/orders?status=resting"), "orders")
        assert [order["subaccount_number"] for order in resting] == [0]


async def test_the_keys_of_a_member(autojump_clock: MockClock) -> None:
    """Every key of the member with its scopes, nobody else's; the region's date only where it is set."""
    for expires_s, names in ((None, {"api_keys"}), (1_900_000_000, {"api_keys", "api_key_region_expiration_ts"})):
        async with world(ServerSettings(key_region_ends_s=expires_s)) as emulator:
            locked = emulator.server.add_key(emulator.key, KeyTerms("watcher", ("read",), subaccount=1))
            emulator.server.join(DOLLAR)
            body = await emulator.get("/api_keys")
            assert keys(body) == names
            assert body["api_keys"] == [
                {"api_key_id": emulator.key.key_id, "name": "emulator", "scopes": ["read", "write"]},
                {"api_key_id": locked.key_id, "name": "watcher", "scopes": ["read"], "subaccount": 1},
            ]


async def test_the_level_is_raised_on_request(autojump_clock: MockClock) -> None:
    """Refused before the first order; then the tier is advanced, its buckets are fuller at once, and it costs 30."""
    upgrade = REST + "/account/api_usage_level/upgrade"
    async with world(ServerSettings(limits=RateLimits.of_tier("basic"))) as emulator:
        refused = await emulator.ask("POST", upgrade)
        assert (refused.status, part(refused.json, "error")["code"]) == (403, "forbidden")
        for _ in range(4):
            assert (await emulator.create(price="0.0100")).status == 201
        assert (await emulator.ask("POST", upgrade)).status == 201
        limits = await emulator.get("/account/limits")
        assert limits == {
            "grants": [
                {"exchange_instance": "event_contract", "expires_ts": None, "level": "advanced", "source": "manual"}
            ],
            "read": {"bucket_capacity": 600, "refill_rate": 300},
            "usage_tier": "advanced",
            "write": {"bucket_capacity": 600, "refill_rate": 300},
        }
        batch = {"orders": [order_body(price="0.0100") for _ in range(60)]}
        assert (await emulator.ask("POST", V2 + "/batched", batch)).status == 201
        batch["orders"].append(order_body())
        assert (await emulator.ask("POST", V2 + "/batched", batch)).status == 400


@pytest.mark.parametrize("tier", sorted(TIERS))
async def test_a_batch_is_as_large_as_the_tier_allows(autojump_clock: MockClock, tier: str) -> None:
    """As many creates as the write bucket pays for, or five times as many cancels; one more is refused."""
    limits = RateLimits.of_tier(tier)
    async with world(ServerSettings(limits=limits)) as emulator:
        most = limits.write_capacity // 2
        for size, status in ((most + 1, 400), (most, 200)):
            gone = {"orders": [{"order_id": "nosuch", "market_ticker": A}] * size}
            assert (await emulator.ask("DELETE", V2 + "/batched", gone)).status == status
        assert (await emulator.ask("DELETE", V2)).status == 429


async def test_the_costs_that_are_shown_are_those_that_are_charged(autojump_clock: MockClock) -> None:
    """What differs from the default: cancels, one order, batches by the item, the upgrade; no bucket of its own."""
    async with world() as emulator:
        body = await emulator.get("/account/endpoint_costs", signed=False)
        costs = {(str(row["method"]), str(row["path"])): row["cost"] for row in rows(body, "endpoint_costs")}
        assert costs == {
            ("DELETE", V2): 2,
            ("DELETE", V2 + "/:order_id"): 2,
            ("DELETE", V2 + "/batched"): 2,
            ("GET", REST + "/portfolio/orders/:order_id"): 2,
            ("POST", REST + "/account/api_usage_level/upgrade"): 30,
        }
