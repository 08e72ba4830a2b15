"""An independent asyncio SDK against the emulator, REST and WebSocket, by its public names: what it made of every
answer and frame, as one JSON object on standard output. Run by `test_independent_clients.py` in an interpreter of its
own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from kalshi import AmendOrderV2Request, AsyncKalshiClient, CreateOrderV2Request, KalshiAuth, KalshiConfig
from kalshi.ws import KalshiWebSocket

PATIENCE_S = 20.0


def drop_streams(base_url: str) -> int:
    """Every WebSocket ends without a close frame; how many there were."""
    door = base_url.removesuffix("/trade-api/v2") + "/emulator/streams/drop"
    request = urllib.request.Request(door, b"{}", {"Content-Type": "application/json"}, method="POST")  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the emulator is on loopback
        return int(json.load(answer)["dropped"])


async def until(stream: AsyncIterator[Any], wanted: str, also: str = "") -> Any:
    """The next message of a type; with `also`, the first whose text holds it."""
    async with asyncio.timeout(PATIENCE_S):
        async for message in stream:
            if message.type == wanted and also in str(message):
                return message
    raise AssertionError(f"the stream ended before {wanted}")


async def main() -> None:
    auth = KalshiAuth.from_key_path(os.environ["KALSHI_API_KEY_ID"], os.environ["KALSHI_PRIVATE_KEY_FILE"])
    config = KalshiConfig(base_url=os.environ["KALSHI_REST_URLS"], ws_base_url=os.environ["KALSHI_WS_URLS"])
    told: dict[str, object] = {}
    async with AsyncKalshiClient(auth=auth, config=config) as client:
        ticker = os.environ["KALSHI_MARKETS"].split(",")[0]
        async with KalshiWebSocket(auth=auth, config=config).connect() as session:
            fills, orders = await session.subscribe_fill(), await session.subscribe_user_orders()
            # last: while it waits for an answer to a subscribe, this client drops what comes on its other channels
            books = await session.subscribe_orderbook_delta(tickers=[ticker])
            told["snapshot"] = (await until(books, "orderbook_snapshot")).msg.market_ticker == ticker
            told["delta"] = (await until(books, "orderbook_delta")).msg.market_ticker == ticker
            told |= await trade(client, ticker)
            told["streamed_order"] = (await until(orders, "user_order")).msg.client_order_id
            told["streamed_fill"] = (await until(fills, "fill")).msg.market_ticker == ticker
            told["dropped"] = await asyncio.to_thread(drop_streams, config.base_url)
            told["snapshot_again"] = (await until(books, "orderbook_snapshot")).msg.market_ticker == ticker
            told["delta_again"] = (await until(books, "orderbook_delta")).msg.market_ticker == ticker
    sys.stdout.write(json.dumps(told) + "\n")


async def trade(client: AsyncKalshiClient, ticker: str) -> dict[str, object]:
    def order(number: int, price: str, time_in_force: str) -> CreateOrderV2Request:
        return CreateOrderV2Request(
            ticker=ticker,
            client_order_id=f"independent-{number}",
            side="bid",
            count=Decimal(2),
            price=Decimal(price),
            time_in_force=time_in_force,
            self_trade_prevention_type="taker_at_cross",
        )

    placed = await client.orders.create_v2(request=order(1, "0.01", "good_till_canceled"))
    change = AmendOrderV2Request(ticker=ticker, side="bid", price=Decimal("0.02"), count=Decimal(1))
    amended = await client.orders.amend_v2(placed.order_id, request=change)
    listed = [each async for each in client.orders.list_all(ticker=ticker, status="resting")]
    cancelled = await client.orders.cancel_v2(placed.order_id)
    taken = await client.orders.create_v2(request=order(2, "0.99", "immediate_or_cancel"))
    positions = await client.portfolio.positions()
    return {
        "placed": str(placed.remaining_count),
        "amended": str(amended.remaining_count),
        "listed": [each.client_order_id for each in listed],
        "cancelled": str(cancelled.reduced_by),
        "after": (await client.orders.get(placed.order_id)).status,
        "taken": str(taken.fill_count),
        "positions": [str(each.position) for each in positions.market_positions],
    }


asyncio.run(main())
