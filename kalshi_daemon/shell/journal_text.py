"""Facts of the journal for people and for programs: every number in the exchange's own spelling, every time in ISO.

Rules: how a field is written follows from its type: prices, counts and money as the exchange writes them, milliseconds
as a time in UTC, all else as it is. A line is one line whatever a text holds. Nothing is left out but from texts that
only a program reads, in lines for people.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from kalshi_daemon.facts import AccountFact, DriftSeen
from kalshi_daemon.shell.journal_reader import Entry
from kalshi_daemon.shell.journal_schema import KINDS
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire.fixed_point import format_count, format_money, format_price

Write: TypeAlias = Callable[[Any], object]

TEXT_MAX: Final = 80  # characters of a text without spaces, such as an observation, in a line for people


def iso(at_ms: Milliseconds) -> str:
    """A time in UTC; one that no calendar has, as the exchange may send it, is its number."""
    try:
        return iso_time(at_ms)
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"


class _Price: ...


class _Count: ...


class _Money: ...


class _Moment: ...


MARKS: Final[dict[str, Any]] = {"Price": _Price, "Count": _Count, "Money": _Money, "Milliseconds": _Moment}
WRITERS: Final[dict[Any, Write]] = {
    _Price: format_price,
    _Count: format_count,
    _Money: format_money,
    _Moment: iso,
}


def _writer(hint: Any) -> Write:
    """How a value of this type is written."""
    if hint in WRITERS:
        return WRITERS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and arguments[-1] is Ellipsis:
        each = _writer(arguments[0])
        return lambda values: [each(value) for value in values]
    if origin is tuple:
        writers = [_writer(argument) for argument in arguments]
        return lambda values: [write(value) for write, value in zip(writers, values, strict=True)]
    if origin is types.UnionType:
        (some,) = (_writer(argument) for argument in arguments if argument is not type(None))
        return lambda value: None if value is None else some(value)
    if attrs.has(hint):
        return _fields_writer(hint)
    return lambda value: value


def _fields_writer(kind: type) -> Callable[[Any], dict[str, object]]:
    fields = {name: _writer(hint) for name, hint in typing.get_type_hints(kind, localns=MARKS).items()}
    return lambda value: {name: write(getattr(value, name)) for name, write in fields.items()}


def _drift_fields(drift: DriftSeen) -> dict[str, object]:
    """What its two figures are, a count or an amount, its `what` says."""
    write = format_count if drift.what == "position" else format_money
    return _PLAIN[DriftSeen](drift) | {"ours": write(drift.ours), "theirs": write(drift.theirs)}


_PLAIN: Final = {kind: _fields_writer(kind) for kind in KINDS.values()}
FACTS: Final[dict[type, Callable[[Any], dict[str, object]]]] = {**_PLAIN, DriftSeen: _drift_fields}


def fields_of(fact: AccountFact) -> dict[str, object]:
    """Every field of a fact, as JSON can hold it."""
    return FACTS[type(fact)](fact)


def json_line(entry: Entry) -> str:
    """One event as one JSON object: number, kind, schema version, checksum and all of the fact."""
    values = {
        "seq": entry.seq,
        "kind": entry.kind,
        "schema": entry.schema,
        "checksum": entry.checksum,
        "fact": fields_of(entry.fact),
    }
    return msgspec.json.encode(values).decode()


def text_line(entry: Entry) -> str:
    """One event in one line: number, time, kind, and its fields."""
    fields = fields_of(entry.fact)
    at = fields.pop("at_ms")
    told = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
    return f"{entry.seq:>8}  {at}  {entry.kind:<18}  {told}".rstrip()


def _shown(value: object) -> str:
    """What a terminal may be given: nothing that it would obey."""
    if isinstance(value, str):
        if " " not in value and len(value) > TEXT_MAX:
            value = f"{value[:TEXT_MAX]}..."
        if value.isprintable() and value and not set(value) & {" ", '"', "="}:
            return value
    text = msgspec.json.encode(value).decode()
    return text if text.isprintable() else json.dumps(value)


def outline(values: Mapping[str, object], depth: int = 0) -> Iterator[str]:
    """A report for people: a line for each figure, the parts of a figure below it. What is empty is left out."""
    pad = "  " * depth
    for name, value in values.items():
        if isinstance(value, Mapping) and any(isinstance(part, Mapping | list) for part in value.values()):
            yield f"{pad}{name}"
            yield from outline(value, depth + 1)
        elif isinstance(value, Mapping):
            yield f"{pad}{name:<16} {_joined(value)}".rstrip()
        elif isinstance(value, list):
            lines = [_joined(each) if isinstance(each, Mapping) else _shown(each) for each in value]
            yield from (f"{pad}{name if place == 0 else '':<16} {line}" for place, line in enumerate(lines))
        elif value not in ("", None):
            yield f"{pad}{name:<16} {_told(value)}"


def _joined(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _told(value: object) -> str:
    """A figure that ends its line needs no quotes."""
    return value if isinstance(value, str) and value.isprintable() else _shown(value)
