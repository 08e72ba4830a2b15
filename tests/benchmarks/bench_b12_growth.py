"""B12, growth: what a delta and an observation cost at 10, 100 and 1,000 markets, each market at the same rate, and
what a market of 50 levels a side takes.

The reference is the same work at 10 markets, in the same rounds. A delta is B1's with the window; an observation is of
all markets in one batch.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

from bench_b1_frame_to_book import Bare, Feed
from bench_b2_observation import busy_books, inputs_of
from harness import Variant, compare, goal

from kalshi_daemon.policy.observation_adapter import ObservationAdapter, observe
from kalshi_daemon.training.live_books import START_MS, LiveBook

MARKETS = (10, 100, 1_000)
PER_MS = 10  # markets whose changes make one delta a millisecond
LEVELS = 50  # a side, of the market whose memory is counted
SLICES = 10  # of a round: the variants take turns so often


def _deltas(markets: int, deltas: int) -> Variant:
    feed = Feed(markets, deltas, fine=False, per_ms=max(1, markets // PER_MS))

    def work() -> Iterator[None]:
        one = Bare(feed, window=True)
        size = len(feed.deltas) // SLICES
        yield
        for start in range(0, len(feed.deltas), size):
            one.run(feed.deltas[start : start + size])
            yield
        assert one.made() == feed.final, f"{markets} markets end with other books than were fed"

    return Variant(str(markets), deltas, work)


def _observations(markets: int, looks: int) -> Variant:
    inputs, account = inputs_of(busy_books(markets))
    now_ms = max(market.history.now_ms for market in inputs)

    def work() -> Iterator[None]:
        yield
        for _ in range(SLICES):
            for _ in range(looks):
                assert len(observe(inputs, account, now_ms)) == markets
            yield

    return Variant(str(markets), SLICES * looks * markets, work)


def bytes_per_market(markets: int) -> int:
    """Of the book, its full window, and the row that is kept of it."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = [_deep(number) for number in range(markets)]
        inputs, account = inputs_of(kept)
        ObservationAdapter().observe_raw(inputs, account, START_MS)
        del inputs, account
        gc.collect()
        return tracemalloc.get_traced_memory()[0] // markets
    finally:
        tracemalloc.stop()


def _deep(number: int) -> LiveBook:
    """Its 50 levels a side were told one by one, a second apart, so that activity and points are full too."""
    live = LiveBook(f"KXBENCH-26NOV22-B{number}", ())
    live.fill({100: 10_000}, {100: 10_000}, START_MS)
    for level in range(2, LEVELS + 1):
        for yes in (True, False):
            price, size = level * 98, 10_000 + level * number
            live.change(yes=yes, price=price, change=size, now_ms=START_MS + level * 1_300)
    assert len(live.book.yes.prices) == len(live.book.no.prices) == LEVELS
    return live


def run(*, short: bool) -> dict[str, Any]:
    sizes = (10, 50, 100) if short else MARKETS
    per_market, looks = (20, 20) if short else (200, 1_000)
    deltas = compare([_deltas(markets, max(per_market * markets, 2_000)) for markets in sizes])
    observations = compare([_observations(markets, max(1, looks // markets)) for markets in sizes])
    memory = bytes_per_market(20 if short else 200)
    grown = {
        what: [round(1 / result.ratio(str(markets)), 2) for markets in sizes[1:]]
        for what, result in (("delta", deltas), ("observation", observations))
    }
    return {
        "what": f"the cost of one at {sizes} markets, each at the same rate; memory of {LEVELS} levels a side",
        "deltas": deltas.report(),
        "observations": observations.report(),
        "goals": {
            **{f"{what}_at_{sizes[1]}": goal(costs[0], 1.3, least=False) for what, costs in grown.items()},
            **{f"{what}_at_{sizes[2]}": goal(costs[1], 2.0, least=False) for what, costs in grown.items()},
            "bytes_per_market": goal(memory, 25_000, least=False),
        },
    }
