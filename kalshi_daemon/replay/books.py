"""The books of a recording: the records applied in their order to the daemon's own table, books and windows.

Rules:
- A frame is applied where a book took it live, at the time it was noted at then: sequence numbers, subscriptions and
  proofs were judged by the daemon that recorded, and are not judged again.
- What a checkpoint says must be what came of the records before it. After a hole, or where segments are missing, it is
  taken over instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_daemon.core.book import BookBroken
from kalshi_daemon.errors import RecordingDamaged, WireError
from kalshi_daemon.facts import BookDelta, BookSnapshot, TradePrinted
from kalshi_daemon.shell.book_memory import remember, restore
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.wire.feed import Decoded, decode_frame
from kalshi_daemon.wire.records import (
    BooksLost,
    BookState,
    Checkpoint,
    Frame,
    Head,
    Hole,
    LevelsRead,
    MarketsWanted,
    Record,
)


class BooksDiffer(Exception):
    """A checkpoint shows another book than the records before it lead to."""


class RecordedBooks:
    """The books as they were at the record that was applied last."""

    def __init__(self) -> None:
        self.table = BookTable()
        self.checkpoints = 0  # that were found to be what the records led to
        self._segment = ("", 0)
        self._known = False  # what stands in the table follows from a checkpoint, record by record

    def apply(self, record: Record) -> None:
        """Raises BooksDiffer, RecordingDamaged."""
        match record:
            case Frame() if record.noted_ms is not None:
                self._apply_frame(record, record.noted_ms)
            case LevelsRead():
                self._read(record)
            case BooksLost():
                self.table.lose([market for market in record.markets if market in self.table.books])
            case MarketsWanted():
                self.table.want(record.markets)
            case Checkpoint():
                self._check(record)
            case Hole():
                self._known = False
            case Head():
                run, number = self._segment
                self._known = self._known and (record.run, record.segment) == (run, number + 1)
                self._segment = record.run, record.segment

    def _apply_frame(self, frame: Frame, noted_ms: int) -> None:
        decoded = _decoded(frame)
        if isinstance(decoded, TradePrinted):
            self.table.on_trade(decoded)
            return
        book = self.table.books.get(decoded.market)
        if book is None:
            raise RecordingDamaged(f"a book of {decoded.market} took a frame, and the records show none")
        try:
            if isinstance(decoded, BookSnapshot):
                book.apply_snapshot(decoded)
            else:
                book.apply_delta(decoded)
            book.prove_uncrossed()
        except BookBroken:
            return  # as it was live, where a record says next that it was lost
        self.table.changed(book, noted_ms)

    def _read(self, read: LevelsRead) -> None:
        book = self.table.books[read.market]
        try:
            book.replace(read.yes, read.no, clock=None, ts_ms=None)
            book.prove_uncrossed()
        except BookBroken:
            return
        self.table.changed(book, read.noted_ms)

    def _check(self, checkpoint: Checkpoint) -> None:
        if self._known:
            difference = _difference(remember(self.table), checkpoint.books)
            if difference:
                raise BooksDiffer(difference)
            self.checkpoints += 1
        restore(self.table, checkpoint.books)
        self._known = True


def _decoded(frame: Frame) -> BookDelta | BookSnapshot | TradePrinted:
    try:
        decoded: Decoded = decode_frame(frame.data, frame.at_ms)
    except WireError as error:
        raise RecordingDamaged(f"a frame that a book took at {frame.at_ms} cannot be read: {error}") from error
    if not isinstance(decoded, BookDelta | BookSnapshot | TradePrinted):
        raise RecordingDamaged(f"a frame that a book took at {frame.at_ms} is none of books: {type(decoded).__name__}")
    return decoded


def _difference(replayed: Sequence[BookState], recorded: Sequence[BookState]) -> str:
    """The first: market, field and both values; empty where there is none."""
    ours, theirs = ({state.market: state for state in states} for states in (replayed, recorded))
    for market in sorted(ours.keys() | theirs.keys()):
        if market not in ours or market not in theirs:
            return f"{market} is kept by the {'records' if market in ours else 'checkpoint'} alone"
        for field in BookState.__struct_fields__:
            one, other = getattr(ours[market], field), getattr(theirs[market], field)
            if one != other:
                return f"{market}: {field} is {one} by the records, {other} in the checkpoint"
    return ""
