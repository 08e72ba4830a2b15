"""Daemons whose journal is put aside at their start trade on: their account is the exchange's, to the last digit."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
import trio
from daemon_world import RESTING, exchange_site
from test_statement_service import stated, trade
from trio.testing import MockClock

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.emulator.model import NewOrder
from kalshi_daemon.errors import EXIT_STOPPED, CommandRefused
from kalshi_daemon.shell.journal_report import verify
from kalshi_daemon.shell.journals_kept import journals_since, put_aside, read_journals
from kalshi_daemon.shell.status_text import why
from kalshi_daemon.simulation.determinism import seeded_scheduling
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_CENT, BookSide, TimeInForce

SMALL = {"KALSHI_JOURNAL_MAX_MB": "1"}


@pytest.fixture(autouse=True)
def megabytes_are_small(monkeypatch):
    monkeypatch.setattr(limits, "JOURNAL_MB", 16_000)
    monkeypatch.setattr(limits, "JOURNAL_SHARE_MAX", Fraction(1, 100))  # what it begins with is most of such a journal


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


async def meanwhile(folder, seed, bytes_mb, deeds):
    """An account that traded and was stopped, to which things happen, and whose next daemon trades on."""
    folder.mkdir(parents=True, mode=0o700)
    journal = folder / "journal.sqlite3"
    variables = {"KALSHI_JOURNAL_MAX_MB": bytes_mb}
    async with exchange_site(seed=seed) as site:
        await trade(site, journal, fills=5, variables=variables)
        for deed in deeds:
            DEEDS[deed](site)
        await trio.sleep(10)
        running = site.start(variables, journal=journal)
        await trio.sleep(35)
        assert running.parts.invariants.violations == 0
        assert await running.stop() == EXIT_STOPPED
        return len(put_aside(journal)), running.held(), figures(running.ledger)


def figures(ledger):
    return {name: each for name, each in ledger.account_figures().items() if name != "counts"}


def settle(site):
    """Of what is held, the first."""
    market = min(market for market, each in site.account.positions.items() if each.count)
    site.exchange.settle(market, "yes")


def hand_trades(site):
    """Another hand, with the account's key, takes what is there."""
    market = max(market for market, each in site.account.positions.items() if each.count)
    order = NewOrder(market, BookSide.BID, 99 * PRICE_CENT, 2 * CONTRACT, TimeInForce.IMMEDIATE_OR_CANCEL)
    assert site.exchange.create_order(site.account, order).filled


DEEDS = {
    "a settlement": settle,
    "a deposit": lambda site: site.exchange.deposit(site.account, 25 * DOLLAR),
    "another hand": hand_trades,
}


@pytest.mark.parametrize(("seed", "deeds"), [(1, ["a settlement", "another hand"]), (2, ["a deposit"])])
def test_what_happens_while_it_is_stopped_leads_to_the_same_account(tmp_path, seed, deeds):
    """With the journal put aside and without: what was filled, paid and paid in is found, or held, alike."""
    ends = []
    for name, bytes_mb in (("small", "1"), ("large", "60000")):
        with seeded_scheduling(seed):
            clock = MockClock(autojump_threshold=0)
            ends.append(trio.run(meanwhile, tmp_path / name, seed, bytes_mb, deeds, clock=clock))
    assert [aside for aside, _held, _figures in ends] == [1, 0]
    assert ends[0][1:] == ends[1][1:]
