"""A mirror lists, moves, fills and settles as it is told, and what it cannot follow changes nothing."""

from __future__ import annotations

import msgspec
import pytest
from small_exchange import BID, IOC, START_MS, TICKER, World

from kalshi_daemon.emulator.grid import STRUCTURES
from kalshi_daemon.emulator.mirror import Mirror
from kalshi_daemon.emulator.model import ExchangeSettings, MarketStatus
from kalshi_daemon.facts import EventFees, MarketChanged, MarketRead, SeriesFees
from kalshi_daemon.units import CONTRACT, DOLLAR, FeeType

FEES = SeriesFees("TEST", FeeType.QUADRATIC, 1_000_000)
READ = MarketRead(
    market=TICKER,
    event="TEST-ONE",
    kind="binary",
    volume_24h=0,
    spread=100,
    series="TEST",
    status="active",
    open_ms=START_MS - 1,
    close_ms=START_MS + 3_600_000,
    price_ranges=STRUCTURES["linear_cent"],
    exchange_index=2,
    result="",
    settlement_value=None,
)


def told(**changes: object) -> MarketRead:
    return msgspec.structs.replace(READ, **changes)


def event(kind: str, **fields: object) -> MarketChanged:
    empty = {"close_ms": None, "result": None, "settlement_value": None, "price_ranges": None}
    return MarketChanged(1, 1, TICKER, kind, **{**empty, **fields})


def mirrored() -> tuple[World, Mirror]:
    world = World(ExchangeSettings(exchange_indexes=(0, 2)))
    mirror = Mirror(world.exchange)
    mirror.hear(READ)
    mirror.hear(FEES)
    return world, mirror


def test_a_market_is_listed_with_what_was_read_of_it() -> None:
    """Its times, grid, shard and fees; the rest is invented and marked so."""
    world, _ = mirrored()
    market = world.exchange.market(TICKER)
    assert (market.status, market.exchange_index, market.close_ms) == (MarketStatus.ACTIVE, 2, READ.close_ms)
    assert market.invented
    assert world.exchange.series["TEST"].fee_type is FeeType.QUADRATIC


def test_orders_meet_the_books_that_are_shown() -> None:
    """A taker pays what the level shown asks; a resting order fills when a level is shown to cross it."""
    world, mirror = mirrored()
    member = world.exchange.open_account("m", 100 * DOLLAR, 2)
    mirror.on_book(TICKER, {4_000: 10 * CONTRACT}, {5_500: 10 * CONTRACT})
    assert world.place(member, BID, 4_500, 2 * CONTRACT, IOC).filled == 2 * CONTRACT
    resting = world.place(member, BID, 4_200, 3 * CONTRACT)
    mirror.on_book(TICKER, {4_000: 10 * CONTRACT}, {5_500: 10 * CONTRACT, 5_800: 5 * CONTRACT})
    assert world.exchange.order(member, resting.order_id).filled == 3 * CONTRACT
    mirror.on_book(TICKER, {4_000: 10 * CONTRACT}, {5_800: 5 * CONTRACT})
    assert world.exchange.best(TICKER, BID) == 4_000


@pytest.mark.parametrize(
    ("heard", "status"),
    [
        ((event("deactivated"),), MarketStatus.INACTIVE),
        ((event("deactivated"), event("deactivated"), event("activated")), MarketStatus.ACTIVE),
        ((event("close_date_updated", close_ms=START_MS - 1),), MarketStatus.CLOSED),
        ((event("determined", result="no"), event("determined", result="no")), MarketStatus.DETERMINED),
        ((event("determined", result="scalar"),), MarketStatus.ACTIVE),
        ((event("determined", result="perhaps"),), MarketStatus.ACTIVE),
        ((event("metadata_updated"),), MarketStatus.ACTIVE),
    ],
)
def test_lifecycle_events_are_followed(heard: tuple[MarketChanged, ...], status: MarketStatus) -> None:
    """Each once, however often it is told; a result that cannot be paid is counted and changes nothing."""
    world, mirror = mirrored()
    for each in heard:
        mirror.hear(each)
    world.exchange.advance()
    assert world.exchange.market(TICKER).status is status


def test_a_result_that_is_read_pays_the_position() -> None:
    """Determined there, paid here after the timer, and levels that are still told are refused."""
    world, mirror = mirrored()
    member = world.exchange.open_account("m", 100 * DOLLAR, 2)
    mirror.on_book(TICKER, {}, {5_500: 10 * CONTRACT})
    world.place(member, BID, 4_500, 2 * CONTRACT, IOC)
    mirror.hear(told(status="determined", result="yes"))
    mirror.on_book(TICKER, {}, {})
    world.pass_time(60_000)
    assert [(each.market, each.revenue) for each in world.exchange.settlements(member)] == [(TICKER, 2 * DOLLAR)]
    assert mirror.counts == {"books_refused": 1}


def test_a_finer_grid_is_taken_and_a_coarser_one_counted() -> None:
    """What rests keeps a price of the grid."""
    world, mirror = mirrored()
    mirror.hear(event("price_level_structure_updated", price_ranges=STRUCTURES["deci_cent"]))
    mirror.hear(READ)
    assert world.exchange.market(TICKER).price_ranges == STRUCTURES["deci_cent"]
    assert mirror.counts == {"grids_refused": 1}


def test_what_is_not_listed_is_counted() -> None:
    """A market waits for the fees of its series; a shard that is not here lists nothing; their books and events are
    passed over.
    """
    world, mirror = mirrored()
    mirror.hear(told(market="OTHER-1", series="OTHER"))
    mirror.hear(told(market="TEST-TWO-A", exchange_index=9))
    mirror.on_book("OTHER-1", {5_000: 1}, {})
    mirror.hear(msgspec.structs.replace(event("activated"), market="OTHER-1"))
    assert list(world.exchange.markets) == [TICKER]
    assert mirror.counts == {"unlisted": 1, "books_refused": 1}
    mirror.hear(SeriesFees("OTHER", FeeType.QUADRATIC, 1_000_000))
    assert list(world.exchange.markets) == [TICKER, "OTHER-1"]


def test_fees_are_charged_as_they_are_told() -> None:
    """A series' new schedule, and an event's own fees, told before or after its first market; the same twice is no
    change, and what cannot be counted with is counted and changes nothing.
    """
    world, mirror = mirrored()
    mirror.hear(EventFees("TEST-TWO", FeeType.QUADRATIC_WITH_MAKER_FEES, None))
    for _ in range(2):
        mirror.hear(told(market="TEST-TWO-A", event="TEST-TWO"))
        mirror.hear(SeriesFees("TEST", FeeType.QUADRATIC, 500_000))
        mirror.hear(EventFees("TEST-ONE", None, 0))
    mirror.hear(EventFees("TEST-ONE", None, None, "unsupported: flat"))
    states = world.exchange._venue.states
    charged = [(states[each].series.fee_type, states[each].series.multiplier_ppm) for each in (TICKER, "TEST-TWO-A")]
    assert charged == [(FeeType.QUADRATIC, 0), (FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)]
    assert len(list(world.exchange.fees.changes(made=True))) == 3
    assert mirror.counts == {"fees_refused": 1}
