"""B2, observation: all 52 features of a market, hot, nothing kept of the last time.

The reference, `plain`, is what one would write first: dicts of levels, a window as a list, and numpy for its
statistics, market by market. `alone` observes one market, `batch` a hundred at once; both begin where a change has just
made the sums of a side stale. `kept` is a hundred markets without news, as the actor's memory has them; no goal is held
against it. All give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from math import log1p, tanh
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from attrs import frozen
from harness import Variant, compare, goal

from kalshi_daemon.policy.inputs import AccountInput, HeldPosition, MarketInput, OpenOrder
from kalshi_daemon.policy.observation_adapter import ObservationAdapter, observe, observe_raw
from kalshi_daemon.policy.portfolio import value_at_mid
from kalshi_daemon.training.live_books import START_MS, LiveBook, RandomBook
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide

SLICES = 20  # of a round: the variants take turns so often
HELD = 10  # markets with a position, and
RESTING = 5  # with an order
MICROSECONDS = 1_000_000


def busy_books(markets: int) -> list[RandomBook]:
    """With two sides and a full window each."""
    rng = Random(2)
    books = [RandomBook(rng, f"M{number}", START_MS) for number in range(markets)]
    for book in books:
        book.stir(200)
    return books


def inputs_of(books: Sequence[LiveBook]) -> tuple[list[MarketInput], AccountInput]:
    markets = [
        MarketInput(
            market=each.book.market,
            book=each.book,
            history=each.history,
            last_trade=each.book.yes.prices[-1],
            fee_multiplier_ppm=1_000_000,
            position=10 * CONTRACT if number < HELD else 0,
            cost=4 * DOLLAR if number < HELD else 0,
            orders=(OpenOrder(BookSide.BID, 1_000, START_MS, None),) if number < RESTING else (),
            reducing=0,
            grid=each.grid,
            usable=True,
            closing=False,
            unknown=False,
        )
        for number, each in enumerate(books)
    ]
    held = tuple(
        HeldPosition(each.market, each.position, each.cost, value_at_mid(each.position, each.history.mid_twice))
        for each in markets[:HELD]
    )
    return markets, AccountInput(800 * DOLLAR, 1_000 * DOLLAR, held)


@frozen
class Plain:
    """A market in floats, for the reference."""

    yes: dict[float, float]  # cents -> contracts
    no: dict[float, float]
    window: list[tuple[int, float, float]]  # (ms, mid, activity)
    market: MarketInput


def _plain(market: MarketInput) -> Plain:
    history = market.history
    legs = [{p / 100: count / CONTRACT for p, count in leg.counts.items()} for leg in (market.book.yes, market.book.no)]
    points = zip(
        [*history.closed_ms, history.now_ms],
        [*history.closed_mids, history.mid_twice],
        [*history.closed_changed, history.changed],
        strict=True,
    )
    return Plain(legs[0], legs[1], [(ms, mid / 200, changed / 1_000_000) for ms, mid, changed in points], market)


def _plain_row(each: Plain, account: list[float], now_ms: int) -> list[float]:
    yes, no, market = each.yes, each.no, each.market
    yb, nb = max(yes), max(no)
    ya, na = 100 - nb, 100 - yb
    mid, s, qb, qa = (yb + ya) / 2, ya - yb, yes[yb], no[nb]
    b, a = sum(yes.values()), sum(no.values())
    b5, a5 = sum(c for p, c in yes.items() if p >= yb - 5), sum(c for p, c in no.items() if p >= nb - 5)
    regime = 0.0 if s < 2 else 0.25 if s < 5 else 0.5 if s < 10 else 0.75 if s < 20 else 1.0
    move = (s + 2 * 7 * mid / 100 * (1 - mid / 100)) / 100
    micro, depth = (yb * qa + ya * qb) / (qa + qb) / 100, min((len(yes) + len(no)) / 200, 1)
    top_yes, top_no = sum(sorted(yes.values())[-3:]) / b, sum(sorted(no.values())[-3:]) / a
    times, mids, activity = (np.array(column) for column in zip(*each.window, strict=True))
    moves = np.diff(mids)
    at = datetime.fromtimestamp(times[-1] / 1_000, UTC).astimezone(ZoneInfo("America/New_York"))
    h = at.hour + at.minute / 60 + (at.second + at.microsecond / 1e6) / 3_600
    orders, held = market.orders, market.position / CONTRACT
    cost = market.cost / DOLLAR
    return [
        *(yb / 100, ya / 100, nb / 100, na / 100, np.clip(mid / 100, 0.01, 0.99), np.clip(1 - mid / 100, 0.01, 0.99)),
        *(s / 100, s / 100, s / mid, s / (100 - mid), regime, regime, move, move, min(log1p(b + a) / log1p(1e7), 1)),
        *((qb - qa) / (qb + qa), (b - a) / (b + a), (a - b) / (b + a), tanh(0.5 * (log1p(b5) - log1p(a5)))),
        np.clip(((market.last_trade or 0) / 100 - mid) / 10, -2, 2),
        *(micro, 1 - micro, depth, depth, top_yes, top_no, min((times[-1] - times[-2]) / 300_000, 1)),
        *((h - 9) / 7 if 9 <= h <= 16 else 0, activity[-1], np.tanh(activity[-1] - activity[-2])),
        min(10 / max((times[-1] - times[0]) / 1_000, 1) / 2, 1),
        float(activity[-1] > activity.mean() + 1.5 * activity.std() + 1e-12),
        np.tanh(10 * np.polyfit(np.arange(10), activity, 1)[0]),
        *(np.tanh((mids[-1] - mids[0]) / 5), min(moves.std() / 5, 1), max(0, 1 - np.abs(moves[-3:]).mean() / 5)),
        *(*account[:8], np.clip(held / 100, -1, 1), account[8]),
        tanh((held * mid / 100 - cost) / max(cost, 1)) if held else 0,
        *(1.0 if orders else 0.0, 0.0, abs(mid - orders[0].price / 100) / 100 if orders else 0, 0.0),
        np.clip((now_ms - orders[0].placed_ms) / 300_000, 0, 1) if orders else 0,
    ]


def _plain_account(account: AccountInput) -> list[float]:
    worth, held = account.portfolio_value / DOLLAR, account.positions
    counts = np.array([each.count / CONTRACT for each in held])
    values, costs = np.array([[each.value / DOLLAR, each.cost / DOLLAR] for each in held]).T
    k, size = len(held), np.abs(counts).sum()
    shares = (float((counts > 0).mean()), float((counts < 0).mean()), tanh(counts.sum() / size))
    ratios = (min(account.available / DOLLAR / worth, 1), min(values.sum() / worth, 1), min(k / 10, 1))
    return [*ratios, min(size / k / 100, 1), *shares, values.max() / worth, tanh((values - costs).sum() / worth)]


def _stale(markets: Sequence[MarketInput]) -> None:
    """As a change leaves the side of a book that it is on."""
    for market in markets:
        market.book.yes._largest = None


def _variant(name: str, markets: int, looks: int, look: Callable[[], object]) -> Variant:
    def work() -> Iterator[None]:
        yield
        for _ in range(SLICES):
            for _ in range(looks):
                look()
            yield

    return Variant(name, SLICES * looks * markets, work)


def run(*, short: bool) -> dict[str, Any]:
    size, looks = (30, 1) if short else (100, 20)
    markets, account = inputs_of(busy_books(size))
    plain = [_plain(market) for market in markets]
    now_ms = max(market.history.now_ms for market in markets)

    def plain_rows() -> list[list[float]]:
        shared = _plain_account(account)
        return [_plain_row(each, shared, now_ms) for each in plain]

    def batch() -> None:
        _stale(markets)
        observe(markets, account, now_ms)

    def alone() -> None:
        for market in markets:
            _stale([market])
            observe([market], account, now_ms)

    adapter = ObservationAdapter()
    together = observe_raw(markets, account, now_ms)
    single = np.concatenate([observe_raw([market], account, now_ms) for market in markets])
    assert together.tobytes() == single.tobytes() == adapter.observe_raw(markets, account, now_ms).tobytes()
    assert np.abs(together - np.array(plain_rows())).max() < 1e-9, "the reference sees something else"
    result = compare(
        [
            _variant("plain", size, looks, plain_rows),
            _variant("alone", size, looks, alone),
            _variant("batch", size, looks, batch),
            _variant("kept", size, looks, lambda: adapter.observe_raw(markets, account, now_ms)),
        ]
    )
    us = {name: round(MICROSECONDS / result.rate(name), 2) for name in result.rates}
    return {
        "what": f"all 52 features, hot, {size} markets, {HELD} positions, {RESTING} orders",
        "us_a_market": us,
        "ratios": result.report(),
        "goals": {
            "batch_us": goal(us["batch"], 4.0, least=False),
            "alone_us": goal(us["alone"], 20.0, least=False),
        },
    }
