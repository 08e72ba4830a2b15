"""cli.py: what is typed, what is printed where, and the exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import trio

from kalshi_daemon import __version__
from kalshi_daemon.charts.catalogue import TABLES, exported
from kalshi_daemon.cli import main
from kalshi_daemon.core.chart_states import CHARTS
from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_REFUSED, OperatingError, Unreachable
from kalshi_daemon.shell.control import Control, ControlRequest

ROOT = Path(__file__).parent.parent
Captured = pytest.CaptureFixture[str]
REASONED = ("kill-clear", "accept-divergence", "group-reset")  # commands that need a reason


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of whoever runs the tests, and a home of our own."""
    for name in list(os.environ):
        if name.startswith(("KALSHI_", "XDG_", "STATE_", "RUNTIME_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")


def test_python_dash_m_works() -> None:
    """`python -m kalshi_daemon version` prints the version and ends with 0."""
    done = subprocess.run(
        [sys.executable, "-m", "kalshi_daemon", "version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{__version__}\n", "", 0)


def test_a_reader_that_goes_is_no_error() -> None:
    """Output into a pipe that nobody reads ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kalshi_daemon", "charts", "list"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.stderr, done.returncode) == (b"", 0)


def test_charts_are_listed_checked_and_exported(tmp_path: Path, capsys: Captured) -> None:
    """Each chart and table has its line, all are clean, and the pages are those of the catalogue."""
    assert main(["charts", "list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [*CHARTS, *TABLES]
    assert main(["charts", "lint"]) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert main(["charts", "export", "--folder", str(tmp_path / "pages")]) == 0
    assert {page.name: page.read_text() for page in (tmp_path / "pages").iterdir()} == exported()


def test_a_configuration_error_is_one_line_and_78(capsys: Captured) -> None:
    """`run` without a key says which variable is missing, on standard error alone."""
    assert main(["run"]) == EXIT_CONFIGURATION
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "kalshi-daemon: KALSHI_API_KEY_ID is not set; allowed: the id of the API key, as the exchange shows it\n"
    )


@pytest.mark.parametrize(
    "command",
    ["status", "why", "pause", "resume", "adopt", "ignore", "reload", *REASONED, "stop", "history", "markets"],
)
def test_without_a_daemon_every_command_says_so(command: str, tmp_path: Path, capsys: Captured) -> None:
    """One line on standard error, and an exit code of its own."""
    words = ["well", "again"] if command in REASONED else []
    assert main([command, *words, "--socket", str(tmp_path / "none.sock")]) == EXIT_ABSENT
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "no daemon answers at" in shown.err
    assert "--socket or KALSHI_CONTROL_SOCKET" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--seconds", "0"],
        ["demo", "--seconds", "nan"],
        ["demo", "--speed", "-1"],
        ["charts"],
        [],
        ["fly"],
        ["demo", "--seed", "-1"],
        ["emulator", "--seed", "1e3"],
        ["demo", "--sec", "1"],
        ["--vers"],
        *([command] for command in REASONED),
    ],
)
def test_what_cannot_be_parsed_ends_with_2(arguments: list[str], capsys: Captured) -> None:
    """argparse says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_the_version_is_an_option_too(capsys: Captured) -> None:
    """As most programs have it."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


def test_a_speed_is_a_recordings(capsys: Captured) -> None:
    """Without one it would change nothing, and is refused."""
    assert main(["demo", "--speed", "2", "--seconds", "1"]) == EXIT_CONFIGURATION
    assert capsys.readouterr().err == ("kalshi-daemon: --speed is for a recording; allowed: with --recording FILE\n")


async def test_commands_reach_a_running_daemon(tmp_path: Path, nursery: trio.Nursery, capsys: Captured) -> None:
    """The command, its reason and its flag arrive; a text is printed as it is; a refusal is an error of its own."""
    heard: list[tuple[str, str, bool]] = []

    async def hear(request: ControlRequest) -> str:
        await trio.lowlevel.checkpoint()
        heard.append((request.command, request.why, request.cancel))
        return f"{request.command}: done"

    async def refuse(_request: ControlRequest) -> str:
        await trio.lowlevel.checkpoint()
        raise OperatingError("still held by kill")

    path = tmp_path / "run" / "control.sock"
    await nursery.start(Control(path, {"pause": hear, "why": hear, "resume": refuse, "status": hear}).run)

    async def typed(*arguments: str) -> int:
        return await trio.to_thread.run_sync(main, [*arguments, "--socket", str(path)])

    assert await typed("pause", "maintenance", "of", "ours", "--cancel") == 0
    assert await typed("why") == 0
    assert await typed("resume") == EXIT_REFUSED
    assert await typed("status", "--json") == 0
    assert await typed("status") == 77  # not a status: a daemon of another version
    shown = capsys.readouterr()
    assert shown.out == 'pause: done\nwhy: done\n"status: done"\n'
    assert shown.err.splitlines()[0] == "kalshi-daemon: still held by kill"
    assert "use `status --json`" in shown.err.splitlines()[1]
    assert heard[:2] == [("pause", "maintenance of ours", True), ("why", "", False)]


async def test_markets_say_what_could_not_be_read(tmp_path: Path, nursery: trio.Nursery, capsys: Captured) -> None:
    """Below the table, in the daemon's own words."""
    sys.path.insert(0, str(ROOT / "tests" / "shell"))
    from status_world import trading_world

    world = trading_world()
    world.markets_unread = {"series:KXRAIN": "the exchange answered 503"}

    async def status(_request: ControlRequest) -> object:
        await trio.lowlevel.checkpoint()
        return msgspec.to_builtins(world.status())

    async def markets(_request: ControlRequest) -> object:
        await trio.lowlevel.checkpoint()
        return []

    path = tmp_path / "run" / "control.sock"
    await nursery.start(Control(path, {"status": status, "markets": markets}).run)
    assert await trio.to_thread.run_sync(main, ["markets", "--socket", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "not read: series:KXRAIN: the exchange answered 503"


async def test_status_is_drawn(tmp_path: Path, nursery: trio.Nursery, capsys: Captured) -> None:
    """The status that crosses the socket is shown as the live view's panel."""
    sys.path.insert(0, str(ROOT / "tests" / "shell"))
    from status_world import trading_world

    async def status(_request: ControlRequest) -> object:
        await trio.lowlevel.checkpoint()
        return msgspec.to_builtins(trading_world().status())

    path = tmp_path / "run" / "control.sock"
    await nursery.start(Control(path, {"status": status}).run)
    assert await trio.to_thread.run_sync(main, ["status", "--socket", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "trading.normal" in shown
    assert "$97.4125" in shown


def test_the_doctor_without_a_configuration(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """The table or the JSON goes to standard output, and the exit code is the verdict's; no host is to be had here."""

    async def nowhere(host: str, _port: int) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        raise Unreachable(f"{host} has no address", maybe_done=False)

    monkeypatch.setattr("kalshi_daemon.examine.resolve", nowhere)
    assert main(["doctor"]) == EXIT_CONFIGURATION
    assert capsys.readouterr().out.endswith("\ndemo: the configuration must be mended\n")
    assert main(["doctor", "--environment", "production", "--json"]) == EXIT_CONFIGURATION
    read = msgspec.json.decode(capsys.readouterr().out)
    assert read["environment"] == "production"
    assert {each["step"] for each in read["findings"] if each["outcome"] == "failed"} == {"configuration", "dns"}


@pytest.mark.parametrize("command", ["emulator", "demo"])
@pytest.mark.parametrize(
    ("text", "words"),
    [("gop", "there is no fault 'gop'"), ("dns", "dns acts in the simulation's network only"), ("slow", "slow:5")],
)
def test_a_fault_that_cannot_be_is_refused_before_anything_runs(
    capsys: Captured, command: str, text: str, words: str
) -> None:
    """The last line names the option and what is wrong with it."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--fault", text])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"kalshi-daemon {command}: error: argument --fault: ")
    assert words in last
