"""Recordings as files: one directory, in it the segments of each run, each of which stands alone.

    1a2b3c4d5e6f-000001.kdrec      of run 1a2b3c4d5e6f; names sort by time

    magic, blocks, footer          8 bytes; as many as there are; none while it is being written, or was cut off
    block                          size, count, crc32 of the body, crc32 of these three; the body: records, by zlib
    footer                         a header of size 0, then the sha256 of all before it

Rules:
- What was cut off in the middle of a block is *torn*: the blocks before it are whole, and how much was cut is said.
  Everything else that does not read as it was written is *damaged*, and an error that names the place.
- A reader takes no more memory than `RECORDING_BLOCK_CAP` for a block, whatever the file says.
- Files are their user's alone (0600). A block is handed to the system when it is written, and a segment is flushed to
  the disk when it is sealed: a process that is killed loses what it had not written, a machine the last seconds.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from attrs import define, frozen

from kalshi_daemon.errors import RecordingAbsent, RecordingDamaged
from kalshi_daemon.limits import RECORDING_BLOCK_CAP
from kalshi_daemon.wire.records import FORMAT, Head, Record, read_block

MAGIC: Final = b"kdrec01\n"
HEADER: Final = struct.Struct(">IIII")
PROVEN: Final = struct.Struct(">III")  # of a header, what its own sum is made of
DIGEST_SIZE: Final = 32
LEVEL: Final = 1  # of zlib: a sixth of the time of the highest, for a quarter more bytes
SUFFIX: Final = ".kdrec"
NAME: Final = re.compile(r"([0-9a-z]{12})-([0-9]{6})\.kdrec")


@frozen
class Block:
    """`size` is in the file, `unpacked` in memory; both in bytes."""

    records: list[Record]
    size: int
    unpacked: int


def segment_name(run: str, number: int) -> str:
    return f"{run}-{number:06d}{SUFFIX}"


def run_of(path: Path) -> tuple[str, int]:
    """Run and number of a segment, by its name."""
    found = NAME.fullmatch(path.name)
    assert found is not None, f"{path} is no segment"
    return found[1], int(found[2])


def segments_of(path: Path) -> list[Path]:
    """The segments of a directory, by run and number; of a file, itself. Raises RecordingAbsent."""
    try:
        found = [each for each in sorted(path.iterdir()) if NAME.fullmatch(each.name)] if path.is_dir() else [path]
    except OSError as error:
        raise RecordingAbsent(f"{path} cannot be read: {error.strerror}") from error
    if not found or not found[0].exists():
        raise RecordingAbsent(f"there is no recording at {path}: KALSHI_RECORDING_DIR says where `run` keeps one")
    return found


# -------------------------------------------------------------------------------------------------------------- writing


class SegmentWriter:
    """One segment, from its making to its seal. Every method may raise OSError; after one it is only closed."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._digest = sha256()
        os.fchmod(self._descriptor, 0o600)  # whatever the umask takes away
        self._write(MAGIC)

    def write(self, records: bytes | bytearray, count: int) -> None:
        """One block: `records` as `RecordBlock.close` gives them."""
        body = zlib.compress(records, LEVEL)
        self._write(_header(len(body), count, zlib.crc32(body)) + body)

    def seal(self) -> None:
        """Nothing comes after it; the file is on the disk then, and its name."""
        self._write(_header(0, 0, 0))
        self._write(self._digest.digest())
        os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Without a seal: it stays as it is."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size += len(data)


def _header(size: int, count: int, crc: int) -> bytes:
    return HEADER.pack(size, count, crc, zlib.crc32(PROVEN.pack(size, count, crc)))


# -------------------------------------------------------------------------------------------------------------- reading


@define
class SegmentReader:
    """One segment. Read `blocks` or `records` to the end; then `sealed` and `cut` say how it ended."""

    path: Path
    sealed: bool = False  # it has its footer, and its digest is right
    cut: int = 0  # bytes of a block that was not written whole

    def records(self) -> Iterator[Record]:
        """Raises RecordingAbsent, RecordingDamaged."""
        for block in self.blocks():
            yield from block.records

    def blocks(self) -> Iterator[Block]:
        """Raises RecordingAbsent, RecordingDamaged."""
        try:
            with self.path.open("rb") as file:
                yield from self._blocks(file.read, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise RecordingAbsent(f"{self.path} cannot be read: {error.strerror}") from error

    def _blocks(self, read: Callable[[int], bytes], length: int) -> Iterator[Block]:
        """`length` is the file's when it was opened: what is written to it meanwhile is not looked at."""
        digest, first = sha256(), read(len(MAGIC))
        if not MAGIC.startswith(first):
            raise self._damaged(0, "it is no recording of this form")
        if len(first) < len(MAGIC):
            self.cut = len(first)
            return
        digest.update(first)
        at = len(first)
        while at < length:
            header = read(min(HEADER.size, length - at))
            if len(header) < HEADER.size:
                self.cut = length - at
                return
            size, count, crc, own = HEADER.unpack(header)
            if own != zlib.crc32(PROVEN.pack(size, count, crc)):
                raise self._damaged(at, "the header of a block does not match its checksum")
            digest.update(header)
            if not size:
                self._end(at, read(DIGEST_SIZE + 1), digest.digest())
                return
            if size > length - at - HEADER.size:
                self.cut = length - at
                return
            if size > RECORDING_BLOCK_CAP:
                raise self._damaged(at, f"a block of {size} bytes, at most {RECORDING_BLOCK_CAP}")
            body = read(size)
            digest.update(body)
            yield self._block(at, body, count, crc)
            at += HEADER.size + size

    def _block(self, at: int, body: bytes, count: int, crc: int) -> Block:
        if zlib.crc32(body) != crc:
            raise self._damaged(at, "a block does not match its checksum")
        try:
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(body, RECORDING_BLOCK_CAP)
            if not unpacking.eof:
                raise self._damaged(at, f"a block is larger than {RECORDING_BLOCK_CAP} bytes, or has no end")
            records = read_block(data)
        except (zlib.error, msgspec.DecodeError) as error:
            raise self._damaged(at, f"a block cannot be read: {error}") from error
        if len(records) != count:
            raise self._damaged(at, f"a block holds {len(records)} records, and says {count}")
        if at == len(MAGIC):
            self._check_head(records)
        return Block(records, HEADER.size + len(body), len(data))

    def _check_head(self, records: list[Record]) -> None:
        head = records[0] if records else None
        if not isinstance(head, Head):
            raise self._damaged(len(MAGIC), "it does not begin with its head")
        if head.format != FORMAT:
            raise self._damaged(len(MAGIC), f"it is of form {head.format}; this version reads {FORMAT}")

    def _end(self, at: int, digest: bytes, computed: bytes) -> None:
        if len(digest) < DIGEST_SIZE:
            self.cut = HEADER.size + len(digest)
        elif digest != computed:
            raise self._damaged(at, "its footer is not the digest of what stands before")
        else:
            self.sealed = True

    def _damaged(self, at: int, why: str) -> RecordingDamaged:
        return RecordingDamaged(f"{self.path.name} is damaged at byte {at}: {why}; what stands before is whole")
