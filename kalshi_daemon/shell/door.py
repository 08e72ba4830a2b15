"""Where streams are dialled: the hosts of one account in their order, and which of them a session dials next.

Rules: hosts take turns, dial after dial; the one whose socket lasted is dialled first the next time.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kalshi_daemon.shell.signer import Signs


@frozen
class Door:
    """Where streams are dialled, one host after another, and who signs there."""

    urls: Sequence[str]
    signer: Signs


class Turns:
    """One session's way through the hosts."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._next = 0
        self._dialled = 0

    def take(self) -> str:
        """The host to be dialled now."""
        self._dialled, self._next = self._next, (self._next + 1) % len(self._urls)
        return self._urls[self._dialled]

    def lasted(self) -> None:
        """The socket to the last one did: it is the next one too."""
        self._next = self._dialled

    @property
    def fallback(self) -> str:
        """The host that was dialled last, where it is not the first of the list."""
        return self._urls[self._dialled] if self._dialled else ""
