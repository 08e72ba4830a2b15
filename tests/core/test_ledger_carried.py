"""An account that goes on in the next journal is the one that it was, and becomes the same by all that comes after."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from account_facts import ASK, NOON, M, account_opened, acked, agreed, fill, intended, seen, sent, settlement, started
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ledger_properties import MARKETS, Plan, plans, shuffled

from kalshi_daemon import facts
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_carried import ToldAgain, differences
from kalshi_daemon.facts import AccountFact, BalanceReading, FiguresBefore, FillSeen, HoldKind, PositionOpening
from kalshi_daemon.limits import ORDERS_ASKED_MAX, TOLD_AGAIN_MS
from kalshi_daemon.units import CONTRACT, DOLLAR

OTHER = "KXOTHER-1"
OPENED = evolve(
    account_opened(1_000, PositionOpening(OTHER, 5 * CONTRACT, 2 * DOLLAR, 7_000)),
    before=(FiguresBefore(OTHER, DOLLAR, 0), FiguresBefore("KXOVER", -DOLLAR, 9_000)),
)
PAST: tuple[AccountFact, ...] = (
    facts.AccountNamed(NOON, "demo", "k1"),
    facts.AccountNamed(NOON, "demo", "k2"),
    started(),
    OPENED,
    facts.DayOpened(NOON, "2026-09-21", 1_002 * DOLLAR),
    facts.OrderGroupMade(NOON, 0, "group1", 10_000_000),
    facts.OrderGroupTold(NOON, "read", "group1", "reset", NOON - 5),
    facts.OrderGroupMade(NOON, 1, "group2", 100),
    facts.OrderGroupTold(NOON, "stream", "group2", "triggered", NOON + 1),
    facts.HoldPlaced(NOON + 3, HoldKind.OPERATOR, "", "a person", "`resume`", "", None),
    facts.HoldPlaced(NOON + 4, HoldKind.GUARD, M, "a breaker", "its time", "increasing", NOON + 10**9),
    facts.CancelAllSent(NOON, NOON),
    facts.CashCorrected(NOON, 0, 12_345, "a deposit"),
    facts.DriftSeen(NOON, "fees", OTHER, 7_000, 7_100, facts.DriftCause.RESTATED, "stream"),
    facts.BalanceReadingLearned(NOON, (BalanceReading.NOTHING, BalanceReading.WHOLE)),
)


def folded(*told: AccountFact) -> tuple[Ledger, ToldAgain]:
    ledger, again = Ledger(), ToldAgain()
    for fact in told:
        ledger.apply(fact)
        again.saw(fact, ledger)
    return ledger, again


def carried(ledger: Ledger, again: ToldAgain) -> list[AccountFact]:
    assert ledger.unrest() == ""
    return ledger.carried("journal-until-then.sqlite3", 77, 4_711, NOON + 10**6, again)


def agreed_at(as_of_ms: int) -> facts.AccountAgreed:
    return evolve(agreed(), as_of_ms=as_of_ms)


def figures(ledger: Ledger) -> dict[str, Any]:
    """All of the account; what was counted of news that were none is no part of it."""
    return {name: each for name, each in ledger.account_figures().items() if name != "counts"}


def renamed(fact: Any, run_id: str) -> AccountFact:
    key = getattr(fact, "client_order_id", "")
    return evolve(fact, client_order_id=key.replace("run0000001", run_id)) if key else fact


@settings(max_examples=80, deadline=None)
@given(plans(), plans(), st.randoms(use_true_random=False), st.integers(-1_000, 6_000), st.booleans())
def test_any_life_goes_on_in_the_next_journal_as_it_would_have(
    early: list[Plan], late: list[Plan], rng: random.Random, since: int, settles: bool
) -> None:
    """Wherever the boundary lies among its fills: the same account, by the same news, and by old news again."""
    told: list[AccountFact] = [*PAST, *shuffled(early, rng)]
    if settles:
        told.append(settlement(5_000, 100, DOLLAR, market=MARKETS[0]))
    told.append(agreed_at(NOON + since + TOLD_AGAIN_MS))
    whole, again = folded(*told)
    begun, again_in_next = folded(*carried(whole, again))
    assert differences(whole, begun) == []
    assert (begun.journal_before, begun.version) == ("journal-until-then.sqlite3", len(carried(whole, again)))
    assert carried(begun, again_in_next) == carried(whole, again)
    orders = list(whole.accepted_orders())
    assert list(begun.accepted_orders())[:ORDERS_ASKED_MAX] == orders[:ORDERS_ASKED_MAX]

    after = [evolve(plan, number=plan.number + 100) for plan in late]
    old = [fact for fact in told if isinstance(fact, FillSeen)]
    news = [renamed(fact, "run0000002") for fact in shuffled(after, rng)]
    news += rng.sample(old, k=min(5, len(old)))
    for fact in (started("run0000002"), *news, settlement(0, 100, 0, market=MARKETS[1])):
        whole.apply(fact)
        begun.apply(fact)
        assert figures(begun) == figures(whole)
        assert begun.session == whole.session


def test_what_is_opened_again_behind_the_journal_before_changes_nothing() -> None:
    """Two journals folded one after another are one account, with all its orders."""
    whole, again = folded(*PAST, intended(), sent(), acked(), fill("t1"), agreed_at(NOON + 500))
    before = figures(whole)
    for fact in carried(whole, again):
        whole.apply(fact)
    assert figures(whole) == before
    assert [each.state for each in whole.orders.values()] == ["filled"]
    assert whole.journal_before == ""


@pytest.mark.parametrize("known", [True, False])
def test_a_fill_of_the_last_millisecond_is_booked_once(known: bool) -> None:
    """Told again it is known; one of the same stamp that was not told before is booked, and asks whose it is."""
    whole, again = folded(started(), OPENED, intended(), sent(), acked(), fill("t1"), agreed_at(NOON + 300))
    begun, _ = folded(*carried(whole, again), started("run0000002"))
    cash, booked = begun.settled_total, begun.fills_booked
    begun.apply(fill("t1" if known else "t2", number=1 if known else 9, source="read", client_order_id=""))
    assert begun.fills_booked == booked + (not known)
    assert (begun.settled_total == cash) is known
    assert (begun.find_hold(HoldKind.FOREIGN) is None) is known


def test_what_is_stamped_at_the_boundary_is_known() -> None:
    """It is not older, so it has to be carried by its id."""
    whole, again = folded(
        started(), OPENED, intended(), sent(), acked(), fill("t1"), agreed_at(NOON + 300 + TOLD_AGAIN_MS)
    )
    begun, _ = folded(*carried(whole, again))
    cash = begun.settled_total
    begun.apply(fill("t1", source="read", client_order_id=""))
    assert (begun.opened_ms, begun.settled_total, begun.counts["repeated_fills"]) == (NOON + 300, cash, 1)


def test_an_agreement_that_was_overtaken_is_not_carried() -> None:
    """Its reads began before a doubt, and what they showed is not the boundary."""
    doubt = facts.AccountDoubted(NOON, "a feed was away")
    overtaken = evolve(agreed_at(NOON + TOLD_AGAIN_MS + 900), doubts=0)
    whole, again = folded(started(), OPENED, doubt, agreed_at(NOON + TOLD_AGAIN_MS + 100), overtaken)
    begun, _ = folded(*carried(whole, again))
    assert (begun.agreed_ms, begun.opened_ms) == (NOON + TOLD_AGAIN_MS + 100, NOON + 100)


def test_what_is_older_than_the_boundary_is_in_the_figures() -> None:
    """A fill that the reads never go back to is no news, known by its id or not."""
    late = agreed_at(NOON + TOLD_AGAIN_MS + 301)
    whole, again = folded(started(), OPENED, intended(), sent(), acked(), fill("t1"), late)
    begun, _ = folded(*carried(whole, again))
    (opening,) = [fact for fact in carried(whole, again) if isinstance(fact, facts.AccountCarried)]
    assert (opening.trades, opening.opened_ms) == ((), NOON + 301)
    cash = begun.settled_total
    begun.apply(fill("t1", source="read", client_order_id=""))
    begun.apply(fill("t0", number=9, source="read", client_order_id=""))
    begun.apply(settlement(0, 0, 0, market="KXNEVER", ts_ms=NOON + 300))
    assert (begun.settled_total, begun.counts["earlier_fills"]) == (cash, 2)
    assert begun.counts["earlier_settlements"] == 1


def test_a_sight_that_lags_of_an_order_that_is_over_is_no_order() -> None:
    """As a read may show it in the first second; one that the exchange stamped later is an order like any other."""
    whole, again = folded(started(), OPENED, intended(), sent(), acked(), fill("t1"), agreed_at(NOON + 500))
    begun, _ = folded(*carried(whole, again), started("run0000002"))
    begun.apply(seen(updated_ms=NOON + 300))
    assert (begun.live(), begun.counts["older_facts"]) == ([], 1)
    begun.apply(seen(updated_ms=NOON + 301))
    assert [each.state for each in begun.live()] == ["resting"]


def test_a_fill_that_was_made_before_the_last_and_is_told_late_moves_cash_and_count_exactly() -> None:
    """Its place among those of the journal before is not known any more, and that is counted."""
    whole, again = folded(started(), OPENED, intended(), sent(), acked(), fill("t1"), agreed_at(NOON + 500))
    begun, _ = folded(*carried(whole, again))
    late = fill("t0", number=9, count=15, price=30, side=ASK, ts_ms=NOON + 299, client_order_id="")
    for ledger in (whole, begun):
        ledger.apply(late)
    assert begun.settled_total == whole.settled_total
    assert begun.position(M) == whole.position(M) == -5 * CONTRACT
    assert begun.counts["fills_out_of_order"] == 1


UNREST: dict[str, tuple[str, list[AccountFact]]] = {
    "nothing opened": ("no account was opened in it", []),
    "intended": ("order kd-run0000001-1 on .* is intended", [OPENED, intended(), agreed()]),
    "resting": ("is resting", [OPENED, intended(), sent(), acked(), agreed()]),
    "fills owed": ("is filled", [OPENED, intended(), sent(), acked(filled=10, remaining=0), agreed()]),
    "somebody's order": ("order foreign:o1 on .* is resting", [OPENED, seen(client_order_id="theirs"), agreed()]),
    "divergence": (
        "held by divergence",
        [OPENED, facts.HoldPlaced(NOON, HoldKind.DIVERGENCE, "", "x", "y", "all", None), agreed()],
    ),
    "never agreed": ("it has never agreed", [OPENED]),
}


@pytest.mark.parametrize("why", UNREST)
def test_what_is_open_keeps_the_account_in_its_journal(why: str) -> None:
    """Each in words that name it."""
    text, told = UNREST[why]
    ledger, _ = folded(started(), *told)
    assert re.search(text, ledger.unrest())
