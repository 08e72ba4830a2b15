"""One market as a value: what it is, what it may be asked, and its grid of prices.

Rules: the grid is the list of ranges that the market itself shows, never a label, and it can change live. A price
is valid on the grid and strictly between nothing and one dollar. Times are the exchange's; whoever asks brings the
clock.
"""

from __future__ import annotations

from functools import cached_property
from math import gcd

from attrs import frozen

from kalshi_daemon.facts import PriceRange, SeriesFees
from kalshi_daemon.limits import CLOSING_SOON_MS
from kalshi_daemon.units import PRICE_ONE, Count, Milliseconds, Price, Ticker
from statecharts.market import ACT


@frozen
class Market:
    """`status` is a column of statecharts/market.py; `unproven` where only the clock says that it is open.

    `refused_ms` is when an order was answered 409 while it was shown active, `active_read_ms` when a read first
    said active after that. `fees` is its series' schedule under its event's own (core/fee_schedules.py), None until
    both were read; `fees_refused` says why nothing may be bought by them. `listed` is false where a complete read
    left it out. `leaving`: kept in view for what we have there, and no longer selected, so that it is only reduced.
    Until `waived_ms` fees are waived, to an extent that the exchange does not state.
    """

    ticker: Ticker
    event: Ticker
    series: Ticker
    status: str
    unproven: bool
    grid: tuple[PriceRange, ...]
    open_ms: Milliseconds
    close_ms: Milliseconds
    exchange_index: int
    result: str
    settlement_value: Price | None
    fees: SeriesFees | None
    refused_ms: Milliseconds | None
    active_read_ms: Milliseconds | None
    kind: str = "binary"
    volume_24h: Count = 0
    spread: Price = 0
    listed: bool = True
    fees_refused: str = ""
    leaving: bool = False
    waived_ms: Milliseconds | None = None

    def is_active(self, now_ms: Milliseconds) -> bool:
        """Whether orders are taken: the exchange says active, and by the clock it has not closed."""
        return self.status == ACT and not self.unproven and now_ms < self.close_ms

    def closes_soon(self, now_ms: Milliseconds, within_ms: Milliseconds = CLOSING_SOON_MS) -> bool:
        """The market's own reduce-only flag."""
        return now_ms + within_ms >= self.close_ms

    @cached_property
    def grain(self) -> Price:
        """The largest step that every price of the grid is a multiple of."""
        return gcd(*(part for each in self.grid for part in (each.start, each.step)))

    def on_grid(self, price: Price) -> bool:
        """Whether an order may have this price."""
        return 0 < price < PRICE_ONE and any(
            each.start <= price <= each.end and (price - each.start) % each.step == 0 for each in self.grid
        )


def is_grid(grid: tuple[PriceRange, ...]) -> bool:
    """Whether the ranges can be counted with: at least one, each with a step and not backwards."""
    return bool(grid) and all(each.step > 0 and each.start <= each.end for each in grid)
