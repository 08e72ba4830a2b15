"""journal_cli.py and statement_cli.py: what is typed, what is printed where, and the exit codes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kalshi_daemon.cli import main
from kalshi_daemon.errors import EXIT_ABSENT, EXIT_CONFIGURATION, EXIT_FAILED, EXIT_REFUSED
from kalshi_daemon.facts import (
    AccountFact,
    AccountOpened,
    FillSeen,
    OrderAcknowledged,
    OrderIntended,
    OrderSpec,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.units import DOLLAR, BookSide, TimeInForce

ROOT = Path(__file__).parent.parent
DAY_MS = 86_400_000
AT_MS = 1_792_418_400_000  # 2026-10-19, 10:00 US Eastern
SPEC = OrderSpec("M-1", BookSide.BID, 5_600, 200, TimeInForce.GOOD_TILL_CANCELED, True, False, None, 0)
FACTS: list[AccountFact] = [
    RunStarted(AT_MS, "run1", "0.1.0"),
    AccountOpened(AT_MS + 1, ((0, 100 * DOLLAR),), ()),
    OrderIntended(AT_MS + 2, 1, "kd-run1-1", SPEC, 1_120_000, "policy", 1, "", ""),
    StateChanged(AT_MS + 3, "trader", "", "calibrating", "feeds_ready"),
    OrderAcknowledged(AT_MS + DAY_MS, "kd-run1-1", "o-1", 0, 200, AT_MS + DAY_MS),
    FillSeen(AT_MS + DAY_MS, "read", "t-1", "o-1", "", "M-1", BookSide.BID, 5_600, 200, 700, True, AT_MS + DAY_MS, 0),
]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The journal of this environment's daemon."""
    for name in list(os.environ):
        if name.startswith(("KALSHI_", "XDG_", "STATE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KALSHI_STATE_DIR", str(tmp_path / "state"))
    journal = Journal.open(tmp_path / "state" / "journal.sqlite3", in_place)
    journal.write(FACTS)
    journal.close()
    return tmp_path / "state" / "journal.sqlite3"


def numbers(shown: str) -> list[int]:
    return [int(line.split()[0]) for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--from", "3", "--to", "5"], [3, 4, 5]),
        (["--kind", "FillSeen", "--kind", "RunStarted"], [1, 6]),
        (["--market", "M-1"], [3, 5, 6]),
        (["--order", "o-1"], [3, 5, 6]),
        (["--order", "kd-run1-1", "--from", "4"], [5, 6]),
        (["--order", "kd-nobody-1"], []),
        (["--since", "2026-10-20"], [5, 6]),
        (["--until", "2026-10-19"], [1, 2, 3, 4]),
        (["--since", "2026-10-19T14:00:00.001Z", "--until", "2026-10-19T10:00:00.002-04:00"], [2, 3]),
        (["--until", "2026-10-19T10:00:00"], [1]),
    ],
)
def test_show_chooses(arguments: list[str], events: list[int], capsys: Captured) -> None:
    """By number, kind, market, order and time; a time without a zone, and a day, are US Eastern."""
    assert main(["journal", "show", *arguments]) == 0
    shown = capsys.readouterr()
    assert (numbers(shown.out), shown.err) == (events, "")


@pytest.mark.parametrize(
    "arguments", [["--kind", "Fill"], ["--from", "0"], ["--to", "x"], ["--since", "soon"], ["--until", "2026-13-01"]]
)
def test_what_does_not_read_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["journal", "show", *arguments])
    assert ended.value.code == 2


def test_tail_shows_the_end(capsys: Captured) -> None:
    """The last events; the last of those that are asked for."""
    assert main(["journal", "tail", "-n", "2"]) == 0
    assert numbers(capsys.readouterr().out) == [5, 6]
    assert main(["journal", "tail", "-n", "2", "--order", "o-1"]) == 0
    assert numbers(capsys.readouterr().out) == [5, 6]
    assert main(["journal", "tail", "-n", "1", "--kind", "AccountOpened"]) == 0
    assert numbers(capsys.readouterr().out) == [2]


def test_tail_follows_what_is_written(path: Path) -> None:
    """Beside a writer: what it commits appears, what is not asked for does not, until the reader goes."""
    command = [sys.executable, "-m", "kalshi_daemon", "journal", "tail", "-n", "1", "--follow", "--market", "M-1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline().split()[0] == "6"
        journal = Journal.open(path, in_place)
        assert len(list(journal.verify_and_read())) == len(FACTS)
        journal.write([FACTS[3], FACTS[4]])
        assert follower.stdout.readline().split()[0] == "8"
        follower.stdout.close()  # it meets the closed pipe with the next event
        journal.write([FACTS[4]])
        assert follower.wait(60) == 0
        journal.close()


def test_export_is_one_object_a_line(capsys: Captured) -> None:
    """Every field of every event, numbered and with its checksum."""
    assert main(["journal", "export"]) == 0
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["kind"] for line in lines] == [type(fact).__name__ for fact in FACTS]
    assert lines[2]["fact"]["spec"]["price"] == "0.5600"
    assert lines[5]["fact"]["fee"] == "0.000700"


def test_replay_prints_the_account(capsys: Captured) -> None:
    assert main(["journal", "replay", "--json"]) == 0
    read = msgspec.json.decode(capsys.readouterr().out)
    assert read["events"] == 6
    assert read["account"]["settled"] == "98.879300"
    assert read["account"]["positions"] == [{"market": "M-1", "count": "2.00", "cost": "1.120000"}]
    assert main(["journal", "replay"]) == 0
    shown = capsys.readouterr().out
    assert "  settled          98.879300\n" in shown
    assert "  positions        market=M-1 count=2.00 cost=1.120000\n" in shown


def test_stats_count(capsys: Captured) -> None:
    assert main(["journal", "stats", "--json"]) == 0
    read = msgspec.json.decode(capsys.readouterr().out)
    assert (read["events"], read["runs"], read["kinds"]["FillSeen"]["events"]) == (6, 1, 1)
    assert read["days"] == {
        "2026-10-19": {"events": 4, "orders": 1, "fills": 0},
        "2026-10-20": {"events": 2, "orders": 0, "fills": 1},
    }
    assert main(["journal", "stats"]) == 0
    assert "  2026-10-20       events=2 orders=0 fills=1\n" in capsys.readouterr().out


def test_verify_ends_with_its_verdict(path: Path, capsys: Captured) -> None:
    """Whole: 0. Damaged: said on standard output with the event, and 77; the file stays as it is."""
    assert main(["journal", "verify"]) == 0
    assert "verdict          whole\n" in capsys.readouterr().out
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE events SET at_ms = 5 WHERE seq = 4")
    connection.close()
    before = path.read_bytes()
    assert main(["journal", "verify", "--json"]) == EXIT_FAILED
    shown = capsys.readouterr()
    read = msgspec.json.decode(shown.out)
    assert (read["verdict"], read["exit_code"], read["events"], shown.err) == ("damaged", EXIT_FAILED, 3, "")
    assert "event 4 (StateChanged)" in read["detail"]
    assert path.read_bytes() == before


def test_the_others_end_where_the_damage_is(path: Path, capsys: Captured) -> None:
    """What was read is shown; then one line on standard error."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM events WHERE seq = 4")
    connection.close()
    for action in ("show", "export", "tail", "replay", "stats"):
        assert main(["journal", action]) == EXIT_FAILED
        shown = capsys.readouterr()
        assert shown.err.count("\n") == 1
        assert "event 4 of the journal" in shown.err
        assert shown.out.count("\n") == (3 if action in {"show", "export"} else 0)


def test_where_there_is_none_it_says_so(tmp_path: Path, capsys: Captured) -> None:
    for action in ("show", "tail", "verify", "export", "replay", "stats"):
        assert main(["journal", action, "--journal", str(tmp_path / "none")]) == EXIT_ABSENT
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert "there is no journal at" in shown.err


def test_a_statement_of_no_day_of_the_journal_is_refused(capsys: Captured) -> None:
    """Before it began: one line, and 1. What is no day: 2."""
    assert main(["statement", "--day", "2026-10-18"]) == EXIT_REFUSED
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "there is nothing to state of 2026-10-18: the journal" in shown.err
    with pytest.raises(SystemExit) as ended:
        main(["statement", "--day", "yesterday"])
    assert ended.value.code == 2


def test_a_statement_without_a_configuration_is_the_journal_s_half(capsys: Captured) -> None:
    """The figures of the day, why there is no other half, and the exit code of a configuration."""
    assert main(["statement", "--day", "2026-10-20", "--json"]) == EXIT_CONFIGURATION
    read = msgspec.json.decode(capsys.readouterr().out)
    assert (read["verdict"], read["over"], read["exchange"]) == ("unread", True, None)
    assert "KALSHI_API_KEY_ID is not set" in read["detail"]
    ours = read["journal"]
    assert (ours["opening"], ours["bought"], ours["fees"], ours["closing"]) == (
        "100.000000",
        "-1.120000",
        "-0.000700",
        "98.879300",
    )
    assert [each["trade_id"] for each in ours["fills"]] == ["t-1"]
    assert ours["positions"] == {"M-1": "2.00"}
