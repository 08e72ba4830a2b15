"""Standard input, output and error of the command line: results to one, complaints to the other, and neither fails.

Rule: what is said is flushed at once, so that what follows a journal sees an event when it is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress

from kalshi_daemon.errors import OperatingError


def open_streams() -> None:
    """A standard stream that is closed becomes the null device: else a socket or the journal would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r+" if number == 0 else "w"))


def say(text: str) -> int:
    return say_lines((text,))


def say_lines(lines: Iterable[str]) -> int:
    """A result, as it is made. That its reader has gone is no error, and ends it; that it cannot be written is."""
    try:
        for line in lines:
            sys.stdout.write(line if line.endswith("\n") else line + "\n")
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left unwritten must not fail at exit
        if not isinstance(error, BrokenPipeError):
            raise OperatingError(f"standard output cannot be written: {error.strerror}") from None
    return 0


def complain(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"kalshi-daemon: {text}\n")
