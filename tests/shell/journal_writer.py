"""Writes a journal in processes that the kernel ends at a chosen byte: `python journal_writer.py JOURNAL`.

Each line of standard input is `WHEN BYTE` and is one process. No file may grow over BYTE from WHEN on: the write that
does is cut there, and its process is gone without another step. The answer is a line: the signal, and the last event
that a commit was reported for.

| WHEN | |
|---|---|
| `writing` | it is open: it writes until a commit is cut |
| `closing` | it has written some: the log is folded in by the close |
| `opening` | it is not yet read: the log is folded in by the start. BYTE 0: it writes some, and kills itself |
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
from itertools import count
from pathlib import Path

from kalshi_daemon.facts import AccountFact, Alarmed, OrderSent
from kalshi_daemon.shell.journal import Journal, in_place

SOME = (50, 100, 50)  # facts, more than a page of the database


def fact(number: int) -> AccountFact:
    """That of this number in every journal here: short ones, and some of more than a page."""
    if number % 31:
        return OrderSent(number, f"kd-run1-{number}")
    return Alarmed(number, "long", "x" * random.Random(number).randrange(6_000))


def limit(byte: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte, byte))


def write(path: Path, when: str, byte: int, told: int) -> None:
    """Does not return."""
    journal = Journal.open(path, in_place)
    if when == "opening" and byte:
        limit(byte)
    last = sum(1 for _ in journal.verify_and_read())
    if when == "writing":
        limit(byte)
    sizes = (1 + turn * 7 % 9 for turn in count()) if when == "writing" else SOME
    for size in sizes:
        journal.write([fact(number) for number in range(last + 1, last + 1 + size)])
        last += size
        os.write(told, b"%d\n" % last)
    if when == "opening":
        os.kill(os.getpid(), signal.SIGKILL)
    limit(byte)
    journal.close()


def main(path: Path) -> None:
    for line in sys.stdin:
        when, byte = line.split()
        heard, told = os.pipe()
        child = os.fork()
        if not child:
            write(path, when, int(byte), told)
            os._exit(0)
        os.close(told)
        with os.fdopen(heard) as reports:
            last = [int(report) for report in reports][-1:]
        _pid, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0} {last[0] if last else 0}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
