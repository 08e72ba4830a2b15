"""What positions are worth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import book_of

from kalshi_daemon.policy.history import MarketHistory
from kalshi_daemon.policy.inputs import AccountInput, HeldPosition
from kalshi_daemon.policy.portfolio import Portfolio, value_at_mid
from kalshi_daemon.units import CONTRACT, DOLLAR


def history_at(bid: int, ask: int) -> MarketHistory:
    history = MarketHistory()
    history.note(book_of({bid: 1}, {ask: 1}), 1_000)
    return history


def test_each_side_at_its_own_mid() -> None:
    """YES is valued at the YES mid and NO at the NO mid; empty positions are no positions."""
    portfolio = Portfolio({"A": history_at(45, 47), "B": history_at(45, 47), "C": history_at(1, 2)})
    account = portfolio.account(
        5 * DOLLAR, 9 * DOLLAR, [("A", 1_000, 4 * DOLLAR), ("B", -1_000, 5 * DOLLAR), ("C", 0, 0)]
    )
    assert account == AccountInput(
        5 * DOLLAR,
        19 * DOLLAR,
        (HeldPosition("A", 1_000, 4 * DOLLAR, 4_600_000), HeldPosition("B", -1_000, 5 * DOLLAR, 5_400_000)),
    )


def test_mid_is_carried_past_the_history() -> None:
    """A position whose market is no longer followed keeps its last mid; one never seen is at 50 cents."""
    histories = {"A": history_at(10, 12)}
    portfolio = Portfolio(histories)
    assert portfolio.account(0, 0, [("A", CONTRACT, 0), ("B", CONTRACT, 0)]).portfolio_value == 610_000
    del histories["A"]
    assert portfolio.account(0, 0, [("A", CONTRACT, 0)]).portfolio_value == 110_000


def test_memory_is_bounded_by_the_positions() -> None:
    """What is not held any more is forgotten."""
    portfolio = Portfolio({"A": history_at(10, 12)})
    portfolio.account(0, 0, [("A", CONTRACT, 0)])
    portfolio.account(0, 0, [])
    assert portfolio._mids == {}


@given(st.integers(1, 10**9), st.integers(2, 19_998))
def test_both_sides_make_a_dollar(count: int, mid_twice: int) -> None:
    """As many YES as NO are worth a dollar each, but for the millionth that rounding down may cost."""
    together = value_at_mid(count, mid_twice) + value_at_mid(-count, mid_twice)
    assert count * 10_000 - together == (count * mid_twice) % 2
