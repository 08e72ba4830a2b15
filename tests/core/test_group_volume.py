"""Order groups as they are folded: what triggers one, what a reset forgets, and the hold that only a person lifts."""

from __future__ import annotations

import random

import pytest
from account_facts import NOON
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_groups import KEPT_MS, WINDOW_MS
from kalshi_daemon.facts import HoldKind, OrderSpec
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide, TimeInForce

MARKET = "KXTEST-1-A"
RESTING = OrderSpec(
    market=MARKET,
    side=BookSide.BID,
    price=40 * PRICE_CENT,
    count=100 * CONTRACT,
    time_in_force=TimeInForce.GOOD_TILL_CANCELED,
    post_only=True,
    reduce_only=False,
    expires_s=NOON // 1000 + 900,
    exchange_index=0,
)
TAKING = evolve(RESTING, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL, post_only=False, expires_s=None)


class Account:
    """A ledger with a group of ten contracts on shard 0, and one order that rests."""

    def __init__(self, spec=RESTING):
        self.ledger = Ledger()
        self.trades = 0
        self.apply(
            facts.RunStarted(NOON, "r1", "test"),
            facts.OrderGroupMade(NOON, 0, "g-1", 10 * CONTRACT),
            facts.OrderIntended(NOON, 1, "kd-r1-1", spec, 0, "policy", 1, "", ""),
            facts.OrderSent(NOON + 1, "kd-r1-1"),
            facts.OrderAcknowledged(NOON + 2, "kd-r1-1", "o-1", 0, spec.count, NOON + 2),
        )

    def apply(self, *told):
        for fact in told:
            self.ledger.apply(fact)

    def fill(self, ts_ms, contracts, source="stream"):
        self.trades += 1
        common = {"market": MARKET, "side": BookSide.BID, "price": RESTING.price, "is_taker": False}
        self.apply(
            facts.FillSeen(
                at_ms=ts_ms,
                source=source,
                trade_id=f"t-{self.trades}",
                order_id="o-1",
                client_order_id="",
                count=contracts * CONTRACT,
                fee=0,
                ts_ms=ts_ms,
                exchange_index=0,
                **common,
            )
        )

    def told(self, event, ts_ms=NOON + 50_000, group_id="g-1", limit=0):
        self.apply(facts.OrderGroupTold(ts_ms, "stream", group_id, event, ts_ms, limit))

    @property
    def stopped(self):
        return bool(self.ledger.triggered_groups)

    @property
    def guarded(self):
        return self.ledger.find_hold(HoldKind.GUARD) is not None


def test_a_trigger_that_is_told_holds_until_a_person_resets():
    """The hold cancels what increases, survives a restart without a time, and names its command."""
    account = Account()
    account.told("triggered")
    held = account.ledger.find_hold(HoldKind.GUARD)
    assert (held.cleared_by, held.cancels, held.until_ms) == ("`group-reset REASON`", "increasing", None)
    assert "g-1 of shard 0 was triggered" in held.cause
    account.apply(facts.RunStarted(NOON + 10**9, "r2", "test"))
    assert account.guarded
    assert account.stopped


def test_another_guard_whose_time_is_over_does_not_end_it():
    """A guard of another cause that took its place goes by its time: the group's comes back at once."""
    account = Account()
    account.told("triggered")
    account.apply(facts.HoldLifted(NOON + 60_000, HoldKind.GUARD, "", "its time is over"))
    assert account.guarded
    account.apply(
        facts.OrderGroupTold(NOON + 70_000, "read", "g-1", "reset", 0),
        facts.HoldLifted(NOON + 70_000, HoldKind.GUARD, "", "group-reset by somebody"),
    )
    assert not account.guarded
    assert not account.stopped


@pytest.mark.parametrize("source", ["stream", "read"])
def test_our_own_fills_say_it_too(source):
    """Ten contracts within fifteen seconds by the exchange's stamps, whichever way they came."""
    account = Account()
    account.fill(NOON + 10_000, 4, source)
    account.fill(NOON + 10_000 + WINDOW_MS, 6, source)  # the first is out of the window by then
    assert not account.stopped
    account.fill(NOON + 9_999 + WINDOW_MS, 4, source)
    assert account.stopped
    assert account.guarded


def test_the_same_sign_twice_is_one():
    """Told by the stream after our own fills have said it: nothing changes, and nothing is forgotten by it."""
    account = Account()
    account.fill(NOON + 10_000, 10)
    before = account.ledger.holds
    account.told("triggered", NOON + 10_000)
    assert account.ledger.holds == before


@pytest.mark.parametrize("seed", range(10))
def test_fills_in_any_order_come_to_the_same(seed):
    """Against a count from scratch over every window: triggered where any of them holds ten."""
    rng = random.Random(seed)
    fills = [(NOON + 1_000 + rng.randrange(40_000), rng.randint(1, 4)) for _ in range(8)]
    most = max(sum(n for at, n in fills if end - WINDOW_MS < at <= end) for end, _n in fills)
    account = Account()
    for at_ms, count in rng.sample(fills, len(fills)):
        account.fill(at_ms, count)
    assert account.stopped == (most >= 10)


def test_one_that_was_missed_for_longer_than_fills_are_kept_starts_nothing():
    """It is booked, its volume is forgotten, and what came since still counts."""
    account = Account()
    account.fill(NOON + 100_000, 9)
    account.fill(NOON + 100_000 - KEPT_MS, 9, "read")
    assert account.ledger.position(MARKET) == 18 * CONTRACT
    assert not account.stopped
    account.fill(NOON + 100_000, 1)
    assert account.stopped


def test_what_was_filled_before_a_reset_does_not_count_after_it():
    """By the stream's stamp, and without one: late fills from before it do not, later ones do."""
    account = Account()
    account.fill(NOON + 10_000, 6)
    account.told("reset", NOON + 12_000)
    account.fill(NOON + 11_000, 6)
    account.fill(NOON + 13_000, 6)
    assert not account.stopped
    account.apply(facts.OrderGroupTold(NOON + 14_000, "read", "g-1", "reset", 0))
    account.fill(NOON + 14_000, 6)
    assert not account.stopped
    account.told("reset", NOON + 12_000)  # the same reset, told later: what came after it stays counted
    account.fill(NOON + 15_000, 4)
    assert account.stopped


def test_orders_that_take_and_orders_from_before_it_do_not_count():
    """What never rests is in no group, and neither is what was sent before the group was made."""
    account = Account(TAKING)
    account.fill(NOON + 10_000, 50)
    assert not account.stopped
    account = Account()
    account.apply(facts.OrderGroupMade(NOON + 5_000, 0, "g-2", 10 * CONTRACT))
    account.fill(NOON + 10_000, 50)
    assert not account.stopped


def test_what_is_told_of_other_groups_changes_nothing():
    """Somebody else's, words that nobody told us of, and one of ours that is gone."""
    account = Account()
    account.told("triggered", group_id="g-9")
    account.told("created")
    account.told("exploded")
    assert not account.guarded
    account.told("limit_updated", limit=500)
    assert account.ledger.order_group(0).limit == 500
    account.told("deleted")
    assert account.ledger.order_group(0) is None
    account.told("triggered")
    assert not account.guarded
