"""Every order by its ids, stepped by the table of `statecharts/order.py`.

Rules:
- A fact older by the exchange's stamp than what is known is dropped before the table is asked.
- Which order stands while an amend is pending is `order_amends.py`'s to say; the table is asked of the one that stands.
- Records of orders that are over are kept up to a bound, oldest out first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from kalshi_daemon.core.cash_manager import CashManager
from kalshi_daemon.core.order_amends import is_early, is_overtaken, only_lowers, restated, settled
from kalshi_daemon.core.order_inputs import cause_of, exchange_stamp_ms, order_input
from kalshi_daemon.core.order_record import FOREIGN, RESTING, OrderRecord, Terms, record_of_intent, record_of_sight
from kalshi_daemon.core.table import Cell, Table
from kalshi_daemon.facts import (
    AmendAcknowledged,
    AmendIntended,
    AmendSent,
    CancelAcknowledged,
    CancelSent,
    FillSeen,
    OrderAbsent,
    OrderAcknowledged,
    OrderFact,
    OrderIntended,
    OrderSeen,
    OrderSent,
)
from kalshi_daemon.limits import ORDERS_KEPT_MAX, ORDERS_PER_MIN_CAP, REQUEST_LIFE_MS
from kalshi_daemon.units import CONTRACT, SECOND_MS, BookSide, Count, Milliseconds, Ticker, contracts, dollars
from statecharts.order import FIL, FINAL_STATES, ORDER

TABLE: Final = Table(ORDER)
KEPT: Final = Cell(next=None)


@frozen
class Told:
    """What a fact did to a record: `note` counts why nothing happened, `diverged` says what cannot be, `restated` which
    terms it has now that nobody here asked for.
    """

    before: str
    record: OrderRecord
    note: str = ""
    diverged: str = ""
    restated: str = ""


class OrderTracker:
    """The records, their indices, and the reservations that follow them."""

    def __init__(self, cash: CashManager, kept_max: int = ORDERS_KEPT_MAX) -> None:
        self._cash = cash
        self._kept_max = kept_max
        self._orders: dict[str, OrderRecord] = {}
        self._increases_ms: deque[Milliseconds] = deque(maxlen=ORDERS_PER_MIN_CAP)  # when each was meant, oldest first
        self._keys: dict[str, str] = {}  # order_id -> key of _orders
        self._open: dict[Ticker, dict[str, None]] = {}  # market -> keys of its open records, oldest first; never empty
        self._say_expiry: dict[str, None] = {}  # "stream" or "read", once it has named an order's expiry
        self.live_count = 0  # records whose state is not final
        self.orders: Mapping[str, OrderRecord] = MappingProxyType(self._orders)

    def by_order_id(self, order_id: str) -> OrderRecord | None:
        key = self._keys.get(order_id)
        return None if key is None else self._orders[key]

    def open_orders(self, market: Ticker | None = None) -> list[OrderRecord]:
        """Orders that can still change something, oldest first within a market."""
        if market is None:
            return [self._orders[key] for keys in self._open.values() for key in keys]
        return [self._orders[key] for key in self._open.get(market, ())]

    def awaits(self, market: Ticker, side: BookSide) -> bool:
        """Whether an order of ours there may be known at the exchange by an id that we have not been told."""
        return any(not each.order_id and each.spec.side is side for each in self.open_orders(market))

    def intend(self, fact: OrderIntended) -> OrderRecord | None:
        """The record of a new intent; None where it was told before."""
        if fact.client_order_id in self._orders:
            return None
        if not fact.spec.reduce_only:
            self._increases_ms.append(fact.at_ms)
        return self._put(record_of_intent(fact))

    def intend_amend(self, fact: AmendIntended) -> OrderRecord | None:
        """The record with the amend that it waits for; None where nothing rests, or one is pending: told before."""
        record = self._orders.get(fact.client_order_id)
        if record is None or not record.ours or not record.rests or record.amend is not None:
            return None
        if not only_lowers(record.spec, fact.spec):
            self._increases_ms.append(fact.at_ms)
        return self._put(evolve(record, amend=Terms(fact.spec, fact.reserve)))

    def increase_before(self, number: int) -> Milliseconds | None:
        """When the `number`-th newest increase was meant (1: the last); None where there were not so many."""
        return self._increases_ms[-number] if number <= len(self._increases_ms) else None

    def meet(self, fact: OrderSeen, number: int | None) -> OrderRecord:
        """The record of an order that is seen and has no intent; ours by its number, or else foreign."""
        ours = number is not None
        key = fact.client_order_id if ours else FOREIGN + fact.order_id
        return self._put(record_of_sight(fact, key, number or 0, ours=ours))

    def adopt(self, order_ids: tuple[str, ...]) -> list[OrderRecord]:
        """Makes those that live, and are not ours, ours. What they were filled before is no news, also where its fills
        are told later, and no request of ours made them.
        """
        found = [record for each in order_ids if (record := self.by_order_id(each)) is not None]
        return [
            self._put(
                evolve(
                    record,
                    ours=True,
                    filled=max(record.filled, record.claimed),
                    untold=max(0, record.claimed - record.filled),
                    adopted_ms=record.updated_ms,
                    asked_ms=0,
                )
            )
            for record in found
            if not record.ours and not record.final
        ]

    def seen(self, fact: OrderSeen) -> None:
        """An order was seen, whose it may be: what is learnt of who says so."""
        if fact.expires_s is not None:
            self._say_expiry[fact.source] = None

    def says_expiry(self, source: str) -> bool:
        """Whether it names an order's expiry where there is one."""
        return source in self._say_expiry

    def restated(self, record: OrderRecord, fact: OrderFact) -> OrderRecord:
        """The record as the fact shows it to rest."""
        return restated(record, fact, says_expiry=isinstance(fact, OrderSeen) and self.says_expiry(fact.source))

    def answer(self, record: OrderRecord, fact: OrderFact) -> Told:
        """One fact about a known order, through the table."""
        if isinstance(fact, OrderSeen) and not record.ours:
            return self._sight(record, fact)
        known_terms = settled(record, fact)
        stands = self.restated(known_terms, fact)
        name = order_input(fact, stands.spec.count, record.order_id)
        note = "unread_statuses" if name is None else self._too_old(record, fact, name)
        order_id = fact.order_id if isinstance(fact, OrderSeen | OrderAcknowledged) else ""
        text = self._misnamed(record, order_id) or _misplaced(record, fact) if order_id and not note else ""
        if name is None or note or text:
            return Told(record.state, record, note=note, diverged=text)
        claimed = self._claimed(stands, fact)
        overtaken = is_overtaken(record, fact)
        cell = KEPT if overtaken else TABLE.step(record.state, name).opened(max(claimed, record.filled))
        diverged = f"order {record.client_order_id}: {name} while {record.state}" if cell.diverged else ""
        if cell.diverged and cell.next is None:
            return Told(record.state, record, diverged=diverged)
        known = (order_id or record.order_id, claimed, max(record.updated_ms, exchange_stamp_ms(fact)))
        same = stands is record and known == (record.order_id, record.claimed, record.updated_ms)
        if cell.next is None and same and not overtaken:
            return Told(record.state, record, note="ignored_inputs")
        after = evolve(
            stands,
            order_id=known[0],
            state=self._completed(stands, record, cell.next or record.state),
            claimed=claimed,
            asked_ms=fact.at_ms if isinstance(fact, OrderSent | CancelSent | AmendSent) else record.asked_ms,
            updated_ms=known[2],
            reason=cause_of(fact) or record.reason if cell.next else record.reason,
        )
        note = "overtaken_amends" if overtaken else "ignored_inputs" if cell.next is None and stands is record else ""
        text = "" if stands is known_terms else f"{_terms(known_terms)} is {_terms(stands)} now, and not by us"
        restating = f"order {record.client_order_id} on {stands.spec.market}: {text}" if text else ""
        return Told(record.state, self._put(after), note=note, diverged=diverged, restated=restating)

    @staticmethod
    def _completed(stands: OrderRecord, before: OrderRecord, state: str) -> str:
        """The state of an order whose terms are another's now: its fills may reach the count by that alone."""
        reached = stands is not before and state not in FINAL_STATES and stands.filled >= stands.count_max
        return TABLE.step(state, "fill_rest").next or state if reached else state

    def fill(self, record: OrderRecord, fill: FillSeen) -> Told:
        """A fill of a known order; its money is booked elsewhere, in every case."""
        text = self._misnamed(record, fill.order_id)
        if text or (fill.market, fill.side) != (record.spec.market, record.spec.side):
            note = "wrong_fills_id" if text else "wrong_fills_market"
            text = text or f"order {record.client_order_id}: a fill on {fill.market}, side {fill.side}"
            return Told(record.state, record, note=note, diverged=text)
        counted = min(record.untold, fill.count) if fill.ts_ms <= record.adopted_ms else 0
        filled = record.filled + fill.count - counted
        whole = filled >= record.count_max
        state, diverged, note = record.state, "", ""
        if filled == record.filled:
            note = "fills_counted_before"
        elif record.ours:
            cell = TABLE.step(state, "fill_rest" if whole else "fill_part")
            if cell.diverged:
                diverged, note = f"order {record.client_order_id}: a fill while {state}", "wrong_fills_state"
            elif filled > record.count_max:
                asked, note = contracts(record.count_max), "wrong_fills_count"
                diverged = f"order {record.client_order_id}: {contracts(filled)} filled of {asked} asked for"
            state = cell.next or state
        elif whole:
            state = FIL
        after = evolve(
            record,
            order_id=fill.order_id,
            state=state,
            filled=filled,
            untold=record.untold - counted,
            cost=record.cost + fill.price * fill.count,
            fees=record.fees + fill.fee,
            updated_ms=max(record.updated_ms, fill.ts_ms),
        )
        return Told(record.state, self._put(after), note=note, diverged=diverged)

    def restart(self, record: OrderRecord, at_ms: Milliseconds) -> Told:
        """The process that knew more is gone; what it was about to send may have left until now."""
        state = record.state
        if record.amend is not None and state in RESTING:  # it was decided, and may have left
            state = TABLE.step(state, "amend_sent").next or state
        cell = TABLE.step(state, "restarted")
        if cell.next is None:
            return Told(record.state, record)
        return Told(record.state, self._put(evolve(record, state=cell.next, asked_ms=at_ms)))

    @property
    def increases_ms(self) -> tuple[Milliseconds, ...]:
        """When each was meant, oldest first, as far back as is remembered."""
        return tuple(self._increases_ms)

    def take_up(self, increases_ms: tuple[Milliseconds, ...]) -> None:
        """Those of the journal before."""
        self._increases_ms.extend(increases_ms)

    def _sight(self, record: OrderRecord, fact: OrderSeen) -> Told:
        """An order that is not ours, seen again."""
        if fact.updated_ms < record.updated_ms:
            return Told(record.state, record, note="older_facts")
        after = evolve(
            record_of_sight(fact, record.client_order_id, record.number, ours=False),
            filled=record.filled,
            cost=record.cost,
            fees=record.fees,
            intended_ms=record.intended_ms,
        )
        return Told(record.state, self._put(after))

    def _misnamed(self, record: OrderRecord, order_id: str) -> str:
        """What cannot be about this order id: it is another's, or the order has another."""
        if record.order_id not in ("", order_id):
            return f"order {record.client_order_id} is {record.order_id} and now also {order_id}"
        key = self._keys.get(order_id, record.client_order_id)
        return "" if key == record.client_order_id else f"{order_id} is {key} and now also {record.client_order_id}"

    @staticmethod
    def _too_old(record: OrderRecord, fact: OrderFact, name: str) -> str:
        """Why this evidence says nothing about the order as it is now; empty where it does."""
        if isinstance(fact, OrderSeen):
            # of two things in one millisecond the final one is the later
            same = fact.updated_ms == record.updated_ms and name == "seen_open" and record.final
            if same or fact.updated_ms < record.updated_ms:
                return "older_facts"
            return "early_sights" if is_early(record, fact) else ""
        if isinstance(fact, OrderAbsent):
            arrives_until_ms = record.asked_ms + REQUEST_LIFE_MS
            if record.spec.expires_s is not None:
                arrives_until_ms = min(arrives_until_ms, record.spec.expires_s * SECOND_MS)
            return "early_absences" if fact.as_of_ms < arrives_until_ms else ""
        return ""

    @staticmethod
    def _claimed(record: OrderRecord, fact: OrderFact) -> Count:
        """How many contracts the exchange has said are filled, with this fact."""
        if isinstance(fact, CancelAcknowledged):
            # of two orders that it may be, so much is filled in either case
            count = record.spec.count if record.amend is None else min(record.spec.count, record.amend.spec.count)
            return max(record.claimed, count - fact.reduced_by)
        if isinstance(fact, AmendAcknowledged):
            return record.claimed if fact.remaining is None else max(record.claimed, record.spec.count - fact.remaining)
        if isinstance(fact, OrderSeen) and fact.status != "resting":
            return max(record.filled, fact.filled)  # its last word
        if isinstance(fact, OrderSeen | OrderAcknowledged):
            return max(record.claimed, fact.filled)
        return record.claimed

    def _put(self, record: OrderRecord) -> OrderRecord:
        """Replaces a record and keeps indices and reservations equal to it."""
        key = record.client_order_id
        before = self._orders.get(key)
        if before is not None:
            self._cash.reserve(before.spec.exchange_index, -before.reserve)
            self.live_count -= not before.final
        self._cash.reserve(record.spec.exchange_index, record.reserve)
        self.live_count += not record.final
        self._orders[key] = record
        if record.order_id:
            self._keys[record.order_id] = key
        market = record.spec.market
        if record.open:
            self._open.setdefault(market, {})[key] = None
        elif market in self._open:
            self._open[market].pop(key, None)
            if not self._open[market]:
                del self._open[market]
        if before is None and len(self._orders) > self._kept_max:
            self._forget()
        return record

    def _forget(self) -> None:
        """Drops the oldest record that is over."""
        for key, record in self._orders.items():
            if not record.open:
                del self._orders[key]
                self._keys.pop(record.order_id, None)
                return

    def state(self) -> dict[str, object]:
        """Everything that is remembered, for the ledger's snapshot."""
        return {"orders": self._orders, "say_expiry": list(self._say_expiry)}


def _misplaced(record: OrderRecord, fact: OrderFact) -> str:
    """What cannot be about this order: no amend changes its market or side."""
    if not isinstance(fact, OrderSeen) or (fact.market, fact.side) == (record.spec.market, record.spec.side):
        return ""
    return f"order {record.client_order_id} is seen on {fact.market}, side {fact.side}"


def _terms(record: OrderRecord) -> str:
    spec = record.spec
    until = "" if spec.expires_s is None else f" until {spec.expires_s}"
    return f"{contracts(spec.count)} at {dollars(spec.price * CONTRACT)}{until}"
