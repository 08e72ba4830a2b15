"""The journal: everything comes back as it was written, or the event that does not is named."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import typing
import zlib
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kalshi_daemon.errors import JournalCorrupt, JournalLocked, OperatingError
from kalshi_daemon.facts import AccountAgreed, AccountFact, Alarmed, OrderSent, RunStarted
from kalshi_daemon.shell.journal import MEMORY, Journal, in_place
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.journal_schema import KINDS

FACTS: list[AccountFact] = [
    RunStarted(1_000, "0t64csg00001", "0.1.0"),
    OrderSent(1_001, "kd-0t64csg00001-1"),
    AccountAgreed(1_002, 1_001, ((0, 5_000_000), (3, -7)), 2, 1),
    Alarmed(1_003, "divergence", "ünïcode ¢ and \x00"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def written(path: Path, facts: list[AccountFact] = FACTS) -> Path:
    journal = Journal.open(path, in_place)
    for fact in facts:
        journal.write([fact])
    journal.close()
    return path


def edit(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


async def test_facts_come_back_in_order_after_opening_again(path: Path) -> None:
    """Two processes' worth of appends, batches of different sizes, one sequence without a gap."""
    journal = Journal.open(path, trio.to_thread.run_sync)
    assert await journal.append(FACTS[:3]) == 3
    assert await journal.append(FACTS[3:]) == 4
    assert (journal.counts["events"], journal.counts["commits"]) == (4, 2)
    assert journal.slowest_commit_s > 0.0
    journal.close()
    journal.close()
    again = Journal.open(path, in_place)
    assert again.last_seq == 4
    assert list(again.verify_and_read()) == list(enumerate(FACTS, 1))
    assert again.write([FACTS[0]]) == 5
    assert list(again.verify_and_read()) == list(enumerate([*FACTS, FACTS[0]], 1))
    again.close()


def test_it_is_durable_before_append_returns(path: Path) -> None:
    """A process killed right after its append answered has lost nothing, and its lock ended with it."""
    program = (
        "import os, signal, sys\n"
        "from kalshi_daemon.facts import OrderSent\n"
        "from kalshi_daemon.shell.journal import Journal, in_place\n"
        "journal = Journal.open(sys.argv[1], in_place)\n"
        "for number in range(1, 8):\n"
        "    journal.write([OrderSent(number, f'kd-{number}')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -9
    journal = Journal.open(path, in_place)
    assert [fact for _, fact in journal.verify_and_read()] == [OrderSent(n, f"kd-{n}") for n in range(1, 8)]
    journal.close()


def test_settings_are_the_durable_ones(path: Path) -> None:
    journal = Journal.open(path, in_place)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


def test_files_are_ours_alone(path: Path) -> None:
    """0600 in a 0710 directory, SQLite's own files and the lock included, whatever the umask."""
    umask = os.umask(0)
    try:
        journal = Journal.open(path, in_place)
        journal.write(FACTS)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        journal.close()
    finally:
        os.umask(umask)
    assert modes == dict.fromkeys(["journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o710


def test_a_folder_above_that_others_may_replace_is_refused(path: Path) -> None:
    """Theirs could stand in the place of the state directory; where it is sticky it could not."""
    path.parent.mkdir(mode=0o700)
    above = path.parent.parent
    above.chmod(0o777)
    with pytest.raises(OperatingError, match=rf"others may write to {above}, and so replace .*chmod o-w it"):
        Journal.open(path, in_place)
    above.chmod(0o1777)
    Journal.open(path, in_place).close()


def test_a_directory_that_others_write_to_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.parent.chmod(0o777)
    with pytest.raises(OperatingError, match=r"others may write to the state directory .*chmod 710"):
        Journal.open(path, in_place)
    path.parent.chmod(0o700)
    Journal.open(path, in_place).close()


def test_a_second_daemon_is_refused_and_told_who_the_first_is(path: Path) -> None:
    journal = Journal.open(path, in_place)
    with pytest.raises(JournalLocked, match=f"in use by process {os.getpid()}: stop that daemon first"):
        Journal.open(path, in_place)
    journal.close()
    Journal.open(path, in_place).close()


def test_what_it_takes_on_the_disk_is_the_log_too(path: Path) -> None:
    """Most of a young journal is still in the log; closing folds it in."""
    journal = Journal.open(path, in_place)
    journal.write(FACTS)
    assert journal.file_bytes == path.stat().st_size + Path(f"{path}-wal").stat().st_size > path.stat().st_size
    journal.close()
    assert journal.file_bytes == path.stat().st_size
    assert Journal.open(MEMORY, in_place).file_bytes == 0


def test_it_can_be_read_while_the_daemon_writes(path: Path) -> None:
    """Showing a journal takes no lock and sees every commit."""
    journal = Journal.open(path, in_place)
    journal.write(FACTS)
    assert [fact for _, fact in read_journal(path)] == FACTS
    journal.close()


DAMAGE: dict[str, tuple[str, str]] = {
    "body": ("UPDATE events SET body = '{}' WHERE seq = 2", r"event 2 \(OrderSent\) .* wrong type"),
    "bytes": (
        "UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'kd-', 'kD-') AS BLOB) WHERE seq = 2",
        r"event 2 \(OrderSent\) .* does not match its checksum",
    ),
    "kind": ("UPDATE events SET kind = 'CancelSent' WHERE seq = 2", r"event 2 \(CancelSent\) .* checksum"),
    "time": ("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 3", r"event 3 \(AccountAgreed\) .* checksum"),
    "gap": ("DELETE FROM events WHERE seq = 2", r"event 2 .* is missing, the next is event 3 \(AccountAgreed\)"),
    "head": ("DELETE FROM events WHERE seq = 1", r"event 1 .* is missing, the next is event 2"),
    "renumbered": ("UPDATE events SET seq = 40 WHERE seq = 4", r"event 4 .* is missing, the next is event 40"),
    "checksum": ("UPDATE events SET checksum = checksum + 1 WHERE seq = 4", r"event 4 \(Alarmed\) .* checksum"),
    "schema": ("UPDATE events SET schema = 2 WHERE seq = 3", r"event 3 \(AccountAgreed\) .* checksum"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_names_its_event_and_is_left_alone(path: Path, name: str) -> None:
    """Events before the damage are read, then reading refuses; the file is byte for byte what it was."""
    statement, message = DAMAGE[name]
    edit(written(path), statement)
    before = path.read_bytes()
    journal = Journal.open(path, in_place)
    seen: list[AccountFact] = []
    with pytest.raises(JournalCorrupt, match=message):
        seen.extend(fact for _, fact in journal.verify_and_read())
    assert seen == FACTS[: len(seen)]
    with pytest.raises(AssertionError, match="not been read to its end"):
        journal.write(FACTS)
    journal.close()
    assert path.read_bytes() == before


def test_events_that_trade_places_are_found(path: Path) -> None:
    """Two rows, each whole by itself, in each other's place: the chain tells."""
    written(path, [OrderSent(1, "a"), OrderSent(2, "b"), OrderSent(3, "c")])
    edit(path, "UPDATE events SET seq = -2 WHERE seq = 2")
    edit(path, "UPDATE events SET seq = 2 WHERE seq = 3")
    edit(path, "UPDATE events SET seq = 3 WHERE seq = -2")
    with pytest.raises(JournalCorrupt, match=r"event 2 \(OrderSent\) .* checksum"):
        list(read_journal(path))


def test_a_kind_of_a_later_version_is_refused(path: Path) -> None:
    """The row is whole, and this version has no such fact: it must not be skipped."""
    written(path, FACTS[:1])
    connection = sqlite3.connect(path)
    previous = connection.execute("SELECT checksum FROM events").fetchone()[0]
    checksum = zlib.crc32(b"{}", zlib.crc32(f"{previous} 2 5 OrderTeleported 1 ".encode()))
    with connection:
        connection.execute("INSERT INTO events VALUES (2, 5, 'OrderTeleported', ?, ?, 1)", (b"{}", checksum))
    connection.close()
    with pytest.raises(JournalCorrupt, match=r"event 2 \(OrderTeleported\) .* unknown kind: start the version"):
        list(read_journal(path))


def test_a_body_of_a_later_version_is_refused(path: Path) -> None:
    written(path, FACTS[:1])
    connection = sqlite3.connect(path)
    previous = connection.execute("SELECT checksum FROM events").fetchone()[0]
    checksum = zlib.crc32(b'{"at_ms":5}', zlib.crc32(f"{previous} 2 5 OrderSent 1 ".encode()))
    with connection:
        connection.execute("INSERT INTO events VALUES (2, 5, 'OrderSent', ?, ?, 1)", (b'{"at_ms":5}', checksum))
    connection.close()
    with pytest.raises(JournalCorrupt, match=r"event 2 \(OrderSent\) .* missing required field"):
        list(read_journal(path))


def open_and_read(path: Path) -> None:
    journal = Journal.open(path, in_place)
    try:
        list(journal.verify_and_read())
    finally:
        journal.close()


def scribble(at: int) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at : at + 64] = b"\xa5" * 64
        path.write_bytes(bytes(content))

    return apply


@pytest.mark.parametrize(
    "damage", [scribble(0), scribble(100), scribble(4_096)], ids=["header", "schema page", "table page"]
)
def test_a_damaged_file_is_refused_and_not_overwritten(path: Path, damage: Callable[[Path], None]) -> None:
    """Whether opening or reading finds it, it is called damaged, and the file stays as it is."""
    damage(written(path))
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match=r"damaged|not a journal|checksum|missing"):
        open_and_read(path)
    assert path.read_bytes() == before


def test_somebody_else_s_database_is_not_taken_over(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    edit(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="is not a journal of this daemon: move it away"):
        Journal.open(path, in_place)
    assert path.read_bytes() == before


def test_a_full_disk_is_told_once_and_nothing_is_written_after_it(path: Path) -> None:
    """The failed transaction leaves no row, and the journal takes no more even when there is room again."""
    journal = Journal.open(path, in_place)
    journal.write(FACTS[:1])
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OperatingError, match="cannot be written: database or disk is full; free space on its disk"):
        journal.write([Alarmed(1, "large", "x" * 10_000)])
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    with pytest.raises(OperatingError, match="free space on its disk, then start again"):
        journal.write(FACTS[1:2])
    journal.close()
    assert [fact for _, fact in read_journal(path)] == FACTS[:1]


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatingError, match=r"the state directory .*file/state cannot be used"):
        Journal.open(tmp_path / "file" / "state" / "journal.db", in_place)


def test_in_memory_it_is_the_same_journal_without_files() -> None:
    journal = Journal.open(MEMORY, in_place)
    journal.write(FACTS)
    assert [fact for _, fact in journal.verify_and_read()] == FACTS
    journal.close()
    with pytest.raises(OperatingError, match="is closed"):
        journal.write(FACTS)


def test_every_kind_of_account_fact_has_a_body() -> None:
    """What is not an account fact is our own mistake, found before anything is written."""
    assert set(KINDS.values()) == set(typing.get_args(AccountFact))
    journal = Journal.open(MEMORY, in_place)
    with pytest.raises(AssertionError, match="str is not a fact"):
        journal.write([typing.cast("AccountFact", "not a fact")])
    journal.close()


def values_of(hint: object) -> st.SearchStrategy[object]:
    """A strategy from a type hint, for the types that facts are allowed to hold; anything else fails the test."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and attrs.has(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(hint, **{name: values_of(each) for name, each in hints.items()})
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[values_of(each) for each in arguments])
    if origin is not None:
        return st.one_of([values_of(each) for each in arguments])
    if hint is int:
        return st.integers(min_value=-(2**63), max_value=2**63 - 1)
    return st.from_type(typing.cast("type", hint))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_kind_comes_back_equal(kind: type, data: st.DataObject) -> None:
    """Built from its type hints, any value of any kind of fact reads back as itself, with its own types."""
    facts = typing.cast("list[AccountFact]", data.draw(st.lists(values_of(kind), min_size=1, max_size=3)))
    journal = Journal.open(MEMORY, in_place)
    journal.write(facts)
    read = [fact for _, fact in journal.verify_and_read()]
    journal.close()
    assert read == facts
    assert [attrs.astuple(fact) for fact in read] == [attrs.astuple(fact) for fact in facts]
