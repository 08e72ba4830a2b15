"""The market watch against the emulated exchange: what is found, followed, dropped and forgotten."""

from __future__ import annotations

import pytest
import trio
from account_world import account_world
from attrs import evolve

from kalshi_daemon import limits
from kalshi_daemon.config_values import selection
from kalshi_daemon.core.market_selection import Filters, MarketSelection
from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import Series
from kalshi_daemon.errors import ConfigurationError, WireError
from kalshi_daemon.facts import MarketChanged
from kalshi_daemon.shell.market_watch import MarketWatch
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE
from kalshi_daemon.units import MINUTE_MS, BookSide, FeeType

A, B, C = "DEMOTEMP-DAY1-T58", "DEMOTEMP-DAY1-T60", "DEMOGAME-HEROWL-HER"  # those that the exchange lists
NEW = "DEMOTEMP-DAY2-T58"
EVENT_C = "DEMOGAME-HEROWL"


def refusing(read):
    """Reads of fees, of which the series ODD has none that can be counted with."""

    async def series_fees(series):
        if series == "ODD":
            raise WireError("unsupported", "fee type 'flat'")
        return await read(series)

    return series_fees


class Site:
    """A watch over a world; `wanted` holds each list of markets that it wanted carried."""

    def __init__(self, world, text, filters=None, markets_max=100):
        self.world = world
        self.wanted = []
        self.changes = []
        self.alarms = []
        self.proven = set()
        world.universe.forget(list(world.universe.markets))
        self.choice = MarketSelection([selection(part) for part in text.split()], filters or Filters(), markets_max)
        self.watch = MarketWatch(
            self.choice,
            world.universe,
            world.ledger,
            world.rest,
            world.clock,
            proven=lambda ticker: ticker in self.proven,
            want=lambda tickers: self.wanted.append(tuple(tickers)),
            on_changes=self.changes.extend,
            alarm=lambda name, text: self.alarms.append((name, text)),
        )

    async def run(self):
        """The watch, and the clock that a daemon has."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch.run)
            while True:
                self.watch.tick(self.world.clock.exchange_now_ms())
                await trio.sleep(limits.CLOCK_WATCH_S)

    def place(self, ticker):
        return self.choice.places[ticker]

    def why(self, ticker):
        return self.place(ticker).why

    def list(self, ticker, **changes):
        now_ms = self.world.clock.now_ms()
        market = invented_market(ticker, "Invented", LINEAR_CENT, now_ms)
        self.world.exchange.add_market(evolve(market, **changes))

    def heard(self, ticker, event):
        self.watch.heard(MarketChanged(1, 1, ticker, event, None, None, None, None))


@pytest.mark.parametrize(
    ("text", "found", "words"),
    [
        (A, [A], "1 markets known, with grid, times and fees; 1 in"),
        ("event:DEMOTEMP-DAY1", [A, B], "2 markets known, with grid, times and fees; 2 in"),
        (f"{C} series:DEMOTEMP", [C, A, B], "3 markets known, with grid, times and fees; 3 in"),
        ("series:NONE", [], "0 markets known, with grid, times and fees; 0 in"),
    ],
)
async def test_preflight_finds_what_is_selected(autojump_clock, text, found, words):
    """By ticker, event and series, each with its fees; an event or a series may be empty yet."""
    async with account_world() as world:
        site = Site(world, text)
        assert await site.watch.prepare() == words
        assert site.wanted == ([tuple(found)] if found else [])
        assert all(world.universe.market(ticker).fees is not None for ticker in found)


async def test_a_named_market_that_is_not_listed_is_a_mistake_of_the_configuration(autojump_clock):
    """Said with its name; nothing is wanted."""
    async with account_world() as world:
        site = Site(world, "series:DEMOTEMP NO-SUCH-MARKET")
        with pytest.raises(ConfigurationError, match="KALSHI_MARKETS names NO-SUCH-MARKET"):
            await site.watch.prepare()
        assert site.wanted == []


async def test_a_market_is_found_when_it_is_listed_and_in_when_it_opens(autojump_clock, nursery):
    """The round finds it unopened; by the clock it opens and is in; a read or its book says that it really is."""
    async with account_world() as world:
        site = Site(world, "series:DEMOTEMP")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        site.list(NEW, open_ms=world.clock.now_ms() + 5 * MINUTE_MS)
        await trio.sleep(limits.MARKETS_READ_S + 2)
        assert site.why(NEW) == "unopened"
        await trio.sleep(300 - limits.MARKETS_READ_S)
        assert site.why(NEW) == "series"
        assert site.wanted[-1] == (A, B, NEW)
        assert not world.universe.market(NEW).unproven  # the read that its opening asked for
        nursery.cancel_scope.cancel()


async def test_the_lifecycle_channel_brings_a_market_between_two_rounds(autojump_clock, nursery):
    """Known within seconds; a market of another series is nothing to us, whatever is said of it."""
    async with account_world() as world:
        site = Site(world, f"{A} event:DEMOTEMP-DAY2")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        await trio.sleep(5)
        site.list(NEW)
        site.heard(NEW, "created")
        site.heard("DEMOGAME-X-Y", "created")
        asked = world.rest.counts["markets", "ok"]
        await trio.sleep(limits.DISCOVERY_DELAY_S + 2)
        assert site.why(NEW) == "event"
        assert world.rest.counts["markets", "ok"] == asked + 1
        nursery.cancel_scope.cancel()


async def test_a_book_proves_a_market_that_only_the_clock_opened(autojump_clock, nursery):
    """Where no read comes through, the stream's own snapshot does."""
    async with account_world() as world:
        site = Site(world, NEW)
        site.list(NEW, open_ms=world.clock.now_ms() + MINUTE_MS)
        await site.watch.prepare()
        assert site.why(NEW) == "unopened"
        nursery.start_soon(site.run)
        world.fail("GET", "/markets", UNAVAILABLE)
        await trio.sleep(62)
        assert site.wanted == [(NEW,)]
        assert world.universe.market(NEW).unproven
        site.proven.add(NEW)
        await trio.sleep(2)
        assert not world.universe.market(NEW).unproven
        nursery.cancel_scope.cancel()


async def test_a_market_that_closes_is_dropped_and_forgotten_in_time(autojump_clock, nursery):
    """Out when it closes, shown for a while, then gone from everything; its series' fees go with the last one."""
    async with account_world() as world:
        site = Site(world, f"{C} series:DEMOTEMP")
        close_ms = world.clock.now_ms() + 10 * MINUTE_MS
        for ticker in (A, B):
            world.exchange.move_close(ticker, close_ms)
        await site.watch.prepare()
        nursery.start_soon(site.run)
        await trio.sleep(9 * 60)
        assert site.wanted == [(C, A, B)]
        await trio.sleep(62)
        assert site.wanted[-1] == (C,)
        assert (site.why(A), site.place(A).text) == ("over", "it is closed")
        await trio.sleep(limits.GONE_KEPT_MS / 1_000 + 20)
        assert set(world.universe.markets) == set(site.choice.places) == {C}
        assert (set(world.universe.schedules.series), set(world.universe.schedules.events)) == ({"DEMOGAME"}, {EVENT_C})
        nursery.cancel_scope.cancel()


async def test_what_we_hold_is_followed_though_nothing_selects_it(autojump_clock, nursery):
    """A position from another day: its market is read, in view and only reduced, until it is flat."""
    async with account_world() as world:
        await world.position(C, 5)
        site = Site(world, A)
        await site.watch.prepare()
        nursery.start_soon(site.run)
        assert site.wanted == [(C, A)]
        assert (site.why(C), site.place(C).leaving) == ("held", True)
        assert world.universe.market(C).leaving
        world.propose(C)
        world.crowd(C, BookSide.BID, 40, 5)
        world.reduce(C, count=5)
        await world.written()
        assert world.gates.last_refusal[2].figure == "kept for what we have there"
        await world.tell_fills()
        await trio.sleep(2)
        assert site.wanted[-1] == (A,)
        assert site.why(C) == "unselected"
        nursery.cancel_scope.cancel()


async def test_an_order_where_the_market_is_in_for_itself_makes_no_new_choice(autojump_clock):
    """The choice goes through all markets, and orders come each second; what else hangs on them is judged at once."""
    async with account_world() as world:
        await world.position(C, 5)
        site, choices = Site(world, f"{A} {B}"), []
        await site.watch.prepare()
        site.watch.tick(world.clock.exchange_now_ms())
        choose = site.choice.choose
        site.choice.choose = lambda *given: choices.append(1) or choose(*given)
        await world.position(A, 5)
        site.watch.tick(world.clock.exchange_now_ms())
        assert choices == []
        world.crowd(C, BookSide.BID, 40, 5)
        world.reduce(C, count=5)
        await world.written()
        await world.tell_fills()
        site.watch.tick(world.clock.exchange_now_ms())
        assert choices == [1]


async def test_a_read_that_fails_unlists_nothing(autojump_clock, nursery):
    """The exchange away: what was known stands, and what failed is named; then it goes on."""
    async with account_world() as world:
        site = Site(world, f"{C} series:DEMOTEMP")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        world.fail("GET", "/markets", UNAVAILABLE)
        await trio.sleep(3 * limits.MARKETS_READ_S)
        assert site.wanted == [(C, A, B)]
        assert sorted(site.watch.problems) == ["markets by ticker", "series:DEMOTEMP"]
        world.mend()
        await trio.sleep(2 * limits.MARKETS_READ_S)
        assert site.watch.problems == {}
        nursery.cancel_scope.cancel()


async def test_a_market_that_the_exchange_takes_away_is_unlisted(autojump_clock, nursery):
    """Neither its series nor its own ticker shows it any more."""
    async with account_world() as world:
        site = Site(world, "series:DEMOTEMP")
        await site.watch.prepare()
        nursery.start_soon(site.run)
        del world.exchange._venue.markets[B]
        await trio.sleep(limits.MARKETS_READ_S + 3)
        assert site.wanted[-1] == (A,)
        assert site.why(B) == "unlisted"
        nursery.cancel_scope.cancel()


async def test_a_series_whose_fees_we_do_not_know_is_out(autojump_clock):
    """Its markets say so, and an alarm does; the others trade."""
    async with account_world() as world:
        world.exchange.add_series(Series("ODD", "Invented", "Sports", FeeType.QUADRATIC, 1_000_000, invented=True))
        site = Site(world, f"{A} series:ODD")
        site.list("ODD-DAY1-T1")
        world.rest.series_fees = refusing(world.rest.series_fees)
        await site.watch.prepare()
        assert site.wanted == [(A,)]
        assert (site.why("ODD-DAY1-T1"), site.place("ODD-DAY1-T1").text) == ("fees", "unsupported: fee type 'flat'")
        assert [name for name, _ in site.alarms] == ["series_refused"]


async def test_more_markets_than_are_remembered_are_not_met(autojump_clock, monkeypatch):
    """The bound holds, is counted and alarmed."""
    monkeypatch.setattr(limits, "MARKETS_KNOWN_MAX", 1)
    async with account_world() as world:
        site = Site(world, "series:DEMOTEMP")
        await site.watch.prepare()
        assert site.wanted == [(A,)]
        assert site.watch.counts["too_many"] == 1
        assert [name for name, _ in site.alarms] == ["too_many_markets"]


async def test_what_the_channel_missed_is_read_before_the_round(autojump_clock, nursery):
    """Within seconds; however often it is told, the rounds keep their distance."""
    async with account_world() as world:
        site = Site(world, A)
        await site.watch.prepare()
        nursery.start_soon(site.run)
        await trio.sleep(30)
        world.exchange.override_fees("DEMOTEMP-DAY1", None, 250_000)
        site.watch.missed()
        await trio.sleep(limits.DISCOVERY_DELAY_S + 1)
        assert world.universe.market(A).fees.multiplier_ppm == 250_000
        assert site.watch.counts["rounds"] == 1
        for _ in range(100):
            site.watch.missed()
            await trio.sleep(limits.MARKETS_READ_LEAST_S / 25)
        assert site.watch.counts["rounds"] == 5
        nursery.cancel_scope.cancel()
