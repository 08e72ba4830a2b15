"""The order groups that our resting orders belong to: made at a shard's first use, found again, reset for a person.

Rules:
- Every order that rests goes with the group of its shard (risk P23); one that cannot have one is withheld.
- A group is asked for once a run before it is used: one that is not there any more is made anew, one whose limit is not
  ours is given it. An order that the exchange refuses as invalid has the list read again.
- The limit is three times what one order may have, so that a hand of orders may fill, and no run of them.
- Where it is not known whether a group was made, the next order makes another: one without orders binds nothing.
- Nothing here resets a group but a person's word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_groups import DELETED, RESET
from kalshi_daemon.errors import CommandRefused, ExchangeError, Unreachable, Withheld
from kalshi_daemon.facts import AccountFact, AmendRefused, OrderGroupMade, OrderGroupTold, OrderRefused, OrderSpec
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.group_requests import CREATE_PATH, change_path
from kalshi_daemon.shell.requests import UNREACHABLE
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.units import Count, TimeInForce

GROUP_CODE: Final = "P23"
REFUSED_AS_INVALID: Final = "invalid_order"  # which an order is too whose group is gone (assumed)


class OrderGroups:
    def __init__(
        self,
        rest: RestClient,
        ledger: LedgerView,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
        order_count_max: Count,
    ) -> None:
        self.limit = limits.GROUP_ORDERS * order_count_max
        self._rest = rest
        self._ledger = ledger
        self._clock = clock
        self._settle = settle
        self._found: set[str] = set()  # groups that the exchange has shown in this run, or made
        self._one_at_a_time = trio.Lock()

    async def of(self, spec: OrderSpec) -> str:
        """The id of the group that an order belongs to; empty for one that does not rest. Raises Withheld."""
        if spec.time_in_force is not TimeInForce.GOOD_TILL_CANCELED:
            return ""
        async with self._one_at_a_time:
            group = self._ledger.order_group(spec.exchange_index)
            if group is not None and group.group_id in self._found:
                return group.group_id
            try:
                return await self._find_or_make(spec.exchange_index)
            except ExchangeError as error:
                raise Withheld(GROUP_CODE, f"no order group for shard {spec.exchange_index}: {error}") from error
            except Unreachable as error:
                raise Withheld(UNREACHABLE, f"no order group for shard {spec.exchange_index}: {error}") from error

    def refused(self, fact: OrderRefused | AmendRefused) -> None:
        """An order may have been refused because its group is gone: the next one looks."""
        if fact.code.startswith(REFUSED_AS_INVALID):
            self._found.clear()

    async def reset(self) -> int:
        """Reset those that were triggered, for a person; how many they were. Raises CommandRefused."""
        triggered = self._ledger.triggered_groups
        for group in triggered:
            try:
                await self._pay("PUT", change_path(group.group_id, "reset"))
                await self._rest.groups.reset(group.group_id, group.exchange_index)
            except (ExchangeError, Unreachable, Withheld) as error:
                raise CommandRefused(f"the group {group.group_id} was not reset: {error}; say it again") from None
            await self._settle(OrderGroupTold(self._clock.now_ms(), "read", group.group_id, RESET, 0))
        return len(triggered)

    # -------------------------------------------------------------------------------------------------------- private

    async def _find_or_make(self, shard: int) -> str:
        known = self._ledger.order_group(shard)
        if known is not None:
            shown = (await self._rest.groups.read()).get(known.group_id)
            if shown is not None:
                if shown.limit != self.limit:
                    await self._pay("PUT", change_path(known.group_id, "limit"))
                    await self._rest.groups.set_limit(known.group_id, shard, self.limit)
                if known.limit != self.limit:
                    await self._settle(OrderGroupMade(self._clock.now_ms(), shard, known.group_id, self.limit))
                self._found.add(known.group_id)
                return known.group_id
            await self._settle(OrderGroupTold(self._clock.now_ms(), "read", known.group_id, DELETED, 0))
        await self._pay("POST", CREATE_PATH)
        made = await self._rest.groups.create(self.limit, shard)
        await self._settle(OrderGroupMade(self._clock.now_ms(), shard, made, self.limit))
        self._found.add(made)
        return made

    async def _pay(self, method: str, path: str) -> None:
        """Wait for the tokens of a write. Raises Withheld."""
        until_s = trio.current_time() + limits.ORDER_TOKENS_WAIT_S
        while wait_s := self._rest.governor.pays(method, path, trio.current_time()):
            if trio.current_time() + wait_s > until_s:
                raise Withheld(GROUP_CODE, f"no tokens for the order group within {limits.ORDER_TOKENS_WAIT_S:g} s")
            await trio.sleep(wait_s)
