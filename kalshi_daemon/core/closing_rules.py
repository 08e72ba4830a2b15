"""Closing rules: each a small pure strategy that may close a whole position, in steps, by reductions.

A rule proposes and the gate decides. Rules of all rules: a step is at most P4's count and at most what is held and not
pending; it takes, at the best price of the other side; and while a step is under way or anything on the market is
unknown there is no second one, so that no two steps close the same contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import BookEvidence, RiskLimits, reducible
from kalshi_daemon.units import BookSide, Milliseconds, Ticker, TimeInForce
from statecharts.order import UNK

CLOSING_SOON: Final = "closing_soon"


def close_before_the_end(
    ledger: LedgerView,
    markets: Mapping[Ticker, Market],
    books: Mapping[Ticker, BookEvidence],
    now_ms: Milliseconds,
    limits: RiskLimits,
) -> list[ProposeOrder]:
    """A position in a market that is about to close is closed, at what is offered."""
    proposals: list[ProposeOrder] = []
    for ticker in sorted(ledger.positions):
        market, book = markets.get(ticker), books.get(ticker)
        if market is None or book is None or not ledger.position(ticker):
            continue
        if not market.is_active(now_ms) or not market.closes_soon(now_ms, limits.closing_soon_ms):
            continue
        step = _step(ledger, ticker, book, limits, CLOSING_SOON)
        if step is not None:
            proposals.append(step)
    return proposals


def _step(
    ledger: LedgerView, ticker: Ticker, book: BookEvidence, limits: RiskLimits, purpose: str
) -> ProposeOrder | None:
    """The next reduction of a position; None while one is under way, something is unknown, or nobody offers."""
    held = ledger.position(ticker)
    waits = any(each.spec.reduce_only or each.state == UNK for each in ledger.open_orders(ticker))
    price = book.best_bid if held > 0 else book.best_ask
    count = min(reducible(ledger, ticker), limits.order_count_max)
    if waits or not book.usable or price is None or not count:
        return None
    return ProposeOrder(
        market=ticker,
        side=BookSide.ASK if held > 0 else BookSide.BID,
        price=price,
        count=count,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        post_only=False,
        reduces=True,
        purpose=purpose,
        decision=0,
        model="",
        observation="",
    )
