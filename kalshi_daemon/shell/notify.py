"""What systemd is told, as datagrams to `$NOTIFY_SOCKET`: ready, a status line, alive, stopping.

Rules: without a socket everything is a no-op, so that callers never ask. Nothing blocks and nothing raises: a slow
systemd is no reason for a trader to stop; a failed send is counted. The protocol is a few lines of text, so there is no
dependency (sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from kalshi_daemon.limits import STATUS_LINE_MAX

MICROSECONDS: Final = 1_000_000


class Notifier:
    """Made from an environment; `watchdog_s` is how often `alive` must be said, or None where nobody listens."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket is not None:
            self._socket.settimeout(0)
        self.watchdog_s = _watchdog_s(variables)
        self.failures = 0
        self._status = ""

    def ready(self, status: str) -> None:
        self._status = _line(status)
        self._send(f"READY=1\nSTATUS={self._status}")

    def status(self, status: str) -> None:
        """The state, for `systemctl status`; said again only when it changed."""
        line = _line(status)
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        self._status = _line(status)
        self._send(f"STOPPING=1\nSTATUS={self._status}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            self.failures += 1


def _line(text: str) -> str:
    """One line of at most STATUS_LINE_MAX characters: a newline would begin another assignment."""
    line = " ".join(text.split())
    return line if len(line) <= STATUS_LINE_MAX else line[: STATUS_LINE_MAX - 1] + "…"


def _watchdog_s(variables: Mapping[str, str]) -> float | None:
    """Half of what systemd waits, as sd_watchdog_enabled(3) advises; None where the watchdog is another process's."""
    limit = variables.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or variables.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / MICROSECONDS / 2
