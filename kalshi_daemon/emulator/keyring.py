"""The keys of the emulated exchange: whose each is, and what it may do (api.md 1).

Rules: a key is one member's; a child scope grants its own group of endpoints without its parent; a key that is locked
to a subaccount may leave it out or name it, and no other.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import deep_iterable, in_

from kalshi_daemon.emulator import refusals
from kalshi_daemon.emulator.auth import PublicKey

READ: Final = "read"
WRITE: Final = "write"
TRADE: Final = "write::trade"
TRANSFER: Final = "write::transfer"
BALANCE: Final = "read::portfolio_balance"
SCOPES: Final = frozenset({READ, WRITE, TRADE, TRANSFER, BALANCE})


@frozen
class KeyTerms:
    """What a key may do. `subaccount` None: it is not locked to one."""

    name: str = "emulator"
    scopes: tuple[str, ...] = field(default=(READ, WRITE), validator=deep_iterable(in_(SCOPES)))
    subaccount: int | None = None

    def grants(self, wanted: str) -> bool:
        """Whether the key has the scope, or its parent."""
        return bool({wanted, wanted.partition("::")[0]} & set(self.scopes))

    def check_scope(self, wanted: str) -> None:
        """Raises Refused (403) unless the key has the scope."""
        if not self.grants(wanted):
            raise refusals.forbidden(f"the key lacks the scope {wanted}")

    def subaccount_of(self, asked: int | None) -> int | None:
        """The subaccount that a request of this key is about; None: it named none. Raises Refused (403)."""
        if self.subaccount is not None and asked not in {None, self.subaccount}:
            raise refusals.forbidden(f"the key is restricted to subaccount {self.subaccount}")
        return self.subaccount if asked is None else asked


@frozen
class Reader:
    """Who reads a stream: a member, by one of its keys."""

    user_id: str
    key: KeyTerms

    def sees(self, user_id: str, subaccount: int) -> bool:
        """Whether what happens there is its own, and its key's to hear."""
        return user_id == self.user_id and self.key.subaccount in {None, subaccount}


class Keyring:
    """All keys, by id; it may grow while the server runs."""

    def __init__(self) -> None:
        self.public: dict[str, PublicKey] = {}
        self.terms: dict[str, KeyTerms] = {}

    def add(self, key_id: str, public: PublicKey, terms: KeyTerms) -> None:
        self.public[key_id] = public
        self.terms[key_id] = terms
