"""Our own orders and fills as the stream and the lists of REST tell of them: what both say in the same words, to facts.

The two differ in the names of a market and of a fill, in how a time is written, and in who knows the client's id: each
hands in what it has read of those.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_daemon.errors import WireError
from kalshi_daemon.facts import FillSeen, OrderSeen
from kalshi_daemon.units import SECOND_MS, BookSide, Milliseconds, Ticker
from kalshi_daemon.wire.fixed_point import bad_number, parse_count, parse_fee, parse_quote
from kalshi_daemon.wire.reading import Id, Whole, Word


class OrderText(msgspec.Struct, frozen=True, gc=False):
    order_id: Id
    client_order_id: Word
    ticker: Id
    status: Literal["resting", "canceled", "executed"]
    book_side: BookSide
    yes_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    exchange_index: Whole
    last_update_reason: Word = ""


class FillText(msgspec.Struct, frozen=True, gc=False):
    order_id: Id
    is_taker: bool
    yes_price_dollars: str
    count_fp: str
    fee_cost: str
    book_side: BookSide
    exchange_index: Whole


def order_seen(
    body: OrderText, at_ms: Milliseconds, source: str, updated_ms: Milliseconds | None, expires_ms: Milliseconds | None
) -> OrderSeen:
    """`updated_ms`: when it last changed or was made, without which nothing orders what is said of it."""
    if updated_ms is None:
        raise WireError("missing_field", "an order without the time of its last update and of its creation")
    return OrderSeen(
        at_ms=at_ms,
        source=source,
        order_id=body.order_id,
        client_order_id=body.client_order_id,
        market=body.ticker,
        side=body.book_side,
        price=parse_quote(body.yes_price_dollars),
        status=body.status,
        filled=parse_count(body.fill_count_fp),
        remaining=parse_count(body.remaining_count_fp),
        initial=parse_count(body.initial_count_fp),
        updated_ms=updated_ms,
        expires_s=None if expires_ms is None else expires_ms // SECOND_MS,
        reason=body.last_update_reason,
        exchange_index=body.exchange_index,
    )


def fill_seen(
    body: FillText,
    at_ms: Milliseconds,
    source: str,
    *,
    trade_id: str,
    client_order_id: str,
    market: Ticker,
    ts_ms: Milliseconds,
) -> FillSeen:
    """One execution, whose count is never zero."""
    count = parse_count(body.count_fp)
    if count == 0:
        raise bad_number(body.count_fp, "the count of a fill")
    return FillSeen(
        at_ms=at_ms,
        source=source,
        trade_id=trade_id,
        order_id=body.order_id,
        client_order_id=client_order_id,
        market=market,
        side=body.book_side,
        price=parse_quote(body.yes_price_dollars),
        count=count,
        fee=parse_fee(body.fee_cost),
        is_taker=body.is_taker,
        ts_ms=ts_ms,
        exchange_index=body.exchange_index,
    )
