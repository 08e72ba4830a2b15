"""Fills that come too many, with other figures, or on the wrong order: nothing is lost, and each lie has a name."""

from __future__ import annotations

import pytest
from account_facts import ASK, acked, apply_all, fill, intended, ledger_of, seen, sent
from attrs import evolve

from kalshi_daemon import facts
from kalshi_daemon.core.changes import FillsWanted
from kalshi_daemon.core.fill_processor import FillProcessor
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.facts import AccountFact, HoldKind
from kalshi_daemon.units import CONTRACT


def crowded() -> Ledger:
    """A ledger with room for one fill that waits, and an order for ten whose answer is awaited."""
    ledger = ledger_of()
    ledger._fills = FillProcessor(held_max=1)
    apply_all(ledger, intended(), sent())
    return ledger


EARLY = [fill(trade, 1, 2, client_order_id="", ts_ms=fill("a").ts_ms + place) for place, trade in enumerate("abc")]


def test_fills_that_had_to_go_are_asked_for_and_attributed_once() -> None:
    """Their money is right at once; the order learns of them at the next read, and keeps its share until then."""
    ledger = crowded()
    apply_all(ledger, *EARLY)
    booked = ledger.settled_total
    assert (ledger.position(EARLY[0].market), ledger.counts["fills_unattributed"]) == (6 * CONTRACT, 2)
    changes = ledger.apply(acked(filled=6, remaining=4))
    assert FillsWanted("o1") in changes
    (record,) = ledger.live()
    assert (record.filled, record.claimed) == (2 * CONTRACT, 6 * CONTRACT)
    assert [ledger.knows_trade(each.trade_id) for each in EARLY] == [False, False, True]
    apply_all(
        ledger, *(evolve(each, source="read") for each in EARLY), seen(1, "canceled", 6, updated_ms=acked().ts_ms + 900)
    )
    assert (ledger.reserved_total, ledger.open_orders(), ledger.settled_total) == (0, [], booked)
    assert (ledger.fills_booked, ledger.counts["repeated_fills"]) == (3, 1)
    assert ledger.holds == ()


def test_a_crowd_of_fills_replays_to_the_same_bytes() -> None:
    """What had to go is part of the state."""
    one, two = crowded(), crowded()
    told = [*EARLY, acked(filled=6, remaining=4), *EARLY]
    apply_all(one, *told)
    apply_all(two, *told)
    assert one.snapshot() == two.snapshot()
    apply_all(two, fill("d", 2, 1, client_order_id=""))
    assert one.snapshot() != two.snapshot()


def test_a_fill_told_with_other_figures_diverges_and_the_first_stay_booked() -> None:
    """A lie is not a repetition; a fee that was restated is."""
    ledger = ledger_of(intended(), sent(), acked(), fill("a", 1, 4))
    before = (ledger.settled_total, ledger.position(fill("a").market))
    assert ledger.apply(fill("a", 1, 4, fee=2_000)) == ()
    assert ledger.holds == ()
    ledger.apply(fill("a", 1, 5))
    assert (ledger.settled_total, ledger.position(fill("a").market)) == before
    hold = ledger.find_hold(HoldKind.DIVERGENCE)
    assert hold is not None
    assert "told before with other figures" in hold.cause
    assert (ledger.counts["repeated_fills"], ledger.counts["contradicted_fills"]) == (1, 1)


WITHHELD = facts.OrderWithheld(sent().at_ms, intended().client_order_id, "P1", "")
ON_ITS_WAY: list[AccountFact] = [intended(), sent(), acked()]


@pytest.mark.parametrize(
    ("told", "wrong", "counter"),
    [
        ([intended(), WITHHELD], fill("a", 1, 1), "wrong_fills_state"),
        (ON_ITS_WAY, fill("a", 1, 11), "wrong_fills_count"),
        (ON_ITS_WAY, fill("a", 1, 1, side=ASK), "wrong_fills_market"),
        (ON_ITS_WAY, fill("a", 1, 1, market="KXOTHER"), "wrong_fills_market"),
        (ON_ITS_WAY, fill("a", 1, 1, order_id="another"), "wrong_fills_id"),
    ],
)
def test_a_wrong_fill_is_counted_by_its_kind(told: list[AccountFact], wrong: facts.FillSeen, counter: str) -> None:
    """It cannot be, so the account is in doubt; its money is booked, since the exchange says that it moved."""
    ledger = ledger_of(*told)
    before = ledger.settled_total
    ledger.apply(wrong)
    assert ledger.counts[counter] == 1
    assert ledger.settled_total < before
    assert ledger.find_hold(HoldKind.DIVERGENCE) is not None
    assert not ledger.account_agreed


def test_a_stranger_s_fill_that_had_to_go_is_still_named() -> None:
    """When no order of ours is left that it could be of, it is somebody else's."""
    ledger = crowded()
    strange = fill("z", 9, 1, client_order_id="", order_id="theirs")
    apply_all(ledger, strange, *EARLY, acked(filled=6, remaining=4), *EARLY)
    assert ledger.find_hold(HoldKind.FOREIGN) is None
    apply_all(ledger, strange)
    hold = ledger.find_hold(HoldKind.FOREIGN)
    assert hold is not None
    assert "theirs" in hold.cause
    assert ledger.fills_booked == 4
