"""What the exchange shows of the account in its archive alone: after a long absence its other lists begin too late.

Rules:
- The archive is asked where what is read begins so long ago that the lists may not reach it; never while trading.
- It is read after the lists: what moves from them into the archive meanwhile is in one or in both.
- It lists no settlements. A market where a position of ours may have been is settled as it says that the market was,
  for what we hold there when all fills are folded, once it shows the position among those that are over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.position_tracker import worth
from kalshi_daemon.errors import ExchangeError
from kalshi_daemon.facts import FillSeen, MarketRead, OrderSeen, SettlementSeen
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import PRICE_ONE, Count, Milliseconds, Money, Price, Ticker
from kalshi_daemon.wire.rest import PositionRead

NOT_FOUND: Final = 404
SURE: Final[dict[str, Price]] = {"yes": PRICE_ONE, "no": 0}


@frozen
class ArchivedSettlement:
    """How a market ended, and the position that ended with it. `grain`: what was paid is floored to it."""

    market: MarketRead
    value: Price
    position: PositionRead
    grain: Money

    def seen(self, count: Count, at_ms: Milliseconds) -> SettlementSeen:
        """As the list of settlements would have said it of so many contracts held, and what they were paid."""
        paid = worth(count, self.value)
        return SettlementSeen(
            at_ms=at_ms,
            market=self.market.market,
            result=self.market.result,
            value=self.value,
            count=count,
            revenue=paid - paid % self.grain,
            fee=self.position.fees,
            ts_ms=self.position.updated_ms,
            exchange_index=self.position.exchange_index,
        )


class AccountArchive:
    """For who was away. Raised by every method: ExchangeError or Unreachable."""

    def __init__(self, rest: RestClient, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock

    def may_hold(self, since_ms: Milliseconds) -> bool:
        """Whether what happened then may be in the archive already."""
        return self._clock.exchange_now_ms() - since_ms > limits.ARCHIVE_DOUBT_MS

    async def fills(self, since_ms: Milliseconds) -> list[FillSeen]:
        return await self._rest.archived_fills(since_ms) if self.may_hold(since_ms) else []

    async def orders(self, markets: Iterable[Ticker]) -> list[OrderSeen]:
        """All that are over, of these markets."""
        return [order for market in sorted(markets) for order in await self._rest.archived_orders(market)]


async def archived_settlements(rest: RestClient, markets: Iterable[Ticker], grain: Money) -> list[ArchivedSettlement]:
    """Of these markets, those that ended so long ago. Raises ExchangeError or Unreachable."""
    found = [await _settlement(rest, market, grain) for market in sorted(markets)]
    return [each for each in found if each is not None]


async def _settlement(rest: RestClient, ticker: Ticker, grain: Money) -> ArchivedSettlement | None:
    position = next(iter(await rest.archived_positions(ticker)), None)
    if position is None:
        return None
    try:
        market = await rest.archived_market(ticker)
    except ExchangeError as error:
        if error.status != NOT_FOUND:
            raise
        return None
    value = SURE.get(market.result) if market.settlement_value is None else market.settlement_value
    return None if value is None else ArchivedSettlement(market, value, position, grain)
