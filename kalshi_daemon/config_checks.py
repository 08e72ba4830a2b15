"""What no variable says alone: production, hosts that fit it, and limits that fit each other.

Rules: each check raises a `ConfigurationError` of one line that names the variable, its value and what is allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kalshi_daemon import config_values as values
from kalshi_daemon import limits
from kalshi_daemon.config_values import MARKET
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.hosts import PRODUCTION_DOMAIN, Environment
from kalshi_daemon.units import HOUR_MS, MINUTE_MS, contracts

if TYPE_CHECKING:  # the fields are read from it, and it calls these
    from kalshi_daemon.config import Config

CONFIRMATION: Final = "I trade real money"


def check_together(config: Config) -> None:
    """What no variable says alone: production (risk P24), hosts that fit it, and limits that fit each other."""
    production = config.environment is Environment.PRODUCTION
    if production and config.production_confirmation != CONFIRMATION:
        raise ConfigurationError(
            f"KALSHI_PRODUCTION_CONFIRMATION is empty; with KALSHI_ENVIRONMENT=production allowed: {CONFIRMATION}"
        )
    for name, urls in (("KALSHI_REST_URLS", config.rest_urls), ("KALSHI_WS_URLS", config.ws_urls)):
        for url in urls:
            host = values.host_of(url)
            if production != (host == PRODUCTION_DOMAIN or host.endswith("." + PRODUCTION_DOMAIN)):
                wanted = f"only hosts of {PRODUCTION_DOMAIN}" if production else f"no host of {PRODUCTION_DOMAIN}"
                raise ConfigurationError(
                    f"{name} names the host {host}; with KALSHI_ENVIRONMENT={config.environment} allowed: {wanted}"
                )
    if production and config.policy not in {"onnx", "hold"}:
        raise ConfigurationError(f"KALSHI_POLICY is {config.policy!r}; in production allowed: onnx or hold")
    _check_markets(config)
    size, most = max(config.order_sizes), config.order_count_max
    if size > most:
        raise ConfigurationError(
            f"KALSHI_ORDER_SIZES has a size of {contracts(size)}; "
            f"allowed: up to KALSHI_ORDER_CONTRACTS_MAX, {contracts(most)}"
        )
    if config.open_orders_market_max > config.open_orders_account_max:
        raise ConfigurationError(
            f"KALSHI_OPEN_ORDERS_MARKET_MAX is {config.open_orders_market_max}; "
            f"allowed: up to KALSHI_OPEN_ORDERS_ACCOUNT_MAX, {config.open_orders_account_max}"
        )


def _check_markets(config: Config) -> None:
    """As many selections as can be read, and named markets as may be in."""
    named = sum(each.kind == MARKET for each in config.markets)
    if named > config.markets_max:
        raise ConfigurationError(
            f"KALSHI_MARKETS names {named} markets; allowed: up to KALSHI_MARKETS_MAX, {config.markets_max}"
        )
    wide = len(config.markets) - named
    if wide > limits.SELECTIONS_MAX:
        raise ConfigurationError(f"KALSHI_MARKETS has {wide} events and series; allowed: up to {limits.SELECTIONS_MAX}")
    if config.close_min_ms >= config.close_max_ms:
        raise ConfigurationError(
            f"KALSHI_MARKETS_CLOSE_MINUTES_MIN is {config.close_min_ms // MINUTE_MS}; "
            f"allowed: less than KALSHI_MARKETS_CLOSE_HOURS_MAX, {config.close_max_ms // HOUR_MS} h"
        )
