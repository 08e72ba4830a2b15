"""Differences while fills flow: lag explains some for ever, and drift is what it never does."""

from __future__ import annotations

import random

import pytest

from kalshi_daemon.core.steady_gaps import SteadyGaps
from kalshi_daemon.limits import GAP_LOOKS_MAX

POSITION = ("position", "KXTEST-1-A")
SEEDS = range(40)


def looks(seed: int, drift: int, drift_from: int) -> list[bool]:
    """A position that moves every few seconds, looked at by reads that lag by up to a second; each look's verdict."""
    rng = random.Random(seed)
    gaps, verdicts = SteadyGaps(), []
    history = [(0, 0)]
    now_ms = 0
    one_way = rng.random() < 0.5
    for look in range(40):
        until_ms = now_ms + 30_000
        while now_ms < until_ms:
            now_ms += rng.randrange(500, 6_000)
            value = history[-1][1] + (1 if one_way else rng.choice((-300, -100, 100, 200)))
            history.append((now_ms, value))
            gaps.note(POSITION, now_ms, value)
        as_of_ms = now_ms + rng.randrange(0, 300)
        shown_ms = as_of_ms - rng.randrange(0, 1_000)
        shown = next(value for ts_ms, value in reversed(history) if ts_ms <= shown_ms)
        shown += drift if look >= drift_from else 0
        ours = history[-1][1]
        if shown == ours:
            gaps.forget(POSITION)
            verdicts.append(False)
        else:
            verdicts.append(gaps.lasts(POSITION, ours, shown, as_of_ms - 1_000))
        now_ms = as_of_ms
    return verdicts


@pytest.mark.parametrize("seed", SEEDS)
def test_lag_is_never_drift(seed: int) -> None:
    """However the fills come and however late each read is, an account that agrees differs by nothing that lasts."""
    assert not any(looks(seed, 0, 0))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("drift", [-50, 7, 1_050])
def test_drift_is_found_though_the_account_never_rests(seed: int, drift: int) -> None:
    """Within a few looks of its beginning, and in each one from then on; never before it began."""
    verdicts = looks(seed, drift, 20)
    assert not any(verdicts[:20])
    assert all(verdicts[20 + GAP_LOOKS_MAX + 1 :])


def test_a_look_that_lag_explains_speaks_against_drift() -> None:
    """Two odd looks, then one that is explained: the count goes back, and what is remembered is bounded."""
    gaps = SteadyGaps()
    for at_ms in range(1_000):
        gaps.note(POSITION, at_ms, at_ms)
    for _ in range(GAP_LOOKS_MAX - 1):
        assert not gaps.lasts(POSITION, 999, 2_000, 999)
    assert not gaps.lasts(POSITION, 2_000, 2_000, 1_001)
    assert not gaps.lasts(POSITION, 999, 2_000, 999)
