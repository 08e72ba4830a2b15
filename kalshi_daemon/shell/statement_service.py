"""Makes the account statement of a US Eastern day: folds the journal, reads the exchange's lists, and compares.

Rules: it only reads, beside a running daemon too. What has just happened may be in one half and not yet in the other:
as long as they differ both are read again, with quiet between, until they are equal, differ twice in the same way, or
the rounds are over. Without the exchange the journal's half is stated all the same, and why there is no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from pathlib import Path

import trio
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.charts.crashes import leaves_of_group
from kalshi_daemon.core.account_comparison import collateral
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.payouts import as_booked
from kalshi_daemon.core.statement import AccountLists, JournalHalf, Period, differences, exchange_half
from kalshi_daemon.errors import CommandRefused, OperatingError
from kalshi_daemon.shell.account_archive import archived_settlements
from kalshi_daemon.shell.clock import eastern_bounds
from kalshi_daemon.shell.journal_text import iso
from kalshi_daemon.shell.journals_kept import journals_since, read_journals
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.statement_report import Statement
from kalshi_daemon.units import CENT, Count, Milliseconds, Money, Ticker

ReadLists = Callable[[Milliseconds, Mapping[Ticker, Count]], Awaitable[AccountLists]]


async def make_statement(day: date, path: Path, read: ReadLists, now_ms: Callable[[], Milliseconds]) -> Statement:
    """`read` gives the exchange's lists since a moment; it is told what was held where a market was settled since.

    Raises what reading the journal raises, and CommandRefused for a day that the journal does not
    reach or that has not begun.
    """
    period = Period(*eastern_bounds(day))
    if now_ms() < period.from_ms:
        raise CommandRefused(f"there is nothing to state of {day}: it begins {iso(period.from_ms)}")
    seen: tuple[str, ...] | None = None
    for turn in range(limits.CALIBRATION_ROUNDS_MAX):
        if turn:
            await trio.sleep(limits.CALIBRATION_QUIET_S)
        journal = fold_journal(day, path, period)
        over = now_ms() >= period.to_ms
        try:
            lists = await _read(read, journal)
        except OperatingError as failure:
            return Statement(day, period, over, journal, None, (), failure)
        left_out = _left_out(journal.ledger, lists.cash)
        paid = tuple(as_booked(each, journal.paid.get(each.market)) for each in lists.settlements)
        lists = evolve(lists, cash=lists.cash + left_out, settlements=paid)
        own = Period(journal.begins_ms, period.to_ms)
        theirs = exchange_half(lists, own, journal.half.changes, journal.changes_after)
        found = tuple(differences(journal.half, theirs))
        if not found or found == seen:
            break
        seen = found
    return Statement(day, period, over, journal, theirs, found, left_out=left_out)


def fold_journal(day: date, path: Path, period: Period) -> JournalHalf:
    """Of the journal and those put aside before it, as far as the day reaches. Raises what reading raises, and
    CommandRefused.
    """
    journal = JournalHalf(period)
    for _, fact in read_journals(journals_since(path, period.from_ms - limits.ORDERS_READ_BEFORE_MS)):
        journal.fold(fact)
    if not journal.stated:
        begins = f"begins {iso(journal.opened_ms)}" if journal.ledger.opened else "has not opened an account"
        if journal.ledger.journal_before:
            begins += f", and {journal.ledger.journal_before} before it is not there"
        raise CommandRefused(f"there is nothing to state of {day}: the journal {path} {begins}")
    return journal


async def _read(read: ReadLists, journal: JournalHalf) -> AccountLists:
    """Raises OperatingError."""
    failures: list[OperatingError] = []
    lists: AccountLists | None = None
    try:
        lists = await read(journal.begins_ms, {market: each.count for market, each in journal.paid.items()})
    except* OperatingError as errors:
        failures = [leaf for leaf in leaves_of_group(errors) if isinstance(leaf, OperatingError)]
    if lists is None:
        raise failures[0]
    return lists


def _left_out(ledger: LedgerView, cash: Money) -> Money:
    """Of the collateral of resting orders, in whichever reading of it the balance agrees (calibration_service.py)."""
    resting = [each for each in ledger.live() if each.order_id]
    held = {market: position.count for market, position in ledger.positions.items()}
    readings = (0, collateral(resting, {}), collateral(resting, held))
    return next((each for each in readings if cash + each == ledger.settled_total), 0)


async def read_lists(rest: RestClient, since_ms: Milliseconds, settled: Mapping[Ticker, Count]) -> AccountLists:
    """All that the exchange shows of the account since then. Of a settlement in `settled` that it does not list any
    more its archive says how the market ended, and what that paid. Raises ExchangeError or Unreachable.
    """
    await rest.until_balance_may_be_read()
    fills = await rest.fills(since_ms)
    fills += await rest.archived_fills(since_ms)  # after them: what moves there meanwhile is in one or in both
    settlements = await rest.settlements(since_ms)
    left = settled.keys() - {each.market for each in settlements}
    settlements += [
        each.seen(settled[each.market.market], since_ms) for each in await archived_settlements(rest, left, CENT)
    ]
    positions = await rest.positions()
    balance = await rest.balance()
    return AccountLists(
        cash=sum(cash for _, cash in balance.by_shard),
        positions={each.market: each.count for each in positions},
        fills=tuple({fill.trade_id: fill for fill in fills}.values()),
        settlements=tuple(settlements),
    )
