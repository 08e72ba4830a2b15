"""The books and their windows as values, and back: what a checkpoint of a recording holds.

Rule: a table that was restored goes on exactly as the one that was remembered.
"""

from __future__ import annotations

from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.wire.records import BookState


def remember(table: BookTable) -> list[BookState]:
    return [
        BookState(
            market=market,
            yes=book.yes.levels(),
            no=book.no.levels(),
            known=book.known,
            version=book.version,
            ts_ms=book.ts_ms,
            clock=book.clock,
            contracts_changed=book.contracts_changed,
            last_trade=table.last_trades.get(market),
            window=table.histories[market].remember(),
        )
        for market, book in table.books.items()
    ]


def restore(table: BookTable, states: list[BookState]) -> None:
    """Into a table of any books: they are these and no others afterwards."""
    table.want(())
    table.want([state.market for state in states])
    for state in states:
        book = table.books[state.market]
        book.replace(state.yes, state.no, clock=state.clock, ts_ms=None)
        book.known, book.version, book.ts_ms = state.known, state.version, state.ts_ms
        book.contracts_changed = state.contracts_changed
        table.histories[state.market].restore(state.window)
        if state.last_trade is not None:
            table.last_trades[state.market] = state.last_trade
