"""Steps of random lives of an account: an exchange that knows, news that come late, twice, out of order or never, and
a ledger and a slow model that are told. What must be so of it is `test_account_machine.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

from account_facts import IOC, NOON, agreed, order_spec, started
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from slow_account import DOLLARS, Payout, SlowAccount, Trade
from slow_exchange import SlowExchange, Terms, Truth, somebody_elses
from slow_fees import Rates

from kalshi_daemon import facts
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.risk_controls import worst_cost
from kalshi_daemon.facts import AccountFact, FillSeen, OrderSeen, OrderSpec, SeriesFees, SettlementSeen
from kalshi_daemon.limits import REQUEST_LIFE_MS
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, SECOND_MS, BookSide, FeeType

MARKETS = ("KXA-1", "KXB-2")  # each on a shard of its own
SHARD = {market: shard for shard, market in enumerate(MARKETS)}
OPENING = 500 * DOLLAR
FEES = {  # as api.md 3.3 has them: makers are charged in the second market only, where the multiplier is a half
    MARKETS[0]: SeriesFees("KXA", FeeType.QUADRATIC, 1_000_000),
    MARKETS[1]: SeriesFees("KXB", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000),
}
RATES = {
    MARKETS[0]: Rates(taker=Fraction("0.07"), maker=Fraction(0)),
    MARKETS[1]: Rates(taker=Fraction("0.035"), maker=Fraction("0.00875")),
}
REASONS = ("", "ExpiryCancel", "SelfTradeCancel", "MarginCancel", "HaltCancel", "CloseCancel", "ReduceOnlyCancel")
OUR_STEPS = ("place", "place", "decide", "send", "hear", "hear", "cancel", "amend", "amend", "withhold", "start")
THEIR_STEPS = ("trade", "trade", "trade", "strike", "somebody", "somebody places", "settle", "another hand")
HEARD = ("news", "news", "news", "old page", "new page", "nowhere")
FATES = ("arrives", "arrives", "arrives", "refused", "never")
AMENDED = (facts.AmendAcknowledged, facts.AmendRefused, facts.AmendMissing, facts.AmendLost)  # answers to an amend
PICKS = st.integers(0, 10**6)

T = TypeVar("T")


def one(among: Sequence[T], pick: int) -> T | None:
    """A step that has nothing to choose from does nothing: refusing it would leave most lives short."""
    return among[pick % len(among)] if among else None


def worst(spec: OrderSpec) -> int:
    """What we set aside for an order, as the risk rules say."""
    return worst_cost(spec, FEES[spec.market], grain=1)


class AccountLife(RuleBasedStateMachine):
    """Three rules only, each for one of the parties: with a rule for each step few lives would come far."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange, self.ledger = SlowExchange(RATES), Ledger()
        self.slow = SlowAccount(dict.fromkeys(MARKETS, OPENING * DOLLARS))
        self.told: list[AccountFact] = []
        self.pages: list[list[AccountFact]] = []
        self.named: set[str] = set()  # keys of orders whose order id we have been told
        self.last_word: set[str] = set()  # and of those of which we have been told that they are over
        self.shown: set[str] = set()  # and of those that we have been shown resting
        self.reads_say_expiry = False  # whether a list has named one, so that none named is none
        self.runs, self.strangers = 0, 0
        self.start()
        for fact in (facts.AccountOpened(NOON, tuple((shard, OPENING) for shard in SHARD.values()), ()), agreed()):
            self.tell(fact)

    # ----------------------------------------------------------------------------------------------------- telling

    def tell(self, fact: AccountFact) -> None:
        """To the ledger, to the slow model, and noted of the order that it is about."""
        self.told.append(fact)
        self.ledger.apply(fact)
        if isinstance(fact, SettlementSeen):
            self.slow.told_payout(Payout(fact.market, fact.revenue * DOLLARS))
        if isinstance(fact, FillSeen):
            price, count = Fraction(fact.price, PRICE_ONE), Fraction(fact.count, CONTRACT)
            sign, fee = fact.side.sign, fact.fee * DOLLARS
            self.slow.told_trade(Trade(fact.ts_ms, fact.trade_id, fact.market, sign, price, count, fee))
        key = getattr(fact, "client_order_id", "")
        if isinstance(fact, OrderSeen | FillSeen | facts.OrderAcknowledged) and key:
            self.named.add(key)
        if isinstance(fact, OrderSeen) and fact.status == "resting":
            self.shown.add(key)
            self.reads_say_expiry |= fact.source == "read" and fact.expires_s is not None
        over = isinstance(fact, facts.OrderRefused | facts.OrderWithheld | facts.CancelAcknowledged)
        over |= isinstance(fact, OrderSeen) and fact.status != "resting"
        over |= isinstance(fact, facts.OrderAcknowledged) and not fact.remaining
        if over:
            self.last_word.add(key)

    def start(self) -> None:
        """A process begins: what the one before had asked stays without an answer."""
        self.runs += 1
        for order in self.exchange.orders:
            order.answer = None
            order.sent_ms = order.sent_ms or self.exchange.now_ms
        self.tell(started(f"run{self.runs:07}", self.exchange.tick()))

    # --------------------------------------------------------------------------------------------------- our steps

    @rule(
        step=st.sampled_from(OUR_STEPS),
        pick=PICKS,
        market=st.sampled_from(MARKETS),
        side=st.sampled_from(BookSide),
        price=st.integers(1, PRICE_ONE - 1),
        count=st.integers(1, 900),
        some=st.integers(0, 1_000),
        fate=st.sampled_from(FATES),
        flag=st.booleans(),
    )
    def we_act(
        self,
        *,
        step: str,
        pick: int,
        market: str,
        side: BookSide,
        price: int,
        count: int,
        some: int,
        fate: str,
        flag: bool,
    ) -> None:
        """`some` thousandths fill at once, or while a cancel is on its way; `flag`: at once, or lost on the way."""
        orders = self.exchange.orders
        if step == "decide":
            self.decide(market, side, price, count, takes=flag)
        elif step == "place":
            self.decide(market, side, price, count, takes=False)
            self.send(self.exchange.orders[-1], "arrives", some)
            self.hear(self.exchange.orders[-1], lost=False)
        elif step == "send" and (order := one(self.waiting(), pick)):
            self.send(order, fate, some)
        elif step == "hear" and (order := one([each for each in orders if each.answer], pick)):
            self.hear(order, lost=flag and some < 500)
        elif step == "cancel" and (order := one(self.cancellable(), pick)):
            self.tell(facts.CancelSent(self.exchange.tick(), order.key))
            if not order.over and (raced := some * order.left // 1_000):
                self.exchange.trade(order, raced)
            order.answer = facts.CancelLost(self.exchange.tick(), order.key, "timeout")
            if not flag:
                self.exchange.cancel(order)
        elif step == "amend" and (order := one(self.amendable(), pick)):
            self.amend(order, price, count, some, "withheld" if flag and fate == "refused" else fate)
        elif step == "withhold" and (order := one(self.waiting(), pick)):
            self.tell(facts.OrderWithheld(self.exchange.tick(), order.key, "P1", "held"))
        elif step == "start" and some < 300:
            self.start()

    def decide(self, market: str, side: BookSide, price: int, count: int, *, takes: bool) -> None:
        number = self.ledger.next_number
        spec = evolve(
            order_spec(side),
            market=market,
            price=price,
            count=count,
            exchange_index=SHARD[market],
            **({"time_in_force": IOC, "post_only": False, "expires_s": None} if takes else {}),
        )
        order = Truth(spec, self.ledger.client_order_id(number), f"o{len(self.exchange.orders)}", worst(spec))
        self.exchange.orders.append(order)
        self.tell(facts.OrderIntended(self.exchange.tick(), number, order.key, spec, order.worst, "policy", 1, "m", ""))

    def send(self, order: Truth, fate: str, some: int) -> None:
        order.sent_ms = self.exchange.tick()
        self.tell(facts.OrderSent(order.sent_ms, order.key))
        self.exchange.arrive(order, fate, some * order.spec.count // 1_000, some // 4)

    def amend(self, order: Truth, price: int, count: int, some: int, fate: str) -> None:
        """To another price or count, or both; `some` thousandths of what is left fill while it is on its way."""
        record = self.ledger.orders[order.key]
        spec = evolve(record.spec, price=price, count=max(count, record.filled + 1))
        order.before, order.asked = Terms(order.spec, order.worst), Terms(spec, worst(spec))
        self.tell(facts.AmendIntended(self.exchange.tick(), order.key, spec, worst(spec), "policy", 1, "m", ""))
        if fate == "withheld":
            self.tell(facts.AmendWithheld(self.exchange.tick(), order.key, "P1", "held"))
            return
        self.tell(facts.AmendSent(self.exchange.tick(), order.key))
        if not order.over and (raced := some * order.left // 1_000):
            self.exchange.trade(order, raced)
        self.exchange.amend(order, spec, worst(spec), fate)

    def hear(self, order: Truth, *, lost: bool) -> None:
        """An answer comes, late or never; in between anything may have been told."""
        answer, order.answer = order.answer, None
        assert answer is not None
        if lost and isinstance(answer, facts.CancelAcknowledged | facts.CancelMissing):
            answer = facts.CancelLost(self.exchange.tick(), order.key, "timeout")
        elif lost and isinstance(answer, facts.AmendAcknowledged | facts.AmendRefused | facts.AmendMissing):
            answer = facts.AmendLost(self.exchange.tick(), order.key, "timeout")
        elif lost and isinstance(answer, facts.OrderAcknowledged | facts.OrderRefused):
            answer = facts.OrderLost(self.exchange.tick(), order.key, "timeout")
        self.tell(answer)

    def waiting(self) -> list[Truth]:
        """Decided in this run, and neither sent nor withheld."""
        return [each for each in self.exchange.orders if not each.sent_ms and each.key not in self.last_word]

    def cancellable(self) -> list[Truth]:
        named = [each for each in self.exchange.orders if each.key in self.named and not each.answer]
        return [each for each in named if self.ledger.orders[each.key].rests]

    def amendable(self) -> list[Truth]:
        records = self.ledger.orders
        return [each for each in self.cancellable() if each.spec.post_only and records[each.key].amend is None]

    # -------------------------------------------------------------------------------------- theirs, and what we hear

    @rule(
        step=st.sampled_from(THEIR_STEPS),
        pick=PICKS,
        market=st.sampled_from(MARKETS),
        side=st.sampled_from(BookSide),
        some=st.integers(1, 1_000),
        reason=st.sampled_from(REASONS),
        value=st.sampled_from([0, PRICE_ONE, 3_700]),
        at_once=st.booleans(),
    )
    def the_exchange_acts(
        self, *, step: str, pick: int, market: str, side: BookSide, some: int, reason: str, value: int, at_once: bool
    ) -> None:
        """A payout that is told at once may come before the fills that led to it."""
        order = one(self.exchange.resting(), pick)
        if step == "trade" and order:
            self.exchange.trade(order, -(-some * order.left // 1_000))
        elif step == "strike" and order:
            self.exchange.end(order, reason)
        elif step == "another hand" and order:
            self.another_hand(order, some, value, decreases=at_once)
        elif step.startswith("somebody") and market not in self.exchange.paid:
            self.meddle(market, side, some, places=step == "somebody places")
        elif step == "settle" and some < 200 and market not in self.exchange.paid:
            paid = self.exchange.settle(market, SHARD[market], value)
            if at_once:
                self.tell(paid)

    def another_hand(self, order: Truth, some: int, value: int, *, decreases: bool) -> None:
        """A person, at the exchange's page: decreases what rests, ours or not, amends it, or cancels it. While an amend
        of ours is under way it waits: of two at once nobody can say which came first. More contracts are told at once:
        a fill beyond those that are known is what cannot be, and holds.
        """
        record = self.ledger.orders.get(order.key)
        if (record is not None and record.amend is not None) or isinstance(order.answer, AMENDED):
            return
        if value == PRICE_ONE:
            self.exchange.end(order, "")
        elif decreases:
            self.exchange.decrease(order, -(-some * order.left // 1_000))
        else:
            expires_s = (order.spec.expires_s, None, NOON // SECOND_MS + some)[some % 3]
            self.exchange.change(order, 9 * some, some, expires_s)
            if order.spec.count > order.had[-1].count:
                self.tell(self.exchange.news[-1])

    def meddle(self, market: str, side: BookSide, some: int, *, places: bool) -> None:
        """Somebody else's order on our account rests, or trades at once and is never shown."""
        shape = {} if places else {"time_in_force": IOC}
        spec = evolve(
            order_spec(side), market=market, price=9 * some, count=some, exchange_index=SHARD[market], **shape
        )
        self.strangers += 1
        order = somebody_elses(spec if places else evolve(spec, time_in_force=IOC), self.strangers)
        if places:
            self.exchange.place(order)
        else:
            self.exchange.tick()
            self.exchange.execute(order, some, 0)

    @rule(step=st.sampled_from(HEARD), pick=PICKS, early=st.booleans())
    def we_hear(self, step: str, pick: int, early: bool) -> None:
        """Any of the news, also one that came before: nothing is in order, and nothing comes only once."""
        if step == "news" and (news := one(self.exchange.news, pick)):
            self.tell(news)
        elif step == "old page":
            for fact in one(self.pages, pick) or ():
                self.tell(fact)
            self.pages.append(self.exchange.page())
        elif step == "new page" and early:
            for fact in self.exchange.page(newest_first=pick % 2 == 0):
                self.tell(fact)
        elif step == "nowhere":
            self.nowhere(early=early)

    def nowhere(self, *, early: bool) -> None:
        """Complete pages do not show an order whose request never arrived; read too early they prove nothing."""
        for order in self.exchange.orders:
            record = self.ledger.orders[order.key]
            if not order.there and record.state == "unknown" and not order.answer:
                self.tell(facts.OrderAbsent(self.exchange.tick(), order.key, record.asked_ms + REQUEST_LIFE_MS - early))
                if not early:
                    self.last_word.add(order.key)
