"""What a recorded batch was decided on, gathered from the recorded books and the folded account by the functions that
gather it live.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.errors import RecordingDamaged
from kalshi_daemon.policy.inputs import AccountInput, MarketInput
from kalshi_daemon.policy.portfolio import Portfolio
from kalshi_daemon.replay.books import RecordedBooks
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.market_inputs import Terms, account_input, market_input
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.records import CLOSING, USABLE, Batch, Decided, Record, TermsKnown


@frozen
class InputsDiffer(Exception):
    """A batch was decided on something else than the records lead to."""

    what: str

    def __str__(self) -> str:
        return self.what


class RecordedInputs:
    """Hand it every record; ask it for the inputs of a batch when that is the record."""

    def __init__(self, books: RecordedBooks, ledger: LedgerView) -> None:
        """`ledger`: folded up to the batch's version when its inputs are asked for."""
        self._books = books
        self._ledger = ledger
        self._terms: dict[Ticker, Terms] = {}

    @property
    def _table(self) -> BookTable:
        return self._books.table

    def apply(self, record: Record) -> None:
        """Raises BooksDiffer, RecordingDamaged."""
        self._books.apply(record)
        if isinstance(record, TermsKnown):
            self._terms[record.market] = Terms(record.fee_multiplier_ppm, record.grid)

    def markets(self, batch: Batch) -> Sequence[MarketInput]:
        """Raises InputsDiffer, RecordingDamaged."""
        return [self._market(batch, decided) for decided in batch.markets]

    def _market(self, batch: Batch, decided: Decided) -> MarketInput:
        market = decided.market
        book, terms = self._table.books.get(market), self._terms.get(market)
        if book is None or terms is None:
            what = "terms" if book else "book"
            raise RecordingDamaged(f"batch {batch.number} decided {market}, of which the records show no {what}")
        if book.version != decided.version:
            raise InputsDiffer(f"{market}: its book is at version {book.version}, and was at {decided.version}")
        return market_input(
            self._table,
            self._ledger,
            book,
            terms,
            offset_ms=batch.offset_ms,
            usable=bool(decided.flags & USABLE),
            closing=bool(decided.flags & CLOSING),
        )

    def account(self, batch: Batch) -> AccountInput:
        """Raises InputsDiffer."""
        account = account_input(Portfolio(self._table.histories), self._ledger, batch.reserve)
        elsewhere = dict(batch.elsewhere)
        positions = tuple(evolve(held, value=elsewhere.get(held.market, held.value)) for held in account.positions)
        moved = sum(held.value for held in positions) - sum(held.value for held in account.positions)
        account = evolve(account, positions=positions, portfolio_value=account.portfolio_value + moved)
        if account.portfolio_value != batch.portfolio_value:
            raise InputsDiffer(
                f"the portfolio is worth {account.portfolio_value} micro-dollars, and was {batch.portfolio_value}"
            )
        return account
