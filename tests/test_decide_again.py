"""`kalshi-daemon replay RECORDING --journal FILE` as it is typed: the verdict, the first difference, the exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from kalshi_daemon.cli import main
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_FAILED
from kalshi_daemon.shell.recording_file import SegmentReader, SegmentWriter, segments_of
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.virtual_site import make_site
from kalshi_daemon.wire.records import Batch, RecordBlock

Captured = pytest.CaptureFixture[str]
LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=4.0))
SHIPPED = {"KALSHI_POLICY": "onnx"}


async def live(folder: Path, seed: int, seconds: float, policy: Mapping[str, str]) -> None:
    """A run with that policy: its recording and its journal."""
    site = make_site(seed, LIVELY)
    daemon = site.daemon({**policy, "KALSHI_RECORDING_DIR": str(folder)}, journal=folder / "journal.sqlite3")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.network.run)
        nursery.start_soon(site.world.server.run)
        nursery.start_soon(daemon.run)
        await daemon.parts.coordinator.until_usable()
        await trio.sleep(seconds)
        daemon.stop()
        assert daemon.parts.recorder is not None
        await daemon.parts.recorder.end()
        await trio.sleep(10.0)
        nursery.cancel_scope.cancel()


def lived(folder: Path, seed: int, seconds: float, policy: Mapping[str, str] = SHIPPED) -> Path:
    with seeded_scheduling(seed):
        trio.run(live, folder, seed, seconds, policy, clock=trio.testing.MockClock(autojump_threshold=0))
    return folder


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("day"), 1, 10.0)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("KALSHI_"):
            monkeypatch.delenv(name)


def decided_again(capsys: Captured, recording: Path, journal: Path) -> tuple[int, dict[str, object]]:
    code = main(["replay", str(recording), "--journal", str(journal), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_the_model_decided_is_decided_again(day: Path, capsys: Captured) -> None:
    """With no variable but the recording's own: equal, exit code 0, as JSON and as text."""
    code, report = decided_again(capsys, day, day / "journal.sqlite3")
    assert (code, report["verdict"], report["difference"], report["unjudged"]) == (0, "equal", "", {})
    assert report["decisions"] >= report["batches"] > 10
    assert main(["replay", str(day), "--journal", str(day / "journal.sqlite3")]) == 0
    assert capsys.readouterr().out.startswith(f"verdict          equal\nbatches          {report['batches']}\n")


def test_a_difference_is_named(day: Path, tmp_path: Path, capsys: Captured) -> None:
    """One action of the recording changed: exit code 1, and where it is."""
    (path,) = segments_of(day)
    records = list(SegmentReader(path).records())
    at, batch = [(at, record) for at, record in enumerate(records) if isinstance(record, Batch)][5]
    first = batch.markets[0]
    other = 1 - min(first.action, 1)
    records[at] = replace(batch, markets=[replace(first, action=other), *batch.markets[1:]])
    block = RecordBlock()
    for record in records:
        block.add(record)
    writer = SegmentWriter(tmp_path / path.name)
    writer.write(block.close(), block.count)
    writer.seal()
    code, report = decided_again(capsys, tmp_path, day / "journal.sqlite3")
    assert (code, report["verdict"], report["batches"]) == (1, "different", 5)
    assert report["difference"] == f"batch {batch.number}, {first.market}: action {first.action}, and it was {other}"


def test_what_cannot_be_judged_has_a_code_of_its_own(
    day: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal of another run: exit code 2. A model, a journal or a recording that is not there: one line each."""
    other = lived(tmp_path, 2, 0.5) / "journal.sqlite3"
    code, report = decided_again(capsys, day, other)
    assert (code, report["verdict"]) == (2, "undecided")
    assert list(report["unjudged"]) == ["of a run that the journal does not know"]
    journal = str(day / "journal.sqlite3")
    assert main(["replay", str(day), "--journal", str(tmp_path / "absent")]) == EXIT_ABSENT
    assert main(["replay", str(tmp_path / "absent"), "--journal", journal]) == EXIT_ABSENT
    assert main(["replay", "--journal", journal]) == EXIT_CONFIGURATION
    monkeypatch.setenv("KALSHI_MODEL", str(tmp_path / "absent.onnx"))
    assert main(["replay", str(day), "--journal", journal]) == EXIT_FAILED
    assert capsys.readouterr().err.count("\n") == 4


def test_what_a_script_decided_is_not_judged(tmp_path: Path, capsys: Captured) -> None:
    """It is no function of what was seen, and the recording does not hold the script: undecided, not different."""
    recording = lived(tmp_path, 1, 3.0, {"KALSHI_POLICY": "scripted", "KALSHI_SCRIPT": "1,2,3,4"})
    code, report = decided_again(capsys, recording, recording / "journal.sqlite3")
    assert (code, report["verdict"], report["difference"]) == (2, "undecided", "")
    assert list(report["unjudged"]) == ["of the model scripted, which is not at hand"]
