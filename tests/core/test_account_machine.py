"""Random lives of an account (`account_life.py`), judged.

After every step the ledger's money equals that of a slow model which adds up what has been told; an audit at any
moment, of what the exchange then shows, agrees or says why not; what is not ours is known for it, and may be taken or
let be. In the end, when everything has been told, the account equals what happened.
"""

from __future__ import annotations

from fractions import Fraction

from account_facts import NOON, agreed, state_of
from account_life import MARKETS, SHARD, AccountLife
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from slow_account import DOLLARS, reservation
from slow_exchange import Terms, Truth, worst_of

from kalshi_daemon import facts
from kalshi_daemon.core.account_comparison import DIFFERS, compare_cash, compare_positions
from kalshi_daemon.core.fees import dearest_fee
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_carried import ToldAgain, differences
from kalshi_daemon.core.ledger_memory import remember, restore
from kalshi_daemon.core.position_tracker import unrealised
from kalshi_daemon.facts import (
    BalanceReading,
    ForeignAdopted,
    ForeignIgnored,
    HoldKind,
    HoldLifted,
    OrderSeen,
    OrderSpec,
)
from kalshi_daemon.limits import TOLD_AGAIN_MS
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, Count, Money

AUDITS = ("audit", "audit", "cash drifts", "position drifts", "doubt", "adopt", "ignore")


def dearest(spec: OrderSpec) -> Money:
    """What is set aside for the whole of an order of which nothing is known but what it shows."""
    side, price, count = spec.side, spec.price, spec.count
    return worst_of(side, price, count) + dearest_fee(side, price, count)


class JudgedLife(AccountLife):
    """A life, what is asked of it at any moment, and what is asked at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = BalanceReading.NOTHING
        self.ends_are_told = False  # whether lists were known to name expiries before the last complete reads
        self.adopted: set[str] = set()  # order ids that a person said are ours

    @initialize(reading=st.sampled_from(BalanceReading))
    def what_the_balance_leaves_out(self, reading: BalanceReading) -> None:
        self.reading = reading

    # ------------------------------------------------------------------------------------------------------- audits

    @rule(
        step=st.sampled_from(AUDITS),
        market=st.sampled_from(MARKETS),
        change=st.integers(-500, 500),
        price=st.integers(1, PRICE_ONE - 1),
    )
    def somebody_asks(self, *, step: str, market: str, change: int, price: int) -> None:
        """Complete reads come first, as in the daemon: an audit, and a person's word, are about what they show."""
        if step == "doubt":
            self.tell(facts.AccountDoubted(self.exchange.tick(), "a feed was away"))
            return
        self.ends_are_told = self.reads_say_expiry
        for fact in self.exchange.page():
            self.tell(fact)
        self.what_is_not_ours_is_known()
        if step == "adopt":
            self.let_be(ForeignAdopted)
        elif step == "ignore":
            self.let_be(ForeignIgnored)
        elif self.audit() and change:
            if step == "cash drifts":
                self.cash_drifts(market, change * DOLLAR // 100)
            elif step == "position drifts" and market not in self.exchange.paid:
                self.position_drifts(market, change, price)

    def audit(self) -> bool:
        """Whether nothing is on its way: then all figures agree, and otherwise none is said to differ."""
        assert list(compare_positions(self.ledger, self.positions())) == []
        compared = compare_cash(self.ledger, self.balance(), calm=True, still=True)
        assert DIFFERS not in [verdict for _difference, verdict in compared.differences]
        records = self.ledger.orders
        for order in self.exchange.orders:
            if not (order.there or order.key in self.last_word) or records[order.key].amend is not None:
                return False
        assert compared.differences == ()
        self.what_another_hand_made_is_known()
        assert self.reading in compared.readings
        now_ms = self.exchange.tick()
        if compared.readings != self.ledger.readings:
            self.tell(facts.BalanceReadingLearned(now_ms, compared.readings))
        shown = tuple(self.balance().items())
        self.tell(facts.AccountAgreed(now_ms, now_ms, shown, 0, 0, self.ledger.doubts))
        assert self.ledger.account_agreed
        return True

    def balance(self) -> dict[int, Money]:
        """What the exchange shows when everything has been told."""
        return {
            shard: int(self.slow.cash(market) / DOLLARS)
            - self.exchange.collateral(market, self.exchange.held(market), self.reading)
            for market, shard in SHARD.items()
        }

    def positions(self) -> dict[str, tuple[Count, Money]]:
        positions = self.ledger.positions
        return {
            market: (0 if market in self.exchange.paid else self.exchange.held(market), positions[market].cost)
            for market in MARKETS
            if market in positions
        }

    def cash_drifts(self, market: str, change: Money) -> None:
        """A deposit, or a withdrawal: where it can be known it is found to the micro-dollar, and taken."""
        shard = SHARD[market]
        shown = self.balance()
        shown[shard] += change
        compared = compare_cash(self.ledger, shown, calm=True, still=True)
        known = (
            len({self.exchange.collateral(market, self.exchange.held(market), each) for each in BalanceReading}) == 1
        )
        if known:
            ((difference, verdict),) = compared.differences
            assert (difference.what, difference.subject, verdict) == ("cash", str(shard), DIFFERS)
            assert difference.change == change
        if [each.change for each, _verdict in compared.differences] == [change]:
            self.slow.opening[market] += change * DOLLARS
            self.tell(facts.CashCorrected(self.exchange.tick(), shard, change, "a deposit"))

    def position_drifts(self, market: str, change: Count, price: int) -> None:
        """Contracts that came by no fill: what differs is their count and their cost, and both are taken."""
        shown = self.positions()
        held, cost = shown.get(market, (0, 0))
        after = abs(held + change) * price  # whatever the exchange says that it cost
        shown[market] = (held + change, after)
        (difference,) = compare_positions(self.ledger, shown)
        assert (difference.subject, difference.change, difference.cost_change) == (market, change, after - cost)
        self.exchange.drift[market] = self.exchange.drift.get(market, 0) + change
        self.slow.recount(market, Fraction(change, CONTRACT), (after - cost) * DOLLARS)
        self.tell(facts.PositionCorrected(self.exchange.tick(), market, change, after - cost, "accepted"))

    def what_another_hand_made_is_known(self) -> None:
        """After complete reads: an order that somebody else has changed rests, with the terms that it has now."""
        for order in self.exchange.orders:
            if order.touched and not order.over:
                record = self.ledger.orders[order.key]
                assert (record.spec.price, record.spec.count) == (order.spec.price, order.spec.count)
                assert record.spec.expires_s == order.spec.expires_s or not self.ends_are_told
                assert record.reserve >= worst_of(order.spec.side, order.spec.price, order.left)

    # ------------------------------------------------------------------------------------------------- what is not ours

    def what_is_not_ours_is_known(self) -> None:
        """After complete reads: each order that rests and is not ours, and no other."""
        there = {each.order_id for each in self.exchange.others if not each.over}
        assert set(self.ledger.foreign_orders()) == there - self.adopted

    def let_be(self, how: type[ForeignAdopted | ForeignIgnored]) -> None:
        """A person takes all that is not ours, or lets it be: the hold goes, and nothing is asked for."""
        orders, markets = tuple(self.ledger.foreign_orders()), tuple(self.ledger.foreign_markets())
        self.tell(how(self.exchange.tick(), orders, markets, "a person"))
        self.tell(HoldLifted(self.exchange.tick(), HoldKind.FOREIGN, "", "a person"))
        assert (self.ledger.not_ours(), self.ledger.find_hold(HoldKind.FOREIGN)) == ([], None)
        if how is ForeignAdopted:
            self.adopted.update(orders)
            assert self.ledger.foreign_orders() == []

    # ---------------------------------------------------------------------------------------------- what must be so

    @invariant()
    def the_money_is_what_was_told(self) -> None:
        for market, shard in SHARD.items():
            ours, others = (
                [each for each in orders if each.spec.market == market]
                for orders in (self.exchange.orders, self.exchange.others)
            )
            assert self.ledger.settled(shard) * DOLLARS == self.slow.cash(market)
            touched = [each for each in ours if each.touched]
            loose = self.ledger.reserved(shard) - sum(self.reserved(each) for each in ours if not each.touched)
            loose -= sum(self.ledger.orders[each.key].reserve for each in touched)
            assert sum(map(self.least, others)) <= loose <= sum(map(self.most, others))

    @invariant()
    def positions_and_profit_are_what_was_told(self) -> None:
        for market in MARKETS:
            assert Fraction(self.ledger.position(market), CONTRACT) == self.slow.position(market)
            if (position := self.ledger.positions.get(market)) is None:
                continue
            assert position.fees * DOLLARS == self.slow.fees(market)
            assert (position.realised - position.cost) * DOLLARS == self.slow.moved(market) - self.slow.recounted(
                market
            )
            assert abs(position.cost * DOLLARS - self.slow.cost(market)) <= self.slow.closings(market) * DOLLARS
            for price in (1, 4_200, PRICE_ONE):
                value = self.slow.value(market, Fraction(price, PRICE_ONE))
                assert (unrealised(position, price) + position.cost) * DOLLARS == value

    @invariant()
    def nothing_that_can_be_is_called_impossible(self) -> None:
        assert self.ledger.find_hold(HoldKind.DIVERGENCE) is None

    def reserved(self, order: Truth) -> int:
        """What may still fill, as far as was told: all that has not filled, or after its end what did and was not.

        While an amend is pending it may be either of two, as they were asked for; else it is what the exchange has.
        """
        booked = 0
        if order.key in self.named:
            told = {each.trade_id for each in self.slow.trades}
            fills = [each for each in self.exchange.fills.values() if each.order_id == order.order_id]
            booked = sum(each.count for each in fills if each.trade_id in told)
        terms = [Terms(order.spec, order.worst)]
        if self.ledger.orders[order.key].amend is not None:
            assert order.before is not None
            assert order.asked is not None
            terms = [order.before, order.asked]
        over = order.key in self.last_word
        return max(
            reservation(worst, spec.count, max(0, (order.filled if over else spec.count) - booked))
            for spec, worst in terms
        )

    def least(self, order: Truth) -> Money:
        """What must be set aside for somebody else's order that we were shown and that may still fill."""
        over = order.key not in self.shown or order.key in self.last_word or order.touched
        return 0 if over else reservation(dearest(order.spec), order.spec.count, order.left)

    def most(self, order: Truth) -> Money:
        return max(map(dearest, (order.spec, *order.had))) if order.key in self.shown else 0

    def teardown(self) -> None:
        """Nothing rests; all answers, one complete page, and the proofs of absence: the account is the exchange's."""
        for order in self.exchange.resting():
            self.exchange.end(order, "CloseCancel")
        for order in self.waiting():
            self.tell(facts.OrderWithheld(self.exchange.tick(), order.key, "P1", "stopped"))
        for order in self.exchange.orders:
            if order.answer:
                self.hear(order, lost=False)
        for fact in self.exchange.page():
            self.tell(fact)
        self.nowhere(early=False)
        self.the_money_is_what_was_told()
        self.positions_and_profit_are_what_was_told()
        assert {each.trade_id for each in self.slow.trades} == set(self.exchange.fills)
        assert (self.ledger.reserved_total, self.ledger.live(), self.ledger.counts["fills_held"]) == (0, [], 0)
        for order in self.exchange.orders:
            record = self.ledger.orders[order.key]
            assert record.filled == order.filled
            assert not order.there or order.touched or (record.spec, record.amend) == (order.spec, None)
            assert order.asked is not None or order.touched or order.paid <= order.worst
        again = Ledger()
        for fact in self.told:
            again.apply(fact)
        assert again.snapshot() == self.ledger.snapshot()
        kept = Ledger()
        restore(kept, remember(self.ledger))
        assert (remember(kept), kept.snapshot()) == (remember(again), again.snapshot())
        self.goes_on()
        for fact in self.exchange.news:
            if isinstance(fact, OrderSeen):
                self.ledger._orders.seen(fact)  # what the stream says of orders is known, as it is of all but the first
        before = state_of(self.ledger)
        theirs = {each.order_id for each in self.exchange.others}
        for fact in self.exchange.news:
            if not (isinstance(fact, OrderSeen) and fact.order_id in theirs):  # of which nothing is kept but the last
                self.ledger.apply(fact)
        assert state_of(self.ledger) == before

    def goes_on(self) -> None:
        """In the next journal it is the same account, and all news are known to it, or are in its figures."""
        as_of_ms = self.exchange.tick()
        for since_ms in (as_of_ms, (NOON + as_of_ms) // 2 + TOLD_AGAIN_MS):
            whole, again = Ledger(), ToldAgain()
            for fact in (*self.told, evolve(agreed(), as_of_ms=since_ms)):
                whole.apply(fact)
                again.saw(fact, whole)
            assert whole.unrest() == ""
            begun = Ledger()
            for fact in whole.carried("before", len(self.told), 1, as_of_ms, again):
                begun.apply(fact)
            assert differences(whole, begun) == []
            theirs = {each.order_id for each in self.exchange.others}
            for fact in self.exchange.news:
                # of an order that was over long before the boundary no read shows what it was
                if not isinstance(fact, OrderSeen) or fact.order_id in begun.orders_before.keys() - theirs:
                    whole.apply(fact)
                    begun.apply(fact)
            figures, expected = begun.account_figures(), whole.account_figures()
            figures["counts"] = expected["counts"]
            assert figures == expected


TestAccountLife = JudgedLife.TestCase
TestAccountLife.settings = settings(max_examples=100, stateful_step_count=80, deadline=None)
