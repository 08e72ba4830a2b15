"""The kill latch: a file in the state directory that keeps every start paused by the hold `kill`.

A person puts it there, also while the daemon hangs or is not running; its text is the reason. The hold that it places
is in the journal too, so the two are ended together, by `kill-clear`.
"""

from __future__ import annotations

from pathlib import Path

from kalshi_daemon.errors import CommandRefused


class KillLatch:
    def __init__(self, path: Path) -> None:
        self._path = path

    def reason(self) -> str:
        """Why it was set, or empty."""
        if not self._path.exists():
            return ""
        return self._path.read_text(encoding="utf-8").strip() or "the kill latch is set"

    def clear(self) -> None:
        """Raises CommandRefused where the file cannot be removed: the next start would hold again."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise CommandRefused(f"the kill latch cannot be removed: {error}; remove it, then clear again") from None
