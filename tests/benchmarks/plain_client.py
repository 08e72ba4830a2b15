"""What the whole daemon is held against: a client that reads frames into dicts and orders at once on a large change.

Nothing is checked, remembered or written: `json.loads`, one connection, a signature by the same key. A process of its
own: `plain_client.py PORT KEY_ID KEY_FILE CONTRACTS TICKERS`; a change of a bid by so many contracts is answered with
an order. It prints the number of frames each second.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
import trio
import trio_websocket

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]  # run as a file

from kalshi_daemon.shell.clock import SystemClock  # noqa: E402 - the path comes first
from kalshi_daemon.shell.signer import Signer, load_signer  # noqa: E402

ORDERS = "/trade-api/v2/portfolio/events/orders"
STREAM = "/trade-api/ws/v2"


class Plain:
    def __init__(self, port: int, signer: Signer, contracts: float, tickers: list[str]) -> None:
        self._at = f"127.0.0.1:{port}"
        self._signer = signer
        self._contracts = contracts
        self._tickers = tickers
        self._books: dict[str, dict[str, dict[str, float]]] = {}
        self._clock = SystemClock()
        self._ordered = 0
        self._frames = 0

    async def run(self) -> None:
        headers = self._signer.headers("GET", STREAM, self._clock.now_ms())
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with (
            httpx.AsyncClient() as client,
            trio_websocket.open_websocket_url(f"ws://{self._at}{STREAM}", extra_headers=pairs) as socket,
            trio.open_nursery() as nursery,
        ):
            params = {"channels": ["orderbook_delta", "trade"], "market_tickers": self._tickers}
            await socket.send_message(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            nursery.start_soon(self._tell)
            while True:
                await self._take(json.loads(await socket.get_message()), client)

    async def _tell(self) -> None:
        while True:
            sys.stdout.write(f"{self._frames} {len(self._books)}\n")
            sys.stdout.flush()
            await trio.sleep(1)

    async def _take(self, frame: dict[str, object], client: httpx.AsyncClient) -> None:
        self._frames += 1
        msg = frame["msg"]
        assert isinstance(msg, dict)
        if frame["type"] == "orderbook_snapshot":
            self._books[msg["market_ticker"]] = {
                side: {price: float(count) for price, count in msg.get(f"{side}_dollars_fp", ())}
                for side in ("yes", "no")
            }
        elif frame["type"] == "orderbook_delta":
            levels = self._books[msg["market_ticker"]][msg["side"]]
            change = float(msg["delta_fp"])
            levels[msg["price_dollars"]] = levels.get(msg["price_dollars"], 0.0) + change
            if change >= self._contracts:
                await self._order(msg["market_ticker"], msg["side"], client)

    async def _order(self, ticker: str, side: str, client: httpx.AsyncClient) -> None:
        self._ordered += 1
        against = self._books[ticker]["no" if side == "yes" else "yes"]
        best = max(float(price) for price, count in against.items() if count > 0)
        body = {
            "ticker": ticker,
            "client_order_id": f"plain-{self._ordered}",
            "side": "bid" if side == "yes" else "ask",
            "count": "5.00",
            "price": f"{1 - best if side == 'yes' else best:.4f}",
            "time_in_force": "immediate_or_cancel",
            "self_trade_prevention_type": "taker_at_cross",
        }
        headers = self._signer.headers("POST", ORDERS, self._clock.now_ms())
        answer = await client.post(f"http://{self._at}{ORDERS}", json=body, headers=headers)
        answer.raise_for_status()


if __name__ == "__main__":
    port, key_id, key_file, contracts, tickers = sys.argv[1:]
    trio.run(Plain(int(port), load_signer(key_id, key_file), float(contracts), tickers.split(",")).run)
