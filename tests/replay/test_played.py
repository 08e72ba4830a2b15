"""What a daemon recorded, played by the emulator: the same books at the same moments, and a backtest on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from kalshi_daemon.cli import main
from kalshi_daemon.emulator.recording import RecordedLevel, RecordedSnapshot
from kalshi_daemon.errors import EXIT_CONFIGURATION, ConfigurationError
from kalshi_daemon.replay.played import played
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import PRICE_ONE
from kalshi_daemon.wire.records import Head

SECONDS = 25


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[dict[int, int], dict[int, int]]]]:
    """The recording of a daemon that held, with a reset of its streams on the way, and the books as they were then."""
    folder, last = tmp_path_factory.mktemp("recorded") / "segments", {}

    async def scenario(stage: Stage) -> None:
        await trio.sleep(SECONDS / 2)
        stage.world.server.drop_streams()
        await trio.sleep(SECONDS / 2)
        for market, book in stage.daemon.parts.books.books.items():
            last[market] = (dict(book.yes.counts), dict(book.no.counts))

    variables = {"KALSHI_POLICY": "hold", "KALSHI_RECORDING_DIR": str(folder)}
    run_virtually(5, scenario, None, variables)
    return folder, last


def test_the_steps_lead_to_the_books_that_were(recorded) -> None:
    """No step crosses a book, time does not go back, and at the end each book is what the daemon had."""
    folder, last = recorded
    recording = played(record for path in segments_of(folder) for record in SegmentReader(path).records())
    books: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
    offset_ms = 0
    for step in recording.steps:
        assert step.offset_ms >= offset_ms
        offset_ms = step.offset_ms
        if isinstance(step, RecordedSnapshot):
            books[step.market] = (dict(step.yes), dict(step.no))
        else:
            assert isinstance(step, RecordedLevel)
            levels = books[step.market][0 if step.yes else 1]
            levels[step.price] = step.count
            if not step.count:
                del levels[step.price]
        yes, no = books[step.market]
        assert max(yes, default=0) + max(no, default=0) < PRICE_ONE
        assert {*yes, *(PRICE_ONE - price for price in no)} <= recording.prices[step.market]
    assert books == last
    assert set(recording.market_ids) == set(books)
    assert SECONDS * 1_000 - 2_000 <= recording.duration_ms <= SECONDS * 1_000 + 2_000


def test_a_backtest_on_it(recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory, and one segment of it, are played as they are; the same twice."""
    folder, last = recorded
    monkeypatch.setenv("KALSHI_POLICY", "rules")
    told = []
    for where in (folder, segments_of(folder)[0]):
        assert main(["replay", str(where), "--seconds", "10", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["markets_seen"] == len(last)
    assert told[0]["decisions"] > 0
    assert {**told[0], "source": ""} == {**told[1], "source": ""}
    assert main(["replay", str(folder), "--journal", "journal.sqlite3", "--seconds", "5"]) == EXIT_CONFIGURATION
    assert "--seconds is for a backtest; allowed: without --journal" in capsys.readouterr().err


def test_a_recording_without_books_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no order book in it"):
        played([Head(1, "run000000001", 1, 0, {})])
