"""The journals of one account, one after another: the one that is written, and those put aside before it.

    journal.sqlite3                                     the one that is written
    journal-until-20261122T101512.345Z.sqlite3          one that was put aside, by the time of its last event

The first event of each but the first is AccountCarried, which names the file before it, how many events that has, and
the checksum of its last: so they are a chain, as the events of each are.

Rules: which file comes before another is what its first event says, and not what its name does; one that is not there,
or ends otherwise, ends the chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kalshi_daemon.errors import OperatingError
from kalshi_daemon.facts import AccountCarried, AccountFact
from kalshi_daemon.shell.journal import file_bytes
from kalshi_daemon.shell.journal_reader import JournalReader, open_journal
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.units import Milliseconds


def aside_of(journal: Path, until_ms: Milliseconds) -> Path:
    """What a journal whose last event is of then is called when it is put aside."""
    until = iso_time(until_ms).replace("-", "").replace(":", "")
    return journal.with_name(f"{journal.stem}-until-{until}{journal.suffix}")


def put_aside(journal: Path) -> list[Path]:
    """Newest first. A file of another name, such as a person's copy, is none."""
    name = re.compile(
        rf"{re.escape(journal.stem)}-until-\d{{8}}T\d{{6}}\.\d{{3}}Z{re.escape(journal.suffix)}", re.ASCII
    )
    return sorted((each for each in journal.parent.iterdir() if name.fullmatch(each.name)), reverse=True)


def journals_since(path: Path, since_ms: Milliseconds) -> list[Path]:
    """The journal and those before it, as far as they are needed from then on and are there; oldest first.

    Raises what reading raises.
    """
    found = [path]
    while True:
        with open_journal(found[0]) as journal:
            begun = _begun(journal)
        if begun is None or begun.at_ms <= since_ms:
            return found
        before = path.with_name(begun.journal)
        if not before.exists() or not _ends(before, begun):
            return found
        found.insert(0, before)


def read_journals(paths: list[Path]) -> Iterator[tuple[int, AccountFact]]:
    """Every fact of these in order, each proven. Raises what reading raises."""
    for path in paths:
        with open_journal(path) as journal:
            for entry in journal.entries():
                yield entry.seq, entry.fact


def kept(path: Path) -> list[dict[str, object]]:
    """Those put aside beside a journal, newest first, with their sizes and spans."""
    return [_span(each) for each in put_aside(path)]


def _span(path: Path) -> dict[str, object]:
    span: dict[str, object] = {"journal": path.name, "bytes": file_bytes(path)}
    try:
        with open_journal(path) as journal:
            last = journal.last_seq
            first_ms, last_ms = (next(journal.entries(seq, seq)).fact.at_ms for seq in (1, last))
    except OperatingError as error:
        return {**span, "detail": str(error)}
    return {**span, "events": last, "from": iso_time(first_ms), "to": iso_time(last_ms)}


def _begun(journal: JournalReader) -> AccountCarried | None:
    fact = next((entry.fact for entry in journal.entries(1, 1)), None)
    return fact if isinstance(fact, AccountCarried) else None


def _ends(path: Path, begun: AccountCarried) -> bool:
    with open_journal(path) as journal:
        last = next(journal.entries(begun.events, begun.events), None)
        return journal.last_seq == begun.events and last is not None and last.checksum == begun.checksum
