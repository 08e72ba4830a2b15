"""Segments: what is written reads back; what was cut is told, and what was changed is found wherever it is."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.errors import RecordingAbsent, RecordingDamaged
from kalshi_daemon.facts import PriceRange
from kalshi_daemon.limits import RECORDING_BLOCK_CAP
from kalshi_daemon.shell import recording_file
from kalshi_daemon.shell.recording_file import (
    HEADER,
    MAGIC,
    SegmentReader,
    SegmentWriter,
    run_of,
    segment_name,
    segments_of,
)
from kalshi_daemon.wire.records import (
    CLOSING,
    FORMAT,
    USABLE,
    Batch,
    BooksLost,
    BookState,
    Checkpoint,
    Decided,
    Frame,
    Head,
    Hole,
    LevelsRead,
    MarketsWanted,
    PolicyNamed,
    Record,
    RecordBlock,
    TermsKnown,
    WindowState,
)

RUN = "0t5h6j7abcde"
NOW_MS = 1_790_000_000_000
HEAD = Head(FORMAT, RUN, 1, NOW_MS, {"python": "3.11"})
WINDOW = WindowState([NOW_MS], [10_000], [0], NOW_MS, 11_000, NOW_MS + 100, 500, [(NOW_MS // 1000, 500)])
BOOK = BookState("M", [(5_500, 100)], [(4_400, 250)], True, 7, NOW_MS, None, 500, 5_600, WINDOW)
RECORDS: list[Record] = [
    HEAD,
    PolicyNamed(NOW_MS, "onnx", "ab" * 32, "cd" * 32, (500, 1_000), "take"),
    Checkpoint(NOW_MS, [BOOK]),
    Frame(NOW_MS + 1, "market", b'{"type":"orderbook_delta"}', NOW_MS),
    Frame(NOW_MS + 2, "account", b"\x00\xff", None),
    LevelsRead(NOW_MS + 3, "M", [(5_500, 100)], [], NOW_MS),
    MarketsWanted(NOW_MS + 4, ["M", "N"]),
    BooksLost(NOW_MS + 5, ["M"]),
    TermsKnown(NOW_MS + 6, "M", 70_000, (PriceRange(0, 10_000, 100),)),
    Batch(1, 1, NOW_MS, -3, True, 12, 5_000_000, 9, [Decided("M", 7, USABLE | CLOSING, 0)], [("N", 1)], 0xFFFFFFFF, 0),
    Hole(NOW_MS + 9, NOW_MS + 8, 4, "the disk is slow"),
]


def write(path: Path, *blocks: Iterable[Record], seal: bool = True) -> list[int]:
    """A segment of these blocks; where each of them begins, and where the last ends."""
    writer = SegmentWriter(path)
    starts = [writer.size]
    for records in blocks:
        block = RecordBlock()
        for record in records:
            block.add(record)
        writer.write(block.close(), block.count)
        starts.append(writer.size)
    if seal:
        writer.seal()
    else:
        writer.close()
    return starts


def test_records_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Every kind, over several blocks, in order; a sealed segment says so and nothing of it is cut."""
    path = tmp_path / segment_name(RUN, 1)
    write(path, RECORDS[:4], RECORDS[4:])
    reader = SegmentReader(path)
    blocks = list(reader.blocks())
    assert [record for block in blocks for record in block.records] == RECORDS
    assert [len(block.records) for block in blocks] == [4, len(RECORDS) - 4]
    assert (reader.sealed, reader.cut) == (True, 0)
    assert sum(block.size for block in blocks) == path.stat().st_size - len(MAGIC) - HEADER.size - 32
    assert run_of(path) == (RUN, 1)
    assert path.read_bytes()[-32:] == sha256(path.read_bytes()[:-32]).digest()


@given(st.lists(st.binary(max_size=300), max_size=30), st.lists(st.integers(0, 30), max_size=3))
def test_frames_of_any_bytes_read_back(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes], cuts: list[int]
) -> None:
    """Whatever a frame holds and however records fall into blocks, what is read is what was written."""
    path = tmp_path_factory.mktemp("frames") / segment_name(RUN, 1)
    records = [HEAD, *(Frame(NOW_MS + at, "market", data, None) for at, data in enumerate(frames))]
    places = [0, *sorted(1 + min(cut, len(frames)) for cut in cuts), len(records)]
    write(path, *(records[start:end] for start, end in pairwise(places)))
    assert list(SegmentReader(path).records()) == records


def test_files_are_their_users_alone(tmp_path: Path) -> None:
    """Mode 0600, and a segment is never written over."""
    path = tmp_path / segment_name(RUN, 1)
    write(path, RECORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        SegmentWriter(path)


def test_a_segment_cut_off_anywhere_keeps_its_whole_blocks(tmp_path: Path) -> None:
    """Of a file that ends at any byte, the blocks before are read, and the bytes of the torn one are told."""
    whole = tmp_path / segment_name(RUN, 1)
    starts = write(whole, RECORDS[:2], RECORDS[2:5], RECORDS[5:])
    data = whole.read_bytes()
    torn = tmp_path / segment_name(RUN, 2)
    for length in range(len(data)):
        torn.write_bytes(data[:length])
        reader = SegmentReader(torn)
        read = list(reader.records())
        complete = [start for start in starts if start <= length]
        assert len(read) == [0, 0, 2, 5, len(RECORDS)][len(complete)]
        assert read == RECORDS[: len(read)]
        assert (reader.sealed, reader.cut) == (False, length - (complete[-1] if complete else 0))


def test_a_segment_that_is_being_written_ends_with_its_last_block(tmp_path: Path) -> None:
    """Without a footer nothing is cut where the last block is whole."""
    path = tmp_path / segment_name(RUN, 1)
    write(path, RECORDS, seal=False)
    reader = SegmentReader(path)
    assert list(reader.records()) == RECORDS
    assert (reader.sealed, reader.cut) == (False, 0)


@pytest.mark.parametrize("seal", [True, False])
def test_damage_is_found_at_every_byte(tmp_path: Path, seal: bool) -> None:
    """One bit of any byte turned: the blocks before it are read, and then the segment is refused by name."""
    path = tmp_path / segment_name(RUN, 1)
    starts = write(path, RECORDS[:2], RECORDS[2:], seal=seal)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(bytes((*data[:at], data[at] ^ 1 << at % 8, *data[at + 1 :])))
        read: list[Record] = []
        with pytest.raises(RecordingDamaged, match=rf"{RUN}-000001.kdrec is damaged at byte \d+: "):
            read.extend(SegmentReader(path).records())
        assert read in ([], RECORDS[:2], RECORDS)
        assert len(read) == (0 if at < starts[1] else 2 if at < starts[2] else len(RECORDS))


def _body(data: bytes, count: int) -> bytes:
    body = zlib.compress(data)
    return recording_file._header(len(body), count, zlib.crc32(body)) + body


OTHER_FORM = RecordBlock()
OTHER_FORM.add(msgspec.structs.replace(HEAD, format=FORMAT + 1))
NO_HEAD = RecordBlock()
NO_HEAD.add(RECORDS[1])
REFUSED = {
    "a block is larger than": _body(bytes(RECORDING_BLOCK_CAP + 1), 1),
    "a block cannot be read": _body(b"\xdd\x00\x00\x00\x01\x91\xa5other", 1),
    "a block holds 1 records, and says 2": _body(bytes(NO_HEAD.close()), 2),
    "it does not begin with its head": _body(bytes(NO_HEAD.close()), 1),
    f"it is of form {FORMAT + 1}; this version reads {FORMAT}": _body(bytes(OTHER_FORM.close()), 1),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_segment_of_ours_is_refused(tmp_path: Path, why: str) -> None:
    """With right checksums too: a body without end, of another kind, of another count, of another form."""
    path = tmp_path / segment_name(RUN, 1)
    path.write_bytes(MAGIC + REFUSED[why])
    with pytest.raises(RecordingDamaged, match=why):
        list(SegmentReader(path).records())


def test_another_file_is_refused(tmp_path: Path) -> None:
    """What does not begin as a recording is none."""
    path = tmp_path / segment_name(RUN, 1)
    path.write_bytes(b'{"frames": []}')
    with pytest.raises(RecordingDamaged, match="it is no recording of this form"):
        list(SegmentReader(path).records())


def test_segments_are_found_in_order(tmp_path: Path) -> None:
    """Of a directory by run and number, and nothing else of it; a file is its own; nothing is an error."""
    with pytest.raises(RecordingAbsent, match="there is no recording at"):
        segments_of(tmp_path)
    names = [segment_name(RUN, 1), segment_name(RUN, 2), segment_name(RUN, 10), segment_name("0t5h6j8aaaaa", 1)]
    for name in [*reversed(names), "recording.lock", "notes.kdrec"]:
        (tmp_path / name).touch()
    assert [path.name for path in segments_of(tmp_path)] == names
    assert segments_of(tmp_path / names[1]) == [tmp_path / names[1]]
    with pytest.raises(RecordingAbsent, match="there is no recording at"):
        segments_of(tmp_path / "absent.kdrec")
    with pytest.raises(RecordingAbsent, match="cannot be read"):
        list(SegmentReader(tmp_path / "absent.kdrec").records())
