"""A daemon's recording as one that the emulator plays: what each book was, from step to step.

The records are applied to the daemon's own books (`books.py`), and what has changed in a book is the next step. Rules:
a book whose frames were missed stands still until the next that is known; time is when frames came, and does not go
back; what the emulator cannot play (prints, orders, what was decided) is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.emulator.recording import Levels, RecordedLevel, RecordedSnapshot, Recording
from kalshi_daemon.errors import ConfigurationError
from kalshi_daemon.limits import RECORDING_FRAMES_MAX
from kalshi_daemon.replay.books import RecordedBooks
from kalshi_daemon.units import PRICE_ONE, Milliseconds, Price, Ticker
from kalshi_daemon.wire.records import Checkpoint, Frame, LevelsRead, Record

Step = RecordedSnapshot | RecordedLevel
_MOVES: Final = (Frame, LevelsRead, Checkpoint)


def played(records: Iterable[Record]) -> Recording:
    """Raises RecordingDamaged, BooksDiffer, and ConfigurationError for one without books or with too many steps."""
    books = RecordedBooks()
    shown: dict[Ticker, tuple[Levels, Levels]] = {}
    versions: dict[Ticker, int] = {}
    prices: dict[Ticker, set[Price]] = {}
    steps: list[Step] = []
    began_ms = now_ms = 0
    for record in records:
        books.apply(record)
        if not isinstance(record, _MOVES):
            continue
        began_ms = began_ms or record.at_ms
        now_ms = max(now_ms, record.at_ms)
        changed = books.table.take_dirty()
        for market in books.table.books if isinstance(record, Checkpoint) else changed:
            book = books.table.books[market]
            if versions.get(market) == book.version or not book.known or book.crossed:
                continue
            versions[market] = book.version
            for step in _steps(now_ms - began_ms, book, shown):
                steps.append(step)
                prices.setdefault(market, set()).update(_prices(step))
        if len(steps) > RECORDING_FRAMES_MAX:
            raise ConfigurationError(f"the recording has more than {RECORDING_FRAMES_MAX} steps: name some segments")
    if not steps:
        raise ConfigurationError("the recording has no order book in it: nothing can be played")
    ids = {market: str(uuid5(NAMESPACE_URL, market)) for market in prices}
    found = {market: frozenset(every) for market, every in prices.items()}
    return Recording(tuple(steps), ids, found, now_ms - began_ms, began_ms)


def _steps(offset_ms: Milliseconds, book: OrderBook, shown: dict[Ticker, tuple[Levels, Levels]]) -> Iterator[Step]:
    """What became of a book since it was shown last: first decreases, so that no step crosses it."""
    yes, no = dict(book.yes.counts), dict(book.no.counts)
    before = shown.get(book.market)
    shown[book.market] = (yes, no)
    if before is None:
        yield RecordedSnapshot(offset_ms, book.market, yes, no)
        return
    changes = [
        RecordedLevel(offset_ms, book.market, side, price, now.get(price, 0))
        for side, was, now in ((True, before[0], yes), (False, before[1], no))
        for price in sorted(was.keys() | now.keys())
        if was.get(price, 0) != now.get(price, 0)
    ]
    yield from sorted(changes, key=lambda step: step.count > before[not step.yes].get(step.price, 0))


def _prices(step: Step) -> Iterable[Price]:
    if isinstance(step, RecordedLevel):
        return (step.price if step.yes else PRICE_ONE - step.price,)
    return (*step.yes, *(PRICE_ONE - price for price in step.no))
