"""From starting to trading and back, through the real charts, sockets and requests, on a virtual clock."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import trio
from stages import LIVELY, until_trading

from kalshi_daemon.core.holds import hold
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.markets import CLOSING_TICKER
from kalshi_daemon.emulator.model import NewOrder
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.errors import EXIT_FAILED, EXIT_STOPPED
from kalshi_daemon.facts import HoldKind, HoldLifted, OrderIntended
from kalshi_daemon.policy.action_selector import Actions, Mask, Observation, only_allowed
from kalshi_daemon.shell.event_bus import News
from kalshi_daemon.simulation.virtual_day import HOST, PORT, Stage, VirtualRun, run_virtually
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide, TimeInForce

TO_TRADING = ("starting.preflight", "starting.connecting", "calibrating", "trading.normal")
TO_THE_END = ("stopping.draining", "stopping.sealing", "stopped")
RESTING = {"KALSHI_PRICING": "join"}


def settled(run: VirtualRun) -> VirtualRun:
    """What every run must have been, whatever happened in it."""
    assert run.violated == ()
    assert run.exit_code == EXIT_STOPPED
    assert run.states[-3:] == TO_THE_END
    assert run.compared > 0
    return run


def test_the_straight_path() -> None:
    """Starting, calibrating, trading, stopped: orders filled, everything swept, the account equal to the
    micro-dollar.
    """

    async def scenario(stage: Stage) -> None:
        await trio.sleep(60)

    run = settled(run_virtually(1, scenario, LIVELY))
    assert run.states == TO_TRADING + TO_THE_END
    assert run.decisions > 100
    assert run.fills > 0


def test_a_start_that_was_held_trades_after_the_resume() -> None:
    """Paused from the first moment, so that `trading` is entered from there: the limits of the day are known all the
    same, and orders fill.
    """

    async def scenario(stage: Stage) -> None:
        parts = stage.daemon.parts
        await parts.preflight.replayed.wait()
        await parts.bus.settle(hold(HoldKind.OPERATOR, "a test", parts.clock.now_ms()))
        await trio.sleep(60)
        assert stage.daemon.runner.is_in("paused.holding")
        await parts.bus.settle(HoldLifted(parts.clock.now_ms(), HoldKind.OPERATOR, "", "a test"))
        await until_trading(stage)
        await trio.sleep(60)
        assert parts.ledger.bankroll > 0

    run = settled(run_virtually(1, scenario, LIVELY))
    assert "calibrating" not in run.states
    assert run.fills > 0


def test_a_network_that_goes_away_is_recovered_from() -> None:
    """Every connection cut and none possible for 20 s: recovering, an attempt after another, then calibrated and
    trading.
    """

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        stage.network.withdraw(HOST, PORT)
        assert stage.network.cut() > 0
        await trio.sleep(20)
        assert stage.daemon.runner.is_in("recovering")
        stage.network.serve(HOST, PORT, stage.world.server.handle)
        await until_trading(stage)

    run = settled(run_virtually(2, scenario, LIVELY))
    assert "recovering.backing_off" in run.states
    back = run.states[run.states.index("recovering.backing_off") :]
    assert "calibrating" in back
    assert back[-4] == "trading.normal"  # by way of reducing, where books were read by REST before they were streamed


def test_a_start_without_a_network_goes_on_trying() -> None:
    """Nothing answers for 200 s: deferred again and again, never an end; then it trades."""

    async def scenario(stage: Stage) -> None:
        stage.network.withdraw(HOST, PORT)
        await trio.sleep(200)
        assert stage.daemon.runner.is_in("starting")
        deferred = [step for step in stage.daemon.parts.preflight.tracker.steps if step.error]
        stage.network.serve(HOST, PORT, stage.world.server.handle)
        await until_trading(stage)
        assert deferred == [] or f"{HOST}:{PORT}" in deferred[0].error

    run = settled(run_virtually(3, scenario, LIVELY))
    assert run.states.count("starting.deferred") >= 4


def test_recovery_that_fails_is_held_and_comes_back_by_itself() -> None:
    """Ten minutes without a network: attempts are exhausted, the hold `recovery` pauses, and lifts when all is well
    again.
    """

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        stage.network.withdraw(HOST, PORT)
        stage.network.cut()
        await trio.sleep(600)
        assert stage.daemon.parts.ledger.find_hold(HoldKind.RECOVERY) is not None
        assert stage.daemon.runner.is_in("paused")
        stage.network.serve(HOST, PORT, stage.world.server.handle)
        await until_trading(stage, 300)

    settled(run_virtually(4, scenario, LIVELY))


def test_a_pause_keeps_the_feeds_and_a_resume_trades_again() -> None:
    """The operator's hold pauses without touching a socket; no order is sent while it is in force."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        await trio.sleep(20)
        parts = stage.daemon.parts
        await parts.bus.settle(hold(HoldKind.OPERATOR, "a test", parts.clock.now_ms()))
        await trio.sleep(2)
        sent = len(parts.ledger.orders)
        await trio.sleep(60)
        assert stage.daemon.runner.is_in("paused.holding")
        assert len(parts.ledger.orders) == sent
        await parts.bus.settle(HoldLifted(parts.clock.now_ms(), HoldKind.OPERATOR, "", "a test"))
        await until_trading(stage, 5)
        await trio.sleep(20)

    run = settled(run_virtually(5, scenario, LIVELY))
    assert run.reconnects == 2  # each of the two sockets ended once, at the stop


def test_an_exchange_that_pauses_is_waited_for() -> None:
    """Trading paused at the exchange: the hold `exchange`, lifted by two statuses that say active."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        stage.world.server.exchange.pause_trading()
        await trio.sleep(30)
        assert stage.daemon.parts.ledger.find_hold(HoldKind.EXCHANGE) is not None
        assert stage.daemon.runner.is_in("paused")
        stage.world.server.exchange.resume_trading()
        await until_trading(stage)

    settled(run_virtually(6, scenario, LIVELY))


def test_orders_that_rest_are_swept_when_it_stops() -> None:
    """With resting prices there are orders in the book at the stop; the sweep cancels them and proves it."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        await trio.sleep(90)
        resting = sum(record.rests for record in stage.daemon.parts.ledger.live())
        assert resting > 0

    run = settled(run_virtually(7, scenario, LIVELY, RESTING))
    assert run.intents > 5


class Buyer:
    """Wants YES of every market, always."""

    name = model = "buyer"
    senseless = 0

    def select(self, observation: Observation, mask: Mask) -> Actions:
        return only_allowed(np.ones(len(observation), dtype=np.int64), mask)


def test_orders_that_rest_follow_the_price() -> None:
    """Where the best of others moves, the order that rests there is amended, and no side of a market ever has two."""
    told: Counter[str] = Counter()
    crowded: list[str] = []

    async def scenario(stage: Stage) -> None:
        parts = stage.daemon.parts

        def note(news: News) -> None:
            told[type(news.fact).__name__] += 1
            if isinstance(news.fact, OrderIntended):
                market = news.fact.spec.market
                bids = [each for each in parts.ledger.live(market) if each.spec.side is BookSide.BID]
                crowded.extend([market] * (len(bids) > 1))

        parts.bus.listen(note)
        await until_trading(stage)
        parts.policy.actor._selector = Buyer()
        await trio.sleep(30)

    run = settled(run_virtually(7, scenario, LIVELY, RESTING))
    assert told["AmendAcknowledged"] > 5
    assert run.fills > 0
    assert crowded == []


def test_a_market_that_closes_and_settles_is_paid_out_exactly() -> None:
    """One market ends within the run: its position is settled once, and cash is equal to the micro-dollar."""

    async def scenario(stage: Stage) -> None:
        await until_trading(stage)
        await trio.sleep(500)

    run = settled(
        run_virtually(8, scenario, WorldSettings(crowd=CrowdSettings(events_per_s=1.0), closing_in_ms=400_000))
    )
    assert run.fills > 0


def test_a_key_that_the_exchange_does_not_know_ends_in_failed() -> None:
    """401 on the first signed read: failed, exit 77, nothing tried again."""

    async def scenario(stage: Stage) -> None:
        await trio.sleep(5)

    run = run_virtually(9, scenario, LIVELY, {"KALSHI_API_KEY_ID": "not-a-key-of-this-exchange"})
    assert run.states == ("starting.preflight", "failed")
    assert run.exit_code == EXIT_FAILED


@pytest.mark.parametrize("seed", range(12))
def test_a_stop_at_any_moment_sweeps(seed: int) -> None:
    """Stopped at a random moment, from the first millisecond on, with sockets dropping meanwhile: swept and exact."""
    draw = random.Random(seed)

    async def scenario(stage: Stage) -> None:
        await trio.sleep(draw.uniform(0.0, 0.5) if draw.random() < 0.5 else draw.uniform(0.5, 60.0))
        if draw.random() < 0.5:
            stage.world.server.drop_streams()
            await trio.sleep(draw.uniform(0.0, 2.0))

    run = run_virtually(100 + seed, scenario, LIVELY, RESTING if seed % 2 else None)
    assert run.violated == ()
    assert run.exit_code == EXIT_STOPPED
    assert run.states[-3:] == TO_THE_END


def test_a_position_over_the_configured_size_is_closed_before_its_market() -> None:
    """Steps have the size that the configuration allows, not the house's: the gate passes each, until nothing is
    held.
    """
    held: list[int] = []

    async def scenario(stage: Stage) -> None:
        exchange = stage.world.server.exchange
        (account,) = exchange.accounts.values()
        taking = TimeInForce.IMMEDIATE_OR_CANCEL
        for _ in range(5):
            exchange.create_order(
                account, NewOrder(CLOSING_TICKER, BookSide.BID, 99 * PRICE_CENT, 2 * CONTRACT, taking)
            )
        (position,) = exchange.positions(account)
        held.append(position.count)
        await trio.sleep(120)
        held.append(stage.daemon.parts.ledger.position(CLOSING_TICKER))
        assert "P4" not in stage.daemon.parts.gates.refused

    settings = WorldSettings(crowd=CrowdSettings(events_per_s=2.0), closing_in_ms=240_000)
    sizes = {"KALSHI_ORDER_CONTRACTS_MAX": "1", "KALSHI_ORDER_SIZES": "1", "KALSHI_POLICY": "hold"}
    assert run_virtually(1, scenario, settings, sizes).exit_code == EXIT_STOPPED
    assert held == [10 * CONTRACT, 0]
