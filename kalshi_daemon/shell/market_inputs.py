"""Gathers what a decision looks at: books and histories of the client, positions and orders of the ledger, the
universe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.market_universe import MarketUniverse
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.facts import PriceRange
from kalshi_daemon.policy.inputs import AccountInput, MarketInput, OpenOrder, RestingOrder
from kalshi_daemon.policy.portfolio import Portfolio
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.orderbook_client import OrderBookClient
from kalshi_daemon.units import Milliseconds, Money, Ticker


class MarketInputs:
    def __init__(
        self,
        books: OrderBookClient,
        ledger: LedgerView,
        universe: MarketUniverse,
        clock: Clock,
        reserve: Callable[[], Money],
    ) -> None:
        """`reserve`: the cash that is kept whatever happens (risk P10)."""
        self._books = books
        self._ledger = ledger
        self._universe = universe
        self._clock = clock
        self._reserve = reserve
        self._portfolio = Portfolio(books.histories)

    def markets(self, tickers: Sequence[Ticker], now_ms: Milliseconds) -> list[MarketInput]:
        """The inputs of those markets that are known; `now_ms` is the exchange's time."""
        return [found for ticker in tickers if (found := self._market(ticker, now_ms)) is not None]

    def _market(self, ticker: Ticker, now_ms: Milliseconds) -> MarketInput | None:
        market = self._universe.market(ticker)
        book = self._books.books.get(ticker)
        if market is None or market.fees is None or book is None:
            return None
        return market_input(
            self._books.table,
            self._ledger,
            book,
            Terms(market.fees.multiplier_ppm, market.grid),
            offset_ms=self._clock.offset_ms,
            usable=self._books.usable(ticker) and market.is_active(now_ms),
            closing=market.closes_soon(now_ms) or self._books.is_polled(ticker),
        )

    def account(self) -> AccountInput:
        return account_input(self._portfolio, self._ledger, self._reserve())

    def portfolio_value(self) -> tuple[Money, tuple[Ticker, ...]]:
        """Settled cash and every position at the mid of the side held; and the markets whose mid is an earlier one."""
        account, books = self.account(), self._books.books
        held = [(each.market, books.get(each.market)) for each in account.positions]
        carried = [market for market, book in held if book is None or book.best_bid is None or book.best_ask is None]
        return account.portfolio_value, tuple(carried)


@frozen
class Terms:
    """What the exchange says of a market, and not of its book."""

    fee_multiplier_ppm: int
    grid: tuple[PriceRange, ...]


def market_input(
    table: BookTable,
    ledger: LedgerView,
    book: OrderBook,
    terms: Terms,
    *,
    offset_ms: Milliseconds,
    usable: bool,
    closing: bool,
) -> MarketInput:
    """The same live and from a recording. `offset_ms` leads from our clock, which stamps orders, to the exchange's,
    which features are of.
    """
    ticker = book.market
    position, live = ledger.positions.get(ticker), ledger.live(ticker)
    return MarketInput(
        market=ticker,
        book=book,
        history=table.histories[ticker],
        last_trade=table.last_trades.get(ticker),
        fee_multiplier_ppm=terms.fee_multiplier_ppm,
        position=position.count if position else 0,
        cost=position.cost if position else 0,
        orders=tuple(
            OpenOrder(record.spec.side, record.spec.price, record.intended_ms + offset_ms, _resting(record))
            for record in live
        ),
        reducing=sum(record.spec.count - record.filled for record in live if record.spec.reduce_only),
        grid=terms.grid,
        usable=usable,
        closing=closing,
        unknown=any(record.state == "unknown" for record in live),
    )


def account_input(portfolio: Portfolio, ledger: LedgerView, reserve: Money) -> AccountInput:
    """The same live and from a recording."""
    held = [(market, position.count, position.cost) for market, position in ledger.positions.items()]
    available = max(0, ledger.settled_total - ledger.reserved_total - reserve)
    return portfolio.account(available, ledger.settled_total, held)


def _resting(record: OrderRecord) -> RestingOrder | None:
    """What a decision may amend."""
    if not record.ours or not record.rests or record.amend is not None or not record.spec.post_only:
        return None
    return RestingOrder(record.client_order_id, record.spec.count, record.filled)
