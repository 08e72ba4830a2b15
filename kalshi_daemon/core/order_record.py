"""One order as it is known: what was asked, what is filled, what may still come, and what that keeps reserved.

Rules:
- A record is replaced, never changed. `filled` counts the fills booked here; `claimed` is what the exchange has
  said is filled, which may be ahead. What an order still owes counts as filled wherever the worst is asked, and
  keeps its share of the reservation.
- While the answer to an amend is awaited, or lost, the order may be either of two: the larger count is what it may
  fill, and the dearer of the two stays reserved.
- An order without an intent has no history that the table could check: what is seen of it is what it is.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from kalshi_daemon.core.fees import dearest_fee
from kalshi_daemon.core.order_inputs import seen_input
from kalshi_daemon.core.position_tracker import side_price
from kalshi_daemon.facts import OrderIntended, OrderSeen, OrderSpec
from kalshi_daemon.units import Count, Milliseconds, Money, TimeInForce
from statecharts.order import CXL, EXP, FIL, FINAL_STATES, IN, PAR, RES, UNK

FOREIGN: Final = "foreign:"  # opens the key of an order that is not ours
RESTING: Final = frozenset({RES, PAR})


def owed(state: str, count: Count, filled: Count, claimed: Count, *, ours: bool) -> Count:
    """Contracts whose fills may still come. Of an order that is not ours, those from before the journal never do."""
    if state not in FINAL_STATES:
        return max(0, count - (filled if ours else max(filled, claimed)))
    return max(0, claimed - filled) if ours else 0


@frozen
class Terms:
    """What an order asks for, and the most that the whole of it can cost."""

    spec: OrderSpec
    worst: Money


@frozen
class OrderRecord:
    """One order as it is known.

    `cost` is the fills' price * count on the YES leg, so cost / filled is the average price; fees are apart. `worst`
    is what the whole order could cost when it was decided. `asked_ms` is the last moment at which a request for it may
    have been signed, `updated_ms` the exchange's stamp of what is known. `amend` is what the order is to become, from
    the intent of an amend until it is known whether that came about. `untold` counts the contracts that an adopted
    order had been filled for, by what was seen as of `adopted_ms`, and whose fills were not told yet.
    """

    client_order_id: str  # for an order that is not ours: FOREIGN + order_id
    order_id: str  # empty until the exchange has said it
    number: int
    spec: OrderSpec
    state: str  # a column of statecharts/order.py
    filled: Count
    claimed: Count
    cost: Money
    fees: Money
    worst: Money
    ours: bool
    purpose: str
    intended_ms: Milliseconds
    asked_ms: Milliseconds
    updated_ms: Milliseconds
    decision: int
    reason: str  # why it was withheld, refused, lost or cancelled, in the words of the fact
    amend: Terms | None = None
    untold: Count = 0
    adopted_ms: Milliseconds = 0  # by the exchange's stamps

    @property
    def final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def asked_here(self) -> bool:
        """Whether an intent of ours made it; an order that was adopted is ours, and another hand made it."""
        return self.number > 0

    @property
    def rests(self) -> bool:
        """Known to be in the exchange's book, with no cancel or amend under way."""
        return self.state in RESTING

    @property
    def count_max(self) -> Count:
        """All that it may fill: the larger count while an amend is pending."""
        return self.spec.count if self.amend is None else max(self.spec.count, self.amend.spec.count)

    @property
    def owed(self) -> Count:
        return self._owed(self.count_max)

    @property
    def reserve(self) -> Money:
        """What is still set aside: of each order that it may be the share of the contracts owed, rounded up; the
        dearer.
        """
        stands = self.reserve_as(self.spec.count, self.worst)
        return stands if self.amend is None else max(stands, self.reserve_as(self.amend.spec.count, self.amend.worst))

    def reserve_as(self, count: Count, worst: Money) -> Money:
        """What would be set aside if it were for `count`, with `worst` as the whole's worst case."""
        left = self._owed(count)
        return -(-worst * left // count) if left else 0

    def _owed(self, count: Count) -> Count:
        return owed(self.state, count, self.filled, self.claimed, ours=self.ours)

    @property
    def open(self) -> bool:
        """Whether it can still change anything."""
        return self.state not in FINAL_STATES or self.owed > 0


def record_of_intent(fact: OrderIntended) -> OrderRecord:
    return OrderRecord(
        client_order_id=fact.client_order_id,
        order_id="",
        number=fact.number,
        spec=fact.spec,
        state=IN,
        filled=0,
        claimed=0,
        cost=0,
        fees=0,
        worst=fact.reserve,
        ours=True,
        purpose=fact.purpose,
        intended_ms=fact.at_ms,
        asked_ms=fact.at_ms,
        updated_ms=0,
        decision=fact.decision,
        reason="",
    )


def _state_seen(fact: OrderSeen) -> str:
    """The state of an order without an intent."""
    name = seen_input(fact, fact.initial)
    if name == "seen_open":
        return PAR if fact.filled else RES
    return {"seen_executed": FIL, "seen_cancelled": CXL, "seen_expired": EXP}.get(name or "", UNK)


def record_of_sight(fact: OrderSeen, key: str, number: int, *, ours: bool) -> OrderRecord:
    """A record of an order that has no intent here: set aside are its cost at the limit, and the dearest fees.

    What rests of it may be less than its first count, where it was decreased.
    """
    count = fact.filled + fact.remaining if fact.status == "resting" else fact.initial
    spec = OrderSpec(
        market=fact.market,
        side=fact.side,
        price=fact.price,
        count=count,
        time_in_force=TimeInForce.GOOD_TILL_CANCELED,
        post_only=False,
        reduce_only=False,
        expires_s=fact.expires_s,
        exchange_index=fact.exchange_index,
    )
    return OrderRecord(
        client_order_id=key,
        order_id=fact.order_id,
        number=number,
        spec=spec,
        state=_state_seen(fact),
        filled=0,
        claimed=fact.filled,
        cost=0,
        fees=0,
        worst=side_price(fact.side, fact.price) * count + dearest_fee(fact.side, fact.price, count),
        ours=ours,
        purpose="",
        intended_ms=fact.at_ms,
        asked_ms=fact.at_ms,
        updated_ms=fact.updated_ms,
        decision=0,
        reason=fact.reason,
    )
