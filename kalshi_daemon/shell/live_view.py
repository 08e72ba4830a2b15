"""The live view: one panel of a status in the terminal, refreshed a few times a second.

Rules: `render` is pure and shows a `Status` and nothing else; texts from elsewhere are never markup. The view never
reads a key and never owns a task of the daemon's: when it is cancelled it leaves the last panel standing. Without a
terminal it prints a line when the state changes and one every few seconds, so that a pipe or a CI log can be read.
When nobody can see it any more (a closed pipe, a terminal that is gone) it shows nothing, and the daemon goes on.
"""

from __future__ import annotations

import sys
from typing import Final

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kalshi_daemon.core.health_monitor import Verdict
from kalshi_daemon.core.market_selection import IN
from kalshi_daemon.core.session_figures import SessionFigures
from kalshi_daemon.limits import LIVE_VIEW_LINE_S, LIVE_VIEW_S
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.state_reporter import StatusProvider
from kalshi_daemon.shell.status import PositionStatus, Status
from kalshi_daemon.shell.status_text import FEED_WELL, TRADES, duration, pause_line, shortened
from kalshi_daemon.units import PRICE_ONE, SECOND_MS, cents, contracts, dollars

LISTED_MAX: Final = 5  # of fills, positions and alarms
ROWS: Final = 21  # of the panel without its positions and fills
PAUSE_ROWS: Final = 2  # where one is known ahead
_COLOURS: Final = {Verdict.OK: "green", Verdict.DEGRADED: "yellow", Verdict.FAILING: "red"}


def render(status: Status, listed: int = LISTED_MAX) -> RenderableType:
    """The panel of one moment, with so many positions and fills at most."""
    parts: list[RenderableType] = [_head(status), Text(), _feeds(status)]
    parts += [Text(), _columns(status)]
    if status.positions:
        parts += [Text(), _positions(status, listed)]
    recent = _recent(status, listed)
    if recent:
        parts += [Text(), recent]
    title = f"kalshi-daemon {status.version} · {status.environment} · {iso_time(status.at_ms)}"
    colour = _COLOURS[status.health.verdict]
    return Panel(Group(*parts), title=title, subtitle=_session(status.session), border_style=colour, padding=(0, 1))


def line(status: Status) -> str:
    """The panel as one line."""
    activity = status.activity.counters
    return (
        f"{iso_time(status.at_ms)} {status.trader.path} · {activity.get('book_deltas', 0)} deltas · "
        f"{activity.get('policy_decisions', 0)} decisions · {len(status.orders)} live orders · "
        f"{status.session.fills} fills · cash {dollars(status.cash.settled)} · P&L {dollars(_profit(status))}"
    )


class Screen(Console):
    """Standard output. rich ends the process when the reader of a pipe has gone; here that is an error like others."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


async def show(provider: StatusProvider, console: Console) -> None:
    """Shows a daemon until cancelled."""
    try:
        if console.is_terminal:
            await _show_panel(provider, console)
        else:
            await _show_lines(provider, console)
    except OSError:
        await trio.sleep_forever()


async def _show_panel(provider: StatusProvider, console: Console) -> None:
    """What else is written to the terminal meanwhile appears above the panel."""
    with Live(console=console, auto_refresh=False, transient=False, redirect_stderr=sys.stderr.isatty()) as live:
        try:
            while True:
                _refresh(live, provider.status())
                await trio.sleep(LIVE_VIEW_S)
        finally:
            _refresh(live, provider.status())


def _refresh(live: Live, status: Status | None) -> None:
    """The empty line is for the `^C` that a terminal echoes: at the end of a full line it would shift the panel."""
    if status is not None:
        rows = ROWS + (PAUSE_ROWS if status.pause is not None else 0)
        listed = max(1, min(LISTED_MAX, (live.console.height - rows) // 2))
        live.update(Group(render(status, listed), Text()), refresh=True)


async def _show_lines(provider: StatusProvider, console: Console) -> None:
    shown, shown_ms = "", 0
    while True:
        status = provider.status()
        if status is not None:
            due = status.at_ms - shown_ms >= LIVE_VIEW_LINE_S * SECOND_MS
            if due or status.trader.path != shown:
                shown, shown_ms = status.trader.path, status.at_ms
                console.print(line(status), highlight=False, soft_wrap=True)
        await trio.sleep(LIVE_VIEW_S)


def _head(status: Status) -> Text:
    trader = status.trader
    text = Text()
    text.append(trader.path, style="bold green" if trader.path == TRADES else "bold yellow")
    text.append(f"  for {duration(max(0, status.at_ms - trader.since_ms))}, through {status.cause}")
    for hold in status.holds:
        text.append(f"\nhold {hold.kind}: {shortened(hold.cause)}; cleared by {hold.cleared_by}", style="yellow")
    for restriction in status.restrictions:
        text.append(f"\nrestriction {restriction.kind}: {shortened(restriction.cause)}", style="yellow")
    for degradation in status.degradations:
        text.append(f"\ndegraded {degradation.kind}: {shortened(degradation.cause)}", style="yellow")
    for step in status.startup:
        if step.error:
            text.append(f"\n{step.name}: {step.state}, {step.error}", style="red")
    if status.health.verdict is Verdict.FAILING:
        for reason in status.health.reasons[:LISTED_MAX]:
            text.append(f"\n{reason.subject}: {reason.text}", style="red")
    return text


def _feeds(status: Status) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for feed in status.feeds:
        style = "green" if feed.state in FEED_WELL else "yellow"
        grid.add_row(feed.role, Text(feed.state, style=style), f"{feed.messages} messages", Text(feed.detail))
    unread = f"{len(status.markets_unread)} not read" if status.markets_unread else ""
    grid.add_row("markets", _in_and_out(status), Text(unread, style="yellow"))
    if status.pause is None:
        return grid
    return Group(grid, Text(pause_line(status, status.pause)))


def _in_and_out(status: Status) -> str:
    wanted = sum(count for why, count in status.markets.items() if why in IN)
    return f"{wanted} in, {sum(status.markets.values()) - wanted} out"


def _columns(status: Status) -> RenderableType:
    """Figures, side by side: what was done, what it cost, what it made."""
    counters = status.activity.counters
    decided = f"{counters.get('policy_decisions', 0)} by {status.model}"
    refused = {**status.activity.labelled.get("refused", {}), **status.activity.labelled.get("refused_by_exchange", {})}
    refusals = ", ".join(f"{code} {count}" for code, count in sorted(refused.items(), key=lambda each: -each[1]))
    spent = ", ".join(f"{each.budget} {each.spent_share:.0%}" for each in status.rates)
    grid = Table.grid(padding=(0, 2))
    profit = status.profit
    unrealised = f"{dollars(profit.unrealised)} at mid, {dollars(profit.unrealised_conservative)} if closed"
    cells = (
        ("deltas", str(counters.get("book_deltas", 0)), "settled", dollars(status.cash.settled)),
        ("decisions", decided, "reserved", dollars(status.cash.reserved)),
        ("live orders", str(len(status.orders)), "available after reserve", dollars(status.cash.available)),
        ("fills", str(status.session.fills), "realised", dollars(status.profit.realised)),
        ("refused", refusals or "0", "unrealised", unrealised),
        ("rates spent", spent, "fees", dollars(status.profit.fees)),
    )
    for row in cells:
        grid.add_row(Text(row[0], style="dim"), Text(row[1]), Text(row[2], style="dim"), row[3])
    return grid


def _session(session: SessionFigures) -> str:
    drift = f", drift {dollars(session.drift)}" if session.drift else ""
    return (
        f"this run: cash {dollars(session.cash)}, invested {dollars(session.invested)}, "
        f"recouped {dollars(session.recouped)}, fees {dollars(session.fees)}{drift}"
    )


def _positions(status: Status, listed: int) -> RenderableType:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name, justify in (("position", "left"), ("contracts", "right"), ("cost", "right"), ("mid", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("unrealised", justify="right")
    ordered = sorted(status.positions, key=lambda each: -each.cost)
    for each in ordered[:listed]:
        table.add_row(each.market, contracts(each.count), cents(each.average_cost), _mid(each), _unrealised(each))
    if len(ordered) > listed:
        table.add_row(f"and {len(ordered) - listed} more")
    return table


def _recent(status: Status, listed: int) -> Text:
    text = Text()
    for fill in status.last_fills[:listed]:
        role = "taker" if fill.is_taker else "maker"
        text.append(
            f"{iso_time(fill.at_ms)[11:19]} fill {fill.side} {contracts(fill.count)} {fill.market} "
            f"at {cents(fill.price)}, {role}, fee {dollars(fill.fee)}\n"
        )
    if status.last_refusal is not None:
        last = status.last_refusal
        text.append(f"{iso_time(last.at_ms)[11:19]} refused {last.code} {last.market}: ", style="yellow")
        text.append(f"{last.control}: {last.figure}, allowed {last.limit}\n", style="yellow")
    for alarm in status.last_alarms[:listed]:
        text.append(f"{iso_time(alarm.at_ms)[11:19]} alarm {alarm.alarm}: {shortened(alarm.text)}\n", style="red")
    text.rstrip()
    return text


def _mid(position: PositionStatus) -> str:
    """Of the side that is held, as its cost is."""
    if position.mid is None:
        return "none"
    return cents(position.mid if position.count > 0 else PRICE_ONE - position.mid)


def _unrealised(position: PositionStatus) -> str:
    return "unknown" if position.unrealised is None else dollars(position.unrealised)


def _profit(status: Status) -> int:
    return status.profit.realised + status.profit.unrealised - status.profit.fees
