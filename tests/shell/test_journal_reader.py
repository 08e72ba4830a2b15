"""Reading a journal that another process holds open: in pieces, proven, without writing; and what is said where none is
to be had.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kalshi_daemon.errors import EXIT_ABSENT, JournalAbsent, JournalCorrupt
from kalshi_daemon.facts import AccountFact, OrderSent
from kalshi_daemon.limits import JOURNAL_PIECE
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_reader import open_journal, read_journal

COUNT = 2 * JOURNAL_PIECE + 300


def sent(first: int, last: int) -> list[AccountFact]:
    return [OrderSent(number, f"kd-run1-{number}") for number in range(first, last + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three pieces, closed."""
    journal = Journal.open(tmp_path / "journal.db", in_place)
    journal.write(sent(1, COUNT))
    journal.close()
    return tmp_path / "journal.db"


def test_any_part_is_read_in_order(path: Path) -> None:
    """From an event to an event, across pieces; beyond the end there is nothing."""
    with open_journal(path) as journal:
        assert journal.last_seq == COUNT
        assert [entry.fact for entry in journal.entries()] == sent(1, COUNT)
        first, last = JOURNAL_PIECE - 1, 2 * JOURNAL_PIECE + 1
        part = list(journal.entries(first, last))
        assert [entry.seq for entry in part] == list(range(first, last + 1))
        assert [entry.fact for entry in part] == sent(first, last)
        assert [list(journal.entries(*each)) for each in ((COUNT + 1,), (COUNT + 5,), (5, 4))] == [[], [], []]


def test_a_reader_never_keeps_the_writer_waiting(path: Path) -> None:
    """Half way through, the writer commits and folds its log away; the reader goes on and sees what came."""
    writer = Journal.open(path, in_place)
    assert sum(1 for _ in writer.verify_and_read()) == COUNT
    with open_journal(path) as journal:
        entries = journal.entries()
        seen = [next(entries).fact for _ in range(JOURNAL_PIECE // 2)]
        writer.write(sent(COUNT + 1, COUNT + 7))
        folded = writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert folded == (0, 0, 0)
        seen += [entry.fact for entry in entries]
        assert journal.last_seq == COUNT + 7
    assert seen == sent(1, COUNT + 7)
    writer.close()


@pytest.mark.parametrize("gone", [1, JOURNAL_PIECE, JOURNAL_PIECE + 1, COUNT - 1])
def test_a_gap_is_found_also_where_pieces_meet(path: Path, gone: int) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM events WHERE seq = ?", (gone,))
    connection.close()
    seen = []
    with pytest.raises(JournalCorrupt, match=rf"event {gone} of .* is missing, the next is event {gone + 1} "):
        seen.extend(read_journal(path))
    assert len(seen) == gone - 1


def test_a_row_in_front_of_the_first_is_damage(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET seq = -5 WHERE seq = 1")
    connection.close()
    with pytest.raises(JournalCorrupt, match=r"event 1 .* is missing, the next is event -5"):
        list(read_journal(path))


def test_the_file_is_not_changed_by_reading(path: Path) -> None:
    before = path.read_bytes()
    assert sum(1 for _ in read_journal(path)) == COUNT
    assert path.read_bytes() == before


def test_where_there_is_none_it_says_so(tmp_path: Path) -> None:
    """Absent, or without a byte: an exit code of its own. Somebody else's: refused."""
    with pytest.raises(JournalAbsent, match=r"there is no journal at .*absent\.db: name its directory") as absent:
        list(read_journal(tmp_path / "absent.db"))
    assert absent.value.exit_code == EXIT_ABSENT
    (tmp_path / "empty.db").touch()
    with pytest.raises(JournalAbsent, match="is empty: no daemon has written to it yet"):
        list(read_journal(tmp_path / "empty.db"))
    connection = sqlite3.connect(tmp_path / "theirs.db")
    with connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(JournalCorrupt, match=r"theirs\.db is not a journal of this daemon"):
        list(read_journal(tmp_path / "theirs.db"))
    (tmp_path / "text.db").write_text("not SQLite, and longer than a header is, so that it is looked at" * 9)
    with pytest.raises(JournalCorrupt, match=r"text\.db is damaged: file is not a database"):
        list(read_journal(tmp_path / "text.db"))
