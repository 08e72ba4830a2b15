"""The public half of REST: the exchange itself, its markets, books and trades. Needs no signature.

Each function answers one endpoint (api.md 4.1 and 4.2): it takes the call and returns a body, or raises Refused.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    market_body,
    orderbook_body,
    time_text,
    trade_body,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.hours import PAUSE_FROM, PAUSE_TO
from kalshi_daemon.emulator.market_filters import market_filters
from kalshi_daemon.emulator.model import Market
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.requests import csv, page_size, parameter, seconds
from kalshi_daemon.units import SECOND_MS

OPEN_ALL_DAY: Final = [{"open_time": "00:00", "close_time": "00:00"}]
BOOKS_MAX: Final = 100
DEPTH_MAX: Final = 100  # levels of one side that may be asked for


def exchange_status(call: Call) -> Body:
    return status_body(call.exchange)


def status_body(exchange: Exchange) -> Body:
    """What is open, shard by shard; the flags at the top are shard 0's."""
    hours = exchange.hours

    def flags(index: int) -> Body:
        active = hours.active
        trading = hours.trades(index)
        return {"exchange_active": active, "trading_active": trading, "intra_exchange_transfers_active": active}

    body = flags(0)
    if hours.resume_ms is not None:
        body["exchange_estimated_resume_time"] = time_text(hours.resume_ms)
    shards = exchange.settings.exchange_indexes
    return body | {
        "exchange_index_statuses": [
            {"exchange_index": index, "description": f"Shard {index}"} | flags(index) for index in shards
        ]
    }


def exchange_schedule(call: Call) -> Body:
    """Open all week, but for the pause of Thursday morning where the exchange keeps it, in New York's time; and what
    maintenance is announced."""
    begins, ends = (at.strftime("%H:%M") for at in (PAUSE_FROM, PAUSE_TO))
    thursday = [{"open_time": "00:00", "close_time": begins}, {"open_time": ends, "close_time": "00:00"}]
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    paused = "thursday" if call.exchange.settings.weekly_pause else ""
    hours: Body = {day: thursday if day == paused else OPEN_ALL_DAY for day in days}
    hours |= {"start_time": "2020-01-01T00:00:00Z", "end_time": "2099-01-01T00:00:00Z"}
    windows = [
        {"start_datetime": time_text(begins_ms), "end_datetime": time_text(ends_ms)}
        for begins_ms, ends_ms in call.exchange.hours.announced
    ]
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": windows}}


def list_markets(call: Call, *, archived: bool = False) -> Body:
    size = page_size(call.request, "GetMarkets", least=0)
    filters = market_filters(call)
    rows = [
        (place, one)
        for place, one in enumerate(call.exchange.markets.values())
        if is_archived(call, one) is archived and all(wanted(one) for wanted in filters)
    ]
    markets, cursor = page(rows, parameter(call.request, "cursor"), size)
    return {"cursor": cursor, "markets": [market(call, one) for one in markets]}


def is_archived(call: Call, one: Market) -> bool:
    return one.settled_ms is not None and one.settled_ms < call.cutoff_ms


def market(call: Call, one: Market) -> Body:
    return market_body(one, call.exchange.figures(one.ticker), call.candles.day(one.ticker, call.now_ms))


def one_market(call: Call, ticker: str, *, archived: bool = False) -> Body:
    one = call.exchange.market(ticker)
    if is_archived(call, one) is not archived:
        raise refusals.market_not_found()
    return {"market": market(call, one)}


def orderbook(call: Call, ticker: str) -> Body:
    """One book; `depth` keeps the best levels of each side, 0 all of them. Raises Refused for one that is too deep."""
    body = orderbook_body(call.exchange.book(ticker))
    depth = seconds(call.request, "depth", "GetMarketOrderbook") or 0
    if not 0 <= depth <= DEPTH_MAX:
        raise refusals.invalid_parameters(f"depth: 0 to {DEPTH_MAX}")
    if depth > 0:
        body = {side: pairs[-depth:] for side, pairs in body.items() if isinstance(pairs, list)}
    return {"orderbook_fp": body}


def orderbooks(call: Call) -> Body:
    tickers = csv(call.request, "tickers")
    if not 1 <= len(tickers) <= BOOKS_MAX:
        raise refusals.invalid_parameters(f"tickers: 1 to {BOOKS_MAX}")
    known = [ticker for ticker in tickers if ticker in call.exchange.markets]
    return {
        "orderbooks": [
            {"orderbook_fp": orderbook_body(call.exchange.book(ticker)), "ticker": ticker} for ticker in known
        ]
    }


def list_trades(call: Call, *, archived: bool = False) -> Body:
    size = page_size(call.request, "GetTrades", least=0)
    least, most = seconds(call.request, "min_ts", "GetTrades"), seconds(call.request, "max_ts", "GetTrades")
    ticker, blocks = parameter(call.request, "ticker"), parameter(call.request, "is_block_trade")
    known = not ticker or ticker in call.exchange.markets
    trades = call.exchange.trades(ticker or None) if known and blocks != "true" else []  # there are no block trades
    rows = [
        (place, trade)
        for place, trade in newest_first(trades[::-1])
        if (trade.ts_ms < call.cutoff_ms) is archived
        and (least is None or trade.ts_ms >= least * SECOND_MS)
        and (most is None or trade.ts_ms <= most * SECOND_MS)
    ]
    shown, cursor = page(rows, parameter(call.request, "cursor"), size)
    return {"cursor": cursor, "trades": [trade_body(trade) for trade in shown]}


archived_markets = partial(list_markets, archived=True)
archived_market = partial(one_market, archived=True)
archived_trades = partial(list_trades, archived=True)
