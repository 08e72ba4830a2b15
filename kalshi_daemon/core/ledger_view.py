"""What readers see of the account: frozen records, read-only mappings and figures, and the canonical bytes of it all.

Rules: nothing here changes anything; `Ledger` does, by folding facts. Who only reads takes a `LedgerView`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from kalshi_daemon.core.cash_manager import CashManager
from kalshi_daemon.core.fill_processor import FillProcessor
from kalshi_daemon.core.holds import Hold, Holds, Restriction
from kalshi_daemon.core.order_groups import OrderGroup, OrderGroups
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.order_tracker import OrderTracker
from kalshi_daemon.core.position_tracker import Position, PositionTracker
from kalshi_daemon.core.session_figures import Execution, SessionFigures
from kalshi_daemon.facts import BalanceReading, HoldKind, OrderSeen, SettlementSeen
from kalshi_daemon.limits import FOREIGN_NAMED_MAX
from kalshi_daemon.units import CENT, Count, Milliseconds, Money, Ticker

FIGURES: Final = ("cost", "realised", "fees")  # of a position, that the exchange works out as well
SOURCES: Final = ("read", "stream")  # of them
PREFIX: Final = "kd"  # opens every client order id of ours


class LedgerView:
    """One account, to be read."""

    def __init__(self) -> None:
        self._cash = CashManager()
        self._positions = PositionTracker()
        self._orders = OrderTracker(self._cash)
        self._fills = FillProcessor()
        self._holds = Holds()
        self._groups = OrderGroups()
        self._runs: dict[str, None] = {}  # every run whose facts were folded, oldest first
        self._accepted: set[str] = set()  # orders and markets that are not ours and that a person has let be
        self._strange: dict[Ticker, None] = {}  # markets where a position is not ours, until a person lets it be
        self.environment = ""  # of the exchange, once it was named
        self.account_keys: dict[str, None] = {}  # fingerprints of the account's keys, oldest first
        self.journal_before = ""  # the name of the file that this journal goes on from, where there is one,
        self.orders_before: dict[str, Milliseconds] = {}  # and its last orders, by the exchange's id: their last stamp
        self.opened_ms: Milliseconds = 0
        self.opening: tuple[tuple[int, Money], ...] = ()  # cash by shard when the account was opened
        self.figures_known = False  # whether the journal says with which figures positions began at the exchange
        # theirs less ours, by market, figure and source: from before the journal, and what was told since
        self._figures: dict[tuple[Ticker, str, str], Money] = {}
        self._fees_before: dict[Ticker, Money] = {}  # what was charged before the journal, and we do not count
        self.fills_booked = 0
        self.settlements_booked = 0
        self.last_fill_ms: Milliseconds = 0  # the newest stamp of a fill that was booked
        self.day = ""  # the US Eastern day that was opened last,
        self.bankroll: Money = 0  # and what the account was worth then: limits are shares of it
        self.agreed_ms: Milliseconds = 0  # as of when a complete read last equalled this, by the exchange's clock
        self.readings = tuple(BalanceReading)  # what the exchange's balance may mean while orders rest
        self.session = SessionFigures()  # of the run that was begun last
        self.executions: tuple[Execution, ...] = ()  # the last of any run, oldest first
        self._counts: dict[str, int] = {}
        self.orders: Mapping[str, OrderRecord] = self._orders.orders
        self.positions: Mapping[Ticker, Position] = self._positions.positions
        self.cancelled_all_ms: Milliseconds = 0  # when everything was last asked to be cancelled, by our clock,
        self.orders_from_ms: Milliseconds = 0  # and when, by the exchange's, that takes no new order any more
        self.opened = False
        self.account_agreed = False
        self.doubts = 0  # how often it was said not to agree, or perhaps not to
        self.run_id = ""
        self.next_number = 1
        self.version = 0  # facts applied

    def by_order_id(self, order_id: str) -> OrderRecord | None:
        return self._orders.by_order_id(order_id)

    def teaches(self, record: OrderRecord, seen: OrderSeen) -> bool:
        """Whether a sight of the order as it is known says something new of its terms, or of who says it."""
        if seen.expires_s is not None and not self._orders.says_expiry(seen.source):
            return True
        return seen.updated_ms == record.updated_ms and self._orders.restated(record, seen) is not record

    def live(self, market: Ticker | None = None) -> list[OrderRecord]:
        """Orders, ours and foreign, that are not over: intended, on their way, resting, unknown."""
        return [record for record in self._orders.open_orders(market) if not record.final]

    def increase_before(self, number: int) -> Milliseconds | None:
        """When the `number`-th newest order that increases was meant; None where there were not so many."""
        return self._orders.increase_before(number)

    @property
    def live_count(self) -> int:
        """How many orders are live."""
        return self._orders.live_count

    def open_orders(self, market: Ticker | None = None) -> list[OrderRecord]:
        """Live orders, and those that are over and whose fills are not all here: what may still move a position."""
        return self._orders.open_orders(market)

    def position(self, market: Ticker) -> Count:
        return self._positions.count(market)

    def knows_trade(self, trade_id: str) -> bool:
        """Whether this fill was told before, as far back as is remembered."""
        return self._fills.knows(trade_id)

    def is_settled(self, market: Ticker) -> bool:
        return self._positions.is_settled(market)

    def not_ours(self) -> list[str]:
        """Markets with a position, and live orders, that are not ours and that no person has let be."""
        return [each for each in (*self.foreign_markets(), *self.foreign_orders()) if each not in self._accepted]

    def foreign_cause(self) -> str:
        """The same in words, as the cause of a hold; empty where there is nothing."""
        markets = [f"the position in {each}" for each in self.foreign_markets() if each not in self._accepted]
        orders = [
            f"order {each.order_id} on {each.spec.market}"
            for each in self.live()
            if not each.ours and each.order_id not in self._accepted
        ]
        strange = markets + orders
        named, left = strange[:FOREIGN_NAMED_MAX], len(strange) - FOREIGN_NAMED_MAX
        more = f" and {left} more" if left > 0 else ""
        return f"{', '.join(named)}{more} {'is' if len(strange) == 1 else 'are'} not ours" if strange else ""

    def foreign_orders(self) -> list[str]:
        """The exchange's ids of live orders that are not ours, let be or not."""
        return [each.order_id for each in self.live() if not each.ours]

    def foreign_markets(self) -> list[Ticker]:
        """The markets where a position is not ours, let be or not."""
        return [market for market in self._strange if self.position(market)]

    def figure_base(self, market: Ticker, what: str, source: str) -> Money | None:
        """By how much the exchange's cost, realised or fees of a position differ from ours, and rightly; None where the
        journal does not say. `source`: read or stream, each of which may have been told to differ.
        """
        known = self.figures_known or what == "cost"
        return self._figures.get((market, what, source), 0) if known else None

    def fees_restated(self, market: Ticker, theirs: Money) -> Money:
        """By how much the exchange charges more for what we booked than it told; 0 where the journal does not say."""
        if not self.figures_known or market not in self.positions:
            return 0
        return theirs - self.positions[market].fees - self._fees_before.get(market, 0)

    def payout_change(self, told: SettlementSeen) -> Money:
        """By how much the exchange lists another payout for what we held than was booked; 0 where it lists the same, in
        the whole cents in which it does, or where what was booked is not known.
        """
        booked = self._positions.paid(told.market)
        if booked is None or booked[0] != told.count or 0 <= booked[1] - told.revenue < CENT:
            return 0
        return told.revenue - booked[1]

    def origin(self, execution: Execution) -> tuple[str, int]:
        """The client order id of what was filled, and the decision that it was for; 0 where none of ours is known."""
        record = self.by_order_id(execution.fill.order_id)
        if record is None:
            return execution.fill.client_order_id, 0
        return record.client_order_id, record.decision

    def accepted_orders(self) -> Iterator[str]:
        """The exchange's ids of our orders, newest first, those of the journal before at the end."""
        yield from (each.order_id for each in reversed([*self.orders.values()]) if each.order_id and each.ours)
        yield from self.orders_before

    def settled(self, shard: int) -> Money:
        return self._cash.settled(shard)

    def reserved(self, shard: int) -> Money:
        return self._cash.reserved(shard)

    def available(self, shard: int, threshold: Money) -> Money:
        """What a new order on the shard may cost; `threshold` is what the account keeps (see `CashManager`)."""
        return self._cash.available(shard, threshold)

    @property
    def below_a_cent(self) -> bool:
        """Whether the exchange keeps this account's cash in fractions of a cent."""
        return self._cash.below_a_cent

    @property
    def settled_total(self) -> Money:
        return self._cash.settled_total

    @property
    def reserved_total(self) -> Money:
        return self._cash.reserved_total

    @property
    def shards(self) -> Mapping[int, Money]:
        """Settled cash by shard."""
        return self._cash.shards

    @property
    def holds(self) -> tuple[Hold, ...]:
        """All holds, strongest first; those with a subject close one market and pause nothing."""
        return self._holds.holds

    @property
    def held(self) -> bool:
        return self._holds.held

    def find_hold(self, kind: HoldKind, subject: str = "") -> Hold | None:
        return self._holds.find(kind, subject)

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        return self._holds.restrictions

    @property
    def restricted(self) -> bool:
        return bool(self._holds.restrictions)

    @property
    def sweep_scope(self) -> str:
        """What a sweep has to reach: "all", "increasing", or "" when none is wanted."""
        return self._holds.sweep_scope

    @property
    def sweep_wanted(self) -> bool:
        return bool(self._holds.sweep_scope)

    def order_group(self, shard: int) -> OrderGroup | None:
        """The group of what rests on the shard, once it was made."""
        return self._groups.groups.get(shard)

    @property
    def triggered_groups(self) -> list[OrderGroup]:
        return self._groups.triggered

    @property
    def counts(self) -> Mapping[str, int]:
        """How often something changed nothing, or was not expected; and the fills that wait for their order."""
        return {**self._counts, "fills_held": self._fills.held_count}

    def client_order_id(self, number: int) -> str:
        """The id of this run's intent `number`: a retry has the same, so it can never become a second order."""
        return f"{PREFIX}-{self.run_id}-{number}"

    def snapshot(self) -> bytes:
        """The whole state as canonical JSON: equal states give equal bytes."""
        state = {
            "cash": self._cash.state(),
            "positions": self._positions.state(),
            "orders": self._orders.state(),
            "fills": self._fills.state(),
            "holds": self._holds.state(),
            "order_groups": self._groups.state(),
            "runs": list(self._runs),
            "accepted": sorted(self._accepted),
            "strange": list(self._strange),
            "environment": self.environment,
            "account_keys": list(self.account_keys),
            "journal_before": self.journal_before,
            "orders_before": self.orders_before,
            "opened_ms": self.opened_ms,
            "opening": self.opening,
            "figures_known": self.figures_known,
            "fees_before": self._fees_before,
            "figures": [(*subject, gap) for subject, gap in self._figures.items()],
            "fills_booked": self.fills_booked,
            "settlements_booked": self.settlements_booked,
            "last_fill_ms": self.last_fill_ms,
            "day": self.day,
            "bankroll": self.bankroll,
            "agreed_ms": self.agreed_ms,
            "readings": self.readings,
            "cancelled_all_ms": self.cancelled_all_ms,
            "orders_from_ms": self.orders_from_ms,
            "opened": self.opened,
            "account_agreed": self.account_agreed,
            "doubts": self.doubts,
            "run_id": self.run_id,
            "next_number": self.next_number,
            "version": self.version,
            "session": self.session,
            "executions": self.executions,
            "counts": self._counts,
        }
        return msgspec.json.encode(state, order="sorted")
