"""Where a recording is kept: one segment that grows, and the ones before it, the oldest of which make room.

Everything here waits for the disk, and is called in a thread, one call at a time.

Rules:
- One daemon writes to a directory at a time. A segment is sealed before the next is begun.
- All segments together stay below `bytes_max`, of whatever run: the oldest are removed before one is begun.
- The last `RECORDING_DISK_LEAST` bytes of the disk are left to others: the journal may be on the same one.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from kalshi_daemon.errors import RecordingAbsent
from kalshi_daemon.limits import RECORDING_DISK_LEAST, RECORDING_SEGMENT
from kalshi_daemon.shell.recording_file import SegmentWriter, segment_name, segments_of
from kalshi_daemon.shell.state_directory import lock_directory, make_directory


class RecordingDirectory:
    def __init__(self, path: Path, bytes_max: int) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self._writer: SegmentWriter | None = None
        self._lock: int | None = None

    def begin(self, run: str, number: int) -> None:
        """The segment that `write` goes to from here on. Raises OSError, OperatingError."""
        self.seal()
        if self._lock is None:
            make_directory(self.path, 0o700)
            self._lock = lock_directory(self.path / "recording", "recording")
        self._make_room()
        self._writer = SegmentWriter(self.path / segment_name(run, number))

    def write(self, records: bytes | bytearray, count: int) -> int:
        """One block; returns the bytes that its segment has by now. Raises OSError."""
        assert self._writer is not None, "a segment is begun first"
        disk = os.statvfs(self.path)
        if disk.f_bavail * disk.f_frsize < RECORDING_DISK_LEAST:
            raise OSError(errno.ENOSPC, f"less than {RECORDING_DISK_LEAST} bytes of its disk are free", str(self.path))
        self._writer.write(records, count)
        return self._writer.size

    def seal(self) -> None:
        """What is open is complete. Raises OSError."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.seal()

    def abandon(self) -> None:
        """What is open stays as it is."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # it has told already why it is abandoned
                writer.close()

    def close(self) -> None:
        """Another daemon may write here."""
        self.abandon()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _make_room(self) -> None:
        """For a segment more."""
        try:
            kept = [(path, path.stat().st_size) for path in segments_of(self.path)]
        except RecordingAbsent:
            return
        total = sum(size for _, size in kept)
        for path, size in kept:
            if total <= self.bytes_max - RECORDING_SEGMENT:
                return
            path.unlink(missing_ok=True)
            total -= size
