"""Settings of the emulator as texts, for `--set NAME=VALUE`: those that the author of a client's script may want.

Rule: a name or a value that is not allowed is refused in one line, which says what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from attrs import evolve

from kalshi_daemon.emulator.bounds import (
    FAULT_TEXT_MAX,
    MEMBER_STREAMS_MAX,
    STREAM_COMMANDS_PER_S,
    SUBACCOUNTS_MAX,
    SUBSCRIPTION_MARKETS_MAX,
)
from kalshi_daemon.emulator.keyring import READ, SCOPES, TRADE, WRITE
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.settings import TIERS, RateLimits, ServerSettings
from kalshi_daemon.units import CENT, FEE_GRAIN, Money

LAG_MAX_MS: Final = 3_600_000  # an hour: what is longer is no lag
SHARDS_MAX: Final = 8
SECONDS_MAX: Final = 253_402_300_799  # the last second of the year 9999
SWITCH: Final = {"on": True, "off": False}
Value: TypeAlias = Any  # of whichever type its field has
Setting: TypeAlias = tuple[str, Value]
Read: TypeAlias = Callable[[str, str], Value]


class SettingRefused(ValueError):
    """The message is one line for whoever wrote the setting."""


def _milliseconds(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= LAG_MAX_MS):
        raise SettingRefused(f"{name}={text}: allowed: whole milliseconds from 0 to {LAG_MAX_MS}")
    return int(text)


def _whole(least: int, most: int) -> Read:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise SettingRefused(f"{name}={text}: allowed: whole numbers from {least} to {most}")
        return int(text)

    return read


def _shards(name: str, text: str) -> tuple[int, ...]:
    return tuple(range(_whole(1, SHARDS_MAX)(name, text)))


def _grain(name: str, text: str) -> Money:
    grains = {"0.0001": FEE_GRAIN, "0.01": CENT}
    if text not in grains:
        raise SettingRefused(f"{name}={text}: allowed: {', '.join(grains)} dollars")
    return grains[text]


def _switch(name: str, text: str) -> bool:
    if text not in SWITCH:
        raise SettingRefused(f"{name}={text}: allowed: on, off")
    return SWITCH[text]


def _tier(name: str, text: str) -> RateLimits:
    if text not in TIERS:
        raise SettingRefused(f"{name}={text}: allowed: {', '.join(TIERS)}")
    return RateLimits.of_tier(text)


def _scopes(name: str, text: str) -> tuple[str, ...]:
    """The broad scope to write is granted with the one to read only, as at the exchange."""
    scopes = tuple(dict.fromkeys(text.split(",")))
    if not SCOPES.issuperset(scopes):
        raise SettingRefused(f"{name}={text}: allowed: {', '.join(sorted(SCOPES))}, with commas between them")
    if WRITE in scopes and READ not in scopes:
        raise SettingRefused(f"{name}={text}: {WRITE} goes with {READ}, or take {TRADE} alone")
    return scopes


SERVER: Final[dict[str, tuple[str, Read]]] = {  # the field of ServerSettings, and how its text is read
    "read_lag_ms": ("read_lag_ms", _milliseconds),
    "command_delay_ms": ("command_delay_ms", _milliseconds),
    "clock": ("send_clock", _switch),
    "sending_ts": ("send_sending_ts", _switch),
    "yes_prices": ("yes_prices", _switch),
    "tier": ("limits", _tier),
    "scopes": ("key_scopes", _scopes),
    "archive_after_ms": ("archive_after_ms", _milliseconds),
    "key_region_ends_s": ("key_region_ends_s", _whole(0, SECONDS_MAX)),
    "commands_per_s": ("commands_per_s", _whole(1, STREAM_COMMANDS_PER_S)),
    "subscription_markets": ("markets_max", _whole(1, SUBSCRIPTION_MARKETS_MAX)),
    "streams": ("streams_max", _whole(1, MEMBER_STREAMS_MAX)),
    "subaccounts": ("subaccounts", _whole(0, SUBACCOUNTS_MAX)),
}
EXCHANGE: Final[dict[str, tuple[str, Read]]] = {  # of ExchangeSettings
    "places_crossing_post_only": ("places_crossing_post_only", _switch),
    "places_unfillable_fok": ("places_unfillable_fok", _switch),
    "cancel_all_lasts_ms": ("cancel_all_lasts_ms", _milliseconds),
    "shards": ("exchange_indexes", _shards),
    "balance_grain": ("balance_grain", _grain),
    "balance_excludes_collateral": ("balance_excludes_collateral", _switch),
}


def parse_setting(text: str) -> Setting:
    """The name and the value of `NAME=VALUE`. Raises SettingRefused."""
    if len(text) > FAULT_TEXT_MAX:
        raise SettingRefused(f"a setting has {FAULT_TEXT_MAX} characters at most, and this has {len(text)}")
    name, _, value = text.partition("=")
    known = {**SERVER, **EXCHANGE}
    if name not in known:
        raise SettingRefused(f"{text!r} is no setting: allowed: NAME=VALUE with one of {', '.join(known)}")
    return name, known[name][1](name, value)


def server_with(settings: ServerSettings, chosen: Iterable[Setting]) -> ServerSettings:
    return evolve(settings, **{SERVER[name][0]: value for name, value in chosen if name in SERVER})


def exchange_with(settings: ExchangeSettings, chosen: Iterable[Setting]) -> ExchangeSettings:
    return evolve(settings, **{EXCHANGE[name][0]: value for name, value in chosen if name in EXCHANGE})
