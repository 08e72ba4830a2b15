"""A recording as Parquet tables: every row is that of the records and the journal, and nothing half is left behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import trio

from kalshi_daemon import limits
from kalshi_daemon.cli import main
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_REFUSED
from kalshi_daemon.facts import FillSeen, OrderIntended
from kalshi_daemon.policy.features import FEATURES
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.simulation.virtual_site import make_site
from kalshi_daemon.wire.records import Batch, Frame

pytest.importorskip("pyarrow", reason="pyarrow, of the extra `record`, is not installed")
LIVELY = WorldSettings(crowd=CrowdSettings(events_per_s=4.0))
Captured = pytest.CaptureFixture[str]


async def live(folder: Path, seed: int) -> None:
    site = make_site(seed, LIVELY)
    daemon = site.daemon({"KALSHI_RECORDING_DIR": str(folder)}, journal=folder / "journal.sqlite3")
    stopped = trio.Event()

    async def run() -> None:
        assert await daemon.run() == 0
        stopped.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.network.run)
        nursery.start_soon(site.world.server.run)
        nursery.start_soon(run)
        await daemon.parts.coordinator.until_usable()
        await trio.sleep(15.0)
        daemon.stop()
        await stopped.wait()
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some segments, with its journal beside them."""
    folder = tmp_path_factory.mktemp("day")
    with pytest.MonkeyPatch.context() as patch, seeded_scheduling(1):
        patch.setattr(limits, "RECORDING_BLOCK", 20_000)
        patch.setattr(limits, "RECORDING_SEGMENT", 30_000)
        trio.run(live, folder, 1, clock=trio.testing.MockClock(autojump_threshold=0))
    return folder


@pytest.fixture
def exported(day: Path, tmp_path: Path, capsys: Captured) -> dict[str, Any]:
    """The report of an export with the journal, to `tmp_path / "tables"`."""
    given = ["recording", "export", str(day), "--to", str(tmp_path / "tables"), "--json"]
    assert main([*given, "--journal", str(day / "journal.sqlite3")]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(folder / f"{table}.parquet").to_pylist()
    return found


def groups(folder: Path, table: str) -> int:
    from pyarrow import parquet

    return int(parquet.ParquetFile(folder / f"{table}.parquet").num_row_groups)


def by_segment(folder: Path, kind: type) -> list[list[Any]]:
    return [
        [record for record in SegmentReader(path).records() if isinstance(record, kind)] for path in segments_of(folder)
    ]


def test_frames_and_batches_are_those_of_the_records(day: Path, tmp_path: Path, exported: dict[str, Any]) -> None:
    """Each frame to the byte, each decided market with its number and action; a row group for each segment."""
    tables, frames = tmp_path / "tables", by_segment(day, Frame)
    assert len(frames) > 2
    told = [(each["at_ms"], each["session"], each["noted_ms"], each["data"]) for each in rows(tables, "frames")]
    assert told == [(each.at_ms, each.session, each.noted_ms, each.data) for own in frames for each in own]
    assert groups(tables, "frames") == sum(map(bool, frames))
    batches = by_segment(day, Batch)
    wanted = [
        (each.number, each.first_decision + row, decided.market, decided.version, decided.action, each.account_version)
        for own in batches
        for each in own
        for row, decided in enumerate(each.markets)
    ]
    names = ("batch", "decision", "market", "book_version", "action", "account_version")
    decided_rows = rows(tables, "batches")
    assert [tuple(each[name] for name in names) for each in decided_rows] == wanted
    assert {each["policy"] for each in decided_rows} == {"rules"}
    assert groups(tables, "batches") == sum(map(bool, batches))
    assert {path.stat().st_mode & 0o777 for path in tables.iterdir()} == {0o600}
    assert exported["rows"] == {table: len(rows(tables, table)) for table in exported["rows"]}
    assert sorted(exported["rows"]) == ["batches", "fills", "frames", "observations"]


def test_observations_are_what_the_policy_was_handed(day: Path, tmp_path: Path, exported: dict[str, Any]) -> None:
    """Each batch's bytes give the recorded checksum, and each order's features are those that its intent carries."""
    assert exported["left_out"] == {}
    observed = rows(tmp_path / "tables", "observations")
    matrix = np.array([[each[name] for name in FEATURES] for each in observed], dtype=np.float32)
    at = 0
    for batch in [each for own in by_segment(day, Batch) for each in own]:
        until = at + len(batch.markets)
        assert crc32(matrix[at:until].tobytes()) == batch.observation_crc
        assert [each["market"] for each in observed[at:until]] == [decided.market for decided in batch.markets]
        at = until
    assert at == len(observed) > 50
    facts = [fact for _seq, fact in read_journal(day / "journal.sqlite3")]
    decided = {each["decision"]: each["market"] for each in observed}
    meant = {fact.decision: fact.spec.market for fact in facts if isinstance(fact, OrderIntended) and fact.decision}
    assert meant.items() <= decided.items()
    assert meant


def test_fills_are_those_of_the_journal(day: Path, tmp_path: Path, exported: dict[str, Any]) -> None:
    """Each once, however often it was told, with what was paid for it."""
    facts = [fact for _seq, fact in read_journal(day / "journal.sqlite3")]
    told = {fact.trade_id: fact for fact in facts if isinstance(fact, FillSeen)}
    fills = rows(tmp_path / "tables", "fills")
    assert [each["trade_id"] for each in fills] == list(told)
    for each in fills:
        fact = told[each["trade_id"]]
        assert (each["market"], each["side"], each["price"]) == (fact.market, str(fact.side), fact.price)
        assert (each["count"], each["fee"]) == (fact.count, fact.fee)
        assert each["client_order_id"]
    assert fills


def test_many_rows_are_written_in_pieces(day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory is bounded, whatever a segment holds; the rows are the same."""
    from kalshi_daemon.replay import export

    monkeypatch.setattr(export, "EXPORT_ROWS_MAX", 50)
    assert main(["recording", "export", str(day), "--to", str(tmp_path)]) == 0
    frames = [record for own in by_segment(day, Frame) for record in own]
    assert [each["data"] for each in rows(tmp_path, "frames")] == [each.data for each in frames]
    assert groups(tmp_path, "frames") > len(by_segment(day, Frame))
    assert not (tmp_path / "fills.parquet").exists()  # without a journal nothing is known of them


def test_batches_that_do_not_follow_are_left_out_and_counted(day: Path, tmp_path: Path, capsys: Captured) -> None:
    """With the journal of another run no observation and no fill is written; frames and batches are."""
    other = tmp_path / "other"
    other.mkdir()
    with seeded_scheduling(2):
        trio.run(live, other, 2, clock=trio.testing.MockClock(autojump_threshold=0))
    given = ["recording", "export", str(day), "--to", str(tmp_path / "tables"), "--json"]
    assert main([*given, "--journal", str(other / "journal.sqlite3")]) == 0
    report = json.loads(capsys.readouterr().out)
    batches = sum(map(len, by_segment(day, Batch)))
    assert report["left_out"] == {"of a run that the journal does not know": batches}
    assert (report["rows"]["observations"], report["rows"]["fills"]) == (0, 0)
    assert report["rows"]["frames"] == sum(map(len, by_segment(day, Frame)))


def already_there(day: Path, folder: Path) -> Sequence[str]:
    (folder / "tables").mkdir()
    (folder / "tables" / "frames.parquet").write_bytes(b"mine")
    return ("cannot be written: File exists; name another --to", "frames.parquet")


def damaged(day: Path, folder: Path) -> Sequence[str]:
    path = segments_of(day)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return ("is damaged at byte", path.name)


@pytest.mark.parametrize(("spoil", "code"), [(already_there, EXIT_FAILED), (damaged, EXIT_REFUSED)])
def test_an_export_that_fails_leaves_nothing(
    day: Path, tmp_path: Path, capsys: Captured, spoil: Callable[[Path, Path], Sequence[str]], code: int
) -> None:
    """One line that says what and where; a file that was there is as it was."""
    copy = tmp_path / "day"
    copy.mkdir()
    for path in segments_of(day):
        (copy / path.name).write_bytes(path.read_bytes())
    words = spoil(copy, tmp_path)
    assert main(["recording", "export", str(copy), "--to", str(tmp_path / "tables")]) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in words)
    left = [path.read_bytes() for path in (tmp_path / "tables").iterdir()]
    assert left in ([], [b"mine"])


def test_without_pyarrow_it_says_what_to_install(
    day: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """78, and one line with the name of the extra."""
    for name in [name for name in sys.modules if name.startswith(("pyarrow", "kalshi_daemon.shell.parquet_file"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "kalshi_daemon.replay.export_files", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["recording", "export", str(day), "--to", str(tmp_path / "tables")]) == EXIT_CONFIGURATION
    assert "pyarrow is not installed: install the extra `record`" in capsys.readouterr().err
    assert not (tmp_path / "tables").exists()
