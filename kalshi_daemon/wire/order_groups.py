"""Order groups: what is asked of the exchange and what it answers (api.md 4.4).

Rules: limits go as decimal texts, as counts do everywhere. The list is absent where there is no group. What a read
shows of a group does not say whether it was triggered: that is told by its channel, and follows from our own fills.
"""

from __future__ import annotations

from typing import Final

import msgspec
from attrs import frozen

from kalshi_daemon.units import Count
from kalshi_daemon.wire.fixed_point import format_count, parse_count
from kalshi_daemon.wire.reading import Id, Whole, read


@frozen
class GroupRead:
    """One group of the account. `limit`: contracts that may match within fifteen seconds."""

    group_id: str
    exchange_index: int
    limit: Count


class _Limit(msgspec.Struct, frozen=True):
    contracts_limit_fp: str


class _New(msgspec.Struct, frozen=True):
    contracts_limit_fp: str
    exchange_index: int


class _Made(msgspec.Struct, frozen=True):
    order_group_id: Id


class _Group(msgspec.Struct, frozen=True):
    id: Id
    contracts_limit_fp: str
    exchange_index: Whole


class _Groups(msgspec.Struct, frozen=True):
    order_groups: list[_Group] = []


class _Done(msgspec.Struct, frozen=True):
    """An object without anything that is used."""


_encode: Final = msgspec.json.Encoder().encode
_made: Final = msgspec.json.Decoder(_Made)
_groups: Final = msgspec.json.Decoder(_Groups)
_done: Final = msgspec.json.Decoder(_Done)


def encode_group(limit: Count, exchange_index: int) -> bytes:
    assert limit > 0, "a group without a limit would take nothing"
    return _encode(_New(format_count(limit), exchange_index))


def encode_limit(limit: Count) -> bytes:
    assert limit > 0, "a group without a limit would take nothing"
    return _encode(_Limit(format_count(limit)))


def read_made(body: bytes) -> str:
    """The id of the group that was made. Raises `WireError`."""
    return read(_made, body).order_group_id


def read_groups(body: bytes) -> dict[str, GroupRead]:
    """By id. Raises `WireError`."""
    return {
        each.id: GroupRead(each.id, each.exchange_index, parse_count(each.contracts_limit_fp))
        for each in read(_groups, body).order_groups
    }


def read_done(body: bytes) -> None:
    """An answer that says no more than that it was done. Raises `WireError`."""
    read(_done, body)
