"""The account statement of a period: what the journal says of it, what the exchange's own lists say, and where they
differ.

Each half is opening balance, what moved it, closing balance, and the positions at the end. The journal's comes from
folding it with the ledger: what the ledger booked is what is stated, each fact at the exchange's own stamp. The
exchange's comes from its lists alone: its balance and its positions of now, walked back over every fill and settlement
since. It has no list of what a person paid in or out, so what the journal has of that is taken over, and what it has
not shows as a difference of the balances.

Rules: pure, in integers; the end of a period does not belong to it. Fees are as the exchange charged them, rebates
deducted. What is below a cent does not make balances differ; of single fills and settlements everything counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from attrs import Factory, define, frozen

from kalshi_daemon.core.changes import Change, FillBooked, PositionSettled
from kalshi_daemon.core.fees import DEAREST, REBATE, rounding_fee, trade_fee
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.position_tracker import Position, booked
from kalshi_daemon.facts import (
    AccountCarried,
    AccountFact,
    AccountOpened,
    FillSeen,
    SettlementRestated,
    SettlementSeen,
)
from kalshi_daemon.limits import ORDERS_KEPT_MAX
from kalshi_daemon.units import CENT, BookSide, Count, Milliseconds, Money, Ticker, contracts, dollars
from kalshi_daemon.wire.fixed_point import format_count, format_money, format_price

Event: TypeAlias = FillSeen | SettlementSeen

# What is compared of a fill and of a settlement, and how it is written.
COMPARED: Final[Mapping[str, Callable[[Any], str]]] = {
    "market": str,
    "side": str,
    "price": format_price,
    "count": format_count,
    "fee": format_money,
    "exchange_index": str,
}
SETTLED: Final[Mapping[str, Callable[[Any], str]]] = {
    "value": format_price,
    "revenue": format_money,
    "exchange_index": str,
}


@frozen
class Period:
    """From `from_ms` up to `to_ms`; both by the exchange's clock."""

    from_ms: Milliseconds
    to_ms: Milliseconds

    def has(self, ts_ms: Milliseconds) -> bool:
        return self.from_ms <= ts_ms < self.to_ms


@define(eq=False)
class Half:
    """One side of the statement. `bought` and `sold` are the cash that fills on the two sides moved, before fees;
    fees are negative.
    """

    opening: Money = 0
    bought: Money = 0
    sold: Money = 0
    fees: Money = 0
    settled: Money = 0
    changes: Money = 0  # paid in or out, and corrections
    fills: dict[str, FillSeen] = Factory(dict)  # by trade id
    settlements: dict[Ticker, SettlementSeen] = Factory(dict)
    positions: dict[Ticker, Count] = Factory(dict)  # at the end, without those of zero

    @property
    def closing(self) -> Money:
        return self.opening + self.bought + self.sold + self.fees + self.settled + self.changes

    def add(self, event: Event, cash: Money) -> None:
        """`cash`: what it moved, a fill's fee apart."""
        if isinstance(event, SettlementSeen):
            self.settlements[event.market] = event
            self.settled += cash
            return
        self.fills[event.trade_id] = event
        self.fees -= event.fee
        if event.side is BookSide.BID:
            self.bought += cash
        else:
            self.sold += cash


class JournalHalf:
    """The journal's half, fact by fact; and the account as it is after the last."""

    def __init__(self, period: Period) -> None:
        self.half = Half()
        self.ledger = Ledger()
        self.realised: Money = 0  # profit that the period's fills and settlements made, fees apart
        self.rebates: Money = 0  # inside of the fees, as the exchange's rule has them
        self.changes_after: Money = 0  # paid in or out since the period
        self.paid: dict[Ticker, SettlementSeen] = {}  # since the period began
        self.opened_ms: Milliseconds = 0  # what came before is in the opening balance
        self._period = period
        self._rounding: dict[str, Money] = {}  # order id -> its rounding fees so far, where it has any

    @property
    def begins_ms(self) -> Milliseconds:
        return max(self._period.from_ms, self.opened_ms)

    @property
    def stated(self) -> bool:
        """Whether the journal reaches into the period."""
        return self.ledger.opened and self.opened_ms < self._period.to_ms

    def fold(self, fact: AccountFact) -> None:
        ledger, market = self.ledger, getattr(fact, "market", "")
        cash, held, opened = ledger.settled_total, ledger.position(market), ledger.opened
        changes = ledger.apply(fact)
        if isinstance(fact, AccountOpened | AccountCarried) and not opened:
            self.opened_ms = fact.at_ms
            self.half = Half(opening=ledger.settled_total)
            self.half.positions = {each.market: each.count for each in ledger.positions.values() if each.count}
            return
        cash = ledger.settled_total - cash
        if isinstance(fact, FillSeen | SettlementSeen):
            ts_ms = max(fact.ts_ms, self.opened_ms)
            self._move(market, ledger.position(market) - held, ts_ms)
            if any(isinstance(change, FillBooked | PositionSettled) for change in changes):
                self._booked(fact, cash, ts_ms, changes)
        elif isinstance(fact, SettlementRestated):
            self._settled_again(fact.settlement, cash)
        elif fact.at_ms >= self._period.to_ms:
            self.changes_after += cash
        elif fact.at_ms >= self.begins_ms:
            self.half.changes += cash
        else:
            self.half.opening += cash

    def _booked(self, event: Event, cash: Money, ts_ms: Milliseconds, changes: Sequence[Change]) -> None:
        rebate = self._rebate(event) if isinstance(event, FillSeen) else 0
        if isinstance(event, SettlementSeen) and ts_ms >= self._period.from_ms:
            self.paid[event.market] = event
        if ts_ms < self._period.from_ms:
            self.half.opening += cash
        elif ts_ms < self._period.to_ms:
            fee = event.fee if isinstance(event, FillSeen) else 0
            self.half.add(event, cash + fee)
            self.rebates += rebate
            self.realised += sum(each.realised for each in changes if isinstance(each, FillBooked | PositionSettled))

    def _settled_again(self, paid: SettlementSeen, cash: Money) -> None:
        """On the day for which it is listed, as the exchange's half has it."""
        ts_ms = max(paid.ts_ms, self.opened_ms)
        if ts_ms < self._period.from_ms:
            self.half.opening += cash
            return
        self.paid[paid.market] = paid
        if ts_ms < self._period.to_ms:
            self.half.add(paid, cash)
            self.realised += cash

    def _move(self, market: Ticker, change: Count, ts_ms: Milliseconds) -> None:
        if ts_ms < self._period.to_ms:
            _add_count(self.half.positions, market, change)

    def _rebate(self, fill: FillSeen) -> Money:
        """By the rule; what the market charged is not in the journal, so the dearest fee says what a fill can carry."""
        rounding = rounding_fee(fill.side, fill.price, fill.count)
        gathered = self._rounding.get(fill.order_id, 0) + rounding
        if not gathered:
            return 0
        carries = trade_fee(DEAREST, fill.price, fill.count, is_taker=True) + rounding >= REBATE
        rebate = REBATE if gathered > REBATE and carries else 0
        self._rounding[fill.order_id] = gathered - rebate
        if len(self._rounding) > ORDERS_KEPT_MAX:
            del self._rounding[next(iter(self._rounding))]
        return rebate


@frozen
class AccountLists:
    """What the exchange shows of the account: everything since a period began, and what is there now."""

    cash: Money
    positions: Mapping[Ticker, Count]  # unsettled, now
    fills: tuple[FillSeen, ...]
    settlements: tuple[SettlementSeen, ...]


def exchange_half(lists: AccountLists, period: Period, changes: Money, changes_after: Money) -> Half:
    """The exchange's half. `changes`, `changes_after`: what the journal says was paid in or out, in the period and
    since.
    """
    events: list[Event] = [*lists.fills, *lists.settlements]
    events = [event for event in events if event.ts_ms >= period.from_ms]
    events.sort(key=lambda event: (event.ts_ms, isinstance(event, SettlementSeen)))
    counts = {market: count for market, count in lists.positions.items() if count}
    for event in reversed(events):  # to where it stood when the period began
        _add_count(counts, event.market, -_change(event))
    half, after = Half(changes=changes), Half()
    for side, ours in ((half, True), (after, False)):
        for event in events:
            if period.has(event.ts_ms) is ours:
                side.add(event, _cash(event, counts.get(event.market, 0)))
                _add_count(counts, event.market, _change(event))
        side.positions = dict(counts)
    half.opening = lists.cash - after.closing - changes_after - half.closing
    return half


def _change(event: Event) -> Count:
    return -event.count if isinstance(event, SettlementSeen) else event.side.sign * event.count


def _cash(event: Event, held: Count) -> Money:
    if isinstance(event, SettlementSeen):
        return event.revenue
    position = Position(event.market, count=held, cost=0, realised=0, fees=0)
    return booked(position, event.side, event.price, event.count)[1].cash


def _add_count(counts: dict[Ticker, Count], market: Ticker, change: Count) -> None:
    counts[market] = counts.get(market, 0) + change
    if not counts[market]:
        del counts[market]


def differences(ours: Half, theirs: Half) -> Iterator[str]:
    """What is not the same, each in one line that names it."""
    for name, own, its in (
        ("opening balance", ours.opening, theirs.opening),
        ("closing balance", ours.closing, theirs.closing),
    ):
        if abs(own - its) >= CENT:
            yield f"{name}: we count {dollars(own)}, the exchange's lists lead to {dollars(its)}"
    yield from _each("fill", ours.fills, theirs.fills, COMPARED)
    yield from _each("settlement of", ours.settlements, theirs.settlements, SETTLED)
    for market in sorted(ours.positions.keys() | theirs.positions.keys()):
        held, shown = ours.positions.get(market, 0), theirs.positions.get(market, 0)
        if held != shown:
            yield f"position in {market}: we count {contracts(held)}, the exchange's lists lead to {contracts(shown)}"


def _each(
    what: str, ours: Mapping[str, Event], theirs: Mapping[str, Event], compared: Mapping[str, Callable[[Any], str]]
) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        own, its = ours.get(name), theirs.get(name)
        if own is None or its is None:
            missing, there = ("journal", its) if own is None else ("exchange's list", own)
            assert there is not None, "it is in one of the two"
            yield f"{what} {name} of {contracts(there.count)} in {there.market}: not in the {missing}"
            continue
        for field, write in compared.items():
            mine, other = write(getattr(own, field)), write(getattr(its, field))
            if mine != other:
                yield f"{what} {name}: {field} is {mine} in the journal and {other} in the exchange's list"
