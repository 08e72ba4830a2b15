"""Recordings: what is refused, how recorded books are played, and how our orders meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_exchange import ASK, BID, FOK, IOC, START_MS, World, fees_paid, rebuilt, wealth

from kalshi_daemon.emulator.model import NewOrder, OrderStatus, Placed
from kalshi_daemon.emulator.playback import Playback
from kalshi_daemon.emulator.recording import Recording, parse_recording
from kalshi_daemon.errors import WireError
from kalshi_daemon.units import DOLLAR, PRICE_ONE, BookSide, TimeInForce

RECORDED = Path(__file__).parents[3] / "shared/kalshi/recordings/prod-2026-08/ws_orderbook_stream.json"
TICKER = "REC-DAY-A"
GTC = TimeInForce.GOOD_TILL_CANCELED


def snapshot(seq: int, yes: dict[str, str], no: dict[str, str], at: int = 0) -> dict[str, Any]:
    msg: dict[str, Any] = {"market_ticker": TICKER, "market_id": "id-1"}
    for name, levels in (("yes_dollars_fp", yes), ("no_dollars_fp", no)):
        if levels:  # an empty side has no key
            msg[name] = [[price, count] for price, count in levels.items()]
    return {"received_ms": 500 + at, "frame": {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": msg}}


def delta(seq: int, side: str, price: str, change: str, at: int = 0) -> dict[str, Any]:
    msg = {"market_ticker": TICKER, "market_id": "id-1", "side": side, "price_dollars": price, "delta_fp": change}
    return {"received_ms": 500 + at, "frame": {"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": msg}}


FIRST = snapshot(1, {"0.4800": "30.00", "0.4700": "50.00"}, {"0.5000": "20.00", "0.4900": "40.00"})


def recording(*frames: dict[str, Any]) -> Recording:
    return parse_recording({"frames": [FIRST, *frames]})


def playing(*frames: dict[str, Any], speed: float = 1.0) -> tuple[World, Playback]:
    world, playback = World(), Playback(recording(*frames), speed)
    playback.open(world.exchange, world.now_ms)
    return world, playback


def place(world: World, key: str, side: BookSide, price: int, count: int, tif: TimeInForce = GTC) -> Placed:
    account = world.exchange.accounts.get(key) or world.member(key)
    return world.exchange.create_order(account, NewOrder(TICKER, side, price, count, tif))


def play(world: World, playback: Playback) -> None:
    """To the end of the recording."""
    while (due := playback.next_due_ms) is not None:
        world.now_ms = due
        playback.due(due)


def test_every_market_has_its_first_book_from_the_beginning() -> None:
    """A snapshot that came later in the recording is no change of a book that was there: nobody knows one before it."""
    late = snapshot(2, {"0.1000": "7.00"}, {"0.8000": "3.00"}, at=64)
    late["frame"]["msg"]["market_ticker"] = "REC-DAY-B"
    world, playback = playing(late, delta(3, "yes", "0.4800", "1.00", at=90))
    book = world.exchange.book("REC-DAY-B")
    assert (dict(book.yes), dict(book.no)) == ({1_000: 700}, {8_000: 300})
    assert playback.next_due_ms == START_MS + 90


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([delta(3, "yes", "0.4800", "1.00")], "frame 1: ValueError: seq 3 of subscription 1 follows 1"),
        (
            [delta(2, "yes", "0.4800", "-31.00")],
            "frame 1: ValueError: the yes level 4800 of REC-DAY-A falls below zero",
        ),
        ([delta(2, "yes", "0.5000", "1.00")], "frame 1: ValueError: the book of REC-DAY-A is crossed"),
        ([delta(2, "maybe", "0.4800", "1.00")], "frame 1: ValueError: side 'maybe'"),
        ([delta(2, "yes", "1.0000", "1.00")], "frame 1: ValueError: price '1.0000'"),
        ([delta(2, "yes", "0.48005", "1.00")], "frame 1: ValueError: '0.48005' is not a decimal text"),
        ([delta(2, "yes", "0.4800", "1.00", at=-1)], "frame 1: ValueError: received earlier"),
        ([delta(2, "yes", "0.4800", "1.00"), {"received_ms": 500}], "frame 2: KeyError: 'frame'"),
        ([snapshot(2, {"0.4800": "0.00"}, {})], "frame 1: ValueError: a level without contracts"),
    ],
)
def test_a_faulty_recording_is_refused_by_frame(frames: list[dict[str, Any]], says: str) -> None:
    """Gaps, negative levels, crossed books, foreign words, broken numbers: the error names the frame and the fault."""
    with pytest.raises(WireError) as refused:
        recording(*frames)
    assert refused.value.kind == "recording"
    assert says in str(refused.value)


@pytest.mark.parametrize("document", [None, [], {}, {"frames": []}, {"frames": [{"received_ms": 1, "frame": 5}]}])
def test_what_is_no_recording_is_refused(document: object) -> None:
    """Another document, or one without frames."""
    with pytest.raises(WireError):
        parse_recording(document)


def test_a_delta_needs_a_snapshot() -> None:
    """Of its own market, before it."""
    with pytest.raises(WireError, match="frame 0: ValueError: a delta of REC-DAY-A before its snapshot"):
        parse_recording({"frames": [delta(1, "yes", "0.4800", "1.00")]})


def test_the_market_is_listed_with_invented_terms() -> None:
    """Id and prices are the recording's; everything else is invented and says so; the grid is as fine as needed."""
    world, _ = playing()
    market = world.exchange.market(TICKER)
    assert (market.market_id, market.event, market.series) == ("id-1", "REC-DAY", "REC")
    assert market.invented
    assert world.exchange.series["REC"].invented
    assert market.price_level_structure == "linear_cent"
    finer, _ = playing(delta(2, "no", "0.4850", "1.00"))
    assert finer.exchange.market(TICKER).price_ranges[0].step == 10
    finest, _ = playing(delta(2, "no", "0.4855", "1.00"))
    assert finest.exchange.market(TICKER).price_ranges[0].step == 1


def test_spacing_is_kept_and_speed_divides_it() -> None:
    """At ten times the speed a step 1,000 ms into the recording is due after 100 ms; the last book holds."""
    world, playback = playing(delta(2, "yes", "0.4900", "5.00", at=1_000), speed=10.0)
    assert world.exchange.book(TICKER).yes == ((4_700, 5_000), (4_800, 3_000))
    assert world.exchange.book(TICKER).no == ((4_900, 4_000), (5_000, 2_000))
    assert playback.next_due_ms == START_MS + 100
    assert playback.due(START_MS + 99) == 0
    assert playback.due(START_MS + 100) == 1
    assert playback.due(START_MS + 9_999_999) == 0
    assert playback.next_due_ms is None
    assert world.exchange.book(TICKER).yes[-1] == (4_900, 500)


def test_recorded_contracts_are_traded_and_not_consumed() -> None:
    """An order takes at most what is shown at each level, at its price; the next finds the same again."""
    world, _ = playing()
    before = world.exchange.book(TICKER)
    for _ in range(2):
        placed = place(world, "m", BID, 5_100, 10_000, IOC)
        assert (placed.filled, placed.average_price) == (6_000, (2_000 * 5_000 + 4_000 * 5_100) // 6_000 + 1)
    assert place(world, "m", ASK, 4_700, 8_000, FOK).filled == 8_000
    assert world.exchange.book(TICKER) == before


def test_what_is_left_rests_and_hides_what_it_crosses() -> None:
    """A remainder stands at its price; recorded levels that it crosses are not shown until it is cancelled."""
    world, _ = playing()
    placed = place(world, "m", BID, 5_000, 2_500)
    assert (placed.filled, placed.remaining) == (2_000, 500)
    book = world.exchange.book(TICKER)
    assert book.yes[-1] == (5_000, 500)
    assert book.no == ((4_900, 4_000),)
    rebuilt(world.events, TICKER)
    world.exchange.cancel_order(world.exchange.accounts["m"], placed.order_id, TICKER)
    assert world.exchange.book(TICKER).no == ((4_900, 4_000), (5_000, 2_000))
    assert rebuilt(world.events, TICKER)[1] == {4_900: 4_000, 5_000: 2_000}


def test_a_resting_order_fills_once_for_what_a_change_adds() -> None:
    """5 rest at 49: 2 added on the touching NO level fill 2, a decrease none, 2 more fill 2; the last fills as a maker
    at its own price when a better price arrives."""
    world, playback = playing(
        delta(2, "yes", "0.4900", "1.00"),
        delta(3, "no", "0.5000", "-20.00", at=10),
        delta(4, "yes", "0.4900", "-1.00", at=20),
        delta(5, "no", "0.5100", "2.00", at=30),
        delta(6, "no", "0.5100", "-1.00", at=40),
        delta(7, "no", "0.5100", "2.00", at=50),
        delta(8, "yes", "0.4800", "-30.00", at=55),
        delta(9, "no", "0.5200", "9.00", at=60),
    )
    world.now_ms += 20
    playback.due(world.now_ms)
    placed = place(world, "m", BID, 4_900, 500)
    member = world.exchange.accounts["m"]
    filled = []
    for at in (30, 40, 50, 60):
        world.now_ms = START_MS + at
        playback.due(world.now_ms)
        filled.append(world.exchange.order(member, placed.order_id).filled)
    assert filled == [200, 200, 400, 500]
    fills = world.exchange.fills(member)
    assert {(fill.price, fill.is_taker, fill.side) for fill in fills} == {(4_900, False, BID)}
    assert world.exchange.order(member, placed.order_id).status is OrderStatus.EXECUTED
    assert world.exchange.book(TICKER).no[-2:] == ((5_100, 300), (5_200, 900))
    assert dict(world.exchange.book(TICKER).no) == rebuilt(world.events, TICKER)[1]


def test_two_of_ours_meet_each_other_beside_the_recording() -> None:
    """A recorded level stands ahead of our orders at its price; beyond it they trade with each other."""
    world, _ = playing()
    place(world, "maker", ASK, 5_000, 300)
    placed = place(world, "m", BID, 5_000, 2_100, IOC)
    assert placed.filled == 2_100
    assert world.exchange.accounts["maker"].count(TICKER) == -100
    assert world.exchange.book(TICKER).no[-1] == (5_000, 2_200)


def test_a_second_snapshot_replaces_the_books() -> None:
    """What differs changes, falling levels first, so that no listener sees a crossed book."""
    world, playback = playing(snapshot(2, {"0.5500": "7.00"}, {"0.4000": "8.00"}, at=5))
    play(world, playback)
    book = world.exchange.book(TICKER)
    assert (book.yes, book.no) == (((5_500, 700),), ((4_000, 800),))
    assert rebuilt(world.events, TICKER) == ({5_500: 700}, {4_000: 800})


def test_a_closed_market_takes_no_more_of_the_recording() -> None:
    """Its book is empty and stays so."""
    world, playback = playing(delta(2, "yes", "0.4700", "1.00", at=60_000))
    world.exchange.settle(TICKER, "yes")
    assert world.exchange.book(TICKER).yes == ()
    play(world, playback)
    assert world.exchange.book(TICKER).yes == ()


RECORDED_CHANGE = st.tuples(st.booleans(), st.integers(44, 55), st.integers(0, 900))
OURS = st.tuples(st.integers(0, 1), st.sampled_from(BookSide), st.integers(44, 55), st.integers(1, 900))
CANCELS = st.integers(0, 1)
Step = tuple[bool, int, int] | tuple[int, BookSide, int, int] | int


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.one_of(RECORDED_CHANGE, OURS, CANCELS), max_size=40))
def test_recorded_and_own_orders_never_cross(steps: list[Step]) -> None:
    """Whatever is recorded, placed and cancelled, in any order: no listener ever sees a crossed book or a negative
    level, the recorded side's account balances every fill, and without our orders the recording is shown whole."""
    world = World()
    world.list_market(TICKER)
    before = wealth(world, 0) + 2_000 * DOLLAR
    members = [world.member("a"), world.member("b")]
    shown: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for step in steps:
        if isinstance(step, int):
            world.exchange.cancel_all(members[step])
        elif len(step) == 3:
            yes, cents, count = step
            price = cents * 100
            if not count or price + max(shown[not yes], default=0) < PRICE_ONE:  # a recording is never crossed itself
                shown[yes][price] = count
                world.exchange.set_recorded(TICKER, price, count, yes=yes)
        else:
            who, side, cents, count = step
            world.exchange.create_order(members[who], NewOrder(TICKER, side, cents * 100, count, GTC))
        book = world.exchange.book(TICKER)
        assert rebuilt(world.events, TICKER) == (dict(book.yes), dict(book.no))
        shown = {leg: {p: c for p, c in levels.items() if c} for leg, levels in shown.items()}
        for value in (0, 6_100):
            assert wealth(world, value) == before - fees_paid(world)
    for member in members:
        world.exchange.cancel_all(member)
    book = world.exchange.book(TICKER)
    assert {True: dict(book.yes), False: dict(book.no)} == shown


def test_the_real_recording_plays_to_its_last_books() -> None:
    """12 markets, 257 steps: added up by hand from the frames, the final books are equal, level by level."""
    if not RECORDED.is_file():
        pytest.skip("the recordings of the exchange are not beside this repository")
    document = json.loads(RECORDED.read_text())
    playback = Playback(parse_recording(document), 50.0)
    world = World()
    playback.open(world.exchange, world.now_ms)
    assert len(playback.tickers) == 12
    play(world, playback)
    assert world.now_ms - START_MS == 56_013 // 50
    expected: dict[str, dict[str, dict[int, int]]] = {}
    for entry in document["frames"]:
        frame = entry["frame"]
        msg = frame["msg"]
        if frame["type"] == "orderbook_snapshot":
            expected[msg["market_ticker"]] = {
                side: {hundredths(p, 4): hundredths(c, 2) for p, c in msg.get(f"{side}_dollars_fp", [])}
                for side in ("yes", "no")
            }
        elif frame["type"] == "orderbook_delta":
            leg = expected[msg["market_ticker"]][msg["side"]]
            price = hundredths(msg["price_dollars"], 4)
            leg[price] = leg.get(price, 0) + hundredths(msg["delta_fp"], 2)
    for ticker, legs in expected.items():
        book = world.exchange.book(ticker)
        assert dict(book.yes) == {p: c for p, c in legs["yes"].items() if c}
        assert dict(book.no) == {p: c for p, c in legs["no"].items() if c}
        assert rebuilt(world.events, ticker) == (dict(book.yes), dict(book.no))


def hundredths(text: str, decimals: int) -> int:
    """A fixed-point text of full length as an integer."""
    assert len(text.partition(".")[2]) == decimals
    return int(text.replace(".", ""))
