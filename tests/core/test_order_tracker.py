"""Orders: what facts are called in the table, and what the tracker makes of them."""

from __future__ import annotations

from typing import get_args

import pytest
from account_facts import (
    ASK,
    GTC,
    NOON,
    M,
    acked,
    fill,
    intended,
    key,
    order_spec,
    seen,
    sent,
)
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core.cash_manager import CashManager
from kalshi_daemon.core.order_inputs import is_known_reason, order_input
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.order_tracker import OrderTracker
from kalshi_daemon.limits import REQUEST_LIFE_MS
from kalshi_daemon.units import CONTRACT, DOLLAR

TEN = 10 * CONTRACT
ID = key(1)


def tracker_of(*told: facts.OrderFact, intent: facts.OrderIntended | None = None) -> OrderTracker:
    """A tracker with order 1, and then `told` about it."""
    tracker = OrderTracker(CashManager())
    tracker.intend(intent or intended())
    for fact in told:
        tracker.answer(tracker.orders[ID], fact)
    return tracker


def one(tracker: OrderTracker) -> OrderRecord:
    return tracker.orders[ID]


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        (acked(filled=0, remaining=10), "acked_open"),
        (acked(filled=4, remaining=6), "acked_open"),
        (acked(filled=10, remaining=0), "acked_full"),
        (acked(filled=4, remaining=0), "acked_void"),
        (acked(filled=0, remaining=0), "acked_void"),
        (seen(), "seen_open"),
        (seen(status="executed", filled=10), "seen_executed"),
        (seen(status="executed", filled=4), "seen_cancelled"),
        (seen(status="canceled"), "seen_cancelled"),
        (seen(status="canceled", reason="HaltCancel"), "seen_cancelled"),
        (seen(status="canceled", reason="ExpiryCancel"), "seen_expired"),
        (seen(status="canceled", reason="Decrease"), "seen_open"),
        (seen(status="canceled", reason="Amend"), "seen_open"),
        (seen(status="unknown"), None),
        (facts.OrderAbsent(NOON, ID, NOON), "absent"),
    ],
)
def test_a_fact_is_named_by_its_counts_its_status_and_its_reason(fact: facts.OrderFact, row: str | None) -> None:
    """The rows of the order table, for an order of ten contracts that has no id yet."""
    assert order_input(fact, TEN, "") == row


def test_absence_of_what_was_acknowledged_is_its_vanishing() -> None:
    """An order id proves that the exchange had it."""
    assert order_input(facts.OrderAbsent(NOON, ID, NOON), TEN, "o1") == "vanished"


def test_every_order_fact_has_a_name() -> None:
    """No fact about an order is without a row, the intents apart, which make the record and what it waits for."""
    told = [seen(), acked(), facts.OrderAbsent(NOON, ID, NOON)]
    told += [kind(*([0] * len(kind.__attrs_attrs__))) for kind in get_args(facts.OrderFact) if kind not in ALSO_TOLD]
    assert all(order_input(fact, TEN, "") is not None for fact in told)


ALSO_TOLD = (facts.OrderIntended, facts.AmendIntended, facts.OrderSeen, facts.OrderAcknowledged, facts.OrderAbsent)


def test_a_reason_that_nobody_documents_is_told_apart() -> None:
    """Documented reasons pass; a new one is seen."""
    assert is_known_reason(seen(status="canceled", reason="SelfTradeCancel"))
    assert is_known_reason(seen(status="resting", reason="Whatever"))
    assert not is_known_reason(seen(status="canceled", reason="WeatherCancel"))


@pytest.mark.parametrize(
    ("told", "state", "owed"),
    [
        ((), "intended", 10),
        ((sent(),), "submitted", 10),
        ((sent(), acked()), "resting", 10),
        ((sent(), acked(filled=3, remaining=7)), "partially_filled", 10),
        ((sent(), acked(filled=10, remaining=0)), "filled", 10),
        ((sent(), acked(filled=3, remaining=0)), "cancelled", 3),
        ((sent(), facts.OrderRefused(NOON, ID, 400, "insufficient_balance", "")), "rejected", 0),
        ((sent(), facts.OrderDuplicate(NOON, ID)), "unknown", 10),
        ((sent(), facts.OrderLost(NOON, ID, "timeout")), "unknown", 10),
        ((facts.OrderWithheld(NOON, ID, "P1", "paused"),), "denied", 0),
        ((sent(), acked(), facts.CancelSent(NOON, ID)), "cancel_pending", 10),
        (
            (sent(), acked(), facts.CancelSent(NOON, ID), facts.CancelAcknowledged(NOON, ID, TEN, NOON + 300)),
            "cancelled",
            0,
        ),
        (
            (sent(), acked(), facts.CancelSent(NOON, ID), facts.CancelAcknowledged(NOON, ID, 600, NOON + 300)),
            "cancelled",
            4,
        ),
        ((sent(), acked(), facts.CancelSent(NOON, ID), facts.CancelMissing(NOON, ID)), "unknown", 10),
        ((sent(), acked(), facts.CancelSent(NOON, ID), facts.CancelRefused(NOON, ID, 409, "c", "d")), "resting", 10),
        ((sent(), acked(), facts.CancelSent(NOON, ID), facts.CancelLost(NOON, ID, "reset")), "unknown", 10),
        ((sent(), acked(), facts.OrderVanished(NOON, ID, NOON)), "unknown", 10),
        ((sent(), seen(status="executed", filled=10)), "unknown", 10),
        ((sent(), seen(status="canceled", reason="ExpiryCancel", filled=2)), "expired", 2),
    ],
)
def test_what_is_told_decides_the_state_and_what_may_still_come(
    told: tuple[facts.OrderFact, ...], state: str, owed: int
) -> None:
    """Owed contracts are counted as filled, and their share of the reservation is kept."""
    tracker = tracker_of(*told)
    assert (one(tracker).state, one(tracker).owed) == (state, owed * CONTRACT)
    assert one(tracker).reserve == owed * DOLLAR // 2
    assert one(tracker).open is (owed > 0)
    assert len(tracker.open_orders(M)) == (owed > 0)


def test_a_fill_takes_its_share_of_the_reservation() -> None:
    """Three of ten leave seven tenths, rounded up; the rest releases it all."""
    tracker = tracker_of(sent(), acked(), intent=intended(reserve=1_001))
    tracker.fill(one(tracker), fill("a", count=3))
    assert (one(tracker).state, one(tracker).reserve, one(tracker).cost) == ("partially_filled", 701, 1_200_000)
    tracker.fill(one(tracker), fill("b", count=7, fee=250))
    assert (one(tracker).state, one(tracker).reserve, one(tracker).fees) == ("filled", 0, 1_250)


def test_more_fills_than_asked_for_cannot_be() -> None:
    """The fill is counted, and told as a divergence."""
    tracker = tracker_of(sent(), acked(), intent=intended(reserve=1_000))
    tracker.fill(one(tracker), fill("a"))
    told = tracker.fill(one(tracker), fill("b", count=1))
    assert told.diverged == f"order {ID}: 11 filled of 10 asked for"
    assert one(tracker).filled == 11 * CONTRACT
    assert one(tracker).reserve == 0


def test_a_fill_of_another_market_is_not_this_order_s() -> None:
    """It is told as a divergence and changes nothing of the record."""
    tracker = tracker_of(sent(), acked())
    before = one(tracker)
    assert tracker.fill(before, fill("a", side=ASK)).diverged == f"order {ID}: a fill on {M}, side ask"
    assert one(tracker) is before


def test_an_order_has_one_id_at_the_exchange() -> None:
    """A second id for one order, and one id for two orders, cannot be."""
    tracker = tracker_of(sent(), acked())
    told = tracker.answer(one(tracker), seen(order_id="o9"))
    assert told.diverged == f"order {ID} is o1 and now also o9"
    tracker.intend(intended(2))
    tracker.answer(tracker.orders[key(2)], sent(2))
    assert tracker.answer(tracker.orders[key(2)], evolve(acked(2), order_id="o1")).diverged


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        ((sent(), acked(ts_ms=NOON + 500)), seen(updated_ms=NOON + 499)),
        ((sent(), acked(filled=10, remaining=0, ts_ms=NOON + 500)), seen(updated_ms=NOON + 500)),
    ],
    ids=["older", "as old as the end"],
)
def test_an_older_sight_is_dropped(told: tuple[facts.OrderFact, ...], fact: facts.OrderSeen) -> None:
    """A stale read, or the open state of the very millisecond in which the order was done, says nothing."""
    tracker = tracker_of(*told)
    before = one(tracker)
    outcome = tracker.answer(before, fact)
    assert (outcome.note, outcome.diverged) == ("older_facts", "")
    assert one(tracker) is before


def test_a_read_after_an_acknowledged_cancel_that_says_resting_is_dropped() -> None:
    """The recorded case: 360 ms after the cancel a read still shows the order of before."""
    tracker = tracker_of(
        sent(),
        acked(ts_ms=NOON + 200),
        facts.CancelSent(NOON + 600, ID),
        facts.CancelAcknowledged(NOON + 700, ID, TEN, NOON + 690),
        seen(source="read", updated_ms=NOON + 200),
    )
    assert one(tracker).state == "cancelled"


def test_absence_counts_only_after_the_request_could_last_arrive() -> None:
    """A signature lives a minute after its last use; an absence read as of earlier proves nothing."""
    lost = (sent(at_ms=NOON + 100), facts.OrderLost(NOON + 200, ID, "timeout"))
    intent = intended(spec=order_spec(expires_s=None))
    early = tracker_of(*lost, facts.OrderAbsent(NOON, ID, NOON + 99 + REQUEST_LIFE_MS), intent=intent)
    assert one(early).state == "unknown"
    late = tracker_of(*lost, facts.OrderAbsent(NOON, ID, NOON + 100 + REQUEST_LIFE_MS), intent=intent)
    assert one(late).state == "rejected"


def test_an_order_past_its_expiry_can_no_longer_arrive() -> None:
    """Its absence is proof as soon as the exchange's reads are past its expiry."""
    intent = intended(spec=order_spec(expires_s=NOON // 1_000 + 10))
    lost = (sent(), facts.OrderLost(NOON, ID, "timeout"))
    assert one(tracker_of(*lost, facts.OrderAbsent(NOON, ID, NOON + 9_999), intent=intent)).state == "unknown"
    assert one(tracker_of(*lost, facts.OrderAbsent(NOON, ID, NOON + 10_000), intent=intent)).state == "rejected"


def test_what_was_about_to_be_sent_may_have_left_until_the_restart() -> None:
    """An intent without a request becomes unknown, and its absence is measured from the restart."""
    tracker = tracker_of(intent=intended(spec=order_spec(expires_s=None)))
    tracker.restart(one(tracker), NOON + 5_000)
    assert one(tracker).state == "unknown"
    tracker.answer(one(tracker), facts.OrderAbsent(NOON, ID, NOON + 4_999 + REQUEST_LIFE_MS))
    assert one(tracker).state == "unknown"
    tracker.answer(one(tracker), facts.OrderAbsent(NOON, ID, NOON + 5_000 + REQUEST_LIFE_MS))
    assert one(tracker).state == "rejected"


def test_an_order_without_an_intent_is_what_is_seen_of_it() -> None:
    """Its cost at the limit and the dearest fees are set aside for what remains, and it follows what is seen."""
    cash = CashManager()
    tracker = OrderTracker(cash)
    record = tracker.meet(seen(order_id="x1", client_order_id="theirs", filled=4), None)
    assert (record.client_order_id, record.state, record.ours) == ("foreign:x1", "partially_filled", False)
    assert (record.spec.time_in_force, record.owed, cash.reserved(0)) == (GTC, 6 * CONTRACT, 2_400_000 + 600 * 299)
    again = seen(order_id="x1", client_order_id="theirs", status="executed", filled=10, updated_ms=NOON + 900)
    assert tracker.answer(record, again).record.state == "filled"
    assert cash.reserved(0) == 0
    assert tracker.open_orders() == []


def test_records_that_are_over_are_forgotten_first() -> None:
    """The bound drops the oldest record that is over, and its id at the exchange; open ones stay."""
    tracker = OrderTracker(CashManager(), kept_max=3)
    for number in (1, 2, 3):
        tracker.intend(intended(number))
        tracker.answer(tracker.orders[key(number)], sent(number))
        if number != 1:
            tracker.answer(tracker.orders[key(number)], acked(number, filled=0, remaining=0))
    assert list(tracker.orders) == [key(1), key(2), key(3)]
    tracker.intend(intended(4))
    assert list(tracker.orders) == [key(1), key(3), key(4)]
    assert tracker.by_order_id("o2") is None
    assert tracker.by_order_id("o3") is not None
