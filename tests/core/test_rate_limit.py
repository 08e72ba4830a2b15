"""The token bucket: what it grants, how long it asks to wait, and that it never grants more than the exchange would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon.core.rate_limit import TokenBucket
from kalshi_daemon.limits import PACE_LEAST, PACE_RECOVERY_S


def test_a_full_bucket_grants_its_capacity_at_once() -> None:
    """Basic tier: a hundred tokens are ten orders, the eleventh waits for its ten tokens."""
    bucket = TokenBucket(capacity=100, refill_per_s=100, now=50.0)
    assert [bucket.take(10, 50.0) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.wait_s(10, 50.0) == pytest.approx(0.1)
    assert bucket.wait_s(2, 50.0) == pytest.approx(0.02)
    assert bucket.taken == 100


def test_waiting_for_as_long_as_it_says_is_enough() -> None:
    """No second wait of a rounding error's length follows on the first."""
    bucket = TokenBucket(capacity=100, refill_per_s=30, now=0.0)
    assert bucket.take(100, 0.0)
    now = 0.0
    for _ in range(1_000):
        now += bucket.wait_s(7, now)
        assert bucket.take(7, now)


@pytest.mark.parametrize("now", [67_301.223_875_435_42, 10_000_000.3, 3e9])
@pytest.mark.parametrize("refill_per_s", [30, 200, 3_999])
def test_a_wait_is_never_too_short_for_a_clock_that_has_run_for_long(now: float, refill_per_s: int) -> None:
    """Added to the seconds of a day it would be lost in rounding: who waits on a clock that stands meanwhile, as the
    virtual one does, would ask for ever.
    """
    bucket = TokenBucket(capacity=100, refill_per_s=refill_per_s, now=now)
    assert bucket.take(100, now)
    for _ in range(1_000):
        waits = 0
        while not bucket.take(7, now):
            now += bucket.wait_s(7, now)
            waits += 1
        assert waits <= 2


def test_a_refused_take_takes_nothing() -> None:
    bucket = TokenBucket(capacity=10, refill_per_s=1, now=0.0)
    assert bucket.take(6, 0.0)
    assert not bucket.take(6, 0.0)
    assert bucket.take(4, 0.0)


def test_tokens_never_exceed_the_capacity_and_time_never_gives_any_back() -> None:
    bucket = TokenBucket(capacity=10, refill_per_s=5, now=100.0)
    assert bucket.take(10, 100.0)
    assert bucket.tokens(90.0) == 0.0
    assert bucket.tokens(101.0) == 5.0
    assert bucket.tokens(10_000.0) == 10.0


def test_a_429_empties_the_bucket_and_halves_the_pace_which_comes_back() -> None:
    """The exchange's count is the one that counts; a storm lowers the pace to its bound, and quiet restores it."""
    bucket = TokenBucket(capacity=100, refill_per_s=50, now=0.0)
    bucket.refused(0.0)
    assert (bucket.refusals, bucket.pace) == (1, 0.5)
    assert bucket.wait_s(10, 0.0) == pytest.approx(0.4)
    for second in range(1, 21):
        bucket.refused(float(second))
    assert PACE_LEAST <= bucket.pace <= 2 * PACE_LEAST
    assert bucket.tokens(20.0 + PACE_RECOVERY_S) == 100.0
    assert bucket.pace == 1.0


def test_several_429_at_once_lower_the_pace_once() -> None:
    """Eight requests were under way when the first was answered 429: they were all sent at one pace."""
    bucket = TokenBucket(capacity=100, refill_per_s=50, now=0.0)
    for tenth in range(8):
        bucket.refused(tenth / 10)
    assert bucket.refusals == 8
    assert bucket.pace == pytest.approx(0.5, abs=0.02)


def test_the_share_spent_is_of_the_last_minute() -> None:
    """100 of the 6,000 tokens of a minute; a minute later none."""
    bucket = TokenBucket(capacity=100, refill_per_s=100, now=0.0)
    assert bucket.take(40, 0.2)
    assert bucket.take(20, 0.9)
    assert bucket.take(40, 1.5)
    assert bucket.spent_share(2.0) == pytest.approx(100 / 6_000)
    assert bucket.spent_share(60.5) == pytest.approx(40 / 6_000)
    assert bucket.spent_share(62.0) == 0.0


def test_resizing_keeps_what_was_spent() -> None:
    """Learning of a larger bucket does not give spent tokens back; a smaller one may be empty."""
    bucket = TokenBucket(capacity=100, refill_per_s=100, now=0.0)
    assert bucket.take(60, 0.0)
    bucket.resize(200, 100, 0.0)
    assert bucket.tokens(0.0) == 140.0
    bucket.resize(50, 10, 0.0)
    assert bucket.tokens(0.0) == 0.0


def test_a_request_that_never_fits_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="never fits"):
        TokenBucket(capacity=10, refill_per_s=1, now=0.0).wait_s(11, 0.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 10]), st.floats(min_value=0, max_value=0.5)), max_size=80))
def test_no_window_grants_more_than_capacity_and_refill(requests: list[tuple[int, float]]) -> None:
    """Over any stretch of requests, what was granted fits in one full bucket and the refill of that stretch."""
    bucket = TokenBucket(capacity=30, refill_per_s=20, now=0.0)
    now = 0.0
    granted: list[tuple[float, int]] = []
    for cost, pause in requests:
        now += pause
        if bucket.take(cost, now):
            granted.append((now, cost))
    for first in range(len(granted)):
        spent = 0
        for at, cost in granted[first:]:
            spent += cost
            assert spent <= 30 + 20 * (at - granted[first][0]) + 1e-6
