"""shell/notify.py against a real datagram socket in the place of systemd's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kalshi_daemon.limits import STATUS_LINE_MAX
from kalshi_daemon.shell.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_a_whole_life_is_told(tmp_path: Path, abstract: bool) -> None:
    """READY, STATUS, WATCHDOG and STOPPING arrive as systemd reads them, on both kinds of address."""
    name = f"@kalshi-daemon-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if abstract else name)
        systemd.settimeout(1)
        notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid())})
        assert notifier.watchdog_s == 7.5
        notifier.ready("starting.preflight")
        notifier.status("starting.preflight")  # unchanged: not said again
        notifier.status("trading\nREADY=1")
        notifier.alive()
        notifier.stopping("x" * 1_000)
        notifier.close()
        assert systemd.recv(4096) == b"READY=1\nSTATUS=starting.preflight"
        assert systemd.recv(4096) == b"STATUS=trading READY=1"
        assert systemd.recv(4096) == b"WATCHDOG=1"
        assert systemd.recv(4096).decode() == "STOPPING=1\nSTATUS=" + "x" * (STATUS_LINE_MAX - 1) + "…"
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(4096)
    assert notifier.failures == 0


def test_without_systemd_everything_is_a_no_op() -> None:
    """No socket named: nothing is sent and nothing fails."""
    notifier = Notifier({})
    notifier.ready("x")
    notifier.alive()
    notifier.close()
    assert (notifier.watchdog_s, notifier.failures) == (None, 0)


def test_a_socket_that_is_gone_is_counted(tmp_path: Path) -> None:
    """A daemon does not end because systemd does not listen."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.ready("x")
    notifier.alive()
    notifier.close()
    assert notifier.failures == 2


@pytest.mark.parametrize(
    "variables", [{"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}]
)
def test_the_watchdog_of_another_process_is_not_ours(variables: dict[str, str]) -> None:
    """Another process's variables, or unreadable ones, ask nothing of us."""
    assert Notifier(variables).watchdog_s is None
