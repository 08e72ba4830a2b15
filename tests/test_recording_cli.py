"""`kalshi-daemon recording` as it is typed: what is there, whether it is whole, and with which exit code it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from kalshi_daemon import __version__, limits
from kalshi_daemon.cli import main
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_ABSENT
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of some segments each."""
    folder = tmp_path_factory.mktemp("recorded")
    settings = WorldSettings(crowd=CrowdSettings(events_per_s=2.0))

    async def scenario(_stage: Stage) -> None:
        await trio.sleep(8.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "RECORDING_BLOCK", 4_000)
        patch.setattr(limits, "RECORDING_SEGMENT", 12_000)
        for seed in (1, 2):
            run_virtually(seed, scenario, settings, {"KALSHI_RECORDING_DIR": str(folder)})
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, which the environment names."""
    for path in segments_of(recorded):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("KALSHI_RECORDING_DIR", str(tmp_path))
    return tmp_path


def verified(capsys: Captured, *given: str) -> tuple[int, dict[str, object]]:
    code = main(["recording", "verify", "--json", *given])
    return code, json.loads(capsys.readouterr().out)


def test_runs_are_listed(folder: Path, capsys: Captured) -> None:
    """One line for each, with its segments, its bytes and its end; as JSON too, and of one segment alone."""
    names = [path.name for path in segments_of(folder)]
    runs = sorted({name[:12] for name in names})
    assert main(["recording", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [each["run"] for each in listed] == runs
    assert len(runs) == 2
    for each in listed:
        own = [path for path in segments_of(folder) if path.name.startswith(each["run"])]
        assert (each["segments"], each["bytes"]) == (len(own), sum(path.stat().st_size for path in own))
        assert (each["last"], each["missing"], each["detail"], each["daemon"]) == ("sealed", 0, "", __version__)
        assert each["from"] < each["to"]
    assert main(["recording", "list", str(folder / names[0])]) == 0
    assert capsys.readouterr().out.startswith(f"runs             run={names[0][:12]} from=")


def test_a_whole_recording_is_proved(folder: Path, capsys: Captured) -> None:
    """Each segment sealed, each checkpoint but the first of a run proved by what stands before; exit code 0."""
    paths = segments_of(folder)
    code, report = verified(capsys)
    assert (code, report["verdict"], report["exit_code"], report["dropped"]) == (0, "whole", 0, 0)
    assert report["checkpoints"] == len(paths) - 2
    segments = report["segments"]
    assert [(each["segment"], each["verdict"]) for each in segments] == [(path.name, "sealed") for path in paths]
    assert report["records"]["Head"] == len(paths)
    assert report["records"]["Batch"] > 0
    assert sum(report["records"].values()) == sum(len(list(SegmentReader(path).records())) for path in paths)


def test_a_torn_end_is_said_and_no_fault(folder: Path, capsys: Captured) -> None:
    """The last block of the last segment cut: how much of it is told, the exit code stays 0."""
    last = segments_of(folder)[-1]
    last.write_bytes(last.read_bytes()[:-100])
    code, report = verified(capsys)
    assert (code, report["verdict"]) == (0, "whole")
    assert report["segments"][-1]["verdict"] == "torn"
    assert report["segments"][-1]["detail"].endswith(" bytes of a block that was not written whole are cut")


def test_damage_is_named_and_the_rest_is_proved_all_the_same(folder: Path, capsys: Captured) -> None:
    """One bit of the second segment turned, and a segment taken away: exit code 1, the place, what is missing."""
    paths = segments_of(folder)
    data = bytearray(paths[1].read_bytes())
    data[len(data) // 2] ^= 4
    paths[1].write_bytes(data)
    paths[2].unlink()
    code, report = verified(capsys)
    assert (code, report["verdict"], report["exit_code"]) == (1, "damaged", 1)
    assert report["segments"][1]["detail"].startswith(f"{paths[1].name} is damaged at byte ")
    assert report["missing"] == [paths[2].name.removesuffix(".kdrec")]
    assert {each["verdict"] for each in report["segments"] if each["segment"] != paths[1].name} == {"sealed"}


def test_nothing_there_is_an_answer_too(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 69 and one line: of an empty directory, of one that is not there, and of none that was named."""
    monkeypatch.delenv("KALSHI_RECORDING_DIR", raising=False)
    for given, said in (
        ([str(tmp_path)], "there is no recording at"),
        ([str(tmp_path / "absent")], "there is no recording at"),
        ([], "no recording is named: give a directory, or set KALSHI_RECORDING_DIR"),
    ):
        for action in ("list", "verify"):
            assert main(["recording", action, *given]) == EXIT_ABSENT
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert said in err
