"""surface.py: what a person may ask of a daemon that runs, and what each command does to it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec
import pytest
import trio
from attrs import evolve
from daemon_world import LIVELY

from kalshi_daemon.core.holds import TABLE, hold
from kalshi_daemon.emulator.model import NewOrder, OrderStatus
from kalshi_daemon.errors import EXIT_STOPPED, CommandRefused
from kalshi_daemon.facts import (
    AccountFact,
    CancelAllSent,
    CashCorrected,
    ForeignAdopted,
    ForeignIgnored,
    HoldKind,
    HoldLifted,
    OperatorSpoke,
    OrderSpec,
)
from kalshi_daemon.shell.control import ControlRequest
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.status import MarketStatus
from kalshi_daemon.simulation.faulty_link import FaultyLink, refused
from kalshi_daemon.simulation.virtual_day import HOST, PORT, Stage, VirtualRun, run_virtually
from kalshi_daemon.units import BookSide, TimeInForce

RESTS = OrderSpec("KXANY-1-A", BookSide.BID, 4_000, 100, TimeInForce.GOOD_TILL_CANCELED, True, False, None, 0)
DOWN = refused("503 Service Unavailable", b"{}")
Ask = Callable[..., Awaitable[object]]


def talk(
    script: Callable[[Stage, Ask], Awaitable[None]], variables: dict[str, str] | None = None
) -> tuple[VirtualRun, list[AccountFact]]:
    """A daemon in trading, and somebody who talks to it as the control socket does; what became durable."""
    durable: list[AccountFact] = []

    async def scenario(stage: Stage) -> None:
        operations = stage.daemon.tasks.operations()

        async def ask(command: str, why: str = "", *, cancel: bool = False) -> object:
            return await operations[command](ControlRequest(command, why, cancel=cancel, who="uid 7"))

        stage.daemon.parts.bus.listen(lambda news: durable.append(news.fact))
        while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110 - the virtual clock is free
            await trio.sleep(0.1)
        await script(stage, ask)

    return run_virtually(1, scenario, LIVELY, variables), durable


def test_a_pause_that_cancels_leaves_nothing_in_the_book() -> None:
    """Resting orders stay through a plain pause, and are gone after one that cancels; each is journaled with who, and
    the hold keeps the first reason."""
    live: list[int] = []

    async def script(stage: Stage, ask: Ask) -> None:
        await trio.sleep(60)
        assert await ask("pause", "maintenance") == "held by the operator; `resume` lifts it"
        await trio.sleep(2)
        live.append(len(stage.daemon.parts.ledger.live()))
        again = str(await ask("pause", "something else", cancel=True))
        await trio.sleep(2)
        live.append(len(stage.daemon.parts.ledger.live()))
        first = stage.daemon.parts.ledger.holds[0]
        assert (first.cause, first.cancels) == ("uid 7: maintenance", "all")
        since = iso_time(first.since_ms)
        held = f"already held since {since}: uid 7: maintenance"
        assert again == f"{held}; resting orders are cancelled now; `resume` lifts it"
        assert await ask("pause", "a third") == f"{held}; `resume` lifts it"
        assert stage.daemon.parts.ledger.holds[0].cancels == "all"
        assert await ask("resume") == "no hold is left"

    run, durable = talk(script, {"KALSHI_PRICING": "join"})
    assert live[0] > 0
    assert live[1] == 0
    assert run.exit_code == EXIT_STOPPED
    spoken = [(fact.command, fact.who, fact.why) for fact in durable if isinstance(fact, OperatorSpoke)]
    assert spoken == [
        ("pause", "uid 7", "maintenance"),
        ("pause", "uid 7", "something else"),
        ("pause", "uid 7", "a third"),
        ("resume", "uid 7", ""),
    ]
    assert [fact.by for fact in durable if isinstance(fact, HoldLifted)] == ["resume by uid 7: no reason given"]


def test_a_resume_lifts_what_a_person_may_and_says_what_is_left() -> None:
    """A hold that ends by itself stays; `adopt` lifts the one for what is not ours, and no other."""

    async def script(stage: Stage, ask: Ask) -> None:
        parts = stage.daemon.parts
        for kind in (HoldKind.OPERATOR, HoldKind.DRAWDOWN, HoldKind.KILL):
            await parts.bus.settle(hold(kind, f"a test of {kind}", parts.clock.now_ms()))
        assert await ask("resume") == "still held by kill (a test of kill), cleared by `kill-clear REASON`"
        await trio.sleep(1.5)
        await parts.bus.settle(hold(HoldKind.FOREIGN, "a test of foreign", parts.clock.now_ms()))
        assert "foreign: a test of foreign" in str(await ask("why"))
        assert await ask("adopt", "mine") == "what was not ours is taken as the account's own"
        assert [each.kind for each in parts.ledger.holds] == [HoldKind.KILL]
        await parts.bus.settle(HoldLifted(parts.clock.now_ms(), HoldKind.KILL, "", "a test"))

    run, durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    lifted = [(fact.hold, fact.by) for fact in durable if isinstance(fact, HoldLifted)]
    assert lifted == [
        (HoldKind.DRAWDOWN, "resume by uid 7: no reason given"),
        (HoldKind.OPERATOR, "resume by uid 7: no reason given"),
        (HoldKind.FOREIGN, "adopt by uid 7: mine"),
        (HoldKind.KILL, "a test"),
    ]


def test_a_command_with_nothing_to_do_says_so() -> None:
    """Neither what was not ours nor a kill is there: both are journaled, and nothing is said to be done."""

    async def script(stage: Stage, ask: Ask) -> None:
        nothing = "there is nothing to adopt: no order or position is there that is not ours"
        assert await ask("adopt", "mine") == nothing
        nothing = "there is nothing to ignore: no order or position that is not ours is held for"
        assert await ask("ignore", "theirs") == nothing
        assert await ask("kill-clear", "well") == "there is no kill to clear: neither a hold nor a latch"
        assert (
            await ask("accept-divergence", "mine") == "there is nothing to accept: no divergence of the account is held"
        )
        with pytest.raises(CommandRefused, match="accept-divergence REASON"):
            await ask("accept-divergence")

    _run, durable = talk(script)
    assert not [fact for fact in durable if isinstance(fact, HoldLifted)]


def test_a_command_that_a_hold_names_lifts_it() -> None:
    """Each hold that is said to be cleared by a command is lifted by that one, whatever else is held."""
    named: list[tuple[HoldKind, str]] = []

    async def script(stage: Stage, ask: Ask) -> None:
        parts = stage.daemon.parts
        for kind, (cleared_by, _cancels) in TABLE.items():
            named.extend((kind, command) for command in re.findall(r"`([a-z-]+)", cleared_by))
        named.remove((HoldKind.DIVERGENCE, "accept-divergence"))  # two audits that agree lift it after that
        for kind, command in named:
            await parts.bus.settle(hold(kind, f"a test of {kind}", parts.clock.now_ms()))
            assert parts.ledger.find_hold(kind) is not None
            await ask(command, "a test")
            assert parts.ledger.find_hold(kind) is None

    run, _durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    assert named == [
        (HoldKind.KILL, "kill-clear"),
        (HoldKind.DRAWDOWN, "resume"),
        (HoldKind.ACCESS, "resume"),
        (HoldKind.FOREIGN, "adopt"),
        (HoldKind.FOREIGN, "ignore"),
        (HoldKind.OPERATOR, "resume"),
    ]


def test_a_kill_cancels_everything_once() -> None:
    """The exchange is told once to cancel all of our subaccount, whatever comes after it; then it is verified."""

    async def script(stage: Stage, ask: Ask) -> None:
        parts = stage.daemon.parts
        await parts.bus.settle(hold(HoldKind.KILL, "a test", parts.clock.now_ms()))
        while not stage.daemon.runner.is_in("paused.holding"):  # noqa: ASYNC110 - the virtual clock is free
            await trio.sleep(0.1)
        assert parts.ledger.live() == []
        await parts.bus.settle(evolve(hold(HoldKind.OPERATOR, "another", parts.clock.now_ms()), cancels="all"))
        await trio.sleep(10)
        assert stage.daemon.runner.is_in("paused.holding")
        assert parts.rest.counts["cancel_all", "ok"] == 1
        await ask("kill-clear", "seen")
        await ask("resume")

    run, durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    assert len([fact for fact in durable if isinstance(fact, CancelAllSent)]) == 1


def test_an_order_group_that_was_triggered_is_reset_by_a_person_alone() -> None:
    """The stream tells it and the trader pauses; `resume` lifts nothing, `group-reset` lets it trade again."""

    async def script(stage: Stage, ask: Ask) -> None:
        ledger, exchange = stage.daemon.parts.ledger, stage.world.server.exchange
        await stage.daemon.parts.groups.of(RESTS)
        assert await ask("group-reset", "to see") == "there is nothing to reset: no order group was triggered"
        with pytest.raises(CommandRefused, match="group-reset REASON"):
            await ask("group-reset")
        (account,) = exchange.accounts.values()
        (group,) = exchange.groups.listed(account)
        exchange.groups.trigger(group)
        while not stage.daemon.runner.is_in("paused.holding"):  # noqa: ASYNC110 - the virtual clock is free
            await trio.sleep(0.1)
        assert [each.kind for each in ledger.holds] == [HoldKind.GUARD]
        assert [record for record in ledger.live() if record.ours and not record.spec.reduce_only] == []
        assert "guard" in str(await ask("resume", "impatience"))
        await trio.sleep(60)
        assert stage.daemon.runner.is_in("paused.holding")
        assert await ask("group-reset", "it was me") == "order groups that take orders again: 1"
        while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110 - likewise
            await trio.sleep(0.1)
        assert not group.triggered

    run, durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    assert [fact.by for fact in durable if isinstance(fact, HoldLifted)] == ["group-reset by uid 7: it was me"]


def test_a_deposit_is_accepted_and_trading_goes_on() -> None:
    """Held with both figures until a person takes the exchange's; two audits later it trades, exact again."""

    async def script(stage: Stage, ask: Ask) -> None:
        ledger = stage.daemon.parts.ledger
        exchange = stage.world.server.exchange
        (account,) = exchange.accounts.values()
        await ask("pause", "a deposit", cancel=True)
        exchange.deposit(account, 2_500_000_000)
        with trio.fail_after(120):
            while ledger.find_hold(HoldKind.DIVERGENCE) is None:  # noqa: ASYNC110 - the virtual clock is free
                await trio.sleep(0.1)
        await trio.sleep(30)
        assert "accept-divergence REASON" in str(await ask("why"))
        assert str(await ask("accept-divergence", "my own deposit")).startswith(
            "the exchange's figures are taken (cash of"
        )
        await ask("resume")
        with trio.fail_after(120):
            while not stage.daemon.runner.is_in("trading.normal"):  # noqa: ASYNC110 - the virtual clock is free
                await trio.sleep(0.1)

    run, durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    assert run.violated == ()
    corrected = [(fact.change, fact.cause) for fact in durable if isinstance(fact, CashCorrected)]
    assert corrected == [(2_500_000_000, "accepted by uid 7: my own deposit")]


def test_what_is_ignored_is_left_and_what_is_adopted_is_swept() -> None:
    """An order placed by hand holds; ignored, the stop's like it stays; adopted, a pause that cancels takes it."""

    async def script(stage: Stage, ask: Ask) -> None:
        ledger, exchange = stage.daemon.parts.ledger, stage.world.server.exchange
        (account,) = exchange.accounts.values()

        async def by_hand() -> str:
            market = min(stage.daemon.parts.books.open_markets)
            order = NewOrder(market, BookSide.BID, 100, 100, TimeInForce.GOOD_TILL_CANCELED)
            order_id = exchange.create_order(account, order).order_id
            with trio.fail_after(60):
                while ledger.find_hold(HoldKind.FOREIGN) is None:  # noqa: ASYNC110 - the virtual clock is free
                    await trio.sleep(0.1)
            return order_id

        ignored = await by_hand()
        assert await ask("ignore", "mine") == "what is not ours is let be until the next start"
        assert ledger.find_hold(HoldKind.FOREIGN) is None
        await ask("pause", "to see", cancel=True)
        await trio.sleep(20)
        assert [each.order_id for each in exchange.orders(account, status=OrderStatus.RESTING)] == [ignored]
        adopted = await by_hand()
        assert await ask("adopt", "mine too") == "what was not ours is taken as the account's own"
        await trio.sleep(20)
        assert [ledger.orders[f"foreign:{each}"].state for each in (ignored, adopted)] == ["cancelled", "cancelled"]

    run, durable = talk(script)
    assert (run.exit_code, run.violated) == (EXIT_STOPPED, ())
    named = [type(fact).__name__ for fact in durable if isinstance(fact, ForeignAdopted | ForeignIgnored)]
    assert named == ["ForeignIgnored", "ForeignAdopted"]


def test_whatever_is_counted_is_shown() -> None:
    """Each count of each part and session stands in the status, under the name of its part, also while it is zero."""

    async def script(stage: Stage, ask: Ask) -> None:
        stage.world.server.drop_streams()
        await trio.sleep(60)
        parts = stage.daemon.parts
        counting = [part for part in (*vars(parts).values(), *parts.coordinator.sessions) if hasattr(part, "counts")]
        assert len(counting) >= 8
        status = await ask("status")
        assert isinstance(status, dict)
        activity = status["activity"]
        shown = {name.partition("_")[2] for name in activity["counters"]}
        for labelled in activity["labelled"].values():
            shown |= set(labelled)
        for part in counting:
            names = {" ".join(name) if isinstance(name, tuple) else name for name in part.counts}
            assert names <= shown, type(part).__name__

    assert talk(script)[0].exit_code == EXIT_STOPPED


def test_what_is_asked_is_answered_with_what_is() -> None:
    """The status as plain values, the history as text."""

    async def script(stage: Stage, ask: Ask) -> None:
        status = await ask("status")
        assert isinstance(status, dict)
        assert status["charts"][0]["path"] == "trading.normal"
        assert status["activity"]["counters"]["invariants_violated"] == 0
        assert "trading.normal            calibrated" in str(await ask("history"))
        markets = msgspec.convert(await ask("markets"), list[MarketStatus])
        assert len(markets) == 12
        assert {(row.state, row.wanted, row.why) for row in markets} == {("active", True, "named")}
        assert status["markets"] == {"named": 12}
        assert status["pause"] is None  # this exchange keeps no weekly one

    assert talk(script)[0].exit_code == EXIT_STOPPED


def test_what_is_degraded_is_in_the_status_while_it_lasts() -> None:
    """Upgrades refused for 20 s: books are polled and the account is not streamed, since then; afterwards nothing."""

    async def script(stage: Stage, ask: Ask) -> None:
        async def degraded() -> dict[str, int]:
            status = await ask("status")
            assert isinstance(status, dict)
            return {each["kind"]: status["at_ms"] - each["since_ms"] for each in status["degradations"]}

        assert await degraded() == {}
        link = FaultyLink(stage.world.server.handle)
        link.judge = lambda _method, target: DOWN if "/ws/v2" in target else None
        stage.network.serve(HOST, PORT, link.handle)
        stage.world.server.drop_streams()
        await trio.sleep(20)
        found = await degraded()
        assert found.keys() == {"books_polled", "private_feed", "session_breaker"}
        assert all(15_000 <= lasted_ms <= 20_000 for lasted_ms in found.values())
        assert "  private_feed: not streamed, so read by REST: fills is " in str(await ask("why"))
        link.judge = lambda _method, _target: None
        stage.daemon.parts.coordinator.retry()
        await trio.sleep(20)
        assert await degraded() == {}

    assert talk(script)[0].exit_code == EXIT_STOPPED


def test_a_stop_is_journaled_and_then_nothing_more_is_taken() -> None:
    """The reason is durable before the end begins; a command that comes too late is refused, not lost."""

    async def script(stage: Stage, ask: Ask) -> None:
        assert str(await ask("stop", "enough")).startswith("stopping: ")
        operations = stage.daemon.tasks.operations()
        with trio.CancelScope(shield=True):
            while stage.daemon.runner.active:  # noqa: ASYNC110 - the virtual clock is free
                await trio.sleep(0.1)
            with pytest.raises(CommandRefused, match="is ending"):
                await operations["pause"](ControlRequest("pause"))

    run, durable = talk(script)
    assert run.exit_code == EXIT_STOPPED
    assert [fact.why for fact in durable if isinstance(fact, OperatorSpoke)] == ["enough"]
