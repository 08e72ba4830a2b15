"""A journal over its limit is put aside at a start, and the account goes on; what keeps it from that costs nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rested_account import BEGUN_MS, LIMIT, ORDERS, RUN, Start, agreed, life, make, order, run

from kalshi_daemon import limits
from kalshi_daemon.cli import main
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import remember
from kalshi_daemon.errors import JournalCorrupt, JournalLost
from kalshi_daemon.facts import AccountCarried, AccountDiffers, AccountDoubted, AccountFact, FillSeen
from kalshi_daemon.limits import TOLD_AGAIN_MS
from kalshi_daemon.shell import journal as journal_module
from kalshi_daemon.shell import journal_rotation
from kalshi_daemon.shell.journal import Journal
from kalshi_daemon.shell.journal_reader import open_journal, read_journal
from kalshi_daemon.shell.journal_report import verify
from kalshi_daemon.shell.journals_kept import journals_since, kept, put_aside, read_journals
from kalshi_daemon.shell.snapshot_file import snapshots_of

WRITER = Path(__file__).with_name("rotation_writer.py")
SHORT = 90  # orders of a life that is just over the limit
ASIDE = "journal-until-20261019T152325.000Z.sqlite3"


@pytest.fixture(autouse=True)
def snapshots_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_EVENTS", 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "state" / "journal.sqlite3"
    make(where)
    return where


def folded(*paths: Path) -> Ledger:
    ledger = Ledger()
    for _seq, fact in read_journals(list(paths)):
        ledger.apply(fact)
    return ledger


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def test_a_journal_over_its_limit_is_put_aside_whole(path: Path) -> None:
    """Both are proven, the account is the same, nothing else is left, and the next start goes on in the new one."""
    before, rows = folded(path), list(read_journal(path))
    assert len(snapshots_of(path)) > 0
    start = Start(path)
    assert start.ledger.account_figures() == before.account_figures()
    assert start.rotation.note == f"{ASIDE} was put aside with 0.2 MB, and this one goes on from it"
    assert start.rotation.counts == {"put_aside": 1, "put_off": 0}
    start.write([*run(2, BEGUN_MS + 10**7), *order(1, "run0000002")])
    assert start.journal.lost() == ""
    start.stop()
    assert names(path) == {"journal.sqlite3", "journal.sqlite3.lock", ASIDE}
    aside = path.with_name(ASIDE)
    assert list(read_journal(aside)) == rows
    assert [verify(each).verdict for each in (path, aside)] == ["whole", "whole"]
    assert path.stat().st_size < LIMIT // 2
    assert {each.stat().st_mode & 0o777 for each in (path, aside)} == {0o600}
    again = Start(path)
    again.stop()
    assert (again.rotation.note, again.ledger.journal_before) == ("", ASIDE)
    assert remember(again.ledger) == remember(start.ledger)
    assert again.ledger.fills_booked == ORDERS + 1


@pytest.mark.parametrize("last", [AccountDoubted(BEGUN_MS, "the private session was lost"), *run(2, BEGUN_MS)[:1]])
def test_a_doubt_since_the_last_agreement_goes_on(tmp_path: Path, last: AccountFact) -> None:
    """As a stop leaves it, or a run that came no further: what was doubted is read by the next start in any case."""
    path = tmp_path / "state" / "journal.sqlite3"
    make(path, [*life(), last])
    before = folded(path)
    start = Start(path)
    start.stop()
    assert (start.rotation.counts["put_aside"], start.ledger.account_agreed) == (1, False)
    assert start.ledger.account_figures() == before.account_figures()
    assert (start.ledger.agreed_ms, start.ledger.opened_ms) == (before.agreed_ms, before.agreed_ms - TOLD_AGAIN_MS)


def test_what_is_under_the_limit_stays(path: Path) -> None:
    """Also to the byte."""
    size = path.stat().st_size
    start = Start(path, bytes_max=size)
    start.stop()
    assert (start.rotation.note, put_aside(path)) == ("", [])
    Start(path, bytes_max=size - 1).stop()
    assert len(put_aside(path)) == 1


def test_the_next_journal_has_snapshots_of_its_own(path: Path) -> None:
    """Those of the one before are gone, and what is counted for them begins anew."""
    start = Start(path)
    assert snapshots_of(path) == []
    start.write(run(2, BEGUN_MS + 10**7))
    for number in range(1, 31):
        start.write(order(number, "run0000002", BEGUN_MS + 10**7))
    start.stop()
    assert len(snapshots_of(path)) == 1
    assert verify(path).as_dict()["snapshots"] == {"proven": 1, "wrong": []}


def test_journals_of_several_years_are_one_account(path: Path) -> None:
    """Again and again: each begins with what the one before came to, so many are kept, and all lead to one account."""
    for number in range(2, 7):
        start = Start(path, kept_max=3)
        assert start.rotation.counts["put_aside"] == 1
        run_id, at_ms = f"run{number:07}", BEGUN_MS + number * 10**7
        rows = run(number, at_ms)
        for each in range(1, ORDERS + 1):
            rows += order(each, run_id, at_ms)
        start.write([*rows, agreed(at_ms + 20_000 * ORDERS)])
        start.stop()
    assert len(put_aside(path)) == 3
    copy = path.with_name(f"{put_aside(path)[-1].stem}-mine.sqlite3")
    copy.touch()
    Start(path, bytes_max=10**9, kept_max=3).stop()
    assert (copy.exists(), len(put_aside(path))) == (True, 3)
    chain = journals_since(path, 0)
    assert chain == [*reversed(put_aside(path)), path]
    across, alone = folded(*chain).account_figures(), folded(path).account_figures()
    across["counts"] = alone["counts"]  # where a day is opened again that is known
    assert across == alone
    assert folded(path).fills_booked == 6 * ORDERS
    assert len(snapshots_of(path)) == 1
    shown = kept(path)
    assert [each["journal"] for each in shown] == [each.name for each in put_aside(path)]
    assert {each["events"] for each in shown} == {len(list(read_journal(chain[0]))), len(list(read_journal(chain[1])))}


def test_the_chain_ends_where_the_one_before_is_another(path: Path) -> None:
    """A file of that name which ends otherwise is not read as part of it; a damaged one is named with its size."""
    Start(path).stop()
    aside = path.with_name(ASIDE)
    assert journals_since(path, 0) == [aside, path]
    (begun,) = [fact for _seq, fact in read_journal(path) if isinstance(fact, AccountCarried)]
    assert journals_since(path, begun.at_ms) == [path]
    connection = sqlite3.connect(aside)
    with connection:
        connection.execute("DELETE FROM events WHERE seq = ?", (begun.events,))
    connection.close()
    assert journals_since(path, 0) == [path]
    aside.write_bytes(b"SQLite format 3\x00" * 300)
    (shown,) = kept(path)
    assert (shown["bytes"], "detail" in shown) == (4_800, True)


def test_the_commands_read_what_was_put_aside(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stats` lists it with size and span, `verify` names the one before, and any of them reads it by its name."""
    Start(path).stop()
    monkeypatch.delenv("KALSHI_API_KEY_ID", raising=False)
    assert main(["journal", "stats", "--json", "--journal", str(path)]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["put_aside"]
    size = path.with_name(ASIDE).stat().st_size
    span = ("2026-10-19T14:00:00.000Z", "2026-10-19T15:23:25.000Z")
    assert (shown["journal"], shown["bytes"], shown["from"], shown["to"]) == (ASIDE, size, *span)
    assert main(["journal", "stats", "--journal", str(path)]) == 0
    assert f"put_aside        journal={ASIDE} bytes={size} events=1007" in capsys.readouterr().out
    assert main(["journal", "verify", "--journal", str(path)]) == 0
    assert f"goes_on_from     {ASIDE}" in capsys.readouterr().out
    assert main(["journal", "tail", "-n", "1", "--journal", str(path.with_name(ASIDE))]) == 0
    assert "AccountAgreed" in capsys.readouterr().out


def goes_on(path: Path, why: str, bytes_max: int = LIMIT) -> Start:
    """A start that says why, in the journal that was there, which takes more and is put aside by a later start."""
    before = folded(path)
    start = Start(path, bytes_max=bytes_max)
    assert why in start.rotation.note
    assert "are over KALSHI_JOURNAL_MAX_MB, and it is not put aside: " in start.rotation.note
    assert start.rotation.counts == {"put_aside": 0, "put_off": 1}
    assert put_aside(path) == []
    assert remember(start.ledger) == remember(before)
    start.rotation.look()
    start.rotation.look()
    ((name, text),) = start.alarms
    assert name == "journal_size"
    assert why in text
    start.write([*run(2, BEGUN_MS + 10**7), agreed(BEGUN_MS + 10**7 + 1)])
    start.stop()
    assert not path.with_name("journal.sqlite3-new").exists()
    return start


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([*life(), *order(ORDERS + 1)[:3]], f"order kd-{RUN}-{ORDERS + 1} on KXA is resting"),
        ([*life(), AccountDiffers(BEGUN_MS, ("cash",))], "the last comparison with the exchange found a difference"),
        (life()[:-1], "it has never agreed with the exchange"),
    ],
)
def test_an_account_that_is_not_at_rest_goes_on_where_it_is(tmp_path: Path, facts: list[AccountFact], why: str) -> None:
    """And says what is open."""
    path = tmp_path / "state" / "journal.sqlite3"
    make(path, facts)
    goes_on(path, why)


def test_a_limit_below_what_the_account_needs_is_said(path: Path) -> None:
    """Else every start would put one aside, and remove the oldest."""
    goes_on(path, "MB: raise the limit", bytes_max=20_000)


def test_a_journal_that_somebody_reads_is_not_put_aside(path: Path) -> None:
    """SQLite's files beside it go by its name, and the reader would take the next one's for its own."""
    with open_journal(path):
        goes_on(path, f"another program has {path} open")
    start = Start(path)
    start.stop()
    assert start.rotation.counts["put_aside"] == 1


def test_a_full_disk_keeps_the_journal_where_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is met: in the new file, and in the second name of the old."""
    real = Journal._create

    def cramped(journal: Journal) -> None:
        real(journal)
        journal._connection.execute("PRAGMA max_page_count = 2")

    monkeypatch.setattr(Journal, "_create", cramped)
    goes_on(path, "database or disk is full; free space on its disk")
    monkeypatch.setattr(Journal, "_create", real)

    def no_space(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    for refused in ("hardlink_to", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, refused, no_space)
            goes_on(path, "No space left on device; free space on its disk")
    start = Start(path)
    start.stop()
    assert (start.rotation.counts["put_aside"], len(put_aside(path))) == (1, 1)


def test_a_next_journal_that_is_another_account_is_not_begun(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever defect of ours makes it so: what differs is named."""
    real = Journal.make

    def lossy(where: Path, facts: list[AccountFact]) -> None:
        real(where, [each for each in facts if type(each).__name__ != "HoldPlaced"])

    monkeypatch.setattr(Journal, "make", lossy)
    goes_on(path, "the next journal would not be its account: its holds would be ()")


def test_a_damaged_journal_is_never_put_aside(path: Path) -> None:
    """Behind a snapshot too, where the start itself goes on: it is as it was, byte by byte."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET body = CAST(replace(body, 'k1', 'k2') AS BLOB) WHERE seq = 3")
    connection.close()
    start = Start(path)
    start.journal.close()
    assert "event 3 (AccountNamed) of the journal" in start.rotation.note
    assert put_aside(path) == []
    for each in snapshots_of(path):
        each.unlink()
    with pytest.raises(JournalCorrupt, match="event 3"):
        Start(path)
    assert put_aside(path) == []


def test_a_snapshot_of_another_account_keeps_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal's own word counts, and a person is told."""
    monkeypatch.setattr(journal_rotation, "remember", lambda ledger: repr(id(ledger)).encode())
    start = Start(path)
    start.journal.close()
    assert "its snapshot holds another account than its events lead to" in start.rotation.note


def test_a_journal_that_was_replaced_and_does_not_open_ends_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start finds it, whole."""
    flushed: list[Path] = []
    real = journal_module.flush

    def broken(where: Path) -> None:
        flushed.append(where)
        if flushed.count(path.parent) == 2:  # behind the rename
            raise OSError(5, "Input/output error")
        real(where)

    with monkeypatch.context() as patched:
        patched.setattr(journal_module, "flush", broken)
        with pytest.raises(JournalLost, match=r"was begun anew and cannot be opened: .*Input/output error"):
            Start(path)
    start = Start(path)
    start.stop()
    assert (start.ledger.journal_before, start.ledger.fills_booked) == (ASIDE, ORDERS)


def test_killed_before_each_call_to_the_system(tmp_path: Path) -> None:
    """A real process, at every step: the next start goes on in the one or the other, and leaves nothing over."""
    path = tmp_path / "short" / "journal.sqlite3"
    make(path, life(SHORT))
    expected = folded(path).account_figures()
    done = subprocess.run([sys.executable, str(WRITER), str(path.parent), str(tmp_path / "killed")], check=True)
    assert done.returncode == 0
    outcomes = []
    for state in sorted((tmp_path / "killed").iterdir()):
        where = state / path.name
        moved = isinstance(next(read_journal(where))[1], AccountCarried)
        start = Start(where)
        assert start.ledger.account_figures() == expected, state.name
        assert start.rotation.counts["put_aside"] == (not moved)
        start.write(order(1, "run0000002"))
        start.stop()
        (aside,) = put_aside(where)
        assert names(where) == {"journal.sqlite3", "journal.sqlite3.lock", aside.name}, state.name
        assert folded(aside, where).fills_booked == SHORT + 1
        assert not [fact for _seq, fact in read_journal(where) if isinstance(fact, FillSeen)][1:]
        outcomes.append(moved)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}
    assert len(outcomes) > 30
