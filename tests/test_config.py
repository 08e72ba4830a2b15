"""config.py: what an environment gives, and the one line that each mistake gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon import config_values as values
from kalshi_daemon.config import (
    SHIPPED_MODEL,
    VARIABLES,
    Address,
    Selection,
    load,
)
from kalshi_daemon.config_checks import CONFIRMATION
from kalshi_daemon.config_defaults import SERVICE_SOCKET, control_sockets
from kalshi_daemon.errors import EXIT_CONFIGURATION, ConfigurationError
from kalshi_daemon.hosts import REST_URLS, Environment
from kalshi_daemon.units import PRICE_ONE

ROOT = Path(__file__).parent.parent
LEAST = {
    "HOME": "/home/trader",
    "KALSHI_API_KEY_ID": "a952bcbe-ec3b-4b5b-b8f9-11dae589608c",
    "KALSHI_PRIVATE_KEY_FILE": "/etc/keys/trader.pem",
    "KALSHI_MARKETS": "KXA-26, KXB-26-T0.5",
}


def test_the_least_configuration_is_demo_with_every_default() -> None:
    """Four variables suffice, and every other one has the default that .env.example states."""
    config = load(LEAST)
    assert config.environment is Environment.DEMO
    assert [str(each) for each in config.markets] == ["KXA-26", "KXB-26-T0.5"]
    assert (config.markets_max, config.volume_min, config.spread_max) == (1_000, 0, PRICE_ONE)
    assert (config.close_min_ms, config.close_max_ms) == (300_000, 3_600_000_000_000)
    assert config.rest_urls == REST_URLS[Environment.DEMO]
    assert config.ws_urls[0] == "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2"
    assert (config.sockets, config.policy, config.pricing, config.model) == (2, "onnx", "take", SHIPPED_MODEL)
    assert (config.order_sizes, config.order_count_max, config.order_cost_max) == ((500,), 2_500, 50_000_000)
    assert (config.order_cost_bps, config.cash_reserve_bps) == (100, 2_000)
    assert (config.open_orders_market_max, config.open_orders_account_max) == (4, 40)
    assert config.state_dir == Path("/home/trader/.local/state/kalshi-daemon")
    assert config.control_socket == Path("/home/trader/.local/state/kalshi-daemon/control/control.sock")
    assert config.metrics_address == Address("127.0.0.1", 9187)
    assert (config.log_format, config.log_level) == ("auto", "info")


def test_markets_are_tickers_events_and_series() -> None:
    """The three kinds in one list, and filters in the units that their names say."""
    config = load(
        {
            **LEAST,
            "KALSHI_MARKETS": "KXTEMP-26NOV22-T50, event:KXTEMP-26NOV23 ,series:KXRAIN",
            "KALSHI_MARKETS_MAX": "50",
            "KALSHI_MARKETS_VOLUME_MIN": "12.5",
            "KALSHI_MARKETS_SPREAD_CENTS_MAX": "2.5",
            "KALSHI_MARKETS_CLOSE_MINUTES_MIN": "30",
            "KALSHI_MARKETS_CLOSE_HOURS_MAX": "48",
        }
    )
    assert config.markets == (
        Selection("market", "KXTEMP-26NOV22-T50"),
        Selection("event", "KXTEMP-26NOV23"),
        Selection("series", "KXRAIN"),
    )
    assert (config.markets_max, config.volume_min, config.spread_max) == (50, 1_250, 250)
    assert (config.close_min_ms, config.close_max_ms) == (1_800_000, 172_800_000)


def test_systemd_gives_the_directories_and_the_key() -> None:
    """Under the shipped unit only the key's id and the markets are left to say; the first directory is ours."""
    config = load(
        {
            "STATE_DIRECTORY": "/var/lib/kalshi-daemon:/var/lib/other",
            "RUNTIME_DIRECTORY": "/run/kalshi-daemon",
            "CREDENTIALS_DIRECTORY": "/run/credentials/kalshi-daemon.service",
            "KALSHI_API_KEY_ID": "abc",
            "KALSHI_MARKETS": "KXA-26",
        }
    )
    assert config.state_dir == Path("/var/lib/kalshi-daemon")
    assert config.control_socket == SERVICE_SOCKET
    assert config.private_key_file == Path("/run/credentials/kalshi-daemon.service/kalshi-key")


def test_a_state_directory_of_ours_moves_the_socket_too() -> None:
    """The control socket follows KALSHI_STATE_DIR where it has no place of its own."""
    assert load({**LEAST, "KALSHI_STATE_DIR": "/srv/state"}).control_socket == Path("/srv/state/control/control.sock")
    assert control_sockets({"KALSHI_STATE_DIR": "/srv/state"}) == (
        Path("/srv/state/control/control.sock"),
        SERVICE_SOCKET,
    )
    assert control_sockets({"KALSHI_CONTROL_SOCKET": "/run/x.sock", "HOME": "/root"}) == (Path("/run/x.sock"),)
    assert control_sockets({}) == (SERVICE_SOCKET,)


def test_the_emulator_on_loopback_may_be_plain() -> None:
    """http and ws are for loopback; quantities with decimals are read exactly; empty metrics means none."""
    config = load(
        {
            **LEAST,
            "KALSHI_REST_URLS": "http://127.0.0.1:8080/trade-api/v2",
            "KALSHI_WS_URLS": "ws://[::1]:8080/trade-api/ws/v2",
            "KALSHI_ORDER_SIZES": "0.25,5,10",
            "KALSHI_ORDER_COST_MAX": "12.50",
            "KALSHI_CASH_RESERVE_PERCENT": "12.5",
            "KALSHI_METRICS_ADDRESS": "",
        }
    )
    assert config.rest_urls == ("http://127.0.0.1:8080/trade-api/v2",)
    assert config.order_sizes == (25, 500, 1_000)
    assert (config.order_cost_max, config.cash_reserve_bps) == (12_500_000, 1_250)
    assert config.metrics_address is None


MANY_SERIES = ",".join(f"series:KX{number}" for number in range(101))
PRODUCTION = {"ENVIRONMENT": "production", "PRODUCTION_CONFIRMATION": CONFIRMATION}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"SOCKETS": "4"}, "SOCKETS is '4'; allowed: 1, 2 (market data, account) or 3"),
        ({"SOCKETS": ""}, "SOCKETS is empty; allowed:"),
        ({"MARKETS": ""}, "MARKETS is empty"),
        ({"SOCKETS": "\u0662"}, "SOCKETS is '\u0662'; allowed:"),
        ({"SOKETS": "2"}, "SOKETS is not known; the nearest known variable is KALSHI_SOCKETS"),
        ({"FAVOURITE_COLOUR": "2"}, "FAVOURITE_COLOUR is not known; allowed: those of .env.example"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT is 'prod'; allowed: demo or production"),
        ({"MARKETS": "KXA,kxb"}, "MARKETS is 'KXA,kxb' ('kxb' does not read); allowed: up to 3000"),
        ({"MARKETS": "KXA,KXA"}, "MARKETS is 'KXA,KXA' ('KXA' twice); allowed:"),
        ({"MARKETS": ","}, "MARKETS is ',' ('' does not read); allowed:"),
        ({"MARKETS": "evnt:KXA-26"}, "MARKETS is 'evnt:KXA-26' ('evnt:KXA-26': the word before the colon is event or"),
        ({"MARKETS": "series:KXA-26"}, "MARKETS is 'series:KXA-26' ('series:KXA-26': the ticker of a series has no"),
        ({"MARKETS": "event:KXA,event:KXA"}, "MARKETS is 'event:KXA,event:KXA' ('event:KXA' twice); allowed:"),
        ({"MARKETS": "KXA,KXB,series:KXC", "MARKETS_MAX": "1"}, "MARKETS names 2 markets; allowed: up to KALSHI_MA"),
        ({"MARKETS": MANY_SERIES}, "MARKETS has 101 events and series; allowed: up to 100"),
        ({"MARKETS_MAX": "3001"}, "MARKETS_MAX is '3001'; allowed: 1 to 3000"),
        ({"MARKETS_SPREAD_CENTS_MAX": "0"}, "MARKETS_SPREAD_CENTS_MAX is '0'; allowed: 0.01 to 100"),
        ({"MARKETS_VOLUME_MIN": "-1"}, "MARKETS_VOLUME_MIN is '-1'; allowed: 0 to 999999999"),
        ({"MARKETS_CLOSE_MINUTES_MIN": "120", "MARKETS_CLOSE_HOURS_MAX": "2"}, "MARKETS_CLOSE_MINUTES_MIN is 120;"),
        ({"ORDER_SIZES": "30"}, "ORDER_SIZES has a size of 30; allowed: up to KALSHI_ORDER"),
        ({"ORDER_SIZES": "0.125"}, "ORDER_SIZES is '0.125' ('0.125': at most 2 decimals); allowed:"),
        ({"ORDER_COST_MAX": "1000.01"}, "ORDER_COST_MAX is '1000.01'; allowed: 1 to 1000"),
        ({"ORDER_COST_MAX": "1e2"}, "ORDER_COST_MAX is '1e2'; allowed: 1 to 1000"),
        ({"OPEN_ORDERS_MARKET_MAX": "9", "OPEN_ORDERS_ACCOUNT_MAX": "8"}, "OPEN_ORDERS_MARKET_MAX is 9;"),
        ({"REST_URLS": "http://example.com/v2"}, "REST_URLS is 'http://example.com/v2' ('http"),
        ({"REST_URLS": "https://demo-api.kalshi.co/v2/"}, "REST_URLS is 'https://demo-api.kalshi.co/v2/' ("),
        ({"WS_URLS": "https://demo-api.kalshi.co/v2"}, "WS_URLS is 'https://demo-api.kalshi.co/v2' ("),
        ({"WS_URLS": "wss://demo-api.kalshi.co/v2"}, "WS_URLS is 'wss://demo-api.kalshi.co/v2' ('wss://demo-api.kalshi.co/v"),
        ({"REST_URLS": "https://api.elections.kalshi.com/trade-api/v2"}, "REST_URLS names the host api.elections"),
        ({"CONTROL_SOCKET": "/" + "x" * 107}, "CONTROL_SOCKET is '/xxx"),
        ({"STATE_DIR": "state"}, "STATE_DIR is 'state'; allowed: an absolute path"),
        ({"METRICS_ADDRESS": "localhost:9"}, "METRICS_ADDRESS is 'localhost:9' ("),
        ({"METRICS_ADDRESS": "::1:9"}, "METRICS_ADDRESS is '::1:9' (an IPv6 address"),
        ({"POLICY": "random"}, "POLICY is 'random'; allowed: onnx, rules, hold or scripted"),
        ({"LOG_LEVEL": "INFO"}, "LOG_LEVEL is 'INFO'; allowed: debug, info, warning or error"),
        ({"ENVIRONMENT": "production"}, "PRODUCTION_CONFIRMATION is empty;"),
        ({"PRODUCTION_CONFIRMATION": "yes"}, "PRODUCTION_CONFIRMATION is 'yes'; allowed:"),
        ({**PRODUCTION, "REST_URLS": "http://127.0.0.1:1/trade-api/v2"}, "REST_URLS names the host 127.0.0.1; with"),
        ({**PRODUCTION, "WS_URLS": "wss://notkalshi.com/trade-api/ws/v2"}, "WS_URLS names the host notkalshi.com;"),
        ({**PRODUCTION, "POLICY": "rules"}, "POLICY is 'rules'; in production allowed: onnx or hold"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_it(change: dict[str, str], line: str) -> None:
    """Each problem names its variable, its value and what is allowed, on one line, and ends with exit code 78."""
    with pytest.raises(ConfigurationError, match="^KALSHI_" + re.escape(line)) as caught:
        load({**LEAST, **{"KALSHI_" + name: value for name, value in change.items()}})
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value) or "nearest" in str(caught.value)
    assert caught.value.exit_code == EXIT_CONFIGURATION


@pytest.mark.parametrize("name", ["KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_FILE", "KALSHI_MARKETS"])
def test_what_is_required_has_no_default(name: str) -> None:
    """An absent required variable is named, with what it may be."""
    with pytest.raises(ConfigurationError, match=f"^{name} is not set; allowed: "):
        load({other: value for other, value in LEAST.items() if other != name})


def test_without_a_home_the_state_directory_must_be_named() -> None:
    """No place to keep the journal is an error that says so, not a directory invented."""
    with pytest.raises(ConfigurationError, match=r"^KALSHI_STATE_DIR is not set; allowed: an absolute path$"):
        load({name: value for name, value in LEAST.items() if name != "HOME"})


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_key_material_is_never_repeated(name: str) -> None:
    """A key pasted into any variable is refused without appearing in the message."""
    pasted = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHVV\n-----END PRIVATE KEY-----"
    with pytest.raises(ConfigurationError) as caught:
        load({**LEAST, name: pasted})
    assert "MC4CAQ" not in str(caught.value)
    assert name in str(caught.value)


def test_an_unknown_variables_value_and_a_password_in_a_url_are_not_shown() -> None:
    """Somebody who names a variable KALSHI_PRIVATE_KEY, or puts a password into a URL, does not find it in the log."""
    for change in ({"KALSHI_PRIVATE_KEY": "hunter2"}, {"KALSHI_REST_URLS": "https://a:hunter2@demo-api.kalshi.co/v2"}):
        with pytest.raises(ConfigurationError) as caught:
            load({**LEAST, **change})
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(load({**LEAST, "PASSWORD": "hunter2"}))


@given(st.integers(0, 10**9 - 1), st.integers(0, 6))
def test_amounts_are_read_exactly(micro: int, places: int) -> None:
    """Every decimal of up to six places reads as its integer, with no float between."""
    whole, decimals = divmod(micro, 10**6)
    text = f"{whole}.{decimals:06d}"[: len(str(whole)) + 1 + places].rstrip(".")
    expected = micro - micro % 10 ** (6 - places)
    assert values.amount(10**6, 0, 10**15)(text) == expected


def test_env_example_is_in_step() -> None:
    """.env.example holds every variable once, in order, with its default, its unit and what is allowed."""
    blocks = [
        block for block in (ROOT / ".env.example").read_text().split("\n\n") if re.search("^#?KALSHI_", block, re.M)
    ]
    found = [re.fullmatch(r'#?(KALSHI_\w+)="?([^"]*)"?', block.splitlines()[-1]) for block in blocks]
    assert [match[1] for match in found if match] == list(VARIABLES)
    for block, match, variable in zip(blocks, found, VARIABLES.values(), strict=True):
        assert match is not None
        lines = block.splitlines()
        assert f"# Allowed: {variable.allowed}" in lines, variable.name
        assert (f"# Unit: {variable.unit}" in lines) == bool(variable.unit), variable.name
        assert (f"# Default: {variable.derived}" in lines) == bool(variable.derived), variable.name
        assert lines[-1].startswith("#") or match[2] == "", variable.name
        if variable.default is not None:
            assert match[2] == variable.default, variable.name


def test_env_example_reads_back() -> None:
    """Every commented default, taken as it stands, is a valid configuration."""
    text = (ROOT / ".env.example").read_text()
    lines = re.findall(r'^#(KALSHI_\w+)="?([^"\n]*)"?$', text, re.M)
    assert load({**LEAST, **dict(lines)}).markets == load(LEAST).markets
