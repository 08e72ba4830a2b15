"""P16: so many increases in a second and in a minute, by the times that are folded with the intents."""

from __future__ import annotations

import random

import pytest
from account_facts import NOON, intended, ledger_of, reduction_spec
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.core.order_rate import over_rate
from kalshi_daemon.core.risk import RiskLimits

LIMITS = RiskLimits()


def meant_at(*times_ms, spec=None):
    """A ledger in which orders were meant at these times."""
    return ledger_of(*(evolve(intended(number, spec), at_ms=at) for number, at in enumerate(times_ms, 1)))


@pytest.mark.parametrize(("since_ms", "passes"), [(0, False), (999, False), (1_000, True), (-1, True)])
def test_the_sixth_increase_within_a_second_is_refused(since_ms, passes):
    """With figure and limit; a second after the first of five it passes, and so does one after the clock went back."""
    refusal = over_rate(meant_at(*[NOON] * limits.ORDERS_PER_S_MAX), NOON + since_ms, LIMITS)
    assert (refusal is None) is passes
    if refusal is not None:
        assert (refusal.code, refusal.control) == ("P16", "increases in a second")
        assert (refusal.figure, refusal.limit) == ("6", "5")


@pytest.mark.parametrize(("since_ms", "passes"), [(59_999, False), (60_000, True)])
def test_the_sixty_first_increase_within_a_minute_is_refused(since_ms, passes):
    """The minute slides: it is counted from the first of the sixty."""
    refusal = over_rate(meant_at(*[NOON + 900 * at for at in range(60)]), NOON + since_ms, LIMITS)
    assert (refusal is None) is passes
    if refusal is not None:
        assert (refusal.control, refusal.figure, refusal.limit) == ("increases in a minute", "61", "60")


def test_reductions_are_not_counted():
    """They have the rest of the tokens, and wait for nobody's pace."""
    assert over_rate(meant_at(*[NOON] * 100, spec=reduction_spec()), NOON, LIMITS) is None


@pytest.mark.parametrize("seed", range(20))
def test_no_second_and_no_minute_has_more_than_it_may(seed):
    """Wishes at random times: what passes is what a count over all that passed before lets pass."""
    rng = random.Random(seed)
    now_ms, passed, refused = NOON, [], 0
    ledger = ledger_of()
    for _ in range(600):
        now_ms += rng.choice((0, 0, 1, 20, 300, 1_500))
        allowed = all(
            sum(now_ms - at < span_ms for at in passed) < most for most, span_ms in ((5, 1_000), (60, 60_000))
        )
        assert (over_rate(ledger, now_ms, LIMITS) is None) is allowed
        if allowed:
            passed.append(now_ms)
            ledger.apply(evolve(intended(len(passed)), at_ms=now_ms))
        refused += not allowed
    assert passed
    assert refused
