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
    ]
    chosen = [parse_setting(text) for text in texts]
    assert server_with(ServerSettings(), chosen) == ServerSettings(
        read_lag_ms=360,
        command_delay_ms=50,
        send_clock=False,
        send_sending_ts=False,
        limits=RateLimits.of_tier("premier"),
        key_scopes=("read", "write::trade"),
    )
    assert exchange_with(ExchangeSettings(), chosen) == ExchangeSettings(
        places_crossing_post_only=True, places_unfillable_fok=True, cancel_all_lasts_ms=60_000
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
        ("tier=gold", "allowed: basic, advanced, expert"),
    ],
)
def test_what_is_not_allowed_says_what_is(text: str, words: str) -> None:
    """One line."""
    with pytest.raises(SettingRefused, match=words) as refused:
        parse_setting(text)
    assert "\n" not in str(refused.value)
