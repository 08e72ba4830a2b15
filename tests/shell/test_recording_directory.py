"""The directory of recordings: bounded, one writer at a time, and never the last of a disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from kalshi_daemon.errors import JournalLocked
from kalshi_daemon.shell import recording_directory
from kalshi_daemon.shell.recording_directory import RecordingDirectory
from kalshi_daemon.shell.recording_file import SegmentReader, run_of, segment_name, segments_of
from kalshi_daemon.wire.records import FORMAT, Frame, Head, RecordBlock

OLDER, NEWER = "0t5h6j7abcde", "0t5h6j8abcde"
SEGMENT = 10_000


def block(number: int) -> RecordBlock:
    """A head, and some kilobytes that cannot be compressed."""
    gathered = RecordBlock()
    gathered.add(Head(FORMAT, NEWER, number, 0, {}))
    gathered.add(Frame(0, "market", os.urandom(4_000), None))
    return gathered


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_directory, "RECORDING_SEGMENT", SEGMENT)


@pytest.mark.usefixtures("small")
def test_the_oldest_segments_make_room(tmp_path: Path) -> None:
    """Of whatever run; before a segment is begun all together leave room for it, and nothing else is removed."""
    for run in (OLDER, NEWER):
        for number in range(1, 4):
            (tmp_path / segment_name(run, number)).write_bytes(bytes(SEGMENT))
    (tmp_path / "notes.txt").write_bytes(bytes(10 * SEGMENT))
    directory = RecordingDirectory(tmp_path, 4 * SEGMENT)
    directory.begin("0t5h6j9abcde", 1)
    kept = [*((NEWER, number) for number in (1, 2, 3)), ("0t5h6j9abcde", 1)]
    assert [run_of(path) for path in segments_of(tmp_path)] == kept
    assert (tmp_path / "notes.txt").exists()
    directory.close()


@pytest.mark.usefixtures("small")
def test_a_bound_of_less_than_a_segment_keeps_the_one_that_grows(tmp_path: Path) -> None:
    """Each that was sealed goes when the next begins."""
    directory = RecordingDirectory(tmp_path, 1)
    for number in range(1, 4):
        directory.begin(NEWER, number)
        gathered = block(number)
        directory.write(gathered.close(), gathered.count)
        assert [path.name for path in segments_of(tmp_path)] == [segment_name(NEWER, number)]
    directory.close()


def test_a_segment_is_sealed_before_the_next_and_at_the_end(tmp_path: Path) -> None:
    """One that is abandoned has no seal, and all that was written to it."""
    directory = RecordingDirectory(tmp_path / "new" / "recordings", 10**9)
    sizes = []
    for number in (1, 2, 3):
        directory.begin(NEWER, number)
        gathered = block(number)
        sizes.append(directory.write(gathered.close(), gathered.count))
    directory.abandon()
    readers = [SegmentReader(path) for path in segments_of(directory.path)]
    assert [len(list(reader.records())) for reader in readers] == [2, 2, 2]
    assert [reader.sealed for reader in readers] == [True, True, False]
    assert sizes[2] == readers[2].path.stat().st_size
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    directory.close()


def test_one_daemon_writes_at_a_time(tmp_path: Path) -> None:
    """A second is refused by the name of the first, until that one closes it."""
    first, second = RecordingDirectory(tmp_path, 10**9), RecordingDirectory(tmp_path, 10**9)
    first.begin(OLDER, 1)
    with pytest.raises(JournalLocked, match=f"the recording directory .* is in use by process {os.getpid()}"):
        second.begin(NEWER, 1)
    first.close()
    second.begin(NEWER, 1)
    second.close()


def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less free than the bound is a full disk, before it is one; what was written before stays whole."""
    directory = RecordingDirectory(tmp_path, 10**9)
    directory.begin(NEWER, 1)
    gathered = block(1)
    directory.write(gathered.close(), gathered.count)
    monkeypatch.setattr(recording_directory, "RECORDING_DISK_LEAST", 1 << 62)
    with pytest.raises(OSError, match="less than 4611686018427387904 bytes of its disk are free") as raised:
        directory.write(gathered.close(), gathered.count)
    assert raised.value.errno == errno.ENOSPC
    directory.close()
    assert len(list(SegmentReader(tmp_path / segment_name(NEWER, 1)).records())) == 2
