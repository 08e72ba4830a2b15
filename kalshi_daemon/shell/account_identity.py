"""Whose journal it is: the environment of the exchange and the keys that its account has been proven to have.

A key may be renewed, so another key is not another account. Rules:
- The first key is taken at its word. Another one is proven by the exchange: one of the journal's keys is listed beside
  it, or it may read one of the journal's last orders. Unproven it is another account's key, and the start is refused
  before anything of that account is folded into the journal.
- Another environment is another account, and is refused before anything is written.
- Of a key's id the journal holds a fingerprint alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.errors import AccessRefused, ExchangeError, JournalForeign, KeyRefused
from kalshi_daemon.facts import AccountFact, AccountNamed
from kalshi_daemon.limits import ORDERS_ASKED_MAX
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.rest_client import RestClient

FINGERPRINT_LENGTH: Final = 16  # hexadecimal digits
NOT_FOUND: Final = 404
TRADES: Final = frozenset({"write", "write::trade"})  # either scope lets a key place orders
SCOPE: Final = "give it write::trade on the exchange's API keys page"
MEND: Final = "give each account a KALSHI_STATE_DIR of its own"


def fingerprint(key_id: str) -> str:
    """Of a key's id, to be compared and not to be read."""
    return hashlib.sha256(key_id.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def foreign(ledger: LedgerView, environment: str, key_id: str) -> str:
    """Why a journal seems to be another account's, as far as it can be told without the exchange; else empty."""
    if ledger.environment and ledger.environment != environment:
        return f"it is of an account of the environment {ledger.environment}, and KALSHI_ENVIRONMENT is {environment}"
    if ledger.account_keys and fingerprint(key_id) not in ledger.account_keys:
        return "it was never used with the key of KALSHI_API_KEY_ID"
    return ""


class AccountIdentity:
    def __init__(
        self,
        environment: str,
        key_id: str,
        ledger: LedgerView,
        rest: RestClient,
        clock: Clock,
        settle: Callable[[AccountFact], Awaitable[None]],
    ) -> None:
        self._environment = environment
        self._key_id = key_id
        self._ledger = ledger
        self._rest = rest
        self._clock = clock
        self._settle = settle

    def check_environment(self) -> None:
        """Of a journal that was just folded. Raises JournalForeign."""
        if self._ledger.environment not in ("", self._environment):
            why = foreign(self._ledger, self._environment, self._key_id)
            raise JournalForeign(f"the journal is another account's: {why}; {MEND}")

    async def check_key(self) -> None:
        """Raises JournalForeign, and what a read may raise."""
        key = fingerprint(self._key_id)
        if key in self._ledger.account_keys:
            return
        if self._ledger.account_keys and not (await self._is_listed() or await self._knows_an_order()):
            why = foreign(self._ledger, self._environment, self._key_id)
            unproven = "the exchange shows that key none of the journal's keys or orders"
            raise JournalForeign(f"the journal is another account's: {why}, and {unproven}; {MEND}")
        await self._settle(AccountNamed(self._clock.now_ms(), self._environment, key))

    async def check_scopes(self) -> None:
        """Raises KeyRefused for a key that may not trade; one that may not read of keys is not judged."""
        try:
            scopes = (await self._rest.keys()).get(self._key_id)
        except AccessRefused:
            return
        if scopes is not None and not scopes & TRADES:
            raise KeyRefused(f"the key may not trade: its scopes are {', '.join(sorted(scopes))}; {SCOPE}")

    async def _is_listed(self) -> bool:
        """Whether a key of the journal's stands beside ours; a key that may not read of keys proves nothing."""
        try:
            listed = await self._rest.keys()
        except AccessRefused:
            return False
        return any(fingerprint(key_id) in self._ledger.account_keys for key_id in listed)

    async def _knows_an_order(self) -> bool:
        """Whether one of the journal's last orders is the account's."""
        for order_id in islice(self._ledger.accepted_orders(), ORDERS_ASKED_MAX):
            try:
                await self._rest.order(order_id)
            except ExchangeError as error:
                if error.status != NOT_FOUND:
                    raise
            else:
                return True
        return False
