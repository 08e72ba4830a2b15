"""Fills: once by their id, kept for their order, bounded."""

from __future__ import annotations

from account_facts import fill

from kalshi_daemon.core.fill_processor import FillProcessor


def test_a_trade_id_is_new_once() -> None:
    """Asking is remembering."""
    fills = FillProcessor()
    assert [fills.is_new(trade) for trade in ("a", "b", "a")] == [True, True, False]


def test_the_oldest_trade_id_is_forgotten_first() -> None:
    """The memory is bounded; what was told last is still known."""
    fills = FillProcessor(trade_ids_max=2)
    assert all(fills.is_new(trade) for trade in ("a", "b", "c"))
    assert not fills.is_new("c")
    assert fills.is_new("a")


def test_fills_wait_for_their_order_in_the_order_of_arrival() -> None:
    """Taking an order's fills gives them once."""
    fills = FillProcessor()
    one, other, two = fill("a", 1), fill("b", 2), fill("c", 1)
    assert [fills.hold(each) for each in (one, other, two)] == [None, None, None]
    assert fills.held_count == 3
    assert fills.waiting() == [one, two, other]
    assert fills.take("o1") == [one, two]
    assert fills.take("o1") == []
    assert fills.held_count == 1


def test_the_oldest_waiting_fill_goes_first() -> None:
    """Over the bound the oldest order's oldest fill is given back."""
    fills = FillProcessor(held_max=2)
    one, two, three = fill("a", 1), fill("b", 2), fill("c", 2)
    assert [fills.hold(one), fills.hold(two)] == [None, None]
    assert fills.hold(three) == one
    assert fills.waiting() == [two, three]
    assert fills.take("o1") == []
