"""systemd/: the unit is clean to systemd itself, hardened, and agrees with the program."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kalshi_daemon import limits
from kalshi_daemon.config_defaults import CREDENTIAL, SERVICE_SOCKET
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_UNVERIFIED

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "kalshi-daemon.service"
EXPOSURE_MAX = 15  # tenths: 1.5
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def service() -> dict[str, list[str]]:
    """The settings of [Service]; one that is given twice has two values."""
    found: dict[str, list[str]] = {}
    section = UNIT.read_text().partition("[Service]")[2].partition("\n[")[0]
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@needs_systemd
def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent (it exits 0 also for a key that it does not know). The program must exist."""
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


@needs_systemd
def test_its_exposure_is_low() -> None:
    """The hardening adds up to at most 1.5 by systemd's own count."""
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_it_is_not_started_again_for_what_a_person_must_mend(service: dict[str, list[str]]) -> None:
    """Statuses 77 and 78 would not change, and after an unverified stop a restart would take the stop back."""
    assert service["Restart"] == ["on-failure"]
    never = {int(status) for status in service["RestartPreventExitStatus"][0].split()}
    assert never == {EXIT_UNVERIFIED, EXIT_FAILED, EXIT_CONFIGURATION}


def test_a_stop_has_the_time_it_needs(service: dict[str, list[str]]) -> None:
    """Drain, seal and joining fit into systemd's patience; the watchdog is slower than a heartbeat."""
    drain, seal = limits.CHART_LIMITS["drain_limit"], limits.CHART_LIMITS["seal_limit"]
    assert isinstance(drain, float)
    assert isinstance(seal, float)
    assert int(service["TimeoutStopSec"][0]) > drain + seal + 2 * limits.EXIT_LIMIT_S
    assert int(service["WatchdogSec"][0]) > limits.HEARTBEAT_S


def test_the_unit_and_the_program_use_the_same_names(service: dict[str, list[str]]) -> None:
    """The credential, the socket's directory, notify, and the switches of libraries."""
    assert service["Type"] == ["notify"]
    assert service["LoadCredential"][0].split(":")[0] == CREDENTIAL
    assert SERVICE_SOCKET.parent == Path("/run") / service["RuntimeDirectory"][0]
    assert service["RuntimeDirectoryMode"] == ["0750"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert {"ORT_DISABLE_TELEMETRY=1", "OPENBLAS_NUM_THREADS=1"} <= set(service["Environment"][0].split())
    assert service["LimitCORE"] == ["0"]
    assert service["ExecStart"][0].endswith(" -m kalshi_daemon run")


def test_the_user_is_the_one_that_is_made(service: dict[str, list[str]]) -> None:
    """The sysusers line names the unit's user, without a login."""
    lines = [line for line in (SYSTEMD / "kalshi-daemon.sysusers").read_text().splitlines() if not line.startswith("#")]
    assert [line.split()[:3] for line in lines] == [["u", service["User"][0], "-"]]


def test_every_line_reads_as_a_unit() -> None:
    """No setting stands outside a section or is broken over lines."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]
