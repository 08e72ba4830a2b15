"""Reads the account from the exchange, whole or in part, and hands what is news in it to the event bus as facts.

Rules:
- Every list is read to its end or the read fails: incomplete is not empty.
- Orders are read before fills and folded after them, so that an order which a read calls executed has its fills.
- What the ledger knows already is not told again: a journal is not made of repetitions.
- A read that is as of earlier than our last request for an unknown order does not say that the order rests; where an
  amend of it was lost, it does not say that the order rests as before until that amend can arrive no more.
- What a scalar paid is read to the fraction of a cent (decision 0021).
- Where the last agreement is long ago, what the lists do not reach is read from the archive (`account_archive.py`).
- An order is absent or vanished only by complete pages that are as of later than the last moment at which its request
  could still arrive (money.md, Orders), and one that has an id is asked for by it first. Time alone settles nothing.
- Reads of the account that are refused for our access, `ACCESS_REFUSALS_MAX` in a row, place the hold `access`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import trio
from attrs import frozen

from kalshi_daemon import limits
from kalshi_daemon.charts.crashes import leaves_of_group
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_amends import shows
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.payouts import exact, surprise_of
from kalshi_daemon.errors import AccessRefused, ExchangeError, Unreachable
from kalshi_daemon.facts import (
    AccountFact,
    FillSeen,
    HoldKind,
    OrderAbsent,
    OrderSeen,
    OrderVanished,
    SettlementSeen,
)
from kalshi_daemon.shell.account_archive import NOT_FOUND, AccountArchive, ArchivedSettlement, archived_settlements
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import CENT, FEE_GRAIN, SECOND_MS, Milliseconds, Money, Ticker
from kalshi_daemon.wire.rest import BalanceRead, PositionRead
from statecharts.order import UNK

T = TypeVar("T")


@frozen
class AccountRead:
    """One read of the whole account; `as_of_ms` is how fresh the exchange says its read models were before it."""

    balance: BalanceRead
    positions: tuple[PositionRead, ...]
    orders: tuple[OrderSeen, ...]
    fills: tuple[FillSeen, ...]
    settlements: tuple[SettlementSeen, ...]
    as_of_ms: Milliseconds
    archived: tuple[ArchivedSettlement, ...] = ()


class AccountReader:
    def __init__(
        self, rest: RestClient, ledger: LedgerView, clock: Clock, settle: Callable[[AccountFact], Awaitable[None]]
    ) -> None:
        self.refusals = 0  # reads in a row that were refused for our access
        self._settlements_s = float("-inf")  # when settlements were last read,
        self._settlements_ms: Milliseconds = 0  # and as of when, by the exchange's clock
        self._rest = rest
        self._archive = AccountArchive(rest, clock)
        self._ledger = ledger
        self._clock = clock
        self._settle = settle

    @property
    def settlements_due(self) -> bool:
        """Whether it is long ago, or never was, that settlements were read."""
        return trio.current_time() - self._settlements_s >= limits.SYNC_SETTLEMENTS_S

    async def read(self, *, settlements: bool = True) -> AccountRead:
        """All reads side by side. Raises ExchangeError or Unreachable where one of them is not to be had.

        Without settlements, what a market paid is a difference: who compares then reads again with them.
        """
        return await self._counted(partial(self._read_all, with_settlements=settlements))

    async def read_orders_and_fills(self) -> Milliseconds:
        """What the private stream may have missed, folded; returns how fresh it is. Raises what `read` raises."""

        async def read() -> tuple[Milliseconds, list[OrderSeen], list[FillSeen]]:
            return await self._rest.as_of_ms(), await self._read_orders(), await self._read_fills()

        as_of_ms, orders, fills = await self._counted(read)
        # what was filled before the account is opened is part of its opening
        await self.fold(fills if self._ledger.opened else (), orders, (), as_of_ms)
        return as_of_ms

    async def paid_otherwise(self, *, below_a_cent: bool) -> tuple[SettlementSeen, ...]:
        """Settlements that were booked, and that are listed with another payout for the same contracts, which fits the
        worth that they say. `below_a_cent`: the balance is. Raises what `read` raises.
        """
        since_ms = self._clock.exchange_now_ms() - limits.SETTLEMENTS_AGAIN_MS

        async def read() -> tuple[SettlementSeen, ...]:
            listed = await self._rest.settlements(min_ms=max(0, since_ms))
            other = [each for each in listed if self._ledger.payout_change(each) and not surprise_of(each, each.count)]
            grain = FEE_GRAIN if below_a_cent or self._ledger.below_a_cent else CENT
            return await self._exact(other, {each.market for each in other}, grain)

        return await self._counted(read)

    async def _read_all(self, *, with_settlements: bool) -> AccountRead:
        await self._rest.until_balance_may_be_read()
        as_of_ms = await self._rest.as_of_ms()
        orders: list[OrderSeen] = []
        fills: list[FillSeen] = []
        settlements: list[SettlementSeen] = []
        positions: list[PositionRead] = []
        balance: list[BalanceRead] = []

        async def read_orders_and_fills() -> None:
            orders.extend(await self._read_orders())
            fills.extend(await self._read_fills())

        async def read_money() -> None:
            positions.extend(await self._rest.positions())
            balance.append(await self._rest.balance())

        async def read_settlements() -> None:
            if with_settlements:
                settlements.extend(await self._rest.settlements(min_ms=self._settlements_since_ms()))

        async with trio.open_nursery() as nursery:
            for task in (read_orders_and_fills, read_money, read_settlements):
                nursery.start_soon(task)
        if not with_settlements:
            return AccountRead(balance[0], tuple(positions), tuple(orders), tuple(fills), (), as_of_ms)
        shown = {position.market for position in positions if position.count} | {each.market for each in settlements}
        grain = self._grain(balance[0], orders)
        archived = await self._read_archived({fill.market for fill in fills}, shown, grain)
        news = {each.market for each in settlements if not self._ledger.is_settled(each.market)}
        paid = await self._exact(settlements, news, grain)
        self._settlements_s, self._settlements_ms = trio.current_time(), as_of_ms
        return AccountRead(balance[0], tuple(positions), tuple(orders), tuple(fills), paid, as_of_ms, tuple(archived))

    def _grain(self, balance: BalanceRead, orders: list[OrderSeen]) -> Money:
        """What is paid is floored to it. The collateral of what rests may have fractions of its own, and the balance
        may leave it out.
        """
        at_rest = not self._ledger.live() and all(order.status != "resting" for order in orders)
        below = self._ledger.below_a_cent or (at_rest and any(cash % CENT for _, cash in balance.by_shard))
        return FEE_GRAIN if below else CENT

    async def _exact(self, told: list[SettlementSeen], news: set[Ticker], grain: Money) -> tuple[SettlementSeen, ...]:
        """Of scalars that are news the market says what the settlement, in whole cents, does not."""
        scalars = {each.market for each in told if each.result == "scalar" and each.market in news}
        if not scalars:
            return tuple(told)
        values = {each.market: each.settlement_value for each in await self._rest.markets(sorted(scalars))}
        return tuple(exact(each, values.get(each.market), grain) for each in told)

    async def _counted(self, read: Callable[[], Awaitable[T]]) -> T:
        """One read, and what its failure says of our access. A failure that meets a cancellation is gone with it."""
        failure: ExchangeError | Unreachable | None = None
        try:
            answer = await read()
        except* (ExchangeError, Unreachable) as errors:
            failures = [leaf for leaf in leaves_of_group(errors) if isinstance(leaf, ExchangeError | Unreachable)]
            failure = max(failures, key=lambda each: isinstance(each, AccessRefused))
        if failure is None:
            self.refusals = 0
            return answer
        if isinstance(failure, AccessRefused):
            self.refusals += 1
            if self.refusals >= limits.ACCESS_REFUSALS_MAX and self._ledger.find_hold(HoldKind.ACCESS) is None:
                await self._settle(hold(HoldKind.ACCESS, str(failure), self._clock.now_ms()))
        raise failure

    async def _read_fills(self) -> list[FillSeen]:
        since_ms = self._since_ms()
        return await self._rest.fills(min_ms=since_ms) + await self._archive.fills(since_ms)

    async def _read_archived(self, filled: set[Ticker], shown: set[Ticker], grain: Money) -> list[ArchivedSettlement]:
        """How markets ended of which no list speaks any more, though we held them, or do by the fills just read."""
        if not self._archive.may_hold(self._since_ms()):
            return []
        held = {each.market for each in self._ledger.positions.values() if each.count}
        left = [market for market in (held | filled) - shown if not self._ledger.is_settled(market)]
        return await archived_settlements(self._rest, left, grain)

    async def _read_orders(self) -> list[OrderSeen]:
        """Every resting order; and where a live order is not among them, all of whatever status since that one."""
        live = self._ledger.live()
        orders = await self._rest.orders(status="resting")
        resting = {order.order_id for order in orders}
        gone = _unlisted(live, orders)
        if gone:
            oldest_ms = min(each.intended_ms for each in gone)
            # a clock that was ahead when they were intended may have been set back since
            since_ms = min(oldest_ms + self._clock.offset_ms, self._since_ms()) - limits.ORDERS_READ_BEFORE_MS
            orders += [order for order in await self._rest.orders(min_ms=since_ms) if order.order_id not in resting]
            gone = _unlisted(gone, orders) if self._archive.may_hold(since_ms) else []
            orders += await self._archive.orders({each.spec.market for each in gone})
        return orders

    async def fold(
        self,
        fills: Iterable[FillSeen],
        orders: Iterable[OrderSeen],
        settlements: Iterable[SettlementSeen],
        as_of_ms: Milliseconds,
        archived: Iterable[ArchivedSettlement] = (),
    ) -> None:
        for fill in sorted(fills, key=lambda fill: (fill.ts_ms, fill.trade_id)):
            if not self._ledger.knows_trade(fill.trade_id):
                await self._settle(fill)
        seen: set[str] = set()
        for order in orders:
            seen |= {order.order_id, order.client_order_id}
            if self._is_news(order, as_of_ms):
                await self._settle(order)
        for settlement in settlements:
            if not self._ledger.is_settled(settlement.market):
                await self._settle(settlement)
        for ended in archived:
            if count := self._ledger.position(ended.market.market):
                await self._settle(ended.seen(count, self._clock.now_ms()))
        seen.discard("")  # an order that is not ours may have no id of its client's
        for record in self._ledger.live():
            if not {record.client_order_id, record.order_id} & seen:
                await self._missing(record, as_of_ms)

    def _is_news(self, seen: OrderSeen, as_of_ms: Milliseconds) -> bool:
        """Whether the ledger may learn something from it, and may be told."""
        record = self._ledger.by_order_id(seen.order_id) or self._ledger.orders.get(seen.client_order_id)
        rests = seen.status == "resting"
        if record is None:
            return rests  # over and without a record, it was never ours
        if record.state == UNK and rests:
            unproved = record.amend is not None and not shows(record.amend, seen)
            life_ms = limits.REQUEST_LIFE_MS if unproved else 0
            return as_of_ms >= record.asked_ms + self._clock.offset_ms + life_ms
        newer = seen.updated_ms > record.updated_ms or seen.filled > record.filled or not record.order_id
        return newer or self._ledger.teaches(record, seen) or (not rests and not record.final)

    async def _missing(self, record: OrderRecord, as_of_ms: Milliseconds) -> None:
        """A live order that complete pages do not show."""
        if as_of_ms < record.asked_ms + self._clock.offset_ms + limits.REQUEST_LIFE_MS:
            return
        fact: AccountFact | None = None
        if record.order_id:
            fact = await self._ask(record, as_of_ms)
        elif record.state == UNK:
            fact = OrderAbsent(self._clock.now_ms(), record.client_order_id, as_of_ms)
        now = self._ledger.orders.get(record.client_order_id)
        if fact is not None and now is not None and not now.final:  # the stream may have told its end meanwhile
            await self._settle(fact)

    async def _ask(self, record: OrderRecord, as_of_ms: Milliseconds) -> AccountFact:
        """Where an order stands that has an id: one older than the lists reach is found by it alone."""
        try:
            return await self._rest.order(record.order_id)
        except ExchangeError as error:
            if error.status != NOT_FOUND:
                raise
            return OrderVanished(self._clock.now_ms(), record.client_order_id, as_of_ms)

    def _settlements_since_ms(self) -> Milliseconds:
        """From when on settlements are read. Agreements go on between two reads of them, also those of a process
        before.
        """
        if not self._ledger.opened:
            return self._since_ms()
        pace_ms = round(limits.SYNC_SETTLEMENTS_S * SECOND_MS)
        read_ms = self._settlements_ms or self._ledger.agreed_ms - pace_ms
        return min(self._since_ms(), max(self._ledger.opened_ms, read_ms - limits.READ_OVERLAP_MS))

    def _since_ms(self) -> Milliseconds:
        """From when on fills are read, by the exchange's clock."""
        if not self._ledger.opened:
            # what was before is part of the opening
            return self._clock.exchange_now_ms() - limits.ORDERS_READ_BEFORE_MS
        return max(self._ledger.opened_ms, self._ledger.agreed_ms - limits.READ_OVERLAP_MS)


def _unlisted(records: list[OrderRecord], orders: list[OrderSeen]) -> list[OrderRecord]:
    """Those that no entry of a list is about; an order that is not ours may have no id of its client's."""
    listed = {order.order_id for order in orders} | {order.client_order_id for order in orders} - {""}
    return [each for each in records if not {each.client_order_id, each.order_id} & listed]
