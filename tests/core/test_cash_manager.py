"""Cash: settled, reserved and available, per shard."""

from __future__ import annotations

import pytest

from kalshi_daemon.core.cash_manager import CashManager
from kalshi_daemon.units import CENT, DOLLAR


def test_available_is_settled_less_reserved_less_the_threshold() -> None:
    """With one shard the three numbers add up as the design says."""
    cash = CashManager()
    cash.open(((0, 1_000),))
    cash.move(0, -100)
    cash.reserve(0, 250)
    assert (cash.settled(0), cash.reserved(0)) == (900, 250)
    assert cash.available(0, threshold=200) == 450


def test_a_shard_lends_nothing_and_the_threshold_counts_once() -> None:
    """An order draws on its own shard only; the reserve is a share of the whole account."""
    cash = CashManager()
    cash.open(((0, 1_000), (2, 300)))
    cash.reserve(0, 400)
    assert cash.available(2, threshold=200) == 300
    assert cash.available(0, threshold=200) == 600
    assert cash.available(0, threshold=500) == 400
    assert cash.available(7, threshold=0) == 0
    assert (cash.settled_total, cash.reserved_total) == (1_300, 400)


def test_releasing_more_than_was_reserved_is_our_mistake() -> None:
    """A reservation never goes below zero."""
    cash = CashManager()
    cash.reserve(0, 10)
    with pytest.raises(AssertionError, match="1 more than it reserved"):
        cash.reserve(0, -11)


def test_a_released_shard_leaves_no_trace() -> None:
    """Reserving and releasing gives the state that was there before, byte for byte."""
    cash = CashManager()
    before = repr(cash.state())
    cash.reserve(3, 10)
    cash.reserve(3, -10)
    assert repr(cash.state()) == before


@pytest.mark.parametrize("change", [100, -CENT - 100])
def test_one_amount_below_a_cent_tells_how_cash_is_kept(change: int) -> None:
    """Cash that is back at whole cents later does not take it back; whole cents tell nothing."""
    cash, opened = CashManager(), CashManager()
    cash.open(((0, DOLLAR), (1, 3 * CENT)))
    cash.move(0, 5 * CENT)
    assert not cash.below_a_cent
    cash.move(1, change)
    cash.move(1, -change)
    assert cash.below_a_cent
    opened.open(((0, DOLLAR + change),))
    assert opened.below_a_cent
