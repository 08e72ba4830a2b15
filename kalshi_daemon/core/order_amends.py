"""Which terms of an order stand: what a fact makes of an amend that is pending, and of one that was not ours.

Rules:
- An acknowledgement, and a sight of the order as it was to become, settle it: the new one stands. A refusal, a 404 and
  a sight of the order's end settle it too: the old one stands, or stood.
- A lost answer settles nothing. The request may arrive for as long as its signature is good, so a sight of the old
  order settles it only when it is as of later than that; an earlier one is not told (`is_early`).
- A restart loses the answer, and an amend that was decided may have left.
- An order that rests with other terms than were asked for, while no amend of ours is pending, was changed by another
  hand (a person at the exchange's page, another client with the key) or cut by the exchange: it is what is seen of it.
- The exchange leaves out what is not set. That an order has no expiry any more is believed of who has named one before.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from kalshi_daemon.core.fees import dearest_fee
from kalshi_daemon.core.order_inputs import NOT_CANCELS
from kalshi_daemon.core.order_record import OrderRecord, Terms
from kalshi_daemon.core.position_tracker import side_price
from kalshi_daemon.facts import (
    AmendAcknowledged,
    AmendMissing,
    AmendRefused,
    AmendSent,
    AmendWithheld,
    OrderFact,
    OrderSeen,
    OrderSpec,
)
from kalshi_daemon.limits import REQUEST_LIFE_MS
from statecharts.order import CAN, FINAL_STATES, UNK

OVERTAKEN: Final = FINAL_STATES | {CAN, UNK}


def only_lowers(before: OrderSpec, after: OrderSpec) -> bool:
    """Whether an amend does nothing but give up contracts: a cancel in part, which can increase nothing."""
    return after.count < before.count and evolve(after, count=before.count) == before


def shows(terms: Terms, seen: OrderSeen) -> bool:
    """Whether an order is seen as these terms have it."""
    spec = terms.spec
    if seen.price != spec.price:
        return False
    if seen.status == "executed":
        return seen.filled == spec.count
    if seen.status == "resting" and seen.expires_s not in (None, spec.expires_s):
        return False
    rests = seen.status == "resting" or seen.reason in NOT_CANCELS
    return (seen.filled + seen.remaining if rests else seen.initial) == spec.count


def settled(record: OrderRecord, fact: OrderFact) -> OrderRecord:
    """The record with the terms that stand after `fact`, which is not too old; the same one where it says nothing."""
    amend = record.amend
    if amend is None:
        return record
    if isinstance(fact, AmendAcknowledged) or (isinstance(fact, OrderSeen) and shows(amend, fact)):
        return evolve(record, spec=amend.spec, worst=amend.worst, amend=None)
    ended = isinstance(fact, OrderSeen) and fact.status != "resting" and fact.reason not in NOT_CANCELS
    proved = isinstance(fact, OrderSeen) and record.state == UNK
    if ended or proved or isinstance(fact, AmendWithheld | AmendRefused | AmendMissing):
        return evolve(record, amend=None)
    return record


def restated(record: OrderRecord, fact: OrderFact, *, says_expiry: bool) -> OrderRecord:
    """The record with the terms that the order is seen to rest with; the same one where they are those known.

    `says_expiry`: who says this names an expiry where there is one, so that none named is none. Of fewer
    contracts the worst case is their share; for anything else it is the cost at the limit and the dearest fee.
    """
    rests = isinstance(fact, OrderSeen) and (fact.status == "resting" or fact.reason in NOT_CANCELS) and fact.remaining
    if not isinstance(fact, OrderSeen) or not rests or record.amend is not None:
        return record
    before, count = record.spec, fact.filled + fact.remaining
    expires_s = fact.expires_s if says_expiry or fact.expires_s is not None else before.expires_s
    spec = evolve(before, price=fact.price, count=count, expires_s=expires_s)
    if spec == before:
        return record
    if spec.reduce_only or (spec.price == before.price and count <= before.count):
        worst = -(-record.worst * count // before.count)
    else:
        worst = side_price(spec.side, spec.price) * count + dearest_fee(spec.side, spec.price, count)
    return evolve(record, spec=spec, worst=worst)


def is_early(record: OrderRecord, fact: OrderSeen) -> bool:
    """Whether a sight of the order as it was before a lost amend comes while that amend may still arrive.

    An event is as of its stamp; a read, which may show a stamp of long ago, as of when it was made.
    """
    if record.amend is None or record.state != UNK or fact.status != "resting" or shows(record.amend, fact):
        return False
    as_of_ms = fact.updated_ms if fact.source == "stream" else fact.at_ms
    return as_of_ms < record.asked_ms + REQUEST_LIFE_MS


def is_overtaken(record: OrderRecord, fact: OrderFact) -> bool:
    """Whether an amend left while the news of a cancel, or of the order's end, waited to be folded.

    The gate that was asked in the step of its writing could not know; the table rightly calls it impossible for an
    order that is known to be so.
    """
    return isinstance(fact, AmendSent) and record.state in OVERTAKEN
