"""Back-off: full jitter under a cap that doubles, from twice the least to the most."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.backoff import Backoff


class Highest(random.Random):
    """Draws the highest value each time, so that the caps show."""

    def uniform(self, a: float, b: float) -> float:
        self.lows = [*getattr(self, "lows", []), a]
        return b


def test_the_cap_doubles_up_to_the_most() -> None:
    """0.25 to 30 s: 0.5, 1, 2, ... 16, 30, 30; the low end stays at the least."""
    rng = Highest()
    backoff = Backoff(0.25, 30.0, rng)
    assert [backoff.next() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert set(rng.lows) == {0.25}


def test_a_reset_makes_the_next_wait_short_again() -> None:
    """What has worked for long enough begins anew."""
    backoff = Backoff(1.0, 60.0, Highest())
    waits = [backoff.next() for _ in range(4)]
    backoff.reset()
    assert waits == [2, 4, 8, 16]
    assert backoff.next() == 2


@given(st.integers(), st.floats(0.01, 10), st.floats(1, 1000), st.integers(0, 40))
def test_a_wait_is_between_the_least_and_the_most(seed: int, least_s: float, factor: float, draws: int) -> None:
    """Whatever the limits and however often it is asked."""
    backoff = Backoff(least_s, least_s * factor, random.Random(seed))
    for _ in range(draws):
        assert least_s <= backoff.next() <= least_s * factor


def test_two_clients_do_not_come_back_at_once() -> None:
    """Different seeds wait for different times, the same seed for the same."""
    first, again, other = (Backoff(1, 60, random.Random(seed)) for seed in (1, 1, 2))
    waits = [first.next() for _ in range(5)]
    assert waits == [again.next() for _ in range(5)]
    assert waits != [other.next() for _ in range(5)]


@pytest.mark.parametrize(("least_s", "most_s"), [(0, 1), (2, 1)])
def test_limits_that_are_none_are_our_mistake(least_s: float, most_s: float) -> None:
    """A wait of nothing would be a busy loop."""
    with pytest.raises(AssertionError, match="no back-off"):
        Backoff(least_s, most_s, random.Random(0))
