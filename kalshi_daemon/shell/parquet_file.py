"""A table as a Parquet file, written a row group at a time.

Rules: the only importer of pyarrow, which is an extra: whoever writes a table imports this then, and no sooner. A
file that is there is never written over, and one that was not written to its end does not stay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

COMPRESSION: Final = "zstd"
MODE: Final = 0o600  # what it is made of is as private


class ParquetFile:
    """Use it as a context: it is closed at the end of it, and removed where that is an error."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        """`columns`: names, in order, with what pyarrow calls their types. Raises OSError."""
        self.rows = 0
        self._path = path
        self._schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb")
        self._writer = ParquetWriter(self._file, self._schema, compression=COMPRESSION)

    def write(self, rows: Sequence[tuple[object, ...]]) -> None:
        """One row group; none where there are no rows. Raises OSError."""
        if rows:
            columns = zip(zip(*rows, strict=True), self._schema, strict=True)
            arrays = [pa.array(values, field.type) for values, field in columns]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))
            self.rows += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Raises OSError."""
        try:
            self._writer.close()
            self._file.close()
        except OSError:
            self._path.unlink()
            raise
        if kind is not None:
            self._path.unlink()
