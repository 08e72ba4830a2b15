"""core/session_figures.py: what a run did to the account, and the last executions, through the ledger."""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.session_figures import SessionFigures
from kalshi_daemon.facts import (
    AccountOpened,
    CashCorrected,
    FillSeen,
    PositionOpening,
    RunStarted,
    SettlementSeen,
)
from kalshi_daemon.limits import RECENT_MAX
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, BookSide

BOUGHT = FillSeen(
    at_ms=3,
    source="stream",
    trade_id="t-1",
    order_id="o-1",
    client_order_id="kd-run1-1",
    market="KXA-1",
    side=BookSide.BID,
    price=4_000,
    count=10 * CONTRACT,
    fee=2 * CENT,
    is_taker=True,
    ts_ms=3,
    exchange_index=0,
)
SOLD = evolve(BOUGHT, trade_id="t-2", side=BookSide.ASK, price=5_000, count=4 * CONTRACT, at_ms=4, ts_ms=4)
PAID = SettlementSeen(5, "KXA-1", "yes", 10_000, 6 * CONTRACT, 6 * DOLLAR, 0, 5, 0)


def opened() -> Ledger:
    ledger = Ledger()
    ledger.apply(RunStarted(1, "run1", "0"))
    held = PositionOpening("KXB-1", -5 * CONTRACT, 3 * DOLLAR, 0)
    ledger.apply(AccountOpened(2, ((0, 90 * DOLLAR), (1, 10 * DOLLAR)), (held,)))
    return ledger


def test_each_way_that_cash_moves_has_its_figure() -> None:
    """Bought, sold, settled, charged and corrected: they add up to the settled cash after each."""
    ledger = opened()
    for fact in (BOUGHT, SOLD, PAID, CashCorrected(6, 1, -DOLLAR, "a withdrawal")):
        ledger.apply(fact)
        assert ledger.session.cash_now == ledger.settled_total
    assert ledger.session == SessionFigures(
        started_ms=1,
        cash=100 * DOLLAR,
        cost=3 * DOLLAR,
        fills=2,
        settlements=1,
        invested=4 * DOLLAR,
        recouped=2 * DOLLAR + 6 * DOLLAR,
        fees=4 * CENT,
        realised=40 * CENT + 3_600_000,
        drift=-DOLLAR,
    )


def test_a_run_begins_with_what_the_one_before_left() -> None:
    """Nothing is carried over but the account; what is told again moves no figure."""
    ledger = opened()
    ledger.apply(BOUGHT)
    ledger.apply(RunStarted(10, "run2", "0"))
    began = SessionFigures(started_ms=10, cash=100 * DOLLAR - 4 * DOLLAR - 2 * CENT, cost=7 * DOLLAR)
    assert ledger.session == began
    ledger.apply(BOUGHT)
    ledger.apply(RunStarted(11, "run2", "0"))
    assert ledger.session == began


def test_the_last_executions_outlive_the_run() -> None:
    """They are bounded, oldest out first, each with what it realised; a repetition is none."""
    ledger = opened()
    ledger.apply(BOUGHT)
    ledger.apply(RunStarted(10, "run2", "0"))
    for _ in range(2):
        ledger.apply(SOLD)
    assert [(each.fill, each.realised) for each in ledger.executions] == [(BOUGHT, 0), (SOLD, 40 * CENT)]
    for number in range(RECENT_MAX):
        ledger.apply(evolve(BOUGHT, trade_id=f"more-{number}", count=1))
    assert [each.fill.trade_id for each in ledger.executions] == [f"more-{number}" for number in range(RECENT_MAX)]


def test_what_is_told_before_the_opening_is_not_counted_beside_it() -> None:
    """A fill of an order that rested while the account was not yet open is in what it is opened with."""
    ledger = Ledger()
    ledger.apply(RunStarted(1, "run1", "0"))
    ledger.apply(BOUGHT)
    ledger.apply(AccountOpened(4, ((0, 90 * DOLLAR),), (PositionOpening("KXA-1", 10 * CONTRACT, 4 * DOLLAR, 0),)))
    assert ledger.session == SessionFigures(started_ms=1, cash=90 * DOLLAR, cost=4 * DOLLAR)
    assert ledger.executions == ()
    ledger.apply(SOLD)
    assert ledger.session.cash_now == ledger.settled_total
