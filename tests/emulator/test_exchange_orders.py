"""Orders at the emulated exchange: every answer that the exchange is known to give, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from small_exchange import ASK, BID, FOK, GTC, IOC, START_MS, TICKER, World, listing

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.events import Filled, LevelChanged, OrderUpdated
from kalshi_daemon.emulator.exchange import Exchange
from kalshi_daemon.emulator.model import (
    ExchangeSettings,
    NewOrder,
    OrderStatus,
    SelfTradePrevention,
    UpdateReason,
)
from kalshi_daemon.emulator.refusals import ErrorShape, Refused
from kalshi_daemon.units import BookSide, TimeInForce

RECORDED = Path(__file__).parents[3] / "shared" / "kalshi" / "recordings" / "demo-2026-06-11"
LATER_S = START_MS // 1_000 + 60


def refusal(world: World, account: Account, **changes: Any) -> Refused:
    """What the exchange answers to a sound order with some changes; it must leave no trace."""
    exchange: Exchange = world.exchange
    before = (len(world.events), exchange.orders(account), exchange.balance(account))
    order = evolve(NewOrder(TICKER, BID, 5_000, 100, GTC), **changes)
    with pytest.raises(Refused) as refused:
        exchange.create_order(account, order)
    assert (len(world.events), exchange.orders(account), exchange.balance(account)) == before
    return refused.value


@pytest.mark.parametrize(
    ("changes", "status", "code", "details"),
    [
        ({"market": "NO-SUCH-X"}, 404, "market_not_found", ""),
        ({"exchange_index": 3}, 404, "market_not_found", ""),
        ({"client_order_id": "a.b"}, 400, "invalid_parameters", "client_order_id"),
        ({"client_order_id": "x" * 65}, 400, "invalid_parameters", "client_order_id"),
        ({"client_order_id": "ä"}, 400, "invalid_parameters", "client_order_id"),
        ({"count": 0}, 400, "invalid_order_size", ""),
        ({"count": -100}, 400, "invalid_order_size", ""),
        ({"price": 5_150}, 400, "invalid_price", ""),
        ({"price": 0}, 400, "invalid_price", ""),
        ({"price": 10_000}, 400, "invalid_price", ""),
        ({"expires_s": START_MS // 1_000}, 400, "invalid_parameters", "future"),
        (
            {"expires_s": LATER_S, "time_in_force": IOC},
            400,
            "invalid_parameters",
            "Cannot specify both immediate_or_cancel and expiration_ts",
        ),
        ({"expires_s": LATER_S, "time_in_force": FOK}, 400, "invalid_parameters", "fill_or_kill"),
        ({"reduce_only": True}, 400, "invalid_order", "reduce_only can only be used with IoC or FoK orders"),
        ({"reduce_only": True, "time_in_force": IOC}, 400, "invalid_order", "would not reduce"),
        ({"time_in_force": FOK, "count": 301}, 409, "fill_or_kill_insufficient_resting_volume", ""),
        ({"post_only": True, "price": 5_200}, 400, "invalid_order", "post only cross"),
        ({"count": 1_009_900, "price": 9_900}, 400, "insufficient_balance", ""),
    ],
)
def test_refusals(changes: dict[str, Any], status: int, code: str, details: str) -> None:
    """Each wrong order gets its own answer, nested in `error`, and changes nothing."""
    world = listing()
    world.place(world.member("maker"), ASK, 5_200, 300)
    answer = refusal(world, world.member("m", 98), **changes)
    assert (answer.status, answer.code, answer.shape) == (status, code, ErrorShape.NESTED)
    assert details in answer.details
    assert bool(details) == bool(answer.details)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("orders__insufficient_balance.json", {"count": 1_009_900, "price": 9_900}),
        ("orders__invalid_price_structure.json", {"price": 5_150, "post_only": True}),
        ("orders__post_only_cross.json", {"price": 9_900, "post_only": True}),
        ("orders__duplicate_client_order_id.json", {"client_order_id": "burnt"}),
    ],
)
def test_refusals_read_as_recorded(file: str, changes: dict[str, Any]) -> None:
    """Code, message and details equal the recorded bytes."""
    if not RECORDED.is_dir():
        pytest.skip("the recordings of the exchange are not beside this repository")
    error = json.loads((RECORDED / file).read_text())["error"]
    world = listing()
    member = world.member("m", 98)
    world.place(world.member("maker"), ASK, 5_200, 300)
    world.exchange.cancel_order(member, world.place(member, BID, 100, 100, client_order_id="burnt").order_id, TICKER)
    answer = refusal(world, member, **changes)
    assert (answer.code, answer.message, answer.details) == (error["code"], error["message"], error.get("details", ""))


def test_a_resting_order_is_answered_listed_and_shown() -> None:
    """Placed at one cent: remaining 1, on the book, resting in the list, told once with its client order id."""
    world = listing()
    member = world.member("m")
    placed = world.place(member, BID, 100, 100, client_order_id="kd-1")
    assert (placed.filled, placed.remaining, placed.average_price, placed.average_fee) == (0, 100, None, None)
    assert world.exchange.book(TICKER).yes == ((100, 100),)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.initial, order.remaining, order.reason) == (OrderStatus.RESTING, 100, 100, "")
    assert [event.order for event in world.said(OrderUpdated)] == [order]
    change = world.said(LevelChanged)[0]
    assert (change.yes, change.price, change.change, change.client_order_id) == (True, 100, 100, "kd-1")
    assert change.account == member.user_id


def test_a_cancel_answers_with_what_it_took() -> None:
    """The remaining count is taken off; the order shows 0 remaining and its initial count."""
    world = listing()
    member = world.member("m")
    placed = world.place(member, ASK, 6_000, 700, client_order_id="kd-1")
    world.place(world.member("o"), BID, 6_000, 200, IOC)
    world.now_ms += 5
    answer = world.exchange.cancel_order(member, placed.order_id, TICKER)
    assert (answer.reduced_by, answer.client_order_id, answer.ts_ms) == (500, "kd-1", START_MS + 5)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.initial, order.filled, order.remaining) == (OrderStatus.CANCELED, 700, 200, 0)
    assert order.maker_cost == 200 * 4_000
    last = world.said(LevelChanged)[-1]
    assert (last.yes, last.price, last.change, last.client_order_id) == (False, 4_000, -500, "kd-1")


def test_every_cancel_of_what_does_not_rest_gets_one_answer() -> None:
    """Cancelled, executed, another's, unknown, under a wrong ticker: the same 404."""
    world = listing()
    world.list_market("TEST-ONE-B")
    member, other = world.member("m"), world.member("o")
    cancelled = world.place(member, BID, 100, 100).order_id
    world.exchange.cancel_order(member, cancelled, TICKER)
    world.place(other, ASK, 5_000, 100)
    executed = world.place(member, BID, 5_000, 100, IOC).order_id
    foreign = world.place(other, BID, 100, 100).order_id
    mine = world.place(member, BID, 200, 100).order_id
    attempts = [(cancelled, TICKER), (executed, TICKER), (foreign, TICKER), ("unknown", TICKER)]
    for order_id, ticker in [*attempts, (mine, "TEST-ONE-B"), (mine, "NO-SUCH-X")]:
        with pytest.raises(Refused) as refused:
            world.exchange.cancel_order(member, order_id, ticker)
        answer = refused.value
        assert (answer.status, answer.code, answer.message, answer.details) == (404, "not_found", "not found", "")


def test_a_cancel_without_ticker_is_looked_for_on_shard_0() -> None:
    """An order on shard 2 is found with its ticker or its shard named, and not without."""
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    world.list_market(exchange_index=2)
    member = world.exchange.open_account("m", 10_000_000, 2)
    first, second = (world.place(member, BID, 100, 100, exchange_index=index).order_id for index in (-1, 2))
    with pytest.raises(Refused):
        world.exchange.cancel_order(member, first, None)
    with pytest.raises(Refused):
        world.exchange.cancel_order(member, first, TICKER, 0)
    assert world.exchange.cancel_order(member, first, None, 2).reduced_by == 100
    assert world.exchange.cancel_order(member, second, TICKER, -1).reduced_by == 100


def test_a_client_order_id_is_used_up_for_ever() -> None:
    """Of one account: also after the order is gone, but not by a refused order, and not for others."""
    world = listing()
    member, other = world.member("m"), world.member("o")
    refusal(world, member, client_order_id="kd-1", price=5_150)
    placed = world.place(member, BID, 100, 100, client_order_id="kd-1")
    world.exchange.cancel_order(member, placed.order_id, TICKER)
    assert refusal(world, member, client_order_id="kd-1").code == "order_already_exists"
    assert world.place(other, BID, 100, 100, client_order_id="kd-1").remaining == 100
    assert world.place(member, BID, 100, 100, client_order_id="x" * 64).remaining == 100
    assert world.place(member, BID, 100, 100, client_order_id="aZ_0-:+=/").remaining == 100


@pytest.mark.parametrize(
    ("tif", "count", "filled", "remaining", "status"),
    [
        (IOC, 500, 300, 0, OrderStatus.CANCELED),
        (IOC, 300, 300, 0, OrderStatus.EXECUTED),
        (FOK, 300, 300, 0, OrderStatus.EXECUTED),
        (GTC, 500, 300, 200, OrderStatus.RESTING),
    ],
)
def test_times_in_force(tif: TimeInForce, count: int, filled: int, remaining: int, status: OrderStatus) -> None:
    """What cannot trade at once is cancelled, or rests; FOK trades all of it."""
    world = listing()
    world.place(world.member("a"), ASK, 5_000, 100)
    world.place(world.member("b"), ASK, 5_200, 200)
    member = world.member("m")
    placed = world.place(member, BID, 5_300, count, tif)
    assert (placed.filled, placed.remaining) == (filled, remaining)
    assert placed.average_price == 5_133  # (100 at 50 + 200 at 52) / 3, to the nearest hundredth of a cent
    assert world.exchange.order(member, placed.order_id).status is status
    assert [(fill.price, fill.count) for fill in world.exchange.fills(member)] == [(5_200, 200), (5_000, 100)]
    assert world.exchange.book(TICKER).yes == (((5_300, 200),) if remaining else ())


def test_a_self_cross_stops_the_arriving_order() -> None:
    """taker_at_cross as recorded: 0 filled, 0 remaining, the resting order untouched, reason told."""
    world = listing()
    member = world.member("m")
    resting = world.place(member, BID, 4_800, 100)
    placed = world.place(member, ASK, 4_800, 100, IOC)
    assert (placed.filled, placed.remaining) == (0, 0)
    assert world.exchange.order(member, placed.order_id).reason is UpdateReason.SELF_TRADE_CANCEL
    assert world.exchange.order(member, resting.order_id).remaining == 100


def test_or_removes_the_resting_one() -> None:
    """maker: the own resting order goes with its reason, and the arriving one rests where it was to rest."""
    world = listing()
    member = world.member("m")
    resting = world.place(member, BID, 4_800, 100)
    placed = world.place(member, ASK, 4_800, 100, self_trade_prevention=SelfTradePrevention.MAKER)
    assert (placed.filled, placed.remaining) == (0, 100)
    gone = world.exchange.order(member, resting.order_id)
    assert (gone.status, gone.reason) == (OrderStatus.CANCELED, UpdateReason.SELF_TRADE_CANCEL)
    assert world.exchange.book(TICKER).yes == ()
    assert world.exchange.book(TICKER).no == ((5_200, 100),)


def test_a_self_crossing_fok_keeps_what_it_traded() -> None:
    """Its own volume counts towards the volume that lets it in; then it stops there, like an IOC."""
    world = listing()
    member = world.member("m")
    world.place(world.member("o"), BID, 5_000, 100)
    world.place(member, BID, 4_900, 100)
    placed = world.place(member, ASK, 4_900, 200, FOK)
    assert (placed.filled, placed.remaining) == (100, 0)


@pytest.mark.parametrize(("held", "side"), [(BID, ASK), (ASK, BID)])
def test_reduce_only_closes_at_most_what_is_held(held: BookSide, side: BookSide) -> None:
    """Asked for 5 with 2 held, it trades 2 and the rest is cancelled; in the direction held it is refused."""
    world = listing()
    maker, member = world.member("maker"), world.member("m")
    world.place(maker, held.opposite, 5_000, 200)
    world.place(member, held, 5_000, 200, IOC)
    world.place(maker, held, 5_000, 900)
    answer = refusal(world, member, side=held, reduce_only=True, time_in_force=IOC)
    assert (answer.code, answer.details) == ("invalid_order", "reduce_only order would not reduce the position")
    placed = world.place(member, side, 5_000, 500, IOC, reduce_only=True)
    assert (placed.filled, placed.remaining) == (200, 0)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.initial, order.filled) == (OrderStatus.CANCELED, 500, 200)
    assert order.reason is UpdateReason.REDUCE_ONLY_CANCEL
    assert member.count(TICKER) == 0


@pytest.mark.parametrize(
    ("tif", "asked", "offered", "ends"),
    [
        (IOC, 200, 200, ("executed", "Trade", 200)),
        (IOC, 500, 100, ("canceled", "", 100)),
        (IOC, 500, 200, ("canceled", "ReduceOnlyCancel", 200)),
        (FOK, 500, 200, ("canceled", "ReduceOnlyCancel", 200)),
    ],
)
def test_the_cap_is_named_only_where_it_cut(
    tif: TimeInForce, asked: int, offered: int, ends: tuple[str, str, int]
) -> None:
    """Two held: what is asked within them executes, what the book lacks is cancelled as of any IOC, and a FOK needs
    its cap in the book and no more."""
    world = listing()
    maker, member = world.member("maker"), world.member("m")
    world.place(maker, ASK, 5_000, 200)
    world.place(member, BID, 5_000, 200, IOC)
    world.place(maker, BID, 5_000, offered)
    placed = world.place(member, ASK, 5_000, asked, tif, reduce_only=True)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.reason, order.filled) == ends


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"post_only": True}, UpdateReason.POST_ONLY_CROSS_CANCEL),
        ({"time_in_force": FOK, "count": 200}, UpdateReason.NONE),
    ],
)
def test_what_cannot_be_may_be_placed_and_cancelled_instead(changes: dict[str, Any], reason: UpdateReason) -> None:
    """By the setting: the create answers with 0 filled and 0 remaining, the id is used up, the book untouched."""
    world = World(ExchangeSettings(places_crossing_post_only=True, places_unfillable_fok=True))
    world.list_market()
    world.place(world.member("a"), ASK, 5_000, 100)
    member = world.member("m")
    placed = world.place(member, BID, 5_000, **({"count": 100, "client_order_id": "kd-1"} | changes))
    assert (placed.filled, placed.remaining, placed.average_price) == (0, 0, None)
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.reason, order.filled) == (OrderStatus.CANCELED, reason, 0)
    assert world.said(OrderUpdated)[-1].order == order
    assert world.exchange.book(TICKER).no == ((5_000, 100),)
    assert refusal(world, member, client_order_id="kd-1").code == "order_already_exists"


def test_an_order_expires_by_the_clock() -> None:
    """At its second it is cancelled with its reason, and an arriving order can no longer meet it."""
    world = listing()
    member, other = world.member("m"), world.member("o")
    placed = world.place(member, BID, 5_000, 100, expires_s=LATER_S)
    assert world.exchange.next_due_ms == LATER_S * 1_000
    world.now_ms = LATER_S * 1_000 - 1
    assert world.exchange.order(member, placed.order_id).status is OrderStatus.RESTING
    world.now_ms += 1
    assert world.place(other, ASK, 5_000, 100, IOC).filled == 0
    order = world.exchange.order(member, placed.order_id)
    assert (order.status, order.reason, order.remaining) == (OrderStatus.CANCELED, UpdateReason.EXPIRY_CANCEL, 0)


def test_cancel_all_takes_only_the_accounts_own() -> None:
    """On every market; the answer counts them."""
    world = listing()
    world.list_market("TEST-ONE-B")
    member, other = world.member("m"), world.member("o")
    world.place(member, BID, 100, 100)
    world.place(member, BID, 200, 100, market="TEST-ONE-B")
    world.place(other, BID, 300, 100)
    assert world.exchange.cancel_all(member) == 2
    assert world.exchange.cancel_all(member) == 0
    assert world.exchange.book(TICKER).yes == ((300, 100),)
    assert world.exchange.book("TEST-ONE-B").yes == ()


def test_a_cancel_all_may_last() -> None:
    """By the setting, what comes to rest within it is cancelled as well; what fills, and what comes later, is not."""
    world = World(ExchangeSettings(cancel_all_lasts_ms=60_000))
    world.list_market()
    world.place(world.member("a"), ASK, 5_000, 100)
    member = world.member("m")
    world.exchange.cancel_all(member)
    world.pass_time(59_999)
    placed = world.place(member, BID, 5_000, 300)
    assert (placed.filled, placed.remaining) == (100, 0)
    assert world.exchange.order(member, placed.order_id).status is OrderStatus.CANCELED
    world.pass_time(1)
    assert world.place(member, BID, 4_000, 100).remaining == 100


def test_lists_are_newest_first_and_filtered() -> None:
    """Orders by market and status, fills by market and order."""
    world = listing()
    member = world.member("m")
    world.place(world.member("o"), ASK, 5_000, 500)
    first = world.place(member, BID, 100, 100)
    second = world.place(member, BID, 5_000, 100, IOC)
    third = world.place(member, BID, 5_000, 200, IOC)
    exchange = world.exchange
    assert [o.order_id for o in exchange.orders(member)] == [third.order_id, second.order_id, first.order_id]
    assert [o.order_id for o in exchange.orders(member, status=OrderStatus.RESTING)] == [first.order_id]
    assert exchange.orders(member, "TEST-ONE-B") == []
    assert [fill.count for fill in exchange.fills(member)] == [200, 100]
    assert [fill.count for fill in exchange.fills(member, order_id=second.order_id)] == [100]
    assert exchange.fills(member, "TEST-ONE-B") == []
    with pytest.raises(Refused):
        exchange.order(member, "unknown")


def test_events_come_in_one_order() -> None:
    """Print, the maker's fill and position, the taker's, the level, the orders (maker, rest, taker), the ticker."""
    world = listing()
    maker, taker = world.member("maker"), world.member("t")
    world.place(maker, ASK, 5_000, 100)
    world.events.clear()
    world.place(taker, BID, 5_100, 300, client_order_id="kd-7")
    told = [(type(event).__name__, getattr(event, "account", "")) for event in world.events]
    mine, theirs = taker.user_id, maker.user_id
    assert told == [
        ("Traded", ""),
        ("Filled", theirs),
        ("PositionChanged", theirs),
        ("Filled", mine),
        ("PositionChanged", mine),
        ("LevelChanged", ""),
        ("OrderUpdated", theirs),
        ("LevelChanged", mine),
        ("OrderUpdated", mine),
        ("TickerChanged", ""),
    ]
    assert [event.post_position for event in world.said(Filled)] == [-100, 100]
    updates = [(update.order.status, update.order.reason) for update in world.said(OrderUpdated)]
    trade = UpdateReason.TRADE
    assert updates == [(OrderStatus.EXECUTED, trade), (OrderStatus.RESTING, trade)]


def test_the_two_sides_of_a_trade_share_its_id() -> None:
    """The public print and both fills carry one id, one time, one price."""
    world = listing()
    maker, taker = world.member("maker"), world.member("t")
    world.place(maker, BID, 5_000, 100)
    world.place(taker, ASK, 4_000, 100, IOC)
    (trade,) = world.exchange.trades(TICKER)
    (made,), (took,) = world.exchange.fills(maker), world.exchange.fills(taker)
    assert trade.trade_id == made.trade_id == took.trade_id
    assert (trade.price, trade.count, trade.taker_side) == (5_000, 100, ASK)
    assert (made.side, made.is_taker, took.side, took.is_taker) == (BID, False, ASK, True)
    assert world.exchange.trades() == [trade]
