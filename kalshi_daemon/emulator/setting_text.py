"""Settings of the emulator as texts, for `--set NAME=VALUE`: those that the author of a client's script may want.

Rule: a name or a value that is not allowed is refused in one line, which says what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from attrs import evolve

from kalshi_daemon.emulator.keyring import READ, SCOPES, TRADE, WRITE
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.settings import TIERS, RateLimits, ServerSettings

LAG_MAX_MS: Final = 3_600_000  # an hour: what is longer is no lag
SWITCH: Final = {"on": True, "off": False}
Value: TypeAlias = Any  # of whichever type its field has
Setting: TypeAlias = tuple[str, Value]


class SettingRefused(ValueError):
    """The message is one line for whoever wrote the setting."""


def _milliseconds(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= LAG_MAX_MS):
        raise SettingRefused(f"{name}={text}: allowed: whole milliseconds from 0 to {LAG_MAX_MS}")
    return int(text)


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


Read: TypeAlias = Callable[[str, str], Value]
SERVER: Final[dict[str, tuple[str, Read]]] = {  # the field of ServerSettings, and how its text is read
    "read_lag_ms": ("read_lag_ms", _milliseconds),
    "command_delay_ms": ("command_delay_ms", _milliseconds),
    "clock": ("send_clock", _switch),
    "sending_ts": ("send_sending_ts", _switch),
    "tier": ("limits", _tier),
    "scopes": ("key_scopes", _scopes),
}
EXCHANGE: Final[dict[str, tuple[str, Read]]] = {  # of ExchangeSettings
    "places_crossing_post_only": ("places_crossing_post_only", _switch),
    "places_unfillable_fok": ("places_unfillable_fok", _switch),
    "cancel_all_lasts_ms": ("cancel_all_lasts_ms", _milliseconds),
}


def parse_setting(text: str) -> Setting:
    """The name and the value of `NAME=VALUE`. Raises SettingRefused."""
    name, _, value = text.partition("=")
    known = {**SERVER, **EXCHANGE}
    if name not in known:
        raise SettingRefused(f"{text!r} is no setting: allowed: NAME=VALUE with one of {', '.join(known)}")
    return name, known[name][1](name, value)


def server_with(settings: ServerSettings, chosen: Iterable[Setting]) -> ServerSettings:
    return evolve(settings, **{SERVER[name][0]: value for name, value in chosen if name in SERVER})


def exchange_with(settings: ExchangeSettings, chosen: Iterable[Setting]) -> ExchangeSettings:
    return evolve(settings, **{EXCHANGE[name][0]: value for name, value in chosen if name in EXCHANGE})
