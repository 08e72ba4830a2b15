"""The configuration: every `KALSHI_*` variable, read once into one frozen value.

Rules: `load` takes a mapping and touches nothing else. The first problem found is a `ConfigurationError` of one line
that names the variable, its value (never a secret's) and what is allowed. A variable that is not known is an error,
since a misspelt limit would silently be its default. Every limit has a hard cap in `limits.py`. Quantities are integers
of `units.py`: no float is read here. `.env.example` shows the same variables, and a test keeps the two in step.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import environ
from attrs import frozen

from kalshi_daemon import config_values as values
from kalshi_daemon import limits
from kalshi_daemon.config_checks import CONFIRMATION, check_together
from kalshi_daemon.config_defaults import CREDENTIAL, derived_defaults
from kalshi_daemon.config_values import Address, Selection
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.hosts import REST_URLS, WS_URLS, Environment
from kalshi_daemon.units import (
    CONTRACT,
    DOLLAR,
    HOUR_MS,
    MINUTE_MS,
    PRICE_CENT,
    PRICE_ONE,
    SECOND_MS,
    Count,
    Milliseconds,
    Money,
    Price,
)

PREFIX: Final = "KALSHI_"
SHIPPED_MODEL: Final = Path(__file__).parent / "policy" / "policy.onnx"
PERCENT_BPS: Final = 100


@frozen
class Variable:
    """One variable: `default` is its text, `derived` says in words where an absent one comes from; `read` raises
    ConfigurationError.
    """

    name: str
    allowed: str
    unit: str
    default: str | None
    derived: str
    secret: bool
    read: Callable[[str], Any]

    def value(self, variables: Mapping[str, str]) -> Any:
        """What an environment says of this one alone, whatever the others are. Raises ConfigurationError."""
        text = variables.get(self.name, self.default)
        if text is None:
            raise ConfigurationError(f"{self.name} is not set; allowed: {self.allowed}")
        return self.read(text)


VARIABLES: dict[str, Variable] = {}  # by name, in the order of the fields of Config; filled by `_setting` alone

T = TypeVar("T")


def _setting(
    name: str,
    read: Callable[[str], T],
    allowed: str,
    *,
    unit: str = "",
    default: str | None = None,
    derived: str = "",
    secret: bool = False,
) -> Any:
    """A field of Config. `read` raises ValueError for what is not allowed; a message of its own names the part."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as problem:
            shown = (
                "a value that is not shown" if secret or values.looks_secret(text) else repr(text) if text else "empty"
            )
            reason = f" ({problem})" if str(problem) else ""
            message = f"{PREFIX}{name} is {shown}{reason}; allowed: {allowed}"
            raise ConfigurationError(message) from None

    variable = VARIABLES[PREFIX + name] = Variable(PREFIX + name, allowed, unit, default, derived, secret, convert)
    return environ.var(default=default, name=variable.name, converter=convert, help=allowed)


@environ.config(prefix="KALSHI", frozen=True)
class Config:
    """One process's configuration. Counts, money and shares are in the units of `units.py` (bps: 1/10,000)."""

    environment: Environment = _setting(
        "ENVIRONMENT",
        lambda text: Environment(values.one_of(*Environment)(text)),
        "demo or production",
        default="demo",
    )
    production_confirmation: str = _setting(
        "PRODUCTION_CONFIRMATION",
        values.one_of("", CONFIRMATION),
        f"empty, or for production exactly: {CONFIRMATION}",
        default="",
    )
    api_key_id: str = _setting(
        "API_KEY_ID", values.key_id, "the id of the API key, as the exchange shows it", secret=True
    )
    private_key_file: Path = _setting(
        "PRIVATE_KEY_FILE",
        values.absolute_path,
        "the absolute path of the private key file (PEM), not the key itself",
        derived=f"the systemd credential {CREDENTIAL}, where there is one; otherwise required",
    )
    markets: tuple[Selection, ...] = _setting(
        "MARKETS",
        values.distinct(values.selection, most=limits.MARKETS_MAX + limits.SELECTIONS_MAX),
        f"up to {limits.MARKETS_MAX} tickers of markets and {limits.SELECTIONS_MAX} of event:TICKER or series:TICKER, "
        "separated by commas, each once",
    )
    markets_max: int = _setting(
        "MARKETS_MAX",
        values.whole(1, limits.MARKETS_MAX),
        f"1 to {limits.MARKETS_MAX}",
        unit="markets at a time",
        default=str(limits.MARKETS_DEFAULT),
    )
    volume_min: Count = _setting(
        "MARKETS_VOLUME_MIN",
        values.amount(CONTRACT, 0, 999_999_999 * CONTRACT),
        "0 to 999999999",
        unit="contracts traded in the last 24 hours",
        default="0",
    )
    spread_max: Price = _setting(
        "MARKETS_SPREAD_CENTS_MAX",
        values.amount(PRICE_CENT, 1, PRICE_ONE),
        "0.01 to 100",
        unit="cents between the best bid and the best ask",
        default="100",
    )
    close_min_ms: Milliseconds = _setting(
        "MARKETS_CLOSE_MINUTES_MIN",
        lambda text: values.whole(0, limits.CLOSE_HOURS_CAP)(text) * MINUTE_MS,
        f"0 to {limits.CLOSE_HOURS_CAP}",
        unit="minutes from now to the closing, at least",
        default="5",
    )
    close_max_ms: Milliseconds = _setting(
        "MARKETS_CLOSE_HOURS_MAX",
        lambda text: values.whole(1, limits.CLOSE_HOURS_CAP)(text) * HOUR_MS,
        f"1 to {limits.CLOSE_HOURS_CAP}",
        unit="hours from now to the closing, at most",
        default=str(limits.CLOSE_HOURS_CAP),
    )
    rest_urls: tuple[str, ...] = _setting(
        "REST_URLS",
        values.distinct(values.url("https", "http"), most=len(REST_URLS)),
        "one or two https URLs ending in the API's path; http on loopback only",
        derived="the exchange's hosts of KALSHI_ENVIRONMENT",
    )
    ws_urls: tuple[str, ...] = _setting(
        "WS_URLS",
        values.distinct(values.url("wss", "ws"), most=len(WS_URLS)),
        "one or two wss URLs; ws on loopback only",
        derived="the exchange's hosts of KALSHI_ENVIRONMENT",
    )
    sockets: int = _setting(
        "SOCKETS",
        values.whole(1, limits.SOCKETS_MAX),
        "1, 2 (market data, account) or 3 (order books, fills, positions)",
        unit="sockets that carry the feeds",
        default="2",
    )
    socket_markets: int = _setting(
        "SOCKET_MARKETS",
        values.whole(limits.SOCKET_MARKETS_LEAST, limits.SOCKET_MARKETS_MOST),
        f"{limits.SOCKET_MARKETS_LEAST} to {limits.SOCKET_MARKETS_MOST}",
        unit="markets that one socket carries; further ones have sockets of their own",
        default=str(limits.SOCKET_MARKETS),
    )
    policy: str = _setting(
        "POLICY",
        values.one_of("onnx", "rules", "hold", "scripted"),
        "onnx, rules, hold or scripted; in production onnx or hold",
        default="onnx",
    )
    script: tuple[int, ...] = _setting(
        "SCRIPT",
        values.script(limits.SCRIPT_MAX),
        f"up to {limits.SCRIPT_MAX} numbers of actions from 0, separated by commas, or empty",
        default="",
    )
    strict_observations: bool = _setting(
        "STRICT_OBSERVATIONS",
        lambda text: values.one_of("on", "off")(text) == "on",
        "on or off",
        default="off",
    )
    model: Path = _setting(
        "MODEL",
        lambda text: SHIPPED_MODEL if text == "shipped" else values.absolute_path(text),
        "shipped, or the absolute path of an ONNX file",
        default="shipped",
    )
    pricing: str = _setting(
        "PRICING",
        values.one_of("take", "join", "improve", "mid"),
        "take, join, improve or mid",
        default="take",
    )
    order_sizes: tuple[Count, ...] = _setting(
        "ORDER_SIZES",
        values.distinct(values.amount(CONTRACT, 1, limits.ORDER_COUNT_CAP), most=limits.ORDER_SIZES_MAX),
        f"1 to {limits.ORDER_SIZES_MAX} sizes, separated by commas, each once, none over KALSHI_ORDER_CONTRACTS_MAX",
        unit="contracts",
        default="5",
    )
    order_age_ms: Milliseconds = _setting(
        "ORDER_AGE",
        lambda text: values.whole(1, limits.ORDER_LIFE_S)(text) * SECOND_MS,
        f"1 to {limits.ORDER_LIFE_S}",
        unit="seconds that an order of the policy may rest",
        default=str(limits.ORDER_AGE_S),
    )
    order_count_max: Count = _setting(
        "ORDER_CONTRACTS_MAX",
        values.amount(CONTRACT, 1, limits.ORDER_COUNT_CAP),
        f"0.01 to {limits.ORDER_COUNT_CAP // CONTRACT}",
        unit="contracts per order",
        default=str(limits.ORDER_COUNT_MAX // CONTRACT),
    )
    order_cost_max: Money = _setting(
        "ORDER_COST_MAX",
        values.amount(DOLLAR, DOLLAR, limits.ORDER_COST_CAP),
        f"1 to {limits.ORDER_COST_CAP // DOLLAR}",
        unit="dollars per order, worst fee included",
        default=str(limits.ORDER_COST_MAX // DOLLAR),
    )
    order_cost_bps: int = _setting(
        "ORDER_COST_PERCENT",
        values.amount(PERCENT_BPS, 1, limits.ORDER_COST_BPS_CAP),
        f"0.01 to {limits.ORDER_COST_BPS_CAP // PERCENT_BPS}",
        unit="percent of the bankroll per order",
        default=str(limits.ORDER_COST_BPS // PERCENT_BPS),
    )
    cash_reserve_bps: int = _setting(
        "CASH_RESERVE_PERCENT",
        values.amount(PERCENT_BPS, 0, 100 * PERCENT_BPS),
        "0 to 100",
        unit="percent of the bankroll that no increase may touch",
        default=str(limits.CASH_RESERVE_BPS // PERCENT_BPS),
    )
    open_orders_market_max: int = _setting(
        "OPEN_ORDERS_MARKET_MAX",
        values.whole(1, limits.OPEN_ORDERS_MARKET_CAP),
        f"1 to {limits.OPEN_ORDERS_MARKET_CAP}",
        unit="orders",
        default=str(limits.OPEN_ORDERS_MARKET_MAX),
    )
    open_orders_account_max: int = _setting(
        "OPEN_ORDERS_ACCOUNT_MAX",
        values.whole(1, limits.OPEN_ORDERS_ACCOUNT_CAP),
        f"1 to {limits.OPEN_ORDERS_ACCOUNT_CAP}",
        unit="orders",
        default=str(limits.OPEN_ORDERS_ACCOUNT_MAX),
    )
    state_dir: Path = _setting(
        "STATE_DIR",
        values.absolute_path,
        "an absolute path",
        derived="$STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/kalshi-daemon, else ~/.local/state/kalshi-daemon",
    )
    journal_bytes_max: int = _setting(
        "JOURNAL_MAX_MB",
        lambda text: values.whole(1, limits.JOURNAL_MAX_MB_CAP)(text) * limits.JOURNAL_MB,
        f"1 to {limits.JOURNAL_MAX_MB_CAP}",
        unit="megabytes of the journal, over which a start puts it aside",
        default=str(limits.JOURNAL_MAX_MB),
    )
    journals_kept: int = _setting(
        "JOURNALS_KEPT",
        values.whole(1, limits.JOURNALS_KEPT_CAP),
        f"1 to {limits.JOURNALS_KEPT_CAP}",
        unit="journals put aside that are kept, the newest",
        default=str(limits.JOURNALS_KEPT),
    )
    recording_dir: Path | None = _setting(
        "RECORDING_DIR",
        lambda text: values.absolute_path(text) if text else None,
        "an absolute path, or empty for no recording",
        default="",
    )
    recording_bytes_max: int = _setting(
        "RECORDING_MAX_GB",
        lambda text: values.whole(1, limits.RECORDING_MAX_GB_CAP)(text) * limits.RECORDING_GB,
        f"1 to {limits.RECORDING_MAX_GB_CAP}",
        unit="gigabytes of recordings, of which the oldest make room",
        default=str(limits.RECORDING_MAX_GB),
    )
    control_socket: Path = _setting(
        "CONTROL_SOCKET",
        values.short_path(limits.CONTROL_PATH_MAX),
        f"an absolute path of at most {limits.CONTROL_PATH_MAX} bytes",
        derived="control.sock in $RUNTIME_DIRECTORY (systemd), else in control/ of KALSHI_STATE_DIR",
    )
    metrics_address: Address | None = _setting(
        "METRICS_ADDRESS",
        values.optional_address,
        "ADDRESS:PORT with a numeric address, or empty for no metrics",
        default="127.0.0.1:9187",
    )
    log_format: str = _setting(
        "LOG_FORMAT",
        values.one_of("auto", "text", "json"),
        "auto (json when standard error is the journal), text or json",
        default="auto",
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        values.one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        default="info",
    )


def load(variables: Mapping[str, str]) -> Config:
    """The configuration that an environment asks for. Raises ConfigurationError for the first problem."""
    given = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    for name in sorted(given.keys() - VARIABLES.keys()):
        nearest = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=limits.NAMES_ALIKE)
        hint = f"the nearest known variable is {nearest[0]}" if nearest else "allowed: those of .env.example"
        raise ConfigurationError(f"{name} is not known; {hint}")
    complete = {**derived_defaults(variables), **given}
    for variable in VARIABLES.values():
        if variable.default is None and variable.name not in complete:
            raise ConfigurationError(f"{variable.name} is not set; allowed: {variable.allowed}")
    config = environ.to_config(Config, complete)
    check_together(config)
    return config
