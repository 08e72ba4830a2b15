"""Holds and restrictions: why the trader is paused, and why only reductions pass (statecharts.md).

Rules:
- A hold is named by its kind and its subject. Without a subject it is about the account and means `paused`; with
  one it is about one market and closes that market only.
- Placing one that exists changes its cause and its reach, not its since.
- What a hold does to resting orders and what clears it stand in one table, what lifts a restriction in another; facts
  of holds are made by `hold`.
- After a restart the kinds of `SURVIVES` remain, a guard until its time; restrictions and the rest are asked for again.
- A sweep is wanted from the moment a hold reaches further than the last sweep verified, or an order comes to rest
  under it, until one is verified that reaches as far.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from kalshi_daemon.facts import HoldKind, HoldLifted, HoldPlaced, RestrictionKind, RestrictionPlaced, SweepVerified
from kalshi_daemon.units import Milliseconds

STRENGTH: Final[Mapping[HoldKind, int]] = MappingProxyType({kind: place for place, kind in enumerate(HoldKind)})
REACH: Final[Mapping[str, int]] = MappingProxyType({"": 0, "increasing": 1, "all": 2})
# kind -> (what clears it, a command of the CLI in backquotes; which resting orders go)
TABLE: Final[Mapping[HoldKind, tuple[str, str]]] = MappingProxyType(
    {
        HoldKind.KILL: ("`kill-clear REASON`", "all"),
        HoldKind.DIVERGENCE: ("two audits that agree, also after `accept-divergence REASON`", "all"),
        HoldKind.DRAWDOWN: ("`resume`", "increasing"),
        HoldKind.DAY_LOSS: ("the next trading day", "increasing"),
        HoldKind.ACCESS: ("`resume`", "all"),
        HoldKind.FOREIGN: ("`adopt` or `ignore`, or they are gone", ""),
        HoldKind.GUARD: ("its time", "increasing"),
        HoldKind.OPERATOR: ("`resume`", ""),
        HoldKind.EXCHANGE: ("a status that says active twice", ""),
        HoldKind.SYNC: ("a full audit that agrees", "increasing"),
        HoldKind.RECOVERY: ("REST and feeds usable for 30 s", "increasing"),
    }
)
# kind -> what lifts it
RELEASES: Final[Mapping[RestrictionKind, str]] = MappingProxyType(
    {
        RestrictionKind.CASH_RESERVE: "cash over the reserve",
        RestrictionKind.DRAWDOWN_BAND: "a bankroll above the band",
        RestrictionKind.PRIVATE_POLLED: "fills and positions that are streamed again",
        RestrictionKind.POLLED_BOOKS: "a market whose book is streamed and proven again",
    }
)
SURVIVES: Final = frozenset(
    {HoldKind.KILL, HoldKind.DIVERGENCE, HoldKind.DRAWDOWN, HoldKind.DAY_LOSS, HoldKind.GUARD, HoldKind.OPERATOR}
)


@frozen
class Hold:
    kind: HoldKind
    subject: str
    cause: str
    since_ms: Milliseconds
    cleared_by: str
    cancels: str  # a key of REACH
    until_ms: Milliseconds | None


@frozen
class Restriction:
    kind: RestrictionKind
    cause: str
    since_ms: Milliseconds


def hold(
    kind: HoldKind, cause: str, at_ms: Milliseconds, subject: str = "", until_ms: Milliseconds | None = None
) -> HoldPlaced:
    """The fact that places a hold, with what clears it and what it cancels.

    `pause --cancel` evolves its `cancels` to "all".
    """
    cleared_by, cancels = TABLE[kind]
    return HoldPlaced(
        at_ms=at_ms, hold=kind, subject=subject, cause=cause, cleared_by=cleared_by, cancels=cancels, until_ms=until_ms
    )


class Holds:
    """The two sets, and whether a sweep is owed."""

    def __init__(self) -> None:
        self._holds: dict[tuple[HoldKind, str], Hold] = {}
        self._restrictions: dict[RestrictionKind, Restriction] = {}
        self._views()
        self.sweep_scope = ""  # a key of REACH: what a sweep has to reach; empty: none is wanted

    def _views(self) -> None:
        """The views that readers see; made at each change, since changes are rare and reads are not."""
        ranked = sorted(self._holds.values(), key=lambda held: (STRENGTH[held.kind], held.subject))
        self.holds: tuple[Hold, ...] = tuple(ranked)
        self.held = any(not held.subject for held in ranked)
        self.reach = max((held.cancels for held in ranked if not held.subject), key=REACH.__getitem__, default="")
        self.restrictions: tuple[Restriction, ...] = tuple(
            self._restrictions[kind] for kind in RestrictionKind if kind in self._restrictions
        )

    def find(self, kind: HoldKind, subject: str = "") -> Hold | None:
        return self._holds.get((kind, subject))

    def place(self, fact: HoldPlaced) -> bool:
        """Whether anything changed."""
        assert fact.cancels in REACH, f"a hold cancels 'all', 'increasing' or '', not {fact.cancels!r}: ours to mend"
        before = self._holds.get((fact.hold, fact.subject))
        after = Hold(
            kind=fact.hold,
            subject=fact.subject,
            cause=fact.cause,
            since_ms=fact.at_ms if before is None else before.since_ms,
            cleared_by=fact.cleared_by,
            cancels=fact.cancels,
            until_ms=fact.until_ms,
        )
        if after == before:
            return False
        self._holds[fact.hold, fact.subject] = after
        self._views()
        if not fact.subject and REACH[fact.cancels] > (0 if before is None else REACH[before.cancels]):
            self._want(fact.cancels)
        return True

    def lift(self, fact: HoldLifted) -> bool:
        """Whether it was in force."""
        if self._holds.pop((fact.hold, fact.subject), None) is None:
            return False
        self._views()
        self.sweep_scope = min(self.sweep_scope, self.reach, key=REACH.__getitem__)
        return True

    def restrict(self, fact: RestrictionPlaced) -> bool:
        """Whether anything changed."""
        before = self._restrictions.get(fact.restriction)
        after = Restriction(fact.restriction, fact.cause, fact.at_ms if before is None else before.since_ms)
        if after == before:
            return False
        self._restrictions[fact.restriction] = after
        self._views()
        return True

    def release(self, kind: RestrictionKind) -> bool:
        """Whether it was in force."""
        if self._restrictions.pop(kind, None) is None:
            return False
        self._views()
        return True

    def rested(self, *, reduces: bool) -> bool:
        """An order of ours came to rest: whether the holds want it gone, which is one more sweep to verify."""
        if self.reach == "all" or (self.reach == "increasing" and not reduces):
            self._want(self.reach)
            return True
        return False

    def swept(self, fact: SweepVerified) -> None:
        if REACH.get(fact.scope, 0) >= REACH[self.sweep_scope]:
            self.sweep_scope = ""

    def restart(self, at_ms: Milliseconds) -> list[Hold]:
        """Drops what does not survive and returns it; what the survivors want cancelled has to be verified again."""
        dropped = [held for held in self.holds if not self._survives(held, at_ms)]
        for held in dropped:
            del self._holds[held.kind, held.subject]
        self._restrictions.clear()
        self._views()
        self.sweep_scope = self.reach
        return dropped

    @staticmethod
    def _survives(held: Hold, at_ms: Milliseconds) -> bool:
        if held.kind is HoldKind.GUARD:
            return held.until_ms is None or held.until_ms > at_ms
        return held.kind in SURVIVES

    def _want(self, scope: str) -> None:
        self.sweep_scope = max(self.sweep_scope, scope, key=REACH.__getitem__)

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot."""
        return {"holds": self.holds, "restrictions": self.restrictions, "sweep_scope": self.sweep_scope}
