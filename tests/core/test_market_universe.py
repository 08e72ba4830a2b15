"""Markets: reads, events and the clock, through the table."""

from __future__ import annotations

from typing import Any

import pytest
from account_facts import CENT_GRID, NOON, TAKER_FEES, M, market

from kalshi_daemon.core.changes import Diverged
from kalshi_daemon.core.market import Market, is_grid
from kalshi_daemon.core.market_universe import MarketMoved, MarketUniverse
from kalshi_daemon.facts import EventFees, MarketChanged, MarketRead, PriceRange

NO_FEES_OF_ITS_OWN = EventFees("KXRAIN-26NOV22", None, None)
OPEN_MS, CLOSE_MS = NOON - 3_600_000, NOON + 3_600_000
TAPERED = (PriceRange(0, 1_000, 10), PriceRange(1_000, 9_000, 100), PriceRange(9_000, 10_000, 10))


def read(status: str = "active", ticker: str = M, **changes: Any) -> MarketRead:
    fields: dict[str, Any] = {
        "market": ticker,
        "event": "KXRAIN-26NOV22",
        "series": "KXRAIN",
        "status": status,
        "open_ms": OPEN_MS,
        "close_ms": CLOSE_MS,
        "price_ranges": CENT_GRID,
        "exchange_index": 0,
        "result": "",
        "settlement_value": None,
        "kind": "binary",
        "volume_24h": 0,
        "spread": 0,
    }
    return MarketRead(**{**fields, **changes})


def event(name: str, **changes: Any) -> MarketChanged:
    fields: dict[str, Any] = {
        "sid": 1,
        "seq": 1,
        "market": M,
        "event": name,
        "close_ms": None,
        "result": None,
        "settlement_value": None,
        "price_ranges": None,
    }
    return MarketChanged(**{**fields, **changes})


def universe_of(status: str = "active", **changes: Any) -> MarketUniverse:
    universe = MarketUniverse()
    universe.fees(TAKER_FEES)
    universe.read(read(status, **changes), NOON)
    universe.event_fees([NO_FEES_OF_ITS_OWN])
    return universe


def one(universe: MarketUniverse) -> Market:
    found = universe.market(M)
    assert found is not None
    return found


def test_a_market_is_what_is_first_read_of_it() -> None:
    """With its fees, whichever was read first of it, its series and its event."""
    assert one(universe_of()) == market()
    late = MarketUniverse()
    assert late.read(read(), NOON) == (MarketMoved("", market(fees=None)),)
    late.event_fees([NO_FEES_OF_ITS_OWN])
    late.fees(TAKER_FEES)
    assert one(late) == market()
    assert late.market("OTHER") is None


@pytest.mark.parametrize(
    ("status", "name", "after"),
    [
        ("active", "deactivated", "inactive"),
        ("inactive", "activated", "active"),
        ("closed", "activated", "active"),
        ("active", "determined", "determined"),
        ("active", "settled", "finalized"),
        ("closed", "deactivated", "closed"),
        ("active", "metadata_updated", "active"),
    ],
)
def test_lifecycle_events_move_a_market(status: str, name: str, after: str) -> None:
    """The table's rows; what changes nothing tells nothing."""
    universe = universe_of(status)
    changes = universe.changed(event(name), NOON)
    assert one(universe).status == after
    assert changes == (() if status == after else (MarketMoved(status, one(universe)),))


def test_what_cannot_be_is_about_that_market_only() -> None:
    """A determined market that is activated: the state is kept, the divergence returned."""
    universe = universe_of("determined")
    text = f"market {M}: activated while determined"
    assert universe.changed(event("activated"), NOON) == (Diverged(M, text),)
    assert universe.read(read("active"), NOON) == (Diverged(M, f"market {M}: read_active while determined"),)
    assert one(universe).status == "determined"


def test_determination_brings_the_result() -> None:
    """Result and settlement value are the event's."""
    universe = universe_of()
    universe.changed(event("determined", result="yes", settlement_value=10_000), NOON)
    assert (one(universe).result, one(universe).settlement_value) == ("yes", 10_000)


def test_the_clock_closes_a_market_once() -> None:
    """No event is sent at the closing time; a market that is determined stays so."""
    universe = universe_of()
    assert universe.passed(CLOSE_MS - 1) == ()
    assert universe.passed(CLOSE_MS) == (MarketMoved("active", one(universe)),)
    assert one(universe).status == "closed"
    assert universe.passed(CLOSE_MS + 1) == ()
    assert universe_of("determined").passed(CLOSE_MS) == ()


@pytest.mark.parametrize("proof", ["book", "read", "event"])
def test_the_clock_s_opening_waits_for_proof(proof: str) -> None:
    """Active by the clock alone takes no orders until a book, a read or an event shows it."""
    universe = universe_of("initialized", open_ms=NOON + 10)
    assert universe.passed(NOON + 9) == ()
    opened = universe.passed(NOON + 10)
    assert [(each.before, each.market.unproven) for each in opened if isinstance(each, MarketMoved)] == [
        ("initialized", True)
    ]
    assert not one(universe).is_active(NOON + 10)
    if proof == "book":
        changes = universe.book_seen(M)
        assert universe.book_seen(M) == ()
    elif proof == "read":
        changes = universe.read(read(open_ms=NOON + 10), NOON + 11)
    else:
        changes = universe.changed(event("activated"), NOON + 11)
    assert changes == (MarketMoved("active", one(universe)),)
    assert one(universe).is_active(NOON + 11)


def test_a_closing_moved_later_reopens_to_inactive() -> None:
    """Trading then waits for `activated`; moved earlier it changes the time only."""
    universe = universe_of("closed", close_ms=NOON - 1)
    universe.changed(event("close_date_updated", close_ms=NOON), NOON)
    assert (one(universe).status, one(universe).close_ms) == ("closed", NOON)
    universe.changed(event("close_date_updated", close_ms=NOON + 1), NOON)
    assert (one(universe).status, one(universe).close_ms) == ("inactive", NOON + 1)
    earlier = universe_of()
    assert earlier.changed(event("close_date_updated", close_ms=NOON + 5), NOON) == ()
    assert (one(earlier).status, one(earlier).close_ms) == ("active", NOON + 5)


def test_a_read_moves_the_closing_too() -> None:
    """The time is taken from the read, and the clock closes by it."""
    universe = universe_of()
    assert universe.read(read(close_ms=NOON + 5), NOON) == ()
    assert [type(each) for each in universe.passed(NOON + 5)] == [MarketMoved]


def test_a_grid_changes_live() -> None:
    """Prices of the new ladder are valid from then on; one without a step is refused and counted."""
    universe = universe_of()
    assert not one(universe).on_grid(990)
    assert not one(universe).on_grid(4_990)
    universe.changed(event("price_level_structure_updated", price_ranges=TAPERED), NOON)
    assert one(universe).on_grid(990)
    universe.changed(event("price_level_structure_updated", price_ranges=(PriceRange(0, 10_000, 0),)), NOON)
    assert one(universe).grid == TAPERED
    assert universe.read(read(price_ranges=()), NOON) == ()
    assert universe.counts["unusable_grids"] == 2


def test_a_409_outranks_the_status_shown() -> None:
    """It takes two reads of active a minute apart, or the event."""
    universe = universe_of()
    assert universe.trading_refused(M, NOON) == (MarketMoved("active", one(universe)),)
    assert one(universe).status == "inactive"
    assert universe.read(read(), NOON + 1) == ()
    assert universe.read(read(), NOON + 60_000) == ()
    assert one(universe).status == "inactive"
    assert universe.read(read(), NOON + 60_001) == (MarketMoved("inactive", one(universe)),)
    universe.trading_refused(M, NOON)
    assert universe.changed(event("activated"), NOON) == (MarketMoved("inactive", one(universe)),)
    assert universe.read(read(), NOON + 1) == ()
    assert one(universe).status == "active"


def test_a_read_of_anything_else_between_starts_the_minute_anew() -> None:
    """Active, inactive, active: the last one is the first again."""
    universe = universe_of()
    universe.trading_refused(M, NOON)
    for status, at_ms in (("active", 0), ("inactive", 30_000), ("active", 61_000)):
        assert universe.read(read(status), NOON + at_ms) == ()
    assert one(universe).status == "inactive"
    assert universe.read(read(), NOON + 121_000) == (MarketMoved("inactive", one(universe)),)


def test_words_and_markets_that_nobody_knows_are_counted() -> None:
    """They make nothing: a market needs a read, a word a row."""
    universe = universe_of()
    assert universe.read(read("paused"), NOON) == ()
    assert universe.changed(event("exploded"), NOON) == ()
    assert universe.changed(event("activated", market="OTHER"), NOON) == ()
    assert universe.trading_refused("OTHER", NOON) == ()
    assert dict(universe.counts) == {
        "unread_statuses": 1,
        "unread_events": 1,
        "unknown_markets": 2,
        "unusable_grids": 0,
    }


def test_a_market_that_is_no_longer_listed_takes_no_orders() -> None:
    """Gone from a complete read."""
    universe = universe_of()
    assert universe.unlisted(M, NOON) == (MarketMoved("active", one(universe)),)
    assert one(universe).status == "inactive"
    assert universe.unlisted("OTHER", NOON) == ()


@pytest.mark.parametrize(
    ("price", "on_grid"),
    [
        (10, True),
        (15, False),
        (990, True),
        (1_000, True),
        (1_050, False),
        (9_000, True),
        (9_990, True),
        (0, False),
        (10_000, False),
    ],
)
def test_prices_follow_the_ladder(price: int, on_grid: bool) -> None:
    """Tenths of a cent below ten and above ninety cents, whole cents between; the ends are no prices."""
    assert market(grid=TAPERED).on_grid(price) is on_grid


def test_the_grain_divides_every_price() -> None:
    """One for the finest part of the ladder, a cent for whole cents."""
    assert market(grid=TAPERED).grain == 10
    assert market().grain == 100
    assert market(grid=(PriceRange(5, 9_995, 10),)).grain == 5


def test_a_grid_has_steps() -> None:
    """No ranges, no step, or backwards: not a grid."""
    assert is_grid(TAPERED)
    assert not is_grid(())
    assert not is_grid((PriceRange(0, 10, 0),))
    assert not is_grid((PriceRange(10, 0, 1),))


def test_an_events_own_fees_hold_for_its_markets_at_once() -> None:
    """For those and no others; a market that is met later has them too, and an event without markets is not ours."""
    universe = universe_of()
    universe.read(read(ticker="OTHER", event="KXRAIN-26NOV23"), NOON)
    universe.event_fees([EventFees("KXRAIN-26NOV22", None, 500_000), EventFees("KXRAIN-26NOV23", None, None)])
    universe.event_fees([EventFees("NOBODY", None, 0)])
    universe.read(read(ticker="LATE"), NOON)
    charged = {ticker: each.fees and each.fees.multiplier_ppm for ticker, each in universe.markets.items()}
    assert charged == {M: 500_000, "OTHER": 1_000_000, "LATE": 500_000}
    assert set(universe.schedules.events) == {"KXRAIN-26NOV22", "KXRAIN-26NOV23"}
    universe.event_fees([EventFees("KXRAIN-26NOV22", None, None, "odd")])
    assert [each.fees_refused for each in universe.markets.values()] == ["odd", "", "odd"]
    universe.forget([M, "LATE"])
    assert set(universe.schedules.events) == {"KXRAIN-26NOV23"}
