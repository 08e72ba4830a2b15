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
)
from kalshi_daemon.emulator.settings import RateLimits

AUTO_ROUTE: Final = -1
Item = TypeVar("Item")


def account_limits(call: Call) -> Body:
    limits = call.limits
    return {
        "grants": [_GRANT] if call.allowance is not None and call.allowance.granted else [],
        "read": {"bucket_capacity": limits.read_capacity, "refill_rate": limits.read_rate},
        "usage_tier": limits.usage_tier,
        "write": {"bucket_capacity": limits.write_capacity, "refill_rate": limits.write_rate},
    }


_GRANT: Final[Body] = {
    "exchange_instance": "event_contract",
    "expires_ts": None,
    "level": "advanced",
    "source": "manual",
}


def upgrade(call: Call) -> None:
    """The free step to the advanced tier, for who has ordered by API; every order here was."""
    if not call.account.orders:
        raise refusals.forbidden("no order was created via API")
    assert call.allowance is not None, "a signed call has an allowance"
    call.allowance.granted = True
    if call.limits.usage_tier == "basic":
        call.allowance.set_limits(RateLimits.of_tier("advanced"), call.now_ms)


def api_keys(call: Call) -> Body:
    """The member's keys. `subaccount` is shown of a locked one only."""
    accounts = call.exchange.accounts
    body: Body = {
        "api_keys": [
            {"api_key_id": key_id, "name": terms.name, "scopes": list(terms.scopes)}
            | ({} if terms.subaccount is None else {"subaccount": terms.subaccount})
            for key_id, terms in call.keys.terms.items()
            if accounts[key_id] is call.account
        ]
    }
    expires_s = call.settings.key_region_ends_s
    return body if expires_s is None else body | {"api_key_region_expiration_ts": expires_s}


def user_data_timestamp(call: Call) -> Body:
    return {"as_of_time": time_text(call.reads.shown_as_of_ms)}


# -------------------------------------------------------------------------------------------------------- reads


def balance(call: Call) -> Body:
    """One subaccount's, on all shards or on the one asked for."""
    account = call.subaccount(call.number)
    index = seconds(call.request, "exchange_index", "GetBalance")
    for shown in call.reads.balances(call.account):
        if shown.subaccount == account.number:
            return balance_body(shown, index if index != AUTO_ROUTE else None)
    raise refusals.no_subaccount(account.number)  # opened within the lag of reads


def subaccount_balances(call: Call) -> Body:
    rows = [row for balance in call.reads.balances(call.account) for row in subaccount_balance_bodies(balance)]
    return {"subaccount_balances": rows}
