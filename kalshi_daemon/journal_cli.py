"""`kalshi-daemon journal`: shows, follows, verifies, exports, folds and counts a journal, also beside a running daemon.

Rules: it only reads. Events are streamed: what is shown is not held in memory, but for the end that `tail` shows.
`verify` says its verdict on standard output, and the exit code is the verdict's; for the others a damaged journal is
an error, told after what was read before the damage.
"""

from __future__ import annotations

import argparse
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from kalshi_daemon.limits import JOURNAL_FOLLOW_S, JOURNAL_TAIL_MAX
from kalshi_daemon.standard_streams import say_lines

if TYPE_CHECKING:
    from kalshi_daemon.shell.journal_filter import Choice, Wanted
    from kalshi_daemon.shell.journal_reader import Entry, JournalReader

Action: TypeAlias = Callable[[argparse.Namespace], int]

SERVICE_STATE: Final = "/var/lib/kalshi-daemon"  # where the unit's StateDirectory puts it
DIGITS_MAX: Final = 18  # of an event's number: SQLite has no more
TAIL: Final = 10  # events that `tail` shows where it is not told


def add_journal(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    journal = commands.add_parser("journal", help="show, verify, export or fold the journal; nothing is written")
    actions = journal.add_subparsers(required=True, metavar="ACTION")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--journal", type=Path, metavar="FILE", help="default: journal.sqlite3 in KALSHI_STATE_DIR")
    where.add_argument("--json", action="store_true", help="as JSON: one object, or one a line")
    picked = _filters()

    def add(name: str, run: Action, meaning: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        action = actions.add_parser(name, parents=[where, *parents], help=meaning)
        action.set_defaults(run=run)
        return action

    add("show", _show, "the events, one a line", picked, _range())
    tail = add("tail", _tail, "the last events", picked)
    tail.add_argument("-n", type=_count, default=TAIL, metavar="COUNT", help=f"default: {TAIL}")
    tail.add_argument("-f", "--follow", action="store_true", help="and those that come, until Ctrl-C")
    add("verify", _verify, "prove every event and both files; the exit code is the verdict's")
    add("export", _export, "every event as JSON, one a line", picked, _range())
    add("replay", _replay, "fold it from empty, and print the account that it leads to")
    add("stats", _stats, "counts by kind and day, sizes and rates")


def _filters() -> argparse.ArgumentParser:
    picked = argparse.ArgumentParser(add_help=False)
    picked.add_argument("--kind", type=_kind, action="append", default=[], help="as in FillSeen; may be repeated")
    picked.add_argument("--market", default="", metavar="TICKER", help="what is about one market, its orders included")
    picked.add_argument("--order", default="", metavar="ID", help="one order, by the client's id or the exchange's")
    return picked


def _range() -> argparse.ArgumentParser:
    """By number and by time."""
    ranged = argparse.ArgumentParser(add_help=False)
    ranged.add_argument("--from", type=_count, default=1, dest="first", metavar="NUMBER", help="the first event")
    ranged.add_argument("--to", type=_count, dest="last", metavar="NUMBER", help="the last event")
    ranged.add_argument(
        "--since", type=_moment, metavar="TIME", help="ISO; without a zone US Eastern, a date is its beginning"
    )
    ranged.add_argument("--until", type=_end, metavar="TIME", help="ISO; without a zone US Eastern, a date is its end")
    return ranged


# -------------------------------------------------------------------------------------------------------- the arguments


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX and int(text)):
        raise argparse.ArgumentTypeError(
            f"{text[:DIGITS_MAX]} is not a whole number from 1 of {DIGITS_MAX} digits at most"
        )
    return int(text)


def _kind(text: str) -> str:
    from kalshi_daemon.shell.journal_schema import KINDS

    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"{text} is not one of {', '.join(sorted(KINDS))}")
    return text


def _moment(text: str) -> int:
    """Milliseconds; a time without a zone is US Eastern, as the exchange's days are."""
    from kalshi_daemon.shell.clock import EASTERN

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time as 2026-11-22 or 2026-11-22T15:00:00Z") from None
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=EASTERN)
    return round(zoned.timestamp() * 1_000)


def _end(text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _moment(text)
    return _moment((day + timedelta(days=1)).isoformat()) - 1


def journal_path(chosen: argparse.Namespace) -> Path:
    """Of the journal asked for, of this environment's daemon, or of the service."""
    from kalshi_daemon.config_defaults import state_directory
    from kalshi_daemon.run import JOURNAL

    if chosen.journal is not None:
        return Path(chosen.journal)
    if os.environ.get("KALSHI_STATE_DIR"):
        return Path(os.environ["KALSHI_STATE_DIR"]) / JOURNAL
    paths = [Path(directory) / JOURNAL for directory in (state_directory(os.environ), SERVICE_STATE) if directory]
    return next((path for path in paths if os.access(path, os.F_OK)), paths[0])


def _wanted(chosen: argparse.Namespace) -> Wanted:
    from kalshi_daemon.shell.journal_filter import Wanted

    return Wanted(
        first=getattr(chosen, "first", 1),
        last=getattr(chosen, "last", None),
        since_ms=getattr(chosen, "since", None),
        until_ms=getattr(chosen, "until", None),
        kinds=frozenset(chosen.kind),
        market=chosen.market,
        order=chosen.order,
    )


# ---------------------------------------------------------------------------------------------------------- the actions


def _lines(entries: Iterable[Entry], *, as_json: bool) -> Iterator[str]:
    from kalshi_daemon.shell.journal_text import json_line, text_line

    return map(json_line if as_json else text_line, entries)


def _show(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.shell.journal_filter import Choice
    from kalshi_daemon.shell.journal_reader import open_journal

    with open_journal(journal_path(chosen)) as journal:
        return say_lines(_lines(Choice(_wanted(chosen)).entries(journal), as_json=chosen.json))


def _export(chosen: argparse.Namespace) -> int:
    chosen.json = True
    return _show(chosen)


def _tail(chosen: argparse.Namespace) -> int:
    from attrs import evolve

    from kalshi_daemon.shell.journal_filter import Choice
    from kalshi_daemon.shell.journal_reader import open_journal

    with open_journal(journal_path(chosen)) as journal:
        last, wanted = journal.last_seq, _wanted(chosen)
        everything = not (wanted.kinds or wanted.market or wanted.order)
        choice = Choice(evolve(wanted, first=max(1, last - chosen.n + 1) if everything else 1, last=last))
        say_lines(_lines(deque(choice.entries(journal), maxlen=min(chosen.n, JOURNAL_TAIL_MAX)), as_json=chosen.json))
        return say_lines(_lines(_following(journal, choice, last + 1), as_json=chosen.json)) if chosen.follow else 0


def _following(journal: JournalReader, choice: Choice, first: int) -> Iterator[Entry]:
    """What comes, without end."""
    import trio

    while True:
        for entry in journal.entries(first):
            first = entry.seq + 1
            if choice.takes(entry):
                yield entry
        trio.run(trio.sleep, JOURNAL_FOLLOW_S)


def _verify(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.hosts import Environment
    from kalshi_daemon.shell.journal_report import verify

    environment = os.environ.get("KALSHI_ENVIRONMENT", Environment.DEMO)
    verified = verify(journal_path(chosen), environment, os.environ.get("KALSHI_API_KEY_ID", ""))
    say_lines(_report(verified.as_dict(), as_json=chosen.json))
    return verified.exit_code


def _replay(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.shell.clock import SystemClock
    from kalshi_daemon.shell.journal_reader import open_journal
    from kalshi_daemon.shell.journal_report import Replayed

    replayed, path = Replayed(), journal_path(chosen)
    clock = SystemClock()
    began_ms = clock.now_ms()
    with open_journal(path) as journal:
        replayed.fold(journal)
    return say_lines(_report(replayed.as_dict(path, clock.now_ms() - began_ms), as_json=chosen.json))


def _stats(chosen: argparse.Namespace) -> int:
    from kalshi_daemon.shell.journal_reader import open_journal
    from kalshi_daemon.shell.journal_report import stats
    from kalshi_daemon.shell.journals_kept import kept

    path = journal_path(chosen)
    with open_journal(path) as journal:
        return say_lines(_report({**stats(journal).as_dict(path), "put_aside": kept(path)}, as_json=chosen.json))


def _report(values: Mapping[str, object], *, as_json: bool) -> Iterator[str]:
    """One JSON object, or a line for each figure."""
    import msgspec

    from kalshi_daemon.shell.journal_text import outline

    if as_json:
        yield msgspec.json.encode(values).decode()
    else:
        yield from outline(values)
