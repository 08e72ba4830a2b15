"""The directory that holds the journal: locked against a second daemon, its files for its user alone.

    0710  the state directory: its group may pass through, and neither list nor change it
    0600    journal, lock, and what SQLite keeps beside them
    0750    control/: the group may enter; the socket in it is 0660 (shell/control.py)

Rules: what is made here has these modes whatever the umask. Nothing here mends what it finds; it says what is wrong and
what to do. The lock is the kernel's, held by an open descriptor, so it ends with the process however the process ends.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from kalshi_daemon.errors import JournalLocked, OperatingError

PASSAGE_MODE: Final = 0o710


def make_directory(path: Path, mode: int) -> None:
    """Where there is none. Missing ones above it let the group pass through. Raises OSError."""
    if path.is_dir():
        return
    if not path.parent.exists():
        make_directory(path.parent, PASSAGE_MODE)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(mode)


def lock_directory(path: Path, what: str = "state") -> int:
    """A lock file beside the journal, held by its descriptor: the kernel gives it back however the process ends.

    `what` the directory is, for people.
    """
    directory = path.parent
    lock_path = path.with_name(path.name + ".lock")
    try:
        make_directory(directory, PASSAGE_MODE)
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatingError(f"the {what} directory {directory} cannot be used: {error}; {advice(error)}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 32).decode("ascii", "replace").strip()
        os.close(lock)
        raise JournalLocked(
            f"the {what} directory {directory} is in use by process {holder or 'unknown'}: stop that daemon first"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def make_private(path: Path) -> None:
    """The file exists and is ours alone, and its name is on the disk; SQLite's own files take its mode."""
    mode = path.parent.stat().st_mode
    if mode & 0o022:
        raise OperatingError(f"others may write to the state directory {path.parent}: chmod 710 it")
    check_above(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    flush(path.parent)


def flush(path: Path) -> None:
    """A file's content, or a directory's names, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_above(directory: Path) -> None:
    """Whoever may write to a folder above it can put another one in its place, but where that is sticky (as /tmp).

    Raises OperatingError.
    """
    for above in directory.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OperatingError(
                f"others may write to {above}, and so replace the state directory {directory}: chmod o-w it"
            )


class KeptFiles:
    """The files that a daemon opened, and whether its paths still lead to them: who removes or replaces one lets a
    second daemon lock the directory, and nothing that is written from then on would be found again.
    """

    def __init__(self, *paths: Path) -> None:
        self._opened: dict[Path, tuple[int, int] | None] = {path: _identity(path) for path in paths}

    def lost(self) -> str:
        """The first that is gone or another one, in words; empty while there is none. One that was not there yet is
        kept from when it is first seen.
        """
        for path, opened in self._opened.items():
            found = _identity(path)
            if opened is None:
                self._opened[path] = found
            elif found != opened:
                return f"{path} is {'gone' if found is None else 'not the file any more'} that this daemon opened"
        return ""


def _identity(path: Path) -> tuple[int, int] | None:
    """None where it is not to be had, which for a file that was opened is as bad as gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def advice(error: Exception) -> str:
    """What to do about it, by SQLite's or the system's own word for it."""
    text = str(error).lower()
    if "full" in text or "space" in text:
        return "free space on its disk"
    if "locked" in text or "busy" in text:
        return "end the other program that holds the file"
    return "see that its disk is healthy and that the daemon's user may write there"
