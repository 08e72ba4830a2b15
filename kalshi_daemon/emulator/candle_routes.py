"""Candlesticks over REST: of one market, of several, and of one in the archive (api.md 4.2). Needs no signature.

Each function answers one endpoint. A candle is shown if its period ends between `start_ts` and `end_ts`, both included.
"""

from __future__ import annotations

from typing import Final

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import Body, count_text, price_text
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.candles import MINUTE_S, Bar, Span
from kalshi_daemon.emulator.public_routes import is_archived
from kalshi_daemon.emulator.requests import csv, parameter, seconds

INTERVALS: Final = (1, 60, 1_440)
MARKETS_MAX: Final = 100
CANDLES_MAX: Final = 10_000  # in one answer


def market_candles(call: Call, series: str, ticker: str) -> Body:
    market = call.exchange.market(ticker)
    if market.series != series or is_archived(call, market):
        raise refusals.market_not_found()
    return {"candlesticks": _candles(call, ticker), "ticker": ticker}


def batch_candles(call: Call) -> Body:
    tickers = csv(call.request, "market_tickers")
    if not 1 <= len(tickers) <= MARKETS_MAX:
        raise refusals.invalid_parameters(f"market_tickers: 1 to {MARKETS_MAX}")
    known = [ticker for ticker in tickers if ticker in call.exchange.markets]
    markets = [{"candlesticks": _candles(call, ticker), "market_ticker": ticker} for ticker in known]
    if sum(len(one["candlesticks"]) for one in markets) > CANDLES_MAX:
        raise refusals.invalid_parameters(f"at most {CANDLES_MAX} candlesticks")
    return {"markets": markets}


def archived_candles(call: Call, ticker: str) -> Body:
    """The archive's candles have shorter names."""
    if not is_archived(call, call.exchange.market(ticker)):
        raise refusals.market_not_found()
    bars = _between(call, ticker)
    return {"candlesticks": [_body(bar, "", "") for bar in bars], "ticker": ticker}


def _candles(call: Call, ticker: str) -> list[Body]:
    bodies = [_body(bar, "_dollars", "_fp") for bar in _between(call, ticker)]
    if parameter(call.request, "include_latest_before_start") == "true":
        bodies = _latest_before(call, ticker) + bodies
    return bodies


def _bounds(call: Call) -> tuple[int, int, int]:
    """The first and last moment and the minutes of a period; all three are required."""
    start_s, end_s = seconds(call.request, "start_ts", "Candlesticks"), seconds(call.request, "end_ts", "Candlesticks")
    minutes = seconds(call.request, "period_interval", "Candlesticks")
    if start_s is None or end_s is None or minutes not in INTERVALS or start_s > end_s:
        raise refusals.invalid_parameters(f"start_ts, end_ts and period_interval, one of {INTERVALS}, are required")
    return start_s, end_s, minutes


def _between(call: Call, ticker: str) -> list[Bar]:
    start_s, end_s, minutes = _bounds(call)
    return [bar for bar in call.candles.of(ticker, minutes) if start_s <= bar.end_s <= end_s]


def _latest_before(call: Call, ticker: str) -> list[Body]:
    """The last candle before the start, put to the first boundary after it: its close as what was before."""
    start_s, _end_s, minutes = _bounds(call)
    before = [bar for bar in call.candles.of(ticker, minutes) if bar.end_s < start_s]
    if not before:
        return []
    bar, period_s = before[-1], minutes * MINUTE_S
    last = bar.previous if bar.trades is None else bar.trades.close
    end_s = (start_s // period_s + 1) * period_s
    flat = Bar(end_s, Span.at(bar.bid.close), Span.at(bar.ask.close), last, open_interest=bar.open_interest)
    return [_body(flat, "_dollars", "_fp")]


def _body(bar: Bar, money: str, count: str) -> Body:
    """One candle. `money` and `count` end the names of its prices and counts."""
    none = dict.fromkeys([f"{name}{money}" for name in ("open", "low", "high", "close")])
    mean = (2 * bar.cost + bar.volume) // (2 * bar.volume) if bar.volume else None
    traded = none if bar.trades is None else _span(bar.trades, money)
    return {
        "end_period_ts": bar.end_s,
        f"open_interest{count}": count_text(bar.open_interest),
        "price": traded | {f"mean{money}": _optional(mean), f"previous{money}": _optional(bar.previous)},
        f"volume{count}": count_text(bar.volume),
        "yes_ask": _span(bar.ask, money),
        "yes_bid": _span(bar.bid, money),
    }


def _span(span: Span, money: str) -> Body:
    prices = {"open": span.open, "low": span.low, "high": span.high, "close": span.close}
    return {f"{name}{money}": price_text(price) for name, price in prices.items()}


def _optional(price: int | None) -> str | None:
    return None if price is None else price_text(price)
