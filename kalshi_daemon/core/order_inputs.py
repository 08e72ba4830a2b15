"""What a fact is called in the order table: fact in, row of `statecharts/order.py` out.

Rules: answers are named by their counts, what is seen by its status and its reason. A status that nobody knows has
no row and changes nothing. An order is `executed` when all of it is filled; done and short of its count is
`canceled` by another name.
"""

from __future__ import annotations

from typing import Final

from kalshi_daemon.facts import (
    AmendAcknowledged,
    AmendLost,
    AmendMissing,
    AmendRefused,
    AmendSent,
    AmendWithheld,
    CancelAcknowledged,
    CancelLost,
    CancelMissing,
    CancelRefused,
    CancelSent,
    OrderAbsent,
    OrderAcknowledged,
    OrderDuplicate,
    OrderFact,
    OrderLost,
    OrderRefused,
    OrderSeen,
    OrderSent,
    OrderVanished,
    OrderWithheld,
)
from kalshi_daemon.units import Count, Milliseconds

EXPIRED: Final = "ExpiryCancel"
NOT_CANCELS: Final = frozenset({"Decrease", "Amend"})
# the other reasons of api.md 7.4; a read says nothing, and an order that traded before it went may still say Trade
CANCELS: Final = frozenset(
    {
        "",
        "Trade",
        "MarginCancel",
        "SelfTradeCancel",
        "CloseCancel",
        "HaltCancel",
        "PostOnlyCrossCancel",
        "ReduceOnlyCancel",
        "SettlementBoundsCancel",
    }
)
UNTOLD: Final = "untold"
UNKNOWN: Final = "unknown"
ROWS: Final[dict[type[object], str]] = {
    OrderSent: "sent",
    OrderWithheld: "withheld",
    OrderRefused: "refused",
    OrderDuplicate: "duplicate",
    OrderLost: "lost",
    CancelSent: "cancel_sent",
    CancelAcknowledged: "cancel_acked",
    CancelMissing: "cancel_missing",
    CancelRefused: "cancel_refused",
    CancelLost: "cancel_lost",
    AmendSent: "amend_sent",
    AmendWithheld: "amend_refused",  # nothing was done, whoever said no
    AmendAcknowledged: "amend_acked",
    AmendRefused: "amend_refused",
    AmendMissing: "amend_lost",  # 404 says of an amend what it says of a cancel: look what became of the order
    AmendLost: "amend_lost",
    OrderVanished: "vanished",
}


def seen_input(fact: OrderSeen, count: Count) -> str | None:
    """What a private event or a read says of an order for `count`; None where its status is no word that we know."""
    if fact.status == "resting":
        return "seen_open"
    if fact.status == "executed":
        return "seen_executed" if fact.filled >= count else "seen_cancelled"
    if fact.status != "canceled":
        return None
    if fact.reason in NOT_CANCELS:
        return "seen_open"
    return "seen_expired" if fact.reason == EXPIRED else "seen_cancelled"


def is_known_reason(fact: OrderSeen) -> bool:
    """Whether the exchange's reason for a cancel is one that the documentation names."""
    return fact.status != "canceled" or fact.reason == EXPIRED or fact.reason in NOT_CANCELS | CANCELS


def cancel_label(fact: OrderSeen) -> str:
    """What a cancel is counted under: its reason where we know it; or that none was told, or one unheard of."""
    if fact.reason in {"", "Trade"}:
        return UNTOLD
    return fact.reason if is_known_reason(fact) else UNKNOWN


def acked_input(fact: OrderAcknowledged, count: Count) -> str:
    """Which of the three a 201 is."""
    if fact.remaining > 0:
        return "acked_open"
    return "acked_full" if fact.filled >= count else "acked_void"


def order_input(fact: OrderFact, count: Count, order_id: str) -> str | None:
    """The row that `fact` is for an order of `count`, known at the exchange as `order_id` (empty: not known there)."""
    if isinstance(fact, OrderSeen):
        return seen_input(fact, count)
    if isinstance(fact, OrderAcknowledged):
        return acked_input(fact, count)
    if isinstance(fact, OrderAbsent):
        # absent is said of what was never acknowledged; an order id proves that it was
        return "vanished" if order_id else "absent"
    return ROWS[type(fact)]


def exchange_stamp_ms(fact: OrderFact) -> Milliseconds:
    """The exchange's own stamp of what the fact says; 0 where it carries none."""
    if isinstance(fact, OrderSeen):
        return fact.updated_ms
    if isinstance(fact, OrderAcknowledged | CancelAcknowledged | AmendAcknowledged):
        return fact.ts_ms
    return 0


def cause_of(fact: OrderFact) -> str:
    """Why, in the words of the fact; empty where it does not say."""
    if isinstance(fact, OrderSeen):
        return fact.reason
    if isinstance(fact, OrderLost | CancelLost | AmendLost):
        return fact.cause
    if isinstance(fact, OrderWithheld | AmendWithheld):
        return f"{fact.code}: {fact.detail}"
    if isinstance(fact, OrderRefused | CancelRefused | AmendRefused):
        return f"{fact.status} {fact.code}: {fact.detail}"
    return ""
