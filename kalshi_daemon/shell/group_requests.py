"""The requests about order groups, each sent once: whoever makes one looks at the list before the next.

Rules: raised are `ExchangeError`, and `Unreachable`, which says whether the request may have been carried out. Tokens
are paid by whoever asks, as for every write.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from kalshi_daemon.shell.requests import PRIMARY, Call, Requests
from kalshi_daemon.units import Count
from kalshi_daemon.wire.order_groups import GroupRead, encode_group, encode_limit, read_done, read_groups, read_made

GROUPS_PATH: Final = "/portfolio/order_groups"
CREATE_PATH: Final = f"{GROUPS_PATH}/create"


class GroupRequests:
    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def read(self) -> dict[str, GroupRead]:
        """All groups of the account, by id."""
        return await self._requests.read(Call("groups", "GET", GROUPS_PATH, read_groups, {"subaccount": PRIMARY}))

    async def create(self, limit: Count, exchange_index: int) -> str:
        """Its id."""
        body = encode_group(limit, exchange_index)
        return await self._requests.over_hosts(Call("group_create", "POST", CREATE_PATH, read_made, body=body))

    async def set_limit(self, group_id: str, exchange_index: int, limit: Count) -> None:
        await self._change(group_id, exchange_index, "limit", encode_limit(limit))

    async def reset(self, group_id: str, exchange_index: int) -> None:
        """Count from nothing, and take orders again."""
        await self._change(group_id, exchange_index, "reset")

    async def _change(self, group_id: str, exchange_index: int, what: str, body: bytes = b"") -> None:
        path, params = change_path(group_id, what), {"exchange_index": str(exchange_index)}
        await self._requests.over_hosts(Call(f"group_{what}", "PUT", path, read_done, params, body=body))


def change_path(group_id: str, what: str) -> str:
    return f"{GROUPS_PATH}/{quote(group_id, safe='')}/{what}"
