"""When the ledger's memory is kept, and how a start begins from it instead of from the first event.

A start takes the newest snapshot that is whole, was folded by this very code, and stands at an event whose checksum in
the journal is the one that the snapshot names: the checksums are a chain, so that it is one of this journal and of all
events up to there. From it on, every event is read, proven and folded. Where it will not do, the next older is tried,
and after the last the journal is read whole.

The events before the snapshot are proven while the daemon trades, a few at a time. Where one is damaged it is an alarm,
and the snapshots are removed: what is in memory is right, but the next start reads all, and refuses by the event's
name.

Rules:
- A journal of fewer than `SNAPSHOT_EVENTS` events is read whole at each start, which costs little and proves all.
- A snapshot is taken in the step that follows a commit, when the ledger is at the journal's last event; it is written
  in a thread. One that cannot be written is said and counted, and nothing else comes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import remember, restore
from kalshi_daemon.errors import JournalCorrupt, OperatingError
from kalshi_daemon.shell.journal import MEMORY, Journal, RunInThread
from kalshi_daemon.shell.journal_reader import open_journal
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.snapshot_file import (
    Snapshot,
    Unusable,
    code,
    read_snapshot,
    remove_snapshots,
    snapshots_of,
    write_snapshot,
)


@frozen
class Beginning:
    """Where the reading of the journal begins: behind event `seq`, whose checksum is `chain`; 0 and 0 at its start."""

    seq: int = 0
    chain: int = 0
    note: str = ""  # of snapshots that were passed over


class Snapshots:
    def __init__(
        self, ledger: Ledger, where: str | Path, run_in_thread: RunInThread, alarm: Callable[[str, str], None]
    ) -> None:
        self.counts = Counter(written=0, failed=0, proven=0)
        self.beginning = Beginning()
        self._ledger = ledger
        self._path = None if str(where) == MEMORY else Path(where)
        self._run_in_thread = run_in_thread
        self._alarm = alarm
        self._last = 0  # the event at which one was taken last
        self._taken: Snapshot | None = None  # not yet written
        self._wanted = trio.Event()
        self._distrusted = False  # the journal is damaged before what was read of it

    # --------------------------------------------------------------------------------------------------- at the start

    def restore(self, journal: Journal) -> Beginning:
        """Into the ledger, which is empty."""
        notes = []
        if self._path is not None and journal.last_seq >= limits.SNAPSHOT_EVENTS:
            for path in snapshots_of(self._path):
                try:
                    snapshot = self._restore(path, journal)
                except Unusable as why:
                    notes.append(f"{path.name} is not used: {why}")
                    log.warning("snapshot", file=path.name, cause=str(why), next="the one before is tried, or none")
                    continue
                self._last = snapshot.seq
                self.beginning = Beginning(snapshot.seq, snapshot.chain, "; ".join(notes))
                return self.beginning
        self.beginning = Beginning(note="; ".join(notes))
        return self.beginning

    def _restore(self, path: Path, journal: Journal) -> Snapshot:
        snapshot = read_snapshot(path)
        if snapshot.code != code():
            raise Unusable("another version of the daemon made it")
        if journal.checksum_at(snapshot.seq) != snapshot.chain:
            raise Unusable("it is not of this journal")
        try:
            restore(self._ledger, snapshot.memory)
        except msgspec.DecodeError as error:
            raise Unusable(f"it does not fit: {error}") from error
        return snapshot

    def begin_anew(self) -> None:
        """The journal is another one, without any."""
        self._last, self.beginning = 0, Beginning()

    async def prove(self) -> None:
        """The events that were not read at the start, beside everything else; then the structure of the database."""
        path, last = self._path, self.beginning.seq
        if path is None or not last:
            return
        try:
            with open_journal(path) as journal:
                for entry in journal.entries(1, last):
                    self.counts["proven"] = entry.seq
                    if entry.seq % limits.PROOF_PIECE == 0:
                        await trio.sleep(limits.PROOF_PAUSE_S)
            await self._run_in_thread(lambda: _check_structure(path))
        except JournalCorrupt as error:
            await self._distrust(str(error))
        except OperatingError as error:
            log.warning("journal", cause=str(error), next="its older events are proven by the next start")
        else:
            log.info("journal", detail=f"the {last} events before the snapshot are proven")

    async def _distrust(self, why: str) -> None:
        assert self._path is not None, "a journal in memory is never proven again"
        self._distrusted, path = True, self._path
        self._alarm("journal_damaged", f"{why}; trading goes on from memory, the next start will refuse it")
        try:
            await self._run_in_thread(lambda: remove_snapshots(path))
        except OSError as error:
            log.warning("snapshot", cause=str(error), next="remove the journal's snapshots by hand")

    # ---------------------------------------------------------------------------------------------- while it is written

    def look(self, journal: Journal) -> None:
        """In the step that follows a commit."""
        if journal.last_seq - self._last >= limits.SNAPSHOT_EVENTS:
            self._take(journal)

    def _take(self, journal: Journal) -> None:
        if self._path is None or self._distrusted or self._ledger.version != journal.last_seq:
            return
        self._last = journal.last_seq
        self._taken = Snapshot(journal.last_seq, journal.checksum, code(), remember(self._ledger))
        self._wanted.set()

    async def run(self) -> None:
        """Writes what is taken, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self._write()

    async def seal(self, journal: Journal) -> None:
        """The last one, of a journal that is long enough and has grown."""
        if journal.last_seq >= limits.SNAPSHOT_EVENTS and journal.last_seq > self._last:
            self._take(journal)
        await self._write()

    async def _write(self) -> None:
        snapshot, self._taken = self._taken, None
        if snapshot is None or self._path is None:
            return
        path = self._path
        try:
            await self._run_in_thread(lambda: write_snapshot(path, snapshot))
        except OSError as error:
            self.counts["failed"] += 1
            log.warning("snapshot", cause=str(error), next="the next start reads more of the journal")
        else:
            self.counts["written"] += 1


def _check_structure(path: Path) -> None:
    with open_journal(path) as journal:
        journal.check_structure()
