"""What a difference that lasts is likely to be, and which of them the figures themselves explain.

Rules: pure. A cause is a guess for people, from what else differs. Three causes correct the ledger, because the figures
prove them to the micro-dollar, while every position is equal: cash that left one shard and is in another, cash that is
less by what the exchange's own fees of positions are more, and cash that is more by what it lists as paid for markets.
"""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.ledger_view import FIGURES
from kalshi_daemon.facts import AccountFact, CashCorrected, DriftCause, PositionCorrected
from kalshi_daemon.units import Milliseconds, Money


def is_transfer(found: tuple[Difference, ...]) -> bool:
    """Whether cash moved between shards, and nothing else is different."""
    changes = [each.change for each in found if each.what == "cash"]
    return 1 < len(changes) == len(found) and None not in changes and not sum(filter(None, changes))


def is_restated(found: tuple[Difference, ...], changes: Iterable[tuple[int, Money]]) -> bool:
    """Whether cash alone differs, and that of each shard by exactly what these come to, each of a shard."""
    moved: dict[str, Money] = {}
    for shard, change in changes:
        moved[str(shard)] = moved.get(str(shard), 0) + change
    explained = [
        each.what == "cash" and each.change is not None and each.change == moved.get(each.subject, 0) for each in found
    ]
    return bool(found) and all(explained)


def likely_cause(difference: Difference, found: tuple[Difference, ...]) -> DriftCause:
    """`found`: everything that differs in the same look."""
    if difference.what in FIGURES:
        return DriftCause.RESTATED
    if difference.what == "position":
        return DriftCause.MISSED_FILL if difference.theirs else DriftCause.MISSED_SETTLEMENT
    if is_transfer(found):
        return DriftCause.TRANSFER
    explained = difference.rests or any(each.what == "position" for each in found)
    return DriftCause.UNKNOWN if explained else DriftCause.DEPOSIT


def corrections(found: tuple[Difference, ...], at_ms: Milliseconds, cause: str) -> list[AccountFact] | None:
    """The facts that make the ledger's figures the exchange's; None where one of them is not known exactly."""
    made: list[AccountFact] = []
    for each in found:
        if each.change is None:
            return None
        if each.what == "cash":
            made.append(CashCorrected(at_ms, int(each.subject), each.change, cause))
        else:
            made.append(PositionCorrected(at_ms, each.subject, each.change, each.cost_change, cause))
    return made
