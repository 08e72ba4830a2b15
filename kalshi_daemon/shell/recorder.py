"""The recorder: what the sockets bring and what becomes of it, kept in files while the daemon trades.

Whoever has something to record says it here in its own step. Records gather in a block in memory; a full one, or one
of `RECORDING_FLUSH_S`, is compressed and written in a thread.

Rules:
- Nobody waits for it. When `RECORDING_BLOCKS_MAX` blocks wait for the disk, records are dropped whole and counted until
  half of them are written: then a `Hole` says how many there were, and a `Checkpoint` how the books stand.
- A disk that fails stops the recording: an alarm, and another segment after `RECORDING_RETRY_S`. Nothing else of the
  daemon hears of it.
- A frame stands in the recording where a book took it; one that no book took, where it was handled.
- Each segment begins with all that is needed to read it alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.errors import OperatingError
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.journal import RunInThread
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.recording_directory import RecordingDirectory
from kalshi_daemon.units import Milliseconds, Ticker
from kalshi_daemon.wire.records import (
    FORMAT,
    BooksLost,
    BookState,
    Checkpoint,
    Frame,
    Head,
    Hole,
    Levels,
    LevelsRead,
    MarketsWanted,
    Record,
    RecordBlock,
)

BEHIND: Final = "the disk is slower than what is recorded"


@frozen
class _Portion:
    """What is written in one go. `begins`: the number of the segment that it is the first of; 0: of none."""

    data: bytearray
    count: int
    begins: int


class Recorder:
    def __init__(
        self,
        directory: RecordingDirectory,
        clock: Clock,
        run_in_thread: RunInThread,
        books: Callable[[], list[BookState]],
        versions: Callable[[], Mapping[str, str]],
        alarm: Callable[[str, str], None],
    ) -> None:
        """`books`: as they stand at the moment of asking. Nothing is recorded before `begin`."""
        self.also: Callable[[], Iterable[Record]] = tuple  # what stands behind each checkpoint
        self.counts = Counter(records=0, dropped=0, bytes=0, segments=0, failures=0)
        self._directory = directory
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._books = books
        self._versions = versions
        self._alarm = alarm
        self._run = ""
        self._records = False  # it was begun, and does not end
        self._segment = 0  # of what gathers
        self._begins = 0  # of the block that gathers, as in a portion
        self._begun = 0  # the segment on the disk
        self._size = 0  # of it
        self._block = RecordBlock()
        self._waiting: deque[_Portion] = deque()  # the first may be on its way to the disk
        self._heard: tuple[str, str | bytes, Milliseconds] | None = None  # the frame that is being handled
        self._hole = ""  # why records are dropped; empty while none are
        self._hole_ms: Milliseconds = 0
        self._hole_before = 0  # what was dropped before it
        self._wake = trio.Event()
        self._ending = trio.Event()
        self._ended = trio.Event()

    @property
    def waiting(self) -> int:
        """Blocks that are full and not yet written."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """Why records are dropped now; empty where none are."""
        return self._hole

    # ------------------------------------------------------------------------------------------------ what is told us

    def begin(self, run: str) -> None:
        """From here on all is recorded, and written when `run` runs."""
        self._run, self._records = run, True
        self._begin_segment()

    def hear(self, session: str, frame: str | bytes, at_ms: Milliseconds) -> None:
        """A frame came, and is about to be handled."""
        if self._heard is not None:  # handling the one before raised
            self.handled()
        self._heard = (session, frame, at_ms)

    def took(self, noted_ms: Milliseconds) -> None:
        """The frame that is being handled is about to change a book, at this time of the exchange's; 0: a print."""
        heard, self._heard = self._heard, None
        assert heard is not None, "a book takes what a session heard"
        self._keep(*heard, noted_ms)

    def handled(self) -> None:
        """The frame that was heard last is done with."""
        heard, self._heard = self._heard, None
        if heard is not None:
            self._keep(*heard, None)

    def read(self, market: Ticker, yes: Levels, no: Levels, noted_ms: Milliseconds) -> None:
        """These levels were read by REST, and are about to be put into a book."""
        self.note(LevelsRead(self._clock.now_ms(), market, yes, no, noted_ms))

    def wanted(self, markets: Sequence[Ticker]) -> None:
        self.note(MarketsWanted(self._clock.now_ms(), list(markets)))

    def lost(self, markets: Sequence[Ticker]) -> None:
        self.note(BooksLost(self._clock.now_ms(), list(markets)))

    def note(self, record: Record) -> None:
        if not self._records:
            return
        if self._hole:
            self.counts["dropped"] += 1
            return
        self._block.add(record)
        if len(self._block.data) >= limits.RECORDING_BLOCK:
            self._push()

    def _keep(self, session: str, frame: str | bytes, at_ms: Milliseconds, noted_ms: Milliseconds | None) -> None:
        data = frame.encode() if isinstance(frame, str) else frame
        self.note(Frame(at_ms, session, data, noted_ms))

    # ------------------------------------------------------------------------------------------------------ in memory

    def _begin_segment(self) -> None:
        self._push()
        self._segment += 1
        self._begins = self._segment
        self._stand_alone(Head(FORMAT, self._run, self._segment, self._clock.now_ms(), dict(self._versions())))

    def _stand_alone(self, *first: Record) -> None:
        """What is noted from here on needs nothing that was noted before. A hole is over."""
        why, self._hole = self._hole, ""
        now_ms = self._clock.now_ms()
        for record in first:
            self.note(record)
        if why:
            self.note(Hole(now_ms, self._hole_ms, self.counts["dropped"] - self._hole_before, why))
        self.note(Checkpoint(now_ms, self._books()))
        for record in self.also():
            self.note(record)

    def _push(self) -> None:
        """The block that gathers is complete."""
        if not self._block.count:
            return
        self._waiting.append(_Portion(self._block.close(), self._block.count, self._begins))
        self._block, self._begins = RecordBlock(), 0
        self._wake.set()
        if len(self._waiting) >= limits.RECORDING_BLOCKS_MAX and not self._hole:
            log.warning("recording", cause=BEHIND, next="records are dropped until half of what waits is written")
            self._drop(BEHIND)

    def _drop(self, why: str) -> None:
        if not self._hole:
            self._hole_ms, self._hole_before = self._clock.now_ms(), self.counts["dropped"]
        self._hole = why

    def _lose(self, why: str) -> None:
        """What gathers and what waits will not be written."""
        self._drop(why)
        self.counts["dropped"] += self._block.count + sum(portion.count for portion in self._waiting)
        self._waiting.clear()
        self._block, self._begins = RecordBlock(), 0

    # ---------------------------------------------------------------------------------------------------- to the disk

    async def run(self) -> None:
        """Never returns."""
        if self._begun:  # it crashed, and is started again
            self._lose("the recorder was started again")
            self._begin_segment()
        try:
            while not self._ended.is_set():
                with trio.move_on_after(limits.RECORDING_FLUSH_S):
                    await self._wake.wait()
                self._wake = trio.Event()
                try:
                    await self._write()
                except (OSError, OperatingError) as error:
                    await self._failed(error)
        finally:
            self._directory.close()
        await trio.sleep_forever()

    async def end(self) -> None:
        """Write what there is and seal it, as far as the disk allows it within `RECORDING_SEAL_S`."""
        if self._records:
            self._push()
            self._records = False
            self._ending.set()
            self._wake.set()
            with trio.move_on_after(limits.RECORDING_SEAL_S):
                await self._ended.wait()

    async def _write(self) -> None:
        if not self._waiting:
            self._push()
        while self._waiting:
            await self._write_portion(self._waiting[0])
            self._waiting.popleft()
            if self._hole and len(self._waiting) <= limits.RECORDING_BLOCKS_MAX // 2:
                log.info("recording", detail="records are kept again", dropped=self.counts["dropped"])
                self._stand_alone()
            if self._size >= limits.RECORDING_SEGMENT and self._begun == self._segment and not self._hole:
                self._begin_segment()
        if self._ending.is_set():
            await self._run_in_thread(self._directory.seal)
            self._ended.set()

    async def _write_portion(self, portion: _Portion) -> None:
        if portion.begins:
            await self._run_in_thread(partial(self._directory.begin, self._run, portion.begins))
            self._begun, self._size = portion.begins, 0
            self.counts["segments"] += 1
        size = await self._run_in_thread(partial(self._directory.write, portion.data, portion.count))
        self.counts["records"] += portion.count
        self.counts["bytes"] += size - self._size
        self._size = size

    async def _failed(self, error: Exception) -> None:
        self.counts["failures"] += 1
        self._lose(str(error))
        self._alarm(
            "recording_failed",
            f"{error}; nothing is recorded while this lasts, trading goes on; free its disk, or mend the directory",
        )
        await self._run_in_thread(self._directory.abandon)
        with trio.move_on_after(limits.RECORDING_RETRY_S):
            await self._ending.wait()
            self._ended.set()
            return
        self._begin_segment()
