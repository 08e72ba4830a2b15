"""What stream messages say: the `msg` of every kind of frame, with the exchange's keys (api.md 7).

Rules as in `bodies.py`: numbers from integers, unset optionals absent, deprecated fields sent as long as the exchange
does. The envelope around them (type, sid, seq, id) is `subscriptions.py`'s.
"""

from __future__ import annotations

from kalshi_daemon.emulator.bodies import (
    Body,
    count_text,
    levels,
    money_text,
    multiplier,
    old_sides,
    price_ranges_body,
    price_text,
    sides,
    time_text,
)
from kalshi_daemon.emulator.events import (
    EventFeesChanged,
    EventListed,
    Filled,
    LevelChanged,
    MarketMoved,
    OrderGroupUpdated,
    OrderUpdated,
    PositionChanged,
    Traded,
)
from kalshi_daemon.emulator.model import BookView, Market, MarketFigures, Order, UpdateReason
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, SECOND_MS, Milliseconds


def snapshot_msg(book: BookView, market: Market, *, use_yes_price: bool, send_clock: bool) -> Body:
    """All levels, ascending in the price shown; the key of an empty side is absent."""
    msg: Body = {"market_ticker": book.market, "market_id": market.market_id}
    if send_clock:
        msg["clock"] = book.clock
    if book.yes:
        msg["yes_dollars_fp"] = levels(book.yes)
    if book.no:
        no = [(PRICE_ONE - price, count) for price, count in reversed(book.no)] if use_yes_price else book.no
        msg["no_dollars_fp"] = levels(no)
    return msg


def delta_msg(change: LevelChanged, market: Market, *, use_yes_price: bool, send_clock: bool, own: bool) -> Body:
    """One signed change. `own`: the reader's own order caused it, and is named: by its id, and its subaccount."""
    shown = PRICE_ONE - change.price if use_yes_price and not change.yes else change.price
    msg: Body = {"market_ticker": change.market, "market_id": market.market_id}
    if send_clock:
        msg["clock"] = change.clock
    msg |= {
        "price_dollars": price_text(shown),
        "delta_fp": count_text(change.change),
        "side": "yes" if change.yes else "no",
    }
    if own and change.client_order_id:
        msg["client_order_id"] = change.client_order_id
    if own and change.subaccount:
        msg["subaccount"] = change.subaccount
    return msg | {"ts": time_text(change.ts_ms), "ts_ms": change.ts_ms}


def ticker_msg(market: Market, figures: MarketFigures, ts_ms: Milliseconds) -> Body:
    """How a market stands; an empty side is written as 0 (no bid) or 1 (no ask), and 0 stands for no trade yet."""
    return {
        "market_id": market.market_id,
        "market_ticker": market.ticker,
        "price_dollars": price_text(figures.last_price or 0),
        "yes_bid_dollars": price_text(figures.best_bid or 0),
        "yes_ask_dollars": price_text(PRICE_ONE if figures.best_ask is None else figures.best_ask),
        "yes_bid_size_fp": count_text(figures.best_bid_count),
        "yes_ask_size_fp": count_text(figures.best_ask_count),
        "last_trade_size_fp": count_text(figures.last_count),
        "volume_fp": count_text(figures.volume),
        "open_interest_fp": count_text(figures.open_interest),
        "dollar_volume": figures.dollar_volume // DOLLAR,
        "dollar_open_interest": figures.open_interest // CONTRACT,  # a contract is worth a dollar
        "ts": ts_ms // SECOND_MS,
        "ts_ms": ts_ms,
        "time": time_text(ts_ms),
    }


def trade_msg(traded: Traded) -> Body:
    trade = traded.trade
    taker = sides(trade.taker_side)
    return {
        "trade_id": trade.trade_id,
        "market_ticker": trade.market,
        "yes_price_dollars": price_text(trade.price),
        "no_price_dollars": price_text(PRICE_ONE - trade.price),
        "count_fp": count_text(trade.count),
        "taker_side": taker["outcome_side"],
        "taker_outcome_side": taker["outcome_side"],
        "taker_book_side": taker["book_side"],
        "is_block_trade": False,
        "ts": trade.ts_ms // SECOND_MS,
        "ts_ms": trade.ts_ms,
    }


def fill_msg(filled: Filled) -> Body:
    fill = filled.fill
    msg: Body = {"trade_id": fill.trade_id, "order_id": fill.order_id}
    if fill.client_order_id:
        msg["client_order_id"] = fill.client_order_id
    if fill.subaccount:
        msg["subaccount"] = fill.subaccount
    return msg | {
        "market_ticker": fill.market,
        "exchange_index": fill.exchange_index,
        "is_taker": fill.is_taker,
        **old_sides(fill.side),
        **sides(fill.side),
        "purchased_side": sides(fill.side)["outcome_side"],
        "yes_price_dollars": price_text(fill.price),
        "count_fp": count_text(fill.count),
        "fee_cost": money_text(fill.fee),
        "ts": fill.ts_ms // SECOND_MS,
        "ts_ms": fill.ts_ms,
        "post_position_fp": count_text(filled.post_position),
    }


def user_order_msg(updated: OrderUpdated) -> Body:
    order = updated.order
    msg = _order_basics(order)
    if order.expires_ms is not None:
        msg |= {"expiration_time": time_text(order.expires_ms), "expiration_ts_ms": order.expires_ms}
    if order.updated_ms != order.created_ms:
        msg |= {"last_update_time": time_text(order.updated_ms), "last_updated_ts_ms": order.updated_ms}
    if order.group_id:
        msg["order_group_id"] = order.group_id
    if order.reason is not UpdateReason.NONE:
        msg["last_update_reason"] = order.reason.value
    return msg


def _order_basics(order: Order) -> Body:
    return {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "ticker": order.market,
        "exchange_index": order.exchange_index,
        "status": order.status.value,
        "side": "yes",
        "is_yes": True,
        **sides(order.side),
        "yes_price_dollars": price_text(order.price),
        "fill_count_fp": count_text(order.filled),
        "remaining_count_fp": count_text(order.remaining),
        "initial_count_fp": count_text(order.initial),
        "taker_fill_cost_dollars": money_text(order.taker_cost),
        "maker_fill_cost_dollars": money_text(order.maker_cost),
        "taker_fees_dollars": money_text(order.taker_fees),
        "maker_fees_dollars": money_text(order.maker_fees),
        "client_order_id": order.client_order_id,
        "self_trade_prevention_type": order.self_trade_prevention.value,
        "created_time": time_text(order.created_ms),
        "created_ts_ms": order.created_ms,
        "subaccount_number": order.subaccount,
    }


def position_msg(changed: PositionChanged) -> Body:
    position = changed.position
    msg: Body = {"subaccount": position.subaccount} if position.subaccount else {}
    return msg | {
        "user_id": changed.account,
        "market_ticker": position.market,
        "position_fp": count_text(position.count),
        "position_cost_dollars": money_text(position.cost),
        "realized_pnl_dollars": money_text(position.realised),
        "fees_paid_dollars": money_text(position.fees),
        "position_fee_cost_dollars": money_text(position.open_fees),
        "volume_fp": count_text(position.volume),
    }


def order_group_msg(updated: OrderGroupUpdated) -> Body:
    msg: Body = {"event_type": updated.event_type, "order_group_id": updated.group_id}
    if updated.contracts_limit is not None:
        msg["contracts_limit_fp"] = count_text(updated.contracts_limit)
    return msg | {"ts_ms": updated.ts_ms}


def event_lifecycle_msg(listed: EventListed) -> Body:
    event = listed.event
    return {
        "event_ticker": event.ticker,
        "exchange_index": event.exchange_index,
        "title": event.title,
        "subtitle": event.ticker,
        "collateral_return_type": "",
        "series_ticker": event.series,
    }


def event_fee_msg(changed: EventFeesChanged) -> Body:
    """An event's own fees; null where the series' hold again."""
    event = changed.event
    return {
        "event_ticker": event.ticker,
        "fee_type_override": event.fee_type,
        "fee_multiplier_override": None if event.multiplier_ppm is None else multiplier(event.multiplier_ppm),
    }


def lifecycle_msg(moved: MarketMoved, *, is_combo: bool) -> Body:
    """A step in a market's life; what it carries depends on the step. Combos are told nothing of price ranges."""
    market = moved.market
    msg: Body = {"market_ticker": market.ticker, "event_type": moved.event}
    match moved.event:
        case "created":
            msg |= {"exchange_index": market.exchange_index, "additional_metadata": _metadata(market)}
            msg |= {"open_ts": market.open_ms // SECOND_MS, "close_ts": market.close_ms // SECOND_MS}
            msg["price_level_structure"] = market.price_level_structure
            if not is_combo:
                msg["price_ranges"] = price_ranges_body(market)
        case "activated" | "deactivated":
            msg["is_deactivated"] = moved.event == "deactivated"
        case "close_date_updated":
            msg["close_ts"] = market.close_ms // SECOND_MS
        case "determined":
            assert market.settlement_value is not None, "a determined market has a value"
            msg |= {"determination_ts": moved.ts_ms // SECOND_MS, "result": market.result}
            msg["settlement_value"] = price_text(market.settlement_value)
        case "settled":
            msg["settled_ts"] = moved.ts_ms // SECOND_MS
        case "metadata_updated":
            msg["yes_sub_title"] = market.yes_subtitle
        case "price_level_structure_updated":
            msg |= {"price_level_structure": market.price_level_structure, "price_ranges": price_ranges_body(market)}
    return msg


def _metadata(market: Market) -> Body:
    return {
        "name": market.title,
        "title": market.title,
        "yes_sub_title": market.yes_subtitle,
        "no_sub_title": market.no_subtitle,
        "rules_primary": market.rules,
        "rules_secondary": "",
        "can_close_early": market.can_close_early,
        "event_ticker": market.event,
        "expected_expiration_ts": market.close_ms // SECOND_MS,
    }
