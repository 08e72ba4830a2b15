"""Puts a journal aside in processes that kill themselves, each before one more call: `python rotation_writer.py STATE
FOLDER`. Each is on a copy of its own, FOLDER/000, 001, ...; the last one ends by itself. Calls are those to the system
that change what is on the disk, and SQLite's statements but for the many that read or add a row.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rested_account import Start

from kalshi_daemon import limits
from kalshi_daemon.shell.journal import Journal

CALLS = ("open", "fsync", "link", "replace", "unlink")


ROWS = ("SELECT", "INSERT")


def come(left: list[int]) -> None:
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1


def deadly(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        come(left)
        return call(*args, **named)

    return called


def doomed(state: Path, last: int) -> None:
    """What a start does, and an end before its call number `last`."""
    left = [last]
    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name), left))
    connect = sqlite3.connect

    def traced(*args: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*args, **named)
        connection.set_trace_callback(lambda statement: None if statement.startswith(ROWS) else come(left))
        return connection

    sqlite3.connect = traced
    Journal.close = deadly(Journal.close, left)  # type: ignore[method-assign]
    Start(state / "journal.sqlite3").stop()


def main(state: Path, folder: Path) -> None:
    limits.SNAPSHOT_EVENTS = 100  # type: ignore[misc]
    folder.mkdir()
    last, code = 0, 1
    while code:
        copy = folder / f"{last:03}"
        shutil.copytree(state, copy)
        child = os.fork()
        if not child:
            doomed(copy, last)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL), code
        last += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
