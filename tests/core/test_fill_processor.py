"""Fills: once by their id, kept for their order, bounded."""

from __future__ import annotations

from account_facts import ASK, fill

from kalshi_daemon.core.fill_processor import FillProcessor, Hearing


def test_a_trade_id_is_new_once() -> None:
    """Hearing of it is remembering it, whoever tells it."""
    fills = FillProcessor()
    told = [fill("a"), fill("b"), fill("a"), fill("a", source="read", client_order_id="", fee=2_000)]
    assert [fills.hear(each) for each in told] == [Hearing.NEW, Hearing.NEW, Hearing.AGAIN, Hearing.AGAIN]


def test_other_figures_under_the_same_id_contradict() -> None:
    """Price, count, side and market are part of what a trade is."""
    fills = FillProcessor()
    assert fills.hear(fill("a")) is Hearing.NEW
    others = [fill("a", price=41), fill("a", count=9), fill("a", side=ASK), fill("a", market="KXOTHER")]
    assert [fills.hear(each) for each in others] == [Hearing.CONTRADICTS] * 4
    assert fills.hear(fill("a")) is Hearing.AGAIN


def test_the_oldest_trade_id_is_forgotten_first() -> None:
    """The memory is bounded; what was told last is still known."""
    fills = FillProcessor(trade_ids_max=2)
    assert all(fills.hear(fill(trade)) is Hearing.NEW for trade in ("a", "b", "c"))
    assert fills.hear(fill("c")) is Hearing.AGAIN
    assert fills.hear(fill("a")) is Hearing.NEW


def test_a_fill_that_had_to_go_has_to_be_told_again() -> None:
    """It is known as booked, and asked for until it has an order."""
    fills = FillProcessor(held_max=1)
    for each in (fill("a", 1), fill("b", 2)):
        fills.hear(each)
        fills.hold(each)
    assert (fills.knows("a"), fills.knows("b"), fills.dropped_count) == (False, True, 1)
    assert fills.hear(fill("a", 1)) is Hearing.UNATTRIBUTED
    fills.found("a")
    assert (fills.knows("a"), fills.hear(fill("a", 1))) == (True, Hearing.AGAIN)


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
