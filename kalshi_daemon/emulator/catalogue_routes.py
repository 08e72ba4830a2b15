"""Series and events over REST, and the changes of their fees (api.md 3.3 and 4.2). Needs no signature.

Each function answers one endpoint. Multivariate events have a list of their own.
"""

from __future__ import annotations

from typing import Final

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import Body, event_body, fee_change_body, series_body
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.market_filters import COMBO, STATUS_FILTERS
from kalshi_daemon.emulator.model import Market
from kalshi_daemon.emulator.pages import newest_first, page
from kalshi_daemon.emulator.public_routes import market
from kalshi_daemon.emulator.requests import csv, page_size, parameter, seconds
from kalshi_daemon.units import SECOND_MS

EVENTS_MAX: Final = 200


def list_series(call: Call) -> Body:
    """All series, or those of a category; the emulator's have no tags."""
    category, tags = parameter(call.request, "category"), csv(call.request, "tags")
    listed = [one for one in call.exchange.series.values() if category in {"", one.category} and not tags]
    return {"series": [series_body(one) for one in listed]}


def one_series(call: Call, ticker: str) -> Body:
    series = call.exchange.series.get(ticker)
    if series is None:
        raise refusals.not_found()
    return {"series": series_body(series)}


def series_fee_changes(call: Call) -> Body:
    """Of all series or one: those that are to come, and on request those that were made."""
    made, series = parameter(call.request, "show_historical") == "true", parameter(call.request, "series_ticker")
    listed = [one for one in call.exchange.fees.changes(made=made) if not one.event and series in {"", one.series}]
    return {"series_fee_change_arr": [fee_change_body(one) for one in listed]}


def event_fee_changes(call: Call) -> Body:
    """Of all events or one, newest first (assumed), those that were made among them."""
    event = parameter(call.request, "event_ticker")
    listed = [one for one in call.exchange.fees.changes(made=True) if one.event and event in {"", one.event}]
    size = page_size(call.request, "GetEventFeeChanges")
    shown, cursor = page(newest_first(listed), parameter(call.request, "cursor"), size)
    return {"cursor": cursor, "event_fee_changes": [fee_change_body(one) for one in shown]}


def list_events(call: Call, *, combos: bool = False) -> Body:
    """Events that have a market of the status asked for, closing late enough; their markets inside on request."""
    size = page_size(call.request, "GetEvents", most=EVENTS_MAX)
    tickers, series = set(csv(call.request, "tickers")), parameter(call.request, "series_ticker")
    status = parameter(call.request, "status")
    if status and status not in STATUS_FILTERS:
        raise refusals.invalid_parameters(f"status: one of {', '.join(STATUS_FILTERS)}")
    closing_s = seconds(call.request, "min_close_ts", "GetEvents") or 0
    markets: dict[str, list[Market]] = {}
    for one in call.exchange.markets.values():
        markets.setdefault(one.event, []).append(one)
    rows = [
        (place, event)
        for place, event in enumerate(call.exchange.events.values())
        if (not tickers or event.ticker in tickers)
        and event.ticker.startswith(COMBO) is combos
        and series in {"", event.series}
        and any(
            (not status or STATUS_FILTERS[status](one, call.now_ms)) and one.close_ms >= closing_s * SECOND_MS
            for one in markets[event.ticker]
        )
    ]
    shown, cursor = page(rows, parameter(call.request, "cursor"), size)
    nested = parameter(call.request, "with_nested_markets") == "true"
    bodies = [event_body(event, call.exchange.series[event.series]) for event in shown]
    if nested:
        for body, event in zip(bodies, shown, strict=True):
            body["markets"] = [market(call, one) for one in markets[event.ticker]]
    listed: Body = {"cursor": cursor, "events": bodies}
    return listed if combos else listed | {"milestones": []}


def list_combos(call: Call) -> Body:
    return list_events(call, combos=True)


def one_event(call: Call, ticker: str) -> Body:
    """An event with its markets: beside it, or inside it with `with_nested_markets`, or without any on request."""
    event = call.exchange.events.get(ticker)
    if event is None:
        raise refusals.not_found()
    body = event_body(event, call.exchange.series[event.series])
    if parameter(call.request, "exclude_markets") == "true":
        return {"event": body, "markets": []}
    bodies = [market(call, one) for one in call.exchange.markets.values() if one.event == ticker]
    if parameter(call.request, "with_nested_markets") == "true":
        return {"event": body | {"markets": bodies}, "markets": []}
    return {"event": body, "markets": bodies}
