"""What a query of markets asks for: tickers, event, series, status and times (api.md 4.2).

Rules: `status` is a word of the filter's own vocabulary, and only one; each pair of times goes with some statuses, and
the times of change only with `mve_filter=exclude`. What does not go together is refused (the words are assumed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.model import Market, MarketStatus
from kalshi_daemon.emulator.requests import csv, parameter, seconds
from kalshi_daemon.units import SECOND_MS, Milliseconds

Filter: TypeAlias = Callable[[Market], bool]
COMBO: Final = "KXMVE"  # how the ticker of every multivariate market begins
STATUS_FILTERS: Final[dict[str, Callable[[Market, Milliseconds], bool]]] = {
    "unopened": lambda market, _now: market.status is MarketStatus.INITIALIZED,
    "open": lambda market, _now: market.status is MarketStatus.ACTIVE,
    "paused": lambda market, _now: market.status is MarketStatus.INACTIVE,
    "closed": lambda market, now: market.close_ms <= now and market.status is not MarketStatus.FINALIZED,
    "settled": lambda market, _now: market.status is MarketStatus.FINALIZED,
}
_TIMES: Final[dict[str, tuple[Callable[[Market], Milliseconds | None], frozenset[str]]]] = {
    "created": (lambda market: market.created_ms, frozenset({"", "unopened", "open"})),
    "close": (lambda market: market.close_ms, frozenset({"", "closed"})),
    "settled": (lambda market: market.settled_ms, frozenset({"", "settled"})),
    "updated": (lambda market: market.updated_ms, frozenset({""})),
}


def market_filters(call: Call) -> list[Filter]:
    """One function for each thing asked. Raises Refused."""
    filters: list[Filter] = []
    tickers = set(csv(call.request, "tickers"))
    event, series = parameter(call.request, "event_ticker"), parameter(call.request, "series_ticker")
    if tickers:
        filters.append(lambda market: market.ticker in tickers)
    if event:
        filters.append(lambda market: market.event == event)
    if series:
        filters.append(lambda market: market.series == series)
    combos = _combos(call)
    if combos:
        filters.append(lambda market: market.ticker.startswith(COMBO) is (combos == "only"))
    status = parameter(call.request, "status")
    if status:
        filters.append(_of_status(status, call.now_ms))
    for name in _TIMES:
        filters += _of_time(call, name, status, combos)
    return filters


def _of_status(status: str, now_ms: Milliseconds) -> Filter:
    keep = STATUS_FILTERS.get(status)
    if keep is None:
        raise refusals.invalid_parameters(f"status: one of {', '.join(STATUS_FILTERS)}")
    return lambda market: keep(market, now_ms)


def _combos(call: Call) -> str:
    combos = parameter(call.request, "mve_filter")
    if combos not in {"", "only", "exclude"}:
        raise refusals.invalid_parameters("mve_filter: only or exclude")
    return combos


def _of_time(call: Call, name: str, status: str, combos: str) -> list[Filter]:
    """The bounds of one time, both inclusive; a market without that time is left out."""
    least = seconds(call.request, f"min_{name}_ts", "GetMarkets")
    most = seconds(call.request, f"max_{name}_ts", "GetMarkets")
    if least is None and most is None:
        return []
    time_of, statuses = _TIMES[name]
    if status not in statuses:
        raise refusals.invalid_parameters(f"min_{name}_ts and max_{name}_ts do not go with status {status}")
    if name == "updated" and combos != "exclude":
        raise refusals.invalid_parameters("min_updated_ts and max_updated_ts go with mve_filter=exclude")
    first = 0 if least is None else least * SECOND_MS

    def wanted(market: Market) -> bool:
        at_ms = time_of(market)
        return at_ms is not None and at_ms >= first and (most is None or at_ms <= most * SECOND_MS)

    return [wanted]
