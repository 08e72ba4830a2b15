"""What is charged is learnt from reads, the stream and the clock, against the emulated exchange."""

from __future__ import annotations

import json

import pytest
import trio
from account_world import account_world
from test_market_watch import EVENT_C, A, B, C, Site

from kalshi_daemon import limits
from kalshi_daemon.core.risk import worst_cost
from kalshi_daemon.emulator.events import EventFeesChanged as Told
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.facts import EventFees, EventFeesChanged, OrderIntended, SeriesFees
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE, Fault, refused
from kalshi_daemon.units import PRICE_CENT, BookSide, FeeType

EVENT = "DEMOTEMP-DAY1"  # of A and B
COMBO, COMBO_EVENT = "KXMVEDEMO-S1-A", "KXMVEDEMO-S1"
PLAIN, MAKERS = FeeType.QUADRATIC, FeeType.QUADRATIC_WITH_MAKER_FEES
ROUND_S = limits.MARKETS_READ_S + 5


def stream(world, watch):
    """The lifecycle channel, without the socket."""
    numbers = iter(range(1, 1_000))

    def tell(event):
        if isinstance(event, Told):
            fees = EventFees(event.event.ticker, event.event.fee_type, event.event.multiplier_ppm)
            watch.heard(EventFeesChanged(1, next(numbers), fees))

    world.exchange.listen(tell)


def charged(world, *tickers):
    """Fee type and multiplier of each market, as the daemon counts."""
    fees = [world.universe.market(ticker).fees for ticker in tickers]
    return [None if each is None else (each.fee_type, each.multiplier_ppm) for each in fees]


async def test_an_events_own_fees_are_known_before_anything_trades(autojump_clock):
    """An override that was there before the start, of its fields each by itself."""
    async with account_world() as world:
        world.exchange.override_fees(EVENT, MAKERS, None)
        world.exchange.override_fees(EVENT_C, None, 0)
        site = Site(world, f"{A} {C}")
        await site.watch.prepare()
        assert charged(world, A, C) == [(MAKERS, 1_000_000), (MAKERS, 0)]
        assert site.watch.fees.counts["changed"] == 0


async def test_a_start_waits_for_the_fees_of_what_is_held_and_of_some_more(autojump_clock, nursery, monkeypatch):
    """Of twelve series three are awaited, and the one of a position; the others are read at once afterwards."""
    monkeypatch.setattr(limits, "SERIES_AWAITED_MAX", 3)
    async with account_world() as world:
        await world.position(C, 1)
        names = [f"MANY{number:02}" for number in range(12)]
        site = Site(world, " ".join(f"series:{name}" for name in names))
        for name in names:
            world.exchange.add_series(Series(name, "Invented", "", FeeType.QUADRATIC, 1_000_000, invented=True))
            site.list(f"{name}-DAY1-T1")
        tickers = [f"{name}-DAY1-T1" for name in names]
        words = await site.watch.prepare()
        assert words == "13 markets known, with grid, times and fees; 13 in; the fees of 10 are read while it trades"
        assert world.link.asked("GET", "/series/MANY") == 2
        assert charged(world, C)[0] is not None
        assert charged(world, *tickers).count(None) == 10
        nursery.start_soon(site.run)
        await trio.sleep(2)
        assert None not in charged(world, *tickers)
        nursery.cancel_scope.cancel()


async def test_an_override_reaches_the_next_order_and_no_fill_that_was_booked(autojump_clock):
    """The reservation is that of the new fees, in the same step; what was charged before stays what it was."""
    async with account_world() as world:
        site = Site(world, f"{A} {C}")
        await site.watch.prepare()
        stream(world, site.watch)
        await world.position(A, 5, 50)
        world.exchange.override_fees(EVENT, MAKERS, 2_000_000)
        assert charged(world, A, C) == [(MAKERS, 2_000_000), (MAKERS, 500_000)]
        number = world.ledger.next_number
        await world.order(A, BookSide.BID, 50, 4)
        intent = next(fact for fact in world.of(OrderIntended) if fact.number == number)
        terms = SeriesFees("DEMOTEMP", MAKERS, 2_000_000)
        assert intent.reserve == worst_cost(intent.spec, terms, PRICE_CENT) > 2_000_000
        world.crowd(A, BookSide.ASK, 50, 4)
        await world.tell_fills()
        await world.told()
        fees = [fill.fee for fill in world.account.fills]
        assert fees == [0, 35_000]  # 0.0175 * 2 * 4 * 0.5 * 0.5
        assert world.ledger.positions[A].fees == 35_000
        world.exchange.override_fees(EVENT, None, None)
        assert charged(world, A) == [(PLAIN, 1_000_000)]
        assert world.exact


async def test_fees_that_rise_under_an_intent_withhold_it(autojump_clock):
    """What was set aside would not cover it: asked again at the socket, and nothing was sent."""
    async with account_world() as world:
        site = Site(world, A)
        await site.watch.prepare()
        stream(world, site.watch)
        ask = world.writer._ask

        def rise(client_order_id):
            world.exchange.override_fees(EVENT, MAKERS, 2_000_000)
            ask(client_order_id)

        world.writer._ask = rise
        world.propose(A)
        await world.written()
        assert world.gates.last_refusal[2].code == "P5"
        assert world.gates.last_refusal[2].control == "what is reserved covers the fees of now"
        assert world.exchange.orders(world.account) == []


async def test_what_the_stream_missed_is_found_in_the_next_round(autojump_clock, nursery):
    """An event's own fees and a series' new schedule, of which no stream speaks."""
    async with account_world() as world:
        site = Site(world, f"{A} {C}")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        world.exchange.override_fees(EVENT, None, 250_000)
        world.exchange.change_series_fees("DEMOGAME", PLAIN, 750_000)
        await trio.sleep(ROUND_S)
        assert charged(world, A, C) == [(PLAIN, 250_000), (PLAIN, 750_000)]
        assert site.watch.fees.counts["changed"] == 2
        nursery.cancel_scope.cancel()


async def test_an_announced_change_of_a_series_is_made_by_the_clock(autojump_clock, nursery):
    """At its time, though nothing can be read then; one of a series that is not ours is passed over."""
    async with account_world() as world:
        site = Site(world, f"{A} {B}")
        for series in ("DEMOTEMP", "DEMOGAME"):
            world.exchange.change_series_fees(series, MAKERS, 1_500_000, world.clock.now_ms() + 30_000)
        world.exchange.override_fees(EVENT, None, 500_000)
        await site.watch.prepare()
        nursery.start_soon(site.run)
        world.fail("GET", "/", UNAVAILABLE)
        await trio.sleep(29.5)
        assert charged(world, A, B) == [(PLAIN, 500_000)] * 2
        await trio.sleep(1)
        assert charged(world, A, B) == [(MAKERS, 500_000)] * 2
        assert site.watch.fees.counts["announced"] == 1
        nursery.cancel_scope.cancel()


async def test_what_was_heard_outranks_a_read_that_began_before(autojump_clock, nursery):
    """The answer left the exchange before the change and arrives after it; the read of the next round counts again."""
    async with account_world() as world:
        site = Site(world, A)
        await site.watch.prepare()
        stream(world, site.watch)
        nursery.start_soon(site.run)
        world.fail("GET", "/events", Fault(after_s=8.0))
        await trio.sleep(limits.MARKETS_READ_S + 4)
        world.exchange.override_fees(EVENT, None, 250_000)
        await trio.sleep(6)
        assert charged(world, A) == [(PLAIN, 250_000)]
        assert site.watch.fees.counts["outranked"] == 1
        world.mend()
        await trio.sleep(ROUND_S)
        assert site.watch.fees.counts["outranked"] == 1
        nursery.cancel_scope.cancel()


async def test_an_event_whose_fees_we_cannot_compute_is_out_by_itself(autojump_clock, nursery):
    """Its markets say why, once in an alarm; they are in again when it is cleared, and the others never left."""
    async with account_world() as world:
        site = Site(world, f"{A} {B} {C}")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        await trio.sleep(1)
        for _ in range(2):
            odd = EventFees(EVENT, None, None, "unsupported: event DEMOTEMP-DAY1 has fee type 'flat'")
            site.watch.heard(EventFeesChanged(1, 1, odd))
            await trio.sleep(2)
        assert site.wanted[-1] == (C,)
        assert (site.why(A), site.place(A).text) == ("fees", odd.refused)
        assert [name for name, _ in site.alarms] == ["event_refused"]
        world.propose(A)
        await world.written()
        assert world.gates.last_refusal[2].figure == odd.refused
        site.watch.heard(EventFeesChanged(1, 2, EventFees(EVENT, None, None)))
        await trio.sleep(2)
        assert sorted(site.wanted[-1]) == [C, A, B]
        nursery.cancel_scope.cancel()


async def test_an_event_that_no_list_shows_is_read_by_its_ticker(autojump_clock):
    """So a list that leaves it out costs nothing; one that the exchange does not know at all is out with its reason."""
    async with account_world() as world:
        world.exchange.add_series(Series("KXMVEDEMO", "Invented combos", "Sports", PLAIN, 1_000_000, invented=True))
        site = Site(world, f"{A} {C} {COMBO}")
        site.list(COMBO)
        for event in (EVENT, COMBO_EVENT):
            world.exchange.override_fees(event, None, 250_000)
        empty = json.dumps({"events": [], "cursor": ""}).encode()
        unknown = json.dumps({"error": {"code": "not_found", "message": "not found"}}).encode()

        def judge(_method, target):
            if "/events?" in target:
                return refused("200 OK", empty)
            return refused("404 Not Found", unknown) if EVENT_C in target and "/events/" in target else None

        world.link.judge = judge
        await site.watch.prepare()
        assert charged(world, A, COMBO) == [(PLAIN, 250_000)] * 2
        assert (site.why(C), site.place(C).text) == ("fees", f"the exchange does not know the event {EVENT_C}")
        assert world.rest.counts["event", "ok"] == 1
        assert [name for name, _ in site.alarms] == ["event_refused"]


@pytest.mark.parametrize(
    ("most", "seen"), [(1, ["DEMOGAME", "DEMOTEMP", "DEMOGAME"]), (10, ["DEMOGAME", "DEMOTEMP"] * 3)]
)
async def test_what_is_known_is_read_again_by_turns(autojump_clock, nursery, monkeypatch, most, seen):
    """No more than so many in a round, and each gets its turn."""
    monkeypatch.setattr(limits, "SERIES_READS_MAX", most)
    async with account_world() as world:
        site = Site(world, f"{A} {C}")
        await site.watch.prepare()
        read, asked = world.rest.series_fees, []

        async def noted(series):
            asked.append(series)
            return await read(series)

        world.rest.series_fees = noted
        nursery.start_soon(site.run)
        await trio.sleep(3 * ROUND_S + 5)
        assert asked == seen
        nursery.cancel_scope.cancel()
