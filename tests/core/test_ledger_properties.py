"""The ledger against a small world: whatever order the news come in, and however often, the money adds up."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil

from account_facts import (
    ASK,
    BID,
    IOC,
    NOON,
    account_opened,
    agreed,
    intended,
    key,
    order_spec,
    seen,
    sent,
    settlement,
    started,
    state_of,
)
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon import facts
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.position_tracker import side_price
from kalshi_daemon.facts import AccountFact, OrderSpec
from kalshi_daemon.units import DOLLAR, PRICE_ONE, TimeInForce

MARKETS = ("KXA-1", "KXB-2")
OPENING = 1_000 * DOLLAR
ENDS = ("filled", "taken", "void", "cancelled", "expired", "refused", "lost and filled", "lost and cancelled")


@frozen
class Plan:
    """What the world will do with one order: how it ends, and the counts of its fills."""

    number: int
    spec: OrderSpec
    end: str
    fills: tuple[int, ...]

    @property
    def filled(self) -> int:
        return sum(self.fills)


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    made = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        end = draw(st.sampled_from(ENDS))
        takes = end in ("taken", "void")
        count = draw(st.integers(2, 900))
        spec = evolve(
            order_spec(draw(st.sampled_from([BID, ASK]))),
            market=draw(st.sampled_from(MARKETS)),
            price=draw(st.integers(1, PRICE_ONE - 1)),
            count=count,
            time_in_force=IOC if takes else TimeInForce.GOOD_TILL_CANCELED,
        )
        whole = end in ("filled", "taken", "lost and filled")
        filled = 0 if end == "refused" else count if whole else draw(st.integers(0, count - 1))
        cut = draw(st.integers(0, filled))
        made.append(Plan(number, spec, end, tuple(part for part in (cut, filled - cut) if part)))
    return made


def own_chain(plan: Plan) -> list[AccountFact]:
    """What our own requests tell, in the only order in which they can."""
    number, spec = plan.number, plan.spec
    worst = side_price(spec.side, spec.price) * spec.count + 1_000
    told: list[AccountFact] = [intended(number, spec, worst), sent(number)]
    left = spec.count - plan.filled
    created = NOON + 1_000 * number
    if plan.end == "refused":
        told.append(facts.OrderRefused(NOON, key(number), 400, "invalid_order", ""))
    elif plan.end.startswith("lost"):
        told.append(facts.OrderLost(NOON, key(number), "timeout"))
    elif plan.end in ("taken", "void"):
        told.append(facts.OrderAcknowledged(NOON, key(number), f"o{number}", plan.filled, 0, created))
    else:
        told.append(facts.OrderAcknowledged(NOON, key(number), f"o{number}", 0, spec.count, created))
    if plan.end == "cancelled":
        told.append(facts.CancelSent(NOON, key(number)))
        told.append(facts.CancelAcknowledged(NOON, key(number), left, created + 90))
    return told


def news(plan: Plan) -> list[AccountFact]:
    """What the private side tells of the order, in any order and any number of times."""
    if plan.end == "refused":
        return []
    number, spec = plan.number, plan.spec
    created, takes = NOON + 1_000 * number, plan.end in ("taken", "void")
    sight = seen(
        number,
        market=spec.market,
        side=spec.side,
        price=spec.price,
        initial=spec.count,
        remaining=spec.count,
        updated_ms=created,
    )
    told: list[AccountFact] = [] if takes else [sight]
    filled, at_ms = 0, created
    for place, count in enumerate(plan.fills):
        at_ms = created if takes else created + 10 * (place + 1)
        filled += count
        told.append(
            facts.FillSeen(
                at_ms=NOON,
                source="stream",
                trade_id=f"t{number}.{place}",
                order_id=f"o{number}",
                client_order_id="" if place else key(number),
                market=spec.market,
                side=spec.side,
                price=spec.price,
                count=count,
                fee=7 * count,
                is_taker=takes,
                ts_ms=at_ms,
                exchange_index=0,
            )
        )
        if not takes and filled < spec.count:
            told.append(evolve(sight, filled=filled, remaining=spec.count - filled, updated_ms=at_ms))
    done = filled == spec.count
    status, reason = ("executed", "Trade") if done else ("canceled", "ExpiryCancel" if plan.end == "expired" else "")
    last_ms = at_ms if done or takes else created + 90
    told.append(evolve(sight, filled=filled, remaining=0, updated_ms=last_ms, status=status, reason=reason))
    return told


def shuffled(plans_: list[Plan], rng: random.Random) -> list[AccountFact]:
    """One order of all that is told: our own chains in order, news after the request left, some of it twice."""
    chains = {plan.number: own_chain(plan) for plan in plans_}
    loose = {plan.number: [each for fact in news(plan) for each in [fact] * rng.choice((1, 1, 2))] for plan in plans_}
    left_over: list[AccountFact] = []
    while any(chains.values()) or any(loose.values()):
        sent_out = [
            number for number, chain in chains.items() if not any(isinstance(f, facts.OrderSent) for f in chain)
        ]
        ready = [("own", number) for number, chain in chains.items() if chain]
        ready += [("news", number) for number in sent_out if loose[number]]
        kind, number = rng.choice(ready)
        pool = chains[number] if kind == "own" else loose[number]
        left_over.append(pool.pop(0 if kind == "own" else rng.randrange(len(pool))))
    return left_over


def check_money(ledger: Ledger, told: list[AccountFact]) -> None:
    """Cash by the YES leg and its collateral, another way than the tracker's; reservations by the records."""
    counts = dict.fromkeys(MARKETS, 0)
    cash, trades = OPENING, set()
    for fact in told:
        if isinstance(fact, facts.FillSeen) and fact.trade_id not in trades:
            trades.add(fact.trade_id)
            counts[fact.market] += fact.side.sign * fact.count
            cash -= fact.side.sign * fact.price * fact.count + fact.fee
    collateral = sum(max(0, -count) * PRICE_ONE for count in counts.values())
    assert ledger.settled_total == cash - collateral
    assert {ticker: ledger.position(ticker) for ticker in MARKETS} == counts
    records = list(ledger.orders.values())
    assert ledger.reserved_total == sum(record.reserve for record in records)
    assert ledger.live_count == len(ledger.live()) == sum(not record.final for record in records)
    for record in records:
        share = Fraction(record.worst * record.owed, record.spec.count)
        assert record.reserve == ceil(share)
        assert record.open or not record.reserve


@settings(max_examples=150, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_any_order_of_the_news_gives_the_same_account(plans_: list[Plan], rng: random.Random) -> None:
    """After every fact the money adds up; in the end each order is where it ended, and nothing is reserved or held."""
    ledger = Ledger()
    opening: list[AccountFact] = [started(), account_opened(), agreed()]
    for fact in opening:
        ledger.apply(fact)
    told = shuffled(plans_, rng)
    for place, fact in enumerate(told):
        ledger.apply(fact)
        check_money(ledger, told[: place + 1])
    assert ledger.holds == ()
    assert (ledger.reserved_total, ledger.counts["fills_held"], ledger.live()) == (0, 0, [])
    for plan in plans_:
        record = ledger.orders[key(plan.number)]
        done = {"refused": "rejected", "expired": "expired"}.get(plan.end, "cancelled")
        expected = "filled" if plan.filled == plan.spec.count else done
        assert (record.state, record.filled) == (expected, plan.filled)
        assert record.cost == plan.spec.price * plan.filled
    for fact in told:
        if not isinstance(fact, facts.OrderSent):
            before = state_of(ledger)
            assert ledger.apply(fact) == () or isinstance(fact, facts.OrderRefused)
            assert state_of(ledger) == before


@settings(max_examples=40, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_replaying_gives_the_same_bytes(plans_: list[Plan], rng: random.Random) -> None:
    """Folding the same facts from empty equals the live state, byte for byte."""
    told = [started(), account_opened(), *shuffled(plans_, rng), started("run0000002")]
    told += [settlement(0, 100, 0, market=MARKETS[0])]
    one, two = Ledger(), Ledger()
    changes = [one.apply(fact) for fact in told]
    assert [two.apply(fact) for fact in told] == changes
    assert one.snapshot() == two.snapshot()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(range(24)), max_size=40), st.randoms(use_true_random=False))
def test_nothing_the_world_sends_raises(picks: list[int], rng: random.Random) -> None:
    """Facts in orders that cannot be end in a hold or a counter, never in an exception; the money still adds up."""
    plan = Plan(1, order_spec(market=MARKETS[0], count=6), "cancelled", (100, 200))
    other = evolve(plan, end="lost and filled", fills=(600,))
    pool = [*own_chain(plan), *news(plan), *own_chain(other), *news(other)]
    pool += [facts.OrderWithheld(NOON, key(1), "P1", ""), facts.OrderDuplicate(NOON, key(1))]
    pool += [facts.CancelMissing(NOON, key(1)), facts.CancelLost(NOON, key(1), ""), facts.CancelSent(NOON, key(2))]
    pool += [facts.OrderVanished(NOON, key(1), NOON), facts.OrderAbsent(NOON, key(1), 2 * NOON), started("run0000002")]
    pool += [seen(3, status="unknown", market=MARKETS[0]), facts.OrderRefused(NOON, key(1), 400, "c", "")]
    told: list[AccountFact] = [started(), account_opened(), *(pool[pick % len(pool)] for pick in picks)]
    ledger = Ledger()
    for fact in told:
        ledger.apply(fact)
    check_money(ledger, told)
