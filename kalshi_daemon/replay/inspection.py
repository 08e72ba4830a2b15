"""What recordings there are, and whether they are whole: every byte by its checksum, every book by its checkpoints.

Rules: it only reads, also beside the daemon that writes. A segment that is damaged is told by name and place, and the
others are looked at all the same. One that was cut off is whole as far as it goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from attrs import Factory, define, frozen

from kalshi_daemon.errors import EXIT_REFUSED, EXIT_STOPPED, RecordingDamaged
from kalshi_daemon.replay.books import BooksDiffer, RecordedBooks
from kalshi_daemon.shell.journal_text import iso
from kalshi_daemon.shell.recording_file import NAME, SegmentReader
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire.records import Head, Hole

SEALED: Final = "sealed"
OPEN: Final = "open"  # no footer: it is being written, or its writer was killed
TORN: Final = "torn"  # the same, in the middle of a block
DAMAGED: Final = "damaged"
DIFFERS: Final = "differs"  # as it was written, and the books of a checkpoint do not follow from what stands before
WRONG: Final = (DAMAGED, DIFFERS)


@define
class SegmentSeen:
    """What stands in a segment, as far as it was read."""

    path: Path
    verdict: str = OPEN
    detail: str = ""
    head: Head | None = None
    blocks: int = 0
    bytes: int = 0
    unpacked: int = 0
    first_ms: Milliseconds = 0
    last_ms: Milliseconds = 0
    records: Counter[str] = Factory(Counter)  # by kind
    dropped: int = 0

    def read(self, books: RecordedBooks) -> None:
        """To its end. Raises RecordingAbsent."""
        reader = SegmentReader(self.path)
        self.bytes = self.path.stat().st_size
        try:
            for block in reader.blocks():
                self.blocks += 1
                self.unpacked += block.unpacked
                for record in block.records:
                    self.head = self.head or (record if isinstance(record, Head) else None)
                    self.records[type(record).__name__] += 1
                    self.dropped += record.records if isinstance(record, Hole) else 0
                    self.last_ms = getattr(record, "at_ms", self.last_ms)
                    self.first_ms = self.first_ms or self.last_ms
                    books.apply(record)
        except RecordingDamaged as error:
            self.verdict, self.detail = DAMAGED, str(error)
        except BooksDiffer as error:
            self.verdict, self.detail = DIFFERS, f"the books do not follow from the records: {error}"
        else:
            self.verdict = SEALED if reader.sealed else TORN if reader.cut else OPEN
            self.detail = f"{reader.cut} bytes of a block that was not written whole are cut" if reader.cut else ""

    def as_dict(self) -> dict[str, object]:
        return {
            "segment": self.path.name,
            "verdict": self.verdict,
            "blocks": self.blocks,
            "records": self.records.total(),
            "bytes": self.bytes,
            "unpacked": self.unpacked,
            "dropped": self.dropped,
            "from": iso(self.first_ms),
            "to": iso(self.last_ms),
            "detail": self.detail,
        }


@frozen
class Verification:
    segments: Sequence[SegmentSeen]
    checkpoints: int  # that were proved by what stands before

    @property
    def verdict(self) -> str:
        """Of the worst."""
        verdicts = {segment.verdict for segment in self.segments}
        return next((wrong for wrong in WRONG if wrong in verdicts), "whole")

    @property
    def exit_code(self) -> int:
        return EXIT_REFUSED if self.verdict in WRONG else EXIT_STOPPED

    def as_dict(self) -> dict[str, object]:
        kinds: Counter[str] = sum((segment.records for segment in self.segments), Counter())
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "records": dict(sorted(kinds.items())),
            "dropped": sum(segment.dropped for segment in self.segments),
            "checkpoints": self.checkpoints,
            "missing": list(_missing([segment.path for segment in self.segments])),
            "segments": [segment.as_dict() for segment in self.segments],
        }


def verify(paths: Sequence[Path]) -> Verification:
    """Of segments in their order. Raises RecordingAbsent."""
    seen, books, proved = [], RecordedBooks(), 0
    for path in paths:
        segment = SegmentSeen(path)
        segment.read(books)
        seen.append(segment)
        if segment.verdict in WRONG:
            proved, books = proved + books.checkpoints, RecordedBooks()
    return Verification(seen, proved + books.checkpoints)


def runs(paths: Sequence[Path]) -> Iterator[dict[str, object]]:
    """A line for each run. Its first head and its last segment are read. Raises RecordingAbsent."""
    for run, found in groupby(paths, lambda path: path.name.partition("-")[0]):
        segments = list(found)
        first, last = SegmentSeen(segments[0]), SegmentSeen(segments[-1])
        for segment in (first, last) if len(segments) > 1 else (last,):
            segment.read(RecordedBooks())
        begun = first if len(segments) > 1 else last
        wrong = [segment.detail for segment in (begun, last) if segment.verdict in WRONG]
        yield {
            "run": run,
            "from": iso(begun.first_ms),
            "to": iso(last.last_ms),
            "segments": len(segments),
            "bytes": sum(path.stat().st_size for path in segments),
            "daemon": begun.head.versions.get("kalshi-daemon", "") if begun.head else "",
            "last": last.verdict,
            "missing": len(list(_missing(segments))),
            "detail": wrong[0] if wrong else "",
        }


def _missing(paths: Sequence[Path]) -> Iterator[str]:
    """Segments between those of a run: removed by somebody, or never written because the disk failed."""
    names = [found for path in paths if (found := NAME.fullmatch(path.name))]
    for run, own in groupby(names, lambda name: name[1]):
        numbers = [int(name[2]) for name in own]
        yield from (f"{run}-{number:06d}" for number in range(numbers[0], numbers[-1]) if number not in numbers)
