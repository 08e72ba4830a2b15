"""One REST call: the request, with everything that its endpoint may look at."""

from __future__ import annotations

from attrs import field, frozen

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.buckets import Allowance
from kalshi_daemon.emulator.candles import Candles
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.keyring import Keyring
from kalshi_daemon.emulator.reads import Reads
from kalshi_daemon.emulator.requests import subaccount
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.shell.http_server import Request
from kalshi_daemon.units import Milliseconds


class TokensSpent(Exception):
    """The bucket that the call draws on is empty."""


@frozen
class Call:
    """One request with everything that an endpoint may look at. `account` may be asked for on signed endpoints only."""

    request: Request
    exchange: Exchange
    reads: Reads
    candles: Candles = field(repr=False)
    settings: ServerSettings
    now_ms: Milliseconds
    member: Account | None
    key_id: str
    keys: Keyring = field(repr=False)
    allowance: Allowance | None = field(repr=False)

    @property
    def account(self) -> Account:
        assert self.member is not None, "a public endpoint asked for the account"
        return self.member

    @property
    def cutoff_ms(self) -> Milliseconds:
        """What ended before it is in the archive, and not in the live lists."""
        return 0 if self.settings.archive_after_ms is None else self.now_ms - self.settings.archive_after_ms

    @property
    def number(self) -> int | None:
        """The subaccount that the query names, or that the key is locked to. Raises Refused."""
        return self.keys.terms[self.key_id].subaccount_of(subaccount(self.request))

    def subaccount(self, asked: int | None) -> Account:
        """The member's account of that number, by default the key's own or the primary one. Raises Refused."""
        return self.exchange.subaccount(self.account, self.keys.terms[self.key_id].subaccount_of(asked) or 0)

    @property
    def limits(self) -> RateLimits:
        assert self.allowance is not None, "a public endpoint asked for the limits"
        return self.allowance.limits

    def charge_write(self, cost: int) -> None:
        assert self.allowance is not None, "a public endpoint writes"
        if not self.allowance.write.take(cost, self.now_ms):
            raise TokensSpent
