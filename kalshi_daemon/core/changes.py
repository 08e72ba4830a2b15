"""What folding one fact changed, as values: the ledger's answer, from which commands and news are made.

Rules: a change that changed nothing is not told. The order of the changes of one fact is the order in which they
were made.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.facts import FillSeen, HoldKind, RestrictionKind
from kalshi_daemon.units import Money, Ticker


@frozen
class OrderMoved:
    """An order is in another state; `before` is empty for one that was not known."""

    before: str
    record: OrderRecord


@frozen
class OrderRestated:
    """An order that rests is to become another, and an amend of it is pending; or it has become one, or ours, by what
    nobody here asked for. Its state is the same.
    """

    record: OrderRecord


@frozen
class FillBooked:
    """A fill is in the position and in the cash; `client_order_id` is empty while its order is not known."""

    fill: FillSeen
    realised: Money
    client_order_id: str


@frozen
class PositionSettled:
    market: Ticker
    realised: Money


@frozen
class HoldsChanged:
    """A hold was placed (or placed again with another cause or reach), or lifted."""

    hold: HoldKind
    subject: str
    placed: bool


@frozen
class RestrictionsChanged:
    restriction: RestrictionKind
    placed: bool


@frozen
class AgreementChanged:
    agreed: bool


@frozen
class SweepWanted:
    """A hold in force wants orders cancelled, and no sweep that is wide enough has been verified since."""

    scope: str


@frozen
class Diverged:
    """Something that cannot be; the divergence hold is placed already."""

    subject: str
    text: str


@frozen
class Noticed:
    """Something that was not expected and does no harm: somebody should look."""

    alarm: str
    text: str


@frozen
class FillsWanted:
    """The exchange counts fills of this order that are not here."""

    order_id: str


Change: TypeAlias = (
    OrderMoved
    | OrderRestated
    | FillBooked
    | PositionSettled
    | HoldsChanged
    | RestrictionsChanged
    | AgreementChanged
    | SweepWanted
    | Diverged
    | Noticed
    | FillsWanted
)
