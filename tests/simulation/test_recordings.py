"""A daemon on recorded order books, to the end of the recording: what it has then is what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.demo import read_recording
from kalshi_daemon.emulator.recording import RecordedLevel, RecordedSnapshot, Recording
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.simulation.virtual_day import START_MS, Stage, run_virtually
from kalshi_daemon.units import Count, Price, Ticker

RECORDED = Path(__file__).parents[3] / "shared/kalshi/recordings/prod-2026-08/ws_orderbook_stream.json"
Levels = dict[Price, Count]


def books_at(recording: Recording, offset_ms: float) -> dict[Ticker, tuple[Levels, Levels]]:
    """Both legs of every market, folded here from what was recorded until then."""
    books: dict[Ticker, tuple[Levels, Levels]] = {market: ({}, {}) for market in recording.market_ids}
    for step in recording.steps:
        if isinstance(step, RecordedSnapshot):
            books[step.market] = (dict(step.yes), dict(step.no))
        elif step.offset_ms <= offset_ms:
            books[step.market][0 if step.yes else 1][step.price] = step.count
    return {market: (held(yes), held(no)) for market, (yes, no) in books.items()}


def held(levels: Levels) -> Levels:
    return {price: count for price, count in levels.items() if count}


def legs(book: OrderBook) -> tuple[Levels, Levels]:
    return dict(book.yes.levels()), dict(book.no.levels())


@pytest.mark.skipif(not RECORDED.exists(), reason=f"the recording of the exchange is not here: {RECORDED}")
@pytest.mark.parametrize(("seconds", "speed"), [(20, 1.0), (70, 1.0), (20, 4.0)])
def test_every_recorded_change_arrives_and_the_books_are_the_recorded_ones(seconds: int, speed: float) -> None:
    """Deltas are those that were due in the time, one each; the books are the recording's at that moment, and the last
    ones hold; orders are filled on them, and the account is exact.
    """
    recording = read_recording(RECORDED)
    found: list[tuple[int, int, float, bool]] = []

    async def scenario(stage: Stage) -> None:
        await trio.sleep(seconds)
        parts = stage.daemon.parts
        current = next(line for line in stage.daemon.surface.reporter.history() if line.state == "streaming.current")
        began_ms, now_ms = current.since_ms - START_MS, parts.clock.now_ms() - START_MS - 100  # a tick, and the way
        offsets = [step.offset_ms / speed for step in recording.steps if isinstance(step, RecordedLevel)]
        changes = [offset_ms for offset_ms in offsets if offset_ms > began_ms]
        due = sum(offset_ms <= now_ms for offset_ms in changes)
        books = {market: legs(book) for market, book in parts.books.books.items()}
        found.append((parts.books.counts["deltas"], due, len(changes), books == books_at(recording, now_ms * speed)))

    run = run_virtually(1, scenario, WorldSettings(recording=recording, speed=speed))
    (deltas, due, changes, same), *_ = found
    assert (deltas, same) == (due, True)
    assert (due == changes) is (seconds * speed * 1_000 > recording.duration_ms)
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.fills > 0
    assert run.compared > 0
