"""The other end of the control socket: one question, one answer, for the command line.

Rules: plain sockets, no event loop. Every way in which there may be no daemon is one line that says which and what to
do.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from kalshi_daemon.errors import CommandRefused, DaemonAbsent
from kalshi_daemon.limits import CONTROL_ANSWER_MAX, CONTROL_CLIENT_S, CONTROL_WAIT_S

_READ_SIZE: Final = 64 * 1024


def somebody_answers(path: Path) -> bool:
    """Whether a process listens at `path`. A file alone says nothing: it outlives its daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONTROL_CLIENT_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def find_socket(paths: Sequence[Path]) -> Path:
    """The first of the places where a daemon would listen that has a socket; the first of all where none has."""
    return next((path for path in paths if _may_be_socket(path)), paths[0])


def _may_be_socket(path: Path) -> bool:
    """Also where we may not look: asking there says why."""
    try:
        return path.is_socket()
    except PermissionError:
        return True


def ask(path: Path, command: str, **fields: str | bool) -> object:
    """The result of one command. Raises DaemonAbsent when nobody answers, CommandRefused when the answer is no."""
    line = msgspec.json.encode({"command": command, **fields}) + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(CONTROL_WAIT_S)
            stream.connect(str(path))
            stream.sendall(line)
            answer = _read_line(stream, path)
    except (FileNotFoundError, ConnectionRefusedError):
        raise DaemonAbsent(
            f"no daemon answers at {path}: start one with `kalshi-daemon run` "
            "(or name its socket with --socket or KALSHI_CONTROL_SOCKET)"
        ) from None
    except PermissionError:
        raise DaemonAbsent(f"{path} is not yours to open: ask as the daemon's user or a member of its group") from None
    except TimeoutError:
        raise DaemonAbsent(f"the daemon at {path} did not answer within {CONTROL_WAIT_S:.0f} s: see its log") from None
    except OSError as error:
        raise DaemonAbsent(f"the control socket {path} failed: {error}") from None
    return _result(answer, path)


def _read_line(stream: socket.socket, path: Path) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        data = stream.recv(_READ_SIZE)
        if not data or len(answer) > CONTROL_ANSWER_MAX:
            raise DaemonAbsent(f"the daemon at {path} closed the connection before its answer was complete")
        answer += data
    return bytes(answer)


def _result(answer: bytes, path: Path) -> object:
    try:
        decoded = msgspec.json.decode(answer, type=dict[str, object])
    except msgspec.DecodeError:
        raise DaemonAbsent(f"what answers at {path} is no kalshi-daemon") from None
    if decoded.get("ok") is not True:
        raise CommandRefused(str(decoded.get("error", "refused without a reason")))
    return decoded.get("result")
