"""Commands: what is to be done, as frozen values. The imperative of the house.

`ProposeOrder` and `ProposeAmend` go to the event bus and ask for an order, or for another; the others come out of it,
after the facts that led to them are durable. A command never says how; the shell does.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.units import BookSide, Count, Price, Ticker, TimeInForce


@frozen
class ProposeOrder:
    """An order that somebody wants. The risk gate turns it into an `OrderIntended` or refuses it with a code.

    `reduces` says that it claims to be a verified reduction: immediate_or_cancel with reduce_only.
    """

    market: Ticker
    side: BookSide
    price: Price
    count: Count
    time_in_force: TimeInForce
    post_only: bool
    reduces: bool
    purpose: str
    decision: int
    model: str
    observation: str


@frozen
class ProposeAmend:
    """A resting order that somebody wants at another price, or for another count: all that it may fill."""

    client_order_id: str
    price: Price
    count: Count
    purpose: str
    decision: int
    model: str
    observation: str


@frozen
class PlaceOrder:
    client_order_id: str
    spec: OrderSpec


@frozen
class AmendOrder:
    """An order that rests as `before` is to become `spec`."""

    client_order_id: str
    order_id: str
    before: OrderSpec
    spec: OrderSpec


@frozen
class CancelOrder:
    client_order_id: str
    order_id: str
    market: Ticker
    exchange_index: int
    cause: str


@frozen
class FetchFills:
    """A read says that the order is done, and not all of its fills are here."""

    order_id: str
    cause: str


@frozen
class Poke:
    """Tell the trader's chart to look at a level again."""

    event: str


@frozen
class RaiseAlarm:
    alarm: str
    text: str


Proposal: TypeAlias = ProposeOrder | ProposeAmend
Command: TypeAlias = PlaceOrder | AmendOrder | CancelOrder | FetchFills | Poke | RaiseAlarm
