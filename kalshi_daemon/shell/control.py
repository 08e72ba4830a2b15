"""The control socket: a person's commands to a running daemon, one JSON object a line, one line answered for each.

    {"command": "pause", "why": "maintenance"}      ->  {"ok": true, "result": ...}
    {"command": "jump"}                             ->  {"ok": false, "error": "jump is not a command; ..."}

Rules: only root, the daemon's own user and the group of the socket get in: by the mode of the file, and again by what
the kernel says about the peer. Clients, lines and waits are bounded; a client that is slow is dropped, and what it
began is finished. What an operation refuses (OperatingError) is answered; any other exception is our mistake and ends
the service. The file of a daemon that died is removed, that of one that answers never is.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import trio

from kalshi_daemon.errors import OperatingError
from kalshi_daemon.limits import (
    CONTROL_ACCEPT_PAUSE_S,
    CONTROL_CLIENT_S,
    CONTROL_CLIENTS_MAX,
    CONTROL_CLIENTS_TOLD_MAX,
    CONTROL_KEPT_S,
    CONTROL_LINE_MAX,
)
from kalshi_daemon.shell.control_client import somebody_answers
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.state_directory import KeptFiles, make_directory

SOCKET_MODE: Final = 0o660
DIRECTORY_MODE: Final = 0o750
BACKLOG: Final = CONTROL_CLIENTS_MAX
_READ_SIZE: Final = 4096
_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS: Final = 59  # Linux; Python has no name for it
_GROUPS_BYTES: Final = 1024  # what Python reads of an option: 256 groups


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked. `who` is filled in from the kernel's word about the peer, never taken from the line."""

    command: str
    why: str = ""
    subject: str = ""  # the hold to lift, the chart to show
    cancel: bool = False  # pause: cancel resting orders too
    who: str = ""


class ControlAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    ok: bool
    result: object = None
    error: str = ""


Operation: TypeAlias = Callable[[ControlRequest], Awaitable[object]]


class Control:
    """Serves `operations` (by command) at `path` until it is cancelled. A result is anything that msgspec encodes."""

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self.clients = 0
        self._path = path
        self._operations = operations

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listening = _listen(self._path)
        inode = self._path.stat().st_ino
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                nursery.start_soon(self._keep)
                while True:
                    try:
                        stream, _address = await listening.accept()
                    except OSError as error:
                        if error.errno not in {errno.EMFILE, errno.ENFILE}:
                            raise
                        log.warning("control_starved", cause=error.strerror, next="tried again, without end")
                        await trio.sleep(CONTROL_ACCEPT_PAUSE_S)  # clients that end give their descriptors back
                        continue
                    nursery.start_soon(self._serve, trio.SocketStream(stream))
        finally:
            listening.close()
            _remove(self._path, inode)

    async def _keep(self) -> None:
        """Raises OperatingError where nobody finds us any more; the service is made again by whoever runs it."""
        kept = KeptFiles(self._path)
        while not (lost := kept.lost()):  # noqa: ASYNC110 - a file system says nothing by itself
            await trio.sleep(CONTROL_KEPT_S)
        raise OperatingError(f"the control socket is to be made again: {lost}")

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One client, until it closes, errs or is slow."""
        self.clients += 1
        try:
            async with stream:
                if self.clients > CONTROL_CLIENTS_TOLD_MAX:
                    return  # a flood: not even told
                refusal, buffer = self._refusal(stream), bytearray()
                if refusal:
                    await _read_line(stream, buffer)  # so that its request does not meet a closed socket
                    await self._send(stream, ControlAnswer(ok=False, error=refusal))
                    return
                while (line := await _read_line(stream, buffer)) is not None:
                    answer = await self._answer(line, _peer(stream.socket))
                    if not await self._send(stream, answer) or len(line) > CONTROL_LINE_MAX:
                        return
        finally:
            self.clients -= 1

    def _refusal(self, stream: trio.SocketStream) -> str:
        if not _allowed(stream.socket, self._path):
            return "you are neither this daemon's user nor in the group of its control socket"
        if self.clients > CONTROL_CLIENTS_MAX:
            return f"{CONTROL_CLIENTS_MAX} clients are connected already"
        return ""

    async def _answer(self, line: bytes, who: str) -> ControlAnswer:
        if len(line) > CONTROL_LINE_MAX:
            return ControlAnswer(ok=False, error=f"the line is over {CONTROL_LINE_MAX} bytes")
        try:
            request = msgspec.structs.replace(msgspec.json.decode(line, type=ControlRequest), who=who)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            return ControlAnswer(ok=False, error=f"the line is not a request: {problem}")
        operation = self._operations.get(request.command)
        if operation is None:
            known = ", ".join(self._operations)
            return ControlAnswer(ok=False, error=f"{request.command[:40]!r} is not a command; there are: {known}")
        try:
            return ControlAnswer(ok=True, result=await operation(request))
        except OperatingError as refusal:
            return ControlAnswer(ok=False, error=str(refusal))

    async def _send(self, stream: trio.SocketStream, answer: ControlAnswer) -> bool:
        """Whether the client took it in time."""
        try:
            with trio.move_on_after(CONTROL_CLIENT_S) as limit:
                await stream.send_all(msgspec.json.encode(answer) + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return not limit.cancelled_caught


async def _read_line(stream: trio.SocketStream, buffer: bytearray) -> bytes | None:
    """The next line without its end; None when the client closed or was slow. One over the limit comes as it is."""
    with trio.move_on_after(CONTROL_CLIENT_S):
        while b"\n" not in buffer:
            if len(buffer) > CONTROL_LINE_MAX:
                return bytes(buffer)
            try:
                data = await stream.receive_some(_READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            buffer += data
        line, _end, rest = bytes(buffer).partition(b"\n")
        buffer[:] = rest
        return line
    return None


def _listen(path: Path) -> trio.socket.SocketType:
    """A socket at `path` that its user and group may open. Until the mode is set nobody else may write to it."""
    try:
        make_directory(path.parent, DIRECTORY_MODE)
        if path.parent.stat().st_mode & stat.S_IWOTH:
            raise OperatingError(f"others may write to the directory of the control socket {path}: chmod o-w it")
        _clear(path)
        listening = trio.socket.from_stdlib_socket(_bound(path))
        path.chmod(SOCKET_MODE)
        listening.listen(BACKLOG)
    except OSError as error:
        raise OperatingError(f"the control socket {path} cannot be made: {error}; see KALSHI_CONTROL_SOCKET") from None
    return listening


def _bound(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    return bound


def _clear(path: Path) -> None:
    """Remove the socket file of a daemon that is gone."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OperatingError(f"{path} exists and is no socket: name another KALSHI_CONTROL_SOCKET")
    if somebody_answers(path):
        raise OperatingError(f"another daemon answers at {path}: stop it first")
    path.unlink()


def _remove(path: Path, inode: int) -> None:
    """Remove our own file; another daemon's that took the path since stays."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass


def _credentials(peer: trio.socket.SocketType) -> tuple[int, int, int]:
    pid, uid, gid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


def _peer(peer: trio.socket.SocketType) -> str:
    pid, uid, _gid = _credentials(peer)
    return f"uid {uid}, process {pid}"


def _allowed(peer: trio.socket.SocketType, path: Path) -> bool:
    _pid, uid, gid = _credentials(peer)
    if uid in {0, os.getuid()}:
        return True
    return path.stat().st_gid in {gid, *_groups(peer)}


def _groups(peer: trio.socket.SocketType) -> set[int]:
    """The peer's other groups; none where it has more than can be read, which refuses rather than lets in."""
    try:
        packed = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return set()
    return {number for (number,) in struct.iter_unpack("I", packed)}
