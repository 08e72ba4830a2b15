"""Cash, positions, collateral and conservation of value in the emulated exchange."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_exchange import ASK, BID, FOK, GTC, IOC, TICKER, World, fees_paid, listing, rebuilt, wealth

from kalshi_daemon.emulator.accounts import Position
from kalshi_daemon.emulator.events import PositionChanged
from kalshi_daemon.emulator.model import (
    ExchangeSettings,
    NewOrder,
    SelfTradePrevention,
)
from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.units import DOLLAR, FEE_GRAIN, BookSide, FeeType, TimeInForce


def test_a_position_crosses_zero_in_two_parts() -> None:
    """Long 3 at 40, sold 5 at 60: the three close with their profit, two NO open at 40 cents each."""
    position = Position()
    assert position.book_fill(BID, 4_000, 300) == (-1_200_000, 300)
    assert position.book_fill(ASK, 6_000, 500) == (1_800_000 - 800_000, 200)
    assert (position.count, position.cost, position.realised) == (-200, 800_000, 600_000)
    assert position.book_fill(BID, 7_000, 200) == (600_000, 0)
    assert (position.count, position.cost, position.realised) == (0, 0, 400_000)


def test_cost_is_averaged_and_none_is_left_behind() -> None:
    """An uneven average is split without losing a micro-dollar."""
    position = Position()
    position.book_fill(BID, 3_334, 100)
    position.book_fill(BID, 5_001, 200)
    assert position.cost == 333_400 + 1_000_200
    position.book_fill(ASK, 4_000, 100)
    assert position.cost == 1_333_600 - 444_533  # a third, rounded down
    position.book_fill(ASK, 4_000, 200)
    assert (position.count, position.cost) == (0, 0)
    assert position.realised == 3 * 400_000 - 1_333_600


def test_a_fill_moves_cash_position_and_fee_of_both_sides() -> None:
    """Buyer pays price and taker fee, the maker opens NO at its complement; both are told with their position."""
    world = listing()
    maker, taker = world.member("maker"), world.member("taker")
    world.place(maker, ASK, 5_200, 500)
    placed = world.place(taker, BID, 9_900, 100, IOC)
    assert (placed.filled, placed.remaining, placed.average_price, placed.average_fee) == (100, 0, 5_200, 17_500)
    assert taker.cash[0] == 1_000 * DOLLAR - 520_000 - 17_500
    assert maker.cash[0] == 1_000 * DOLLAR - 480_000
    assert [(p.count, p.cost, p.fees) for p in world.exchange.positions(taker)] == [(100, 520_000, 17_500)]
    assert [(p.count, p.cost, p.fees) for p in world.exchange.positions(maker)] == [(-100, 480_000, 0)]
    changed = {event.account: event.position.count for event in world.said(PositionChanged)}
    assert changed == {maker.user_id: -100, taker.user_id: 100}
    assert world.exchange.figures(TICKER).open_interest == 100


def test_maker_fees_where_the_series_has_them() -> None:
    """With maker fees the resting side pays a quarter, on its own list and order."""
    world = listing(fee_type=FeeType.QUADRATIC_WITH_MAKER_FEES)
    maker, taker = world.member("maker"), world.member("taker")
    resting = world.place(maker, BID, 5_000, 10_000)
    world.place(taker, ASK, 5_000, 10_000, IOC)
    assert [fill.fee for fill in world.exchange.fills(maker)] == [437_500]
    assert [fill.fee for fill in world.exchange.fills(taker)] == [1_750_000]
    order = world.exchange.order(maker, resting.order_id)
    assert (order.maker_cost, order.maker_fees, order.taker_fees) == (50 * DOLLAR, 437_500, 0)


@pytest.mark.parametrize(("excludes", "shown"), [(True, 600), (False, 1_000)])
def test_both_readings_of_the_balance(excludes: bool, shown: int) -> None:
    """A resting order holds its cost; whether the shown balance leaves it out is a setting."""
    world = World(ExchangeSettings(balance_excludes_collateral=excludes))
    world.list_market()
    member = world.member("m")
    world.place(member, BID, 4_000, 100_000)
    balance = world.exchange.balance(member)
    assert balance.shown == ((0, shown * DOLLAR),)
    assert balance.cash == ((0, 1_000 * DOLLAR),)
    assert balance.collateral == ((0, 400 * DOLLAR),)


def test_closing_orders_hold_nothing() -> None:
    """Of an ask of 15 against 10 held, 5 cost; with two asks the better-priced is covered first."""
    world = listing()
    maker, member = world.member("maker"), world.member("m")
    world.place(maker, ASK, 5_000, 1_000)
    world.place(member, BID, 5_000, 1_000, IOC)
    world.place(member, ASK, 6_000, 1_500)
    assert world.exchange.balance(member).collateral == ((0, 500 * 4_000),)
    world.place(member, ASK, 5_500, 400)
    assert world.exchange.balance(member).collateral == ((0, 900 * 4_000),)


def test_portfolio_is_worth_its_last_trade() -> None:
    """Each side is worth what the last trade says: the NO side its complement."""
    world = listing()
    maker, taker = world.member("maker"), world.member("taker")
    world.place(maker, ASK, 5_000, 1_000)
    world.place(maker, ASK, 7_000, 100)
    world.place(taker, BID, 7_000, 1_100, IOC)
    assert world.exchange.balance(taker).portfolio_value == 1_100 * 7_000
    assert world.exchange.balance(maker).portfolio_value == 1_100 * 3_000


def test_fees_of_what_is_held_go_with_it() -> None:
    """A reduction takes its part of the entry's fees along and adds its own only to what was paid in all."""
    world = listing()
    maker, member = world.member("maker"), world.member("m")
    world.place(maker, ASK, 5_000, 400)
    world.place(member, BID, 5_000, 400, IOC)
    world.place(maker, BID, 5_000, 100)
    world.place(member, ASK, 5_000, 100, IOC)
    (position,) = world.exchange.positions(member)
    assert (position.count, position.fees, position.open_fees) == (300, 70_000 + 17_500, 52_500)


def test_money_is_enough_to_the_last_grain() -> None:
    """An order needs its cost at its limit and the taker's fee, beside all that rests there and on other markets, with
    the maker's fee."""
    world = listing(fee_type=FeeType.QUADRATIC_WITH_MAKER_FEES)
    world.list_market("TEST-ONE-B", fee_type=FeeType.QUADRATIC_WITH_MAKER_FEES)
    member = world.exchange.open_account("m", 40_000_000 + 420_000 + 50_000_000 + 1_750_000 - FEE_GRAIN)
    world.place(member, BID, 4_000, 10_000, market="TEST-ONE-B")
    with pytest.raises(Refused) as refused:
        world.place(member, ASK, 5_000, 10_000)
    assert refused.value.code == "insufficient_balance"
    world.exchange.deposit(member, FEE_GRAIN)
    assert world.place(member, ASK, 5_000, 10_000).remaining == 10_000


def test_cash_is_per_shard() -> None:
    """An order draws only on its market's shard, and a funded account can be too poor there."""
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    world.list_market(exchange_index=2)
    member = world.member("m", 500)
    with pytest.raises(Refused) as refused:
        world.place(member, BID, 5_000, 100)
    assert refused.value.code == "insufficient_balance"
    world.exchange.deposit(member, 10 * DOLLAR, 2)
    assert world.place(member, BID, 5_000, 100).remaining == 100
    assert world.exchange.balance(member).shown == ((0, 500 * DOLLAR), (2, 9_500_000))


ARRIVAL = st.tuples(
    st.integers(0, 2),
    st.sampled_from([BID, ASK]),
    st.sampled_from([30, 500, 1_000, 4_900, 5_000, 5_100, 9_500]),
    st.one_of(st.integers(1, 40).map(lambda n: n * 100), st.integers(1, 5_000)),
    st.sampled_from([GTC, GTC, IOC, FOK]),
    st.sampled_from(SelfTradePrevention),
    st.booleans(),
)
Arrival = tuple[int, BookSide, int, int, TimeInForce, SelfTradePrevention, bool]


@settings(max_examples=120, deadline=None)
@given(
    flow=st.lists(ARRIVAL, min_size=1, max_size=50),
    fee_type=st.sampled_from(FeeType),
    result=st.sampled_from(["yes", "no", "void"]),
)
def test_value_is_conserved_in_any_flow(flow: list[Arrival], fee_type: FeeType, result: str) -> None:
    """Whatever is placed: cash and positions of all, at any price of the YES leg, change by the fees alone; nobody goes
    below zero by more than rounding; the told levels add up to the book; settlement takes what the grain floors."""
    world = listing(structure="deci_cent", fee_type=fee_type)
    members = [world.member("rich", 500), world.member("poor", 3), world.member("middling", 60)]
    before = wealth(world, 0)
    for who, side, price, count, tif, prevention, withdraws in flow:
        order = NewOrder(TICKER, side, price, count, tif, prevention)
        with suppress(Refused):
            world.exchange.create_order(members[who], order)
        if withdraws:
            world.exchange.cancel_all(members[who])
        for value in (0, 3_700, 10_000):
            assert wealth(world, value) == before - fees_paid(world)
        for member in members:
            assert member.cash[0] >= -2 * FEE_GRAIN * len(member.fills)
            assert member.cash[0] % FEE_GRAIN == 0
            assert set(member.resting.get(TICKER, {})) <= set(world.exchange._venue.live)
    book = world.exchange.book(TICKER)
    yes, no = rebuilt(world.events)
    assert (dict(book.yes), dict(book.no)) == (yes, no)
    _settle_and_check(world, result, before)


def _settle_and_check(world: World, result: str, before: int) -> None:
    held = sum(max(0, member.count(TICKER)) for member in world.exchange.accounts.values())
    assert world.exchange.figures(TICKER).open_interest == held
    world.exchange.settle(TICKER, result)
    value = world.exchange.market(TICKER).settlement_value
    assert value is not None
    floored = sum(member.position(TICKER).worth(value) % FEE_GRAIN for member in world.exchange.accounts.values())
    world.pass_time(60_000)
    assert wealth(world, 0) == before - fees_paid(world) - floored
    assert all(member.count(TICKER) == 0 for member in world.exchange.accounts.values())
    assert world.exchange.book(TICKER).yes == ()


def test_fees_are_the_only_loss_of_a_round_trip() -> None:
    """Bought and sold a hundredth of a cent apart: gone are that and the two fees, which report what rounding took."""
    world = listing(structure="center_centi_edge_centi_cent")
    maker, member = world.member("maker"), world.member("m")
    world.place(maker, ASK, 505, 333)
    world.place(maker, BID, 504, 333)
    world.place(member, BID, 505, 333, IOC)
    world.place(member, ASK, 504, 333, IOC)
    fees = [fill.fee for fill in world.exchange.fills(member)]
    assert member.cash[0] == 1_000 * DOLLAR - 333 - sum(fees)
    assert world.exchange.positions(member)[0].realised == -333
    assert [fee % FEE_GRAIN for fee in fees] == [32, 35]  # newest first


def test_orders_of_the_crowd_are_free_and_silent() -> None:
    """A crowd account trades without fee, without limit and without private events."""
    world = listing(fee_type=FeeType.QUADRATIC_WITH_MAKER_FEES)
    crowd, member = world.exchange.open_crowd_account(), world.member("m")
    world.place(crowd, ASK, 5_000, 10_000)
    world.place(member, BID, 5_000, 100, IOC)
    assert crowd.cash[0] == -500_000
    assert (crowd.fills, crowd.orders) == ([], {})
    assert {getattr(event, "account", "") for event in world.events} == {"", member.user_id, crowd.user_id}
    assert {event.account for event in world.said(PositionChanged)} == {member.user_id}
