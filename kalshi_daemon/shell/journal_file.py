"""The journal's files as bytes, looked at before SQLite is: what it would mend, or pass over in silence.

    journal.sqlite3       the database: a header of 100 bytes, then pages
    journal.sqlite3-wal   commits that are not yet folded into the database: a header of 32 bytes, then frames of a page

SQLite ends its log at the first frame whose checksum does not fit and says nothing of those after it. A process that
ended in the middle of a commit leaves such a frame, and nothing that anybody relied on is lost with it. But a commit is
on the disk before the next one begins, so that a commit after the bad frame shows that the bad one was whole once: the
log is damaged, and reading on would lose what was durable.

Rules: nothing is written here. What is damaged is named with its file and place.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import Final

from attrs import frozen

from kalshi_daemon.errors import JournalCorrupt, OperatingError
from kalshi_daemon.limits import JOURNAL_LOOKS_MAX

MEND: Final = "restore the state directory from a copy, or move it away and start from the exchange alone"
APPLICATION_ID: Final = 0x6B64_6A31  # "kdj1", in SQLite's own header: a file of somebody else's is not taken for ours

MAGIC: Final = b"SQLite format 3\x00"
HEADER: Final = struct.Struct(">16s2x2B48xI28x")  # magic, write and read version, application id
WAL_VERSION: Final = 2  # of both, where the database keeps a write-ahead log

LOG_HEADER: Final = struct.Struct(">8I")
LOG_MAGICS: Final = {0x377F_0682: "<", 0x377F_0683: ">"}  # and the byte order of the words that are summed
LOG_VERSION: Final = 3_007_000
FRAME_HEADER: Final = struct.Struct(">6I")
TORN: Final = "as one that its process did not live to finish: it is cut off"
PAGE_SIZES: Final = frozenset(512 << power for power in range(8))
WORD: Final = 0xFFFF_FFFF


@frozen
class Frame:
    """One page in the log, by number from 1. `fits`: its checksum follows from all before it."""

    number: int
    commits: bool  # the last of a transaction
    fits: bool


def examine(path: Path) -> str:
    """Of the database and its log: empty where both are whole, or what is said of a torn tail. Where another process
    writes to the log, only what two looks show alike is judged.

    Raises JournalCorrupt, and OperatingError where they cannot be read.
    """
    log_path = path.with_name(path.name + "-wal")
    try:
        with path.open("rb") as file:
            header = file.read(HEADER.size)
        if header:
            _examine_header(header, path)
        before: bytes | None = None
        for _ in range(JOURNAL_LOOKS_MAX):
            log = log_path.read_bytes() if log_path.exists() else b""
            note, damage = _judge_log(log, log_path)
            if not note and damage is None:
                return ""
            if log == before:
                break
            before = log
        else:
            return ""  # its writer is at work, and will verify it when it starts again
    except OSError as error:
        raise OperatingError(f"the journal {path} cannot be read: {error.strerror}") from error
    if damage is not None:
        raise damage
    return note


def _examine_header(header: bytes, path: Path) -> None:
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        raise JournalCorrupt(f"{path} is not a journal of this daemon, or its header is damaged; {MEND}")
    _magic, *versions, application = HEADER.unpack(header)
    if application == APPLICATION_ID and versions != [WAL_VERSION, WAL_VERSION]:
        raise JournalCorrupt(f"the header of the journal {path} is damaged: format versions {versions}; {MEND}")


def _judge_log(log: bytes, path: Path) -> tuple[str, JournalCorrupt | None]:
    """What is said of a torn tail, or the damage."""
    try:
        return _examine_log(log, path), None
    except JournalCorrupt as damage:
        return "", damage


def _examine_log(log: bytes, path: Path) -> str:
    if len(log) < LOG_HEADER.size:
        return ""  # begun, and nothing was committed to it
    frames = _frames(log, path)
    bad = next((frame for frame in frames if not frame.fits), None)
    if bad is None:
        whole = not frames or frames[-1].commits
        return "" if whole else f"the last commit in {path} ends at frame {frames[-1].number}, {TORN}"
    first_commit = next((frame.number for frame in frames if frame.number >= bad.number and frame.commits), bad.number)
    if frames[-1].number > first_commit:
        raise JournalCorrupt(
            f"frame {bad.number} of {path} is damaged, and commits follow it up to frame {frames[-1].number}; {MEND}"
        )
    return f"the last commit in {path} does not fit at frame {bad.number}, {TORN}"


def _frames(log: bytes, path: Path) -> list[Frame]:
    """Those of this generation of the log: behind them, with another salt, is what an earlier one left over."""
    magic, version, page_size, _, *salts, sum0, sum1 = LOG_HEADER.unpack_from(log)
    order = LOG_MAGICS.get(magic)
    if order is None or version != LOG_VERSION or page_size not in PAGE_SIZES:
        raise JournalCorrupt(f"the header of {path} is damaged; {MEND}")
    sums = _summed(log[: LOG_HEADER.size - 8], order, 0, 0)
    if sums != (sum0, sum1):
        raise JournalCorrupt(f"the header of {path} does not match its checksum; {MEND}")
    size = FRAME_HEADER.size + page_size
    chained = True
    frames: list[Frame] = []
    last = 0  # of those that say they are of this generation
    for number, start in enumerate(range(LOG_HEADER.size, len(log) - size + 1, size), 1):
        _page, pages, *own_salts, sum0, sum1 = FRAME_HEADER.unpack_from(log, start)
        ours = own_salts == salts
        if chained:
            sums = _summed(log[start : start + 8], order, *sums)
            sums = _summed(log[start + FRAME_HEADER.size : start + size], order, *sums)
            chained = ours and sums == (sum0, sum1)
        last = number if ours else last
        frames.append(Frame(number, commits=pages > 0, fits=chained))
    if last == len(frames) and (len(log) - LOG_HEADER.size) % size:
        last += 1
        frames.append(Frame(last, commits=False, fits=False))  # it ends within this one
    return frames[:last]


def _summed(data: bytes, order: str, sum0: int, sum1: int) -> tuple[int, int]:
    """SQLite's running checksum over pairs of words (its file format, 4.2)."""
    words = array("I", data)
    if (order == "<") is not (array("H", b"\x01\x00")[0] == 1):
        words.byteswap()
    pairs = iter(words)
    for first, second in zip(pairs, pairs, strict=True):
        sum0 = (sum0 + first + sum1) & WORD
        sum1 = (sum1 + second + sum0) & WORD
    return sum0, sum1
