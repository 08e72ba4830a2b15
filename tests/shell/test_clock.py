"""Clocks: virtual time follows trio's, and the offset is learnt from evidence that is never over-read."""

from __future__ import annotations

import time

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_daemon.limits import CLOCK_EVIDENCE_LIFE_MS, CLOCK_EVIDENCE_MAX
from kalshi_daemon.shell.clock import Clock, Offset, SystemClock, VirtualClock

NOW_MS = 1_763_800_000_000


def test_the_system_clock_tells_the_machine_s_time() -> None:
    """Between two readings of the same source, in milliseconds."""
    clock: Clock = SystemClock()
    before = time.time_ns() // 1_000_000
    assert before <= clock.now_ms() <= time.time_ns() // 1_000_000
    assert clock.offset_ms == 0


async def test_virtual_time_is_a_function_of_the_run(autojump_clock: trio.testing.MockClock) -> None:
    """Sleeping moves it exactly; a second one with another start is a machine whose clock differs."""
    ours, theirs = VirtualClock(NOW_MS), VirtualClock(NOW_MS + 2_500)
    assert ours.now_ms() == NOW_MS
    await trio.sleep(1.001)
    assert (ours.now_ms(), theirs.now_ms()) == (NOW_MS + 1_001, NOW_MS + 3_501)
    ours.learn_sending(theirs.now_ms(), ours.now_ms())
    assert (ours.offset_ms, ours.exchange_now_ms()) == (2_500, theirs.now_ms())


def test_a_clock_that_is_right_is_not_touched() -> None:
    """A Date cut off to its second, however far behind our milliseconds, is no reason to correct anything."""
    offset = Offset()
    for late_ms in (0, 1, 500, 999):
        offset.learn(NOW_MS, NOW_MS + late_ms, NOW_MS + late_ms + 20)
        assert offset.offset_ms == 0


def test_a_clock_that_is_off_is_corrected_to_the_middle_of_what_is_possible() -> None:
    """Sent at 0, received at 200 ms, answered `Date: 10 s`: the offset lies between 9.8 and 10.999 s."""
    offset = Offset()
    offset.learn(NOW_MS + 10_000, NOW_MS, NOW_MS + 200)
    assert offset.offset_ms == (9_800 + 10_999) // 2


def test_more_answers_narrow_it() -> None:
    """Each answer cuts the interval; the correction moves only when it has become impossible."""
    offset = Offset()
    true_ms = 10_400
    for sent_ms in range(0, 2_000, 90):
        server_ms = (sent_ms + 5 + true_ms) // 1_000 * 1_000
        offset.learn(NOW_MS + server_ms, NOW_MS + sent_ms, NOW_MS + sent_ms + 10)
    assert abs(offset.offset_ms - true_ms) <= 50


def test_a_frame_gives_a_lower_bound_only() -> None:
    """A frame that came late moves nothing; one from our future does."""
    offset = Offset()
    offset.learn_sending(NOW_MS, NOW_MS + 8_000)
    assert offset.offset_ms == 0
    offset.learn_sending(NOW_MS + 300, NOW_MS)
    assert offset.offset_ms == 300
    offset.learn_sending(NOW_MS + 200, NOW_MS)
    assert offset.offset_ms == 300


def test_the_newest_evidence_wins_over_what_contradicts_it() -> None:
    """Our clock was set by an hour: what was learnt before is forgotten at once, from either source."""
    offset = Offset()
    offset.learn(NOW_MS, NOW_MS, NOW_MS + 10)
    offset.learn(NOW_MS + 3_600_000, NOW_MS + 20, NOW_MS + 30)
    assert abs(offset.offset_ms - 3_600_000) <= 500
    offset.learn_sending(NOW_MS + 3_603_000, NOW_MS + 40)
    assert offset.offset_ms == 3_602_960
    offset.learn(NOW_MS, NOW_MS + 50, NOW_MS + 60)
    assert -60 <= offset.offset_ms <= 949


def test_a_frame_that_cannot_be_true_is_passed_over_and_counted() -> None:
    """In another unit, or days ahead: beside a Date five seconds are believed, without one a day."""
    offset = Offset()
    offset.learn_sending(NOW_MS * 1_000, NOW_MS)
    assert (offset.offset_ms, offset.frames_disbelieved) == (0, 1)
    offset.learn(NOW_MS, NOW_MS, NOW_MS + 10)
    before_ms = offset.offset_ms
    for ahead_ms in (864_000_000, 2**50, 6_011):
        offset.learn_sending(NOW_MS + 10 + ahead_ms, NOW_MS + 10)
    assert (offset.offset_ms, offset.frames_disbelieved) == (before_ms, 4)


def test_a_clock_set_back_during_a_request_proves_nothing() -> None:
    offset = Offset()
    offset.learn(NOW_MS, NOW_MS, NOW_MS - 1)
    assert offset.offset_ms == 0


def test_old_evidence_is_forgotten() -> None:
    """A drift slower than any contradiction is followed, because what no longer holds runs out."""
    offset = Offset()
    offset.learn_sending(NOW_MS + 400, NOW_MS)
    offset.learn(NOW_MS, NOW_MS - 900, NOW_MS - 890)
    assert offset.offset_ms >= 400
    later_ms = NOW_MS + CLOCK_EVIDENCE_LIFE_MS + 10_000
    offset.learn(later_ms, later_ms + 990, later_ms + 995)
    assert offset.offset_ms <= 9


def test_evidence_is_bounded() -> None:
    offset = Offset()
    for index in range(CLOCK_EVIDENCE_MAX * 3):
        offset.learn(NOW_MS + index * 1_000, NOW_MS + index * 1_000, NOW_MS + index * 1_000 + 5)
    assert len(offset._dates) == CLOCK_EVIDENCE_MAX


@settings(max_examples=200, deadline=None)
@given(
    st.integers(min_value=-100_000, max_value=100_000),
    st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=5_000),  # pause
            st.integers(min_value=0, max_value=2_000),  # way there
            st.integers(min_value=0, max_value=2_000),  # way back
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    ),
)
def test_the_truth_is_never_excluded(true_ms: int, requests: list[tuple[int, int, int, bool]]) -> None:
    """Whatever the delays, the offset ends within the uncertainty of the last answer: one second and its round trip."""
    offset = Offset()
    now_ms = NOW_MS
    offset.learn((now_ms + true_ms) // 1_000 * 1_000, now_ms, now_ms)
    for pause_ms, there_ms, back_ms, is_frame in requests:
        now_ms += pause_ms
        sent_ms, served_ms = now_ms, now_ms + there_ms + true_ms
        now_ms += there_ms + back_ms
        if is_frame:
            offset.learn_sending(served_ms, now_ms)
            assert offset.offset_ms >= true_ms - back_ms
        else:
            offset.learn(served_ms // 1_000 * 1_000, sent_ms, now_ms)
            assert abs(offset.offset_ms - true_ms) <= 999 + there_ms + back_ms
