"""The bytes of an observation depend on its inputs alone: not on the batch, nor on what was kept of the last one."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from policy_inputs import EMPTY_ACCOUNT, market_of
from told_inputs import Look, looks

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.policy.columns import book_columns, is_whole
from kalshi_daemon.policy.features import book_features
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.observation_adapter import BOOK_ROWS, COLUMNS_FROM, ObservationAdapter, bounded, observe_raw
from kalshi_daemon.training.live_books import START_MS, RandomBook
from kalshi_daemon.training.samples import batches_of


def alone(markets: list[MarketInput], account: AccountInput, now_ms: int) -> NDArray[np.float64]:
    return np.concatenate([observe_raw([market], account, now_ms) for market in markets])


def mixed(seed: int) -> tuple[list[MarketInput], AccountInput, int]:
    """Some ninety whole markets and others between them, with an account that holds some."""
    batches = list(batches_of(Random(seed), 12))
    markets = [market for batch, _, _ in batches for market in (*batch, market_of(OrderBook("N")))]
    assert sum(map(is_whole, markets)) > 80
    return markets, batches[-1][1], batches[-1][2]


@pytest.mark.parametrize("seed", range(5))
def test_alone_as_in_any_batch(seed: int) -> None:
    """Whole markets and others, one to over a hundred together: each row is to the bit what it is alone."""
    markets, account, now_ms = mixed(seed)
    single = alone(markets, account, now_ms)
    for size in (2, COLUMNS_FROM - 1, COLUMNS_FROM, COLUMNS_FROM + 7, 71, len(markets)):
        for first in range(0, len(markets) - size + 1, max(1, size // 3)):
            together = observe_raw(markets[first : first + size], account, now_ms)
            assert together.tobytes() == single[first : first + size].tobytes()
            assert bounded(together).tobytes() == bounded(single[first : first + size]).tobytes()


def test_columns_at_the_edges() -> None:
    """Sub-cent prices, huge sizes, steady and absent activity, every hour of a day: columns equal rows to the bit."""
    rng = Random(8)
    markets = []
    for hour in range(24):
        live = RandomBook(rng, "M", START_MS + hour * 3_600_000)
        live.stir(150)
        low, crossed = OrderBook("M"), OrderBook("M")
        low.replace([(1, 10**9)], [(10_000 - 2, 1)], clock=None, ts_ms=None)
        crossed.replace([(6_000, 100)], [(6_000, 10**13)], clock=None, ts_ms=None)
        markets += [
            market_of(book, live.history, last_trade=trade, fee_multiplier_ppm=fees)
            for book in (live.book, low, crossed)
            for trade, fees in ((None, 0), (9_999, 1_333_333), (1, 700_001))
        ]
    rows = np.array([book_features(market) for market in markets])
    assert book_columns(markets).T.tobytes() == rows.tobytes()


@settings(max_examples=50)
@given(looks())
def test_any_look_kept_is_as_anew(look: Look) -> None:
    """Any messages, orders and account: from the memory the same bytes, whatever account it is kept for."""
    market, account = look.inputs()
    adapter = ObservationAdapter()
    adapter.observe_raw([market], EMPTY_ACCOUNT, look.now_ms - 5_000)
    kept = adapter.observe_raw([market], account, look.now_ms)
    assert kept.tobytes() == observe_raw([market], account, look.now_ms).tobytes()
    assert adapter.counts == {"computed": 1, "kept": 1}


@pytest.mark.parametrize("seed", range(5))
def test_kept_while_books_live(seed: int) -> None:
    """Batches of any size while some books change and some do not: the memory changes no byte, and is used."""
    rng = Random(seed)
    books = [RandomBook(rng, f"M{number}", START_MS) for number in range(60)]
    adapter = ObservationAdapter()
    for _ in range(60):
        for live in rng.sample(books, rng.randrange(20)):
            live.stir(rng.randrange(1, 6))
        seen = rng.sample(books, rng.randrange(1, len(books)))
        markets = [
            market_of(
                each.book,
                each.history,
                last_trade=rng.choice((None, 4_000)),
                fee_multiplier_ppm=rng.choice((1_000_000, 500_000)),
            )
            for each in seen
        ]
        raw = adapter.observe_raw(markets, EMPTY_ACCOUNT, START_MS)
        assert raw.tobytes() == observe_raw(markets, EMPTY_ACCOUNT, START_MS).tobytes()
    assert min(adapter.counts.values()) > 100


def test_what_is_looked_at_is_not_what_is_kept() -> None:
    """Whoever writes into a batch changes no later one."""
    adapter = ObservationAdapter()
    markets, account, now_ms = mixed(1)
    wanted = adapter.observe_raw(markets, account, now_ms)[:, :BOOK_ROWS].tobytes()
    adapter.observe_raw(markets, account, now_ms)[:] = 0.0
    assert adapter.observe_raw(markets, account, now_ms)[:, :BOOK_ROWS].tobytes() == wanted
