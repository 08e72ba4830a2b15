"""Candlesticks: what they say of trades and quotes, over which periods."""

from __future__ import annotations

import pytest
import trio
from emulator_world import START_MS, A, B, World, part, rows, world
from small_exchange import ASK, BID, IOC, TICKER, listing
from trio.testing import MockClock

from kalshi_daemon.emulator.candles import Candles
from kalshi_daemon.emulator.model import DayFigures
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import BookSide

NOW_S = START_MS // 1_000  # begins a minute
SERIES = f"/series/DEMOTEMP/markets/{A}/candlesticks"


async def three_minutes(emulator: World) -> None:
    """Two trades in the first minute, none in the second, one in the third."""
    emulator.trade(A, 10, side=BookSide.BID, cents=40)
    emulator.trade(A, 10, side=BookSide.ASK, cents=60)
    emulator.trade(A, 1, side=BookSide.BID, cents=60)
    emulator.trade(A, 3, side=BookSide.ASK, cents=40)
    await trio.sleep(130)
    emulator.trade(A, 1, side=BookSide.BID, cents=50)
    emulator.trade(A, 1, side=BookSide.ASK, cents=50)


def spans(open_: str | None, low: str | None, high: str | None, close: str | None) -> dict[str, object]:
    return {"open_dollars": open_, "low_dollars": low, "high_dollars": high, "close_dollars": close}


async def candles(emulator: World, query: str, path: str = SERIES) -> list[dict[str, object]]:
    return rows(await emulator.get(f"{path}?{query}", signed=False), "candlesticks")


async def test_minutes(autojump_clock: MockClock) -> None:
    """Each minute with something in it has a bar; quotes open where they stood, an empty side is 0 or 1."""
    async with world() as emulator:
        await three_minutes(emulator)
        first, third = await candles(emulator, f"start_ts={NOW_S}&end_ts={NOW_S + 180}&period_interval=1")
        assert first == {
            "end_period_ts": NOW_S + 60,
            "open_interest_fp": "4.00",
            "price": spans("0.6000", "0.4000", "0.6000", "0.4000")
            | {"mean_dollars": "0.4500", "previous_dollars": None},
            "volume_fp": "4.00",
            "yes_ask": spans("1.0000", "0.6000", "1.0000", "0.6000"),
            "yes_bid": spans("0.0000", "0.0000", "0.4000", "0.4000"),
        }
        assert third["end_period_ts"] == NOW_S + 180
        assert third["price"] == spans("0.5000", "0.5000", "0.5000", "0.5000") | {
            "mean_dollars": "0.5000",
            "previous_dollars": "0.4000",
        }
        assert third["yes_bid"] == spans("0.4000", "0.4000", "0.5000", "0.4000")


@pytest.mark.parametrize(("minutes", "end_s"), [(60, 3_600), (1_440, 86_400)])
async def test_longer_periods_are_their_minutes_together(autojump_clock: MockClock, minutes: int, end_s: int) -> None:
    """The first opens, the last closes, counts add up, and what was before is what was before the first."""
    async with world() as emulator:
        await three_minutes(emulator)
        ends = -(-(NOW_S + 1) // end_s) * end_s
        (bar,) = await candles(emulator, f"start_ts={NOW_S}&end_ts={ends}&period_interval={minutes}")
        assert (bar["end_period_ts"], bar["volume_fp"]) == (ends, "5.00")
        assert bar["price"] == spans("0.6000", "0.4000", "0.6000", "0.5000") | {
            "mean_dollars": "0.4600",
            "previous_dollars": None,
        }
        assert await candles(emulator, f"start_ts={NOW_S}&end_ts={ends - 1}&period_interval={minutes}") == []


async def test_the_latest_before_the_start(autojump_clock: MockClock) -> None:
    """On request the last bar before comes first: without prices of its own, at the first boundary."""
    async with world() as emulator:
        await three_minutes(emulator)
        query = f"start_ts={NOW_S + 90}&end_ts={NOW_S + 240}&period_interval=1"
        assert len(await candles(emulator, query)) == 1
        before, _third = await candles(emulator, query + "&include_latest_before_start=true")
        assert (before["end_period_ts"], before["volume_fp"]) == (NOW_S + 120, "0.00")
        assert before["price"] == spans(None, None, None, None) | {
            "mean_dollars": None,
            "previous_dollars": "0.4000",
        }


async def test_several_markets_and_the_archive(autojump_clock: MockClock) -> None:
    """A batch names its markets, unknown ones left out; an archived market has its candles there alone."""
    ample = RateLimits(read_rate=10_000, read_capacity=10_000)
    async with world(ServerSettings(archive_after_ms=600_000, limits=ample)) as emulator:
        await three_minutes(emulator)
        period = f"start_ts={NOW_S}&end_ts={NOW_S + 600}&period_interval=1"
        batch = await emulator.get(f"/markets/candlesticks?{period}&market_tickers={A},{B},NOSUCH")
        assert [(one["market_ticker"], len(rows(one, "candlesticks"))) for one in rows(batch, "markets")] == [
            (A, 2),
            (B, 0),
        ]
        emulator.exchange.settle(A, "yes")
        archive = f"/historical/markets/{A}/candlesticks"
        assert (await emulator.ask("GET", f"/trade-api/v2{archive}?{period}")).status == 404
        await trio.sleep(700)
        first, *_rest = await candles(emulator, period, archive)
        assert first["volume"] == "4.00"
        assert (await emulator.ask("GET", f"/trade-api/v2{SERIES}?{period}")).status == 404


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (SERIES, "end_ts=1&period_interval=1"),
        (SERIES, "start_ts=1&end_ts=2&period_interval=5"),
        (SERIES, "start_ts=2&end_ts=1&period_interval=1"),
        ("/markets/candlesticks", "start_ts=1&end_ts=2&period_interval=1"),
        (SERIES.replace("DEMOTEMP/", "DEMOGAME/"), "start_ts=1&end_ts=2&period_interval=1"),
    ],
)
async def test_candles_that_are_refused(autojump_clock: MockClock, path: str, query: str) -> None:
    """Without bounds, with a period that is none, the end before the start, no market, another series' market."""
    async with world() as emulator:
        answer = await emulator.ask("GET", f"/trade-api/v2{path}?{query}", signed=False)
        assert answer.status == (404 if "DEMOGAME/" in path else 400)


def test_a_day_is_counted_to_the_minute() -> None:
    """What was traded within it, and how the market stood a day ago; without anything older there was nothing."""
    small, candles = listing(), Candles()
    small.exchange.listen(candles.hear)
    maker, taker = small.member("maker"), small.member("t")
    assert candles.day(TICKER, small.now_ms) == DayFigures()
    small.place(maker, BID, 4_000, 1_000)
    for price, count in ((6_000, 400), (5_000, 100)):
        small.place(maker, ASK, price, count + 100)
        small.place(taker, BID, price, count, IOC)
        small.pass_time(120_000)
    traded_ms = small.now_ms - 120_000
    assert candles.day(TICKER, small.now_ms) == DayFigures(volume=500)
    day_ms = 86_400_000
    assert candles.day(TICKER, traded_ms + day_ms) == DayFigures(100, 6_000, 4_000, 6_000)
    assert candles.day(TICKER, traded_ms + day_ms + 60_000) == DayFigures(0, 5_000, 4_000, 5_000)


async def test_a_market_shows_what_it_traded_within_a_day(autojump_clock: MockClock) -> None:
    """The volume of the last day beside the whole one, and the quotes of a day ago."""
    async with world() as emulator:
        emulator.trade(A, 5, side=BookSide.ASK, cents=40)
        emulator.trade(A, 2, side=BookSide.BID, cents=40)
        market = part(await emulator.get(f"/markets/{A}", signed=False), "market")
        assert [market[name] for name in ("volume_fp", "volume_24h_fp", "open_interest_fp")] == ["2.00"] * 3
        assert market["previous_price_dollars"] == "0.0000"
