"""A start from a snapshot is a start from the first event, and costs less; what is wrong with one costs only that."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import remember
from kalshi_daemon.errors import EXIT_REFUSED, EXIT_STOPPED, JournalCorrupt
from kalshi_daemon.facts import (
    AccountFact,
    AccountOpened,
    Alarmed,
    FillSeen,
    OrderAcknowledged,
    OrderIntended,
    OrderSent,
    OrderSpec,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.shell import snapshot_file
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_report import verify
from kalshi_daemon.shell.snapshot_file import Snapshot, read_snapshot, snapshots_of, write_snapshot
from kalshi_daemon.shell.snapshots import Snapshots
from kalshi_daemon.units import CONTRACT, BookSide, TimeInForce

EVERY = 40  # events
ORDERS = 30
LAST = 3 + 4 * ORDERS  # events of a journal here
RUN = "run0000001"
WRITER = Path(__file__).with_name("snapshot_writer.py")


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(limits, "SNAPSHOT_EVENTS", EVERY)
    monkeypatch.setattr(limits, "PROOF_PIECE", 7)


def told() -> list[AccountFact]:
    """An account with orders that were filled."""
    facts: list[AccountFact] = [RunStarted(1, RUN, "0.1.0"), AccountOpened(2, ((0, 1_000_000_000),), ())]
    facts.append(StateChanged(3, "trader", "calibrating", "trading.normal", "calibrated"))
    spec = OrderSpec("KXA", BookSide.BID, 4_000, CONTRACT, TimeInForce.GOOD_TILL_CANCELED, False, False, None, 0)
    for number in range(1, ORDERS + 1):
        ours, theirs, at_ms = f"kd-{RUN}-{number}", f"order{number}", 10 * number
        facts += [
            OrderIntended(at_ms, number, ours, spec, 500_000, "policy", number, "0" * 64, ""),
            OrderSent(at_ms + 1, ours),
            OrderAcknowledged(at_ms + 2, ours, theirs, 0, CONTRACT, at_ms + 2),
            FillSeen(at_ms, "stream", f"t{number}", theirs, ours, "KXA", spec.side, 4_000, 60, 7, False, at_ms + 3, 0),
        ]
    return facts


class Life:
    """One process on a journal: it was begun, and takes more facts."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger()
        self.alarms: list[tuple[str, str]] = []
        self.snapshots = Snapshots(self.ledger, path, in_place, lambda name, text: self.alarms.append((name, text)))
        self.journal = Journal.open(path, in_place)
        try:
            self.beginning = self.snapshots.restore(self.journal)
            self.read = 0
            for _seq, fact in self.journal.verify_and_read(self.beginning.seq, self.beginning.chain):
                self.ledger.apply(fact)
                self.read += 1
        except BaseException:
            self.journal.close()
            raise

    async def write(self, facts: list[AccountFact], batch: int = 3) -> None:
        for start in range(0, len(facts), batch):
            for fact in facts[start : start + batch]:
                self.ledger.apply(fact)
            self.journal.write(facts[start : start + batch])
            self.snapshots.look(self.journal)
            await self.snapshots._write()

    async def stop(self) -> None:
        await self.snapshots.seal(self.journal)
        self.journal.close()


@pytest.fixture
async def path(tmp_path):
    """A journal with its snapshots."""
    path = tmp_path / "state" / "journal.sqlite3"
    life = Life(path)
    await life.write(told())
    await life.stop()
    return path


def whole(path: Path) -> Ledger:
    ledger, journal = Ledger(), Journal.open(path, in_place)
    for _seq, fact in journal.verify_and_read():
        ledger.apply(fact)
    journal.close()
    return ledger


def again(path: Path) -> Life:
    """A start, whose ledger is the one that the whole journal leads to."""
    expected = remember(whole(path))
    life = Life(path)
    life.journal.close()
    assert remember(life.ledger) == expected
    return life


async def test_a_start_reads_the_newest_and_what_follows_it(path):
    """Every so many events and at the stop there is one; as many are kept as are of use."""
    assert [read_snapshot(each).seq for each in snapshots_of(path)] == [LAST, 84, 42]
    life = again(path)
    assert (life.beginning.seq, life.read, life.beginning.note) == (LAST, 0, "")
    assert verify(path).as_dict()["snapshots"] == {"proven": 3, "wrong": []}
    life = Life(path)
    await life.write([Alarmed(1, "one", "more")])
    life.journal.close()
    assert (again(path).beginning.seq, again(path).read) == (LAST, 1)


@pytest.mark.parametrize("seed", range(4))
async def test_wherever_it_was_cut_the_account_is_the_same(tmp_path, seed):
    """Processes that end without a stop, at any event, and batches of any size."""
    rng, path = random.Random(seed), tmp_path / "state" / "journal.sqlite3"
    facts = told()
    while facts:
        life = Life(path)
        count = rng.randrange(1, 60)
        await life.write(facts[:count], rng.randrange(1, 9))
        facts = facts[count:]
        if rng.random() < 0.3:
            await life.stop()
        life.journal.close()
        assert again(path).read < EVERY + 9 + count
    assert verify(path).as_dict()["snapshots"]["wrong"] == []


async def test_a_short_journal_has_none_and_is_read_whole(tmp_path):
    path = tmp_path / "state" / "journal.sqlite3"
    life = Life(path)
    await life.write(told()[: EVERY - 1])
    await life.stop()
    assert snapshots_of(path) == []
    assert again(path).read == EVERY - 1


@pytest.mark.parametrize("seed", range(6))
async def test_a_flipped_bit_costs_the_one_before(path, seed):
    """Anywhere in the file; the same where its end is missing. Of three wrong ones nothing is left but the journal."""
    rng = random.Random(seed)
    seqs = [84, 42, 0]
    for each, expected in zip(snapshots_of(path), seqs, strict=True):
        data = bytearray(each.read_bytes())
        place = rng.randrange(len(data))
        if rng.random() < 0.3:
            del data[place:]
        else:
            data[place] ^= 1 << rng.randrange(8)
        each.write_bytes(data)
        life = again(path)
        assert (life.beginning.seq, life.read) == (expected, LAST - expected)
        assert f"{each.name} is not used: " in life.beginning.note
        verified = verify(path)
        assert (verified.verdict, verified.exit_code) == ("violated", EXIT_REFUSED)
        assert each.name in verified.detail


async def test_one_of_another_journal_or_another_version_is_not_used(path, monkeypatch):
    """Whole as it is, its event has another checksum here, or the fold that made it was another."""
    newest, second, _ = snapshots_of(path)
    kept = read_snapshot(newest)
    write_snapshot(path, evolve(kept, chain=kept.chain ^ 1))
    assert "it is not of this journal" in again(path).beginning.note
    assert verify(path).verdict == "violated"
    write_snapshot(path, evolve(kept, seq=500))
    assert "it is not of this journal" in again(path).beginning.note
    assert "the journal ends before it" in verify(path).detail
    write_snapshot(path, evolve(kept, code=bytes(32)))
    assert [each.name for each in snapshots_of(path)] == [newest.name, second.name]  # 500 is gone
    assert (again(path).beginning.seq, verify(path).verdict) == (84, "whole")
    write_snapshot(path, evolve(kept, memory=kept.memory[:-1]))
    assert "it does not fit" in again(path).beginning.note
    other = Ledger()
    other.apply(told()[0])
    write_snapshot(path, evolve(kept, memory=remember(other)))
    assert "it holds another account than its events lead to" in verify(path).detail
    write_snapshot(path, kept)
    assert (again(path).beginning.seq, verify(path).exit_code) == (LAST, EXIT_STOPPED)


async def test_what_was_not_read_at_the_start_is_proven_afterwards(autojump_clock, path):
    """All of it, without an alarm; and of a journal that was read whole nothing is left to prove."""
    life = Life(path)
    await life.snapshots.prove()
    life.journal.close()
    assert (life.snapshots.counts["proven"], life.alarms) == (LAST, [])
    for each in snapshots_of(path):
        each.unlink()
    life = Life(path)
    await life.snapshots.prove()
    life.journal.close()
    assert life.snapshots.counts["proven"] == 0


async def test_damage_before_the_snapshot_is_an_alarm_and_refused_by_the_next_start(autojump_clock, path):
    """The event is named both times, and no snapshot is made of such a journal any more."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 20")
    connection.close()
    life = Life(path)
    assert life.read == 0
    await life.snapshots.prove()
    ((name, text),) = life.alarms
    assert name == "journal_damaged"
    assert "event 20 " in text
    await life.write([Alarmed(1, "more", "") for _ in range(2 * EVERY)])
    await life.stop()
    assert snapshots_of(path) == []
    with pytest.raises(JournalCorrupt, match="event 20 "):
        Life(path)


async def test_damage_behind_the_snapshot_is_refused_at_once(path):
    newest = snapshots_of(path)[0]
    newest.unlink()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 100")
    connection.close()
    with pytest.raises(JournalCorrupt, match="event 100 "):
        Life(path)


async def test_one_that_cannot_be_written_is_counted_and_nothing_else(path):
    life = Life(path)
    temporary = path.with_name(f"{path.name}-snapshot-tmp")
    temporary.mkdir()
    await life.write([Alarmed(1, "more", "") for _ in range(EVERY)])
    assert (life.snapshots.counts["failed"], life.snapshots.counts["written"]) == (1, 0)
    await life.stop()
    temporary.rmdir()
    assert again(path).beginning.seq == LAST


def test_a_process_that_is_killed_while_it_writes_one_leaves_the_others(tmp_path):
    """Before each of its calls to the system: there is the new one, whole, or there are those that were there."""
    path = tmp_path / "journal.sqlite3"
    for seq in (10, 20, 30):
        write_snapshot(path, Snapshot(seq, seq, b"c" * 32, b"m" * 100_000))
    calls, ended = 0, None
    while ended != 0:
        command = [sys.executable, str(WRITER), str(path), "40", str(calls)]
        ended = subprocess.run(command, check=False).returncode
        assert ended in {0, -signal.SIGKILL}
        found = [read_snapshot(each).seq for each in snapshots_of(path)]
        assert found in ([30, 20, 10], [40, 30, 20, 10], [40, 30, 20])
        calls += 1
    assert found == [40, 30, 20]
    assert calls > 6
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(each.name for each in snapshots_of(path))


def test_the_code_that_folds_is_part_of_it(tmp_path, monkeypatch):
    """Another version, or another line in what folds, has another digest."""
    ours = snapshot_file.code()
    monkeypatch.setattr(snapshot_file, "__version__", "0.0.0")
    assert snapshot_file.code.__wrapped__() != ours
    monkeypatch.undo()
    assert snapshot_file.code.__wrapped__() == ours
    monkeypatch.setattr(snapshot_file, "FOLDED_BY", snapshot_file.FOLDED_BY[1:])
    assert snapshot_file.code.__wrapped__() != ours
