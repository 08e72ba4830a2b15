"""The whole emulator over real loopback sockets, with the clients that the daemon uses."""

from __future__ import annotations

from functools import partial

import httpx
from emulator_world import V2, A, order_body, world
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from kalshi_daemon.emulator.bounds import EMULATOR_CONNECTIONS_MAX
from kalshi_daemon.emulator.server import run_emulator


async def test_a_real_client_trades_over_a_real_socket() -> None:
    """httpx places, reads and cancels an order over loopback, on one kept connection."""
    async with world() as emulator:
        port = await emulator.nursery.start(partial(run_emulator, "127.0.0.1", 0, emulator.server))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            headers = emulator.headers("POST", V2)
            created = await client.post(V2, json=order_body(), headers=headers)
            assert created.status_code == 201
            order_id = created.json()["order_id"]
            path = "/trade-api/v2/portfolio/orders"
            listed = await client.get(path, headers=emulator.headers("GET", path), params={"status": "resting"})
            assert [order["order_id"] for order in listed.json()["orders"]] == [order_id]
            one = f"{V2}/{order_id}"
            gone = await client.delete(one, headers=emulator.headers("DELETE", one), params={"market_ticker": A})
            assert gone.json()["reduced_by"] == "1.00"
            assert emulator.server.connections == 1


async def test_one_connection_too_many_is_closed(autojump_clock: MockClock) -> None:
    """The limit's connections are served; the next one ends at once, and once one has gone there is room again."""
    async with world() as emulator:
        ours = [memory_stream_pair() for _ in range(EMULATOR_CONNECTIONS_MAX + 1)]
        for _client, server in ours[:-1]:
            emulator.nursery.start_soon(emulator.server.handle, server)
        await wait_all_tasks_blocked()
        late, server = ours[-1]
        await emulator.server.handle(server)
        assert await late.receive_some() == b""
        await ours[0][0].aclose()
        await wait_all_tasks_blocked()
        assert (await emulator.ask("GET", "/trade-api/v2/exchange/status")).status == 200
