"""shell/live_view.py: what is on the screen, as text."""

from __future__ import annotations

import contextlib
import io
import os
from types import SimpleNamespace
from typing import cast

import pytest
import trio
from attrs import evolve
from rich.console import Console
from status_world import MARKET, START_MS, World, trading_world

from kalshi_daemon.core.degradation import Degradation, Degraded
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.facts import Alarmed, HoldKind
from kalshi_daemon.shell.feeds import FeedStatus
from kalshi_daemon.shell.live_view import Screen, line, render, show
from kalshi_daemon.shell.state_reporter import StatusProvider
from kalshi_daemon.shell.status import RefusalStatus, Status
from kalshi_daemon.units import dollars


def text(status: Status) -> str:
    console = Console(record=True, width=100, file=io.StringIO(), color_system=None)
    console.print(render(status))
    return console.export_text()


def test_the_panel_of_trading() -> None:
    """State, feeds, figures, position and the last fill are on it."""
    shown = text(trading_world().status())
    rows = [" ".join(row.strip("│ ").split()) for row in shown.splitlines()]
    assert "trading.normal for 3.0 s, through calibrated" in rows
    assert "orderbook streaming.current 120 messages" in rows
    assert "deltas 120 settled $97.4125" in rows
    assert "decisions 7 by onnx:ab12 reserved $2.505" in rows
    assert "live orders 1 available after reserve $74.9075" in rows
    assert "fills 1 realised $0.00" in rows
    assert "refused 0 unrealised $0.30 at mid, $0.25 if closed" in rows
    assert "this run: cash $100.00, invested $2.50, recouped $0.00, fees $0.0875" in rows[-1]
    assert f"{MARKET} 5 50¢ 56¢ $0.30" in rows
    assert f"06:00:05 fill bid 5 {MARKET} at 50¢, taker, fee $0.0875" in rows
    assert "kalshi-daemon 0.1.0 · demo · 2026-11-24T06:00:05.000Z" in rows[0]


def test_the_panel_shows_the_markets_and_the_next_pause() -> None:
    """How many are in and out, how many could not be read, and when the exchange pauses next."""
    world = trading_world()
    world.markets_unread = {"series:KXRAIN": "the exchange answered 503"}
    world.pause = Pause(world.at_ms + 7_200_000, world.at_ms + 14_400_000, "its schedule")
    rows = [" ".join(row.strip("│ ").split()) for row in text(world.status()).splitlines()]
    assert "markets 2 in, 3 out 1 not read" in rows
    assert any(row.startswith("the exchange pauses by its schedule in 2 h 0 min") for row in rows)


def test_what_is_wrong_is_on_the_panel() -> None:
    """Holds, refusals, alarms and failed steps are shown; texts from elsewhere are not markup."""
    world = trading_world()
    world.startup.began("exchange", START_MS)
    world.startup.deferred("exchange", START_MS, "cannot reach demo-api.kalshi.co")
    world.hold(HoldKind.OPERATOR, "uid 0: [/bold] maintenance")
    world.tell(Alarmed(world.at_ms, "sweep", "kd-1 [red]may rest"))
    world.refused["P5"] += 2
    world.last_refusal = RefusalStatus(world.at_ms, MARKET, "P5", "cost per order", "$61.20", "$50.00")
    world.feeds = (FeedStatus("fills", "backing_off", START_MS, 0, "503 [/] on the upgrade"),)
    world.best = (None, None)
    world.degradations = (Degradation(Degraded.HOST_FALLBACK, "wss://second.test", world.at_ms),)
    shown = text(world.status())
    assert "hold operator: uid 0: [/bold] maintenance; cleared by `resume`" in shown
    assert "degraded host_fallback: wss://second.test" in shown
    assert "exchange: deferred, cannot reach demo-api.kalshi.co" in shown
    assert "alarm sweep: kd-1 [red]may rest" in shown
    assert f"refused P5 {MARKET}: cost per order: $61.20, allowed $50.00" in shown
    assert "P5 2" in shown
    assert "503 [/] on the upgrade" in shown
    assert "unknown" in shown


def test_the_line_has_the_same_figures() -> None:
    """Without a terminal one line says it: P&L is realised and unrealised less fees."""
    assert line(trading_world().status()) == (
        "2026-11-24T06:00:05.000Z trading.normal · 120 deltas · 7 decisions · 1 live orders · 1 fills · "
        f"cash $97.4125 · P&L {dollars(300_000 - 87_500)}"
    )


async def shown_for(world: World, console: Console, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await show(world.reporter, console)


async def test_without_a_terminal_lines_are_printed(autojump_clock: trio.abc.Clock) -> None:
    """One at the start, one when the state changes, one every five seconds; none before there is a status."""
    world, out = World(), io.StringIO()
    console = Console(file=out, width=40)
    await shown_for(world, console, 1)
    assert out.getvalue() == ""
    world = trading_world()
    await shown_for(world, console, 1)
    assert out.getvalue().count("\n") == 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown_for, world, console, 12)
        for _ in range(11):
            await trio.sleep(1)
            world.at_ms += 1_000
        world.step("paused.sweeping", "hold_placed")
    lines = out.getvalue().splitlines()
    assert len(lines) == 1 + 3 + 1
    assert "paused.sweeping" in lines[-1]


async def test_a_low_terminal_shows_the_whole_panel(autojump_clock: trio.abc.Clock) -> None:
    """Where not all fits, fewer positions and fills are listed, and the panel keeps its lower border."""
    status, out = trading_world().status(), io.StringIO()
    full = evolve(status, last_fills=status.last_fills * 7, positions=status.positions * 7, feeds=status.feeds * 3)
    console = Console(file=out, width=100, height=24, force_terminal=True, color_system=None)
    with trio.move_on_after(0.1):
        await show(cast("StatusProvider", SimpleNamespace(status=lambda: full)), console)
    panel = out.getvalue().rpartition("╭")[2].splitlines()
    assert len(panel) <= 24
    assert [sum(word in row for row in panel) for word in (" fill ", f"  {MARKET} ", "and 6 more")] == [1, 1, 1]
    assert any(row.startswith("╰") for row in panel)


def test_a_no_position_is_marked_at_the_price_of_no() -> None:
    """Cost and mid are of the same side: NO at a YES mid of 56¢ is 44¢."""
    status = trading_world().status()
    held = evolve(status.positions[0], count=-status.positions[0].count)
    rows = [" ".join(row.strip("│ ").split()) for row in text(evolve(status, positions=(held,))).splitlines()]
    assert f"{MARKET} -5 50¢ 44¢ $0.30" in rows


@pytest.mark.parametrize("terminal", [False, True])
async def test_when_nobody_can_see_it_the_view_goes_quiet(terminal: bool, autojump_clock: trio.abc.Clock) -> None:
    """A pipe whose reader has gone: no exception and no end of the process, and a cancel ends it as ever."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        console = Screen(file=pipe, width=100, force_terminal=terminal)
        with trio.move_on_after(5) as limit:
            await show(trading_world().reporter, console)
        assert limit.cancelled_caught
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


async def test_in_a_terminal_the_panel_is_refreshed_and_stays(autojump_clock: trio.abc.Clock) -> None:
    """The panel follows the status, and its last form is left standing when the view ends."""
    world, out = trading_world(), io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown_for, world, console, 1.5)
        await trio.sleep(1)
        world.step("recovering.backing_off", "feeds_lost")
        await trio.sleep(0.6)
    assert "trading.normal" in out.getvalue()
    assert out.getvalue().rindex("recovering.backing_off") > out.getvalue().rindex("trading.normal")
