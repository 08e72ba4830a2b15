"""When the exchange is open: Thursday's pause, pauses of a shard, of everything, and maintenance."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import trio
from emulator_world import V2 as ORDERS
from emulator_world import A, ask, heard, now_ms, part, world
from small_exchange import BID, START_MS, TICKER, World
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.hours import weekly_pause
from kalshi_daemon.emulator.model import ExchangeSettings, MarketStatus, NewOrder, OrderStatus, UpdateReason
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.units import BookSide, TimeInForce

EASTERN = ZoneInfo("America/New_York")
HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS


def eastern(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=EASTERN).timestamp() * 1_000)


def answer(world: World, account: Account, ticker: str = TICKER) -> str:
    """What becomes of a new order: its code where it is refused."""
    try:
        world.exchange.create_order(account, NewOrder(ticker, BID, 100, 100, TimeInForce.GOOD_TILL_CANCELED))
    except Refused as refused:
        return refused.code
    return "placed"


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ("2026-11-18T12:00", "2026-11-19T03:00", "2026-11-19T05:00"),  # the day before
        ("2026-11-19T02:59:59.999", "2026-11-19T03:00", "2026-11-19T05:00"),
        ("2026-11-19T03:00", "2026-11-19T03:00", "2026-11-19T05:00"),
        ("2026-11-19T04:59:59.999", "2026-11-19T03:00", "2026-11-19T05:00"),
        ("2026-11-19T05:00", "2026-11-26T03:00", "2026-11-26T05:00"),
        ("2026-03-05T06:00", "2026-03-12T03:00", "2026-03-12T05:00"),  # clocks go forward on the 8th
        ("2026-10-29T06:00", "2026-11-05T03:00", "2026-11-05T05:00"),  # and back on the 1st
    ],
)
def test_the_pause_is_thursdays_by_new_york(now: str, begins: str, ends: str) -> None:
    """The one that is on, or the next; in local time whatever the season."""
    assert weekly_pause(eastern(now)) == (eastern(begins), eastern(ends))


def test_every_week_of_two_years_has_one_pause_of_two_hours() -> None:
    """From one pause to the next it is a week, but for the hour of a change of clocks."""
    at, gaps = START_MS, set()
    for _ in range(104):
        begins, ends = weekly_pause(at)
        assert ends - begins == 2 * HOUR_MS
        assert datetime.fromtimestamp(begins / 1_000, EASTERN).strftime("%a %H:%M") == "Thu 03:00"
        gaps.add(weekly_pause(ends)[0] - begins)
        at = ends
    assert gaps == {WEEK_MS - HOUR_MS, WEEK_MS, WEEK_MS + HOUR_MS}


def test_trading_pauses_and_goes_on_by_the_clock() -> None:
    """At three no orders, cancels pass, only wary orders go; at five all is as before; so every week."""
    world = World(ExchangeSettings(weekly_pause=True), now_ms=eastern("2026-11-19T02:00"))
    world.list_market(close_ms=eastern("2027-11-19T02:00"))
    member = world.member("m")
    wary, kept, given_up = (
        world.place(member, BID, price, 100, cancel_on_pause=price == 200).order_id for price in (200, 300, 400)
    )
    world.pass_time(HOUR_MS - 1)
    assert answer(world, member) == "placed"
    world.pass_time(1)
    assert answer(world, member) == "trading_is_paused"
    assert world.exchange.market(TICKER).status is MarketStatus.ACTIVE
    assert world.exchange.cancel_order(member, given_up, TICKER).reduced_by == 100
    gone, stays = world.exchange.order(member, wary), world.exchange.order(member, kept)
    assert (gone.status, gone.reason, stays.status) == (
        OrderStatus.CANCELED,
        UpdateReason.HALT_CANCEL,
        OrderStatus.RESTING,
    )
    world.pass_time(2 * HOUR_MS - 1)
    assert answer(world, member) == "trading_is_paused"
    world.pass_time(1)
    assert answer(world, member) == "placed"
    world.now_ms = eastern("2026-11-26T04:00")
    assert answer(world, member) == "trading_is_paused"
    world.now_ms = eastern("2026-12-24T12:00")  # four weeks that nobody looked at
    assert answer(world, member) == "placed"
    assert world.exchange.next_due_ms == eastern("2026-12-31T03:00")


def test_an_exchange_can_begin_within_the_pause() -> None:
    """Begun on a Thursday at four it is paused; without the setting it never is."""
    for paused, code in ((True, "trading_is_paused"), (False, "placed")):
        world = World(ExchangeSettings(weekly_pause=paused), now_ms=eastern("2026-11-19T04:00"))
        world.list_market()
        assert answer(world, world.member("m")) == code


def test_a_shard_pauses_for_itself() -> None:
    """Orders of the paused shard wait, and its wary ones go; another shard trades on; reasons end one by one."""
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    world.list_market()
    world.list_market("OTHER-TWO-B", exchange_index=2)
    member = world.member("m")
    world.exchange.deposit(member, 100_000_000, 2)
    for ticker in (TICKER, "OTHER-TWO-B"):
        world.place(member, BID, 200, 100, market=ticker, cancel_on_pause=True)
    world.exchange.pause_trading(2)
    assert (answer(world, member), answer(world, member, "OTHER-TWO-B")) == ("placed", "trading_is_paused")
    assert [order.market for order in world.exchange.orders(member, status=OrderStatus.CANCELED)] == ["OTHER-TWO-B"]
    assert world.exchange.trading_active
    world.exchange.pause_trading()
    world.exchange.resume_trading()
    assert (answer(world, member), answer(world, member, "OTHER-TWO-B")) == ("placed", "trading_is_paused")
    world.exchange.resume_trading(2)
    assert answer(world, member, "OTHER-TWO-B") == "placed"


def test_while_the_exchange_is_paused_nothing_changes() -> None:
    """No order, no cancel, not of one nor of all; what rests is there afterwards."""
    world = World()
    world.list_market()
    member = world.member("m")
    resting = world.place(member, BID, 200, 100).order_id
    world.exchange.stop()
    assert answer(world, member) == "exchange_is_paused"
    for cancel in (
        lambda: world.exchange.cancel_order(member, resting, TICKER),
        lambda: world.exchange.cancel_all(member),
    ):
        with pytest.raises(Refused) as refused:
            cancel()
        assert (refused.value.status, refused.value.code) == (409, "exchange_is_paused")
    world.exchange.start()
    assert world.exchange.cancel_order(member, resting, TICKER).reduced_by == 100


@pytest.mark.parametrize("halted", [False, True])
def test_a_recording_trades_with_nobody_in_a_pause(*, halted: bool) -> None:
    """A recorded level that meets an order neither fills it nor is shown against it; afterwards the next one does."""
    world = World()
    world.list_market()
    member = world.member("m")
    world.place(member, BID, 4_000, 200)
    world.exchange.halt(TICKER) if halted else world.exchange.pause_trading()
    world.exchange.set_recorded(TICKER, 6_000, 100, yes=False)
    assert world.exchange.fills(member) == []
    assert world.exchange.book(TICKER).no == ()
    if halted:
        world.exchange.resume(TICKER)  # which takes the order
        assert world.exchange.book(TICKER).no == ((6_000, 100),)
        return
    world.exchange.resume_trading()
    world.exchange.set_recorded(TICKER, 6_000, 150, yes=False)
    assert [fill.count for fill in world.exchange.fills(member)] == [50]


async def test_the_status_shows_what_is_open(autojump_clock: MockClock) -> None:
    """The flags of each shard, those of shard 0 at the top, and when the exchange will be back, if it says so."""
    rules = ExchangeSettings(exchange_indexes=(0, 2))
    async with world(exchange_settings=rules) as emulator:

        async def flags() -> list[tuple[object, object]]:
            body = await emulator.get("/exchange/status", signed=False)
            shards = body["exchange_index_statuses"]
            assert isinstance(shards, list)
            return [(one["exchange_active"], one["trading_active"]) for one in [body, *shards]]

        assert await flags() == [(True, True)] * 3
        emulator.exchange.pause_trading(2)
        assert await flags() == [(True, True), (True, True), (True, False)]
        emulator.exchange.pause_trading(0)
        assert await flags() == [(True, False), (True, False), (True, False)]
        emulator.exchange.stop(1_900_000_000_000)
        assert await flags() == [(False, False)] * 3
        body = await emulator.get("/exchange/status", signed=False)
        assert body["exchange_estimated_resume_time"] == "2030-03-17T17:46:40Z"
        assert (await emulator.create()).json["error"]["code"] == "exchange_is_paused"  # type: ignore[index]
        emulator.exchange.start()
        assert "exchange_estimated_resume_time" not in await emulator.get("/exchange/status", signed=False)


async def test_maintenance_answers_nothing_and_ends_streams(autojump_clock: MockClock) -> None:
    """503 for requests and handshakes, the status with its own body; streams end; by the clock it is over, and the
    clocks of the books begin anew."""
    async with world() as emulator:
        async with emulator.stream() as socket:
            emulator.trade(A, 3, side=BookSide.BID, cents=40)
            emulator.trade(A, 3, side=BookSide.BID, cents=41)
            await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
            emulator.exchange.begin_maintenance(now_ms() + 60_000)
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
        order = await emulator.ask("POST", ORDERS, {})
        assert (order.status, order.json) == (
            503,
            {"error": {"code": "service_unavailable", "message": "service unavailable"}},
        )
        assert (await emulator.ask("GET", "/trade-api/ws/v2")).status == 503
        status = await emulator.ask("GET", "/trade-api/v2/exchange/status", signed=False)
        assert (status.status, status.json["exchange_active"], status.json["trading_active"]) == (503, False, False)
        await trio.sleep(61)
        assert (await emulator.create()).status == 201
        async with emulator.stream() as socket:
            _, book = await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
            assert part(book, "msg")["clock"] == 1  # of the order just placed; before it was 2
            emulator.exchange.begin_maintenance()
            await trio.sleep(61)
            assert (await emulator.ask("GET", "/trade-api/v2/markets")).status == 503
            emulator.exchange.end_maintenance()
            assert (await emulator.ask("GET", "/trade-api/v2/markets")).status == 200


async def test_windows_that_overlap_last_to_the_last_end(autojump_clock: MockClock) -> None:
    """The second one lengthens what is on, by the status too; maintenance by word is not ended by their end."""
    async with world() as emulator:
        begins = now_ms()
        emulator.exchange.announce_maintenance(begins + 10_000, begins + 20_000)
        emulator.exchange.announce_maintenance(begins + 15_000, begins + 40_000)
        hours, told = emulator.exchange.hours, []
        for _ in range(9):
            told.append(None if hours.resume_ms is None else (hours.resume_ms - begins) // 1_000)
            await trio.sleep(5.1)
        assert told == [None, None, 20, 40, 40, 40, 40, 40, None]
        emulator.exchange.begin_maintenance()
        emulator.exchange.announce_maintenance(now_ms() + 1_000, now_ms() + 2_000)
        await trio.sleep(3)
        assert hours.maintenance
        emulator.exchange.end_maintenance()
        assert not hours.maintenance


async def test_a_crowd_lives_through_every_pause(autojump_clock: MockClock) -> None:
    """While nothing may change the crowd does nothing; afterwards it goes on."""
    async with world(crowd_seed=5) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
        emulator.exchange.stop()
        await heard(socket)
        await trio.sleep(20)
        assert await heard(socket) == []
        emulator.exchange.start()
        await trio.sleep(20)
        assert await heard(socket) != []
