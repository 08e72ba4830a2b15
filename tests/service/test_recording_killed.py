"""A recording whose process is killed: the blocks that were written are whole, and the next run begins its own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from processes import emulator, run, running, until

from kalshi_daemon.shell.recording_file import segments_of


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.kdrec"))


def test_a_killed_daemon_leaves_a_recording_that_reads(tmp_path: Path) -> None:
    """A kill while frames come, another run, and a stop: both are proved, the killed one is open or torn, the stopped
    one sealed; all is their user's alone.
    """
    recordings = tmp_path / "recordings"
    with emulator(tmp_path) as exchange:
        variables = {**exchange, "KALSHI_RECORDING_DIR": str(recordings), "KALSHI_POLICY": "hold"}
        for ends in ("killed", "stopped"):
            with running(variables, tmp_path / "daemon") as daemon:
                daemon.until_in("trading.normal")
                before = bytes_of(recordings)
                until(lambda before=before: bytes_of(recordings) > before, "a block of what came")
                if ends == "killed":
                    daemon.process.kill()
                    daemon.process.wait()
                else:
                    assert daemon.stop() == 0
        done = run("recording", "verify", str(recordings), "--json", variables=variables)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["verdict"] == "whole"
    killed, stopped = report["segments"]
    assert killed["verdict"] in {"open", "torn"}
    assert stopped["verdict"] == "sealed"
    assert min(killed["records"], stopped["records"]) > 10
    assert [stat.S_IMODE(path.stat().st_mode) for path in segments_of(recordings)] == [0o600, 0o600]
    assert stat.S_IMODE(recordings.stat().st_mode) == 0o700
