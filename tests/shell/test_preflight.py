"""Preflight: what is checked before anything is trusted, and how each check ends the start, delays it or lets it
pass.
"""

from __future__ import annotations

import shutil
import sqlite3

import pytest
import trio
from attrs import evolve
from daemon_world import QUIET, RESTING, exchange_site

from kalshi_daemon.emulator.keyring import KeyTerms
from kalshi_daemon.errors import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_STOPPED, CommandRefused, KeyRefused
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.preflight import STEPS
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE, replaced
from kalshi_daemon.simulation.virtual_day import HOST, PORT


async def test_every_step_passes_and_says_what_it_found(autojump_clock):
    """The six steps in their order, each with a detail that a person can use."""
    async with exchange_site(QUIET) as site:
        running = site.start()
        await running.until("starting.connecting")
        steps = running.parts.preflight.tracker.steps
        assert [step.name for step in steps] == list(STEPS)
        assert [step.state for step in steps] == ["passed"] * len(STEPS)
        details = {step.name: step.detail for step in steps}
        assert details["journal"] == "0 events verified and replayed in 0.0 s"
        assert details["access"] == "signed reads pass; tier basic"
        assert details["markets"] == "12 markets known, with grid, times and fees; 12 in"
        assert await running.stop() == EXIT_STOPPED


async def test_a_key_that_may_not_trade_does_not_start(autojump_clock):
    """Every order would be refused: said at the start, in words, and not by one market after the other."""
    async with exchange_site(QUIET) as site:
        reader = site.world.server.add_key(site.key, KeyTerms(scopes=("read",)))
        running = evolve(site, key=reader).start()
        await running.ended.wait()
        assert running.code == EXIT_FAILED
        assert "the key may not trade: its scopes are read" in str(running.daemon.tasks.ended_by)


def refuse_key():
    raise KeyRefused("the key file is readable by others: chmod 600")


@pytest.mark.parametrize(
    ("variables", "seams", "step", "code", "text"),
    [
        ({"KALSHI_API_KEY_ID": "not-a-key"}, {}, "access", EXIT_FAILED, "NOT_FOUND"),
        ({}, {"load_signer": refuse_key}, "key", EXIT_FAILED, "readable by others"),
        (
            {"KALSHI_MARKETS": "DEMOTEMP-DAY1-T58,NO-SUCH-MARKET"},
            {},
            "markets",
            EXIT_CONFIGURATION,
            "KALSHI_MARKETS names NO-SUCH-MARKET",
        ),
        ({"KALSHI_POLICY": "onnx", "KALSHI_ORDER_SIZES": "1,2,3"}, {}, "model", EXIT_FAILED, "sizes"),
    ],
    ids=["unknown key", "open key file", "unknown market", "model of other sizes"],
)
async def test_what_a_person_must_mend_is_refused_with_its_text(autojump_clock, variables, seams, step, code, text):
    """Refused at the step that found it, in words, with its exit code; nothing is tried again and nothing was
    traded.
    """
    async with exchange_site(QUIET) as site:
        running = site.start(variables, **seams)
        await running.ended.wait()
        assert running.code == code
        assert running.states() == ["starting.preflight", "failed"]
        refused = [each for each in running.parts.preflight.tracker.steps if each.state == "refused"]
        assert [each.name for each in refused] == [step]
        assert text in refused[0].error
        assert text in str(running.daemon.tasks.ended_by)
        assert site.account.orders == {}


async def test_a_model_file_that_is_none_is_refused(autojump_clock, tmp_path):
    """A file that is not a model, and one that is not there: each named."""
    (tmp_path / "policy.onnx").write_bytes(b"no model")
    async with exchange_site(QUIET) as site:
        for name in ("policy.onnx", "absent.onnx"):
            path = tmp_path / name
            running = site.start({"KALSHI_POLICY": "onnx", "KALSHI_MODEL": str(path)})
            await running.ended.wait()
            assert running.code == EXIT_FAILED
            assert str(path) in str(running.daemon.tasks.ended_by)


async def test_an_exchange_that_is_away_is_waited_for(autojump_clock):
    """Not reachable, then answering 503: deferred again and again with the cause shown; then it trades."""
    async with exchange_site(QUIET) as site:
        site.network.withdraw(HOST, PORT)
        running = site.start()
        await running.until("starting.deferred")
        await trio.sleep(90)
        steps = {step.name: step for step in running.parts.preflight.tracker.steps}
        assert f"{HOST}:{PORT} refused" in steps["exchange"].error
        site.network.serve(HOST, PORT, site.link.handle)
        site.fail(("GET", "/account/limits", UNAVAILABLE))
        await trio.sleep(90)
        steps = {step.name: step for step in running.parts.preflight.tracker.steps}
        assert "503" in steps["access"].error
        site.mend()
        await running.until("trading.normal", 90)
        assert await running.stop() == EXIT_STOPPED


async def test_a_code_that_nobody_told_us_of_is_waited_for_and_shown(autojump_clock):
    """Theirs until somebody has read it: the start is deferred, not ended, and the code is counted by its name."""
    async with exchange_site(QUIET) as site:
        site.fail(("GET", "/account/limits", replaced("409 Conflict", b'{"error":{"code":"odd_moon:_77"}}')))
        running = site.start()
        await running.until("starting.deferred")
        status = running.daemon.surface.reporter.status()
        assert status.activity.labelled["unknown_codes"] == {"409 odd_moon": 1}
        assert status.activity.labelled["errors"] == {"theirs": 1}
        site.mend()
        await running.until("trading.normal", 90)
        assert await running.stop() == EXIT_STOPPED


async def test_an_exchange_that_is_paused_at_the_start_is_held(autojump_clock):
    """Preflight passes into paused, once held; two active statuses later it trades."""
    async with exchange_site(QUIET) as site:
        site.exchange.pause_trading()
        running = site.start()
        await running.until("paused.holding")
        assert running.held() == ["exchange"]
        site.exchange.resume_trading()
        await running.until("trading.normal")
        assert await running.stop() == EXIT_STOPPED


async def test_a_kill_latch_sweeps_what_an_earlier_run_left(autojump_clock, tmp_path):
    """Killed with orders resting, latched by the separate command: the next start holds `kill`, sweeps and stays."""
    journal, latch = tmp_path / "state" / "journal.db", tmp_path / "kill"
    journal.parent.mkdir(mode=0o700)
    async with exchange_site() as site:
        first = site.start(RESTING, journal=journal)
        await first.until(lambda: len(site.resting()) >= 2)
        first.kill()
        await first.ended.wait()
        assert len(site.resting()) >= 2
        latch.write_text("a person pulled it\n")
        second = site.start(RESTING, journal=journal, kill_latch=latch)
        await second.until("paused.holding")
        assert site.resting() == []
        assert next((each.kind.value, each.cause) for each in second.ledger.holds) == ("kill", "a person pulled it")
        await trio.sleep(120)
        assert second.in_state("paused.holding")
        assert second.held() == ["kill"]
        assert await second.stop() == EXIT_STOPPED
        second.audit.conclude()
        assert second.parts.invariants.violated == []
        third = site.start(RESTING, journal=journal)  # the latch is gone, the journal remembers
        await third.until("paused.holding")
        assert third.held() == ["kill"]
        assert await third.stop() == EXIT_STOPPED
        fourth = site.start(RESTING, journal=journal, kill_latch=latch)
        await fourth.until("paused.holding")
        clear = fourth.daemon.tasks.operations()["kill-clear"]
        with pytest.raises(CommandRefused, match="needs a reason"):
            await clear(ControlRequest("kill-clear"))
        assert await clear(ControlRequest("kill-clear", "mended")) == "the kill is cleared"
        await fourth.until("trading.normal")
        assert not latch.exists()
        assert await fourth.stop() == EXIT_STOPPED


async def test_a_restart_goes_on_from_the_journal(autojump_clock, tmp_path):
    """Stopped with a position and started again: replayed, agreed with the exchange, exact, and trading."""
    journal = tmp_path / "state" / "journal.db"
    journal.parent.mkdir(mode=0o700)
    async with exchange_site() as site:
        first = site.start(journal=journal)
        await first.until(lambda: first.ledger.fills_booked > 2)
        assert await first.stop() == EXIT_STOPPED
        second = site.start(journal=journal)
        await second.until("trading.normal")
        steps = {step.name: step for step in second.parts.preflight.tracker.steps}
        assert int(steps["journal"].detail.split()[0]) > 20
        assert second.ledger.fills_booked >= first.ledger.fills_booked
        assert await second.stop() == EXIT_STOPPED
        second.audit._read_fills = 0
        second.audit.conclude()
        assert second.parts.invariants.violated == []


@pytest.mark.parametrize("damage", ["body", "missing"])
async def test_a_journal_that_does_not_read_back_is_refused_naming_the_event(autojump_clock, tmp_path, damage):
    """One changed body, one row gone: the daemon ends, says which event, and asks the exchange for nothing."""
    journal = tmp_path / "state" / "journal.db"
    journal.parent.mkdir(mode=0o700)
    async with exchange_site(QUIET) as site:
        first = site.start(journal=journal)
        await first.until("trading.normal")
        assert await first.stop() == EXIT_STOPPED
        with sqlite3.connect(journal) as database:
            if damage == "body":
                database.execute("UPDATE events SET body = replace(body, 'trader', 'tradex') WHERE seq = 4")
            else:
                database.execute("DELETE FROM events WHERE seq = 4")
        database.close()
        asked = len(site.link.requests)
        second = site.start(journal=journal)
        await second.ended.wait()
        assert second.code == EXIT_FAILED
        assert "event 4" in str(second.daemon.tasks.ended_by)
        assert len(site.link.requests) == asked


async def test_a_torn_tail_is_cut_and_said(autojump_clock, tmp_path):
    """Killed in the middle of a commit: the start says what it cut off, and goes on from what is whole."""
    living, killed = tmp_path / "living" / "journal.db", tmp_path / "killed" / "journal.db"
    killed.parent.mkdir(mode=0o700)
    async with exchange_site(QUIET) as site:
        first = site.start(journal=living)
        await first.until("trading.normal")
        events = first.parts.journal.last_seq
        for end in ("", "-wal"):
            shutil.copy(f"{living}{end}", f"{killed}{end}")
        assert await first.stop() == EXIT_STOPPED
        log = killed.with_name("journal.db-wal")
        log.write_bytes(log.read_bytes()[:-1] + b"?")
        second = site.start(journal=killed)
        await second.until("trading.normal")
        detail = second.parts.preflight.tracker.steps[0].detail
        assert 0 < int(detail.split()[0]) < events
        assert "; the last commit in" in detail
        assert detail.endswith("it is cut off")
        assert await second.stop() == EXIT_STOPPED


async def test_a_second_daemon_on_the_same_journal_is_refused(autojump_clock, tmp_path):
    """The directory is locked: the second ends in words, the first goes on."""
    journal = tmp_path / "state" / "journal.db"
    journal.parent.mkdir(mode=0o700)
    async with exchange_site(QUIET) as site:
        first = site.start(journal=journal)
        await first.until("trading.normal")
        second = site.start(journal=journal)
        await second.ended.wait()
        assert second.code == EXIT_FAILED
        assert "is in use by process" in str(second.daemon.tasks.ended_by)
        assert await first.stop() == EXIT_STOPPED


async def test_a_replay_that_is_cut_goes_on_where_it_was(autojump_clock, tmp_path, monkeypatch):
    """Cancelled between two facts, the next attempt folds the rest: the ledger is what one replay makes of it."""
    journal = tmp_path / "state" / "journal.db"
    journal.parent.mkdir(mode=0o700)
    monkeypatch.setattr("kalshi_daemon.limits.REPLAY_BREATH", 3)
    async with exchange_site() as site:
        first = site.start(journal=journal)
        await first.until(lambda: first.ledger.fills_booked > 2)
        assert await first.stop() == EXIT_STOPPED
        second = site.start(journal=journal)
        preflight = second.parts.preflight
        await preflight.opened.wait()
        second.kill()  # the runner may have folded some of it by now
        await second.ended.wait()
        third = site.start(journal=journal)
        await third.until(third.parts.preflight.replayed.is_set)
        assert third.ledger.version >= first.ledger.version
        assert await third.stop() == EXIT_STOPPED
        assert evolve(third.ledger.positions.get(next(iter(third.ledger.positions)))) is not None
