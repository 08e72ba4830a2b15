"""The exchange's two environments, and the hosts of each (api.md section 1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Environment(StrEnum):
    DEMO = "demo"
    PRODUCTION = "production"


# The exchange's hosts, dedicated first, shared second: a dial walks them in this order.
PATH_PREFIX: Final = "/trade-api/"  # of every path at the exchange; signatures cover it
REST_URLS: Final = {
    Environment.DEMO: (
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "https://demo-api.kalshi.co/trade-api/v2",
    ),
    Environment.PRODUCTION: (
        "https://external-api.kalshi.com/trade-api/v2",
        "https://api.elections.kalshi.com/trade-api/v2",
    ),
}
WS_URLS: Final = {
    Environment.DEMO: (
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
        "wss://demo-api.kalshi.co/trade-api/ws/v2",
    ),
    Environment.PRODUCTION: (
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
        "wss://api.elections.kalshi.com/trade-api/ws/v2",
    ),
}
PRODUCTION_DOMAIN: Final = "kalshi.com"
