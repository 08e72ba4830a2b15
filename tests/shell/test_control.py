"""shell/control.py and its client over a real Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trio
from attrs import frozen

from kalshi_daemon.errors import CommandRefused, DaemonAbsent, OperatingError
from kalshi_daemon.limits import CONTROL_CLIENT_S, CONTROL_CLIENTS_MAX, CONTROL_CLIENTS_TOLD_MAX, CONTROL_LINE_MAX
from kalshi_daemon.shell import control as control_module
from kalshi_daemon.shell.control import Control, ControlRequest
from kalshi_daemon.shell.control_client import ask, find_socket
from kalshi_daemon.shell.state_directory import lock_directory, make_private


@frozen
class Answer:
    command: str
    why: str
    cancel: bool


async def echo(request: ControlRequest) -> object:
    await trio.lowlevel.checkpoint()
    return Answer(request.command, request.why, request.cancel)


async def who(request: ControlRequest) -> object:
    await trio.lowlevel.checkpoint()
    return request.who


async def refuse(_request: ControlRequest) -> object:
    await trio.lowlevel.checkpoint()
    raise OperatingError("kill is latched: kill-clear REASON clears it")


async def blunder(_request: ControlRequest) -> object:
    await trio.lowlevel.checkpoint()
    raise AssertionError("a mistake of ours")


OPERATIONS = {"pause": echo, "who": who, "resume": refuse, "blunder": blunder}
Started = Callable[..., Awaitable[Control]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def started(path: Path, nursery: trio.Nursery) -> Started:
    async def start() -> Control:
        control = Control(path, OPERATIONS)
        await nursery.start(control.run)
        return control

    return start


async def asked(path: Path, command: str, **fields: str | bool) -> object:
    return await trio.to_thread.run_sync(lambda: ask(path, command, **fields))


async def exchange(path: Path, data: bytes) -> bytes:
    """Everything that comes back for `data`, until the other side closes or has answered once."""
    stream = await trio.open_unix_socket(path)
    async with stream:
        await stream.send_all(data)
        received = b""
        while not received.endswith(b"\n") and (more := await stream.receive_some()):
            received += more
        return received


async def test_a_command_is_answered_with_its_result(path: Path, started: Started) -> None:
    """The operation gets the command, its reason and who asks as the kernel says; its value comes back as JSON."""
    await started()
    assert await asked(path, "pause", why="maintenance", cancel=True) == {
        "command": "pause",
        "why": "maintenance",
        "cancel": True,
    }
    assert await asked(path, "who") == f"uid {os.getuid()}, process {os.getpid()}"


async def test_only_the_user_and_the_group_may_open_it(path: Path, started: Started) -> None:
    """The file is 0660 in a directory that others cannot enter."""
    await started()
    assert mode_of(path) == 0o660
    assert mode_of(path.parent) & 0o027 == 0


def exists(path: Path) -> bool:
    return os.path.lexists(path)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def folders_of_tests(path: Path) -> list[Path]:
    """Those above it that pytest has made."""
    made_in = Path(tempfile.gettempdir())
    return [folder for folder in path.parents if made_in in folder.parents]


def open_to_all(path: Path) -> int:
    """Widens the file and the folders of the test around it; gives the group of the file."""
    path.chmod(0o666)
    for folder in folders_of_tests(path):
        folder.chmod(0o755)
    return path.stat().st_gid


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_is_refused_even_with_the_file_open_to_all(path: Path, started: Started) -> None:
    """The kernel's word about the peer is asked too: a mode that was widened lets nobody in. The group gets in."""
    await started()
    group = open_to_all(path)
    refused = b"neither this daemon's user nor in the group"
    for gid, others, expected in ((65_534, [], refused), (group, [], b'"ok":true'), (65_534, [group], b'"ok":true')):
        child = await trio.run_process(
            ["/usr/bin/env", "python3", "-c", _CLIENT, str(path)],
            capture_stdout=True,
            user=65_534,
            group=gid,
            extra_groups=others,
        )
        assert expected in child.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("umask", [0o022, 0o077])
async def test_the_group_gets_in_where_the_state_directory_holds_the_socket(
    tmp_path: Path, nursery: trio.Nursery, umask: int
) -> None:
    """By default, whatever the umask: another user of the group is answered, and reads and lists nothing beside it."""
    state = tmp_path / "home" / "state"
    for folder in (tmp_path, *folders_of_tests(tmp_path)):
        folder.chmod(0o711)
    before = os.umask(umask)
    try:
        os.close(lock_directory(state / "journal.sqlite3"))
        make_private(state / "journal.sqlite3")
        await nursery.start(Control(state / "control" / "control.sock", OPERATIONS).run)
    finally:
        os.umask(before)
    member = {"user": 65_534, "group": state.stat().st_gid, "extra_groups": []}
    child = await trio.run_process(
        ["/usr/bin/env", "python3", "-c", _CLIENT, str(state / "control" / "control.sock")],
        capture_stdout=True,
        **member,
    )
    assert b'"ok":true' in child.stdout
    for forbidden in (["cat", str(state / "journal.sqlite3")], ["ls", str(state)], ["touch", str(state / "kill")]):
        tried = await trio.run_process(forbidden, check=False, capture_stderr=True, **member)
        assert b"Permission denied" in tried.stderr
    assert [mode_of(each) for each in (state.parent, state, state / "control")] == [0o710, 0o710, 0o750]


_CLIENT = """
import socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
stream.sendall(b'{"command": "who"}\\n')
sys.stdout.buffer.write(stream.recv(4096))
"""


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{]\n", "the line is not a request: "),
        (b'{"command": "pause", "shout": 1}\n', "the line is not a request: Object contains unknown field `shout`"),
        (b'{"why": "x"}\n', "the line is not a request: Object missing required field `command`"),
        (b'"\xff\xfe"\n', "the line is not a request: "),
        (b'{"command": "jump"}\n', "'jump' is not a command; there are: pause, who, resume, blunder"),
        (b'{"command": "resume"}\n', "kill is latched: kill-clear REASON clears it"),
        (b"x" * (CONTROL_LINE_MAX + 5_000), f"the line is over {CONTROL_LINE_MAX} bytes"),
    ],
)
async def test_what_is_wrong_is_answered_in_one_line(path: Path, started: Started, line: bytes, error: str) -> None:
    """A bad line, an unknown command, a refusal and a line without end each give one error, and the server stays."""
    await started()
    answer = await exchange(path, line)
    assert answer.count(b"\n") == 1
    decoded = msgspec.json.decode(answer)
    assert decoded["ok"] is False
    assert decoded["error"].startswith(error)
    assert await asked(path, "who")


async def test_two_commands_on_one_connection(path: Path, started: Started) -> None:
    """Lines are answered in order, also when they come in pieces."""
    await started()
    stream = await trio.open_unix_socket(path)
    async with stream:
        await stream.send_all(b'{"command": "who"}\n{"comm')
        first = await stream.receive_some()
        await stream.send_all(b'and": "pause"}\n')
        second = await stream.receive_some()
    assert b"uid " in first
    assert msgspec.json.decode(second)["result"]["command"] == "pause"


async def test_more_clients_than_allowed_are_told_so(path: Path, started: Started) -> None:
    """The bound holds, and a place is free again as soon as a client goes."""
    control = await started()
    streams = [await trio.open_unix_socket(path) for _ in range(CONTROL_CLIENTS_MAX)]
    for stream in streams:
        await stream.send_all(b'{"command": "who"}\n')
        await stream.receive_some()
    with pytest.raises(CommandRefused, match=f"{CONTROL_CLIENTS_MAX} clients are connected already"):
        await asked(path, "who")
    for stream in streams:
        await stream.aclose()
    while control.clients:
        await trio.lowlevel.checkpoint()
    assert await asked(path, "who")


async def test_a_flood_of_clients_is_not_even_told(path: Path, started: Started) -> None:
    """Beyond the clients that are told, each is closed at once; those who were there are still answered."""
    control = await started()
    streams = [await trio.open_unix_socket(path) for _ in range(CONTROL_CLIENTS_TOLD_MAX)]
    while control.clients < CONTROL_CLIENTS_TOLD_MAX:
        await trio.lowlevel.checkpoint()
    async with await trio.open_unix_socket(path) as late:
        assert await late.receive_some() == b""
    await streams[0].send_all(b'{"command": "who"}\n')
    assert b"uid " in await streams[0].receive_some()
    for stream in streams:
        await stream.aclose()


async def test_a_process_without_descriptors_serves_again_when_it_has_some(
    path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service does not end for it."""
    refusals = [errno.EMFILE, errno.ENFILE]
    monkeypatch.setattr(control_module, "CONTROL_ACCEPT_PAUSE_S", 0.0)
    listen = control_module._listen

    class Starved:
        def __init__(self, listening: trio.socket.SocketType) -> None:
            self.accepting, self.close = listening.accept, listening.close

        async def accept(self) -> object:
            if refusals:
                raise OSError(refusals.pop(), "no descriptor")
            return await self.accepting()

    monkeypatch.setattr(control_module, "_listen", lambda at: Starved(listen(at)))
    await started()
    assert await asked(path, "who")
    assert refusals == []


async def test_a_silent_client_is_dropped(path: Path, started: Started, autojump_clock: trio.abc.Clock) -> None:
    """A client that says nothing is gone after its limit, and its place with it."""
    control = await started()
    stream = await trio.open_unix_socket(path)
    before = trio.current_time()
    async with stream:
        assert await stream.receive_some() == b""
    assert trio.current_time() - before == pytest.approx(CONTROL_CLIENT_S)
    assert control.clients == 0


async def test_a_mistake_of_ours_ends_the_service(path: Path) -> None:
    """An exception that is no operating error is not answered away: the service crashes, and the client is told."""
    absent: list[DaemonAbsent] = []

    async def serve_and_ask() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(Control(path, OPERATIONS).run)
            try:
                await trio.to_thread.run_sync(lambda: ask(path, "blunder"))
            except DaemonAbsent as error:
                absent.append(error)

    with pytest.RaisesGroup(AssertionError, flatten_subgroups=True):
        await serve_and_ask()
    assert [str(error).endswith("closed the connection before its answer was complete") for error in absent] == [True]
    assert not exists(path)


async def test_a_dead_daemons_file_is_taken_over_and_a_living_ones_is_not(path: Path, started: Started) -> None:
    """The file of a daemon that was killed is replaced; one that answers is left alone."""
    leave_socket(path)
    await started()
    assert await asked(path, "who")
    with pytest.raises(OperatingError, match=r"^another daemon answers at .*: stop it first$"):
        await Control(path, OPERATIONS).run()
    assert await asked(path, "who")


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A path that somebody uses for something else is refused, and keeps its content."""
    tmp_path.joinpath("notes").write_text("kept")
    with pytest.raises(OperatingError, match="exists and is no socket"):
        await Control(tmp_path / "notes", OPERATIONS).run()
    assert tmp_path.joinpath("notes").read_text() == "kept"


def leave_socket(path: Path) -> None:
    """What a daemon that was killed leaves: a socket file that nobody listens at."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


async def test_a_directory_that_others_may_write_is_refused(path: Path) -> None:
    """In such a directory somebody else could put a socket in the place of ours."""
    leave_socket(path)
    path.parent.chmod(0o777)  # it alone: the folders above are other tests' too
    with pytest.raises(OperatingError, match="others may write to the directory"):
        await Control(path, OPERATIONS).run()


async def test_the_file_goes_with_the_service(path: Path) -> None:
    """After a clean end nothing is left at the path, and a client is told that no daemon answers."""
    async with trio.open_nursery() as nursery:
        await nursery.start(Control(path, OPERATIONS).run)
        nursery.cancel_scope.cancel()
    assert not exists(path)
    with pytest.raises(DaemonAbsent, match=r"^no daemon answers at .*: start one with `kalshi-daemon run` .*--socket"):
        ask(path, "who")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_socket_that_is_not_ours_to_open_is_said_so(path: Path) -> None:
    """Somebody outside the group is told whom to ask as, and not that there is no daemon."""
    leave_socket(path)
    os.seteuid(65_534)
    try:
        assert find_socket([path]) == path
        with pytest.raises(DaemonAbsent, match=r"is not yours to open: ask as the daemon's user"):
            ask(path, "status")
    finally:
        os.seteuid(0)


def test_a_file_without_a_daemon_is_no_daemon(tmp_path: Path) -> None:
    """The client tells an absent daemon from a socket file left behind, and looks where one would listen."""
    left = tmp_path / "left.sock"
    leave_socket(left)
    with pytest.raises(DaemonAbsent, match="no daemon answers"):
        ask(left, "status")
    assert find_socket([tmp_path / "none.sock", left]) == left
    assert find_socket([tmp_path / "a.sock", tmp_path / "b.sock"]) == tmp_path / "a.sock"
