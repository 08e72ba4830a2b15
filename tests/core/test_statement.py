"""The statement's two halves: the journal folded, the exchange's lists walked back, and what is called a difference."""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.core.statement import AccountLists, JournalHalf, Period, differences, exchange_half
from kalshi_daemon.facts import (
    AccountFact,
    AccountOpened,
    CashCorrected,
    FillSeen,
    PositionOpening,
    RunStarted,
    SettlementRestated,
    SettlementSeen,
)
from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, BookSide, Count, Milliseconds, Money, Price

PERIOD = Period(1_000, 2_000)
BID, ASK = BookSide.BID, BookSide.ASK


def fill(  # one of the account's
    ts_ms: Milliseconds, side: BookSide, price: Price, count: Count, *, fee: Money = 100, market: str = "M-1"
) -> FillSeen:
    name = f"t-{market}-{ts_ms}"
    return FillSeen(ts_ms + 5, "read", name, f"o-{market}", "", market, side, price, count, fee, True, ts_ms, 0)


def settlement(ts_ms: Milliseconds, count: Count, revenue: Money, market: str = "M-1") -> SettlementSeen:
    value = 10_000 if revenue else 0
    return SettlementSeen(ts_ms + 5, market, "yes", value, count, revenue, 0, ts_ms, 0)


def opened(at_ms: Milliseconds, cash: Money, *positions: PositionOpening) -> AccountOpened:
    return AccountOpened(at_ms, ((0, cash),), positions)


def folded(*facts: AccountFact, period: Period = PERIOD) -> JournalHalf:
    journal = JournalHalf(period)
    for fact in (RunStarted(1, "run1", "test"), *facts):
        journal.fold(fact)
    return journal


BEFORE = fill(900, BID, 5_000, 4 * CONTRACT)
CLOSES_AND_TURNS = fill(1_200, ASK, 6_000, 10 * CONTRACT)  # closes four YES, opens six NO
OTHER = fill(1_300, BID, 2_500, 8 * CONTRACT, market="M-2")
PAID = settlement(1_500, 8 * CONTRACT, 8 * DOLLAR, "M-2")
LATE = fill(2_000, BID, 3_000, 6 * CONTRACT)  # the end of a period does not belong to it


def test_the_journal_s_half_has_each_fact_in_its_own_period() -> None:
    """What came before is in the opening balance; a fill that turns a position moves cash on both of its sides."""
    journal = folded(opened(100, 100 * DOLLAR), BEFORE, CLOSES_AND_TURNS, OTHER, PAID, LATE)
    half = journal.half
    assert half.opening == 100 * DOLLAR - 2 * DOLLAR - 100
    assert (half.bought, half.sold) == (-2 * DOLLAR, 2_400_000 - 2_400_000)
    assert (half.fees, half.settled, half.changes) == (-200, 8 * DOLLAR, 0)
    assert half.closing == half.opening + 6 * DOLLAR - 200
    assert half.positions == {"M-1": -6 * CONTRACT}
    assert list(half.fills.values()) == [CLOSES_AND_TURNS, OTHER]
    assert journal.realised == 400_000 + 6 * DOLLAR
    assert journal.ledger.settled_total == half.closing + 4_200_000 - 100


def test_the_exchange_s_half_is_walked_back_to_the_same() -> None:
    """From the cash and the positions of now alone, over every fill and settlement since."""
    journal = folded(opened(100, 100 * DOLLAR), BEFORE, CLOSES_AND_TURNS, OTHER, PAID, LATE)
    lists = AccountLists(journal.ledger.settled_total, {"M-1": 0}, (LATE, OTHER, CLOSES_AND_TURNS, BEFORE), (PAID,))
    half = exchange_half(lists, PERIOD, 0, 0)
    for name in ("opening", "bought", "sold", "fees", "settled", "closing", "positions", "fills", "settlements"):
        assert getattr(half, name) == getattr(journal.half, name), name
    assert list(differences(journal.half, half)) == []


def test_a_journal_that_begins_within_the_period_states_what_follows() -> None:
    """The account as it was opened is the opening balance, positions included; earlier fills are part of it."""
    held = PositionOpening("M-1", 4 * CONTRACT, 2 * DOLLAR, 0)
    journal = folded(opened(1_100, 98 * DOLLAR, held), BEFORE, CLOSES_AND_TURNS)
    assert journal.stated
    assert journal.begins_ms == 1_100
    assert journal.half.opening == 98 * DOLLAR
    assert list(journal.half.fills.values()) == [CLOSES_AND_TURNS]
    assert journal.half.positions == {"M-1": -6 * CONTRACT}
    assert not folded(opened(2_000, DOLLAR)).stated
    assert not folded().stated


def test_a_fact_that_is_told_again_or_late_counts_once_and_where_it_belongs() -> None:
    """Learnt after the period, stamped in it: it is in it. Learnt twice: once."""
    late = evolve(CLOSES_AND_TURNS, at_ms=9_000)
    journal = folded(opened(100, 100 * DOLLAR), BEFORE, LATE, late, late, PAID, PAID)
    assert list(journal.half.fills.values()) == [late]
    assert list(journal.half.settlements) == ["M-2"]
    assert journal.half.positions == {"M-1": -6 * CONTRACT}


def test_what_was_paid_in_or_out_is_stated_apart() -> None:
    """Before, in and after the period; the exchange's half takes over what the journal has."""
    paid = [CashCorrected(at_ms, 0, change * DOLLAR, "paid") for at_ms, change in ((500, 1), (1_500, 20), (2_500, -3))]
    journal = folded(opened(100, 100 * DOLLAR), *paid)
    assert (journal.half.opening, journal.half.changes, journal.changes_after) == (
        101 * DOLLAR,
        20 * DOLLAR,
        -3 * DOLLAR,
    )
    lists = AccountLists(118 * DOLLAR, {}, (), ())
    half = exchange_half(lists, PERIOD, journal.half.changes, journal.changes_after)
    assert list(differences(journal.half, half)) == []
    less = exchange_half(evolve(lists, cash=lists.cash - CENT), PERIOD, 20 * DOLLAR, -3 * DOLLAR)
    assert list(differences(journal.half, less)) == [
        "opening balance: we count $101.00, the exchange's lists lead to $100.99",
        "closing balance: we count $121.00, the exchange's lists lead to $120.99",
    ]
    under = exchange_half(evolve(lists, cash=lists.cash - CENT + 1), PERIOD, 20 * DOLLAR, -3 * DOLLAR)
    assert list(differences(journal.half, under)) == []


def test_what_only_one_half_has_and_what_it_says_otherwise_are_named() -> None:
    ours = folded(opened(100, 100 * DOLLAR), BEFORE, CLOSES_AND_TURNS, PAID).half
    dearer = evolve(CLOSES_AND_TURNS, fee=200)
    lists = AccountLists(ours.closing - 100, {"M-1": -600, "M-2": 800}, (dearer, OTHER), ())
    assert list(differences(ours, exchange_half(lists, PERIOD, 0, 0))) == [
        "opening balance: we count $97.9999, the exchange's lists lead to $108.00",
        "fill t-M-1-1200: fee is 0.000100 in the journal and 0.000200 in the exchange's list",
        "fill t-M-2-1300 of 8 in M-2: not in the journal",
        "settlement of M-2 of 8 in M-2: not in the exchange's list",
        "position in M-2: we count 0, the exchange's lists lead to 8",
    ]


def test_rebates_are_known_by_their_rule() -> None:
    """An order's rounding fees add up; past a cent, a cent is paid back by a fill whose fee can carry it."""
    small = [fill(1_000 + number, BID, 5_001, 1, fee=299) for number in range(103)]
    large = fill(1_200, BID, 5_001, 100 * CONTRACT, fee=1_740_000)
    assert folded(opened(100, 500 * DOLLAR), *small).rebates == 0
    assert folded(opened(100, 500 * DOLLAR), *small[:101], large).rebates == 0
    assert folded(opened(100, 500 * DOLLAR), *small, large).rebates == CENT


def test_a_payout_that_was_restated_belongs_to_the_day_of_its_settlement() -> None:
    """Corrected a day later; both halves have the exchange's figure on the day for which it lists it."""
    again = evolve(PAID, result="no", value=0, revenue=0)
    told = SettlementRestated(2_500, again)
    day = opened(100, 100 * DOLLAR), OTHER, PAID, told
    for period, settled in ((PERIOD, 0), (Period(2_000, 3_000), 0)):
        journal = folded(*day, period=period)
        lists = AccountLists(journal.ledger.settled_total, {}, (OTHER,), (again,))
        theirs = exchange_half(lists, period, journal.half.changes, journal.changes_after)
        assert list(differences(journal.half, theirs)) == []
        assert (journal.half.settled, journal.half.changes) == (settled, 0)
        assert journal.half.closing == 98 * DOLLAR - 100
    assert folded(*day).realised == -2 * DOLLAR
