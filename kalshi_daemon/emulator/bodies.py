"""What REST answers look like: the emulator's values as the exchange's JSON, with its keys and number formats.

Rules: numbers are written from integers, never through a float; an optional field that is unset is absent, and a fact
that the exchange removed is not sent (api.md 2); lists come from `rest.py`, here is the shape of one item.
The deprecated `side` and `action` are still sent, as the exchange still sends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from kalshi_daemon.emulator.model import (
    Balance,
    BookView,
    DayFigures,
    EventTerms,
    FeeChange,
    Fill,
    Market,
    MarketFigures,
    PositionRecord,
    Series,
    Settlement,
    Trade,
)
from kalshi_daemon.emulator.refusals import ErrorShape, Refused
from kalshi_daemon.units import (
    CENT,
    CONTRACT,
    DOLLAR,
    FEE_GRAIN,
    PRICE_CENT,
    PRICE_ONE,
    SECOND_MS,
    BookSide,
    Count,
    Milliseconds,
    Money,
    Price,
)

Body: TypeAlias = dict[str, object]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PPM: Final = 1_000_000


# ----------------------------------------------------------------------------------------------------------- numbers


def price_text(price: Price) -> str:
    """`"0.5600"`."""
    return f"{price // PRICE_ONE}.{price % PRICE_ONE:04d}"


def count_text(count: Count) -> str:
    """`"-10.00"`."""
    return f"{'-' if count < 0 else ''}{abs(count) // CONTRACT}.{abs(count) % CONTRACT:02d}"


def money_text(amount: Money) -> str:
    """`"-0.520000"`."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // DOLLAR}.{abs(amount) % DOLLAR:06d}"


def balance_text(amount: Money) -> str:
    """Balances have four decimals; what is finer than the account's precision is never shown."""
    return money_text(amount - amount % FEE_GRAIN)[:-2]


def time_text(at_ms: Milliseconds) -> str:
    """RFC3339 in UTC, without trailing zeros in the fraction, as the exchange writes it."""
    text = (EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def sides(side: BookSide) -> Body:
    """Both directions of one side of the book, on the YES leg (api.md 3.1)."""
    bid = side is BookSide.BID
    return {"outcome_side": "yes" if bid else "no", "book_side": side.value}


def old_sides(side: BookSide) -> Body:
    """The deprecated pair, as recorded: always of the YES leg."""
    return {"side": "yes", "action": "buy" if side is BookSide.BID else "sell"}


def levels(pairs: Sequence[tuple[Price, Count]]) -> list[list[str]]:
    return [[price_text(price), count_text(count)] for price, count in pairs]


# ------------------------------------------------------------------------------------------------------------- errors


def error_body(refused: Refused) -> Body:
    """One refusal in the shape that the exchange uses for it (api.md 4.7)."""
    if refused.shape is ErrorShape.MSG:
        return {"msg": refused.message}
    parts: Body = {"code": refused.code, "message": refused.message}
    if refused.details:
        parts["details"] = refused.details
    return parts if refused.shape is ErrorShape.FLAT else {"error": parts}


# ------------------------------------------------------------------------------------------------------------ markets


def market_body(market: Market, figures: MarketFigures, day: DayFigures) -> Body:
    """One market. An empty side is written as 0 (no bid) or 1 (no ask)."""
    bid = 0 if figures.best_bid is None else figures.best_bid
    ask = PRICE_ONE if figures.best_ask is None else figures.best_ask
    close = time_text(market.close_ms)
    body: Body = {
        "can_close_early": market.can_close_early,
        "close_time": close,
        "created_time": time_text(market.created_ms),
        "event_ticker": market.event,
        "exchange_index": market.exchange_index,
        "expected_expiration_time": close,
        "expiration_time": close,
        "expiration_value": "",
        "last_price_dollars": price_text(figures.last_price or 0),
        "latest_expiration_time": close,
        "market_type": market.market_type.value,
        "no_ask_dollars": price_text(PRICE_ONE - bid),
        "no_bid_dollars": price_text(PRICE_ONE - ask),
        "no_sub_title": market.no_subtitle,
        "notional_value_dollars": price_text(PRICE_ONE),
        "open_interest_fp": count_text(figures.open_interest),
        "open_time": time_text(market.open_ms),
        "previous_price_dollars": price_text(day.price),
        "previous_yes_ask_dollars": price_text(day.ask),
        "previous_yes_bid_dollars": price_text(day.bid),
        "price_level_structure": market.price_level_structure,
        "price_ranges": price_ranges_body(market),
        "result": market.result,
        "rules_primary": market.rules,
        "rules_secondary": "",
        "settlement_bounds_type": "default" if market.floor is None else "floor",
        "settlement_timer_seconds": market.settlement_timer_ms // SECOND_MS,
        "status": market.status.value,
        "ticker": market.ticker,
        "title": market.title,
        "updated_time": time_text(market.updated_ms),
        "volume_24h_fp": count_text(day.volume),
        "volume_fp": count_text(figures.volume),
        "yes_ask_dollars": price_text(ask),
        "yes_ask_size_fp": count_text(figures.best_ask_count),
        "yes_bid_dollars": price_text(bid),
        "yes_bid_size_fp": count_text(figures.best_bid_count),
        "yes_sub_title": market.yes_subtitle,
    }
    if market.floor is not None:
        body["settlement_floor_dollars"] = price_text(market.floor)
    if market.settlement_value is not None:
        body["settlement_value_dollars"] = price_text(market.settlement_value)
    if market.fee_waiver_ms is not None:
        body["fee_waiver_expiration_time"] = time_text(market.fee_waiver_ms)
    if market.settled_ms is not None:
        body["settlement_ts"] = time_text(market.settled_ms)
    return body


def price_ranges_body(market: Market) -> list[dict[str, str]]:
    return [
        {"end": price_text(piece.end), "start": price_text(piece.start), "step": price_text(piece.step)}
        for piece in market.price_ranges
    ]


def orderbook_body(book: BookView) -> Body:
    return {"no_dollars": levels(book.no), "yes_dollars": levels(book.yes)}


def trade_body(trade: Trade) -> Body:
    taker = sides(trade.taker_side)
    return {
        "count_fp": count_text(trade.count),
        "created_time": time_text(trade.ts_ms),
        "is_block_trade": False,
        "no_price_dollars": price_text(PRICE_ONE - trade.price),
        "taker_book_side": taker["book_side"],
        "taker_outcome_side": taker["outcome_side"],
        "taker_side": taker["outcome_side"],
        "ticker": trade.market,
        "trade_id": trade.trade_id,
        "yes_price_dollars": price_text(trade.price),
    }


def multiplier(ppm: int) -> msgspec.Raw:
    """A fee multiplier: a JSON number on the wire, written from millionths."""
    return msgspec.Raw(f"{ppm // PPM}.{ppm % PPM:06d}".rstrip("0").rstrip(".").encode())


def series_body(series: Series) -> Body:
    return {
        "additional_prohibitions": [],
        "categories": [series.category],
        "category": series.category,
        "contract_terms_url": "",
        "contract_url": "",
        "exchange_index": series.exchange_index,
        "fee_multiplier": multiplier(series.multiplier_ppm),
        "fee_type": series.fee_type.value,
        "frequency": "custom",
        "product_metadata": None,
        "settlement_sources": [],
        "tags": [],
        "ticker": series.ticker,
        "title": series.title,
    }


def event_body(event: EventTerms, series: Series) -> Body:
    """An event; its own fees are there only where it has any."""
    body: Body = {
        "category": series.category,
        "collateral_return_type": "",
        "event_ticker": event.ticker,
        "exchange_index": event.exchange_index,
        "mutually_exclusive": False,
        "product_metadata": None,
        "series_ticker": event.series,
        "settlement_sources": [],
        "sub_title": event.ticker,
        "title": event.title,
    }
    if event.fee_type is not None:
        body["fee_type_override"] = event.fee_type.value
    if event.multiplier_ppm is not None:
        body["fee_multiplier_override"] = multiplier(event.multiplier_ppm)
    return body


def fee_change_body(change: FeeChange) -> Body:
    """A change of fees; of an event's, null is what is left to the series."""
    override = "_override" if change.event else ""
    named: Body = {"event_ticker": change.event} if change.event else {}
    return named | {
        "id": change.change_id,
        "series_ticker": change.series,
        "fee_type" + override: None if change.fee_type is None else change.fee_type.value,
        "fee_multiplier" + override: None if change.multiplier_ppm is None else multiplier(change.multiplier_ppm),
        "scheduled_ts": time_text(change.scheduled_ms),
    }


# ---------------------------------------------------------------------------------------------------------- portfolio


def balance_body(balance: Balance, exchange_index: int | None) -> Body:
    """One subaccount on all shards, or on one. Cents are cut off, not rounded; the same amount follows exactly."""
    shown = [(index, amount) for index, amount in balance.shown if exchange_index in {None, index}]
    total = sum(amount for _index, amount in shown)
    value = sum(amount for index, amount in balance.values if exchange_index in {None, index})
    return {
        "balance": total // CENT,
        "balance_breakdown": [{"balance": balance_text(amount), "exchange_index": index} for index, amount in shown],
        "balance_dollars": balance_text(total),
        "portfolio_value": value // CENT,
        "updated_ts": balance.updated_ms // SECOND_MS,
    }


def subaccount_balance_bodies(balance: Balance) -> list[Body]:
    """One row for each shard."""
    return [
        {
            "balance": balance_text(amount),
            "exchange_index": index,
            "subaccount_number": balance.subaccount,
            "updated_ts": balance.updated_ms // SECOND_MS,
        }
        for index, amount in balance.shown
    ]


def position_body(position: PositionRecord) -> Body:
    return {
        "exchange_index": position.exchange_index,
        "fees_paid_dollars": money_text(position.fees),
        "last_updated_ts": time_text(position.updated_ms),
        "market_exposure_dollars": money_text(position.cost),
        "position_fp": count_text(position.count),
        "realized_pnl_dollars": money_text(position.realised),
        "ticker": position.market,
        "total_traded_dollars": money_text(position.traded),
    }


def event_position_body(event: str, positions: Sequence[PositionRecord]) -> Body:
    """The positions in one event's markets, added up."""
    return {
        "event_exposure_dollars": money_text(sum(one.cost for one in positions)),
        "event_ticker": event,
        "fees_paid_dollars": money_text(sum(one.fees for one in positions)),
        "realized_pnl_dollars": money_text(sum(one.realised for one in positions)),
        "total_cost_dollars": money_text(sum(one.traded for one in positions)),
        "total_cost_shares_fp": count_text(sum(abs(one.count) for one in positions)),
    }


def fill_body(fill: Fill) -> Body:
    """One fill. The exchange shows no client_order_id here: a reader has to join by order_id."""
    return {
        **old_sides(fill.side),
        **sides(fill.side),
        "count_fp": count_text(fill.count),
        "created_time": time_text(fill.ts_ms),
        "exchange_index": fill.exchange_index,
        "fee_cost": money_text(fill.fee),
        "fill_id": fill.trade_id,
        "is_taker": fill.is_taker,
        "market_ticker": fill.market,
        "no_price_dollars": price_text(PRICE_ONE - fill.price),
        "order_id": fill.order_id,
        "subaccount_number": fill.subaccount,
        "ticker": fill.market,
        "trade_id": fill.trade_id,
        "ts": fill.ts_ms // SECOND_MS,
        "yes_price_dollars": price_text(fill.price),
    }


def settlement_body(settlement: Settlement) -> Body:
    """One settlement; `revenue` and `value` are the two amounts that are still whole cents."""
    return {
        "event_ticker": settlement.event,
        "exchange_index": settlement.exchange_index,
        "fee_cost": money_text(settlement.fees),
        "market_result": settlement.result,
        "no_count_fp": count_text(settlement.no_count),
        "no_total_cost_dollars": money_text(settlement.no_cost),
        "revenue": settlement.revenue // CENT,
        "settled_time": time_text(settlement.ts_ms),
        "ticker": settlement.market,
        "value": settlement.value // PRICE_CENT,
        "yes_count_fp": count_text(settlement.yes_count),
        "yes_total_cost_dollars": money_text(settlement.yes_cost),
    }
