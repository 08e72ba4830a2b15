"""The gate: each control lets pass at its limit and refuses beyond it, with its figures."""

from __future__ import annotations

import pytest
from account_facts import (
    ASK,
    BID,
    GTC,
    IOC,
    MAKER_FEES,
    NOON,
    M,
    acked,
    book,
    intended,
    key,
    ledger_of,
    levels,
    market,
    order_spec,
    proposal,
    reduction_spec,
    sent,
)
from attrs import evolve
from gate_questions import KILL, LONG, SHORT, ask, code, situation

from kalshi_daemon import facts
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.risk import (
    BookEvidence,
    Levels,
    Passed,
    Refusal,
    RiskLimits,
    evaluate,
    may_send,
    worst_cost,
)
from kalshi_daemon.facts import HoldKind, OrderSpec, RestrictionKind, RestrictionPlaced
from kalshi_daemon.units import CONTRACT, DOLLAR, TimeInForce

TAKES = order_spec(time_in_force=IOC, post_only=False, expires_s=None)


def test_an_increase_that_rests_passes_with_an_expiry_and_its_worst_cost() -> None:
    """Ten YES at 40 cents: $4, and no fee for a maker of this series; it expires in fifteen minutes (P22)."""
    expected = order_spec(expires_s=NOON // 1_000 + 900)
    assert ask(order_spec(expires_s=None)) == Passed(expected, 4 * DOLLAR)
    assert code(ask(order_spec(), where=market(fees=MAKER_FEES))) == ""


def test_an_increase_that_takes_reserves_the_worst_fee() -> None:
    """Ten YES at 40 cents in pieces of 0.01: 1,000 fees of $0.0002."""
    assert ask(TAKES) == Passed(TAKES, 4_200_000)
    no = evolve(TAKES, side=ASK)
    assert ask(no) == Passed(no, 6_200_000)


def test_the_worst_cost_takes_the_dearest_price_within_the_limit() -> None:
    """A bid at 90 may fill at 50, where the fee is greatest."""
    spec = evolve(TAKES, price=9_000)
    assert worst_cost(spec, market().fees or MAKER_FEES, 100) == 9 * DOLLAR + 200_000
    assert worst_cost(evolve(spec, side=ASK), market().fees or MAKER_FEES, 100) == DOLLAR + 100_000


def test_a_reduction_passes_and_reserves_nothing() -> None:
    """All that is held, in one immediate order."""
    assert ask(reduction_spec(), ledger_of(*LONG)) == Passed(reduction_spec(), 0)
    buys = reduction_spec(BID, price=42)
    assert ask(buys, ledger_of(*SHORT)) == Passed(buys, 0)


@pytest.mark.parametrize(
    "spec",
    [
        reduction_spec(time_in_force=GTC),
        reduction_spec(post_only=True),
        order_spec(post_only=False),
        order_spec(time_in_force=IOC),
        order_spec(time_in_force=TimeInForce.FILL_OR_KILL, post_only=False),
    ],
    ids=["resting reduction", "post-only reduction", "resting taker", "immediate post-only", "fill or kill"],
)
def test_other_shapes_are_refused(spec: OrderSpec) -> None:
    """A reduction takes; an increase rests post-only with an expiry, or takes at once."""
    assert code(ask(spec, ledger_of(*LONG))) == "shape"


# ----------------------------------------------------------------------------------------------------------- P1 to P3


@pytest.mark.parametrize(
    ("trader", "increase", "reduction"),
    [
        ("trading.normal", "", ""),
        ("trading.reducing", "P1", ""),
        ("paused.holding", "P1", ""),
        ("paused.sweeping", "P1", "P1"),
        ("paused.unswept", "P1", "P1"),
        ("recovering.backing_off", "P1", "P1"),
        ("calibrating", "P1", "P1"),
        ("stopping.draining", "P1", "P1"),
    ],
)
def test_p1_the_trader_s_state_opens_the_gates(trader: str, increase: str, reduction: str) -> None:
    """Increases in trading.normal only, reductions in trading and paused.holding."""
    ledger = ledger_of(*LONG, cash=5_000)
    assert code(ask(order_spec(), ledger, at=levels(trader))) == increase
    assert code(ask(reduction_spec(), ledger, at=levels(trader))) == reduction


@pytest.mark.parametrize(
    ("fact", "increase", "reduction"),
    [
        (hold(HoldKind.OPERATOR, "lunch", NOON), "P1", ""),
        (hold(HoldKind.DIVERGENCE, "odd", NOON, subject=M), "P1", ""),
        (hold(HoldKind.DIVERGENCE, "odd", NOON, subject="OTHER"), "", ""),
        (KILL, "P1", "P1"),
        (RestrictionPlaced(NOON, RestrictionKind.CASH_RESERVE, "low"), "P1", ""),
        (facts.AccountDoubted(NOON, "session lost"), "P1", "P1"),
    ],
    ids=["hold", "hold on the market", "hold on another", "kill", "restriction", "doubt"],
)
def test_p1_levels_of_the_ledger_close_the_gates(fact: facts.AccountFact, increase: str, reduction: str) -> None:
    """Holds and restrictions stop increases; only kill and doubt stop a verified reduction."""
    ledger = ledger_of(*LONG, fact, cash=5_000)
    assert code(ask(order_spec(), ledger)) == increase
    assert code(ask(reduction_spec(), ledger)) == reduction


@pytest.mark.parametrize(
    ("evidence", "at", "increase", "reduction"),
    [
        (book(usable=False), levels(), "P1", "P1"),
        (book(), levels(feeds_usable=False), "P1", ""),
        (evolve(book(), polled=True), levels(), "P1", ""),
        (book(), levels(breaker_allows=False), "P1", "P1"),
    ],
    ids=["book", "feeds", "polled", "breaker"],
)
def test_p1_levels_outside_the_ledger_close_the_gates(
    evidence: BookEvidence, at: Levels, increase: str, reduction: str
) -> None:
    """A reduction needs its own book and the breaker, not every feed."""
    ledger = ledger_of(*LONG, cash=5_000)
    assert code(ask(order_spec(), ledger, evidence=evidence, at=at)) == increase
    assert code(ask(reduction_spec(), ledger, evidence=evidence, at=at)) == reduction


def test_p1_a_kill_lets_the_operator_flatten() -> None:
    """Only reductions whose purpose is the operator's own."""
    ledger = ledger_of(*LONG, KILL)
    flatten = proposal(reduction_spec(), purpose="flatten")
    assert code(ask(flatten, ledger, at=levels("paused.holding"))) == ""
    assert code(ask(proposal(order_spec(), purpose="flatten"), ledger)) == "P1"


def test_a_refusal_says_what_it_found_and_what_it_wants() -> None:
    """For people: the control, the figure and the limit."""
    held = ledger_of(hold(HoldKind.OPERATOR, "lunch", NOON))
    assert ask(order_spec(), held) == Refusal("P1", "no hold", "operator: lunch", "none")
    late = market(close_ms=NOON + 299_999)
    assert ask(order_spec(), where=late) == Refusal("P2", "the market closes later", "299 s", "300 s")


@pytest.mark.parametrize(
    ("where", "increase", "reduction"),
    [
        (market(status="inactive"), "P2", "P2"),
        (market(status="closed"), "P2", "P2"),
        (market(unproven=True), "P2", "P2"),
        (market(close_ms=NOON), "P2", "P2"),
        (market(close_ms=NOON + 300_000), "P2", ""),
        (market(close_ms=NOON + 300_001), "", ""),
    ],
    ids=["inactive", "closed", "unproven", "over by the clock", "closing soon", "in time"],
)
def test_p2_the_market_takes_orders(where: Market, increase: str, reduction: str) -> None:
    """Active for both; five minutes before closing only reductions."""
    ledger = ledger_of(*LONG, cash=5_000)
    assert code(ask(order_spec(), ledger, where=where)) == increase
    assert code(ask(reduction_spec(), ledger, where=where)) == reduction


def test_p2_a_market_that_is_not_known_is_refused() -> None:
    """Both when the order is decided and when it is written."""
    ledger = ledger_of(intended())
    answer = evaluate(proposal(order_spec()), situation(ledger, None))
    assert answer == Refusal("P2", "the market is known", M, "a market of the universe")
    assert code(may_send(ledger.orders[key(1)], situation(ledger, None))) == "P2"


def test_p3_an_unknown_order_blocks_its_market() -> None:
    """For increases and reductions there, and nowhere else."""
    ledger = ledger_of(*LONG, intended(1), sent(1), facts.OrderLost(NOON, key(1), "timeout"), cash=5_000)
    assert ask(order_spec(), ledger) == Refusal("P3", "no unknown write on the market", "1", "0")
    assert code(ask(reduction_spec(), ledger)) == "P3"
    assert code(ask(order_spec(market="OTHER"), ledger)) == ""


# ------------------------------------------------------------------------------------------------------- P4, P12 and on


def test_p4_contracts_per_order_bind_reductions_too() -> None:
    """Twenty-five pass, a hundredth more does not."""
    twenty_five = evolve(TAKES, count=2_500)
    assert code(ask(twenty_five)) == ""
    refused = ask(evolve(TAKES, count=2_501))
    assert refused == Refusal("P4", "contracts per order", "25.01", "25")
    assert code(ask(reduction_spec(count=26), ledger_of(*LONG))) == "P4"


@pytest.mark.parametrize("spec", [evolve(TAKES, count=0), evolve(TAKES, count=-1), evolve(TAKES, price=4_050)])
def test_p12_counts_are_positive_and_prices_on_the_grid(spec: OrderSpec) -> None:
    """Half a cent on a grid of whole cents is refused before it is asked of the exchange."""
    assert code(ask(spec)) == "P12"


@pytest.mark.parametrize("price", [0, 10_000, -100])
def test_p12_a_price_lies_between_nothing_and_a_dollar(price: int) -> None:
    """The ends of the grid are no prices."""
    assert code(ask(evolve(TAKES, price=price))) == "P12"


def test_p5_the_cost_of_an_order_includes_the_worst_fee() -> None:
    """One percent of the bankroll is the limit here: $4.20 passes at $4.20 and not at a cent less."""
    assert code(ask(TAKES, bankroll=420 * DOLLAR)) == ""
    refused = ask(TAKES, bankroll=419 * DOLLAR)
    assert refused == Refusal("P5", "cost per order, worst fee included", "$4.20", "$4.19")
    assert code(ask(reduction_spec(), ledger_of(*LONG), bankroll=0)) == ""


def test_p5_the_limit_in_dollars_binds_large_accounts() -> None:
    """However large the bankroll is, an order costs $50 at most."""
    limits = RiskLimits(order_count_max=1_000 * CONTRACT)
    spec = order_spec(price=50, count=100)
    assert code(ask(spec, limits=limits, bankroll=10_000 * DOLLAR)) == ""
    assert code(ask(order_spec(price=50, count=101), limits=limits, bankroll=10_000 * DOLLAR)) == "P5"


def test_missing_fees_refuse_an_increase_and_no_reduction() -> None:
    """Missing data is never a default."""
    where = market(fees=None)
    assert ask(order_spec(), where=where) == Refusal("P5", "the fees are known", "KXRAIN", "fees that were read")
    assert code(ask(reduction_spec(), ledger_of(*LONG), where=where)) == ""


def test_p6_open_orders_per_market_and_account() -> None:
    """The fourth on a market passes, the fifth does not; the account's limit counts all; reductions are free."""
    three = [fact for number in (1, 2, 3) for fact in (intended(number), sent(number), acked(number))]
    ledger = ledger_of(*LONG, *three, cash=5_000)
    assert code(ask(order_spec(), ledger)) == ""
    ledger.apply(intended(4))
    assert ask(order_spec(), ledger) == Refusal("P6", "open orders on the market", "5", "4")
    assert code(ask(reduction_spec(), ledger)) == ""
    elsewhere = order_spec(market="OTHER")
    assert code(ask(elsewhere, ledger, limits=RiskLimits(open_orders_account_max=5))) == ""
    refused = ask(elsewhere, ledger, limits=RiskLimits(open_orders_account_max=4))
    assert refused == Refusal("P6", "open orders of the account", "5", "4")


def test_p10_the_reserve_is_left_after_the_worst_case() -> None:
    """With a bankroll of $500 a fifth stays: $104.20 of cash allow an order of $4.20, a cent less does not."""
    for cents, expected in ((0, ""), (-1, "P10")):
        ledger = ledger_of(facts.CashCorrected(NOON, 0, 4_200_000 + cents * 10_000, "test"), cash=100)
        assert code(ask(TAKES, ledger, bankroll=500 * DOLLAR)) == expected
    poor = ledger_of(*LONG, cash=0)
    assert code(ask(reduction_spec(), poor, bankroll=500 * DOLLAR)) == ""


def test_p10_reservations_are_spent_once() -> None:
    """What another order has reserved is not available to this one."""
    ledger = ledger_of(intended(1, reserve=2 * DOLLAR), cash=106)
    assert code(ask(order_spec(), ledger, bankroll=500 * DOLLAR)) == ""
    ledger.apply(intended(2, reserve=1))
    assert code(ask(order_spec(), ledger, bankroll=500 * DOLLAR)) == "P10"
