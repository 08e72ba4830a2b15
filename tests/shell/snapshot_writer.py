"""Writes a snapshot in a process that kills itself before one call to the system: `python snapshot_writer.py JOURNAL
SEQ CALL`. Calls are numbered from 0, as they come; the process ends by itself where there are not so many.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kalshi_daemon.shell.snapshot_file import Snapshot, write_snapshot

CALLS = ("open", "fchmod", "fsync", "replace", "close", "unlink")


def deadly(name: str, left: list[int]) -> Callable[..., Any]:
    call = getattr(os, name)

    def called(*args: Any, **named: Any) -> Any:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return call(*args, **named)

    return called


def main(journal: Path, seq: int, last: int) -> None:
    left = [last]
    for name in CALLS:
        setattr(os, name, deadly(name, left))
    write_snapshot(journal, Snapshot(seq, seq, b"c" * 32, b"m" * 100_000))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
