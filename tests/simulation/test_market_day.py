"""Markets that are listed, open, close and settle one after another while the daemon trades them."""

from __future__ import annotations

import random

import pytest
import trio
from attrs import evolve

from kalshi_daemon.emulator.crowd import Crowd, CrowdSettings
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import MINUTE_MS, SECOND_MS, FeeType, Ticker

QUIET = WorldSettings(crowd=CrowdSettings(events_per_s=0.01))
GENERATIONS = 3
EVERY_S = 5 * 60  # a market opens, and the next one before it has closed
LIFE_MS = 8 * MINUTE_MS
KEPT_MS = MINUTE_MS
VARIABLES = {"KALSHI_MARKETS": "series:DEMODAY", "KALSHI_MARKETS_CLOSE_MINUTES_MIN": "1"}


async def live_through(stage: Stage, number: int, rng: random.Random) -> None:
    """One market: listed, opened a minute and a half later, traded by a crowd of its own until it closes."""
    clock, exchange = stage.daemon.parts.clock, stage.world.server.exchange
    now_ms = clock.now_ms()
    ticker = f"DEMODAY-{number}-T1"
    market = invented_market(ticker, "Invented: a day", LINEAR_CENT, now_ms)
    exchange.add_market(
        evolve(
            market,
            open_ms=now_ms + MINUTE_MS + 30 * SECOND_MS,
            close_ms=now_ms + LIFE_MS,
            planned_result=("yes", "no")[number % 2],
            determination_delay_ms=30 * SECOND_MS,
            settlement_timer_ms=60 * SECOND_MS,
        )
    )
    await trio.sleep(91)
    crowd = Crowd(exchange, {ticker: rng.randrange(2_000, 8_000)}, CrowdSettings(events_per_s=1.0), rng)
    while clock.now_ms() < now_ms + LIFE_MS - SECOND_MS:
        crowd.step(clock.now_ms())
        await trio.sleep(1)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_day_of_markets_that_come_and_go_is_traded_to_the_micro_dollar(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at the start. Each is found unopened, traded from its opening on, closed and settled; between the last and
    the end none is open, and nothing is taken for lost. In the end nothing is left of them, and the account agrees.
    """
    monkeypatch.setattr("kalshi_daemon.core.market_selection.GONE_KEPT_MS", KEPT_MS)
    seen: dict[Ticker, set[str]] = {}
    traded: set[Ticker] = set()
    carried: list[int] = []

    async def scenario(stage: Stage) -> None:
        parts, exchange = stage.daemon.parts, stage.world.server.exchange
        exchange.add_series(Series("DEMODAY", "Invented", "Economics", FeeType.QUADRATIC, 1_000_000, invented=True))
        rng = random.Random(seed)

        async def look() -> None:
            while True:
                for place in parts.market_watch.selection.places.values():
                    seen.setdefault(place.market, set()).add(place.why)
                carried.append(len(parts.books.books))
                await trio.sleep(5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.sleep(60)
            assert stage.daemon.runner.is_in("trading.normal")
            for number in range(GENERATIONS):
                nursery.start_soon(live_through, stage, number, rng)
                await trio.sleep(EVERY_S)
            await trio.sleep(LIFE_MS / SECOND_MS + KEPT_MS / SECOND_MS + 60)
            assert stage.daemon.runner.is_in("trading.normal")
            assert parts.universe.markets == {}
            assert (len(parts.universe.schedules.series), len(parts.universe.schedules.events)) == (0, 0)
            assert parts.market_watch.selection.places == {}
            assert parts.books.books == parts.books.histories == {}
            assert parts.policy.actor is not None
            assert parts.policy.actor.last_decided() == []
            assert not any(each.count for each in parts.ledger.positions.values())
            traded.update(record.spec.market for record in parts.ledger.orders.values())
            nursery.cancel_scope.cancel()

    run = run_virtually(seed, scenario, QUIET, VARIABLES)
    tickers = {f"DEMODAY-{number}-T1" for number in range(GENERATIONS)}
    assert set(seen) == tickers
    assert traded
    assert all({"unopened", "series", "over"} <= whys for whys in seen.values())
    assert max(carried) == 2
    assert carried[-1] == 0
    assert [state for state in run.states if state.startswith(("recovering", "paused"))] == []
    assert run.fills > 0
    assert run.reconnects == 1 + 1  # the two sockets, at the end
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    assert run.compared > 0
