"""A breaker for each market: refusals in a row, what counts, and what only a person resets."""

from __future__ import annotations

import pytest

from kalshi_daemon.core.market_breakers import MarketBreakers
from kalshi_daemon.limits import MARKET_PROBE_WAIT_S, MARKET_REFUSALS_MAX
from kalshi_daemon.wire.error_codes import meaning_of_code

A, B = "KXA-1", "KXB-1"
PRICE = meaning_of_code(400, "invalid_price")


def test_refusals_in_a_row_shut_their_own_market():
    """The fifth within a minute opens it; another market is not concerned; after its wait one probe passes."""
    breakers = MarketBreakers()
    for second in range(MARKET_REFUSALS_MAX):
        assert breakers.ready(A, float(second))
        breakers.refused(A, PRICE, "invalid_price", float(second))
    now_s = MARKET_REFUSALS_MAX - 1.0
    assert not breakers.ready(A, now_s)
    assert breakers.allows(B, now_s)
    assert [(each.name, each.state, each.cause) for each in breakers.shut()] == [
        ("market KXA-1", "open", "invalid_price")
    ]
    later_s = now_s + MARKET_PROBE_WAIT_S[0]
    assert breakers.allows(A, later_s)
    assert not breakers.allows(A, later_s)
    breakers.accepted(A)
    assert breakers.allows(A, later_s)
    assert breakers.shut() == []


def test_an_order_that_is_taken_ends_the_row():
    """Refusals with an order taken between them are of the business, not of the market."""
    breakers = MarketBreakers()
    for second in range(3 * MARKET_REFUSALS_MAX):
        breakers.refused(A, PRICE, "invalid_price", float(second))
        if second % (MARKET_REFUSALS_MAX - 1) == 0:
            breakers.accepted(A)
    assert breakers.ready(A, 100.0)


@pytest.mark.parametrize(
    ("status", "code"), [(429, "rate_limited"), (400, "insufficient_balance"), (409, "exchange_is_paused")]
)
def test_what_says_nothing_of_the_market_is_not_counted(status, code):
    breakers = MarketBreakers()
    for _ in range(10 * MARKET_REFUSALS_MAX):
        breakers.refused(A, meaning_of_code(status, code), code, 0.0)
    assert breakers.ready(A, 0.0)


def test_lost_answers_are_counted_with_refusals():
    """An order whose answer does not come is a failure of its market too, in the same row."""
    breakers = MarketBreakers()
    for second in range(MARKET_REFUSALS_MAX):
        if second % 2:
            breakers.lost(A, "timeout", float(second))
        else:
            breakers.refused(A, PRICE, "invalid_price", float(second))
    assert not breakers.ready(A, MARKET_REFUSALS_MAX - 1.0)
    assert breakers.ready(B, MARKET_REFUSALS_MAX - 1.0)


def test_what_cannot_be_observed_may_still_be_closed():
    """Its breaker keeps the policy away and no order; observed once, it is forgotten; a person lets it be tried."""
    breakers = MarketBreakers()
    for second in range(MARKET_REFUSALS_MAX):
        assert breakers.observable(A, float(second))
        breakers.unobserved(A, "no number", float(second))
    now_s = MARKET_REFUSALS_MAX - 1.0
    assert (breakers.observable(A, now_s), breakers.ready(A, now_s), breakers.doubts) == (False, True, True)
    assert [each.name for each in breakers.shut()] == ["observation of KXA-1"]
    breakers.reset(now_s)
    assert breakers.observable(A, now_s)
    breakers.observed(A)
    assert (breakers.shut(), breakers.doubts) == ([], False)


def test_refused_access_latches_one_market_until_a_person_resets_it():
    """A region that has ended is of some markets only; no time heals it."""
    breakers = MarketBreakers()
    breakers.refused(A, meaning_of_code(403, "region"), "region", 0.0)
    assert not breakers.ready(A, 1e9)
    assert breakers.ready(B, 0.0)
    assert [each.state for each in breakers.shut()] == ["latched"]
    breakers.reset(1.0)
    assert breakers.allows(A, 1.0)
    assert not breakers.allows(A, 1.0)
