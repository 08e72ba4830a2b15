"""The order groups of the account: one a shard, to which every order that rests belongs (risk P23).

A group bounds what may match within fifteen seconds: at its limit the exchange cancels what rests of it and takes no
more, until a person resets it. That it was triggered is told by the stream, and no read says it; so it is also worked
out here, from our own fills by the exchange's stamps, whichever way they came.

Rules: the first sign that a group was triggered counts, the second changes nothing. Fills up to the group's making or
its last reset do not count, and neither do those of orders that were sent before it was made. What is told of a group
that is not ours changes nothing.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from attrs import evolve, frozen

from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.facts import FillSeen, HoldKind, HoldPlaced, OrderGroupMade, OrderGroupTold
from kalshi_daemon.units import SECOND_MS, Count, Milliseconds, TimeInForce, contracts

WINDOW_MS: Final[Milliseconds] = 15_000  # the exchange's own (api.md 4.4)
KEPT_MS: Final[Milliseconds] = 60_000  # of fills; one that comes later than that was missed by the stream and by reads
TRIGGERED, RESET, DELETED, LIMITED = "triggered", "reset", "deleted", "limit_updated"  # the exchange's words


@frozen
class OrderGroup:
    """`matched`: (the exchange's stamp, contracts) of what its orders traded lately, in the order of the stamps."""

    group_id: str
    exchange_index: int
    limit: Count
    made_ms: Milliseconds
    since_ms: Milliseconds = 0  # the exchange's stamp after which fills count
    triggered: bool = False
    matched: tuple[tuple[Milliseconds, Count], ...] = ()


class OrderGroups:
    def __init__(self) -> None:
        self.groups: dict[int, OrderGroup] = {}  # by shard

    @property
    def triggered(self) -> list[OrderGroup]:
        return [group for group in self.groups.values() if group.triggered]

    def made(self, fact: OrderGroupMade) -> None:
        """Made, or found to have another limit than before."""
        known = self.groups.get(fact.exchange_index)
        if known is not None and known.group_id == fact.group_id:
            self._keep(evolve(known, limit=fact.limit))
        else:
            self._keep(OrderGroup(fact.group_id, fact.exchange_index, fact.limit, fact.at_ms))

    def told(self, fact: OrderGroupTold) -> OrderGroup | None:
        """The group that has come to be triggered by it, if one has."""
        group = next((each for each in self.groups.values() if each.group_id == fact.group_id), None)
        if group is None:
            return None
        if fact.event == DELETED:
            del self.groups[group.exchange_index]
        elif fact.event == RESET:
            self._reset(group, fact.ts_ms)
        elif fact.event == LIMITED and fact.limit:
            self._keep(evolve(group, limit=fact.limit))
        elif fact.event == TRIGGERED and not group.triggered and fact.ts_ms > group.since_ms:
            return self._trigger(group)
        return None

    def filled(self, record: OrderRecord, fill: FillSeen) -> OrderGroup | None:
        """The group that its fills have brought to its limit, if they have."""
        group = self.groups.get(record.spec.exchange_index)
        rests = record.ours and record.spec.time_in_force is TimeInForce.GOOD_TILL_CANCELED
        if group is None or not rests or record.asked_ms < group.made_ms or fill.ts_ms <= group.since_ms:
            return None
        matched = list(group.matched)
        insort(matched, (fill.ts_ms, fill.count))
        kept = tuple(each for each in matched if each[0] > matched[-1][0] - KEPT_MS)
        self._keep(group := evolve(group, matched=kept))
        reached = _most(kept, fill.ts_ms) >= group.limit
        return self._trigger(group) if reached and not group.triggered else None

    def _reset(self, group: OrderGroup, ts_ms: Milliseconds) -> None:
        """An answer to our own request has no stamp: then everything that was counted so far is over."""
        last_ms = group.matched[-1][0] if group.matched else 0
        since_ms = max(group.since_ms, ts_ms or last_ms)
        matched = tuple(each for each in group.matched if each[0] > since_ms)
        self._keep(evolve(group, triggered=False, since_ms=since_ms, matched=matched))

    def _trigger(self, group: OrderGroup) -> OrderGroup:
        self._keep(group := evolve(group, triggered=True))
        return group

    def _keep(self, group: OrderGroup) -> None:
        self.groups[group.exchange_index] = group

    def state(self) -> list[OrderGroup]:
        return list(self.groups.values())


def hold_for(group: OrderGroup, at_ms: Milliseconds) -> HoldPlaced:
    """A group that was triggered pauses the account, until a person has looked."""
    cause = (
        f"order group {group.group_id} of shard {group.exchange_index} was triggered:"
        f" {contracts(group.limit)} contracts within {WINDOW_MS // SECOND_MS} s, or by hand"
    )
    return evolve(hold(HoldKind.GUARD, cause, at_ms), cleared_by="`group-reset REASON`")


def _most(matched: tuple[tuple[Milliseconds, Count], ...], new_ms: Milliseconds) -> Count:
    """The most that matched within one window that holds `new_ms`; nothing where that is older than what is kept."""
    ends = [at_ms for at_ms, _count in matched if new_ms <= at_ms < new_ms + WINDOW_MS]
    return max((sum(count for at_ms, count in matched if end - WINDOW_MS < at_ms <= end) for end in ends), default=0)
