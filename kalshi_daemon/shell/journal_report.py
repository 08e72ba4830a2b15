"""What a whole journal amounts to: whether it is whole, the account that it leads to, and what it is made of.

Rules: each is one pass over the events; figures are kept, events are not. The invariants are asked of each run by
itself, as the run asked them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from attrs import Factory, define, frozen

from kalshi_daemon.core.invariants import Invariants
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import remember
from kalshi_daemon.core.session_figures import Execution, SessionFigures
from kalshi_daemon.errors import EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED, JournalCorrupt
from kalshi_daemon.facts import FillSeen, OrderIntended, RunStarted
from kalshi_daemon.limits import VIOLATIONS_KEPT
from kalshi_daemon.shell.account_identity import foreign
from kalshi_daemon.shell.clock import eastern_day
from kalshi_daemon.shell.journal import file_bytes
from kalshi_daemon.shell.journal_file import examine
from kalshi_daemon.shell.journal_reader import Entry, JournalReader, find_journal, open_journal
from kalshi_daemon.shell.journal_text import iso
from kalshi_daemon.shell.snapshot_file import Snapshot, Unusable, code, read_snapshot, snapshots_of
from kalshi_daemon.units import HOUR_MS, MINUTE_MS, SECOND_MS, Milliseconds
from kalshi_daemon.wire.fixed_point import format_count, format_money, format_price

EXITS: Final = {
    "whole": EXIT_STOPPED,
    "violated": EXIT_REFUSED,
    "foreign": EXIT_REFUSED,
    "damaged": EXIT_FAILED,
}


@define(eq=False)
class Replayed:
    """A journal folded from empty, as far as it could be read."""

    ledger: Ledger = Factory(Ledger)
    events: int = 0
    first_ms: Milliseconds = 0
    last_ms: Milliseconds = 0
    checked: int = 0
    violations: int = 0
    violated: list[str] = Factory(list)
    snapshots: int = 0  # proven
    snapshots_wrong: list[str] = Factory(list)

    def fold(self, journal: JournalReader, snapshots: Sequence[Path] = ()) -> None:
        """Raises JournalCorrupt. Each snapshot is held against what was folded up to its event."""
        kept = self._kept(snapshots)
        invariants = self._invariants()
        for entry in journal.entries():
            if isinstance(entry.fact, RunStarted):
                self._note(invariants)
                invariants = self._invariants()
            invariants.saw(entry.fact, self.ledger.apply(entry.fact))
            self.events = entry.seq
            self.last_ms = entry.fact.at_ms
            self.first_ms = self.first_ms or entry.fact.at_ms
            if entry.seq in kept:
                self._hold_against(*kept.pop(entry.seq), entry)
        self._note(invariants)
        self.snapshots_wrong += [f"{path.name}: the journal ends before it" for path, _ in kept.values()]

    def _kept(self, paths: Sequence[Path]) -> dict[int, tuple[Path, Snapshot]]:
        kept = {}
        for path in paths:
            try:
                snapshot = read_snapshot(path)
            except Unusable as why:
                if not path.exists():
                    continue  # the daemon beside us has newer ones
                self.snapshots_wrong.append(f"{path.name}: {why}")
            else:
                kept[snapshot.seq] = (path, snapshot)
        return kept

    def _hold_against(self, path: Path, snapshot: Snapshot, entry: Entry) -> None:
        if snapshot.chain != entry.checksum:
            self.snapshots_wrong.append(f"{path.name}: it is not of this journal")
        elif snapshot.code != code():
            return  # no start of this version will use it
        elif snapshot.memory != remember(self.ledger):
            self.snapshots_wrong.append(f"{path.name}: it holds another account than its events lead to")
        else:
            self.snapshots += 1

    def _invariants(self) -> Invariants:
        return Invariants(self.ledger, lambda _text: None)

    def _note(self, invariants: Invariants) -> None:
        self.checked += invariants.checked
        self.violations += invariants.violations
        news = [text for text in invariants.violated if text not in self.violated]
        self.violated += news[: VIOLATIONS_KEPT - len(self.violated)]

    @property
    def digest(self) -> str:
        """Of the whole state: the same events give the same."""
        return hashlib.sha256(self.ledger.snapshot()).hexdigest()

    def as_dict(self, path: Path, took_ms: Milliseconds) -> dict[str, object]:
        return {
            "journal": str(path),
            "events": self.events,
            "took_ms": took_ms,
            "digest": self.digest,
            "invariants": {"checked": self.checked, "violations": self.violations, "violated": self.violated},
            "account": self.account(),
        }

    def account(self) -> dict[str, object]:
        """The account as JSON can hold it."""
        ledger = self.ledger
        held = [position for position in ledger.positions.values() if position.count]
        return {
            "opened": iso(ledger.opened_ms) if ledger.opened else None,
            "agreed": ledger.account_agreed,
            "agreed_as_of": iso(ledger.agreed_ms) if ledger.agreed_ms else None,
            "run": ledger.run_id,
            "day": ledger.day,
            "bankroll": format_money(ledger.bankroll),
            "settled": format_money(ledger.settled_total),
            "shards": {str(shard): format_money(cash) for shard, cash in ledger.shards.items()},
            "reserved": format_money(ledger.reserved_total),
            "realised": format_money(sum(position.realised for position in ledger.positions.values())),
            "fees": format_money(sum(position.fees for position in ledger.positions.values())),
            "fills": ledger.fills_booked,
            "settlements": ledger.settlements_booked,
            "positions": [
                {"market": each.market, "count": format_count(each.count), "cost": format_money(each.cost)}
                for each in held
            ],
            "live_orders": [
                {
                    "client_order_id": each.client_order_id,
                    "order_id": each.order_id,
                    "state": each.state,
                    "market": each.spec.market,
                    "side": each.spec.side,
                    "price": format_price(each.spec.price),
                    "count": format_count(each.spec.count),
                    "filled": format_count(each.filled),
                }
                for each in ledger.live()
            ],
            "holds": [{"hold": each.kind, "subject": each.subject, "cause": each.cause} for each in ledger.holds],
            "restrictions": [{"restriction": each.kind, "cause": each.cause} for each in ledger.restrictions],
            "session": _session(ledger.session),
            "executions": [_execution(ledger, each) for each in ledger.executions],
            "counts": dict(ledger.counts),
        }


def _session(session: SessionFigures) -> dict[str, object]:
    return {
        "began": iso(session.started_ms) if session.started_ms else None,
        "fills": session.fills,
        "settlements": session.settlements,
        "start_cash": format_money(session.cash),
        "start_cost": format_money(session.cost),
        "invested": format_money(session.invested),
        "recouped": format_money(session.recouped),
        "fees": format_money(session.fees),
        "realised": format_money(session.realised),
        "drift": format_money(session.drift),
    }


def _execution(ledger: Ledger, execution: Execution) -> dict[str, object]:
    fill = execution.fill
    order, decision = ledger.origin(execution)
    return {
        "at": iso(fill.at_ms),
        "trade_id": fill.trade_id,
        "market": fill.market,
        "side": fill.side,
        "price": format_price(fill.price),
        "count": format_count(fill.count),
        "fee": format_money(fill.fee),
        "role": "taker" if fill.is_taker else "maker",
        "realised": format_money(execution.realised),
        "order": order,
        "decision": decision,
    }


@frozen
class Verification:
    """`verdict`: whole, violated (whole, and what must never happen is in it, or a snapshot is wrong), foreign (whole,
    and seems to be of another account than the one asked for), or damaged.
    """

    path: Path
    verdict: str
    detail: str
    note: str  # of a torn tail
    replayed: Replayed

    @property
    def exit_code(self) -> int:
        return EXITS[self.verdict]

    def as_dict(self) -> dict[str, object]:
        replayed = self.replayed
        return {
            "journal": str(self.path),
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "detail": self.detail,
            "note": self.note,
            "goes_on_from": replayed.ledger.journal_before,
            "events": replayed.events,
            "from": iso(replayed.first_ms) if replayed.events else "",
            "to": iso(replayed.last_ms) if replayed.events else "",
            "environment": replayed.ledger.environment,
            "keys": list(replayed.ledger.account_keys),
            "invariants": {
                "checked": replayed.checked,
                "violations": replayed.violations,
                "violated": replayed.violated,
            },
            "snapshots": {"proven": replayed.snapshots, "wrong": replayed.snapshots_wrong},
            "digest": replayed.digest if replayed.events else "",
        }


def verify(path: Path, environment: str = "", key_id: str = "") -> Verification:
    """All of it: the files as bytes, every event, every snapshot, the structure of the database, and what must never
    happen. With a key, also whether it is the journal of that key's account.

    Raises JournalAbsent, and OperatingError where it may not be read.
    """
    replayed, note = Replayed(), ""
    find_journal(path)
    try:
        note = examine(path)
        with open_journal(path) as journal:
            replayed.fold(journal, snapshots_of(path))
            journal.check_structure()
    except JournalCorrupt as error:
        return Verification(path, "damaged", str(error), note, replayed)
    why = foreign(replayed.ledger, environment, key_id) if key_id else ""
    wrong = [f"{replayed.violations} invariants are violated"] if replayed.violations else replayed.snapshots_wrong
    if wrong:
        return Verification(path, "violated", "; ".join([*wrong, why] if why else wrong), note, replayed)
    if why:
        return Verification(path, "foreign", why, note, replayed)
    return Verification(path, "whole", "every event is proven", note, replayed)


@define(eq=False)
class Stats:
    """What a journal is made of."""

    events: int = 0
    bodies: int = 0  # bytes
    runs: int = 0
    first_ms: Milliseconds = 0
    last_ms: Milliseconds = 0
    schemas: Counter[int] = Factory(Counter)
    kinds: Counter[str] = Factory(Counter)
    sizes: Counter[str] = Factory(Counter)  # bytes of bodies by kind
    days: dict[str, Counter[str]] = Factory(dict)  # by US Eastern day: events, orders, fills
    busiest: tuple[int, Milliseconds] = (0, 0)  # events of a minute, and when it began
    _minute: tuple[int, Milliseconds] = (0, 0)

    def add(self, entry: Entry) -> None:
        fact, at_ms = entry.fact, entry.fact.at_ms
        self.events += 1
        self.bodies += entry.size
        self.runs += isinstance(fact, RunStarted)
        self.first_ms, self.last_ms = self.first_ms or at_ms, at_ms
        self.schemas[entry.schema] += 1
        self.kinds[entry.kind] += 1
        self.sizes[entry.kind] += entry.size
        day = self.days.setdefault(_day(at_ms // HOUR_MS), Counter(events=0, orders=0, fills=0))
        day.update({"events": 1, "orders": isinstance(fact, OrderIntended), "fills": isinstance(fact, FillSeen)})
        began_ms = at_ms - at_ms % MINUTE_MS
        self._minute = (self._minute[0] + 1 if began_ms == self._minute[1] else 1, began_ms)
        self.busiest = max(self.busiest, self._minute, key=lambda each: each[0])

    @property
    def per_second(self) -> str:
        """Events a second from the first to the last, with three decimals."""
        milli = self.events * SECOND_MS * SECOND_MS // max(1, self.last_ms - self.first_ms)
        return f"{milli // SECOND_MS}.{milli % SECOND_MS:03d}"

    def as_dict(self, path: Path) -> dict[str, object]:
        return {
            "journal": str(path),
            "bytes": file_bytes(path),
            "events": self.events,
            "body_bytes": self.bodies,
            "runs": self.runs,
            "from": iso(self.first_ms),
            "to": iso(self.last_ms),
            "schemas": {str(schema): count for schema, count in self.schemas.items()},
            "per_second": self.per_second,
            "busiest_minute": {"at": iso(self.busiest[1]), "events": self.busiest[0]},
            "kinds": {kind: {"events": count, "bytes": self.sizes[kind]} for kind, count in sorted(self.kinds.items())},
            "days": {day: dict(counts) for day, counts in self.days.items()},
        }


@lru_cache(maxsize=64)
def _day(hour: int) -> str:
    """A day begins on a whole hour in every zone that the exchange's has been in."""
    return eastern_day(hour * HOUR_MS)


def stats(journal: JournalReader) -> Stats:
    """Raises JournalCorrupt."""
    counted = Stats()
    for entry in journal.entries():
        counted.add(entry)
    return counted
