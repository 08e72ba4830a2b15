"""Journals of older versions are read by this one, for ever.

`journal_schema_1.jsonl` has the rows of a journal as the first version wrote them: some minutes of a daemon on the
emulator, with a market that settled and an order by another hand. It is not made again: its checksums say that it was
not changed. `journal_schema_1_fields.json` has the fields without a default of each kind of that version, and of what
is inside of them.
"""

from __future__ import annotations

import json
import sqlite3
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import JournalCorrupt
from kalshi_daemon.facts import Alarmed, FillSeen, OrderSent
from kalshi_daemon.shell import journal_schema
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.journal_schema import KINDS, Unreadable, read_fact

HERE = Path(__file__).parent
ROWS = [json.loads(line) for line in (HERE / "journal_schema_1.jsonl").read_text().splitlines()]
SETTLED = 4_983_851_400  # micro-dollars
HELD = {
    "DEMOGAME-HEROWL-HER": 1_500,
    "DEMOGAME-HEROWL-Q1": -500,
    "DEMORATE-MEET-CUT": 500,
    "DEMORATE-MEET-HOLD": 500,
    "DEMOTEMP-DAY1-T60": 100,
}
STATES = {"filled": 6, "resting": 2, "cancelled": 1}
REQUIRED = json.loads((HERE / "journal_schema_1_fields.json").read_text())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with those rows."""
    where = tmp_path / "state" / "journal.sqlite3"
    where.parent.mkdir(mode=0o700)
    Journal.open(where, in_place).close()
    connection = sqlite3.connect(where)
    with connection:
        for seq, at_ms, kind, body, checksum, schema in ROWS:
            row = (seq, at_ms, kind, body.encode(), checksum, schema)
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.close()
    return where


def test_a_journal_of_the_first_version_leads_to_its_account(path: Path) -> None:
    """Every row is proven, the account is what it was, and this version writes on behind it."""
    ledger = Ledger()
    for _, fact in read_journal(path):
        ledger.apply(fact)
    assert ledger.settled_total == SETTLED
    assert {market: each.count for market, each in ledger.positions.items() if each.count} == HELD
    assert Counter(each.state for each in ledger.orders.values()) == STATES
    journal = Journal.open(path, in_place)
    assert len(list(journal.verify_and_read())) == len(ROWS)
    journal.write([Alarmed(1, "new", "")])
    journal.close()
    assert len(list(read_journal(path))) == len(ROWS) + 1


def test_what_is_added_to_a_fact_has_a_default() -> None:
    """Else what the first version wrote could not be read any more."""
    assert {kind: sorted(set(required(cls)) - set(REQUIRED[kind])) for kind, cls in parts()} == {
        kind: [] for kind, _ in parts()
    }


def test_what_a_version_changed_is_read_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step makes the fields of the next version; a kind that a step does not concern is read as it is."""
    steps: dict[tuple[int, str], Any] = {
        (1, "OrderSent"): lambda fields: {"at_ms": fields["at_ms"], "id": fields["client_order_id"]},
        (2, "OrderSent"): lambda fields: {"at_ms": fields["at_ms"], "client_order_id": f"kd-{fields['id']}"},
    }
    monkeypatch.setattr(journal_schema, "SCHEMA", 3)
    monkeypatch.setattr(journal_schema, "UPGRADES", steps)
    assert read_fact("OrderSent", b'{"at_ms":1,"client_order_id":"a"}', 1) == OrderSent(1, "kd-a")
    assert read_fact("OrderSent", b'{"at_ms":1,"id":"a"}', 2) == OrderSent(1, "kd-a")
    assert read_fact("OrderSent", b'{"at_ms":1,"client_order_id":"a"}', 3) == OrderSent(1, "a")
    fill = next(row for row in ROWS if row[2] == "FillSeen")
    assert isinstance(read_fact("FillSeen", fill[3].encode(), 1), FillSeen)
    with pytest.raises(Unreadable, match=r"cannot be read: .*: start the version that wrote it"):
        read_fact("OrderSent", b'{"at_ms":1}', 1)


@pytest.mark.parametrize("schema", [0, 2])
def test_a_version_that_is_not_known_is_refused(path: Path, schema: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line that says what to do; the row is whole."""
    monkeypatch.setattr("kalshi_daemon.shell.journal.SCHEMA", schema)
    journal = Journal.open(path, in_place)
    assert list(journal.verify_and_read())
    journal.write([Alarmed(1, "new", "")])
    journal.close()
    text = f"event 81 .* has schema {schema}, this version reads 1 to 1: start the version that wrote it"
    with pytest.raises(JournalCorrupt, match=text):
        list(read_journal(path))


def parts() -> Iterator[tuple[str, type]]:
    """Every kind of fact, and every class inside of one, by name."""
    waiting: list[Any] = list(KINDS.values())
    seen: set[type] = set()
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if isinstance(hint, type) and hint not in seen and (attrs.has(hint) or issubclass(hint, msgspec.Struct)):
            seen.add(hint)
            waiting += typing.get_type_hints(hint).values()
            yield hint.__name__, hint


def required(cls: type) -> list[str]:
    if attrs.has(cls):
        return [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]
    return [field.name for field in msgspec.structs.fields(cls) if field.required]
