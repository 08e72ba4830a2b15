"""Masks and the meaning of actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import book_of, books, golden_market, market_of

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.policy.actions import ACTION_NAMES, SIDES, Base, action_count, count_of, decode
from kalshi_daemon.policy.inputs import OpenOrder, RestingOrder
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.units import BookSide

FIVE = (500,)
BID, ASK = OpenOrder(BookSide.BID, 4_500, 0, None), OpenOrder(BookSide.ASK, 4_700, 0, None)

MOVABLE = OpenOrder(BookSide.BID, 4_500, 0, RestingOrder("kd-r-1", 500, 100))


def allowed(increases: bool = True, pricing: Pricing = Pricing.TAKE, **changes: Any) -> str:
    """The allowed bases but HOLD, as letters: B buys YES, S sells YES, b and s the same of NO."""
    row = mask([golden_market(**changes)], FIVE, pricing, increases_allowed=increases)[0]
    assert row[0]
    return "".join(letter for letter, bit in zip("BSbs", row[1:], strict=True) if bit)


def test_decode() -> None:
    """With k sizes there are 1 + 4k actions, the sizes of one base beside each other."""
    sizes = (100, 500, 1_000)
    assert action_count(sizes) == 13
    assert [decode(action, sizes) for action in (1, 2, 3, 4, 12)] == [
        (Base.BUY_YES, 100),
        (Base.BUY_YES, 500),
        (Base.BUY_YES, 1_000),
        (Base.SELL_YES, 100),
        (Base.SELL_NO, 1_000),
    ]
    assert ACTION_NAMES == "HOLD,BUY_YES,SELL_YES,BUY_NO,SELL_NO"
    assert [SIDES[base] for base in list(Base)[1:]] == [BookSide.BID, BookSide.ASK, BookSide.ASK, BookSide.BID]


@pytest.mark.parametrize(
    ("changes", "letters"),
    [
        ({}, "Bb"),
        ({"position": 100}, "BS"),
        ({"position": -100}, "bs"),
        ({"position": 100, "reducing": 100}, "B"),
        ({"position": -100, "reducing": 99}, "bs"),
        ({"position": -100, "reducing": 200}, "b"),
        ({"closing": True}, ""),
        ({"closing": True, "position": 100}, "S"),
        ({"increases": False, "position": -100}, "s"),
        ({"increases": False}, ""),
        ({"usable": False, "position": 100}, ""),
        ({"unknown": True, "position": 100}, ""),
        ({"orders": (BID,)}, "b"),
        ({"orders": (ASK,), "position": 100}, "BS"),
        ({"orders": (BID, ASK), "position": -100}, "s"),
        ({"orders": (MOVABLE,)}, "b"),
    ],
)
def test_taking(changes: dict[str, Any], letters: str) -> None:
    """A sell that takes asks for a book and something to give up; a buy for everything."""
    assert allowed(**changes) == letters


@pytest.mark.parametrize("pricing", [Pricing.JOIN, Pricing.IMPROVE, Pricing.MID])
@pytest.mark.parametrize(
    ("changes", "letters"),
    [
        ({"position": 100}, "BS"),
        ({"position": 100, "orders": (ASK,)}, "B"),
        ({"position": -100, "orders": (BID,)}, "b"),
        ({"position": 100, "increases": False}, ""),
        ({"position": 100, "closing": True}, ""),
        ({"orders": (MOVABLE,)}, "Bb"),
        ({"orders": (MOVABLE, BID)}, "b"),
        ({"orders": (MOVABLE, ASK)}, "B"),
        ({"orders": (MOVABLE,), "increases": False}, ""),
        ({"orders": (MOVABLE,), "position": -100}, "bs"),
    ],
)
def test_resting(pricing: Pricing, changes: dict[str, Any], letters: str) -> None:
    """A sell that rests is no verified reduction: it asks for what a buy asks for. What can be amended is free."""
    assert allowed(pricing=pricing, **changes) == letters


@pytest.mark.parametrize(
    ("bids", "asks", "letters"),
    [
        ({}, {47: 1}, ""),
        ({45: 1}, {}, ""),
        ({45: 1}, {65: 1}, "BS"),
        ({45: 1}, {66: 1}, ""),
        ({45: 1}, {45: 1}, ""),
        ({45: 1}, {40: 1}, ""),
    ],
)
def test_book(bids: dict[int, int], asks: dict[int, int], letters: str) -> None:
    """A side missing, a spread over twenty cents, and a locked or crossed book leave holding."""
    row = mask([market_of(book_of(bids, asks), position=100)], FIVE, Pricing.TAKE, increases_allowed=True)[0]
    assert row.tolist() == [True, *(letter in letters for letter in "BSbs")]


def test_shape() -> None:
    """(markets, actions), each size as its base; a batch of nothing has no rows."""
    rows = mask([golden_market(position=100), golden_market()], (1, 2), Pricing.TAKE, increases_allowed=True)
    assert rows.astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1, 1, 0, 0]]
    assert mask([], (1, 2), Pricing.TAKE, increases_allowed=True).shape == (0, 9)


@given(
    books(),
    st.integers(-5_000, 5_000),
    st.integers(0, 5_000),
    st.sampled_from(Pricing),
    st.booleans(),
    st.booleans(),
)
def test_against_the_counts(
    book: OrderBook, position: int, reducing: int, pricing: Pricing, increases: bool, closing: bool
) -> None:
    """An allowed action has a count, a sell no more than is held and free; nothing adds when it must not."""
    market = market_of(book, position=position, reducing=reducing, closing=closing)
    sizes = (100, 2_500)
    row = mask([market], sizes, pricing, increases_allowed=increases)[0]
    for action in np.flatnonzero(row[1:]) + 1:
        base, size = decode(int(action), sizes)
        count = count_of(base, size, market)
        assert 0 < count <= size
        after = position + SIDES[base].sign * count
        if abs(after) < abs(position):
            assert base in (Base.SELL_YES, Base.SELL_NO)
            assert count <= abs(position) - reducing
            assert after * position >= 0
        else:
            assert base in (Base.BUY_YES, Base.BUY_NO)
            assert increases
            assert not closing
