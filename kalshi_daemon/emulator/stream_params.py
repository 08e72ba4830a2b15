"""What is read out of a command: its id, its names, its flags. What does not fit raises CommandRefused with its code.

Where the documents do not say what a wrong value is answered, it is code 11 (assumed).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from kalshi_daemon.emulator.channels import MARKETS, SHARDS_MAX, TICKER
from kalshi_daemon.emulator.subscriptions import CommandRefused, Selection, Subscription

Params: TypeAlias = Mapping[str, object]
ID_MAX: Final = 2**63 - 1


def decode(text: str | None) -> dict[str, object]:
    """The command; empty where there is none in the text."""
    try:
        command = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return command if isinstance(command, dict) else {}


def request_id(command: Params) -> int:
    """The id of a command, 0 where it has none."""
    value = command.get("id", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= ID_MAX:
        raise CommandRefused(11)
    return value


def params_of(command: Params) -> Params:
    params = command.get("params")
    if not isinstance(params, dict) or not params:
        raise CommandRefused(2)
    return params


def flag(params: Params, name: str, *, unsaid: bool = False) -> bool:
    value = params.get(name, unsaid)
    if not isinstance(value, bool):
        raise CommandRefused(11)
    return value


def listed(params: Params, name: str, code: int, most: int) -> list[object]:
    """A list that must be there and hold something; `code` where it does not."""
    value = params.get(name)
    if not isinstance(value, list) or not value:
        raise CommandRefused(code)
    if len(value) > most:
        raise CommandRefused(11)
    return value


def one_sid(params: Params) -> object:
    """The subscription that an update is about, as `sid` or as a list of one; both is one too many."""
    sids = params.get("sids", [])
    if not isinstance(sids, list):
        raise CommandRefused(12)
    named = [params["sid"], *sids] if "sid" in params else sids
    if len(named) != 1:
        raise CommandRefused(12)
    return named[0]


def markets(params: Params, channel: str, subscription: Subscription | None = None) -> Selection:
    """The markets that a command names. Ids are for the ticker channel alone, and not beside tickers."""
    tickers = _texts(params, "market_ticker", MARKETS, subscription)
    ids = _texts(params, "market_id", "market_ids", subscription) if channel == TICKER else ()
    if tickers and ids:
        raise CommandRefused(11, subscription)
    return Selection(tickers, ids)


def names(params: Params, parameter: str, subscription: Subscription | None = None) -> Selection:
    """The indices or underlyings that a command names."""
    return Selection(_texts(params, "", parameter, subscription))


def _texts(params: Params, one: str, many: str, subscription: Subscription | None) -> tuple[str, ...]:
    """What is named by one field or the other."""
    single, several = params.get(one), params.get(many)
    values = [] if single is None else [single]
    values += several if isinstance(several, list) else [] if several is None else [several]
    if not all(isinstance(value, str) and value for value in values):
        raise CommandRefused(11, subscription)
    return tuple(str(value) for value in values)


def check_communications(params: Params) -> None:
    """The sharding and the filter of the communications channel."""
    factor, key = params.get("shard_factor"), params.get("shard_key")
    if not (_is_whole(factor) and _is_whole(key)) or params.get("user_filter", "") not in ("", "self"):
        raise CommandRefused(11)
    if factor is None:
        if key is not None:
            raise CommandRefused(20)
        return
    assert isinstance(factor, int)
    if factor <= 0:
        raise CommandRefused(19)
    if factor > SHARDS_MAX:
        raise CommandRefused(22)
    if isinstance(key, int) and not 0 <= key < factor:
        raise CommandRefused(21)


def _is_whole(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
