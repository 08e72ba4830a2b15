"""A journal and the key that it is used with: another account's is refused before anything of it is folded in."""

from __future__ import annotations

import pytest
from attrs import evolve
from daemon_world import LIVELY, QUIET, RESTING, exchange_site

from kalshi_daemon.emulator.keyring import KeyTerms
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.errors import EXIT_FAILED, EXIT_STOPPED, JournalForeign
from kalshi_daemon.facts import AccountNamed, Alarmed, RunStarted, StateChanged
from kalshi_daemon.shell.account_identity import fingerprint
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_reader import read_journal
from kalshi_daemon.shell.journal_report import verify
from kalshi_daemon.simulation.faulty_link import replaced
from kalshi_daemon.simulation.virtual_day import CASH

FORBIDDEN = replaced("403 Forbidden", b'{"error":{"code":"insufficient_scope","message":"no"}}')


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state" / "journal.sqlite3"


async def lived(site, journal, variables=None, fills=0):
    """Trade until so many are filled, and stop."""
    running = site.start(variables, journal=journal)
    await running.until("trading.normal")
    await running.until(lambda: running.ledger.fills_booked >= fills, 1_200)
    assert await running.stop() == EXIT_STOPPED
    return running


def named(journal):
    return [fact.key for _, fact in read_journal(journal) if isinstance(fact, AccountNamed)]


async def test_the_first_key_names_the_account_by_its_fingerprint(autojump_clock, journal):
    """Once, however often it starts; the id itself is nowhere in the files."""
    async with exchange_site(QUIET) as site:
        await lived(site, journal)
        await lived(site, journal)
        assert named(journal) == [fingerprint(site.key.key_id)]
        assert site.key.key_id.encode() not in b"".join(path.read_bytes() for path in journal.parent.iterdir())
        assert verify(journal, "demo", site.key.key_id).verdict == "whole"


async def test_another_account_is_refused_and_nothing_of_it_is_folded(autojump_clock, journal):
    """Its key is good, and neither lists the journal's nor knows its orders: the daemon ends and says so, and the
    journal has no more than that a process began and ended.
    """
    async with exchange_site(LIVELY) as site:
        first = await lived(site, journal, fills=2)
        before = sum(1 for _ in read_journal(journal))
        other = site.world.server.join(CASH)
        running = evolve(site, key=other, account=site.exchange.accounts[other.key_id]).start(journal=journal)
        await running.ended.wait()
        assert running.code == EXIT_FAILED
        assert isinstance(running.daemon.tasks.ended_by, JournalForeign)
        assert "give each account a KALSHI_STATE_DIR of its own" in str(running.daemon.tasks.ended_by)
        added = [fact for seq, fact in read_journal(journal) if seq > before]
        assert {type(fact) for fact in added} <= {RunStarted, StateChanged, Alarmed}
        assert running.ledger.settled_total == first.ledger.settled_total
        assert named(journal) == [fingerprint(site.key.key_id)]
        told = verify(journal, "demo", other.key_id)
        assert (told.verdict, told.exit_code) == ("foreign", 1)
        assert told.detail == "it was never used with the key of KALSHI_API_KEY_ID"
        await lived(site, journal, fills=2)  # and its own goes on


@pytest.mark.parametrize("listed", [True, False])
async def test_a_new_key_of_the_account_is_proven_by_the_exchange(autojump_clock, journal, listed):
    """Listed beside the old one; or, where keys may not be read, by an order that it knows."""
    async with exchange_site(LIVELY) as site:
        await lived(site, journal, fills=1)
        renewed = site.world.server.add_key(site.key, KeyTerms(scopes=ServerSettings().key_scopes))
        if not listed:
            site.fail(("GET", "/api_keys", FORBIDDEN))
        await lived(evolve(site, key=renewed), journal, fills=1)
        assert named(journal) == [fingerprint(site.key.key_id), fingerprint(renewed.key_id)]


async def test_a_new_key_that_nothing_proves_is_refused(autojump_clock, journal):
    """Keys may not be read, and the journal has no order: a person must say which it is."""
    async with exchange_site(QUIET) as site:
        await lived(site, journal, {"KALSHI_POLICY": "hold"})
        renewed = site.world.server.add_key(site.key, KeyTerms(scopes=ServerSettings().key_scopes))
        site.fail(("GET", "/api_keys", FORBIDDEN))
        running = evolve(site, key=renewed).start({"KALSHI_POLICY": "hold"}, journal=journal)
        await running.ended.wait()
        assert (running.code, named(journal)) == (EXIT_FAILED, [fingerprint(site.key.key_id)])


async def test_another_environment_is_refused_and_the_file_is_as_it_was(autojump_clock, journal):
    """Known as soon as it is folded: before anything is written, and before anybody is asked."""
    async with exchange_site(QUIET) as site:
        written = Journal.open(journal, in_place)
        written.write([RunStarted(1, "run1", "0.1.0"), AccountNamed(2, "production", fingerprint(site.key.key_id))])
        written.close()
        before = journal.read_bytes()
        running = site.start(RESTING, journal=journal)
        await running.ended.wait()
        assert running.code == EXIT_FAILED
        assert "the environment production, and KALSHI_ENVIRONMENT is demo" in str(running.daemon.tasks.ended_by)
        assert site.link.requests == []
        assert journal.read_bytes() == before
        assert verify(journal, "demo", site.key.key_id).verdict == "foreign"
