"""Snapshots as files beside the journal: written whole or not at all, and read only where they prove themselves.

    journal.sqlite3-snapshot-000000100000      magic, seq, chain, code, size; the ledger's memory; crc32 of all before
    journal.sqlite3-snapshot-tmp               one that is being written

| field | holds |
|---|---|
| seq | the last event that is folded in it |
| chain | that event's checksum in the journal, which stands for all events before it |
| code | a digest of the code that folded it: another fold would come to another memory |

Rules: written to another name, flushed, renamed, and its directory flushed, so that under its own name it is whole. The
older ones go after that, all but the newest few. A snapshot is never needed: what it says is in the journal.
"""

from __future__ import annotations

import os
import struct
import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from attrs import frozen

from kalshi_daemon import __version__
from kalshi_daemon.limits import SNAPSHOTS_KEPT
from kalshi_daemon.shell.state_directory import flush

MAGIC: Final = b"kdsnap1\n"
HEADER: Final = struct.Struct(">8sQI32sQ")
SUM: Final = struct.Struct(">I")
FOLDED_BY: Final = ("kalshi_daemon/units.py", "kalshi_daemon/limits.py", "kalshi_daemon/facts", "kalshi_daemon/core")
CHART: Final = "statecharts"


class Unusable(Exception):
    """Why a snapshot is passed over."""


@frozen
class Snapshot:
    seq: int
    chain: int
    code: bytes
    memory: bytes


@cache
def code() -> bytes:
    """Of all that a fold runs through."""
    digest = sha256(__version__.encode())
    root = Path(__file__).parents[2]
    for name in (*FOLDED_BY, CHART):
        path = root / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.digest()


def snapshots_of(journal: Path) -> list[Path]:
    """Newest first."""
    prefix = f"{journal.name}-snapshot-"
    names = (path.name for path in journal.parent.glob(f"{prefix}*"))
    return [journal.with_name(name) for name in sorted(names, reverse=True) if name[len(prefix) :].isdecimal()]


def read_snapshot(path: Path) -> Snapshot:
    """Raises Unusable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"it cannot be read: {error.strerror}") from error
    if len(data) < HEADER.size + SUM.size:
        raise Unusable("it ends within its header")
    magic, seq, chain, made_by, size = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Unusable("it is not a snapshot of this form")
    if len(data) != HEADER.size + size + SUM.size:
        raise Unusable("it has another size than it says")
    if SUM.unpack_from(data, len(data) - SUM.size)[0] != zlib.crc32(data[: -SUM.size]):
        raise Unusable("it does not match its checksum")
    return Snapshot(seq, chain, made_by, data[HEADER.size : -SUM.size])


def write_snapshot(journal: Path, snapshot: Snapshot) -> None:
    """Raises OSError, and then the ones before it are as they were."""
    header = HEADER.pack(MAGIC, snapshot.seq, snapshot.chain, snapshot.code, len(snapshot.memory))
    body = header + snapshot.memory
    temporary = journal.with_name(f"{journal.name}-snapshot-tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(body)
        file.write(SUM.pack(zlib.crc32(body)))
        file.flush()
        os.fsync(descriptor)
    own = journal.with_name(f"{journal.name}-snapshot-{snapshot.seq:012d}")
    temporary.replace(own)
    flush(journal.parent)
    kept = [path for path in snapshots_of(journal) if path.name <= own.name][:SNAPSHOTS_KEPT]
    for path in snapshots_of(journal):
        if path not in kept:  # older ones, and those of a longer journal that was here before this one
            path.unlink(missing_ok=True)


def remove_snapshots(journal: Path) -> None:
    """So that the next start reads every event. Raises OSError."""
    for path in snapshots_of(journal):
        path.unlink(missing_ok=True)
