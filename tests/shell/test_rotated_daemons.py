"""Daemons whose journal is put aside at their start trade on: their account is the exchange's, to the last digit."""

from __future__ import annotations

from datetime import date

import pytest
from daemon_world import RESTING, exchange_site
from test_statement_service import stated, trade

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.errors import EXIT_STOPPED, CommandRefused
from kalshi_daemon.shell.journal_report import verify
from kalshi_daemon.shell.journals_kept import journals_since, put_aside, read_journals
from kalshi_daemon.shell.status_text import why

SMALL = {"KALSHI_JOURNAL_MAX_MB": "1"}


@pytest.fixture(autouse=True)
def megabytes_are_small(monkeypatch):
    monkeypatch.setattr(limits, "JOURNAL_MB", 20_000)
    monkeypatch.setattr(limits, "JOURNAL_SHARE_MAX", 1)
    monkeypatch.setattr("kalshi_daemon.core.ledger.RECENT_MAX", 3)  # else the executions alone are as much


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state" / "journal.sqlite3"


def same_books(site, ledger):
    """Cash, positions with cost, profit and fees, and the number of fills."""
    exchange, account = site.exchange, site.account
    theirs = {market: account.position(market) for market in account.positions}
    assert dict(ledger.shards) == dict(exchange.balance(account).cash)
    assert {market: (each.count, each.cost, each.realised, each.fees) for market, each in ledger.positions.items()} == {
        market: (each.count, each.cost, each.realised, each.fees) for market, each in theirs.items()
    }
    assert ledger.fills_booked == len(account.fills)


def checked(running):
    return next(step.detail for step in running.parts.preflight.tracker.steps if step.name == "journal")


async def test_it_trades_on_from_journal_to_journal(autojump_clock, journal):
    """Each start puts one aside; the day's statement is read across them, and says so where one is gone."""
    async with exchange_site() as site:
        for number in range(3):
            running = await trade(site, journal, fills=6, variables=SMALL)
            assert len(put_aside(journal)) == number, checked(running)
            assert ("was put aside" in checked(running)) is bool(number)
            assert running.parts.invariants.violations == 0
            same_books(site, running.ledger)
            statement = await stated(site, journal)
            assert (statement.verdict, statement.found) == ("equal", ())
            assert len(statement.journal.half.fills) == len(site.account.fills)
        chain = journals_since(journal, 0)
        assert len(chain) == 3
        across = Ledger()
        for _seq, fact in read_journals(chain):
            across.apply(fact)
        same_books(site, across)
        assert [verify(each).verdict for each in chain] == ["whole"] * 3
        chain[1].unlink()
        statement = await stated(site, journal)
        assert (statement.verdict, statement.journal.opened_ms) == ("equal", statement.journal.begins_ms)
        assert 0 < len(statement.journal.half.fills) < len(site.account.fills)
        with pytest.raises(CommandRefused, match=f"{chain[1].name} before it is not there"):
            await stated(site, journal, day=date(2026, 10, 18))


async def test_orders_that_rest_keep_it_until_they_are_over(autojump_clock, journal):
    """Killed with orders in the book the next start goes on where it is, and says why; stopped, the next does not."""
    async with exchange_site() as site:
        first = site.start({**SMALL, **RESTING}, journal=journal)
        await first.until("trading.normal")
        await first.until(lambda: bool(site.resting()) and first.ledger.fills_booked > 5, 1_200)
        await first.until(lambda: any(each.rests for each in first.ledger.live()), 1_200)
        first.kill()
        await first.ended.wait()
        second = site.start({**SMALL, **RESTING}, journal=journal)
        await second.until("trading.normal", 600)
        assert "it is not put aside: order kd-" in checked(second)
        assert await second.stop() == EXIT_STOPPED
        assert put_aside(journal) == []
        third = site.start({**SMALL, **RESTING}, journal=journal)
        await third.until("trading.normal")
        assert "was put aside" in checked(third)
        status = third.daemon.surface.reporter.status()
        assert status is not None
        assert f"journal: {checked(third)}" in why(status).splitlines()
        assert await third.stop() == EXIT_STOPPED
        same_books(site, third.ledger)
