"""The facts of the journal by kind, the version in which they are written, and how those of older versions are read.

Rules: a field that is added has a default, and a kind that is added is unknown to older programs only: neither raises
SCHEMA. What gives a field another name, type or meaning does; then UPGRADES says for each kind that it concerns how the
fields of one version become those of the next. What is stored is never rewritten: its checksums are a chain.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from kalshi_daemon.facts import AccountFact

Fields: TypeAlias = dict[str, Any]

SCHEMA: Final = 1
KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in typing.get_args(AccountFact)}
# (the version that wrote it, its kind): its fields, as the next version writes them
UPGRADES: Final[Mapping[tuple[int, str], Callable[[Fields], Fields]]] = MappingProxyType({})

_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()
}
_encode: Final = msgspec.json.Encoder().encode


class Unreadable(Exception):
    """What a person is told of a fact that this version does not read."""


def write_fact(fact: AccountFact) -> tuple[str, bytes]:
    """Its kind and its body."""
    kind = type(fact).__name__
    assert kind in KINDS, f"{kind} is not a fact of the account"
    return kind, _encode(fact)


def read_fact(kind: str, body: bytes, schema: int) -> AccountFact:
    """Raises Unreadable."""
    if not 1 <= schema <= SCHEMA:
        raise Unreadable(f"has schema {schema}, this version reads 1 to {SCHEMA}: start the version that wrote it")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise Unreadable("is of an unknown kind: start the version that wrote it")
    upgrades = [UPGRADES[at, kind] for at in range(schema, SCHEMA) if (at, kind) in UPGRADES]
    try:
        if not upgrades:
            return typing.cast("AccountFact", decoder.decode(body))
        fields = msgspec.json.decode(body, type=Fields)
        for upgrade in upgrades:
            fields = upgrade(fields)
        return typing.cast("AccountFact", msgspec.convert(fields, KINDS[kind]))
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"cannot be read: {error}: start the version that wrote it") from error
