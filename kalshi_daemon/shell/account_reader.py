"""Reads the account from the exchange, whole or in part, and hands what it finds to the event bus as facts.

Rules:
- Every list is read to its end or the read fails: incomplete is not empty.
- Fills go before orders, so that an order which a read calls executed has its fills already.
- An order is absent or vanished only by complete pages that are as of later than the last moment at which its request
  could still arrive (money.md, Orders). Time alone settles nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_tracker import OrderRecord
from kalshi_daemon.facts import AccountFact, FillSeen, OrderAbsent, OrderSeen, OrderVanished, SettlementSeen
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire.rest import BalanceRead, PositionRead

OVERLAP_MS: Milliseconds = 60_000  # fills are read again from so long before the last one known: read models lag


@frozen
class AccountRead:
    """One read of the whole account; `as_of_ms` is how fresh the exchange says its read models were before it."""

    balance: BalanceRead
    positions: tuple[PositionRead, ...]
    orders: tuple[OrderSeen, ...]
    fills: tuple[FillSeen, ...]
    settlements: tuple[SettlementSeen, ...]
    as_of_ms: Milliseconds


class AccountReader:
    def __init__(
        self, rest: RestClient, ledger: Ledger, clock: Clock, settle: Callable[[AccountFact], Awaitable[None]]
    ) -> None:
        self._rest = rest
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    async def read(self) -> AccountRead:
        """All reads side by side. Raises ExchangeError or Unreachable where one of them is not to be had."""
        as_of_ms = await self._rest.as_of_ms()
        orders: list[OrderSeen] = []
        fills: list[FillSeen] = []
        settlements: list[SettlementSeen] = []
        positions: list[PositionRead] = []
        balance: list[BalanceRead] = []

        async def read_orders() -> None:
            orders.extend(await self._read_orders())

        async def read_money() -> None:
            positions.extend(await self._rest.positions())
            balance.append(await self._rest.balance())

        async def read_fills() -> None:
            fills.extend(await self._rest.fills(min_ms=self._fills_since_ms()))

        async def read_settlements() -> None:
            settlements.extend(await self._rest.settlements(min_ms=self._ledger.opened_ms))

        async with trio.open_nursery() as nursery:
            for task in (read_orders, read_money, read_fills, read_settlements):
                nursery.start_soon(task)
        return AccountRead(balance[0], tuple(positions), tuple(orders), tuple(fills), tuple(settlements), as_of_ms)

    async def read_orders_and_fills(self) -> None:
        """What the private stream may have missed, in the order that folds best."""
        as_of_ms = await self._rest.as_of_ms()
        fills = await self._rest.fills(min_ms=self._fills_since_ms())
        await self.fold(fills, await self._read_orders(), (), as_of_ms)

    async def _read_orders(self) -> list[OrderSeen]:
        """Every resting order, and every order of whatever status since the oldest one that may still live."""
        orders = await self._rest.orders(status="resting")
        since_ms = self._live_since_ms()
        if since_ms is not None:
            known = {order.order_id for order in orders}
            orders += [order for order in await self._rest.orders(min_ms=since_ms) if order.order_id not in known]
        return orders

    async def fold(
        self,
        fills: Iterable[FillSeen],
        orders: Iterable[OrderSeen],
        settlements: Iterable[SettlementSeen],
        as_of_ms: Milliseconds,
    ) -> None:
        for fill in sorted(fills, key=lambda fill: (fill.ts_ms, fill.trade_id)):
            await self._settle(fill)
        seen = set()
        for order in orders:
            seen.add(order.order_id)
            seen.add(order.client_order_id)
            await self._settle(order)
        for settlement in settlements:
            await self._settle(settlement)
        for record in self._ledger.live():
            if not {record.client_order_id, record.order_id} & seen:
                await self._missing(record, as_of_ms)

    async def _missing(self, record: OrderRecord, as_of_ms: Milliseconds) -> None:
        """A live order that complete pages do not show."""
        if as_of_ms < record.intended_ms + limits.REQUEST_LIFE_MS:
            return
        now_ms = self._clock.now_ms()
        if record.order_id:
            await self._settle(OrderVanished(now_ms, record.client_order_id, as_of_ms))
        elif record.state == "unknown":
            await self._settle(OrderAbsent(now_ms, record.client_order_id, as_of_ms))

    def _live_since_ms(self) -> Milliseconds | None:
        """When the oldest order that may still live was made; None where there is none."""
        live = [record.intended_ms for record in self._ledger.live()]
        return min(live) - OVERLAP_MS if live else None

    def _fills_since_ms(self) -> Milliseconds:
        return max(self._ledger.opened_ms, self._ledger.last_fill_ms - OVERLAP_MS)
