"""core/startup.py: the steps of a start as people see them."""

from __future__ import annotations

import pytest

from kalshi_daemon.core.startup import StartupStep, StartupTracker, StepState


def test_steps_pass_with_their_times() -> None:
    """A step that ran says how long it took; those after it wait."""
    tracker = StartupTracker(["configuration", "key", "journal"])
    tracker.began("configuration", 1_000)
    tracker.passed("configuration", 1_030, "12 markets")
    tracker.began("key", 1_031)
    assert tracker.steps == (
        StartupStep("configuration", StepState.PASSED, 1, 1_000, 30, "12 markets"),
        StartupStep("key", StepState.RUNNING, 1, 1_031),
        StartupStep("journal"),
    )


def test_a_step_tried_again_puts_the_later_ones_back() -> None:
    """Preflight is made anew after it was deferred: attempts are counted, nothing after it stays passed, and what went
    wrong is remembered until it goes right.
    """
    tracker = StartupTracker(["key", "exchange", "model"])
    for name in ("key", "exchange"):
        tracker.began(name, 0)
    tracker.deferred("exchange", 9, "no route to host")
    tracker.began("key", 2_000)
    assert tracker.steps == (
        StartupStep("key", StepState.RUNNING, 2, 2_000),
        StartupStep("exchange", StepState.WAITING, 1, error="no route to host"),
        StartupStep("model"),
    )
    tracker.passed("key", 2_001)
    tracker.began("exchange", 2_002)
    tracker.passed("exchange", 2_012, "reached")
    assert tracker.steps[1] == StartupStep("exchange", StepState.PASSED, 2, 2_002, 10, "reached")


def test_a_refusal_keeps_its_error_and_a_clock_set_back_is_no_negative_time() -> None:
    """What a person must mend is kept as text, and a duration is never below zero."""
    tracker = StartupTracker(["model"])
    tracker.began("model", 5_000)
    tracker.refused("model", 4_000, "the schema differs")
    assert tracker.steps == (StartupStep("model", StepState.REFUSED, 1, 5_000, 0, "", "the schema differs"),)


def test_a_step_that_never_began_cannot_end() -> None:
    """Ending what has not begun, or naming a step twice, is our mistake."""
    tracker = StartupTracker(["key"])
    with pytest.raises(AssertionError, match="has not begun"):
        tracker.passed("key", 1)
    with pytest.raises(AssertionError, match="twice"):
        StartupTracker(["key", "key"])
