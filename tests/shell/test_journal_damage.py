"""The journal's files torn, cut and with flipped bits at seeded places: found, named, nothing wrong read, nothing
written.

Two files are harmed: one that was closed well, and one whose process was killed, with most of it in its log.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from kalshi_daemon.errors import JournalCorrupt, OperatingError
from kalshi_daemon.facts import AccountAgreed, AccountFact, Alarmed, OrderSent, RunStarted
from kalshi_daemon.shell.journal import Journal, in_place

SEEDS = range(8)
HARMS = 30  # of each seed, file and kind
NAME = "journal.sqlite3"
LOG = NAME + "-wal"


def facts(count: int) -> list[AccountFact]:
    """Short ones and long ones: some fill a page and more."""
    made: list[AccountFact] = [RunStarted(1, "run1", "0.1.0")]
    for number in range(2, count + 1):
        fact: AccountFact = OrderSent(number, f"kd-run1-{number}")
        if number % 7 == 0:
            fact = AccountAgreed(number, number, ((0, number), (3, -number)), 2, 1)
        if number % 31 == 0:
            fact = Alarmed(number, "long", "x" * random.Random(number).randrange(6_000))
        made.append(fact)
    return made


@frozen
class Kept:
    """A directory with a journal to be copied and harmed, and how many of its facts each commit ends with."""

    folder: Path
    facts: list[AccountFact]
    commits: list[int]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Closed well: everything is in the database."""
    folder = tmp_path_factory.mktemp("closed")
    journal = Journal.open(folder / NAME, in_place)
    journal.write(facts(300))
    journal.close()
    assert not (folder / LOG).exists()
    return Kept(folder, facts(300), [300])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """As a kill leaves it: 100 facts in the database, and the log with the others, a few in each commit."""
    folder, copy = tmp_path_factory.mktemp("living"), tmp_path_factory.mktemp("killed")
    journal, made, commits = Journal.open(folder / NAME, in_place), facts(220), [100]
    journal.write(made[:100])
    journal.close()
    journal = Journal.open(folder / NAME, in_place)
    assert sum(1 for _ in journal.verify_and_read()) == 100
    while commits[-1] < len(made):
        journal.write(made[commits[-1] : commits[-1] + 3])
        commits.append(min(len(made), commits[-1] + 3))
    for name in (NAME, LOG):
        shutil.copy(folder / name, copy / name)
    journal.close()
    return Kept(copy, made, commits)


def harmed(kept: Kept, folder: Path, name: str, harm: Callable[[bytearray], None]) -> Path:
    """A copy in which one file is not as it was."""
    folder.mkdir()
    for path in kept.folder.iterdir():
        if path.name in {NAME, LOG}:
            shutil.copy(path, folder / path.name)
    content = bytearray((folder / name).read_bytes())
    harm(content)
    (folder / name).write_bytes(bytes(content))
    return folder / NAME


def content(path: Path) -> list[bytes]:
    """Of the files; a log that is empty says what one that is not there says."""
    return [each.read_bytes() for each in (path, path.with_name(LOG)) if each.exists() and each.stat().st_size]


def read(path: Path) -> tuple[list[AccountFact], str]:
    """The facts that a start would fold, and what it says: an error, or the note of a torn tail.

    Where it refuses, no file has changed; where it does not, the journal takes another fact.
    """
    before = content(path)
    seen: list[AccountFact] = []
    try:
        journal = Journal.open(path, in_place)
    except OperatingError as error:
        assert content(path) == before
        return seen, str(error)
    try:
        seen.extend(fact for _, fact in journal.verify_and_read())
        assert journal.write([Alarmed(1, "more", "")]) == len(seen) + 1
        said = journal.note
    except JournalCorrupt as error:
        said = str(error)
    journal.close()
    if said and not said.endswith("cut off"):
        assert content(path) == before
    return seen, said


def flip(rng: random.Random) -> Callable[[bytearray], None]:
    def apply(content: bytearray) -> None:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)

    return apply


def zero_sector(rng: random.Random) -> Callable[[bytearray], None]:
    """A torn write: a piece of the disk's own size never came."""

    def apply(content: bytearray) -> None:
        start = rng.randrange(0, len(content), 512)
        content[start : start + 512] = bytes(len(content[start : start + 512]))

    return apply


def cut(rng: random.Random) -> Callable[[bytearray], None]:
    def apply(content: bytearray) -> None:
        del content[rng.randrange(1, len(content)) :]

    return apply


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flipped_bit_in_the_database_is_found_or_changes_nothing(closed: Kept, tmp_path: Path, seed: int) -> None:
    """Whatever bit it is, the facts are all there as they were written, or the start is refused and names the file."""
    rng = random.Random(seed)
    for number in range(HARMS):
        path = harmed(closed, tmp_path / str(number), NAME, flip(rng))
        seen, said = read(path)
        assert seen == closed.facts[: len(seen)]
        assert (len(seen) == len(closed.facts) and said == "") or str(path) in said, said


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [NAME, LOG])
def test_a_flipped_bit_after_a_kill_is_found_or_changes_nothing(
    killed: Kept, tmp_path: Path, seed: int, name: str
) -> None:
    """The same with a log. In its last commit alone damage and a torn tail look alike: it is cut off, and said."""
    rng = random.Random(seed)
    for number in range(HARMS):
        path = harmed(killed, tmp_path / str(number), name, flip(rng))
        seen, said = read(path)
        assert seen == killed.facts[: len(seen)]
        if said.endswith("cut off"):
            assert len(seen) == killed.commits[-2]
        else:
            assert (len(seen) == len(killed.facts) and said == "") or str(path) in said, said


@pytest.mark.parametrize("harm", [zero_sector, cut])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_torn_or_cut_database_is_found(
    closed: Kept, killed: Kept, tmp_path: Path, seed: int, harm: Callable[..., Callable[[bytearray], None]]
) -> None:
    """A sector of zeros, or an end that is missing: refused, or what is gone was in the log too and nothing is lost."""
    rng = random.Random(seed)
    for number in range(HARMS // 4):
        for kept in (closed, killed):
            path = harmed(kept, tmp_path / f"{kept.folder.name}{number}", NAME, harm(rng))
            seen, said = read(path)
            assert seen == kept.facts[: len(seen)]
            assert (len(seen) == len(kept.facts) and said == "") or str(path) in said, said


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_that_is_cut_ends_with_a_whole_commit(killed: Kept, tmp_path: Path, seed: int) -> None:
    """What was cut off is gone unseen, but never half of a commit, and nothing is made of what is left of it."""
    rng = random.Random(seed)
    for number in range(HARMS // 4):
        seen, said = read(harmed(killed, tmp_path / str(number), LOG, cut(rng)))
        assert seen == killed.facts[: len(seen)]
        assert len(seen) in killed.commits
        assert said == "" or said.endswith("cut off")


@pytest.mark.parametrize("content", [b"not SQLite", b"x" * 8_192, b"SQLite format 3\x00"])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    assert read(path)[1].startswith(f"{path} is not a journal of this daemon, or its header is damaged")


def test_a_torn_tail_is_cut_once_and_a_second_crash_finds_a_log_of_its_own(killed: Kept, tmp_path: Path) -> None:
    """After the cut the log begins anew, so that what the torn commit left behind is never taken for damage."""

    def tear(content: bytearray) -> None:
        content[-100] ^= 1

    path = harmed(killed, tmp_path / "torn", LOG, tear)
    journal = Journal.open(path, in_place)
    assert journal.note.endswith("cut off")
    whole = [fact for _, fact in journal.verify_and_read()]
    assert whole == killed.facts[: killed.commits[-2]]
    journal.write(killed.facts[len(whole) :])
    crashed = harmed(Kept(path.parent, [], []), tmp_path / "again", LOG, lambda _content: None)
    journal.close()
    assert read(crashed) == (killed.facts, "")
