"""The public half of REST: the exchange itself, its markets, books, trades, series and events. Needs no signature.

Each function answers one endpoint (api.md 4.1 and 4.2): it takes the call and returns a body, or raises Refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    event_body,
    market_body,
    orderbook_body,
    series_body,
    time_text,
    trade_body,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.hours import PAUSE_FROM, PAUSE_TO
from kalshi_daemon.emulator.model import Market, MarketStatus
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.requests import csv, page_size, parameter, seconds
from kalshi_daemon.units import SECOND_MS, Milliseconds

STATUS_FILTERS: Final[dict[str, Callable[[Market, Milliseconds], bool]]] = {
    "unopened": lambda market, _now: market.status is MarketStatus.INITIALIZED,
    "open": lambda market, _now: market.status is MarketStatus.ACTIVE,
    "paused": lambda market, _now: market.status is MarketStatus.INACTIVE,
    "closed": lambda market, now: market.close_ms <= now and market.status is not MarketStatus.FINALIZED,
    "settled": lambda market, _now: market.status is MarketStatus.FINALIZED,
}
OPEN_ALL_DAY: Final = [{"open_time": "00:00", "close_time": "00:00"}]
BOOKS_MAX: Final = 100


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


def exchange_schedule(_call: Call) -> Body:
    """Open all week but for the pause of Thursday morning, in New York's time."""
    begins, ends = (at.strftime("%H:%M") for at in (PAUSE_FROM, PAUSE_TO))
    thursday = [{"open_time": "00:00", "close_time": begins}, {"open_time": ends, "close_time": "00:00"}]
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours: Body = {day: thursday if day == "thursday" else OPEN_ALL_DAY for day in days}
    hours |= {"start_time": "2020-01-01T00:00:00Z", "end_time": "2099-01-01T00:00:00Z"}
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": []}}


def list_markets(call: Call) -> Body:
    size = page_size(call.request, "GetMarkets", least=0)
    rows = [
        (place, market)
        for place, market in enumerate(call.exchange.markets.values())
        if all(wanted(market) for wanted in _market_filters(call))
    ]
    markets, cursor = page(rows, parameter(call.request, "cursor"), size)
    return {"cursor": cursor, "markets": [_market(call, market) for market in markets]}


def _market_filters(call: Call) -> list[Callable[[Market], bool]]:
    """What the query asks of a market. Raises Refused for a status that is not one of the filter's words."""
    filters: list[Callable[[Market], bool]] = []
    tickers = set(csv(call.request, "tickers"))
    event, series = parameter(call.request, "event_ticker"), parameter(call.request, "series_ticker")
    status = parameter(call.request, "status")
    if tickers:
        filters.append(lambda market: market.ticker in tickers)
    if event:
        filters.append(lambda market: market.event == event)
    if series:
        filters.append(lambda market: market.series == series)
    if status:
        keep = STATUS_FILTERS.get(status)
        if keep is None:
            raise refusals.invalid_parameters(f"status: one of {', '.join(STATUS_FILTERS)}")
        now_ms = call.now_ms
        filters.append(lambda market: keep(market, now_ms))
    return filters


def _market(call: Call, market: Market) -> Body:
    return market_body(market, call.exchange.figures(market.ticker))


def one_market(call: Call, ticker: str) -> Body:
    return {"market": _market(call, call.exchange.market(ticker))}


def orderbook(call: Call, ticker: str) -> Body:
    """One book; `depth` keeps the best levels of each side, 0 all of them."""
    body = orderbook_body(call.exchange.book(ticker))
    depth = seconds(call.request, "depth", "GetMarketOrderbook") or 0
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


def list_trades(call: Call) -> Body:
    size = page_size(call.request, "GetTrades", least=0)
    least, most = seconds(call.request, "min_ts", "GetTrades"), seconds(call.request, "max_ts", "GetTrades")
    trades = call.exchange.trades(parameter(call.request, "ticker") or None)
    rows = [
        (place, trade)
        for place, trade in newest_first(trades[::-1])
        if (least is None or trade.ts_ms >= least * SECOND_MS) and (most is None or trade.ts_ms <= most * SECOND_MS)
    ]
    shown, cursor = page(rows, parameter(call.request, "cursor"), size)
    return {"cursor": cursor, "trades": [trade_body(trade) for trade in shown]}


def one_series(call: Call, ticker: str) -> Body:
    series = call.exchange.series.get(ticker)
    if series is None:
        raise refusals.not_found()
    return {"series": series_body(series)}


def one_event(call: Call, event: str) -> Body:
    """An event is what its markets say of it. With `with_nested_markets` they are inside it, and not beside it."""
    markets = [market for market in call.exchange.markets.values() if market.event == event]
    if not markets:
        raise refusals.not_found()
    body = event_body(call.exchange.events[event], call.exchange.series[markets[0].series])
    bodies = [_market(call, market) for market in markets]
    if parameter(call.request, "with_nested_markets") == "true":
        return {"event": body | {"markets": bodies}, "markets": []}
    return {"event": body, "markets": bodies}
