"""The member's reads over REST: limits and the portfolio. Every call is signed; `call.account` is who signed it.

Each function answers one endpoint (api.md 4.1, 4.3 and 4.5): it takes the call and returns a body, or raises Refused.
What it shows comes from the lagging views of `reads.py`. What a member does with orders: order_routes.py.
"""

from __future__ import annotations

from typing import Final, TypeVar

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.bodies import (
    Body,
    balance_body,
    subaccount_balance_bodies,
    time_text,
)
from kalshi_daemon.emulator.call import Call
from kalshi_daemon.emulator.requests import (
    seconds,
    subaccount,
)

AUTO_ROUTE: Final = -1
Item = TypeVar("Item")


def account_limits(call: Call) -> Body:
    limits = call.settings.limits
    return {
        "grants": [],
        "read": {"bucket_capacity": limits.read_capacity, "refill_rate": limits.read_rate},
        "usage_tier": limits.usage_tier,
        "write": {"bucket_capacity": limits.write_capacity, "refill_rate": limits.write_rate},
    }


def api_keys(call: Call) -> Body:
    """The account has one key, its own id, which may do everything."""
    key = {"api_key_id": call.account.user_id, "name": "emulated", "scopes": ["read", "write"]}
    ends_s = call.settings.key_region_ends_s
    return {"api_keys": [key]} | ({} if ends_s is None else {"api_key_region_expiration_ts": ends_s})


def user_data_timestamp(call: Call) -> Body:
    return {"as_of_time": time_text(call.reads.as_of_ms)}


# -------------------------------------------------------------------------------------------------------- reads


def balance(call: Call) -> Body:
    """One subaccount's, on all shards or on the one asked for."""
    account = call.subaccount(subaccount(call.request))
    index = seconds(call.request, "exchange_index", "GetBalance")
    for shown in call.reads.balances(call.account):
        if shown.subaccount == account.number:
            return balance_body(shown, index if index != AUTO_ROUTE else None)
    raise refusals.no_subaccount(account.number)  # opened within the lag of reads


def subaccount_balances(call: Call) -> Body:
    rows = [row for balance in call.reads.balances(call.account) for row in subaccount_balance_bodies(balance)]
    return {"subaccount_balances": rows}
