"""The account is read while its stream is away: when that begins, what counts as read, and when it may end."""

from __future__ import annotations

import pytest
import trio
from account_world import A, B, account_world, proposal
from attrs import evolve
from daemon_world import QUIET, STREAM, exchange_site

from kalshi_daemon import limits
from kalshi_daemon.commands import ProposeOrder
from kalshi_daemon.core.degradation import Degraded
from kalshi_daemon.emulator.crowd import CrowdSettings
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.model import NewOrder
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.world import WorldSettings
from kalshi_daemon.facts import (
    AccountAgreed,
    AccountDoubted,
    HoldKind,
    OrderSent,
    RestrictionKind,
    RestrictionLifted,
    RestrictionPlaced,
)
from kalshi_daemon.shell.account_poller import RETURNED, AccountPoller
from kalshi_daemon.shell.feeds import Role
from kalshi_daemon.simulation.faulty_link import HANGS, NEVER_ARRIVES, TOO_MANY, UNAVAILABLE
from kalshi_daemon.units import CONTRACT, BookSide, TimeInForce

AS_OF = "user_data_timestamp"  # the first request of each read
FEW = {"KALSHI_SOCKETS": "2", "KALSHI_POLICY": "hold", "KALSHI_MARKETS": f"{A},{B}"}
LATE = WorldSettings(server=ServerSettings(read_lag_ms=1_000), crowd=CrowdSettings(events_per_s=0.05))


class Stream:
    """What the coordinator would say of the private stream, and tell of it."""

    def __init__(self, world) -> None:
        self.up = True
        self.world = world
        self.poller = AccountPoller(
            world.reader,
            world.ledger,
            world.clock,
            world.bus.settle,
            streamed=lambda: self.up,
            why=lambda: "fills is backing_off",
        )

    def doubt(self) -> None:
        self.poller.doubted()
        self.world.bus.post(AccountDoubted(self.world.clock.now_ms(), "a test"))

    def goes(self) -> None:
        self.up = False
        self.doubt()

    def comes(self) -> None:
        self.up = True
        self.doubt()

    async def agree(self) -> None:
        now_ms = self.world.clock.exchange_now_ms()
        await self.world.bus.settle(AccountAgreed(now_ms, now_ms, (), 0, 0))


async def test_a_short_interruption_restricts_nothing(autojump_clock, nursery):
    """Away for less than `PRIVATE_AWAY_S`, again and again: nothing is placed and nothing read."""
    async with account_world() as world:
        stream = Stream(world)
        nursery.start_soon(stream.poller.run)
        reads = world.link.asked("GET", AS_OF)
        for _ in range(10):
            stream.up = False
            await trio.sleep(limits.PRIVATE_AWAY_S - 2 * limits.LEVEL_CHECK_S)
            stream.up = True
            await trio.sleep(1)
        assert (world.link.asked("GET", AS_OF) - reads, world.ledger.restrictions) == (0, ())
        nursery.cancel_scope.cancel()


async def test_it_reads_at_its_pace_under_the_restriction(autojump_clock, nursery):
    """Never fresh without the restriction; then all the while, and what was filled meanwhile is booked."""
    async with account_world(lag_ms=360) as world:
        stream = Stream(world)
        nursery.start_soon(stream.poller.run)
        order = await world.order(A, BookSide.BID, 40, 2)
        stream.goes()
        world.crowd(A, BookSide.ASK, 40, 2)
        await trio.sleep(limits.PRIVATE_AWAY_S - limits.LEVEL_CHECK_S)
        assert (stream.poller.active, stream.poller.fresh) == (False, False)
        await trio.sleep(3 * limits.LEVEL_CHECK_S)
        assert stream.poller.fresh
        assert [(each.kind.value, each.cause) for each in world.ledger.restrictions] == [
            ("private_polled", "fills is backing_off")
        ]
        reads = world.link.asked("GET", AS_OF)
        for _ in range(600):
            await trio.sleep(0.1)
            assert stream.poller.fresh
        assert world.link.asked("GET", AS_OF) - reads == pytest.approx(60 / limits.PRIVATE_POLL_S, abs=1)
        assert world.state(order) == "filled"
        assert world.exact
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fault", [HANGS, UNAVAILABLE], ids=["hangs", "503"])
async def test_a_read_counts_for_a_while_only(autojump_clock, nursery, fault):
    """Reads that fail: fresh until `PRIVATE_AGE_MAX_S` after the last one began, and again with the next."""
    async with account_world() as world:
        stream = Stream(world)
        nursery.start_soon(stream.poller.run)
        stream.goes()
        await trio.sleep(limits.PRIVATE_AWAY_S + 1)
        assert stream.poller.fresh
        world.fail("GET", AS_OF, fault)
        await trio.sleep(limits.PRIVATE_AGE_MAX_S)
        assert not stream.poller.fresh
        await trio.sleep(60)
        assert stream.poller.counts["failed"] > 0
        assert stream.poller.detail
        world.mend()
        await trio.sleep(20)
        assert stream.poller.fresh
        assert stream.poller.detail == ""
        nursery.cancel_scope.cancel()


async def test_it_ends_with_a_read_of_after_the_last_doubt_and_an_agreement(autojump_clock, nursery):
    """Streamed again: neither agreement alone ends it, nor a read that is as of before; a second return counts anew."""
    async with account_world(lag_ms=3_000) as world:
        stream = Stream(world)
        nursery.start_soon(stream.poller.run)
        stream.goes()
        await trio.sleep(10)
        stream.comes()
        await trio.sleep(1)
        await stream.agree()
        assert [each.cause for each in world.ledger.restrictions] == [RETURNED]
        stream.goes()
        stream.comes()
        await stream.agree()
        await trio.sleep(3.2)
        assert world.ledger.restricted
        await trio.sleep(3)
        assert not world.ledger.restricted
        assert not stream.poller.active
        stream.goes()
        await trio.sleep(10)
        stream.comes()
        await trio.sleep(30)
        assert world.ledger.restricted  # nobody agrees
        await stream.agree()
        await trio.sleep(2)
        assert not world.ledger.restricted
        await world.told()
        assert len(world.of(RestrictionLifted)) == stream.poller.counts["outages"] == 2
        assert [each.cause for each in world.of(RestrictionPlaced)] == ["fills is backing_off", RETURNED] * 2
        nursery.cancel_scope.cancel()


async def test_it_asks_seldom_where_access_is_refused(autojump_clock, nursery):
    """As the sync does: a person has to mend the key."""
    async with account_world() as world:
        stream = Stream(world)
        nursery.start_soon(stream.poller.run)
        await world.place_hold(HoldKind.ACCESS)
        stream.goes()
        await trio.sleep(10)
        reads = world.link.asked("GET", AS_OF)
        await trio.sleep(60)
        assert world.link.asked("GET", AS_OF) - reads == pytest.approx(60 / limits.HELD_SYNC_S, abs=1)
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------------- the whole daemon


def private_away(site) -> None:
    """The streams end, and fills and orders are not to be subscribed again."""
    for channel in ("fill", "user_orders"):
        site.world.server.faults.add(parse_fault(f"refused:27:subscribe:{channel}"))
    site.world.server.drop_streams()


def take(site, taker, record) -> None:
    """Somebody sells into the book, a contract at a time, until one was an order of ours."""
    spec, before = record.spec, len(site.account.fills)
    order = NewOrder(spec.market, BookSide.ASK, spec.price, CONTRACT, TimeInForce.IMMEDIATE_OR_CANCEL)
    for _ in range(10_000):
        site.exchange.create_order(taker, order)
        if len(site.account.fills) > before:
            return
    raise AssertionError("it is not filled")


async def join(running, site) -> None:
    """Trading, with an order of five contracts at each best bid."""
    await running.until("trading.normal")
    for market in (A, B):
        price = site.exchange.best(market, BookSide.BID)
        running.parts.bus.post(evolve(proposal(market, count=5), price=price))
    await running.until(lambda: sum(record.rests for record in running.ledger.live()) == 2, 5)


def reduction(running, site) -> ProposeOrder | None:
    """An order that takes one contract off a position, where somebody is there to take it."""
    for market, position in running.ledger.positions.items():
        side = BookSide.ASK if position.count > 0 else BookSide.BID
        price = site.exchange.best(market, side.opposite)
        if abs(position.count) >= CONTRACT and price is not None:
            return evolve(
                proposal(market, side, 50, 1),
                price=price,
                reduces=True,
                post_only=False,
                time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
            )
    return None


@pytest.mark.parametrize(("seed", "minutes"), [(1, 10), (2, 2), (3, 2)])
async def test_minutes_without_the_accounts_stream(autojump_clock, seed, minutes):
    """Orders of ours are filled and reductions are sent meanwhile: never recovering, nothing increases, every fill is
    booked within a read, and at the end both accounts are one.
    """
    async with exchange_site(LATE, seed) as site:
        running, taker = site.start(FEW), site.exchange.open_crowd_account()
        sent = []
        await join(running, site)
        site.fail(("DELETE", "", TOO_MANY))
        private_away(site)
        await running.until("trading.reducing", 4)
        running.parts.bus.listen(lambda news: sent.append(news.fact) if isinstance(news.fact, OrderSent) else None)
        for record in running.ledger.live():
            take(site, taker, record)
        await trio.sleep(limits.PRIVATE_POLL_S + 0.5)
        assert running.audit.look()
        site.mend()
        for _ in range(minutes):
            await trio.sleep(55)
            assert running.in_state("trading.reducing")
            if (order := reduction(running, site)) is not None:
                running.parts.bus.post(order)
            await trio.sleep(limits.PRIVATE_POLL_S + 0.5)
            assert running.audit.look()
        assert sent
        assert all(running.ledger.orders[fact.client_order_id].spec.reduce_only for fact in sent)
        site.world.server.faults.clear()
        await running.until("trading.normal", limits.REFUSED_COMMAND_S[1] + 5)
        assert [state for state in running.states() if state.startswith(("recovering", "paused"))] == []
        assert await running.stop() == 0
        running.audit.conclude()
        assert running.parts.invariants.violated == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_filled_while_the_stream_returns_is_booked_before_anything_increases(autojump_clock, seed):
    """Streams away for half a minute, and an order of ours filled in the moment before fills are streamed again: when
    the restriction goes it is booked, though reads lag by a second.
    """
    async with exchange_site(LATE, seed) as site:
        running, taker = site.start(FEW), site.exchange.open_crowd_account()
        await join(running, site)
        site.fail(("GET", STREAM, NEVER_ARRIVES), ("DELETE", "", TOO_MANY))
        site.world.server.drop_streams()
        await running.until("trading.reducing", 4)
        away: list[int] = []

        def lifted(news) -> None:
            if isinstance(news.fact, RestrictionLifted) and news.fact.restriction is RestrictionKind.PRIVATE_POLLED:
                away.append(len(site.account.fills) - running.ledger.fills_booked)

        running.parts.bus.listen(lifted)
        await trio.sleep(30)
        site.fail(("DELETE", "", TOO_MANY))
        take(site, taker, next(record for record in running.ledger.live() if record.rests))
        running.parts.coordinator.retry()
        await running.until(lambda: running.parts.coordinator.live(Role.FILLS), 0.5)
        assert not running.audit.look()
        await running.until("trading.normal", 30)
        assert away == [0]
        site.mend()
        assert await running.stop() == 0
        running.audit.conclude()
        assert running.parts.invariants.violated == []


async def test_an_account_that_cannot_be_read_either_is_recovered(autojump_clock):
    """No stream and no fills by REST: recovering, as ever; reads alone lead back to reductions, the stream to all."""
    async with exchange_site(QUIET) as site:
        running = site.start(FEW)
        await running.until("trading.normal")
        site.fail(("GET", "/portfolio/fills", UNAVAILABLE))
        private_away(site)
        await running.until("recovering", limits.PRIVATE_AWAY_S + limits.FEEDS_LOST_S + 1)
        await trio.sleep(60)
        assert running.in_state("recovering")
        assert "503" in next(e.cause for e in running.daemon.surface.degradations() if e.kind is Degraded.PRIVATE_FEED)
        site.mend()
        await running.until("trading.reducing", 120)
        site.world.server.faults.clear()
        await running.until("trading.normal", 120)
        assert await running.stop() == 0
        assert running.parts.invariants.violated == []


async def test_a_start_without_any_stream_trades_on_what_is_read(autojump_clock):
    """Upgrades refused from the first: books and account by REST, reductions only, within seconds; then normal."""
    async with exchange_site(QUIET) as site:
        site.fail(("GET", STREAM, NEVER_ARRIVES))
        running = site.start(FEW)
        await running.until("trading.reducing", 10)
        assert [each.kind.value for each in running.ledger.restrictions] == ["private_polled", "polled_books"]
        assert running.states().count("recovering") == 0
        await trio.sleep(120)
        assert running.in_state("trading.reducing")
        site.mend()
        await running.until("trading.normal", 60)
        assert running.ledger.restrictions == ()
        assert await running.stop() == 0
        running.audit.conclude()
        assert running.parts.invariants.violated == []
