"""Streams that are not to be had for long, and streams that do not last: the whole daemon on a virtual clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
import trio
from test_ten_thousand_orders import Restless

from kalshi_daemon import limits
from kalshi_daemon.emulator import server
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.markets import DEMO_FAIR
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.simulation.faulty_link import Fault, FaultyLink, refused
from kalshi_daemon.simulation.virtual_day import HOST, PORT, Stage, run_virtually

STREAM = "/ws/v2"
DOWN = refused("503 Service Unavailable", b'{"error":{"code":"service_unavailable"}}')
HOURS = 24
FEW = ",".join(list(DEMO_FAIR)[:2])


LAST_S = 900  # of the day, which are lived at the pace of every day
SLOWER = {  # what goes on all the time goes on less often before, so that a day costs half a minute
    "POLL_INTERVAL_S": 120.0,
    "POLLED_AGE_MAX_S": 240.0,
    "LEVEL_CHECK_S": 60.0,
    "PRIVATE_POLL_S": 120.0,
    "PRIVATE_AGE_MAX_S": 240.0,
    "REDECIDE_S": 600.0,
    "CLOCK_WATCH_S": 60.0,
    "CLOSING_RULES_S": 60.0,
    "WATCHDOG_S": 60.0,
    "HOLD_WATCH_S": 15.0,
    "EXCHANGE_WATCH_S": 300.0,
    "MARKETS_READ_S": 600.0,
    "SYNC_TICK_S": 60.0,
    "SYNC_ORDERS_S": 600.0,
    "SYNC_BALANCE_S": 600.0,
    "SYNC_SILENCE_S": 3_600.0,
}


@pytest.fixture
def slower(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What it gives undoes the paces, and leaves the chart's limits, which were read at the start."""
    with pytest.MonkeyPatch.context() as paces:
        paces.setattr(server, "EMULATOR_TICK_S", 15.0)
        for name, seconds in SLOWER.items():
            paces.setattr(limits, name, seconds)
        _slow_charts(monkeypatch)
        yield paces


def _slow_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits.CHART_LIMITS, "session_backoff", (0.25, 120.0))
    monkeypatch.setitem(limits.CHART_LIMITS, "polled_book_age", SLOWER["POLLED_AGE_MAX_S"])
    monkeypatch.setitem(limits.CHART_LIMITS, "poll_limit", 2 * SLOWER["POLLED_AGE_MAX_S"])


def test_a_day_of_refused_upgrades_ends_in_trading(slower: pytest.MonkeyPatch) -> None:
    """503 for every upgrade, 24 hours long: dialled without end, books and account read by REST all the while and
    traded on for reductions only; the first upgrade that succeeds, within the longest wait, leads to all of trading,
    and to an order that increases.
    """
    dials: list[float] = []
    seen: list[str] = []

    async def scenario(stage: Stage) -> None:
        link = FaultyLink(stage.world.server.handle)
        stage.network.serve(HOST, PORT, link.handle)

        def judge(_method: str, target: str) -> Fault | None:
            if STREAM not in target:
                return None
            dials.append(trio.current_time())
            return DOWN if trio.current_time() < HOURS * 3_600 else None

        link.judge = judge
        books = stage.daemon.parts.books
        while trio.current_time() < HOURS * 3_600:
            if trio.current_time() >= HOURS * 3_600 - LAST_S:
                slower.undo()
            await trio.sleep(300)
            seen.append(f"{books.state} {sum(map(books.usable, books.books))} {stage.daemon.runner.innermost}")
        assert not stage.daemon.parts.ledger.orders
        with trio.fail_after(130):
            while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110 - waiting is free here
                await trio.sleep(0.1)
        actor = stage.daemon.parts.policy.actor
        assert actor is not None
        actor._selector = Restless(random.Random(1))  # the books are as calm as they were all day
        with trio.fail_after(600):
            while not stage.daemon.parts.ledger.orders:  # noqa: ASYNC110 - as above
                await trio.sleep(1)

    crowd = WorldSettings(crowd=CrowdSettings(events_per_s=0.001))
    run = run_virtually(1, scenario, crowd, {"KALSHI_MARKETS": FEW, "KALSHI_SOCKETS": "1"})
    assert (run.exit_code, run.violated, run.intents) == (EXIT_STOPPED, (), 1)
    assert run.states[-4:] == ("trading.normal", "stopping.draining", "stopping.sealing", "stopped")
    assert set(seen) == {"polling.fresh 2 trading.reducing"}
    longest_s = limits.CHART_LIMITS["session_backoff"][1]  # type: ignore[index]
    assert max(later - dial for dial, later in itertools.pairwise(dials)) <= longest_s + 1
    assert len(dials) > HOURS * 3_600 / longest_s
    assert dials[-2] < HOURS * 3_600 <= dials[-1]
