"""Run ids: alphabet, length, order."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.shell.ids import new_run_id

NOW_MS = 1_763_800_000_000


def test_an_id_is_twelve_characters_of_the_exchange_s_alphabet_and_known() -> None:
    """The same seed and second give the same id, so that a simulation can be run again."""
    run_id = new_run_id(random.Random(7), NOW_MS)
    assert re.fullmatch(r"[a-z0-9]{12}", run_id)
    assert run_id == new_run_id(random.Random(7), NOW_MS + 999)
    assert int(run_id[:7], 36) == NOW_MS // 1_000


def test_two_starts_in_one_second_differ() -> None:
    rng = random.Random(7)
    assert len({new_run_id(rng, NOW_MS) for _ in range(100)}) == 100


@given(st.integers(min_value=0, max_value=10**13), st.integers(min_value=1_000, max_value=10**9))
def test_a_later_run_sorts_later(now_ms: int, later_ms: int) -> None:
    rng = random.Random(1)
    assert new_run_id(rng, now_ms) < new_run_id(rng, now_ms + later_ms)


def test_a_time_that_does_not_fit_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="does not fit"):
        new_run_id(random.Random(1), 36**7 * 1_000)
