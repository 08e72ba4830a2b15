"""Settings as texts: each reaches the field that it names, and what is not allowed says what is."""

from __future__ import annotations

import pytest

from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.setting_text import SettingRefused, exchange_with, parse_setting, server_with
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings


def test_every_setting_reaches_its_field() -> None:
    """Those of the server and those of the exchange side by side; the last of one name holds."""
    texts = ["read_lag_ms=1", "read_lag_ms=360", "command_delay_ms=50", "clock=off", "sending_ts=off", "tier=premier"]
    texts += [
        "scopes=read,write::trade",
        "places_crossing_post_only=on",
        "places_unfillable_fok=on",
        "cancel_all_lasts_ms=60000",
        "archive_after_ms=1000",
        "key_region_ends_s=1795392000",
        "commands_per_s=5",
        "subscription_markets=7",
        "streams=2",
        "subaccounts=3",
        "yes_prices=on",
        "shards=2",
        "balance_grain=0.01",
        "balance_excludes_collateral=off",
    ]
    chosen = [parse_setting(text) for text in texts]
    assert server_with(ServerSettings(), chosen) == ServerSettings(
        read_lag_ms=360,
        command_delay_ms=50,
        send_clock=False,
        send_sending_ts=False,
        limits=RateLimits.of_tier("premier"),
        key_scopes=("read", "write::trade"),
        archive_after_ms=1_000,
        key_region_ends_s=1_795_392_000,
        commands_per_s=5,
        markets_max=7,
        streams_max=2,
        subaccounts=3,
        yes_prices=True,
    )
    assert exchange_with(ExchangeSettings(), chosen) == ExchangeSettings(
        places_crossing_post_only=True,
        places_unfillable_fok=True,
        cancel_all_lasts_ms=60_000,
        exchange_indexes=(0, 1),
        balance_grain=10_000,
        balance_excludes_collateral=False,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lag=1", "with one of read_lag_ms, command_delay_ms"),
        ("read_lag_ms", "whole milliseconds from 0 to 3600000"),
        ("read_lag_ms=-1", "whole milliseconds"),
        ("clock=yes", "allowed: on, off"),
        ("scopes=", "allowed: read, read::portfolio_balance, write"),
        ("scopes=read,trade", "allowed: read, read::portfolio_balance, write"),
        ("scopes=write", "write goes with read"),
        ("shards=0", "whole numbers from 1 to 8"),
        ("subaccounts=64", "whole numbers from 0 to 63"),
        ("balance_grain=0.1", "allowed: 0.0001, 0.01 dollars"),
        ("read_lag_ms=" + "9" * 5_000, "200 characters at most, and this has 5012"),
        ("tier=gold", "allowed: basic, advanced, expert"),
    ],
)
def test_what_is_not_allowed_says_what_is(text: str, words: str) -> None:
    """One line."""
    with pytest.raises(SettingRefused, match=words) as refused:
        parse_setting(text)
    assert "\n" not in str(refused.value)
