"""Real processes for tests: the emulator, a daemon on it, the command line. Everything is polled, nothing is timed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0  # of every wait: a loaded machine is slow, and none is waited for in vain
PROGRAM = (sys.executable, "-m", "kalshi_daemon")
END = "the test has ended"  # to ourselves
STATE = re.compile(r"STATUS=(\S+)")


def clean_environment(home: Path) -> dict[str, str]:
    """Nothing of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "COLUMNS": "100"}


def command(*arguments: str) -> list[str]:
    return [*PROGRAM, *arguments]


def run(*arguments: str, variables: Mapping[str, str], timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=dict(variables), capture_output=True, text=True, timeout=timeout, check=False
    )


def until(asked: Callable[[], object], what: str, pause_s: float = 0.02, patience_s: float = PATIENCE_S) -> None:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + patience_s
    while not asked():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(pause_s)


def hears(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now: the kernel's word."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", text, re.MULTILINE)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


@contextmanager
def emulator(home: Path, seed: int = 1, *options: str) -> Iterator[dict[str, str]]:
    """The variables of an account on an exchange of its own; when it ends, it must end well."""
    process = subprocess.Popen(
        command("emulator", "--port", "0", "--seed", str(seed), "--no-weekly-pause", *options),
        cwd=ROOT,
        env=clean_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = 7 if "--tls" in options else 6
        lines = [process.stdout.readline() for _ in range(printed + 1)]
        variables = dict(re.findall(r"^export (\w+)='(.*)'$", "".join(lines), re.MULTILINE))
        assert len(variables) == printed, lines
        assert lines[-1].startswith("# "), lines  # for a person; a shell passes it over
        assert Path(variables["KALSHI_STATE_DIR"]).parent == Path(variables["KALSHI_PRIVATE_KEY_FILE"]).parent
        yield {**clean_environment(home), **variables, "KALSHI_METRICS_ADDRESS": ""}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (out, err, process.returncode) == ("", "", 0)
        assert not Path(variables["KALSHI_PRIVATE_KEY_FILE"]).parent.exists()
    finally:
        process.terminate()  # not killed: it removes its folder
        process.wait(PATIENCE_S)


class Running:
    """A `run` process with a directory of its own, and a test in the place of systemd."""

    def __init__(
        self, variables: Mapping[str, str], folder: Path, *arguments: str, program: Sequence[str] = PROGRAM
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.journal = self.state / "journal.sqlite3"
        self.socket = folder / "run" / "control.sock"
        notify = folder / "notify"
        notify.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(notify))
        self.told: list[str] = []  # the datagrams so far, but for the watchdog's
        self.beats = 0  # of the watchdog
        self._ear = threading.Thread(target=self._hear)  # a queue that is not read drops what comes
        self._ear.start()
        self.variables = {
            **variables,
            "KALSHI_STATE_DIR": str(self.state),
            "KALSHI_CONTROL_SOCKET": str(self.socket),
            "NOTIFY_SOCKET": str(notify),
        }
        self._log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [*program, "run", *arguments],
            cwd=ROOT,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def _hear(self) -> None:
        while (datagram := self._notify.recv(4096).decode()) != END:
            if datagram == "WATCHDOG=1":
                self.beats += 1
            else:
                self.told.append(datagram)

    def is_ready(self) -> bool:
        return any("READY=1" in each for each in self.told)

    def was_in(self, state: str) -> bool:
        """Whether the trader has been in the state, by what systemd was told."""
        return any(state in STATE.findall(each) for each in self.told)

    def until_in(self, state: str) -> None:
        until(lambda: self.was_in(state) or self.process.poll() is not None, f"{state} in {self.told}")
        assert self.was_in(state), self.log()

    def ask(self, *arguments: str) -> tuple[int, str]:
        """A command of the command line: its exit code and what it printed."""
        done = run(*arguments, "--socket", str(self.socket), variables=self.variables)
        assert done.stderr == "" or done.returncode
        return done.returncode, done.stdout + done.stderr

    def status(self) -> dict[str, object]:
        code, text = self.ask("status", "--json")
        assert code == 0, text
        return msgspec.json.decode(text, type=dict[str, object])

    def ended(self) -> int:
        """The exit code. Whatever happened, standard output stayed empty."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert out == ""
        return self.process.returncode

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._notify.sendto(END.encode(), self._notify.getsockname())
        self._ear.join()
        self._notify.close()
        self._log.close()


@contextmanager
def running(
    variables: Mapping[str, str], folder: Path, *arguments: str, program: Sequence[str] = PROGRAM
) -> Iterator[Running]:
    daemon = Running(variables, folder, *arguments, program=program)
    try:
        yield daemon
    finally:
        daemon.close()
