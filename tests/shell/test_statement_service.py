"""The account statement of days that whole daemons traded, through the real REST client: equal to the last digit, and
what differs is named.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
import trio
from attrs import evolve
from daemon_world import LIVELY, RESTING, exchange_site

from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.errors import (
    EXIT_ABSENT,
    EXIT_FAILED,
    EXIT_REFUSED,
    EXIT_STOPPED,
    CommandRefused,
    ConfigurationError,
)
from kalshi_daemon.facts import CashCorrected
from kalshi_daemon.shell.clock import eastern_bounds, eastern_day
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.signer import signer_from_pem
from kalshi_daemon.shell.statement_service import make_statement, read_lists
from kalshi_daemon.simulation.virtual_day import CASH, HOST, PORT
from kalshi_daemon.units import DOLLAR, HOUR_MS, MINUTE_MS


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state" / "journal.sqlite3"


def today(site):
    return date.fromisoformat(eastern_day(site.clock.now_ms()))


async def stated(site, journal, day=None):
    """As the command does, on the site's network and clock."""
    signer = signer_from_pem(site.key.key_id, site.key.private_pem, "the key in memory")

    async def read(since_ms, settled):
        url = f"https://{HOST}/trade-api/v2"
        async with RestClient([url], signer, site.network, site.clock, lanes=4, rng=random.Random(5)) as rest:
            return await read_lists(rest, since_ms, settled)

    return await make_statement(day or today(site), journal, read, site.clock.now_ms)


async def trade(site, journal, fills=4, variables=None):
    """Trade until so many more are filled, and stop."""
    running = site.start(variables, journal=journal)
    await running.until("trading.normal")
    before = running.ledger.fills_booked
    await running.until(lambda: running.ledger.fills_booked >= before + fills, 1_200)
    assert await running.stop() == EXIT_STOPPED
    return running


async def test_a_day_that_was_traded_is_equal_to_the_last_digit(autojump_clock, journal):
    """Every figure of both halves, every fill and every position."""
    async with exchange_site() as site:
        running = await trade(site, journal)
        statement = await stated(site, journal)
        ours, theirs = statement.journal.half, statement.exchange
        assert (statement.verdict, statement.exit_code, statement.found) == ("equal", EXIT_STOPPED, ())
        assert ours.opening == theirs.opening == CASH
        assert ours.closing == theirs.closing == running.ledger.settled_total
        for name in ("bought", "sold", "fees", "settled"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.bought + ours.sold != 0
        assert ours.fees < 0
        assert ours.fills.keys() == theirs.fills.keys() == {fill.trade_id for fill in site.account.fills}
        held = {market: site.account.count(market) for market in site.account.positions}
        assert ours.positions == theirs.positions == {market: count for market, count in held.items() if count}
        assert statement.journal.realised == sum(each.realised for each in running.ledger.positions.values())
        assert "journal and exchange are equal, to the cent" in statement.as_text()
        assert statement.as_dict()["over"] is False


async def test_days_follow_each_other(autojump_clock, journal):
    """What one day closes with the next one opens with, a settlement between them in the right one; an archive that
    the old day has gone to is read too.
    """
    settings = evolve(LIVELY, server=ServerSettings(archive_after_ms=5 * MINUTE_MS))
    async with exchange_site(settings, start_ms=eastern_bounds(date(2026, 10, 19))[1] - 3 * MINUTE_MS) as site:
        first = await trade(site, journal)
        first_day = today(site)
        market = next(each for each, position in first.ledger.positions.items() if position.count)
        await trio.sleep((eastern_bounds(first_day)[1] - site.clock.now_ms() + MINUTE_MS) / 1_000)
        site.exchange.settle(market, "yes" if first.ledger.position(market) > 0 else "no")
        second = site.start(journal=journal)
        await second.until(lambda: second.ledger.settlements_booked and second.ledger.fills_booked > 6, 1_200)
        assert await second.stop() == EXIT_STOPPED
        await trio.sleep(5 * MINUTE_MS / 1_000)  # what was until now is listed by the archive alone
        old = await stated(site, journal, first_day)
        new = await stated(site, journal, first_day + timedelta(days=1))
        assert (old.found, new.found) == ((), ())
        assert (old.over, new.over) == (True, False)
        assert old.journal.half.closing == new.journal.half.opening == new.exchange.opening
        assert old.exchange.closing == old.journal.half.closing
        assert market in old.journal.half.positions
        assert list(new.journal.half.settlements) == [market]
        assert market not in new.exchange.positions
        assert new.journal.half.settled == new.exchange.settled > 0
        assert old.journal.half.fills.keys().isdisjoint(new.journal.half.fills)
        assert len(old.exchange.fills) + len(new.exchange.fills) == len(site.account.fills)


@pytest.mark.parametrize("seed", range(1, 5))
async def test_while_it_trades_the_halves_meet(autojump_clock, seeded_schedule, seed, journal):
    """Beside the running daemon, with orders resting and fills on their way: equal within the rounds."""
    async with exchange_site(seed=seed) as site:
        running = site.start(RESTING, journal=journal)
        await running.until(lambda: running.ledger.fills_booked > 2)
        statement = await stated(site, journal)
        assert running.in_state("trading.normal")
        assert statement.found == ()
        assert await running.stop() == EXIT_STOPPED


async def test_what_was_paid_in_is_a_difference_until_the_journal_has_it(autojump_clock, journal):
    """Unknown: the balances differ, by its amount and in both. Corrected: a line of its own, and equal."""
    async with exchange_site() as site:
        await trade(site, journal)
        site.exchange.deposit(site.account, 250 * DOLLAR)
        await trio.sleep(5)
        before = await stated(site, journal)
        assert (before.verdict, before.exit_code, len(before.found)) == ("differs", EXIT_REFUSED, 2)
        assert before.found[0].startswith("opening balance: we count $5,000.00, the exchange's lists lead to $5,250.00")
        assert before.exchange.closing - before.journal.half.closing == 250 * DOLLAR
        assert "2 differences" in before.as_text()
        opened = Journal.open(journal, in_place)
        assert list(opened.verify_and_read())
        opened.write([CashCorrected(site.clock.now_ms(), 0, 250 * DOLLAR, "a deposit")])
        opened.close()
        after = await stated(site, journal)
        assert after.found == ()
        assert after.journal.half.changes == after.exchange.changes == 250 * DOLLAR


async def test_a_fill_that_the_journal_lacks_is_named(autojump_clock, journal):
    """The journal ends before the last fill: that one, its position and the balance differ, and nothing else."""
    async with exchange_site() as site:
        await trade(site, journal)
        last = site.account.fills[-1]
        whole = await stated(site, journal)
        shorter = journal.with_name("shorter.sqlite3")
        written = Journal.open(shorter, in_place)
        source = Journal.open(journal, in_place)
        kept = [fact for _, fact in source.verify_and_read() if getattr(fact, "trade_id", "") != last.trade_id]
        source.close()
        written.write(kept)
        written.close()
        statement = await stated(site, shorter)
        assert whole.found == ()
        named = [line for line in statement.found if last.trade_id in line]
        assert len(named) == 1
        assert named[0].endswith(f" in {last.market}: not in the journal")
        rest = {line.partition(":")[0] for line in statement.found if line not in named}
        assert rest == {"closing balance", f"position in {last.market}"}


async def test_without_the_exchange_the_journal_s_half_is_stated(autojump_clock, journal):
    """Away: 69. A configuration or a key that does not read: its own code. The figures are there all the same."""
    async with exchange_site() as site:
        await trade(site, journal)
        site.network.withdraw(HOST, PORT)
        statement = await stated(site, journal)
        assert (statement.verdict, statement.exit_code, statement.exchange) == ("unread", EXIT_ABSENT, None)
        assert statement.journal.half.opening == CASH
        assert "the exchange's half could not be read: " in statement.as_text()
        assert statement.as_dict()["exchange"] is None
        site.network.serve(HOST, PORT, site.link.handle)
        refused = await stated(evolve(site, key=evolve(site.key, key_id="not-a-key")), journal)
        assert (refused.verdict, refused.exit_code) == ("unread", EXIT_FAILED)

        async def unset(_since_ms, _settled):
            await trio.lowlevel.checkpoint()
            raise ConfigurationError("KALSHI_API_KEY_ID is not set")

        unread = await make_statement(today(site), journal, unset, site.clock.now_ms)
        assert unread.exit_code == ConfigurationError.exit_code


async def test_a_day_before_the_journal_is_refused(autojump_clock, journal):
    async with exchange_site() as site:
        await trade(site, journal, fills=1)
        with pytest.raises(
            CommandRefused, match=r"there is nothing to state of 2026-10-18: the journal .* begins 2026-"
        ):
            await stated(site, journal, date(2026, 10, 18))


async def test_a_day_that_has_not_begun_is_refused(autojump_clock, journal):
    async with exchange_site() as site:
        await trade(site, journal, fills=1)
        tomorrow = today(site) + timedelta(days=1)
        with pytest.raises(CommandRefused, match=f"nothing to state of {tomorrow}: it begins {tomorrow}T0[45]:00:00"):
            await stated(site, journal, tomorrow)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 7, 4), 24)])
def test_a_day_is_as_long_as_the_clocks_make_it(day, hours):
    begin, end = eastern_bounds(day)
    assert end - begin == hours * HOUR_MS
    assert eastern_day(begin) == eastern_day(end - MINUTE_MS) == day.isoformat()
    assert eastern_day(begin - 1) != day.isoformat() != eastern_day(end)
