"""What a difference that lasts is likely to be, and which of them the figures themselves explain.

Rules: pure. A cause is a guess for people, from what else differs. Two causes correct the ledger, because the figures
prove them to the micro-dollar, while every position is equal: cash that left one shard and is in another, and cash that
is less by what the exchange's own fees of positions are more.
"""

from __future__ import annotations

from kalshi_daemon.core.account_comparison import Difference
from kalshi_daemon.core.ledger_view import FIGURES
from kalshi_daemon.facts import AccountFact, CashCorrected, DriftCause, FeesRestated, PositionCorrected
from kalshi_daemon.units import Milliseconds, Money


def is_transfer(found: tuple[Difference, ...]) -> bool:
    """Whether cash moved between shards, and nothing else is different."""
    changes = [each.change for each in found if each.what == "cash"]
    return 1 < len(changes) == len(found) and None not in changes and not sum(filter(None, changes))


def is_restated_fee(found: tuple[Difference, ...], fees: tuple[FeesRestated, ...]) -> bool:
    """Whether the cash of each shard that differs is less by exactly what the positions there were charged more."""
    charged: dict[str, Money] = {}
    for each in fees:
        shard = str(each.exchange_index)
        charged[shard] = charged.get(shard, 0) + each.change
    explained = [
        each.what == "cash" and each.change is not None and each.change == -charged.get(each.subject, 0)
        for each in found
    ]
    return bool(found) and all(explained)


def likely_cause(
    difference: Difference, found: tuple[Difference, ...], fees: tuple[FeesRestated, ...] = ()
) -> DriftCause:
    """`found`: everything that differs in the same look; `fees`: what the exchange charges otherwise in it."""
    if difference.what in FIGURES:
        return DriftCause.RESTATED
    if difference.what == "position":
        return DriftCause.MISSED_FILL if difference.theirs else DriftCause.MISSED_SETTLEMENT
    if is_transfer(found):
        return DriftCause.TRANSFER
    if is_restated_fee(found, fees):
        return DriftCause.RESTATED_FEE
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
