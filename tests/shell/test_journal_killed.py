"""The journal's process ended in the middle of a write, at any byte of any file: what was reported as durable is there,
and nothing else but perhaps the commit under way.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal_writer import fact

from kalshi_daemon.shell.journal import Journal, in_place

WRITER = Path(__file__).with_name("journal_writer.py")
COMMIT_MAX = 9  # facts
LOG_HEADER, FRAME = 32, 24 + 4_096  # bytes
CUTS = 4  # of each seed


class Writer:
    """The processes that are ended, one after another, on one journal; `durable` events were reported so far."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.path = path
        self.durable = 0
        self._process = process

    def end(self, when: str, byte: int) -> int:
        """By which signal it ended; 0: by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{when} {byte}\n")
        self._process.stdin.flush()
        number, last = self._process.stdout.readline().split()
        self.durable = max(self.durable, int(last))
        return int(number)

    def read(self) -> str:
        """Everything that was durable is read again, and the journal takes more. The note of a torn tail."""
        journal = Journal.open(self.path, in_place)
        seen = [each for _seq, each in journal.verify_and_read()]
        assert seen == [fact(number) for number in range(1, len(seen) + 1)]
        assert self.durable <= len(seen) <= self.durable + COMMIT_MAX
        self.durable = journal.write([fact(len(seen) + 1)])
        journal.close()
        return journal.note


@contextmanager
def writer(path: Path) -> Iterator[Writer]:
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Writer(process, path)


def filled(folder: Path) -> Path:
    """A journal of some hundred kilobytes, closed."""
    path = folder / "state" / "journal.sqlite3"
    journal = Journal.open(path, in_place)
    journal.write([fact(number) for number in range(1, 1_001)])
    journal.close()
    return path


@pytest.mark.parametrize("seed", range(3))
def test_a_commit_that_is_cut_within_any_frame_of_the_log_is_not_there(tmp_path: Path, seed: int) -> None:
    """The torn tail is cut off, and said; every commit before it is there."""
    rng = random.Random(seed)
    with writer(filled(tmp_path)) as one:
        one.durable = 1_000
        for _ in range(CUTS):
            byte = LOG_HEADER + rng.randrange(12) * FRAME + rng.randrange(1, FRAME)
            assert one.end("writing", byte) == signal.SIGXFSZ
            assert one.read().endswith("as one that its process did not live to finish: it is cut off")


@pytest.mark.parametrize("when", ["closing", "opening"])
@pytest.mark.parametrize("seed", range(3))
def test_a_log_that_is_folded_in_half_loses_nothing(tmp_path: Path, seed: int, when: str) -> None:
    """By a close and by a start, cut at any byte of the database: the log is there still, and is folded in again."""
    rng = random.Random(seed)
    with writer(filled(tmp_path)) as one:
        one.durable = 1_000
        for _ in range(CUTS):
            if when == "opening":
                assert one.end("opening", 0) == signal.SIGKILL
            size = one.path.stat().st_size
            assert one.end(when, size + rng.randrange(1, 4_096)) == signal.SIGXFSZ
            assert one.read() == ""
