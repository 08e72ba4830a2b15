"""The circuit breaker: every cell of its table by name, and what an instance counts, waits and forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.core.circuit_breaker import ROWS, CircuitBreaker

STATES = ["closed", "open", "half_open", "latched"]


def breaker(state: str = "closed", failures_max: int = 3) -> CircuitBreaker:
    """In the state asked for, at time 100: a window of 10 s, a wait of 4 to 30 s, a probe of 5 s."""
    made = CircuitBreaker("writes", failures_max=failures_max, window_s=10, wait_s=(4, 30), probe_s=5)
    if state in ("open", "half_open"):
        for _ in range(failures_max):
            made.failed(96, "503")
    if state == "half_open":
        assert made.allows(100)
    if state == "latched":
        made.failed_hard(100, "403")
    assert made.state == state
    return made


def act(made: CircuitBreaker, event: str, now_s: float = 100) -> None:
    if event == "succeeded":
        made.succeeded(now_s)
    elif event == "failed":
        made.failed(now_s, "again")
    elif event == "failed_hard":
        made.failed_hard(now_s, "again")
    elif event == "reset":
        made.reset(now_s)
    else:
        made.allows(now_s + 100)


CELLS = {
    "succeeded": ["closed", "open", "closed", "latched"],
    "failed": ["closed", "open", "open", "latched"],
    "failed_hard": ["latched", "latched", "latched", "latched"],
    "time_came": ["closed", "half_open", "half_open", "latched"],
    "reset": ["closed", "half_open", "half_open", "half_open"],
}


@pytest.mark.parametrize(
    ("event", "state", "after"),
    [(event, state, after) for event, row in CELLS.items() for state, after in zip(STATES, row, strict=True)],
)
def test_cell(event: str, state: str, after: str) -> None:
    """What one input does in one state, the window's count not being reached."""
    made = breaker(state)
    act(made, event)
    assert made.state == after


def test_the_table_is_made_from_the_chart() -> None:
    """Every state and every event has a cell, empty ones included, and one of them is guarded."""
    assert set(ROWS) == {(state, event) for state in STATES for event in CELLS}
    assert ROWS["closed", "failed"] == (("failures_reached", "open"),)
    assert ROWS["closed", "succeeded"] == ()


def test_failures_open_it_when_the_window_holds_as_many_as_it_may() -> None:
    """The third within 10 s; the fourth second is the probe's time; cause and since say what and when."""
    made = breaker()
    made.failed(1, "503")
    made.failed(2, "503")
    assert (made.state, made.allows(2)) == ("closed", True)
    made.failed(11, "timeout")
    assert (made.state, made.cause, made.since, made.probe_at) == ("open", "timeout", 11, 15)
    assert not made.allows(14.9)


def test_failures_that_are_older_than_the_window_do_not_count() -> None:
    """Three failures over more than 10 s leave it closed."""
    made = breaker()
    for now_s in (1, 2, 11.1, 20, 22):
        made.failed(now_s, "503")
    assert made.state == "closed"
    assert made.failures == 5


def test_success_does_not_forget_failures() -> None:
    """Every second use failing is a fault too."""
    made = breaker()
    for now_s in (1, 3, 5):
        made.failed(now_s, "503")
        made.succeeded(now_s + 1)
    assert made.state == "open"


def test_one_probe_at_a_time() -> None:
    """The first that asks when the time has come makes the probe; others are denied until it is answered or over."""
    made = breaker("open")
    assert made.allows(100)
    assert (made.state, made.probe_at) == ("half_open", 105)
    assert not made.allows(100)
    assert not made.allows(104.9)
    assert made.allows(105)
    assert (made.state, made.probe_at) == ("half_open", 110)


def test_a_probe_that_works_closes_it_and_forgets_the_failures() -> None:
    """After it, three new failures are needed."""
    made = breaker("half_open")
    made.succeeded(101)
    assert (made.state, made.since, made.probe_at) == ("closed", 101, None)
    made.failed(102, "503")
    made.failed(102, "503")
    assert made.allows(102)


def test_each_failed_probe_doubles_the_wait_up_to_its_cap() -> None:
    """4, 8, 16, 30, 30 s; a probe that works makes it 4 s again."""
    made = breaker("open")
    now_s, waits = 96.0, []
    for _ in range(5):
        assert made.probe_at is not None
        waits.append(made.probe_at - now_s)
        now_s = made.probe_at
        assert made.allows(now_s)
        made.failed(now_s, "503")
    assert waits == [4, 8, 16, 30, 30]
    assert made.probe_at == now_s + 30
    assert made.allows(now_s + 30)
    made.succeeded(now_s + 30)
    for _ in range(3):
        made.failed(now_s + 31, "503")
    assert made.probe_at == now_s + 31 + 4


def test_what_cannot_heal_is_latched_until_a_person_resets_it() -> None:
    """Time does not open it again; a reset gives one probe at once, and the probe decides."""
    made = breaker("latched")
    assert made.probe_at is None
    assert not made.allows(1e9)
    made.reset(200)
    assert (made.state, made.cause) == ("half_open", "reset")
    assert made.allows(200)
    assert not made.allows(200)
    made.succeeded(201)
    assert made.state == "closed"


def test_a_reset_while_probing_gives_a_probe_at_once() -> None:
    """Whoever waits behind a probe without an answer need not wait for its time."""
    made = breaker("half_open")
    assert not made.allows(101)
    made.reset(101)
    assert made.allows(101)


@given(st.lists(st.tuples(st.sampled_from([*CELLS, "ask"]), st.floats(0, 20)), max_size=60))
def test_nothing_passes_but_when_closed_or_as_the_one_probe(ops: list[tuple[str, float]]) -> None:
    """Any sequence: a yes while not closed is followed by no other until an answer, a reset or the probe's time."""
    made, now_s, probe_until = breaker(), 0.0, 0.0
    for op, wait_s in ops:
        now_s += wait_s
        if op == "ask":
            before = made.state
            if made.allows(now_s) and before != "closed":
                assert before in ("open", "half_open")
                assert now_s >= probe_until
                assert made.state == "half_open"
                probe_until = now_s + 5
        elif op != "time_came":
            act(made, op, now_s)
            probe_until = 0.0 if op != "failed" or made.state != "half_open" else probe_until
        assert made.state != "latched" or made.probe_at is None
        assert made.state != "closed" or made.allows(now_s)
