"""The journal of an account that traded and is at rest, and starts on it: as preflight folds it, and puts it aside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio
from attrs import define, field

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountFact,
    AccountNamed,
    AccountOpened,
    DayOpened,
    FillSeen,
    HoldKind,
    HoldPlaced,
    OrderAcknowledged,
    OrderIntended,
    OrderSent,
    OrderSpec,
    RunStarted,
    StateChanged,
)
from kalshi_daemon.shell.journal import Journal, in_place
from kalshi_daemon.shell.journal_rotation import JournalRotation
from kalshi_daemon.shell.snapshots import Snapshots
from kalshi_daemon.units import CONTRACT, DOLLAR, BookSide, Milliseconds, TimeInForce

BEGUN_MS: Final[Milliseconds] = 1_792_418_400_000
ORDERS: Final = 250
LIMIT: Final = 80_000  # bytes, which such a life is over
RUN: Final = "run0000001"
SPEC: Final = OrderSpec("KXA", BookSide.BID, 4_000, CONTRACT, TimeInForce.GOOD_TILL_CANCELED, False, False, None, 0)


def order(number: int, run_id: str = RUN, begun_ms: Milliseconds = BEGUN_MS) -> list[AccountFact]:
    """One that was filled whole."""
    ours, theirs, at_ms = f"kd-{run_id}-{number}", f"{run_id}-o{number}", begun_ms + 20_000 * number
    trade = f"{run_id}-t{number}"
    return [
        OrderIntended(at_ms, number, ours, SPEC, 500_000, "policy", number, "0" * 64, ""),
        OrderSent(at_ms + 1, ours),
        OrderAcknowledged(at_ms + 2, ours, theirs, 0, CONTRACT, at_ms + 2),
        FillSeen(at_ms, "stream", trade, theirs, ours, "KXA", SPEC.side, 4_000, CONTRACT, 7, False, at_ms + 3, 0),
    ]


def run(number: int, at_ms: Milliseconds) -> list[AccountFact]:
    """It begins, and trades."""
    return [
        RunStarted(at_ms, f"run{number:07}", "0.1.0"),
        StateChanged(at_ms, "trader", "calibrating", "trading.normal", "calibrated"),
    ]


def agreed(at_ms: Milliseconds) -> AccountAgreed:
    return AccountAgreed(at_ms, at_ms, ((0, 0),), 1, 0)


def life(orders: int = ORDERS) -> list[AccountFact]:
    """Of a run that was stopped, held by a person."""
    told: list[AccountFact] = [
        *run(1, BEGUN_MS),
        AccountNamed(BEGUN_MS, "demo", "k1"),
        AccountOpened(BEGUN_MS, ((0, 1_000 * DOLLAR),), (), ()),
        DayOpened(BEGUN_MS, "2026-10-19", 1_000 * DOLLAR),
        HoldPlaced(BEGUN_MS, HoldKind.OPERATOR, "", "a person", "`resume`", "", None),
    ]
    for number in range(1, orders + 1):
        told += order(number)
    return [*told, agreed(BEGUN_MS + 20_000 * orders + 5_000)]


@define(eq=False)
class Start:
    """One process on the journal, up to where its bus would begin."""

    path: Path
    kept_max: int = 3
    bytes_max: int = LIMIT
    alarms: list[tuple[str, str]] = field(factory=list)
    ledger: Ledger = field(factory=Ledger)
    journal: Journal = field(init=False)
    rotation: JournalRotation = field(init=False)
    snapshots: Snapshots = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.snapshots = Snapshots(self.ledger, self.path, in_place, self.alarm)
        self.rotation = JournalRotation(
            self.path,
            self.ledger,
            self.snapshots,
            bytes_max=self.bytes_max,
            kept_max=self.kept_max,
            run_in_thread=in_place,
            alarm=self.alarm,
        )
        self.journal = Journal.open(self.path, in_place)
        try:
            beginning = self.snapshots.restore(self.journal)
            for _seq, fact in self.journal.verify_and_read(beginning.seq, beginning.chain):
                self.ledger.apply(fact)
            trio.run(self.rotation.run, self.journal)
        except BaseException:
            self.journal.close()
            raise

    def alarm(self, name: str, text: str) -> None:
        self.alarms.append((name, text))

    def write(self, facts: list[AccountFact]) -> None:
        for fact in facts:
            self.ledger.apply(fact)
        self.journal.write(facts)

    def stop(self) -> None:
        trio.run(self.snapshots.seal, self.journal)
        self.journal.close()


def make(path: Path, facts: list[AccountFact] | None = None) -> None:
    """A journal of that life, stopped."""
    start = Start(path)
    start.write(life() if facts is None else facts)
    start.stop()
