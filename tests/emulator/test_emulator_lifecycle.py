"""Markets at the emulated exchange: their life by the clock, halts, pauses, results and payment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from small_exchange import ASK, BID, IOC, START_MS, TICKER, World, listing

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.amendments import Amendment
from kalshi_daemon.emulator.events import EventFeesChanged, EventListed, MarketMoved, PositionChanged
from kalshi_daemon.emulator.model import (
    MarketStatus,
    MarketType,
    NewOrder,
    OrderStatus,
    Settlement,
    UpdateReason,
)
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.units import DOLLAR, FeeType, TimeInForce


def events(world: World) -> list[tuple[str, MarketStatus]]:
    return [(event.event, event.market.status) for event in world.said(MarketMoved)]


def refused_code(world: World, account: Account) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        world.exchange.create_order(account, NewOrder(TICKER, BID, 100, 100, TimeInForce.GOOD_TILL_CANCELED))
    return refused.value.status, refused.value.code


def test_a_market_lives_by_the_clock() -> None:
    """Created, opened and closed without an event, determined as planned, paid after its timer."""
    world = World()
    world.list_market(
        open_ms=START_MS + 1_000,
        close_ms=START_MS + 10_000,
        planned_result="yes",
        determination_delay_ms=500,
        settlement_timer_ms=2_000,
    )
    member = world.member("m")
    assert refused_code(world, member) == (409, "MARKET_INACTIVE")
    for until in (1_000, 10_000, 10_500, 12_500):
        world.now_ms = START_MS + until
        assert world.exchange.next_due_ms == world.now_ms
        world.exchange.advance()
    assert world.exchange.next_due_ms is None
    assert events(world) == [
        ("created", MarketStatus.INITIALIZED),
        ("", MarketStatus.ACTIVE),
        ("", MarketStatus.CLOSED),
        ("determined", MarketStatus.DETERMINED),
        ("settled", MarketStatus.FINALIZED),
    ]
    market = world.exchange.market(TICKER)
    assert (market.result, market.settlement_value) == ("yes", 10_000)
    assert (market.determined_ms, market.settled_ms) == (START_MS + 10_500, START_MS + 12_500)


def test_a_close_takes_the_orders_and_refuses_everything() -> None:
    """Resting orders go with their reason; afterwards even a cancel is refused."""
    world = listing(close_ms=START_MS + 10_000)
    member = world.member("m")
    placed = world.place(member, BID, 100, 100)
    world.pass_time(10_000)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.reason) == (OrderStatus.CANCELED, UpdateReason.CLOSE_CANCEL)
    assert refused_code(world, member) == (409, "MARKET_INACTIVE")
    with pytest.raises(Refused) as refused:
        world.exchange.cancel_order(member, placed.order_id, TICKER)
    assert refused.value.code == "MARKET_INACTIVE"


def test_a_halt_keeps_orders_and_its_end_takes_them() -> None:
    """While halted: no orders, cancels pass, only orders that asked for it are gone; activated: all are."""
    world = listing()
    member = world.member("m")
    wary, kept, given_up = (
        world.place(member, BID, price, 100, cancel_on_pause=price == 100).order_id for price in (100, 200, 300)
    )
    world.exchange.halt(TICKER)
    assert refused_code(world, member) == (409, "trading_is_paused")
    assert world.exchange.trading_active
    assert world.exchange.cancel_order(member, given_up, TICKER).reduced_by == 100
    assert world.exchange.book(TICKER).yes == ((200, 100),)
    world.exchange.resume(TICKER)
    assert world.exchange.book(TICKER).yes == ()
    reasons = {order.order_id: order.reason for order in world.exchange.orders(member)}
    halted = UpdateReason.HALT_CANCEL
    assert reasons == {wary: halted, kept: halted, given_up: UpdateReason.NONE}
    assert [event for event, _ in events(world)] == ["created", "", "deactivated", "activated"]
    assert world.place(member, BID, 100, 100).remaining == 100


def test_a_trading_pause_covers_every_market() -> None:
    """No orders, cancels pass, resting orders stay unless they asked to go, also after it ends."""
    world = listing()
    member = world.member("m")
    world.place(member, BID, 100, 100, cancel_on_pause=True)
    kept = world.place(member, BID, 200, 100).order_id
    world.exchange.pause_trading()
    assert refused_code(world, member) == (409, "trading_is_paused")
    assert not world.exchange.trading_active
    world.exchange.resume_trading()
    assert world.exchange.book(TICKER).yes == ((200, 100),)
    assert world.exchange.cancel_order(member, kept, TICKER).reduced_by == 100


@pytest.mark.parametrize(
    ("result", "value", "shown", "worth"),
    [
        ("yes", None, "yes", 10_000),
        ("no", None, "no", 0),
        ("scalar", 3_333, "scalar", 3_333),
        ("void", None, "scalar", 6_000),
        ("void", 4_200, "scalar", 4_200),
    ],
)
def test_each_result_pays_both_sides(result: str, value: int | None, shown: str, worth: int) -> None:
    """Long 3 at 60 against short 3: paid by the YES leg's worth, to whole grains; records, P&L and cash agree."""
    world = listing(settlement_timer_ms=5_000)
    maker, taker = world.member("maker"), world.member("t")
    world.place(maker, ASK, 6_000, 333)
    world.place(taker, BID, 6_000, 333, IOC)
    (fill,) = world.exchange.fills(taker)
    world.exchange.settle(TICKER, result, value)
    assert world.exchange.market(TICKER).status is MarketStatus.DETERMINED
    assert world.exchange.settlements(taker) == []
    world.pass_time(5_000)
    (long,), (short,) = world.exchange.settlements(taker), world.exchange.settlements(maker)
    paid, counterpaid = 333 * worth, 333 * (10_000 - worth)
    dust, counterdust = paid % 100, counterpaid % 100
    assert long == Settlement(
        market=TICKER,
        event="TEST-ONE",
        result=shown,
        value=worth,
        yes_count=333,
        yes_cost=333 * 6_000,
        no_count=0,
        no_cost=0,
        revenue=paid - dust,
        fees=fill.fee,
        ts_ms=START_MS + 5_000,
        exchange_index=0,
    )
    assert (short.no_count, short.no_cost, short.revenue) == (333, 333 * 4_000, counterpaid - counterdust)
    assert taker.cash[0] == 1_000 * DOLLAR - 333 * 6_000 - fill.fee + paid - dust
    assert maker.cash[0] == 1_000 * DOLLAR - 333 * 4_000 + counterpaid - counterdust
    (position,) = world.exchange.positions(taker)
    assert (position.count, position.cost, position.realised) == (0, 0, paid - dust - 333 * 6_000)
    assert position.settled
    assert world.said(PositionChanged)[-1].position.settled


def test_settling_an_open_market_closes_it_first() -> None:
    """The exchange says the new closing time, then the result; orders are gone by then."""
    world = listing()
    member = world.member("m")
    world.place(member, BID, 100, 100)
    world.pass_time(1_000)
    world.exchange.settle(TICKER, "no")
    assert events(world)[2:] == [
        ("close_date_updated", MarketStatus.ACTIVE),
        ("", MarketStatus.CLOSED),
        ("determined", MarketStatus.DETERMINED),
    ]
    assert world.exchange.market(TICKER).close_ms == START_MS + 1_000
    assert world.exchange.book(TICKER).yes == ()


def test_a_close_can_move_both_ways() -> None:
    """Earlier closes at once; later re-opens to a halt, which `resume` ends."""
    world = listing(close_ms=START_MS + 60_000)
    world.exchange.move_close(TICKER, START_MS)
    assert world.exchange.market(TICKER).status is MarketStatus.CLOSED
    world.exchange.move_close(TICKER, START_MS + 90_000)
    assert world.exchange.market(TICKER).status is MarketStatus.INACTIVE
    world.exchange.resume(TICKER)
    world.pass_time(89_999)
    assert world.exchange.market(TICKER).status is MarketStatus.ACTIVE
    world.pass_time(1)
    assert world.exchange.market(TICKER).status is MarketStatus.CLOSED


def test_reads_of_an_unknown_market_are_refused() -> None:
    """market_not_found, for each read that names a market."""
    exchange = listing().exchange
    for read in (exchange.market, exchange.book, exchange.figures, exchange.trades):
        with pytest.raises(Refused) as refused:
            read("NO-SUCH-X")
        assert (refused.value.status, refused.value.code) == (404, "market_not_found")


def test_a_disputed_result_waits_and_is_amended() -> None:
    """No payment while it is disputed; the amended result is told, and is paid after a whole timer of its own."""
    world = listing(settlement_timer_ms=5_000)
    maker, taker = world.member("maker"), world.member("t")
    world.place(maker, ASK, 6_000, 100)
    world.place(taker, BID, 6_000, 100, IOC)
    world.exchange.settle(TICKER, "yes")
    world.pass_time(4_000)
    world.exchange.dispute(TICKER)
    world.pass_time(60_000)
    assert world.exchange.market(TICKER).status is MarketStatus.DISPUTED
    assert world.exchange.settlements(taker) == []
    world.exchange.amend_result(TICKER, "no")
    world.pass_time(4_999)
    assert world.exchange.market(TICKER).status is MarketStatus.AMENDED
    world.pass_time(1)
    assert [record.result for record in world.exchange.settlements(taker)] == ["no"]
    assert world.exchange.settlements(taker)[0].revenue == 0
    assert world.exchange.settlements(maker)[0].revenue == DOLLAR
    assert events(world)[-4:] == [
        ("determined", MarketStatus.DETERMINED),
        ("", MarketStatus.DISPUTED),
        ("determined", MarketStatus.AMENDED),
        ("settled", MarketStatus.FINALIZED),
    ]


def test_a_result_can_be_amended_undisputed() -> None:
    """Within the timer; once it is paid, or before there is a result, it cannot."""
    world = listing(settlement_timer_ms=5_000)
    with pytest.raises(AssertionError):
        world.exchange.amend_result(TICKER, "no")
    world.exchange.settle(TICKER, "yes")
    world.exchange.amend_result(TICKER, "no")
    world.pass_time(5_000)
    with pytest.raises(AssertionError):
        world.exchange.amend_result(TICKER, "yes")
    with pytest.raises(AssertionError):
        world.exchange.dispute(TICKER)


def test_a_grid_changes_under_resting_orders() -> None:
    """To a finer grid: what rests stays, half a cent becomes a price at once; to a coarser one is a mistake."""
    world = listing()
    member = world.member("m")
    kept = world.place(member, BID, 4_000, 100).order_id
    with pytest.raises(Refused):
        world.place(member, BID, 450, 100)
    world.exchange.change_grid(TICKER, "center_whole_edge_half_cent")
    assert world.place(member, BID, 450, 100).remaining == 100
    with pytest.raises(Refused):
        world.place(member, BID, 4_050, 100)
    assert world.exchange.order(member, kept).status is OrderStatus.RESTING
    assert events(world)[-1] == ("price_level_structure_updated", MarketStatus.ACTIVE)
    with pytest.raises(AssertionError):
        world.exchange.change_grid(TICKER, "linear_cent")


def test_a_scalar_market_settles_in_between() -> None:
    """By its plan, at the value that goes with it; a void one never below its floor."""
    world = listing(
        market_type=MarketType.SCALAR, planned_result="scalar", planned_value=3_700, settlement_timer_ms=1_000
    )
    maker, taker = world.member("maker"), world.member("t")
    world.place(maker, ASK, 6_000, 100)
    world.place(taker, BID, 6_000, 100, IOC)
    world.exchange.move_close(TICKER, world.now_ms + 1_000)
    world.pass_time(1_000)
    market = world.exchange.market(TICKER)
    assert (market.status, market.result, market.settlement_value) == (MarketStatus.DETERMINED, "scalar", 3_700)
    world.pass_time(1_000)
    assert world.exchange.settlements(taker)[0].revenue == 100 * 3_700
    world.list_market("TEST-TWO-A", market_type=MarketType.SCALAR, floor=8_000)
    world.exchange.settle("TEST-TWO-A", "void")
    assert world.exchange.market("TEST-TWO-A").settlement_value == 8_000


def test_an_amendment_stays_above_the_floor() -> None:
    """An order that rests cannot be moved below it, on either side."""
    world = listing(floor=2_500)
    member = world.member("m")
    for side, price in ((BID, 2_500), (ASK, 2_600)):
        order = world.place(member, side, price, 100)
        with pytest.raises(Refused, match="invalid price"):
            world.exchange.amend_order(member, order.order_id, Amendment(TICKER, side, 2_400, 100))
        assert world.exchange.rests(order.order_id)


def two_markets() -> tuple[World, Callable[..., list[int]]]:
    """Markets of two events, and what the maker and the taker of a hundred contracts at 50 cents pay in one of them."""
    world = listing()
    world.list_market("TEST-TWO-A")
    maker, taker = world.member("maker"), world.member("t")

    def fees(ticker: str = TICKER) -> list[int]:
        for account, side in ((maker, ASK), (taker, BID)):
            world.place(account, side, 5_000, 10_000, market=ticker)
        return [world.exchange.fills(account)[0].fee for account in (maker, taker)]

    return world, fees


def test_an_event_can_have_fees_of_its_own() -> None:
    """They hold for its markets, present and later, from the override until it is cleared; others pay the series'."""
    world, fees = two_markets()
    assert fees() == [0, 1_750_000]
    world.exchange.override_fees("TEST-ONE", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
    world.list_market("TEST-ONE-LATE")
    assert fees() == fees("TEST-ONE-LATE") == [218_800, 875_000]
    assert fees("TEST-TWO-A") == [0, 1_750_000]
    world.exchange.override_fees("TEST-ONE", None, None)
    assert fees() == [0, 1_750_000]
    assert [(told.event.fee_type, told.event.multiplier_ppm) for told in world.said(EventFeesChanged)] == [
        (FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000),
        (None, None),
    ]
    assert [told.event.ticker for told in world.said(EventListed)] == ["TEST-ONE", "TEST-TWO"]


def test_a_series_changes_its_fees_when_it_was_announced() -> None:
    """Its events' own fees outrank the new ones field by field; no stream is told; a waived market charges nothing."""
    world, fees = two_markets()
    world.exchange.override_fees("TEST-TWO", None, 500_000)
    due_ms = world.now_ms + 60_000
    world.exchange.change_series_fees("TEST", FeeType.QUADRATIC_WITH_MAKER_FEES, 2_000_000, due_ms)
    world.exchange.override_fees("TEST-ONE", FeeType.QUADRATIC, None, due_ms + 1)
    assert (fees(), fees("TEST-TWO-A")) == ([0, 1_750_000], [0, 875_000])
    world.pass_time(60_000)
    assert (fees(), fees("TEST-TWO-A")) == ([875_000, 3_500_000], [218_800, 875_000])
    world.pass_time(1)
    assert fees() == [0, 3_500_000]
    assert [told.event.ticker for told in world.said(EventFeesChanged)] == ["TEST-TWO", "TEST-ONE"]
    world.exchange.waive_fees("TEST-TWO-A", world.now_ms + 1)
    assert fees("TEST-TWO-A") == [0, 0]
    world.pass_time(1)
    assert fees("TEST-TWO-A") == [218_800, 875_000]
