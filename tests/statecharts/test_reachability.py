"""The real charts searched exhaustively with the guards free: what can follow what, whatever the levels say."""

from __future__ import annotations

import pytest

from kalshi_daemon.charts.flat import Edge, Flat
from kalshi_daemon.charts.literals import Path, dotted, path_of
from kalshi_daemon.core.chart_states import CHARTS

FLAT = {name: Flat(chart) for name, chart in CHARTS.items()}
TRADER = FLAT["trader"]
ENDS = {("stopped",), ("failed",)}


def leaves(flat: Flat, outer: str) -> list[Path]:
    return [leaf for leaf in flat.leaves if leaf[0] == outer]


def into(flat: Flat, outer: str) -> list[Edge]:
    """The edges that enter an outer state from outside it."""
    return [edge for edge in flat.edges if edge.dest[0] == outer and edge.leaf[0] != outer]


def out_of(flat: Flat, outer: str) -> list[Edge]:
    return [edge for edge in flat.edges if edge.leaf[0] == outer and edge.dest[0] != outer]


@pytest.mark.parametrize("name", CHARTS)
def test_every_leaf_is_reached(name: str) -> None:
    """No state is written in vain."""
    flat = FLAT[name]
    assert flat.reachable(flat.initial) == set(flat.leaves)


@pytest.mark.parametrize("leaf", [leaf for leaf in TRADER.leaves if leaf[0] not in ("stopping", "stopped", "failed")])
def test_trading_can_be_reached_from_every_state_that_does_not_stop(leaf: Path) -> None:
    """Nothing the daemon meets makes it wait for a restart."""
    assert ("trading", "normal") in TRADER.reachable(leaf)


@pytest.mark.parametrize("leaf", [leaf for leaf in TRADER.leaves if leaf not in ENDS])
def test_both_ends_can_be_reached_from_every_state(leaf: Path) -> None:
    """A stop ends it well, a lost service ends it badly, from wherever it is."""
    assert TRADER.reachable(leaf) >= ENDS
    assert {edge.dest for edge in TRADER.at(leaf, "service_lost")} == {("failed",)}


def test_a_stop_is_heard_everywhere_and_never_taken_back() -> None:
    """One event from any live state, and from stopping only the two ends follow."""
    for leaf in TRADER.leaves:
        if leaf not in ENDS and leaf[0] != "stopping":
            assert {edge.dest for edge in TRADER.at(leaf, "stop")} == {("stopping", "draining")}
    for leaf in leaves(TRADER, "stopping"):
        assert TRADER.reachable(leaf) <= {*leaves(TRADER, "stopping"), *ENDS}


def test_stopping_ends_by_its_time_limits_alone() -> None:
    """If every task hangs: draining is over after its limit, sealing after its own."""
    draining, sealing = ("stopping", "draining"), ("stopping", "sealing")
    assert [edge.dest for edge in TRADER.at(draining, "drain_overdue")] == [sealing]
    assert [edge.dest for edge in TRADER.at(sealing, "seal_overdue")] == [("stopped",)]


def test_trading_has_two_doors_and_both_look_at_the_levels() -> None:
    """`calibrated`, or the agreed account from paused; never held, never without feeds, reducing if restricted."""
    doors = {(edge.leaf[0], edge.event) for edge in into(TRADER, "trading")}
    assert doors == {("calibrating", "calibrated"), ("paused", "swept"), ("paused", "holds_lifted")}
    for edge in into(TRADER, "trading"):
        assert not edge.answers["held"]
        assert edge.answers["feeds_usable"]
        assert edge.leaf[0] != "paused" or edge.answers["account_agreed"]
        assert edge.dest[1] == ("reducing" if edge.answers["restricted"] else "normal")


def test_paused_is_left_when_no_hold_is_in_force_and_not_before() -> None:
    """Apart from a stop, a lost service and crashes used up, every way out of paused has asked for holds."""
    for edge in out_of(TRADER, "paused"):
        if edge.event in ("swept", "holds_lifted"):
            assert not edge.answers["held"]
        else:
            assert edge.event in ("stop", "service_lost", "task_crashed")


def test_a_hold_leads_to_paused_from_wherever_orders_could_rest() -> None:
    """And with no hold in force the poke does nothing."""
    for leaf in TRADER.leaves:
        for edge in TRADER.at(leaf, "hold_placed"):
            if leaf[0] in ("calibrating", "trading", "recovering") or leaf == ("starting", "connecting"):
                assert edge.dest == (("paused", "sweeping") if edge.answers["held"] else leaf)
            elif leaf[0] == "paused":
                assert edge.taken == edge.answers["sweep_wanted"]
            else:
                assert not edge.taken


def test_the_actor_is_left_alone_between_normal_and_reducing() -> None:
    """Restrictions come and go inside `trading`: its tasks stay."""
    for edge in TRADER.edges:
        if edge.leaf[0] == edge.dest[0] == "trading":
            assert edge.keeps(("trading",))


def test_a_crash_in_paused_starts_paused_again_with_a_sweep() -> None:
    """Its tasks are all new, and what the holds wanted cancelled is verified once more."""
    for leaf in leaves(TRADER, "paused"):
        edges = {edge.answers["crashes_left"]: edge for edge in TRADER.at(leaf, "task_crashed")}
        assert edges[True].entered == (("paused",), ("paused", "sweeping"))
        assert edges[False].dest == ("failed",)


def test_a_session_goes_live_from_every_state_and_can_be_closed_from_every_state() -> None:
    """Retrying has no end, and a person may ask for it at once."""
    connection = FLAT["connection"]
    for leaf in connection.leaves:
        assert ("session", "live") in connection.reachable(leaf)
        if leaf != ("down",):
            assert [edge.dest for edge in connection.at(leaf, "close_wanted")] == [("down",)]
    for leaf in (("backing_off",), ("refused",)):
        for event in ("retry_due", "retry_asked"):
            assert [edge.dest for edge in connection.at(leaf, event)] == [("session", "connecting")]


def test_the_socket_outlives_connecting() -> None:
    """From connecting to live the state that holds the socket is kept."""
    connection = FLAT["connection"]
    for leaf, event in ((("session", "connecting"), "dialled"), (("session", "subscribing"), "subscribed")):
        [edge] = connection.at(leaf, event)
        assert edge.keeps(("session",))


def test_only_proven_books_lead_to_current() -> None:
    """From syncing and from polling, and both ask whether every book is proven."""
    feed = FLAT["orderbook_feed"]
    current = path_of("streaming.current")
    entering = [edge for edge in feed.edges if edge.dest == current != edge.leaf]
    assert {dotted(edge.leaf) for edge in entering} == {"streaming.syncing", "polling.filling", "polling.fresh"}
    assert all(edge.event == "books_proven" and edge.answers["all_proven"] for edge in entering)
