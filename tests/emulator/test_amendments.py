"""Orders that are changed while they rest: amendments, decreases, and their places in the queue."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from small_exchange import ASK, BID, START_MS, TICKER, World, listing, rebuilt

from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.amendments import Amendment, Decrease
from kalshi_daemon.emulator.events import LevelChanged, OrderUpdated
from kalshi_daemon.emulator.model import ExchangeSettings, Order, OrderStatus, UpdateReason
from kalshi_daemon.emulator.refusals import Refused

LATER_S = START_MS // 1_000 + 60


def terms(**changes: Any) -> Amendment:
    """An amendment of the order that most tests place: a bid for 5 at 40 cents."""
    return evolve(Amendment(TICKER, BID, 4_000, 500), **changes)


def queued() -> tuple[World, Account, str]:
    """A member's bid for 5 at 40 cents, with 3 ahead of it and 2 behind."""
    world = listing()
    other, member = world.member("o"), world.member("m")
    world.place(other, BID, 4_000, 300)
    placed = world.place(member, BID, 4_000, 500, client_order_id="kd-1")
    world.place(other, BID, 4_000, 200)
    world.now_ms += 7
    return world, member, placed.order_id


def refusal(world: World, member: Account, order_id: str, **changes: Any) -> Refused:
    """How an amendment is refused; asserts that nothing was told of it."""
    told = len(world.events)
    with pytest.raises(Refused) as refused:
        world.exchange.amend_order(member, order_id, terms(**changes))
    assert len(world.events) == told
    return refused.value


def last_update(world: World) -> Order:
    return world.said(OrderUpdated)[-1].order


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [
        ({"count": 400}, 300),
        ({"expires_s": LATER_S}, 300),
        ({"count": 600}, 500),
        ({"price": 3_900}, 500),
        ({"price": 4_100}, 0),
        ({"price": 4_100, "count": 100}, 0),
    ],
)
def test_which_amendments_keep_the_place(changes: dict[str, Any], ahead: int) -> None:
    """A smaller count and another expiry keep it; a larger count or another price goes to the end."""
    world, member, order_id = queued()
    amended = world.exchange.amend_order(member, order_id, terms(**changes))
    assert (amended.order_id, amended.client_order_id, amended.filled) == (order_id, "kd-1", 0)
    assert (amended.remaining, amended.ts_ms) == (changes.get("count", 500), START_MS + 7)
    assert world.exchange.queue_place(member, order_id).ahead == ahead
    order = world.exchange.order(member, order_id)
    assert (order.price, order.remaining) == (changes.get("price", 4_000), changes.get("count", 500))
    assert (order.initial, order.reason, order.updated_ms) == (order.remaining, UpdateReason.AMEND, START_MS + 7)
    assert last_update(world) == order
    assert rebuilt(world.events)[0] == dict(world.exchange.book(TICKER).yes)


def test_an_expiry_alone_moves_nothing() -> None:
    """No level changes; the answer says that nothing moved; 0 takes the expiry away, and the old one is void."""
    world, member, order_id = queued()
    levels = len(world.said(LevelChanged))
    assert not world.exchange.amend_order(member, order_id, terms(expires_s=LATER_S)).moved
    assert len(world.said(LevelChanged)) == levels
    assert world.exchange.order(member, order_id).expires_ms == LATER_S * 1_000
    world.exchange.amend_order(member, order_id, terms())
    assert world.exchange.order(member, order_id).expires_ms == LATER_S * 1_000
    world.exchange.amend_order(member, order_id, terms(expires_s=0))
    world.pass_time(120_000)
    assert world.exchange.order(member, order_id).status is OrderStatus.RESTING
    soon = world.now_ms // 1_000 + 5
    world.exchange.amend_order(member, order_id, terms(expires_s=soon))
    world.pass_time(10_000)
    assert world.exchange.order(member, order_id).reason is UpdateReason.EXPIRY_CANCEL


def test_an_amendment_may_trade() -> None:
    """A price that crosses trades as a taker; the answer is of its own fills alone, the count of all of them."""
    world, member, order_id = queued()
    world.place(world.member("s"), ASK, 4_000, 400)  # 3 ahead, 1 of ours
    world.place(world.member("a"), ASK, 4_500, 200)
    before = world.exchange.order(member, order_id)
    assert (before.filled, before.remaining) == (100, 400)
    amended = world.exchange.amend_order(member, order_id, terms(price=4_600, count=400))
    assert (amended.filled, amended.remaining, amended.average_price, amended.moved) == (200, 100, 4_500, True)
    order = world.exchange.order(member, order_id)
    assert (order.filled, order.remaining, order.initial, order.reason) == (300, 100, 400, UpdateReason.TRADE)
    assert [fill.is_taker for fill in world.exchange.fills(member)] == [True, False]
    done = world.exchange.amend_order(member, order_id, terms(price=4_600, count=400))
    assert (done.moved, done.average_price) == (False, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"market": "TEST-ONE-B"}, "order_ticker_mismatch"),
        ({"side": ASK}, "order_side_mismatch"),
        ({"client_order_id": "kd-2"}, "order_id_and_client_order_id_mismatch"),
        ({"price": 4_050}, "invalid_price"),
        ({"price": 10_000}, "invalid_price"),
        ({"count": 0}, "invalid_order_size"),
        ({"count": 10_000_000}, "insufficient_balance"),
        ({"updated_client_order_id": "a.b"}, "invalid_parameters"),
        ({"updated_client_order_id": "kd-0"}, "order_already_exists"),
        ({"expires_s": LATER_S - 61}, "invalid_parameters"),
        ({"exchange_index": 1}, "not_found"),
    ],
)
def test_amendments_that_are_refused(changes: dict[str, Any], code: str) -> None:
    """Each has its code, and leaves the order where it stood."""
    world, member, order_id = queued()
    world.list_market("TEST-ONE-B")
    world.place(member, BID, 100, 100, client_order_id="kd-0")
    assert refusal(world, member, order_id, **changes).code == code
    assert world.exchange.queue_place(member, order_id).ahead == 300
    assert world.exchange.order(member, order_id).reason is UpdateReason.NONE


def test_an_amendment_needs_a_resting_order_of_ones_own_and_an_open_market() -> None:
    """Another's, an unknown and a cancelled order are not found; a pause and a halt stop amendments."""
    world, member, order_id = queued()
    assert refusal(world, world.member("x"), order_id).code == "not_found"
    assert refusal(world, member, "unknown").code == "not_found"
    world.exchange.pause_trading()
    assert refusal(world, member, order_id).code == "trading_is_paused"
    world.exchange.resume_trading()
    world.exchange.halt(TICKER)
    assert refusal(world, member, order_id).code == "trading_is_paused"
    world.exchange.resume(TICKER)
    assert refusal(world, member, order_id).code == "not_found"


def test_a_post_only_order_stays_one() -> None:
    """An amendment that would cross is refused, one that would not passes."""
    world = listing()
    member = world.member("m")
    world.place(world.member("a"), ASK, 4_500, 100)
    order_id = world.place(member, BID, 4_000, 500, post_only=True).order_id
    assert refusal(world, member, order_id, price=4_500).details == "post only cross"
    assert world.exchange.amend_order(member, order_id, terms(price=4_400)).remaining == 500


def test_an_amended_client_order_id() -> None:
    """The new id is the order's, and both are used up."""
    world, member, order_id = queued()
    change = terms(client_order_id="kd-1", updated_client_order_id="kd-2")
    assert world.exchange.amend_order(member, order_id, change).client_order_id == "kd-2"
    again = terms(client_order_id="kd-2", updated_client_order_id="kd-2")  # its own id is no duplicate
    assert world.exchange.amend_order(member, order_id, again).remaining == 500
    for used in ("kd-1", "kd-2"):
        with pytest.raises(Refused, match="order_already_exists"):
            world.place(member, BID, 100, 100, client_order_id=used)


def test_an_amendment_may_use_the_cash_that_its_order_holds() -> None:
    """With cash for one order, its price may go up by what is left, and not by more."""
    world = listing()
    member = world.member("m", dollars=5)
    order_id = world.place(member, BID, 4_000, 1_000).order_id
    assert refusal(world, member, order_id, price=4_900, count=1_000).code == "insufficient_balance"
    assert world.exchange.amend_order(member, order_id, terms(price=4_800, count=1_000)).remaining == 1_000


@pytest.mark.parametrize(("decrease", "left"), [(Decrease(by=200), 300), (Decrease(to=300), 300)])
def test_a_decrease_keeps_the_place(decrease: Decrease, left: int) -> None:
    """By or to a count: the rest stays where it is, the initial count is unchanged, the reason is told."""
    world, member, order_id = queued()
    answer = world.exchange.decrease_order(member, order_id, decrease)
    assert (answer.remaining, answer.reduced_by, answer.ts_ms) == (left, 200, START_MS + 7)
    assert world.exchange.queue_place(member, order_id).ahead == 300
    order = last_update(world)
    assert (order.initial, order.remaining, order.reason) == (500, left, UpdateReason.DECREASE)
    change = world.said(LevelChanged)[-1]
    assert (change.price, change.change, change.client_order_id) == (4_000, -200, "kd-1")
    world.place(world.member("s"), ASK, 4_000, 600)  # 3 ahead, and the 3 that are left
    assert world.exchange.order(member, order_id).status is OrderStatus.EXECUTED


def test_a_decrease_to_nothing_cancels() -> None:
    """All of it gone, the order is over; more than all of it, and none of it, is refused."""
    world, member, order_id = queued()
    for wrong in (Decrease(by=501), Decrease(by=0), Decrease(to=500), Decrease(to=600)):
        with pytest.raises(Refused, match="invalid_order_size"):
            world.exchange.decrease_order(member, order_id, wrong)
    world.exchange.pause_trading()  # a decrease is a cancel in part, and passes
    answer = world.exchange.decrease_order(member, order_id, Decrease(to=0, market=TICKER))
    assert (answer.reduced_by, answer.remaining) == (500, 0)
    order = world.exchange.order(member, order_id)
    assert (order.status, order.reason) == (OrderStatus.CANCELED, UpdateReason.DECREASE)


def test_a_decrease_without_ticker_is_looked_for_on_shard_0() -> None:
    """An order on shard 2 is found with its ticker or its shard, and not without; the same for amendments."""
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    world.list_market(exchange_index=2)
    member = world.exchange.open_account("m", 100_000_000, 2)
    order_id = world.place(member, BID, 4_000, 500).order_id
    for wrong in (Decrease(by=100), Decrease(by=100, market=TICKER, exchange_index=0)):
        with pytest.raises(Refused, match="not_found"):
            world.exchange.decrease_order(member, order_id, wrong)
    for right in (Decrease(100, None, TICKER), Decrease(100, None, None, 2), Decrease(100, None, TICKER, -1)):
        world.exchange.decrease_order(member, order_id, right)
    assert refusal(world, member, order_id, exchange_index=0).code == "not_found"
    assert world.exchange.amend_order(member, order_id, terms(exchange_index=-1)).remaining == 500


def test_places_in_the_queue() -> None:
    """Better prices count, then earlier orders, one's own among them; recorded contracts stand ahead."""
    world, member, order_id = queued()
    world.place(world.member("b"), BID, 4_200, 50)
    later = world.place(member, BID, 4_000, 100).order_id
    assert {place.order_id: place.ahead for place in world.exchange.queue_places(member)} == {
        order_id: 350,
        later: 1_050,
    }
    world.exchange.set_recorded(TICKER, 4_000, 70, yes=True)
    assert world.exchange.queue_place(member, order_id).ahead == 420
    with pytest.raises(Refused, match="not_found"):
        world.exchange.queue_place(world.member("x"), order_id)
