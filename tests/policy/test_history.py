"""The window of a market: points, the carried mid, activity, and time that never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import book_of, change

from kalshi_daemon.limits import ACTIVITY_SECONDS, HISTORY_POINTS, POINT_MS
from kalshi_daemon.policy.history import ACTIVITY_FULL, MarketHistory, message_time_ms
from kalshi_daemon.units import CONTRACT, PRICE_ONE

T = 1_768_498_200_000
Point = tuple[int, int, int]  # time, twice the mid, contracts changed in the window


def closed(history: MarketHistory) -> list[Point]:
    return list(zip(history.closed_ms, history.closed_mids, history.closed_changed, strict=True))


def test_message_time() -> None:
    """A message's own stamp is its time, then when it was sent, then when it came."""
    assert message_time_ms(1, 2, 3) == 1
    assert message_time_ms(None, 2, 3) == 2
    assert message_time_ms(None, None, 3) == 3


def test_fresh() -> None:
    """Before anything was noted the mid is 50 cents and nothing has changed."""
    history = MarketHistory()
    assert (history.mid_twice, history.changed, history.now_ms, len(closed(history))) == (PRICE_ONE, 0, 0, 0)


def test_slot_is_one_point() -> None:
    """Changes within one slot of 100 ms are one point, which closes as it stood when the next slot's change came."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    change(book, history, 46, 10, T + 50)
    change(book, history, 46, -10, T + 99)
    assert len(closed(history)) == 0
    change(book, history, 46, 5, T + 100)
    assert closed(history) == [(T + 99, 9_200, 20 * CONTRACT)]
    assert (history.mid_twice, history.changed, history.now_ms) == (9_300, 25 * CONTRACT, T + 100)


def test_window_is_bounded() -> None:
    """Nine closed points are kept, the oldest going first."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    for step in range(1, 30):
        change(book, history, 45, 1, T + step * POINT_MS)
    assert list(history.closed_ms) == [T + step * POINT_MS for step in range(20, 29)]
    assert len(closed(history)) == HISTORY_POINTS - 1


def test_time_never_goes_back() -> None:
    """A message stamped earlier belongs to the open point and moves no clock."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    change(book, history, 46, 10, T - 5_000)
    assert (history.now_ms, len(closed(history))) == (T, 0)
    assert (history.mid_twice, history.changed) == (9_300, 10 * CONTRACT)


def test_mid_is_carried() -> None:
    """A book that loses a side keeps the mid it had."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    change(book, history, 47, -60, T + 200, yes=False)
    assert history.mid_twice == 9_200
    change(book, history, 51, 1, T + 400, yes=False)
    assert history.mid_twice == 9_600


def test_activity_falls_out_after_sixty_seconds() -> None:
    """A change counts in its own second and the 59 after it."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    change(book, history, 45, 7, T + 900)
    change(book, history, 44, 2, T + 1_000)
    last = (ACTIVITY_SECONDS - 1) * 1_000
    change(book, history, 44, 1, T + last)
    assert history.changed == 10 * CONTRACT
    change(book, history, 44, 1, T + last + 1_000)
    assert history.changed == 4 * CONTRACT
    change(book, history, 44, 1, T + last + 600_000)
    assert history.changed == 1 * CONTRACT


def test_activity_is_capped() -> None:
    """More than ten thousand contracts a minute is no more activity."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    change(book, history, 45, 10_001, T + 100)
    assert history.changed == ACTIVITY_FULL


def test_resynchronisation_counts_the_difference() -> None:
    """The first snapshot counts nothing, whatever the book had seen before; a later one what differs."""
    book, history = book_of({45: 100}, {47: 60}), MarketHistory()
    book.contracts_changed = 5_000
    history.note(book, T)
    assert history.changed == 0
    book.replace([(4_500, 80 * CONTRACT), (4_400, 5 * CONTRACT)], [(5_300, 60 * CONTRACT)], clock=None, ts_ms=None)
    history.note(book, T + 100)
    assert history.changed == 25 * CONTRACT


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 3), st.integers(44, 46)), max_size=60))
def test_against_the_whole_list(steps: list[tuple[int, int, int]]) -> None:
    """Points and activity equal those worked out anew from the list of all changes."""
    book, history = book_of({44: 100, 45: 100}, {47: 60}), MarketHistory()
    history.note(book, T)
    now = T
    seen = [(T, 0, 9_200)]  # time, contracts changed, twice the mid after it
    for wait, contracts, price in steps:
        now += wait
        change(book, history, price, contracts, now)
        seen.append((now, contracts, 4_700 + book.yes.prices[-1]))

    def changed(upto: int) -> int:
        second = seen[upto][0] // 1_000
        recent = [contracts for at, contracts, _ in seen[: upto + 1] if at // 1_000 > second - ACTIVITY_SECONDS]
        return sum(recent) * CONTRACT

    ends = [
        index
        for index, (at, _, _) in enumerate(seen)
        if index + 1 == len(seen) or seen[index + 1][0] // POINT_MS != at // POINT_MS
    ]
    points = [(seen[index][0], seen[index][2], changed(index)) for index in ends]
    assert closed(history) == points[:-1][-9:]
    assert (history.now_ms, history.mid_twice, history.changed) == points[-1]
