"""The ledger's whole memory as bytes, and back: what a snapshot holds.

`Ledger.snapshot` is for comparing, and sorts. Here the order of everything is kept, since the oldest go first by it: a
ledger that was restored is the one that was remembered, in all that it will do.

Rules: every attribute that a fact can change stands in `MEMORY` with its type; a test finds the one that does not.
Attributes are changed in place, because readers hold views of them. Nothing is changed where the bytes do not fit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kalshi_daemon.core.holds import Hold, Restriction
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_groups import OrderGroup
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.position_tracker import Position
from kalshi_daemon.core.recent_fills import RecentFills
from kalshi_daemon.core.session_figures import Execution, SessionFigures
from kalshi_daemon.facts import BalanceReading, FillSeen, HoldKind, RestrictionKind

# a part of the ledger ("" is the ledger itself) -> its attributes, as they are written
MEMORY: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {
        "_runs": dict[str, None],
        "_accepted": list[str],
        "_strange": dict[str, None],
        "_counts": dict[str, int],
        "environment": str,
        "account_keys": dict[str, None],
        "journal_before": str,
        "orders_before": dict[str, int],
        "opened_ms": int,
        "opening": tuple[tuple[int, int], ...],
        "figures_known": bool,
        "_figures": dict[tuple[str, str, str], int],
        "_fees_before": dict[str, int],
        "fills_booked": int,
        "settlements_booked": int,
        "last_fill_ms": int,
        "day": str,
        "bankroll": int,
        "agreed_ms": int,
        "readings": tuple[BalanceReading, ...],
        "cancelled_all_ms": int,
        "orders_from_ms": int,
        "session": SessionFigures,
        "executions": tuple[Execution, ...],
        "opened": bool,
        "account_agreed": bool,
        "doubts": int,
        "run_id": str,
        "next_number": int,
        "version": int,
    },
    "_groups": {"groups": dict[int, OrderGroup]},
    "_cash": {"_settled": dict[int, int], "_reserved": dict[int, int], "below_a_cent": bool},
    "_positions": {
        "_positions": dict[str, Position],
        "_recent": dict[str, RecentFills],
        "_before": dict[str, Position],
        "_settled": dict[str, int],
        "_paid": dict[str, int],
    },
    "_orders": {
        "_orders": dict[str, OrderRecord],
        "_increases_ms": list[int],
        "_keys": dict[str, str],
        "_open": dict[str, dict[str, None]],
        "_say_expiry": dict[str, None],
        "live_count": int,
    },
    "_fills": {
        "_trade_ids": dict[str, int],
        "_held": dict[str, list[FillSeen]],
        "_held_count": int,
        "_dropped": dict[str, None],
    },
    "_holds": {
        "_holds": dict[tuple[HoldKind, str], Hold],
        "_restrictions": dict[RestrictionKind, Restriction],
        "holds": tuple[Hold, ...],
        "held": bool,
        "reach": str,
        "restrictions": tuple[Restriction, ...],
        "sweep_scope": str,
    },
}
_KINDS: Final = {
    part: msgspec.defstruct(f"Memory{part}", [(f"a{place}", kind) for place, kind in enumerate(kinds.values())])
    for part, kinds in MEMORY.items()
}
_WHOLE: Final = msgspec.defstruct("Memory", [(part or "own", kind) for part, kind in _KINDS.items()])
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_WHOLE).decode


def remember(ledger: LedgerView) -> bytes:
    """Equal histories give equal bytes."""
    return _encode(
        _WHOLE(
            *(_KINDS[part](*(_plain(getattr(_part(ledger, part), name)) for name in MEMORY[part])) for part in MEMORY)
        )
    )


def restore(ledger: LedgerView, memory: bytes) -> None:
    """Makes a ledger that was just made into the one that was remembered. Raises msgspec.DecodeError."""
    whole = _decode(memory)
    for part, kinds in MEMORY.items():
        kept = getattr(whole, part or "own")
        for place, name in enumerate(kinds):
            _put(_part(ledger, part), name, getattr(kept, f"a{place}"))


def _part(ledger: LedgerView, part: str) -> object:
    return getattr(ledger, part) if part else ledger


def _plain(value: object) -> object:
    """A set has no order that every process shares, and a deque is not known to the encoding."""
    if isinstance(value, set):
        return sorted(value)
    return list(value) if isinstance(value, deque) else value


def _put(part: object, name: str, value: Any) -> None:
    held = getattr(part, name)
    if isinstance(held, dict | set):
        held.clear()
        held.update(value)
    elif isinstance(held, deque):
        held.clear()
        held.extend(value)
    else:
        setattr(part, name, value)
