"""Reads a journal that another process may hold open: nothing is locked, nothing is written, little is held in memory.

Rules: every event is proven before it is handed out (shell/journal.py). Rows are read in pieces, each in a transaction
of its own, so that a slow reader never keeps the daemon from folding its log into the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from kalshi_daemon.errors import JournalAbsent, JournalCorrupt, OperatingError
from kalshi_daemon.facts import AccountFact
from kalshi_daemon.limits import JOURNAL_PIECE
from kalshi_daemon.shell.journal import COLUMNS, LEAST, check_structure, damaged, is_damage, prove
from kalshi_daemon.shell.journal_file import APPLICATION_ID, MEND
from kalshi_daemon.shell.state_directory import advice

PIECE: Final = f"SELECT {COLUMNS} FROM events WHERE seq >= ? ORDER BY seq LIMIT {JOURNAL_PIECE}"  # noqa: S608 - both ours
BEFORE: Final = "SELECT checksum FROM events WHERE seq = ?"
LAST: Final = "SELECT max(seq) FROM events"


@frozen
class Entry:
    """One event; `size` is that of its body in bytes."""

    seq: int
    kind: str
    schema: int
    checksum: int
    size: int
    fact: AccountFact


class JournalReader:
    """An open journal. Made by `open_journal`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection

    @property
    def last_seq(self) -> int:
        """The newest event as of now; 0 in an empty journal."""
        try:
            last: int | None = self._connection.execute(LAST).fetchone()[0]
        except sqlite3.Error as error:
            raise _unread(self.path, error) from error
        return last or 0

    def entries(self, first: int = 1, last: int | None = None) -> Iterator[Entry]:
        """From event `first` to `last`, or to the newest there is. Raises JournalCorrupt, which names the event."""
        expected, least = first, first if first > 1 else LEAST
        checksum = self._checksum_before(first)
        while last is None or expected <= last:
            rows, failure = self._piece(least)
            for row in rows:
                if last is not None and expected > last:
                    return
                fact = prove(row, expected, checksum, str(self.path))
                _, _, kind, body, checksum, schema = row
                yield Entry(expected, kind, schema, checksum, len(body), fact)
                expected += 1
            if failure is not None:
                raise JournalCorrupt(
                    f"the journal {self.path} is damaged after event {expected - 1}: {failure}; {MEND}"
                )
            if not rows:
                return
            least = expected

    def check_structure(self) -> None:
        """Raises JournalCorrupt."""
        check_structure(self._connection, str(self.path))

    def _piece(self, least: int) -> tuple[list[tuple[int, int, str, bytes, int, int]], sqlite3.Error | None]:
        """The next rows, and what kept it from reading more."""
        rows = []
        try:
            for row in self._connection.execute(PIECE, (least,)):
                rows.append(row)  # noqa: PERF402 - what was read before the damage counts
        except sqlite3.Error as error:
            if not is_damage(error):
                raise _unread(self.path, error) from error
            return rows, error
        return rows, None

    def _checksum_before(self, first: int) -> int:
        if first <= 1:
            return 0
        try:
            row = self._connection.execute(BEFORE, (first - 1,)).fetchone()
        except sqlite3.Error as error:
            raise _unread(self.path, error) from error
        return int(row[0]) if row is not None else 0


@contextmanager
def open_journal(path: Path) -> Iterator[JournalReader]:
    """Raises JournalAbsent, JournalCorrupt, and OperatingError where it may not be read."""
    connection = _connect(path)
    try:
        yield JournalReader(connection, path)
    finally:
        connection.close()


def read_journal(path: Path) -> Iterator[tuple[int, AccountFact]]:
    """Every fact, each proven."""
    with open_journal(path) as journal:
        for entry in journal.entries():
            yield entry.seq, entry.fact


def find_journal(path: Path) -> None:
    """Raises JournalAbsent, and OperatingError where it may not be read."""
    try:
        if not path.stat().st_size:
            raise JournalAbsent(f"the journal {path} is empty: no daemon has written to it yet")
    except FileNotFoundError:
        raise JournalAbsent(
            f"there is no journal at {path}: name its directory with KALSHI_STATE_DIR, or the file with --journal"
        ) from None
    except OSError as error:
        what = f"the journal {path} cannot be read: {error.strerror}; ask as the daemon's user"
        raise OperatingError(what) from error


def _connect(path: Path) -> sqlite3.Connection:
    find_journal(path)
    try:
        return _asked(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # where nothing can be made beside it, as on a copy that is for reading only, it must have no log
        if is_damage(error) or path.with_name(path.name + "-wal").exists():
            raise _unread(path, error) from error
    except sqlite3.Error as error:
        raise _unread(path, error) from error
    try:
        return _asked(path, "immutable=1")
    except sqlite3.Error as error:
        raise _unread(path, error) from error


def _asked(path: Path, how: str) -> sqlite3.Connection:
    """A connection to a journal of ours. Raises sqlite3.Error and JournalCorrupt."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)
    with ExitStack() as undo:
        undo.callback(connection.close)
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise JournalCorrupt(f"{path} is not a journal of this daemon")
        connection.execute(LAST)
        undo.pop_all()
    return connection


def _unread(path: Path, error: sqlite3.Error) -> OperatingError:
    if is_damage(error):
        return damaged(str(path), error)
    return OperatingError(f"the journal {path} cannot be read: {error}; {advice(error)}")
