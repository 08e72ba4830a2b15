"""Series, events and the filters of markets over REST."""

from __future__ import annotations

import pytest
import trio
from emulator_world import START_MS, A, B, C, first, keys, part, rows, taken, world
from trio.testing import MockClock

from kalshi_daemon.emulator.bodies import time_text
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.units import FeeType

NOW_S = START_MS // 1_000
AMPLE = ServerSettings(archive_after_ms=600_000, limits=RateLimits(read_rate=10_000, read_capacity=10_000))


async def test_series_are_listed(autojump_clock: MockClock) -> None:
    """All of them, or those of one category; tags nobody has find nothing."""
    async with world() as emulator:

        async def tickers(query: str = "") -> list[object]:
            return [one["ticker"] for one in rows(await emulator.get("/series" + query, signed=False), "series")]

        assert await tickers() == ["DEMOTEMP", "DEMOGAME", "DEMORATE"]
        assert await tickers("?category=Sports") == ["DEMOGAME"]
        assert await tickers("?tags=Soccer") == []


async def test_changes_of_fees_are_listed(autojump_clock: MockClock) -> None:
    """A series' until it is made, and then on request; an event's always, newest first and in pages."""
    soon = {"fee_type": "quadratic_with_maker_fees", "multiplier": "0.5", "seconds": 60}
    async with world() as emulator:
        assert await emulator.get("/series/fee_changes") == {"series_fee_change_arr": []}
        assert await emulator.get("/events/fee_changes") == {"cursor": "", "event_fee_changes": []}
        first_id = (await emulator.ask("POST", "/emulator/series/DEMOTEMP/fees", soon, signed=False)).json["id"]
        change = first(await emulator.get("/series/fee_changes", signed=False), "series_fee_change_arr")
        assert change == {
            "id": first_id,
            "series_ticker": "DEMOTEMP",
            "fee_type": "quadratic_with_maker_fees",
            "fee_multiplier": 0.5,
            "scheduled_ts": time_text(START_MS + 60_000),
        }
        assert part(await emulator.get("/series/DEMOTEMP"), "series")["fee_multiplier"] == 1
        await trio.sleep(61)
        assert part(await emulator.get("/series/DEMOTEMP"), "series")["fee_multiplier"] == 0.5
        assert await emulator.get("/series/fee_changes") == {"series_fee_change_arr": []}
        made = "/series/fee_changes?show_historical=true"
        assert first(await emulator.get(made), "series_fee_change_arr") == change
        assert rows(await emulator.get(f"{made}&series_ticker=DEMOGAME"), "series_fee_change_arr") == []
        for fees in ({"multiplier": "0"}, {}):
            await emulator.ask("POST", "/emulator/events/DEMOTEMP-DAY1/fees", fees, signed=False)
        page = await emulator.get("/events/fee_changes?limit=1&event_ticker=DEMOTEMP-DAY1", signed=False)
        cleared = first(page, "event_fee_changes")
        assert (cleared["event_ticker"], cleared["series_ticker"]) == ("DEMOTEMP-DAY1", "DEMOTEMP")
        assert (cleared["fee_type_override"], cleared["fee_multiplier_override"]) == (None, None)
        page = await emulator.get(f"/events/fee_changes?limit=1&cursor={page['cursor']}")
        assert (page["cursor"], first(page, "event_fee_changes")["fee_multiplier_override"]) == ("", 0)
        assert rows(await emulator.get("/events/fee_changes?event_ticker=OTHER"), "event_fee_changes") == []


async def test_combos_have_a_list_of_their_own(autojump_clock: MockClock) -> None:
    """They are not in the other, and nothing else is in it."""
    async with world() as emulator:
        combo = Series("KXMVEDEMO", "Invented combos", "Sports", FeeType.QUADRATIC, 1_000_000)
        emulator.exchange.add_series(combo)
        emulator.exchange.add_market(invented_market("KXMVEDEMO-S1-A", "Invented", LINEAR_CENT, START_MS))
        listed = [
            [event["event_ticker"] for event in rows(await emulator.get(path, signed=False), "events")]
            for path in ("/events", "/events/multivariate", "/events/multivariate?tickers=OTHER")
        ]
        assert listed == [["DEMOTEMP-DAY1", "DEMOGAME-HEROWL"], ["KXMVEDEMO-S1"], []]


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("", ["DEMOTEMP-DAY1", "DEMOGAME-HEROWL"]),
        ("series_ticker=DEMOGAME", ["DEMOGAME-HEROWL"]),
        ("tickers=DEMOTEMP-DAY1,OTHER", ["DEMOTEMP-DAY1"]),
        ("status=paused", ["DEMOGAME-HEROWL"]),
        ("status=settled", []),
        ("limit=1", ["DEMOTEMP-DAY1"]),
        (f"min_close_ts={NOW_S}", ["DEMOTEMP-DAY1", "DEMOGAME-HEROWL"]),
        (f"min_close_ts={NOW_S + 10**8}", []),
    ],
)
async def test_events_are_listed(autojump_clock: MockClock, query: str, events: list[str]) -> None:
    """Each filter keeps its events; markets are inside on request only."""
    async with world() as emulator:
        emulator.exchange.halt(C)
        body = await emulator.get(f"/events?{query}", signed=False)
        assert [event["event_ticker"] for event in rows(body, "events")] == events
        assert bool(body["cursor"]) == (query == "limit=1")
        assert all("markets" not in event for event in rows(body, "events"))
        nested = rows(await emulator.get(f"/events?with_nested_markets=true&{query}"), "events")
        assert all(rows(event, "markets") for event in nested)


async def test_an_event_without_its_markets(autojump_clock: MockClock) -> None:
    """They are left out on request."""
    async with world() as emulator:
        body = await emulator.get("/events/DEMOTEMP-DAY1?exclude_markets=true")
        assert (body["markets"], part(body, "event")["event_ticker"]) == ([], "DEMOTEMP-DAY1")


@pytest.mark.parametrize(
    ("query", "tickers"),
    [
        (f"max_created_ts={NOW_S}", [A, B, C]),
        (f"min_created_ts={NOW_S + 1}", []),
        (f"min_created_ts={NOW_S}&status=open", [A, C]),
        (f"max_close_ts={NOW_S + 61}", [B]),
        (f"min_close_ts={NOW_S + 62}", [A, C]),
        (f"min_settled_ts={NOW_S}", [B]),
        (f"max_settled_ts={NOW_S}&status=settled", []),
        (f"min_updated_ts={NOW_S + 1}&mve_filter=exclude", [B]),
        ("mve_filter=only", []),
        ("status=open&min_close_ts=1", None),
        ("status=open&max_settled_ts=1", None),
        ("min_updated_ts=1", None),
        ("mve_filter=some", None),
    ],
)
async def test_markets_are_found_by_their_times(
    autojump_clock: MockClock, query: str, tickers: list[str] | None
) -> None:
    """Bounds are inclusive; a pair of times goes with its statuses only."""
    async with world() as emulator:
        emulator.exchange.settle(B, "no")
        await trio.sleep(61)
        answer = await emulator.ask("GET", f"/trade-api/v2/markets?{query}", signed=False)
        assert answer.status == (400 if tickers is None else 200)
        if tickers is not None:
            assert [market["ticker"] for market in rows(answer.json, "markets")] == tickers


async def test_old_markets_and_trades_are_in_the_archive(autojump_clock: MockClock) -> None:
    """A market that settled before the cutoff is found there alone, and so are trades before it."""
    async with world(AMPLE) as emulator:
        await taken(emulator)
        emulator.exchange.settle(A, "yes")
        for wait_s, old in ((61, False), (700, True)):
            await trio.sleep(wait_s)
            for prefix, there in (("/markets", not old), ("/historical/markets", old)):
                listed = [market["ticker"] for market in rows(await emulator.get(prefix), "markets")]
                assert (A in listed) == there
                assert (await emulator.ask("GET", f"/trade-api/v2{prefix}/{A}")).status == (200 if there else 404)
            assert len(rows(await emulator.get(f"/markets/trades?ticker={A}"), "trades")) == (not old)
            assert len(rows(await emulator.get(f"/historical/trades?ticker={A}"), "trades")) == old
        assert keys(first(await emulator.get("/historical/trades"), "trades")) >= {"trade_id", "ticker"}
        assert rows(await emulator.get("/historical/trades?is_block_trade=true"), "trades") == []
        assert rows(await emulator.get("/markets/trades?ticker=NOSUCH"), "trades") == []
