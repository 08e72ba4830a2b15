"""From an action to a proposed order."""

from __future__ import annotations

from base64 import b64decode

import attrs
import numpy as np
import pytest
from policy_inputs import golden_market

from kalshi_daemon.commands import Proposal, ProposeAmend, ProposeOrder
from kalshi_daemon.policy.action_executor import execute
from kalshi_daemon.policy.inputs import MarketInput, OpenOrder, RestingOrder
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.units import BookSide, TimeInForce

OBSERVATION = np.linspace(-1, 1, 52, dtype=np.float32)
SIZES = (500, 2_000)


def decided(action: int, market: MarketInput, pricing: Pricing = Pricing.TAKE) -> Proposal | None:
    return execute(action, market, SIZES, pricing, 7, "sha", OBSERVATION)


def run(action: int, market: MarketInput, pricing: Pricing = Pricing.TAKE) -> ProposeOrder | None:
    proposal = decided(action, market, pricing)
    assert not isinstance(proposal, ProposeAmend)
    return proposal


def test_buy_by_taking() -> None:
    """A buy takes at the opposite best, carrying the decision, the model, the observation and the book's version."""
    order = run(1, golden_market())
    assert order is not None
    assert attrs.evolve(order, observation="") == ProposeOrder(
        market="M",
        side=BookSide.BID,
        price=4_700,
        count=500,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        post_only=False,
        reduces=False,
        purpose="policy",
        decision=7,
        model="sha",
        observation="",
    )
    assert b64decode(order.observation) == OBSERVATION.astype("<f4").tobytes()
    assert len(b64decode(order.observation)) == 208


def test_sell_is_clipped_and_reduces() -> None:
    """A sell gives up no more than is held and free, and claims to be a reduction."""
    order = run(4, golden_market(position=1_200, reducing=200))
    assert order is not None
    assert (order.side, order.price, order.count, order.reduces) == (BookSide.ASK, 4_500, 1_000, True)
    assert run(4, golden_market(position=1_200, reducing=1_200)) is None


@pytest.mark.parametrize(
    ("action", "position", "side", "price"),
    [
        (5, 0, BookSide.ASK, 4_500),
        (6, -100, BookSide.ASK, 4_500),
        (7, -3_000, BookSide.BID, 4_700),
        (8, -3_000, BookSide.BID, 4_700),
    ],
)
def test_no_side(action: int, position: int, side: BookSide, price: int) -> None:
    """Buying NO is an ask, selling NO a bid."""
    order = run(action, golden_market(position=position))
    assert order is not None
    assert (order.side, order.price, order.count) == (side, price, SIZES[(action - 1) % 2])


@pytest.mark.parametrize(("pricing", "price"), [(Pricing.JOIN, 4_700), (Pricing.IMPROVE, 4_600), (Pricing.MID, 4_600)])
def test_resting(pricing: Pricing, price: int) -> None:
    """What rests is post_only and good till cancelled, and claims no reduction, a sell neither."""
    order = run(3, golden_market(position=3_000), pricing)
    assert order is not None
    assert (order.side, order.price, order.count) == (BookSide.ASK, price, 500)
    assert (order.time_in_force, order.post_only, order.reduces) == (TimeInForce.GOOD_TILL_CANCELED, True, False)


def test_nothing_to_propose() -> None:
    """Holding, what the position does not allow, and a market without a price propose nothing."""
    assert run(0, golden_market()) is None
    assert run(1, golden_market(position=-100)) is None
    assert run(5, golden_market(position=100)) is None
    assert run(3, golden_market()) is None
    assert run(7, golden_market()) is None
    assert run(1, golden_market(grid=())) is None


def bid_at(price: int, count: int = 500, filled: int = 0) -> OpenOrder:
    return OpenOrder(BookSide.BID, price, 0, RestingOrder("kd-r-1", count, filled))


@pytest.mark.parametrize(
    ("order", "price", "count"),
    [
        (bid_at(4_300), 4_500, 500),
        (bid_at(4_300, 700, 300), 4_500, 700),
        (bid_at(4_300, 900), 4_500, 500),
        (bid_at(4_500, 900, 100), 4_500, 600),
    ],
)
def test_an_order_that_rests_is_moved(order: OpenOrder, price: int, count: int) -> None:
    """To the price of now, for what of it is not filled; for less where less is wanted, and never for more."""
    amend = decided(1, golden_market(orders=(order,)), Pricing.JOIN)
    assert isinstance(amend, ProposeAmend)
    assert attrs.evolve(amend, observation="") == ProposeAmend("kd-r-1", price, count, "policy", 7, "sha", "")
    assert b64decode(amend.observation) == OBSERVATION.astype("<f4").tobytes()


def test_an_order_that_stands_well_is_left_alone() -> None:
    """At the rule's price, for no more than is wanted: nothing to propose, whatever was filled of it."""
    assert decided(1, golden_market(orders=(bid_at(4_500),)), Pricing.JOIN) is None
    assert decided(1, golden_market(orders=(bid_at(4_500, 500, 400),)), Pricing.JOIN) is None
    assert isinstance(decided(1, golden_market(orders=(bid_at(4_300),))), ProposeOrder)  # the mask rules it out
