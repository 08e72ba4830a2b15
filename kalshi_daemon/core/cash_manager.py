"""Cash: one number per truth, per exchange shard, because an order draws on the cash of its market's shard only.

- settled: what the opening, fills, fees, settlements and corrections add up to;
- reserved: the worst case of every order that may still be filled;
- free: settled less reserved;
- available: what may be spent when a threshold is to be left over.

`below_a_cent`: the exchange has moved it by less than a cent, or opened it with such a balance, as it does not for
accounts whose changes it floors to the cent.

Rules: integers; every change is a difference handed in by the ledger; nothing is read from the exchange here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kalshi_daemon.units import CENT, Money


class CashManager:
    """Balances and reservations of one account."""

    def __init__(self) -> None:
        self._settled: dict[int, Money] = {}  # exchange_index -> cash
        self._reserved: dict[int, Money] = {}  # exchange_index -> worst case; >= 0, without rows of zero
        self.below_a_cent = False
        self.shards: Mapping[int, Money] = MappingProxyType(self._settled)

    def open(self, settled: tuple[tuple[int, Money], ...]) -> None:
        """The balances that every later change is added to."""
        self._settled.clear()
        self._settled.update(settled)
        self.below_a_cent |= any(cash % CENT for _, cash in settled)

    def take_up(self, settled: tuple[tuple[int, Money], ...], *, below_a_cent: bool) -> None:
        """The balances of the journal before."""
        self._settled.update(settled)
        self.below_a_cent = below_a_cent

    def move(self, shard: int, change: Money) -> None:
        """Settled cash changed: a fill, a settlement, a correction."""
        self._settled[shard] = self._settled.get(shard, 0) + change
        self.below_a_cent |= change % CENT != 0

    def reserve(self, shard: int, change: Money) -> None:
        """A reservation grew or shrank."""
        if not change:
            return
        left = self._reserved.get(shard, 0) + change
        assert left >= 0, f"shard {shard} would release {-left} more than it reserved: ours to mend"
        if left:
            self._reserved[shard] = left
        else:
            del self._reserved[shard]

    def settled(self, shard: int) -> Money:
        return self._settled.get(shard, 0)

    def reserved(self, shard: int) -> Money:
        return self._reserved.get(shard, 0)

    @property
    def settled_total(self) -> Money:
        return sum(self._settled.values())

    @property
    def reserved_total(self) -> Money:
        return sum(self._reserved.values())

    def available(self, shard: int, threshold: Money) -> Money:
        """What a new order on `shard` may cost: the shard has it, and the account keeps `threshold` after it.

        The threshold is a share of the whole account, so it is measured on the whole account: taken from each
        shard, it would count once per shard and idle the small ones. With one shard this is settled - reserved -
        threshold.
        """
        free = self.settled(shard) - self.reserved(shard)
        return min(free, self.settled_total - self.reserved_total - threshold)

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot, where keys are text."""
        settled = {str(shard): cash for shard, cash in self._settled.items()}
        reserved = {str(shard): cash for shard, cash in self._reserved.items()}
        return {"settled": settled, "reserved": reserved, "below_a_cent": self.below_a_cent}
