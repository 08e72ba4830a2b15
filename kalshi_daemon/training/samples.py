"""Batches as the daemon takes them, and their observations: what a model is fitted on.

Half of the batches see books made at random, half the emulator's crowd. Positions, orders and cash are drawn anew for
each look, so that every rule is met often.

Rules: everything comes from one seeded generator and passes through the real `observe` and `mask`, so that a sample is
what the daemon would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from kalshi_daemon.policy.inputs import AccountInput, HeldPosition, MarketInput, OpenOrder, RestingOrder
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.policy.portfolio import value_at_mid
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.training.live_books import START_MS, WEEK_MS, CrowdBooks, LiveBook, RandomBook
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, PRICE_CENT, PRICE_ONE, BookSide, Count, Milliseconds, Money

BATCH = 12  # markets observed together: the crowd has as many
LOOKS = 4  # observations of the same random books, with changes between
CHANGES_MAX = 12  # changes of a random book between two looks
WAIT_MAX_MS: Milliseconds = 1_500  # between two looks at the crowd

Batch = tuple[list[MarketInput], AccountInput, Milliseconds]


def observations(
    seed: int, batches: int, sizes: Sequence[Count], pricing: Pricing
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(batches * BATCH, 52) observations and their masks; in every eighth batch increases are not allowed."""
    seen, masks = [], []
    rng = Random(seed)  # noqa: S311 - samples are no secret
    for number, (markets, account, now_ms) in enumerate(batches_of(rng, batches)):
        seen.append(observe(markets, account, now_ms))
        masks.append(mask(markets, sizes, pricing, increases_allowed=number % 8 != 0))
    return np.concatenate(seen), np.concatenate(masks)


def batches_of(rng: Random, batches: int) -> Iterator[Batch]:
    """So many batches with the moment of each: LOOKS at random books, LOOKS at the crowd, and so on."""
    crowd = CrowdBooks(rng)
    books: list[RandomBook] = []
    for number in range(batches):
        look = number % (2 * LOOKS)
        if look >= LOOKS:
            crowd.stir(rng.randrange(1, WAIT_MAX_MS))
            yield _batch(rng, list(crowd.books.values()))
            continue
        if look == 0:
            books = [RandomBook(rng, f"M{each}", START_MS + rng.randrange(WEEK_MS)) for each in range(BATCH)]
        for book in books:
            book.stir(rng.randrange(CHANGES_MAX))
        yield _batch(rng, books)


def _batch(rng: Random, books: Sequence[LiveBook]) -> Batch:
    now_ms = max(book.history.now_ms for book in books)
    markets = [_market(rng, book, now_ms) for book in books]
    return markets, _account(rng, markets), now_ms


RESTING = RestingOrder("", CONTRACT, 0)  # so that a rule that rests sees the actions which amend


def _market(rng: Random, live: LiveBook, now_ms: Milliseconds) -> MarketInput:
    mid = live.history.mid_twice // 2
    position = rng.choice((0, 0, 1, 1, 1, -1, -1, -1)) * rng.randrange(1, 31) * CONTRACT
    orders = tuple(
        OpenOrder(side, rng.randrange(1, 100) * PRICE_CENT, now_ms - rng.randrange(400_000), RESTING)
        for side in BookSide
        if rng.random() < 0.05
    )
    return MarketInput(
        market=live.book.market,
        book=live.book,
        history=live.history,
        last_trade=rng.choice((None, mid + rng.randrange(-3, 4) * PRICE_CENT)),
        fee_multiplier_ppm=rng.choice((0, 500_000, 1_000_000, 1_000_000)),
        position=position,
        cost=_cost(rng, position, mid),
        orders=orders,
        reducing=abs(position) if rng.random() < 0.03 else 0,
        grid=live.grid,
        usable=rng.random() < 0.98,
        closing=rng.random() < 0.05,
        unknown=rng.random() < 0.02,
    )


def _cost(rng: Random, position: Count, mid: int) -> Money:
    """As if bought a while ago: mostly a few percent off the mid of the side held, at times up to 40."""
    off = max(-0.4, min(0.4, rng.gauss(0, rng.choice((0.04, 0.15)))))
    held = mid if position > 0 else PRICE_ONE - mid
    return abs(position) * max(PRICE_CENT, min(PRICE_ONE - PRICE_CENT, int(held * (1 + off))))


def _account(rng: Random, markets: list[MarketInput]) -> AccountInput:
    held = tuple(
        HeldPosition(each.market, each.position, each.cost, value_at_mid(each.position, each.history.mid_twice))
        for each in markets
        if each.position and rng.random() < 0.7  # a position of a market outside the batch is no other case
    )
    settled = rng.randrange(100, 10_000) * DOLLAR + rng.randrange(100) * CENT
    available = int(settled * rng.uniform(0.1, 1))
    return AccountInput(available, settled + sum(position.value for position in held), held)
