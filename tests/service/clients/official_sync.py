"""The exchange's own generated Python SDK against the emulator, by its public names: what it made of every answer, as
one JSON object on standard output. Run by `test_independent_clients.py` in an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from kalshi_python_sync import Configuration, KalshiClient
from kalshi_python_sync.api.market_api import MarketApi
from kalshi_python_sync.api.orders_api import OrdersApi
from kalshi_python_sync.api.portfolio_api import PortfolioApi
from kalshi_python_sync.exceptions import ApiException


def main() -> None:
    configuration = Configuration(host=os.environ["KALSHI_REST_URLS"])
    configuration.api_key_id = os.environ["KALSHI_API_KEY_ID"]
    configuration.private_key_pem = Path(os.environ["KALSHI_PRIVATE_KEY_FILE"]).read_text()
    client = KalshiClient(configuration)
    orders, portfolio = OrdersApi(client), PortfolioApi(client)
    market = MarketApi(client).get_markets(limit=1).markets[0]
    terms = {
        "ticker": market.ticker,
        "side": "bid",
        "count": "3.00",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    placed = orders.create_order_v2(client_order_id="official-1", price="0.0100", **terms)
    amended = orders.amend_order_v2(placed.order_id, ticker=market.ticker, side="bid", price="0.0200", count="2.00")
    listed = orders.get_orders(ticker=market.ticker, status="resting").orders
    cancelled = orders.cancel_order_v2(placed.order_id)
    taken = orders.create_order_v2(
        client_order_id="official-2",
        price="0.9900",
        **{**terms, "time_in_force": "immediate_or_cancel", "count": "1.00"},
    )
    try:
        orders.create_order_v2(client_order_id="official-2", price="0.0100", **terms)
        refused = 0
    except ApiException as error:
        refused = error.status
    told = {
        "placed": [str(placed.fill_count), str(placed.remaining_count)],
        "amended": str(amended.remaining_count),
        "listed": [
            [each.client_order_id, str(each.yes_price_dollars), str(each.remaining_count_fp)] for each in listed
        ],
        "cancelled": [cancelled.order_id == placed.order_id, str(cancelled.reduced_by)],
        "after": orders.get_order(placed.order_id).order.status,
        "taken": str(taken.fill_count),
        "refused": refused,
        "fills": [[each.ticker == market.ticker, str(each.count_fp)] for each in portfolio.get_fills().fills],
        "positions": [str(each.position_fp) for each in portfolio.get_positions().market_positions],
        "balance_is_less": portfolio.get_balance().balance < 500_000,
    }
    sys.stdout.write(json.dumps(told) + "\n")


main()
