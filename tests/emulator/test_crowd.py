"""The crowd: lively books on the demo markets, the same again from the same seed."""

from __future__ import annotations

import random

import pytest
from small_exchange import START_MS, World, rebuilt

from kalshi_daemon.emulator.bounds import CROWD_LAG_MAX_MS
from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.events import LevelChanged, Traded
from kalshi_daemon.emulator.grid import on_grid
from kalshi_daemon.emulator.markets import CLOSING_TICKER, DEMO_FAIR, demo_markets, demo_series
from kalshi_daemon.emulator.model import BookView, MarketStatus, NewOrder, OrderStatus
from kalshi_daemon.units import BookSide, TimeInForce

LIVELY = CrowdSettings(events_per_s=20.0)


def crowded(seed: int, settings: CrowdSettings = LIVELY, closing_in_ms: int | None = None) -> tuple[World, Crowd]:
    world = World()
    for series in demo_series():
        world.exchange.add_series(series)
    for market in demo_markets(world.now_ms, closing_in_ms):
        world.exchange.add_market(market)
    return world, Crowd(world.exchange, DEMO_FAIR, settings, random.Random(seed))


def run(world: World, crowd: Crowd, until_ms: int) -> None:
    """Step at every due time."""
    due = crowd.step(world.now_ms)
    while due <= until_ms:
        world.now_ms = due
        world.exchange.advance()
        due = crowd.step(due)


def books(world: World) -> list[BookView]:
    return [world.exchange.book(ticker) for ticker in DEMO_FAIR]


def test_books_are_lively() -> None:
    """After every tenth of a second of a minute on cent grids: two-sided, spread of 1 to 6 cents nearly always, tens of
    contracts at the best prices, trades on every market, every price on its grid."""
    world, crowd = crowded(1)
    spreads: list[int] = []
    best_counts: list[int] = []
    for tick in range(600):
        run(world, crowd, START_MS + tick * 100)
        for ticker in DEMO_FAIR:
            figures = world.exchange.figures(ticker)
            assert figures.best_bid is not None
            assert figures.best_ask is not None
            if world.exchange.market(ticker).price_level_structure == "linear_cent":
                spreads.append(figures.best_ask - figures.best_bid)
                best_counts.append(figures.best_bid_count)
    within = sum(100 <= spread <= 600 for spread in spreads)
    assert within / len(spreads) > 0.97
    assert 1_000 < sorted(best_counts)[len(best_counts) // 2] < 30_000
    for ticker in DEMO_FAIR:
        assert world.exchange.figures(ticker).volume > 10_000
        ranges = world.exchange.market(ticker).price_ranges
        book = world.exchange.book(ticker)
        assert all(on_grid(price, ranges) for price, _ in (*book.yes, *book.no))
        assert (dict(book.yes), dict(book.no)) == rebuilt(world.events, ticker)
    assert crowd.placed > 10_000
    assert crowd.refused == 0


def test_finer_grids_have_finer_prices_and_fractions() -> None:
    """The tapered and deci-cent markets quote between cents, and in fractions of a contract."""
    world, crowd = crowded(2)
    run(world, crowd, START_MS + 5_000)
    for ticker in ("DEMORATE-MEET-CUT", "DEMORATE-MEET-HOLD", "DEMORATE-MEET-HIKE"):
        levels = [*world.exchange.book(ticker).yes, *world.exchange.book(ticker).no]
        assert any(price % 100 for price, _ in levels)
        assert any(count % 100 for _, count in levels)


def test_the_same_seed_gives_the_same_books() -> None:
    """Every event equal; another seed gives others."""
    first, second, third = (crowded(seed) for seed in (3, 3, 4))
    for world, crowd in (first, second, third):
        run(world, crowd, START_MS + 2_000)
    assert first[0].events == second[0].events
    assert books(first[0]) != books(third[0])


def test_a_members_resting_orders_fill() -> None:
    """Of ten contracts bid for and as many offered at the best price of every market, most trade with the crowd within
    half a minute, as a maker."""
    world, crowd = crowded(5)
    run(world, crowd, START_MS + 1_000)
    member = world.member("m", 10_000)
    for ticker in DEMO_FAIR:
        for side in BookSide:
            best = world.exchange.best(ticker, side)
            assert best is not None
            order = NewOrder(ticker, side, best, 1_000, TimeInForce.GOOD_TILL_CANCELED, post_only=True)
            assert world.exchange.create_order(member, order).filled == 0
    run(world, crowd, START_MS + 30_000)
    assert not any(fill.is_taker for fill in world.exchange.fills(member))
    done = world.exchange.orders(member, status=OrderStatus.EXECUTED)
    assert len(done) > len(DEMO_FAIR)


def test_a_late_crowd_leaves_out_what_it_missed() -> None:
    """Stepped an hour late it does a few seconds' worth, not an hour's."""
    world, crowd = crowded(6)
    crowd.step(world.now_ms)
    before = crowd.placed
    world.now_ms += 3_600_000
    assert crowd.step(world.now_ms) > world.now_ms
    per_market = LIVELY.events_per_s * CROWD_LAG_MAX_MS / 1_000
    assert crowd.placed - before < 2 * per_market * len(DEMO_FAIR)


def test_the_crowd_waits_out_halts_and_closes() -> None:
    """Nothing of it happens on a halted market or during a pause; the closing market settles while the rest live on."""
    world, crowd = crowded(7, closing_in_ms=10_000)
    run(world, crowd, START_MS + 1_000)
    world.exchange.halt("DEMOTEMP-DAY1-T58")
    mark = len(world.events)
    run(world, crowd, START_MS + 4_000)
    assert all(event.market != "DEMOTEMP-DAY1-T58" for event in world.events[mark:] if isinstance(event, LevelChanged))
    world.exchange.pause_trading()
    mark, refused = len(world.events), crowd.refused
    run(world, crowd, START_MS + 6_000)
    assert not any(isinstance(event, Traded) for event in world.events[mark:])
    assert crowd.refused > refused
    world.exchange.resume_trading()
    run(world, crowd, START_MS + 25_000)
    market = world.exchange.market(CLOSING_TICKER)
    assert (market.status, market.result) == (MarketStatus.FINALIZED, "yes")
    assert world.exchange.book(CLOSING_TICKER).yes == ()
    assert len(world.exchange.book("DEMOTEMP-DAY1-T62").yes) > 3


def test_demo_markets_say_that_they_are_invented() -> None:
    """A dozen, marked, of three series with two multipliers and maker fees, open for weeks."""
    markets, series = demo_markets(START_MS), demo_series()
    assert len(markets) == len(DEMO_FAIR) == 12
    assert all(market.invented and market.ticker.startswith("DEMO") for market in markets)
    assert all(one.invented for one in series)
    assert {market.series for market in markets} == {one.ticker for one in series}
    assert {one.multiplier_ppm for one in series} == {500_000, 1_000_000}
    assert {market.close_ms for market in markets} == {START_MS + 30 * 86_400_000}
    assert all(on_grid(fair, m.price_ranges) for m, fair in zip(markets, DEMO_FAIR.values(), strict=True))


def test_the_series_are_on_the_shards_in_turn() -> None:
    """Each market is on its series' shard; without a word of series it is on the first."""
    series = demo_series((0, 2))
    assert [each.exchange_index for each in series] == [0, 2, 0]
    shards = {market.series: market.exchange_index for market in demo_markets(START_MS, series=series)}
    assert shards == {each.ticker: each.exchange_index for each in series}
    assert {market.exchange_index for market in demo_markets(START_MS)} == {0}


@pytest.mark.parametrize("events_per_s", [0.5, 200.0])
def test_rates_are_kept(events_per_s: float) -> None:
    """Doings per market and second come out at the rate asked for."""
    world, crowd = crowded(8, CrowdSettings(events_per_s=events_per_s, taker_share=0.0, withdrawal_share=0.0))
    crowd.step(world.now_ms)
    opened = crowd.placed
    seconds = 200 if events_per_s < 1 else 2
    run(world, crowd, START_MS + seconds * 1_000)
    expected = events_per_s * seconds * len(DEMO_FAIR)
    assert 0.85 * expected < crowd.placed - opened < 1.15 * expected


def test_a_quote_is_withdrawn_in_the_moment_in_which_its_market_closes() -> None:
    """Between the crowd's look and its request the market may close: it is refused, and the crowd goes on."""
    world, _ = crowded(1, closing_in_ms=5_000)
    quoting = CrowdSettings(events_per_s=20.0, taker_share=0.0, withdrawal_share=1.0)
    crowd = Crowd(world.exchange, {CLOSING_TICKER: DEMO_FAIR[CLOSING_TICKER]}, quoting, random.Random(1))
    crowd.step(world.now_ms)
    world.now_ms = START_MS + 5_000  # and nobody has told the exchange
    crowd.step(world.now_ms)
    assert crowd.refused > 0
    assert world.exchange.market(CLOSING_TICKER).status is MarketStatus.CLOSED
