"""A market's life by the clock and by the exchange's own word: opening, halts, closing, determination, payment.

Rules (api.md 6): opening and closing send no event; a halt keeps resting orders, except those that asked to go
(cancel_order_on_pause), and its end cancels all; a close cancels all; a market is paid `settlement_timer_ms` after it
was determined. Orders below a floor on the settlement are cancelled when it is set, and not taken after (assumed: the
exchange has a reason for the first, and names no code for the second). A void market is paid at its last price
(assumed: the exchange names a fair price) and shown as scalar. A dispute is not told of, and an amended result is told
like the first one (both assumed: the exchange has no words for them).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import evolve

from kalshi_daemon.emulator.accounts import Account, Position
from kalshi_daemon.emulator.events import EventListed, MarketMoved, PositionChanged
from kalshi_daemon.emulator.execution import EXPIRY, Execution
from kalshi_daemon.emulator.fee_desk import FEES, FeeDesk
from kalshi_daemon.emulator.grid import STRUCTURES, contains
from kalshi_daemon.emulator.model import EventTerms, Market, MarketStatus, Settlement, UpdateReason
from kalshi_daemon.emulator.orders import LiveOrder
from kalshi_daemon.emulator.pauses import PAUSE, Pauses
from kalshi_daemon.emulator.venue import MarketState, Venue
from kalshi_daemon.units import PRICE_ONE, Milliseconds, Price

MARKET = "market"  # the calendar's kind for a market's next step

BEFORE_CLOSE: Final = (MarketStatus.INITIALIZED, MarketStatus.ACTIVE, MarketStatus.INACTIVE)


class Lifecycle:
    """Moves markets through their statuses."""

    def __init__(self, venue: Venue, execution: Execution, pauses: Pauses, fees: FeeDesk) -> None:
        self._venue = venue
        self._execution = execution
        self._pauses = pauses
        self._fees = fees

    def list_event(self, market: Market) -> None:
        """A market is about to be listed: tell of its event, if it is the first of it."""
        if market.event in self._venue.events:
            return
        title = self._venue.series[market.series].title
        terms = EventTerms(market.event, market.series, title, market.exchange_index)
        self._venue.events[market.event] = terms
        self._venue.emit(EventListed(terms, self._venue.now_ms()))

    def begin(self, state: MarketState) -> None:
        """A market was added: tell of it, and take the steps that are already due."""
        self._venue.emit(MarketMoved(state.market, "created", self._venue.now_ms()))
        self._venue.schedule(state.market.open_ms, MARKET, state.market.ticker)
        self.advance()

    def advance(self) -> None:
        """Do everything that is due: expiries, changes of fees, the steps of markets, in the order of their times."""
        now = self._venue.now_ms()
        while (due := self._venue.take_due(now)) is not None:
            kind, key = due
            if kind == MARKET:
                self._step(self._venue.states[key], now)
            elif kind == PAUSE:
                self._pauses.step(key)
            elif kind == FEES:
                self._fees.step(key)
            else:
                assert kind == EXPIRY, kind
                order = self._venue.live.get(key)
                if order is not None and order.expires_ms is not None and order.expires_ms <= now:
                    self._execution.cancel(order, UpdateReason.EXPIRY_CANCEL)

    def _step(self, state: MarketState, now: Milliseconds) -> None:
        """Take every step of one market that is due, and note when the next one is."""
        while (due := self._next_step_ms(state)) is not None:
            if due > now:
                self._venue.schedule(due, MARKET, state.market.ticker)
                return
            match state.market.status:
                case MarketStatus.INITIALIZED:
                    self._venue.change_market(state, evolve(state.market, status=MarketStatus.ACTIVE), "")
                case MarketStatus.ACTIVE | MarketStatus.INACTIVE:
                    self._close(state)
                case MarketStatus.CLOSED:
                    self._determine(state, state.market.planned_result, state.market.planned_value)
                case _:
                    self._pay(state)

    def _next_step_ms(self, state: MarketState) -> Milliseconds | None:
        """When the clock moves a market next; None if only the exchange's word does."""
        market = state.market
        match market.status:
            case MarketStatus.INITIALIZED:
                return market.open_ms
            case MarketStatus.ACTIVE | MarketStatus.INACTIVE:
                return market.close_ms
            case MarketStatus.CLOSED if market.planned_result:
                return market.close_ms + market.determination_delay_ms
            case MarketStatus.DETERMINED | MarketStatus.AMENDED:
                assert market.determined_ms is not None
                return market.determined_ms + market.settlement_timer_ms
            case _:
                return None

    def _close(self, state: MarketState) -> None:
        self._venue.change_market(state, evolve(state.market, status=MarketStatus.CLOSED), "")
        self._cancel(self._resting(state), UpdateReason.CLOSE_CANCEL)
        self._execution.clear_recorded(state)

    # --------------------------------------------------------------------------------------------- halts and terms

    def halt(self, state: MarketState) -> None:
        assert state.market.status is MarketStatus.ACTIVE, "only an active market can be halted"
        self._venue.change_market(state, evolve(state.market, status=MarketStatus.INACTIVE), "deactivated")
        self._cancel([o for o in self._resting(state) if o.cancel_on_pause], UpdateReason.HALT_CANCEL)

    def resume(self, state: MarketState) -> None:
        assert state.market.status is MarketStatus.INACTIVE, "only a halted market can be resumed"
        self._cancel(self._resting(state), UpdateReason.HALT_CANCEL)
        self._venue.change_market(state, evolve(state.market, status=MarketStatus.ACTIVE), "activated")

    def move_close(self, state: MarketState, close_ms: Milliseconds) -> None:
        """Close earlier or later; a closed market with a later close stands halted until it is resumed."""
        market = state.market
        assert market.status in (*BEFORE_CLOSE, MarketStatus.CLOSED), "its result is known"
        status = market.status
        if status is MarketStatus.CLOSED and close_ms > self._venue.now_ms():
            status = MarketStatus.INACTIVE
        self._venue.change_market(state, evolve(market, close_ms=close_ms, status=status), "close_date_updated")
        self._venue.schedule(close_ms, MARKET, market.ticker)

    def change_grid(self, state: MarketState, structure: str) -> None:
        """To a finer grid, or to one that has more prices; resting orders stay."""
        market, ranges = state.market, STRUCTURES[structure]
        assert market.status in BEFORE_CLOSE, "it has closed"
        assert contains(ranges, market.price_ranges), f"{structure} lacks prices of {market.price_level_structure}"
        changed = evolve(market, price_level_structure=structure, price_ranges=ranges)
        self._venue.change_market(state, changed, "price_level_structure_updated")

    def set_floor(self, state: MarketState, floor: Price) -> None:
        """The YES leg will settle at this or above; no stream is told (assumed), but of the orders that go."""
        assert state.market.status in BEFORE_CLOSE, "it has closed"
        assert 0 < floor < PRICE_ONE, floor
        self._venue.change_market(state, evolve(state.market, floor=floor), "")
        below = [order for order in self._resting(state) if order.price < floor]
        self._cancel(below, UpdateReason.SETTLEMENT_BOUNDS_CANCEL)

    def rename(self, state: MarketState, yes_subtitle: str) -> None:
        self._venue.change_market(state, evolve(state.market, yes_subtitle=yes_subtitle), "metadata_updated")

    def waive_fees(self, state: MarketState, until_ms: Milliseconds) -> None:
        self._venue.change_market(state, evolve(state.market, fee_waiver_ms=until_ms), "")

    def _resting(self, state: MarketState) -> list[LiveOrder]:
        legs = (state.book.yes, state.book.no)
        return [order for leg in legs for price in leg.prices for order in leg.levels[price].orders]

    def _cancel(self, orders: Iterable[LiveOrder], reason: UpdateReason) -> None:
        for order in list(orders):
            self._execution.cancel(order, reason)

    # ---------------------------------------------------------------------------------------------------- settlement

    def settle(self, state: MarketState, result: str, value: Price | None) -> None:
        """The exchange's word on the outcome; an open market closes first. Payment follows by the timer."""
        now = self._venue.now_ms()
        if state.market.status in BEFORE_CLOSE:
            self.move_close(state, now)
            self._close(state)
        assert state.market.status is MarketStatus.CLOSED, "its result is known"
        self._determine(state, result, value)
        self._step(state, now)

    def dispute(self, state: MarketState) -> None:
        assert state.market.status is MarketStatus.DETERMINED, "only a determined market can be disputed"
        self._venue.change_market(state, evolve(state.market, status=MarketStatus.DISPUTED), "")

    def amend(self, state: MarketState, result: str, value: Price | None) -> None:
        """Another result, or the same again; payment follows by the timer, counted from now."""
        assert state.market.status in (MarketStatus.DETERMINED, MarketStatus.DISPUTED), "it has no result to amend"
        self._determine(state, result, value, MarketStatus.AMENDED)
        self._step(state, self._venue.now_ms())

    def _determine(
        self,
        state: MarketState,
        result: str,
        value: Price | None,
        status: MarketStatus = MarketStatus.DETERMINED,
    ) -> None:
        worth = {"yes": PRICE_ONE, "no": 0}.get(result, value)
        if result == "void":
            result = "scalar"
            if worth is None:
                worth = PRICE_ONE // 2 if state.last_price is None else state.last_price
                worth = max(worth, state.market.floor or 0)
        assert result in ("yes", "no", "scalar"), result
        assert worth is not None, "a scalar result needs its value"
        assert (state.market.floor or 0) <= worth <= PRICE_ONE, worth
        determined = evolve(
            state.market,
            status=status,
            result=result,
            settlement_value=worth,
            determined_ms=self._venue.now_ms(),
        )
        self._venue.change_market(state, determined, "determined")

    def _pay(self, state: MarketState) -> None:
        """Pay every holder and tell of it."""
        now = self._venue.now_ms()
        paid = evolve(state.market, status=MarketStatus.FINALIZED, settled_ms=now)
        self._venue.change_market(state, paid, "settled")
        for account in self._venue.accounts():
            position = account.positions.get(state.market.ticker)
            if position is not None:
                self._pay_account(state, account, position, now)
        state.open_interest = 0
        self._venue.figures_changed(state, now)

    def _pay_account(self, state: MarketState, account: Account, position: Position, now: Milliseconds) -> None:
        market, value = state.market, state.market.settlement_value
        assert value is not None
        position.settled = True
        count, cost = position.count, position.cost
        if not count:
            return
        paid = position.pay_out(value, 1 if account.credit else self._venue.settings.balance_grain, now)
        account.cash[market.exchange_index] += paid
        if account.credit:
            return
        account.updated_ms = now
        account.settlements.append(
            Settlement(
                market=market.ticker,
                event=market.event,
                result=market.result,
                value=value,
                yes_count=max(0, count),
                yes_cost=cost if count > 0 else 0,
                no_count=max(0, -count),
                no_cost=cost if count < 0 else 0,
                revenue=paid,
                fees=position.fees,
                ts_ms=now,
                exchange_index=market.exchange_index,
                subaccount=account.number,
            )
        )
        self._venue.emit(PositionChanged(account.user_id, position.view(market, account.number)))
