"""Puts a journal aside that has grown over its limit, at a start, and begins the next with the account as it is.

| step | what a kill after it leaves |
|---|---|
| every event of the journal is proven, and folded from empty | the journal |
| the next is written whole, beside it, and flushed | the journal, and a file that the next start removes |
| the next is proven and folded: the account is the same | the same |
| the snapshots are removed | the journal, which the next start reads whole |
| the journal has a second name | the journal, by two names, of which the next start removes the second |
| the next takes the first name, in one rename | the next, and the journal put aside |
| the oldest of those put aside go, as many as are too many | the next, and some more put aside |

Rules: under the lock of the state directory, before the bus runs, and where the account is at rest (`Ledger.unrest`). A
journal that is damaged is not put aside. Whatever keeps it from being put aside is said, and the start goes on in the
journal that is there; only where the rename was done and the file cannot be opened again, the start ends.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_carried import ToldAgain, differences
from kalshi_daemon.core.ledger_memory import remember, restore
from kalshi_daemon.errors import JournalLost, OperatingError
from kalshi_daemon.shell.journal import MEMORY, Journal, NotReplaced, RunInThread
from kalshi_daemon.shell.journal_reader import open_journal, read_journal
from kalshi_daemon.shell.journals_kept import aside_of, put_aside
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.snapshot_file import remove_snapshots
from kalshi_daemon.shell.snapshots import Snapshots
from kalshi_daemon.shell.state_directory import advice

ALARM: Final = "journal_size"


class JournalRotation:
    def __init__(
        self,
        where: str | Path,
        ledger: Ledger,
        snapshots: Snapshots,
        *,
        bytes_max: int,
        kept_max: int,
        run_in_thread: RunInThread,
        alarm: Callable[[str, str], None],
    ) -> None:
        self.counts = Counter(put_aside=0, put_off=0)
        self.bytes_max = bytes_max
        self.note = ""  # what came of it at this start; empty where there was nothing to do
        self._path = None if str(where) == MEMORY else Path(where)
        self._ledger = ledger
        self._snapshots = snapshots
        self._kept_max = kept_max
        self._run_in_thread = run_in_thread
        self._alarm = alarm
        self._alarmed = False

    # --------------------------------------------------------------------------------------------------- at the start

    async def run(self, journal: Journal) -> None:
        """Of a journal that was folded into the ledger, and to which this process has added nothing."""
        if self._path is None:
            return
        self._tidy(self._path)
        before = _size(self._path)
        if before <= self.bytes_max:
            return
        try:
            aside = await self._rotate(self._path, journal)
        except JournalLost:
            raise
        except (NotReplaced, OperatingError) as why:
            self.counts["put_off"] += 1
            self.note = f"its {megabytes(before)} MB are over KALSHI_JOURNAL_MAX_MB, and it is not put aside: {why}"
            log.warning("journal", detail=self.note, next="it goes on in this file, and the next start tries again")
        else:
            self.counts["put_aside"] += 1
            self.note = f"{aside.name} was put aside with {megabytes(before)} MB, and this one goes on from it"
            log.info("journal", detail=self.note)
        self._tidy(self._path)

    async def _rotate(self, path: Path, journal: Journal) -> Path:
        """The name under which it was put aside. Raises NotReplaced, and OperatingError of other kinds than
        JournalLost: nothing has changed.
        """
        if why := self._ledger.unrest():
            raise NotReplaced(why)
        whole, told, at_ms = await self._prove(path)
        aside, new = aside_of(path, at_ms), _new(path)
        facts = whole.carried(aside.name, journal.last_seq, journal.checksum, at_ms, told)
        try:
            await self._run_in_thread(lambda: Journal.make(new, facts))
            next_ledger = self._fold(new)
            if different := differences(whole, next_ledger):
                raise NotReplaced(f"the next journal would not be its account: {different[0]}")
            if new.stat().st_size > self.bytes_max // limits.JOURNAL_SHARE_MAX:
                raise NotReplaced(f"what the account needs takes {megabytes(new.stat().st_size)} MB: raise the limit")
            self._commit(path, journal, new, aside, next_ledger)
        except (OSError, sqlite3.Error) as error:
            raise NotReplaced(f"{error}; {advice(error)}") from error
        finally:
            with suppress(OSError):  # the next start tries again
                _remove(new)
        return aside

    async def _prove(self, path: Path) -> tuple[Ledger, ToldAgain, int]:
        """The whole journal folded from empty, and the time of its last event."""
        whole, told, at_ms = Ledger(), ToldAgain(), 0
        with open_journal(path) as reader:
            for entry in reader.entries():
                whole.apply(entry.fact)
                told.saw(entry.fact, whole)
                at_ms = entry.fact.at_ms
                if entry.seq % limits.REPLAY_BREATH == 0:
                    await trio.lowlevel.checkpoint()
            reader.check_structure()
        if told.agreed is None:
            raise NotReplaced("the last comparison with the exchange found a difference")
        if remember(whole) != remember(self._ledger):
            raise NotReplaced("its snapshot holds another account than its events lead to: see `journal verify`")
        return whole, told, at_ms

    def _fold(self, new: Path) -> Ledger:
        ledger = Ledger()
        for _seq, fact in read_journal(new):
            ledger.apply(fact)
        return ledger

    def _commit(self, path: Path, journal: Journal, new: Path, aside: Path, next_ledger: Ledger) -> None:
        """In one step, so that nothing else sees half of it."""
        remove_snapshots(path)
        journal.go_on_in(new, aside)
        restore(self._ledger, remember(next_ledger))
        self._snapshots.begin_anew()

    def _tidy(self, path: Path) -> None:
        """What a kill has left behind, and those put aside that are too many."""
        try:
            _remove(_new(path))
            for each in put_aside(path):
                if each.samefile(path):
                    each.unlink()
            for each in put_aside(path)[self._kept_max :]:
                _remove(each)
        except OSError as error:
            log.warning("journal", cause=str(error), next="see the files beside it; the next start tries again")

    # ---------------------------------------------------------------------------------------------------- while it runs

    def look(self) -> None:
        """Said once in a run, since only a start can mend it."""
        if self._path is None or self._alarmed or _size(self._path) <= self.bytes_max:
            return
        self._alarmed = True
        size, most = megabytes(_size(self._path)), self.bytes_max // limits.JOURNAL_MB
        todo = self.note or "a restart puts it aside and begins the next"
        self._alarm(ALARM, f"the journal takes {size} MB, KALSHI_JOURNAL_MAX_MB is {most}: {todo}")


def megabytes(size: int) -> str:
    tenths = size * 10 // limits.JOURNAL_MB
    return f"{tenths // 10}.{tenths % 10}"


def _size(path: Path) -> int:
    """Without the log beside it, whose size says nothing of how much is in it; 0 for one that was lost."""
    return path.stat().st_size if path.exists() else 0


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}-new")


def _remove(path: Path) -> None:
    """With what SQLite may have left beside it. Raises OSError."""
    for end in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
