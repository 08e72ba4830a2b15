"""The real connection chart on the real runner: any sequence of wishes, answers, drops and crashes."""

from __future__ import annotations

import trio
from driven_charts import Driven
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.runner import Runner
from statecharts.connection import CONNECTION

IN_SESSION = {
    "connecting": {"socket"},
    "subscribing": {"socket", "keepalive", "subscribe"},
    "live": {"socket", "keepalive"},
}
op = st.one_of(
    st.tuples(st.just("post"), st.sampled_from(["open_wanted", "close_wanted", "retry_asked"])),
    st.tuples(st.just("tell"), st.sampled_from(["socket post:dialled", "subscribe return:answered"])),
    st.tuples(
        st.just("tell"),
        st.sampled_from(
            [
                "socket return:opened_and_dropped",
                "socket return:not_opened",
                "socket return:refused",
                "socket crash",
                "subscribe return:all_refused",
                "subscribe crash",
                "keepalive return:silent",
                "keepalive crash",
            ]
        ),
    ),
    st.tuples(st.just("refusals_left"), st.booleans()),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.1, 2.0])),
)


class Connection(Driven):
    """One session. `sockets` counts how many were made."""

    def __init__(self) -> None:
        super().__init__(CONNECTION)
        self.on_step = self._judge
        self.was = ""

    @property
    def sockets(self) -> int:
        return self.log.count("+socket")

    def _judge(self, step: Step) -> None:
        self.check(step)
        assert self.current is not None
        was, self.was = self.was, self.current.innermost
        if was == "down":
            assert step.event == "open_wanted"
        if self.was == "down" and was:
            assert step.event == "close_wanted"
        if self.was == "refused":
            assert step.event == "dial_refused"
            assert not self.asked["refusals_left"]
        if was.startswith("session.") and self.was.startswith("session."):
            assert ("session",) not in step.exited, "the socket was closed between two states of one session"


def play(ops: list[tuple[str, object]]) -> Connection:
    connection = Connection()

    async def act(runner: Runner) -> None:
        for kind, what in ops:
            if kind == "post":
                runner.post(str(what))
            elif kind == "tell":
                task, word = str(what).split()
                connection.tell(task, word)
            elif kind == "refusals_left":
                connection.answers["refusals_left"] = bool(what)
            else:
                await trio.sleep(float(str(what)))
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        _settled(connection, runner)

    trio.run(connection.drive, act, clock=MockClock(autojump_threshold=0))
    return connection


def _settled(connection: Connection, runner: Runner) -> None:
    """When nothing moves, exactly the tasks of the state live."""
    if runner.active:
        outer, _, inner = runner.innermost.partition(".")
        assert set(connection.live) == (IN_SESSION[inner] if outer == "session" else set())


@settings(max_examples=120, deadline=None)
@given(st.lists(op, max_size=40))
def test_a_session_keeps_its_rules(ops: list[tuple[str, object]]) -> None:
    """Down is entered and left by wish only, one socket at a time, kept through a session, refused only when it is."""
    play(ops)


@settings(max_examples=40, deadline=None)
@given(st.lists(op, max_size=20))
def test_a_wanted_session_goes_live_when_the_world_answers(before: list[tuple[str, object]]) -> None:
    """From wherever it is: asked for, retried, dialled and answered, it is live."""
    ask: list[tuple[str, object]] = [("post", "open_wanted"), ("post", "retry_asked"), ("sleep", 0.0)]
    answer: list[tuple[str, object]] = [("tell", "socket post:dialled"), ("sleep", 0.0)]
    done: list[tuple[str, object]] = [("tell", "subscribe return:answered"), ("sleep", 0.0)]
    connection = play([*before, ("sleep", 0.0), *ask, *answer, *done])
    assert connection.was == "session.live" or connection.result == "escalated"


@settings(max_examples=40, deadline=None)
@given(st.lists(op, max_size=20))
def test_a_session_that_is_not_wanted_has_no_socket(before: list[tuple[str, object]]) -> None:
    """After close_wanted it is down and every task of it has ended."""
    connection = play([*before, ("sleep", 0.0), ("post", "close_wanted"), ("sleep", 0.0), ("sleep", 2.0)])
    assert connection.was == "down" or connection.result == "escalated"


def test_retrying_has_no_end() -> None:
    """A hundred dials that fail are a hundred sockets, one after the other."""
    fail: list[tuple[str, object]] = [("tell", "socket return:not_opened"), ("sleep", 0.0)]
    again: list[tuple[str, object]] = [("post", "retry_asked"), ("sleep", 0.0)]
    connection = play([("post", "open_wanted"), ("sleep", 0.0), *([*fail, *again] * 100)])
    assert connection.sockets == 101
    assert connection.alarms == []
