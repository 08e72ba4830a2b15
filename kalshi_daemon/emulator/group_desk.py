"""What members do with order groups: create, look, reset, trigger, limit, delete (api.md 4.4).

Rules: a group is found by its subaccount and shard, and nowhere else. Triggering and deleting cancel what it has
resting; a limit that is already reached triggers. Every step is told. While
the exchange changes no state, no group changes.
"""

from __future__ import annotations

from kalshi_daemon.emulator import admission, refusals
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.bounds import ORDER_GROUPS_MAX
from kalshi_daemon.emulator.execution import Execution
from kalshi_daemon.emulator.order_groups import OrderGroup
from kalshi_daemon.emulator.venue import Venue
from kalshi_daemon.units import Count


class GroupDesk:
    """The order groups of one venue. Changes raise Refused (exchange_is_paused)."""

    def __init__(self, venue: Venue, execution: Execution) -> None:
        self._venue = venue
        self._execution = execution

    def create(self, account: Account, limit: Count, exchange_index: int) -> OrderGroup:
        admission.check_exchange(self._venue)
        if exchange_index not in account.cash:
            raise refusals.invalid_parameters(f"exchange_index: there is no shard {exchange_index}")
        if len(self.listed(account)) >= ORDER_GROUPS_MAX:
            raise refusals.invalid_parameters(f"at most {ORDER_GROUPS_MAX} order groups")  # assumed
        group = OrderGroup(self._venue.new_id(), account.user_id, account.number, exchange_index, limit)
        self._venue.groups[group.group_id] = group
        self._execution.tell_group(group, "created", limit)
        return group

    def listed(self, account: Account) -> list[OrderGroup]:
        """All groups of a member, of every subaccount."""
        return [group for group in self._venue.groups.values() if group.user_id == account.user_id]

    def find(self, account: Account, group_id: str) -> OrderGroup:
        """A member's group, of any subaccount. Raises Refused not_found."""
        group = self._venue.groups.get(group_id)
        if group is None or group.user_id != account.user_id:
            raise refusals.not_found()
        return group

    def own(self, account: Account, group_id: str, exchange_index: int) -> OrderGroup:
        """A group of one subaccount and shard. Raises Refused not_found."""
        group = self.find(account, group_id)
        if (group.subaccount, group.exchange_index) != (account.number, exchange_index):
            raise refusals.not_found()
        return group

    def reset(self, group: OrderGroup) -> None:
        admission.check_exchange(self._venue)
        group.reset()
        self._execution.tell_group(group, "reset")

    def trigger(self, group: OrderGroup) -> None:
        admission.check_exchange(self._venue)
        self._execution.trigger(group)

    def set_limit(self, group: OrderGroup, limit: Count) -> None:
        admission.check_exchange(self._venue)
        group.limit = limit
        self._execution.tell_group(group, "limit_updated", limit)
        if not group.triggered and group.reached(self._venue.now_ms()):
            self._execution.trigger(group)

    def delete(self, group: OrderGroup) -> None:
        admission.check_exchange(self._venue)
        self._execution.cancel_group(group)
        del self._venue.groups[group.group_id]
        self._execution.tell_group(group, "deleted")
