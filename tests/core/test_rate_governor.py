"""The governor: whose bucket pays for what, by the account's own figures, with a share kept for what must not wait."""

from __future__ import annotations

import pytest

from kalshi_daemon.core.rate_governor import Budget, RateGovernor
from kalshi_daemon.wire.rest import AccountLimits, Bucket, EndpointCost, EndpointCosts

ORDERS = "/portfolio/events/orders"
CANCEL = ORDERS + "/o-1"
BALANCE = "/portfolio/balance"


@pytest.mark.parametrize(
    ("method", "path", "cost", "budget"),
    [
        ("POST", ORDERS, 10, Budget.WRITE),
        ("DELETE", CANCEL, 2, Budget.WRITE),
        ("DELETE", ORDERS, 2, Budget.WRITE),
        ("GET", "/portfolio/orders", 10, Budget.READ),
        ("GET", "/portfolio/orders/o-1", 2, Budget.READ),
        ("GET", BALANCE, 1, Budget.BALANCE),
    ],
)
def test_the_documented_costs_hold_until_the_accounts_own_were_read(method, path, cost, budget):
    governor = RateGovernor()
    assert governor.cost(method, path) == cost
    assert governor.budget(method, path) is budget


def test_the_exchanges_own_costs_replace_them():
    """Their paths carry the API's prefix and variables; a path without a variable goes before one that has it."""
    governor = RateGovernor()
    rows = (
        EndpointCost("GET", "/trade-api/v2/portfolio/orders/:order_id", 3),
        EndpointCost("GET", "/trade-api/v2/portfolio/orders/queue_positions", 7),
        EndpointCost("POST", "/trade-api/v2/portfolio/events/orders", 20),
    )
    governor.take_costs(EndpointCosts(5, rows))
    assert governor.cost("GET", "/portfolio/orders/o-1") == 3
    assert governor.cost("GET", "/portfolio/orders/queue_positions") == 7
    assert governor.cost("POST", ORDERS) == 20
    assert governor.cost("DELETE", CANCEL) == 5


def test_a_cost_over_the_bucket_is_all_of_it():
    """Asking for more than ever fits would wait for ever."""
    governor = RateGovernor()
    governor.take_costs(EndpointCosts(1_000, ()))
    assert governor.cost("GET", "/markets") == 200
    assert governor.pays("GET", "/markets", 0.0) == 0.0


def test_a_request_that_the_exchange_calls_free_is_paced_all_the_same():
    """Its list of costs may say 0: that divides nothing, and is one token."""
    governor = RateGovernor()
    governor.take_costs(EndpointCosts(0, ()))
    assert governor.cost("GET", "/markets/orderbooks") == 1
    assert governor.pays_batch("DELETE", CANCEL, 3, 0.0) == (3, 0.0)
    assert governor.bucket(Budget.WRITE).taken == 3


def test_increases_have_half_of_what_is_refilled():
    """Of 100 tokens five increases take 50; the next waits for the share's own refill, and reductions do not."""
    governor = RateGovernor()
    taken = [governor.pays("POST", ORDERS, 0.0, increases=True) for _ in range(6)]
    assert taken == [*[0.0] * 5, pytest.approx(0.2)]
    assert [governor.pays("POST", ORDERS, 0.0) for _ in range(5)] == [0.0] * 5
    governor.take_limits(AccountLimits("premier", Bucket(1_000, 1_000), Bucket(1_000, 2_000)), 10.0)
    taken = [governor.pays("POST", ORDERS, 20.0, increases=True) for _ in range(101)]
    assert taken == [*[0.0] * 100, pytest.approx(0.02)]


def test_an_increase_leaves_a_quarter_for_cancels_and_reductions():
    """Of 30 tokens an increase takes none, since five would be missing; a reduction and ten cancels do not wait."""
    governor = RateGovernor()
    assert [governor.pays("POST", ORDERS, 0.0) for _ in range(7)] == [0.0] * 7
    assert governor.pays("POST", ORDERS, 0.0, increases=True) == pytest.approx(0.05)
    assert governor.pays("POST", ORDERS, 0.0) == 0.0
    assert [governor.pays("DELETE", CANCEL, 0.0) for _ in range(10)] == [0.0] * 10
    assert governor.pays("DELETE", CANCEL, 0.0) == pytest.approx(0.02)


def test_the_balance_is_paid_from_a_bucket_of_its_own():
    """One call a second for the small tiers, five for the others, each a tenth slower; no burst at either."""
    governor = RateGovernor()
    assert governor.pays("GET", BALANCE, 0.0) == 0.0
    assert governor.pays("GET", BALANCE, 0.0) == pytest.approx(1.1)
    assert governor.pays("GET", "/markets", 0.0) == 0.0
    governor.take_limits(AccountLimits("premier", Bucket(1_000, 1_000), Bucket(1_000, 2_000)), 0.0)
    assert governor.pays("GET", BALANCE, 1.1) == 0.0
    assert governor.pays("GET", BALANCE, 1.1) == pytest.approx(0.22)


def test_an_upgrade_is_taken_over_and_a_429_is_of_its_own_bucket():
    """The tier's buckets replace the least; a 429 for a read leaves the writes as they are."""
    governor = RateGovernor()
    governor.take_limits(AccountLimits("advanced", Bucket(300, 900), Bucket(300, 600)), 0.0)
    assert governor.tier == "advanced"
    assert governor.pays("GET", "/markets", 1.0) == 0.0
    governor.refused("GET", "/markets", 1.0)
    shown = {each.budget: (each.tokens, each.capacity, each.pace, each.refusals) for each in governor.statuses(1.0)}
    assert shown == {"read": (0, 900, 0.5, 1), "write": (600, 600, 1.0, 0), "balance": (1, 1, 1.0, 0)}


def test_a_batch_is_paid_for_as_many_as_there_are_tokens_for():
    """At two tokens each: fifty of a hundred tokens a second; then what is there, and of too little none."""
    governor = RateGovernor()
    assert governor.pays_batch("DELETE", CANCEL, 80, 0.0) == (50, 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 80, 0.0) == (0, 0.1)
    assert governor.pays_batch("DELETE", CANCEL, 2, 0.0) == (0, 0.04)  # no more than these two need
    assert governor.pays_batch("DELETE", CANCEL, 80, 0.4) == (20, 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 3, 1.4) == (3, 0.0)
    assert int(governor.bucket(Budget.WRITE).tokens(1.45)) == 98


def test_a_batch_within_a_second_of_a_bucket_that_holds_two():
    """The bucket has 2,000, a second refills 1,000: 500 cancels go together, and as many again at once."""
    governor = RateGovernor()
    governor.take_limits(AccountLimits("premier", Bucket(1_000, 1_000), Bucket(1_000, 2_000)), 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 10_000, 10.0) == (500, 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 10_000, 10.0) == (500, 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 10_000, 10.0) == (0, 0.1)


def test_a_batch_is_one_where_one_takes_the_whole_bucket():
    """A bucket smaller than the cost of two: one at a time, and it does not wait for ever."""
    governor = RateGovernor()
    governor.take_limits(AccountLimits("basic", Bucket(10, 10), Bucket(1, 1)), 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 5, 100.0) == (1, 0.0)
    assert governor.pays_batch("DELETE", CANCEL, 5, 100.0) == (0, 1.0)
