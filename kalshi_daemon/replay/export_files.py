"""An export in a folder: one Parquet file for each table, with a row group for each segment, or for each
`EXPORT_ROWS_MAX` rows where a segment holds more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from kalshi_daemon.errors import OperatingError
from kalshi_daemon.replay.export import FOLLOWING, RECORDED, Export
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.parquet_file import ParquetFile
from kalshi_daemon.shell.recording_file import SegmentReader
from kalshi_daemon.shell.state_directory import make_directory


def export(segments: Sequence[Path], folder: Path, journal: Path | None) -> dict[str, object]:
    """What was written, in rows, and of how many batches the observations were left out, by why.

    Raises OperatingError; then nothing of it stays.
    """
    tables = RECORDED if journal is None else {**RECORDED, **FOLLOWING}
    try:
        make_directory(folder, 0o700)
        with ExitStack() as opened:
            files = {
                name: opened.enter_context(ParquetFile(folder / f"{name}.parquet", columns))
                for name, columns in tables.items()
            }
            exported = Export(
                lambda table, rows: files[table].write(rows), None if journal is None else lambda: read_journal(journal)
            )
            for path in segments:
                exported.read(SegmentReader(path).records())
            exported.finish()
    except OSError as error:
        raise OperatingError(
            f"{error.filename or folder} cannot be written: {error.strerror}; name another --to"
        ) from None
    return {
        "folder": str(folder),
        "rows": {name: file.rows for name, file in files.items()},
        "left_out": dict(exported.left_out),
    }
