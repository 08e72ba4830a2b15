"""One complete read of the account held against the ledger: what differs, and what of it can be judged.

Whether the exchange's balance leaves out the collateral of resting orders is not documented, and neither is what that
is for orders that close a position. There are three readings of it; a read that agrees while they give different
balances rules out those that do not fit, and what is ruled out is journaled and stays so.

Rules:
- Pure: the ledger and the figures of one read in, differences out.
- Where the readings that are left give one balance, that is the balance, and any other is a difference.
- A balance between the least and the most of several readings is unexplained: it may be one that nobody thought of.
  It is looked at again, and not for ever (`shell/calibration_service.py`).
- While an order is on its way or owes fills, only what no order can explain is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import field, frozen

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.position_tracker import side_price
from kalshi_daemon.facts import BalanceReading
from kalshi_daemon.units import Count, Money, Ticker, contracts, dollars

DIFFERS: Final = "differs"
UNSETTLED: Final = "unsettled"
UNEXPLAINED: Final = "unexplained"


@frozen
class Difference:
    """`what` is cash, position, or a figure of a position: cost, realised, fees. `subject` is the shard or the market;
    both figures are in the unit of `what`. Ours of cash is the balance that we would expect to be shown, where what is
    known of resting orders says one, and else the whole.
    """

    what: str
    subject: str
    ours: int
    theirs: int
    change: int | None = (
        None  # what added to ours gives theirs; of cash, None while orders rest and no reading is known
    )
    cost_change: Money = 0  # of a position: the same of its cost
    rests: bool = field(default=False, eq=False)  # of cash: orders rest there, or may

    @property
    def text(self) -> str:
        if self.what == "cash":
            count = dollars(self.ours) + ("" if self.change is not None else ", of which orders may hold back some")
            return f"cash of shard {self.subject}: we count {count}, the exchange says {dollars(self.theirs)}"
        if self.what != "position":
            ours, theirs = dollars(self.ours), dollars(self.theirs)
            return f"{self.what} of {self.subject}: we count {ours}, the exchange says {theirs}"
        ours, theirs = contracts(self.ours), contracts(self.theirs)
        return f"position in {self.subject}: we count {ours}, the exchange says {theirs}"


@frozen
class CashCompared:
    """What differs, each with its verdict; and the readings that the read leaves possible."""

    differences: tuple[tuple[Difference, str], ...]
    readings: tuple[BalanceReading, ...]


@frozen
class _Shard:
    """The balances that the exchange may show for one shard, by reading."""

    index: int
    ours: Money
    expected: Mapping[BalanceReading, Money]
    rests: bool
    on_its_way: bool  # an order may rest that has no id here, or a fill may be missing
    reserved: Money

    def difference(self, theirs: Money, readings: tuple[BalanceReading, ...]) -> Difference:
        """Of the balance that all readings give; where they give several, by how much it differs is not known."""
        values = {self.expected[reading] for reading in readings}
        known = len(values) == 1 and not self.on_its_way
        ours = values.pop() if known else self.ours
        change = theirs - ours if known else None
        return Difference("cash", str(self.index), ours, theirs, change, rests=self.rests)

    def verdict(self, theirs: Money, readings: tuple[BalanceReading, ...], *, calm: bool, still: bool) -> str:
        """`calm`: no cash moved for a while; `still`: no order did."""
        values = [self.expected[reading] for reading in readings]
        if theirs in values:
            return ""
        if not calm or not still or self.on_its_way:
            # collateral comes and goes with orders; more than all of our cash it never explains
            explained = theirs <= self.ours and not (still and theirs < min(*values, self.ours - self.reserved))
            return DIFFERS if calm and not explained else UNSETTLED
        if len(set(values)) == 1:
            return DIFFERS
        least = min(*values, self.ours - self.reserved)  # which counts fees too
        return UNEXPLAINED if least <= theirs <= max(values) else DIFFERS


def compare_cash(ledger: LedgerView, shown: Mapping[int, Money], *, calm: bool, still: bool) -> CashCompared:
    """Shard by shard; what one shard rules out holds for the next."""
    differences: list[tuple[Difference, str]] = []
    readings = ledger.readings
    for index in sorted(shown.keys() | ledger.shards.keys()):
        theirs, shard = shown.get(index, 0), _shard(ledger, index)
        verdict = shard.verdict(theirs, readings, calm=calm, still=still)
        if verdict:
            differences.append((shard.difference(theirs, readings), verdict))
        elif calm and still and not shard.on_its_way:
            readings = tuple(reading for reading in readings if shard.expected[reading] == theirs)
    return CashCompared(tuple(differences), readings)


def _shard(ledger: LedgerView, index: int) -> _Shard:
    ours = ledger.settled(index)
    there = [order for order in ledger.open_orders() if order.spec.exchange_index == index]
    resting = [order for order in there if order.order_id and not order.final]
    expected = {
        BalanceReading.NOTHING: ours,
        BalanceReading.OPENING: ours - collateral(resting, held(ledger)),
        BalanceReading.WHOLE: ours - collateral(resting, {}),
    }
    on_its_way = len(resting) < len(there) or any(
        order.claimed > order.filled or order.amend is not None for order in there if order.ours
    )
    return _Shard(index, ours, expected, bool(there), on_its_way, ledger.reserved(index))


def compare_positions(ledger: LedgerView, theirs: Mapping[Ticker, tuple[Count, Money]]) -> Iterator[Difference]:
    """`theirs`: count and cost."""
    for market in sorted(theirs.keys() | ledger.positions.keys()):
        position = ledger.positions.get(market)
        mine, cost = (position.count, position.cost) if position else (0, 0)
        its, its_cost = theirs.get(market, (0, 0))
        if mine != its:
            yield Difference("position", market, mine, its, its - mine, its_cost - cost)


def held(ledger: LedgerView) -> dict[Ticker, Count]:
    return {market: position.count for market, position in ledger.positions.items()}


def collateral(orders: list[OrderRecord], covered: Mapping[Ticker, Count]) -> Money:
    """What resting orders could still cost. Of a market, what is held covers the dearest orders against it first: they
    fill first, and closing costs nothing.
    """
    left = dict(covered)
    total = 0
    for order in sorted(orders, key=lambda each: -side_price(each.spec.side, each.spec.price)):
        spec, remaining = order.spec, order.owed
        if spec.reduce_only:
            continue
        closes = min(remaining, max(0, -left.get(spec.market, 0) * spec.side.sign))
        left[spec.market] = left.get(spec.market, 0) + spec.side.sign * closes
        total += side_price(spec.side, spec.price) * (remaining - closes)
    return total
