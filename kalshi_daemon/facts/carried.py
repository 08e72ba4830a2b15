"""The account as one journal left it, which the next begins with (shell/journal_rotation.py).

Rules: said in figures of the account and not in the memory of the code that folded them, so that every later version
reads it. What has a fact of its own (names, day, holds, readings, groups) follows as that fact.
"""

from __future__ import annotations

from attrs import frozen

from kalshi_daemon.facts.orders import FillSeen
from kalshi_daemon.units import Count, Milliseconds, Money, Ticker


@frozen
class PositionCarried:
    """`last_ms`: the newest stamp of its fills; 0 where it had none, or is settled."""

    market: Ticker
    count: Count
    cost: Money
    realised: Money
    fees: Money
    last_ms: Milliseconds


@frozen
class FigureCarried:
    """By how much the exchange's cost, realised profit or fees of a position rightly differ from ours."""

    market: Ticker
    what: str
    source: str  # "read" or "stream"
    gap: Money


@frozen
class ExecutionCarried:
    fill: FillSeen
    realised: Money


@frozen
class AccountCarried:
    """What the journal before this one came to, when nothing was open. `at_ms` is the time of its last event.

    `opened_ms`: what the exchange stamped before it is in these figures; of what is later, `trades` names what is.
    """

    at_ms: Milliseconds
    journal: str  # the file's name: the one before,
    events: int  # how many it has,
    checksum: int  # and that of the last
    opened_ms: Milliseconds
    settled: tuple[tuple[int, Money], ...]  # (exchange_index, cash)
    below_a_cent: bool
    positions: tuple[PositionCarried, ...]
    paid: tuple[tuple[Ticker, Count], ...]  # settled markets, and what was held of them
    strange: tuple[Ticker, ...]  # positions that are not ours, and that no person has adopted
    figures_known: bool
    figures: tuple[FigureCarried, ...]
    fees_before: tuple[tuple[Ticker, Money], ...]  # charged before the first journal
    trades: tuple[tuple[str, Milliseconds, int], ...]  # id, stamp, and the check sum of its figures
    executions: tuple[ExecutionCarried, ...]
    fills_booked: int
    settlements_booked: int
    last_fill_ms: Milliseconds
    runs: tuple[str, ...]
    orders: tuple[tuple[str, Milliseconds], ...]  # the exchange's id and last stamp of the last orders, newest first
    increases_ms: tuple[Milliseconds, ...]  # when orders that increase were meant, oldest first
    cancelled_all_ms: Milliseconds
    orders_from_ms: Milliseconds
    counts: tuple[tuple[str, int], ...]
    revenues: tuple[tuple[Ticker, Money], ...] = ()  # settled markets, and what was paid for them
