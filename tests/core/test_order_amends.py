"""Amends in the ledger: which order stands, what is reserved meanwhile, and how not knowing ends."""

from __future__ import annotations

from typing import Any

import pytest
from account_facts import (
    BID,
    NOON,
    acked,
    amend_acked,
    amend_intended,
    amend_sent,
    apply_all,
    fill,
    intended,
    key,
    ledger_of,
    order_spec,
    seen,
    sent,
    started,
)
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core.changes import OrderMoved, OrderRestated
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_amends import only_lowers
from kalshi_daemon.core.order_record import OrderRecord
from kalshi_daemon.core.order_tracker import TABLE
from kalshi_daemon.facts import HoldKind
from kalshi_daemon.limits import REQUEST_LIFE_MS
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, PRICE_CENT
from statecharts.order import ORDER

ID = key(1)
OLD, NEW = order_spec(price=40, count=10), order_spec(price=45, count=8)
LOST = facts.AmendLost(NOON + 300, ID, "timeout")
REFUSED = facts.AmendRefused(NOON + 300, ID, 400, "invalid_order", "post only cross")
MISSING = facts.AmendMissing(NOON + 300, ID)
WITHHELD = facts.AmendWithheld(NOON + 255, ID, "P1", "held")
CANCEL = facts.CancelSent(NOON + 270, ID)
CANCELLED = facts.CancelAcknowledged(NOON + 320, ID, 8 * CONTRACT, NOON + 315)
LATER_MS = NOON + 260 + REQUEST_LIFE_MS


def amending(*told: facts.AccountFact, worst: int = 5 * DOLLAR, **changes: Any) -> Ledger:
    """Ten at 40 cents rest, and are being amended to eight at 45; then `told`."""
    return ledger_of(intended(reserve=worst), sent(), acked(), amend_intended(**changes), amend_sent(), *told)


def one(ledger: Ledger) -> OrderRecord:
    return ledger.orders[ID]


def shown(price: int = 45, count: int = 8, filled: int = 0, **changes: Any) -> facts.OrderSeen:
    """The order, resting with these terms."""
    whole = {"price": 100 * price, "initial": count * CONTRACT, "remaining": (count - filled) * CONTRACT}
    return seen(filled=filled, **{**whole, **changes})


# ------------------------------------------------------------------------------------------ every row has its fact

TOLD: dict[str, facts.OrderFact] = {
    "sent": sent(),
    "withheld": facts.OrderWithheld(NOON, ID, "P1", "held"),
    "acked_open": acked(),
    "acked_full": acked(filled=10, remaining=0),
    "acked_void": acked(filled=0, remaining=0),
    "refused": facts.OrderRefused(NOON, ID, 400, "invalid_price", ""),
    "duplicate": facts.OrderDuplicate(NOON, ID),
    "lost": facts.OrderLost(NOON, ID, "reset"),
    "seen_open": seen(),
    "seen_cancelled": seen(status="canceled"),
    "seen_expired": seen(status="canceled", reason="ExpiryCancel"),
    "seen_executed": seen(status="executed", filled=10),
    "cancel_sent": CANCEL,
    "cancel_acked": facts.CancelAcknowledged(NOON, ID, 10 * CONTRACT, NOON),
    "cancel_missing": facts.CancelMissing(NOON, ID),
    "cancel_refused": facts.CancelRefused(NOON, ID, 409, "trading_is_paused", ""),
    "cancel_lost": facts.CancelLost(NOON, ID, "reset"),
    "amend_sent": amend_sent(),
    "amend_acked": amend_acked(),
    "amend_refused": REFUSED,
    "amend_lost": LOST,
    "absent": facts.OrderAbsent(LATER_MS, ID, LATER_MS),
    "vanished": facts.OrderVanished(LATER_MS, ID, LATER_MS),
}
# where an order stands that has gone through these, so that each row is met in a state where it means something
WAYS: dict[str, tuple[facts.AccountFact, ...]] = {
    "intended": (intended(),),
    "submitted": (intended(), sent()),
    "resting": (intended(), sent(), acked()),
    "cancel_pending": (intended(), sent(), acked(), CANCEL),
    "amend_pending": (intended(), sent(), acked(), amend_intended(), amend_sent()),
    "unknown": (intended(), sent(), facts.OrderLost(NOON, ID, "reset")),
}
MET_IN = {
    "intended": ("sent", "withheld"),
    "submitted": ("acked_open", "acked_full", "acked_void", "refused", "duplicate", "lost"),
    "resting": ("seen_open", "seen_cancelled", "seen_expired", "seen_executed", "cancel_sent", "vanished"),
    "cancel_pending": ("cancel_acked", "cancel_missing", "cancel_refused", "cancel_lost"),
    "amend_pending": ("amend_acked", "amend_refused", "amend_lost"),
    "unknown": ("absent",),
}


def test_every_row_of_the_table_is_reached_by_a_fact() -> None:
    """Told to a ledger in a state where it means something, each fact does what its row says there."""
    reached = set()
    for state, rows in {**MET_IN, "resting": (*MET_IN["resting"], "amend_sent")}.items():
        for row in rows:
            pending = (amend_intended(),) if row == "amend_sent" else ()
            ledger = ledger_of(*WAYS[state], *pending)
            assert one(ledger).state == state
            ledger.apply(TOLD[row])
            assert one(ledger).state == (TABLE.step(state, row).opened(0).next or state), row
            reached.add(row)
    ledger = ledger_of(*WAYS["resting"], fill("a", count=3))
    assert one(ledger).state == "partially_filled"
    ledger.apply(fill("b", count=7))
    assert one(ledger).state == "filled"
    ledger = ledger_of(*WAYS["submitted"], started("run0000002"))
    assert one(ledger).state == "unknown"
    assert reached | {"fill_part", "fill_rest", "restarted"} == set(ORDER["rows"])


# ----------------------------------------------------------------------------------------- what is reserved, and when


@pytest.mark.parametrize(
    ("worst", "reserve", "meanwhile"),
    [(5 * DOLLAR, 4 * DOLLAR, 5 * DOLLAR), (4 * DOLLAR, 6 * DOLLAR, 6 * DOLLAR)],
    ids=["cheaper", "dearer"],
)
def test_the_dearer_of_the_two_is_reserved_until_the_answer(worst: int, reserve: int, meanwhile: int) -> None:
    """From the intent on, while it is sent and while its outcome is unknown; then that of the order that stands."""
    ledger = ledger_of(intended(reserve=worst), sent(), acked())
    assert ledger.reserved_total == worst
    (change,) = ledger.apply(amend_intended(reserve=reserve))
    assert change == OrderRestated(one(ledger))
    assert (one(ledger).state, ledger.reserved_total) == ("resting", meanwhile)
    ledger.apply(amend_sent())
    assert (one(ledger).state, ledger.reserved_total) == ("amend_pending", meanwhile)
    for answer, left, spec in ((amend_acked(), reserve, NEW), (REFUSED, worst, OLD), (MISSING, worst, OLD)):
        answered = ledger_of(intended(reserve=worst), sent(), acked(), amend_intended(reserve=reserve), amend_sent())
        answered.apply(answer)
        assert (answered.reserved_total, one(answered).spec, one(answered).amend) == (left, spec, None)
    ledger.apply(LOST)
    assert (one(ledger).state, ledger.reserved_total) == ("unknown", meanwhile)
    ledger.apply(shown())
    assert (one(ledger).state, ledger.reserved_total, one(ledger).spec) == ("resting", reserve, NEW)


def test_an_amend_that_is_withheld_leaves_the_order_as_it_stood() -> None:
    """Nothing has left: the order rests with its own terms, and only those are reserved."""
    ledger = ledger_of(intended(), sent(), acked(), amend_intended(reserve=7 * DOLLAR), WITHHELD)
    assert (one(ledger).state, one(ledger).spec, one(ledger).amend) == ("resting", OLD, None)
    assert ledger.reserved_total == 5 * DOLLAR


def test_a_fill_releases_its_share_of_either_order() -> None:
    """Three of ten, or of eight: what is left of the dearer stays; the answer leaves the new order's five eighths."""
    ledger = amending(fill("a", count=3), worst=2 * DOLLAR)
    assert (one(ledger).state, one(ledger).owed) == ("amend_pending", 7 * CONTRACT)
    assert ledger.reserved_total == 250 * CENT  # five eighths of four dollars, over seven tenths of two
    ledger.apply(amend_acked(remaining=5))
    assert (one(ledger).state, one(ledger).owed, ledger.reserved_total) == ("partially_filled", 500, 250 * CENT)


# ------------------------------------------------------------------------------------------------ fills on their way


def test_an_amend_to_fewer_is_complete_when_its_answer_finds_the_fills_there() -> None:
    """The fills reach the smaller count first; that is known only with the answer, and then it is filled."""
    spec = order_spec(count=4)
    ledger = amending(fill("a", count=4), spec=spec)
    assert one(ledger).state == "amend_pending"
    ledger.apply(amend_acked(remaining=0))
    assert (one(ledger).state, one(ledger).spec, ledger.reserved_total) == ("filled", spec, 0)


def test_an_amend_to_more_that_came_too_late_leaves_the_order_filled() -> None:
    """All of the old count fills while twelve are asked for: 404, and the old order was complete."""
    ledger = amending(fill("a", count=10), spec=order_spec(count=12))
    assert one(ledger).state == "amend_pending"
    ledger.apply(MISSING)
    assert (one(ledger).state, one(ledger).spec, ledger.reserved_total) == ("filled", OLD, 0)


def test_an_amend_that_fills_at_once_waits_for_its_fills() -> None:
    """200 with nothing left: what it owes stays reserved, until the fills complete it."""
    ledger = amending(amend_acked(remaining=0))
    assert (one(ledger).state, one(ledger).claimed, one(ledger).owed) == ("partially_filled", 800, 800)
    assert ledger.reserved_total == 4 * DOLLAR
    ledger.apply(fill("a", count=8, price=45))
    assert (one(ledger).state, ledger.reserved_total) == ("filled", 0)


def test_more_than_either_count_cannot_be() -> None:
    """Ten may fill while eight are asked for; an eleventh is a divergence."""
    ledger = amending(fill("a", count=10))
    assert one(ledger).state == "filled"
    ledger.apply(MISSING)
    assert ledger.find_hold(HoldKind.DIVERGENCE) is None
    ledger.apply(fill("b", count=1))
    assert ledger.find_hold(HoldKind.DIVERGENCE) is not None


# ---------------------------------------------------------------------------------------------------- not being told


@pytest.mark.parametrize(
    ("sight", "state", "spec"),
    [
        (shown(), "resting", NEW),
        (shown(filled=3), "partially_filled", NEW),
        (shown(40, 10), "unknown", OLD),
        (shown(40, 10, updated_ms=LATER_MS - 1), "unknown", OLD),
        (shown(40, 10, updated_ms=LATER_MS), "resting", OLD),
        (shown(40, 10, source="read", at_ms=LATER_MS - 1), "unknown", OLD),
        (shown(40, 10, source="read", at_ms=LATER_MS), "resting", OLD),
        (shown(expires_s=NEW.expires_s), "resting", NEW),
        (shown(expires_s=1), "unknown", OLD),
        (shown(status="canceled", remaining=0), "cancelled", NEW),
        (shown(40, 10, status="canceled", remaining=0), "cancelled", OLD),
        (shown(45, 8, 8, status="executed", remaining=0), "unknown", NEW),
        (shown(40, 10, 10, status="executed", remaining=0), "unknown", OLD),
    ],
)
def test_a_lost_answer_is_settled_by_what_is_seen(sight: facts.OrderSeen, state: str, spec: Any) -> None:
    """The new order is proof at once; the old one only when the amend can arrive no more; an end ends it."""
    ledger = amending(LOST, sight)
    assert (one(ledger).state, one(ledger).spec) == (state, spec)
    early = state == "unknown" and sight.status == "resting"
    assert (one(ledger).amend is not None) is early
    assert ledger.counts.get("early_sights", 0) == early
    assert ledger.reserved_total == {"cancelled": 0}.get(state, one(ledger).reserve)


def test_an_order_that_ended_with_all_its_fills_here_is_filled() -> None:
    """The answer to an amend to four is lost; four fill; the exchange says that it is done."""
    done = shown(40, 4, 4, status="executed", remaining=0)
    ledger = amending(LOST, fill("a", count=4), spec=order_spec(count=4))
    assert one(ledger).state == "unknown"
    ledger.apply(done)
    assert (one(ledger).state, ledger.reserved_total) == ("filled", 0)


def test_a_decrease_that_left_nothing_completes_the_order() -> None:
    """Its own reason, and no cancel: what was filled before it is all that the order was for."""
    gone = seen(status="canceled", filled=4, reason="Decrease", remaining=0)
    ledger = amending(fill("a", count=4), LOST, gone, spec=order_spec(count=4))
    assert (one(ledger).state, one(ledger).spec.count) == ("filled", 400)


@pytest.mark.parametrize("sent_too", [True, False], ids=["sent", "decided"])
def test_a_restart_while_amending_loses_the_answer(sent_too: bool) -> None:
    """What was decided may have left, whether or not its sending was journaled: unknown, the dearer reserved."""
    told = (intended(), sent(), acked(), amend_intended(reserve=7 * DOLLAR), *([amend_sent()] if sent_too else []))
    ledger = ledger_of(*told)
    before = one(ledger).state
    assert OrderMoved(before, one(ledger)) not in ledger.apply(started("run0000002", NOON + 400))
    assert (one(ledger).state, ledger.reserved_total, one(ledger).asked_ms) == ("unknown", 7 * DOLLAR, NOON + 400)
    ledger.apply(shown(40, 10, source="read", updated_ms=NOON + 450, at_ms=LATER_MS))
    assert one(ledger).state == "unknown"  # from the restart on, since until then it may have been signed
    again = ledger_of(*told, started("run0000002", NOON + 400))
    apply_all(again, shown(40, 10, source="read", updated_ms=NOON + 450, at_ms=LATER_MS))
    assert again.snapshot() == ledger.snapshot()
    ledger.apply(shown(updated_ms=NOON + 450))
    assert (one(ledger).state, one(ledger).spec) == ("resting", NEW)


# ------------------------------------------------------------------------------------------------ cancels beside it


@pytest.mark.parametrize(
    ("answers", "state", "spec"),
    [
        ((amend_acked(), CANCELLED), "cancelled", NEW),
        ((REFUSED, evolve(CANCELLED, reduced_by=10 * CONTRACT)), "cancelled", OLD),
        ((CANCELLED, amend_acked()), "cancelled", NEW),
        ((LOST, facts.CancelLost(NOON + 330, ID, "reset")), "unknown", OLD),
        ((facts.CancelRefused(NOON + 330, ID, 429, "", ""), amend_acked()), "resting", NEW),
        ((facts.CancelRefused(NOON + 330, ID, 429, "", ""), LOST), "unknown", OLD),
    ],
    ids=["acked then", "refused then", "before", "both lost", "cancel refused", "cancel refused, amend lost"],
)
def test_a_cancel_goes_beside_an_amend(answers: tuple[facts.OrderFact, ...], state: str, spec: Any) -> None:
    """Whatever comes first, the cancel is not undone, and nothing is called impossible."""
    ledger = amending(CANCEL)
    assert one(ledger).state == "cancel_pending"
    apply_all(ledger, *answers)
    assert (one(ledger).state, one(ledger).spec) == (state, spec)
    assert ledger.find_hold(HoldKind.DIVERGENCE) is None
    assert ledger.reserved_total == (0 if state == "cancelled" else one(ledger).reserve)


@pytest.mark.parametrize(
    ("news", "answer", "state"),
    [
        (CANCEL, amend_acked(), "cancel_pending"),
        (seen(status="canceled"), MISSING, "cancelled"),
        (fill("a", count=10), MISSING, "filled"),
        (seen(status="executed", filled=10), MISSING, "unknown"),
    ],
    ids=["cancel", "cancelled", "filled", "executed"],
)
def test_an_amend_may_leave_before_the_news_of_the_end_is_folded(news: Any, answer: Any, state: str) -> None:
    """The news waited in the queue while the amend was written: counted, and nobody is held for it."""
    ledger = ledger_of(intended(), sent(), acked(), amend_intended(spec=order_spec(price=45)), news, amend_sent())
    assert ledger.counts["overtaken_amends"] == 1
    ledger.apply(answer)
    assert (one(ledger).state, one(ledger).amend) == (state, None)
    assert ledger.find_hold(HoldKind.DIVERGENCE) is None


# ----------------------------------------------------------------------------------------------------------- intents


def test_one_amend_of_an_order_is_pending_at_most() -> None:
    """A second intent, one of an order that does not rest, and one of nobody's change nothing."""
    ledger = amending()
    before = one(ledger)
    assert ledger.apply(amend_intended(reserve=9 * DOLLAR)) == ()
    assert one(ledger) is before
    assert ledger_of(intended(), sent()).apply(amend_intended()) == ()
    assert ledger_of().apply(amend_intended()) == ()
    assert ledger.counts["repeated_intents"] == 1


def test_only_an_amend_that_increases_counts_for_the_rate() -> None:
    """Giving up contracts is free; another price, a larger count and a later expiry are intents like an order's."""
    for spec, increases in ((order_spec(count=8), False), (order_spec(price=41), True), (order_spec(count=12), True)):
        ledger = ledger_of(intended(), sent(), acked(), amend_intended(spec=spec))
        assert ledger.increase_before(1) == (NOON + 250 if increases else NOON + 1)
        assert only_lowers(OLD, spec) is not increases
    assert not only_lowers(OLD, evolve(OLD, count=800, expires_s=NOON))
    assert OLD.side is BID


@pytest.mark.parametrize("answer", ["acknowledged", "lost", "refused", "late"])
def test_our_own_amend_is_no_other_hands(answer: str) -> None:
    """Seen before its answer, after it, in the place of a lost one, long after: nobody else changed anything. Another
    price than either is another hand's.
    """
    new = seen(price=45 * PRICE_CENT, remaining=8 * CONTRACT, updated_ms=NOON + 300)
    old = seen(updated_ms=NOON + 240)
    told: dict[str, tuple[facts.OrderFact, ...]] = {
        "acknowledged": (amend_acked(), new, old),
        "lost": (facts.AmendLost(NOON + 300, key(1), "reset"), old, new, old),
        "refused": (facts.AmendRefused(NOON + 300, key(1), 409, "trading_is_paused", ""), seen()),
        "late": (old, new, amend_acked(), old, new),
    }
    ledger = ledger_of(intended(), sent(), acked(), amend_intended(), amend_sent())
    for fact in told[answer]:
        ledger.apply(fact)
    assert "orders_restated" not in ledger.counts
    before = ledger.orders[key(1)]
    ledger.apply(seen(price=44 * PRICE_CENT, updated_ms=NOON + 900))
    after = ledger.orders[key(1)]
    assert (before.amend, after.spec.price, ledger.counts["orders_restated"]) == (None, 44 * PRICE_CENT, 1)


@pytest.mark.parametrize("source", ["stream", "read"])
def test_an_expiry_is_taken_away_by_who_has_named_one(source: str) -> None:
    """Of who never did, leaving it out says nothing; what the other of the two names proves nothing of this one."""
    expires_s = order_spec().expires_s
    other = {"stream": "read", "read": "stream"}[source]
    ledger = ledger_of(intended(), sent(), acked(), seen(source=other, expires_s=expires_s))
    ledger.apply(seen(source=source, updated_ms=NOON + 500))
    assert (ledger.orders[key(1)].spec.expires_s, "orders_restated" in ledger.counts) == (expires_s, False)
    ledger.apply(seen(source=source, expires_s=expires_s, updated_ms=NOON + 600))
    changes = ledger.apply(seen(source=source, updated_ms=NOON + 700))
    assert (ledger.orders[key(1)].spec.expires_s, ledger.counts["orders_restated"]) == (None, 1)
    assert any(isinstance(each, OrderRestated) for each in changes)
