"""The real trader's chart on the real runner: any sequence of facts, pokes, outcomes and crashes, on a virtual clock.

Each example is a list of operations run in one `trio.run`. What must never happen is asserted at every step.
"""

from __future__ import annotations

from collections import Counter

import trio
from driven_charts import Driven
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kalshi_daemon.charts.chart import Step
from kalshi_daemon.charts.literals import tasks_of
from kalshi_daemon.charts.runner import Runner
from statecharts.trader import TRADER

ENDING = {"stopping", "stopped", "failed"}
TASKS = sorted(tasks_of(TRADER))
VITAL = {"journal", "event_bus", "order_writer", "watchdog"}
LEVELS = ["hold", "lift", "hold", "lift", "feeds_up", "feeds_down", "restrict", "free", "agree", "doubt"]

NOW = ("sleep", 0.0)
TO_CALIBRATING = [NOW, ("outcome", 0), NOW, ("outcome", 0), NOW]
TO_TRADING = [*TO_CALIBRATING, ("outcome", 0), NOW]
TO_SWEEPING = [*TO_TRADING, ("level", "hold"), ("deliver", 0), NOW]
TO_HOLDING = [*TO_SWEEPING, ("outcome", 0), NOW]
TO_RECOVERING = [*TO_TRADING, ("level", "feeds_down"), ("deliver", 0), NOW]
WALKS = [[], TO_CALIBRATING, TO_TRADING, TO_SWEEPING, TO_HOLDING, TO_RECOVERING]

op = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 3)),
    st.tuples(st.just("deliver"), st.just(0)),
    st.tuples(st.just("level"), st.sampled_from(LEVELS)),
    st.tuples(st.just("level"), st.sampled_from(LEVELS)),
    st.tuples(st.just("outcome"), st.integers(0, 2)),
    st.tuples(st.just("outcome"), st.just(0)),
    st.tuples(st.just("outcome"), st.just(0)),
    st.tuples(st.just("crash"), st.sampled_from([task for task in TASKS if task not in VITAL])),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.1, 3.0, 30.0])),
)


class Trader(Driven):
    """The trader with its levels: a fact changes a level at once, and its poke is delivered later, in any order."""

    def __init__(self) -> None:
        super().__init__(TRADER)
        self.answers |= {"held": False, "restricted": False, "sweep_wanted": False, "account_agreed": False}
        self.answers |= {"feeds_usable": True, "crashes_left": True}
        self.before = self._fold
        self.on_step = self._judge
        self.was: tuple[str, ...] = ()
        self.pokes: list[str] = []
        self.seen: Counter[str] = Counter()

    def change(self, what: str) -> None:
        changed: dict[str, tuple[dict[str, bool], str | None]] = {
            "hold": ({"held": True, "sweep_wanted": True}, "hold_placed"),
            "lift": ({"held": False, "sweep_wanted": False}, "holds_lifted"),
            "feeds_up": ({"feeds_usable": True}, None),
            "feeds_down": ({"feeds_usable": False, "account_agreed": False}, "feeds_lost"),
            "restrict": ({"restricted": True}, "restriction_placed"),
            "free": ({"restricted": False}, "restrictions_lifted"),
            "agree": ({"account_agreed": True}, None),
            "doubt": ({"account_agreed": False}, None),
        }
        answers, poke = changed[what]
        self.answers |= answers
        if poke is not None:
            self.pokes.append(poke)

    def deliver(self, runner: Runner, which: int) -> None:
        if self.pokes:
            runner.post(self.pokes.pop(which % len(self.pokes)))

    def _fold(self, task: str, outcome: str) -> None:
        """What a task has done to the levels before it returns."""
        if (task, outcome) == ("calibrate", "agreed"):
            self.answers["account_agreed"] = True
        elif (task, outcome) == ("calibrate", "differs"):
            self.change("hold")
        elif (task, outcome) == ("sweep", "verified"):
            self.answers["sweep_wanted"] = False

    def outcome(self, choice: int) -> None:
        """The innermost state's task that can end returns one of its outcomes."""
        for task in self.live:
            outcomes = self.outcomes[task]
            if outcomes:
                self.tell(task, f"return:{outcomes[choice % len(outcomes)]}")
                return

    def _judge(self, step: Step) -> None:
        self.check(step)
        assert self.current is not None
        now = self.current.active
        was, self.was = self.was, now
        self.seen[now[-1]] += 1
        if was and was[0] in ENDING:
            assert now[0] in ENDING, "a stop was taken back"
        if now[0] == "trading" and "trading" not in was:
            assert step.event == "calibrated" or (was[0] == "paused" and self.asked["account_agreed"])
            assert not self.asked["held"], "trading was entered under a hold"
            assert self.asked["feeds_usable"], "trading was entered without usable feeds"
            assert now[1] == ("trading.reducing" if self.asked["restricted"] else "trading.normal")
        if was and was[0] == "paused" and now[0] not in {"paused", *ENDING}:
            assert not self.asked["held"], "paused was left under a hold"


def play(ops: list[tuple[str, object]], rest_s: float = 0.1) -> Trader:
    trader = Trader()

    async def act(runner: Runner) -> None:
        for kind, what in ops:
            if kind == "level":
                trader.change(str(what))
            elif kind == "deliver":
                trader.deliver(runner, int(str(what)))
            elif kind == "outcome":
                trader.outcome(int(str(what)))
            elif kind == "crash":
                trader.tell(str(what), "crash")
            elif kind == "post":
                runner.post(str(what))
            else:
                await trio.sleep(float(str(what)))
                await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(rest_s)

    trio.run(trader.drive, act, clock=MockClock(autojump_threshold=0))
    return trader


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WALKS), st.lists(op, min_size=8, max_size=25))
def test_what_must_never_happen_does_not(walk: list[tuple[str, object]], ops: list[tuple[str, object]]) -> None:
    """Doors, holds, the tree and the copies of tasks, from several states, whatever comes in whatever order."""
    play([*walk, *ops])


DOORS = [
    ("calibrating", TO_CALIBRATING, ("outcome", 0)),
    ("sweeping", TO_SWEEPING, ("outcome", 0)),
    ("holding", TO_HOLDING, ("post", "holds_lifted")),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DOORS), st.lists(st.sampled_from(LEVELS), max_size=6))
def test_a_door_leads_where_the_levels_say(
    door: tuple[str, list[tuple[str, object]], tuple[str, object]], levels: list[str]
) -> None:
    """Levels change while their pokes are still under way; the door asks the levels, not the pokes."""
    name, walk, opener = door
    trader = play([*walk, *(("level", level) for level in levels), opener, NOW], rest_s=0.0)
    answers = trader.asked
    if answers["held"]:
        expected = "paused.sweeping" if name == "calibrating" else "paused.holding"
    elif not answers["feeds_usable"]:
        expected = "recovering.backing_off"
    elif name != "calibrating" and not answers["account_agreed"]:
        expected = "calibrating"
    else:
        expected = "trading.reducing" if answers["restricted"] else "trading.normal"
    assert trader.was[-1] == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(op, max_size=20), st.lists(op, max_size=10))
def test_a_stop_ends_it_from_everywhere(before: list[tuple[str, object]], after: list[tuple[str, object]]) -> None:
    """Whatever came before and comes after: within the limits of draining and sealing it is over, every task joined."""
    quiet: list[tuple[str, object]] = [("sleep", 1.0)]
    trader = play([*before, *quiet, ("post", "stop"), *after, ("sleep", 3.0)])
    assert trader.result in ("stopped", "failed", "escalated")


@settings(max_examples=40, deadline=None)
@given(st.lists(op, max_size=20), st.sampled_from(sorted(VITAL)))
def test_a_lost_service_ends_it_from_everywhere(before: list[tuple[str, object]], service: str) -> None:
    """A crash of what the daemon cannot be without leads to failed, if it has not failed before, and is told."""
    trader = play([*before, ("sleep", 0.0), ("crash", service), ("sleep", 0.1)])
    assert trader.result in ("failed", "escalated")
    if (service, "crash") in trader.told and trader.result == "failed":
        assert any(f"trader/{service} crashed: Told" in text for _, text in trader.alarms)


@settings(max_examples=40, deadline=None)
@given(st.lists(op, max_size=25))
def test_trading_is_reached_again_when_all_is_well(before: list[tuple[str, object]]) -> None:
    """Feeds back, holds lifted, tasks that succeed: the trader trades, without a restart."""
    healed: list[tuple[str, object]] = [("level", "feeds_up"), ("level", "free"), ("level", "lift"), ("sleep", 0.0)]
    work: list[tuple[str, object]] = [*([("outcome", 0), ("sleep", 0.1)] * 4), ("level", "lift")]
    well: list[tuple[str, object]] = [*work, *([("deliver", 0)] * 4), ("sleep", 0.3)]
    trader = play([*before, ("sleep", 0.0), *healed, *(well * 8)])
    assert trader.result in ("failed", "escalated") or trader.was[0] == "trading"


def test_the_examples_reach_every_state() -> None:
    """A walk by hand through every state, so that the properties above are known to be about something."""
    walk: list[tuple[str, object]] = [
        *(NOW, ("outcome", 2), ("sleep", 1.5)),  # deferred, and preflight again
        *TO_TRADING,
        *(("level", "restrict"), ("deliver", 0), NOW),  # reducing
        *(("level", "feeds_down"), ("deliver", 0), ("sleep", 1.05)),  # backing_off, reconnecting
        *(("level", "hold"), ("deliver", 0), NOW),  # sweeping
        *(("outcome", 1), ("sleep", 1.05), ("outcome", 0), NOW),  # unswept, sweeping, holding
        *(("level", "feeds_up"), ("level", "lift"), ("deliver", 0), NOW),  # calibrating: not agreed since
        *(("post", "stop"), NOW, ("outcome", 0), NOW, ("outcome", 0)),
    ]
    trader = play(walk)
    assert trader.result == "stopped"
    assert set(trader.seen) == {".".join(leaf) for leaf in trader.current.chart.states if len(leaf) == 2} | {  # type: ignore[union-attr]
        "calibrating",
        "stopped",
    }
