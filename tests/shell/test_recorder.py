"""The recorder: all that changes the books is in the recording, in order; whatever the disk does, trading goes on."""

from __future__ import annotations

import errno
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from daemon_world import LIVELY, Site, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.replay.books import RecordedBooks
from kalshi_daemon.shell.book_memory import remember
from kalshi_daemon.shell.journal import in_place
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.wire.records import Checkpoint, Frame, Head, Hole, LevelsRead, MarketsWanted, Record


def read_all(directory: Path) -> list[list[Record]]:
    """The records of each segment."""
    return [list(SegmentReader(path).records()) for path in segments_of(directory)]


def books_of(records: list[Record]) -> RecordedBooks:
    """As they stand after the last of the records."""
    books = RecordedBooks()
    for record in records:
        books.apply(record)
    return books


def kept(directory: Path) -> dict[str, str]:
    return {"KALSHI_RECORDING_DIR": str(directory)}


@pytest.mark.parametrize("seed", range(2))
def test_the_books_follow_from_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Through resets, gaps and books that are read by REST: what the records lead to is what each checkpoint says and
    what the daemon held at its end; each segment leads there alone.
    """
    monkeypatch.setattr(limits, "RECORDING_BLOCK", 8_000)
    monkeypatch.setattr(limits, "RECORDING_SEGMENT", 30_000)
    last = []

    async def scenario(stage: Stage) -> None:
        exchange = stage.world.server
        for _ in range(3):
            await trio.sleep(8.0)
            exchange.drop_streams()
        await trio.sleep(8.0)
        table, recorder = stage.daemon.parts.books.table, stage.daemon.parts.recorder
        assert recorder is not None
        last.append(remember(table))
        await recorder.end()
        assert (recorder.counts["dropped"], recorder.counts["failures"]) == (0, 0)

    run_virtually(seed, scenario, LIVELY, kept(tmp_path))
    segments = read_all(tmp_path)
    assert len(segments) > 3
    assert all(SegmentReader(path).path.stat().st_mode & 0o777 == 0o600 for path in segments_of(tmp_path))
    whole = books_of([record for records in segments for record in records])
    assert remember(whole.table) == last[0]
    assert whole.checkpoints == len(segments) - 1
    for number, records in enumerate(segments, 1):
        assert isinstance(records[0], Head)
        assert (records[0].segment, type(records[1])) == (number, Checkpoint)
        following = [record for each in segments[number:] for record in each]
        assert remember(books_of(records + following).table) == last[0]


async def test_books_that_are_read_by_rest_are_recorded(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """While no stream lives the levels that REST shows stand in the recording, and lead to the same books."""
    async with exchange_site(LIVELY) as site:
        running = site.start(kept(tmp_path))
        await running.until("trading.normal")
        site.cut_streams()
        await trio.sleep(15.0)
        site.mend()
        await running.until(lambda: running.parts.books.streamed)
        await trio.sleep(2.0)
        last = remember(running.parts.books.table)
        await running.parts.recorder.end()
        assert await running.stop() == 0
    (records,) = read_all(tmp_path)
    assert any(isinstance(record, LevelsRead) for record in records)
    assert any(isinstance(record, MarketsWanted) for record in records)
    assert remember(books_of(records).table) == last


async def recorded_with(
    site: Site, directory: Path, work: Callable[[Callable[[], object]], Awaitable[object]], seconds: float
) -> tuple[object, int]:
    """A daemon whose threads do `work`, for so long; its recorder, and the exit code of its end."""
    running = site.start(kept(directory), run_in_thread=work)
    await running.until("trading.normal")
    decided = running.parts.policy.actor.decisions
    await trio.sleep(seconds)
    assert running.in_state("trading.normal")
    assert running.parts.policy.actor.decisions > decided + seconds / limits.REDECIDE_S
    return running.parts.recorder, await running.stop()


async def test_a_disk_that_hangs_costs_records_and_no_decision(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the recording is ever written: markets are decided, orders sent, and the stop is verified; what was
    dropped is counted, and what waits is bounded.
    """
    monkeypatch.setattr(limits, "RECORDING_BLOCK", 2_000)
    monkeypatch.setattr(limits, "RECORDING_BLOCKS_MAX", 4)

    async def hang(work):
        if "Recording" in repr(work):
            await trio.sleep_forever()
        return await in_place(work)

    async with exchange_site(LIVELY) as site:
        recorder, code = await recorded_with(site, tmp_path, hang, 30.0)
    assert code == 0
    assert recorder.waiting == 4
    assert recorder.counts["dropped"] > 100
    assert (recorder.counts["records"], recorder.trouble) == (0, "the disk is slower than what is recorded")
    assert list(await trio.Path(tmp_path).glob("*")) == []


async def test_a_recorder_that_fell_behind_says_so_and_goes_on(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stands still for ten seconds leaves one hole, with its count, and the books behind it are right."""
    monkeypatch.setattr(limits, "RECORDING_BLOCK", 2_000)
    monkeypatch.setattr(limits, "RECORDING_BLOCKS_MAX", 4)
    stands_still = [False]

    async def slow(work):
        if "Recording" in repr(work) and stands_still[0]:
            stands_still[0] = False
            await trio.sleep(10.0)
        return await in_place(work)

    async with exchange_site(LIVELY) as site:
        running = site.start(kept(tmp_path), run_in_thread=slow)
        await running.until("trading.normal")
        await trio.sleep(5.0)
        stands_still[0] = True
        await trio.sleep(15.0)
        recorder = running.parts.recorder
        assert recorder.trouble == ""
        last = remember(running.parts.books.table)
        await recorder.end()
        assert await running.stop() == 0
    (records,) = read_all(tmp_path)
    (hole,) = (at for at, record in enumerate(records) if isinstance(record, Hole))
    assert isinstance(records[hole + 1], Checkpoint)
    assert records[hole].records == recorder.counts["dropped"] > 0
    assert len(records) == recorder.counts["records"]
    assert remember(books_of(records).table) == last


async def test_a_full_disk_stops_the_recording_and_nothing_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm, no trade less; after a while another segment begins, which says what is missing."""
    monkeypatch.setattr(limits, "RECORDING_RETRY_S", 12.0)
    full = [False]

    async def work(what):
        if "RecordingDirectory.write" in repr(what) and full[0]:
            raise OSError(errno.ENOSPC, "No space left on device", "recording")
        return await in_place(what)

    async with exchange_site(LIVELY) as site:
        running = site.start(kept(tmp_path), run_in_thread=work)
        await running.until("trading.normal")
        await trio.sleep(3.0)
        full[0] = True
        await trio.sleep(5.0)
        full[0] = False
        told = [each.text for each in running.daemon.surface.reporter.status().last_alarms]
        assert "nothing is recorded while this lasts, trading goes on" in next(x for x in told if "No space" in x)
        recorder = running.parts.recorder
        assert recorder.trouble.startswith("[Errno 28] No space left on device")
        await trio.sleep(limits.RECORDING_RETRY_S)
        assert (recorder.trouble, recorder.counts["failures"]) == ("", 1)
        assert running.states().count("trading.normal") == 1
        assert running.in_state("trading.normal")
        last = remember(running.parts.books.table)
        await recorder.end()
        assert await running.stop() == 0
    first, second = read_all(tmp_path)
    assert isinstance(first[0], Head)
    assert [type(record) for record in second[:3]] == [Head, Hole, Checkpoint]
    assert second[1].records == recorder.counts["dropped"]
    assert remember(books_of(first + second).table) == last


async def test_no_secret_is_in_a_recording(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Neither the key's id nor its text, nor the name of any header, in any record of public and private frames."""
    async with exchange_site(LIVELY) as site:
        running = site.start(kept(tmp_path))
        await running.until("trading.normal")
        await trio.sleep(20.0)
        assert running.ledger.fills_booked > 0
        assert await running.stop() == 0
        secrets = [site.key.key_id.encode(), *site.key.private_pem.splitlines(), b"KALSHI-ACCESS", b"Authorization"]
    (records,) = read_all(tmp_path)
    frames = b"\n".join(record.data for record in records if isinstance(record, Frame))
    assert b'"type":"fill"' in frames.replace(b" ", b"")
    assert [secret for secret in secrets if secret in frames] == []
    others = repr([record for record in records if not isinstance(record, Frame)]).encode()
    assert [secret for secret in secrets if secret in others] == []
    assert stat.S_IMODE(segments_of(tmp_path)[0].stat().st_mode) == 0o600


async def test_nothing_is_recorded_unless_it_is_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    """Without a directory there is no recorder."""
    async with exchange_site(LIVELY) as site:
        running = site.start()
        await running.until("trading.normal")
        assert running.parts.recorder is None
        assert running.parts.books.table.recorder is None
        assert await running.stop() == 0
