"""The journal: every account fact, in order, durable before it takes effect outside.

One SQLite file in WAL mode with synchronous=FULL, one table, one row a fact:

| column | holds |
|---|---|
| seq | 1, 2, 3, ... without a gap |
| at_ms | the fact's own time |
| kind | the fact's class name |
| body | its fields, JSON |
| checksum | crc32 of the row and of the checksum before it: no row can change, go or trade places unseen |
| schema | the version that wrote it (journal_schema.py) |

Rules:
- One writer. The directory is locked while the journal is open, the file is ours alone (state_directory.py).
- `append` is one transaction. When it returns, the facts are on the disk; when it raises, none is, and the journal
  takes no more: after a failed flush nobody knows what the disk holds.
- Reading refuses what it cannot prove (gap, checksum, unknown kind or version) and names the event. A torn tail is
  SQLite's to cut, and is said in `note`; other damage refuses (journal_file.py). A damaged file is never written to,
  mended or moved: until all was read and proven, from the start or from a snapshot on (snapshots.py), the connection is
  one that cannot write.
- The class is synchronous; `append` runs it through the runner that was handed in: a thread, or in place where time is
  virtual.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from kalshi_daemon import limits
from kalshi_daemon.errors import JournalCorrupt, JournalLost, OperatingError
from kalshi_daemon.facts import AccountFact
from kalshi_daemon.shell.journal_file import APPLICATION_ID, MEND, examine
from kalshi_daemon.shell.journal_schema import SCHEMA, Unreadable, read_fact, write_fact
from kalshi_daemon.shell.state_directory import KeptFiles, advice, flush, lock_directory, make_private

MEMORY: Final = ":memory:"
CREATE: Final = (
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,"
    " body BLOB NOT NULL, checksum INTEGER NOT NULL, schema INTEGER NOT NULL)"
)
INSERT: Final = "INSERT INTO events (seq, at_ms, kind, body, checksum, schema) VALUES (?, ?, ?, ?, ?, ?)"
COLUMNS: Final = "seq, at_ms, kind, body, checksum, schema"
LEAST: Final = -(2**63)  # a row in front of the first would be damage too
SELECT: Final = f"SELECT {COLUMNS} FROM events WHERE seq >= ? ORDER BY seq"  # noqa: S608 - made of the lines above
DAMAGE: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}

T = TypeVar("T")


class NotReplaced(Exception):
    """Why a journal goes on in its own file. Nothing was changed."""


class RunInThread(Protocol):
    """`trio.to_thread.run_sync`, or `in_place`."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def in_place(work: Callable[[], T], /) -> T:
    """Runs the work in the caller's own step: for a journal in memory, and wherever time is virtual."""
    return work()


class Journal:
    """An open journal. Made by `open`."""

    def __init__(self, where: str, lock: int | None, note: str, run_in_thread: RunInThread) -> None:
        self.counts = Counter(events=0, commits=0, bytes=0)  # written by this process; bytes of bodies
        self.slowest_commit_s = 0.0
        self.last_seq = 0
        self.note = note  # of a torn tail that was cut; else empty
        self._checksum = 0  # of the last row
        self._proven = False  # nothing in it is unread, and it may be written to
        self._connection = sqlite3.connect(MEMORY)  # in its place until the file is opened
        self._where = where
        self._lock = lock
        beside = ("", ".lock", "-wal") if where != MEMORY else ()
        self._files = [Path(where + end) for end in beside]
        self._kept = KeptFiles(*self._files)
        self._run_in_thread = run_in_thread
        self._busy = False  # a call is under way, maybe in another thread
        self._failure: str | None = None  # why nothing is written any more

    @classmethod
    def open(cls, path: str | Path, run_in_thread: RunInThread) -> Journal:
        """Opens, or creates, and locks. `path` may be ":memory:".

        Raises JournalLocked, JournalCorrupt, and OperatingError where the file system refuses.
        """
        where = str(path)
        with ExitStack() as undo:
            lock, note = None, ""
            if where != MEMORY:
                lock = lock_directory(Path(path))
                undo.callback(os.close, lock)
            try:
                if where != MEMORY:
                    make_private(Path(path))
                    note = examine(Path(path))
                journal = cls(where, lock, note, run_in_thread)
                undo.callback(journal._disconnect)  # of the connection that it has by then
                journal._begin()
            except (sqlite3.Error, OSError) as error:
                raise OperatingError(f"the journal {where} cannot be opened: {error}; {advice(error)}") from error
            undo.pop_all()
        return journal

    @classmethod
    def make(cls, path: Path, facts: Sequence[AccountFact]) -> None:
        """A whole journal, in a directory that is locked: on the disk when it returns. Raises OSError, sqlite3.Error
        and OperatingError.
        """
        make_private(path)
        journal = cls(str(path), None, "", in_place)
        try:
            journal._begin()
            journal.write(facts)
        finally:
            journal.close()
        flush(path)

    @property
    def checksum(self) -> int:
        """Of the last event: the end of the chain."""
        return self._checksum

    def checksum_at(self, seq: int) -> int | None:
        """What the journal says of one event, which is not proven by that; None where it says nothing."""
        try:
            row = self._connection.execute("SELECT checksum FROM events WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.Error:
            return None  # reading on from the start will say why
        return None if row is None else row[0]

    def verify_and_read(self, after: int = 0, chain: int = 0) -> Iterator[tuple[int, AccountFact]]:
        """Every fact in order, each proven; then the file as a whole. Raises JournalCorrupt, which names the event.

        Behind a snapshot: only the facts after event `after`, whose checksum is `chain`.
        """
        yield from _read(self._connection, self._where, after, chain)
        if not after:
            check_structure(self._connection, self._where)
        if not self._proven:
            self._take_over()

    async def append(self, facts: Sequence[AccountFact]) -> int:
        """One durable transaction. The sequence number of the last fact. Raises OperatingError."""
        began_s = trio.current_time()
        seq = await self._run_in_thread(lambda: self.write(facts))
        self.slowest_commit_s = max(self.slowest_commit_s, trio.current_time() - began_s)
        return seq

    def write(self, facts: Sequence[AccountFact]) -> int:
        """What `append` does, in the caller's own thread."""
        assert facts, "an empty commit proves nothing"
        if self._failure is not None:
            raise OperatingError(self._failure)
        assert self._proven, "this journal has not been read to its end: nothing is added to what may be damaged"
        assert not self._busy, "the journal has one writer"
        self._busy = True
        try:
            self._commit(self._rows(facts))
        except sqlite3.Error as error:
            self._failure = f"the journal {self._where} cannot be written: {error}; {advice(error)}, then start again"
            raise OperatingError(self._failure) from error
        finally:
            self._busy = False
        return self.last_seq

    @property
    def file_bytes(self) -> int:
        """Of the journal and of the log beside it."""
        return file_bytes(Path(self._where))

    def lost(self) -> str:
        """Which of its files is gone or replaced, in words; empty while none is."""
        return self._kept.lost()

    def go_on_in(self, new: Path, aside: Path) -> None:
        """From here on `new`, which was made and proven, is this journal, and what it was is `aside`. Nobody else may
        have it open: SQLite's own files go by its name.

        Raises NotReplaced, and then it is as it was; JournalLost where it could not be opened again: a start finds it.
        """
        path = Path(self._where)
        self._connection.close()
        if path.with_name(f"{path.name}-wal").exists():  # which the last connection to close removes
            self._connect()
            raise NotReplaced(f"another program has {path} open")
        try:
            self._keep_as(aside)
            self._move_in(new)
        except OSError as error:
            self._connect()
            raise NotReplaced(f"{error}; {advice(error)}") from error
        try:
            flush(path.parent)
            self._kept = KeptFiles(*self._files)
            self._begin()
            self._take_over()
        except (OSError, sqlite3.Error) as error:
            raise JournalLost(f"{path} was begun anew and cannot be opened: {error}; {advice(error)}") from error

    def _keep_as(self, aside: Path) -> None:
        """A second name, so that at no moment there is no journal."""
        aside.hardlink_to(self._where)
        flush(aside.parent)

    def _move_in(self, new: Path) -> None:
        new.replace(self._where)

    def close(self) -> None:
        """Folds the write-ahead log back into the file and gives the lock back. May be called again."""
        self._failure = self._failure or f"the journal {self._where} is closed"
        if self._busy:
            return  # a commit hangs in its thread: only the end of the process can take the file from it
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _disconnect(self) -> None:
        self._connection.close()

    def _rows(self, facts: Sequence[AccountFact]) -> list[tuple[int, int, str, bytes, int, int]]:
        rows = []
        checksum = self._checksum
        for seq, fact in enumerate(facts, self.last_seq + 1):
            kind, body = write_fact(fact)
            checksum = _checksum(checksum, seq, fact.at_ms, kind, SCHEMA, body)
            rows.append((seq, fact.at_ms, kind, body, checksum, SCHEMA))
        return rows

    def _commit(self, rows: list[tuple[int, int, str, bytes, int, int]]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.last_seq, self._checksum = rows[-1][0], rows[-1][4]
        self.counts["events"] += len(rows)
        self.counts["commits"] += 1
        self.counts["bytes"] += sum(len(row[3]) for row in rows)

    def _begin(self) -> None:
        """Makes the table of a new file; of an old one, checks that it is ours and finds its end."""
        if self._where == MEMORY or not Path(self._where).stat().st_size:
            self._create()
            return
        self._connection = sqlite3.connect(
            f"{Path(self._where).absolute().as_uri()}?mode=ro", uri=True, timeout=limits.JOURNAL_BUSY_S
        )
        try:
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if application not in (0, APPLICATION_ID) or (application == 0 and tables):
                raise JournalCorrupt(f"{self._where} is not a journal of this daemon: move it away")
            if not tables:  # its process ended before the table was there
                self._connection.close()
                self._create()
                return
            last = self._connection.execute("SELECT seq, checksum FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise damaged(self._where, error) from error
        self.last_seq, self._checksum = last or (0, 0)
        if last is None:
            self._take_over()

    def _create(self) -> None:
        self._connect()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(CREATE)
        self._connection.execute("COMMIT")

    def _take_over(self) -> None:
        """All is proven: from here on it may be written to. The log begins anew, so that what a crash leaves behind
        in it lies at its end.
        """
        self._connection.close()
        self._connect()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            self._where, timeout=limits.JOURNAL_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._proven = True


def _read(connection: sqlite3.Connection, where: str, after: int, checksum: int) -> Iterator[tuple[int, AccountFact]]:
    expected = after + 1
    try:
        for row in connection.execute(SELECT, (expected if after else LEAST,)):
            fact = prove(row, expected, checksum, where)
            checksum = row[4]
            yield expected, fact
            expected += 1
    except sqlite3.Error as error:
        raise JournalCorrupt(f"the journal {where} is damaged after event {expected - 1}: {error}; {MEND}") from error


def check_structure(connection: sqlite3.Connection, where: str) -> None:
    """Whether every page hangs together: rows that went with theirs would be missed by nobody. Raises
    JournalCorrupt.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise damaged(where, error) from error
    if found != "ok":
        raise damaged(where, found.splitlines()[-1])


def file_bytes(path: Path) -> int:
    """Of a journal with the log beside it, as far as they are there."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(each.stat().st_size for each in files if each.exists())


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it is the file that is wrong, and not the disk, the rights or somebody who holds it."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGE


def damaged(where: str, how: object) -> JournalCorrupt:
    return JournalCorrupt(f"the journal {where} is damaged: {how}; {MEND}")


def prove(row: tuple[object, ...], expected: int, previous: int, where: str) -> AccountFact:
    """One row as its fact, which follows the row before by number and checksum. Raises JournalCorrupt."""
    seq, at_ms, kind, body, checksum, schema = row
    name = f"event {seq} ({kind}) of the journal {where}"
    if seq != expected:
        raise JournalCorrupt(
            f"event {expected} of the journal {where} is missing, the next is event {seq} ({kind}); {MEND}"
        )
    if not (isinstance(at_ms, int) and isinstance(kind, str) and isinstance(body, bytes) and isinstance(schema, int)):
        raise JournalCorrupt(f"{name} holds values of the wrong type; {MEND}")
    if checksum != _checksum(previous, expected, at_ms, kind, schema, body):
        raise JournalCorrupt(f"{name} does not match its checksum; {MEND}")
    try:
        return read_fact(kind, body, schema)
    except Unreadable as why:
        raise JournalCorrupt(f"{name} {why}") from why


def _checksum(previous: int, seq: int, at_ms: int, kind: str, schema: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(f"{previous} {seq} {at_ms} {kind} {schema} ".encode()))
