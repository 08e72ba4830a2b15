"""The watches: the exchange's own word, our clock, and what systemd hears of a writer that is stuck."""

from __future__ import annotations

import itertools
import socket

import pytest
import trio
from account_world import START_MS, account_world

from kalshi_daemon import limits
from kalshi_daemon.core.exchange_hours import ExchangeHours
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.order_manager import OrderManager
from kalshi_daemon.emulator import server
from kalshi_daemon.emulator.settings import RateLimits, ServerSettings
from kalshi_daemon.errors import OperatingError
from kalshi_daemon.facts import Alarmed, HoldKind, SweepVerified
from kalshi_daemon.shell.clock import EASTERN, VirtualClock
from kalshi_daemon.shell.event_bus import EventBus
from kalshi_daemon.shell.notify import Notifier
from kalshi_daemon.shell.watches import Watchdog, watch_clock, watch_exchange, watch_hours, watch_limits, watch_region
from kalshi_daemon.simulation.faulty_link import UNAVAILABLE
from kalshi_daemon.units import MINUTE_MS
from kalshi_daemon.wire.schedule import Schedule

STATUS = "/exchange/status"


async def test_an_exchange_that_pauses_is_held_until_it_says_active_twice(autojump_clock, nursery):
    """Held once, whatever the number of looks; two active statuses in a row lift it, one does not."""
    async with account_world() as world:
        nursery.start_soon(
            watch_exchange, world.rest, ExchangeHours(EASTERN), world.ledger, world.clock, world.bus.settle
        )
        await trio.sleep(25)
        world.exchange.pause_trading()
        await trio.sleep(3 * limits.EXCHANGE_WATCH_S)
        assert world.held() == ["exchange"]
        await world.told()
        assert world.kinds().count("HoldPlaced") == 1
        world.exchange.resume_trading()
        await trio.sleep(limits.EXCHANGE_WATCH_S)
        assert world.held() == ["exchange"]
        await trio.sleep(limits.EXCHANGE_WATCH_S)
        assert world.held() == []
        nursery.cancel_scope.cancel()


async def test_active_statuses_from_before_a_hold_do_not_lift_it(autojump_clock, nursery):
    """A 409 of an order outranks the status: the hold stays for two statuses that are newer."""
    async with account_world() as world:
        nursery.start_soon(
            watch_exchange, world.rest, ExchangeHours(EASTERN), world.ledger, world.clock, world.bus.settle
        )
        await trio.sleep(5 * limits.EXCHANGE_WATCH_S + 5)
        await world.place_hold(HoldKind.EXCHANGE, "an order was refused: exchange_is_paused")
        await trio.sleep(limits.EXCHANGE_WATCH_S)
        assert world.held() == ["exchange"]
        await trio.sleep(limits.EXCHANGE_WATCH_S)
        assert world.held() == []
        nursery.cancel_scope.cancel()


async def test_an_exchange_that_is_not_reached_says_nothing(autojump_clock, nursery):
    """No answer neither holds nor lifts, and breaks a row of active statuses."""
    async with account_world() as world:
        world.network.withdraw("exchange", 80)
        world.network.cut()
        nursery.start_soon(
            watch_exchange, world.rest, ExchangeHours(EASTERN), world.ledger, world.clock, world.bus.settle
        )
        await trio.sleep(120)
        assert world.held() == []
        await world.place_hold(HoldKind.EXCHANGE)
        await trio.sleep(120)
        assert world.held() == ["exchange"]
        world.network.serve("exchange", 80, world.link.handle)
        await trio.sleep(4 * limits.EXCHANGE_WATCH_S)
        assert world.held() == []
        nursery.cancel_scope.cancel()


async def test_a_status_that_says_paused_in_an_error_is_read(autojump_clock, nursery):
    """503 for the status itself, with another body: no word of the exchange."""
    async with account_world() as world:
        world.fail("GET", STATUS, UNAVAILABLE)
        nursery.start_soon(
            watch_exchange, world.rest, ExchangeHours(EASTERN), world.ledger, world.clock, world.bus.settle
        )
        await trio.sleep(60)
        assert world.held() == []
        nursery.cancel_scope.cancel()


async def test_a_pause_that_is_known_is_held_before_it_begins(autojump_clock, nursery):
    """Placed by the clock half a minute ahead, while the status still says active; lifted by two active statuses
    after its end, and by none before.
    """
    async with account_world() as world:
        hours, now_ms = ExchangeHours(EASTERN), world.clock.now_ms()
        hours.learn(Schedule((), ((now_ms + 10 * MINUTE_MS, now_ms + 20 * MINUTE_MS),)))
        settle = world.bus.settle
        nursery.start_soon(watch_exchange, world.rest, hours, world.ledger, world.clock, settle)
        nursery.start_soon(watch_hours, hours, world.ledger, world.clock, settle)
        await trio.sleep(9.4 * 60)
        assert world.held() == []
        await trio.sleep(0.2 * 60)
        assert world.held() == ["exchange"]
        (held,) = world.ledger.holds
        assert held.cause.startswith("the exchange pauses by its maintenance, from 2026-10-19T14:10")
        assert held.cleared_by.startswith("a status that says active twice, after 2026-10-19T14:20")
        await trio.sleep(10.3 * 60)
        assert world.held() == ["exchange"]
        await trio.sleep(3 * limits.EXCHANGE_WATCH_S)
        assert world.held() == []
        await world.told()
        assert world.kinds().count("HoldPlaced") == 1
        nursery.cancel_scope.cancel()


async def test_an_exchange_that_stays_shut_after_its_pause_stays_held(autojump_clock, nursery):
    """The end of the window lifts nothing by itself; and a pause takes over a hold that was there for a 409."""
    async with account_world() as world:
        hours, now_ms = ExchangeHours(EASTERN), world.clock.now_ms()
        hours.learn(Schedule((), ((now_ms + MINUTE_MS, now_ms + 2 * MINUTE_MS),)))
        settle = world.bus.settle
        await world.place_hold(HoldKind.EXCHANGE, "an order was refused: exchange_is_paused")
        world.exchange.pause_trading()
        nursery.start_soon(watch_exchange, world.rest, hours, world.ledger, world.clock, settle)
        nursery.start_soon(watch_hours, hours, world.ledger, world.clock, settle)
        await trio.sleep(90)
        assert [each.cause[:19] for each in world.ledger.holds] == ["the exchange pauses"]
        await trio.sleep(600)
        assert world.held() == ["exchange"]
        world.exchange.resume_trading()
        await trio.sleep(3 * limits.EXCHANGE_WATCH_S)
        assert world.held() == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("skew_ms", "alarms"), [(0, 0), (-4_000, 0), (-12_000, 1)])
async def test_the_time_is_handed_on_and_a_clock_that_is_off_is_an_alarm(autojump_clock, nursery, skew_ms, alarms):
    """The exchange's time each second; past `CLOCK_OFFSET_MAX_MS` somebody has to look at the machine's clock."""
    async with account_world(skew_ms=skew_ms) as world:
        ticks, raised = [], []
        nursery.start_soon(watch_clock, world.clock, ticks.append, lambda name, text: raised.append((name, text)))
        await trio.sleep(2.5)
        assert [after - before for before, after in itertools.pairwise(ticks)] == [1_000, 1_000]
        assert abs(ticks[0] - world.exchange._venue.now_ms()) < 4_000
        assert {name for name, _ in raised} == ({"clock_off"} if alarms else set())
        nursery.cancel_scope.cancel()


class Systemd:
    """Its end of the notify socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def heard(self):
        said = []
        while True:
            try:
                said.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return said


@pytest.fixture
def systemd(tmp_path):
    systemd = Systemd(tmp_path / "notify")
    yield systemd
    systemd.socket.close()


async def test_a_stuck_bus_is_not_called_alive(autojump_clock, nursery, tmp_path, systemd):
    """While the writer works, systemd hears so; when facts wait and nothing becomes durable, it hears nothing."""
    clock, ledger, stuck = VirtualClock(0), Ledger(), trio.Event()
    stuck.set()
    written = []

    async def append(facts):
        await stuck.wait()
        written.extend(facts)
        return len(written)

    bus = EventBus(ledger, OrderManager(), append, lambda _proposal: None, lambda _command: None)
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"})
    watchdog = Watchdog(bus, ledger, clock, notifier, lambda _name, _text: None)
    nursery.start_soon(watchdog.run, lambda: None)

    async def run():
        with pytest.raises(OperatingError, match="took no commit"):
            await bus.run()

    nursery.start_soon(run)
    await trio.sleep(3.5)
    assert systemd.heard() == ["WATCHDOG=1"] * 4
    bus.post(Alarmed(0, "one", ""))
    await trio.sleep(1)
    systemd.heard()
    stuck = trio.Event()
    bus.post(Alarmed(0, "two", ""))
    await trio.sleep(0.1)
    bus.post(Alarmed(0, "three", ""))
    await trio.sleep(1)
    systemd.heard()  # the last that was said before anybody could know
    await trio.sleep(3)
    assert systemd.heard() == []
    await trio.sleep(limits.JOURNAL_BUSY_S)
    notifier.close()
    nursery.cancel_scope.cancel()


async def test_a_kill_without_proof_is_an_alarm_after_five_seconds(autojump_clock, nursery):
    """Not before, and not when the sweep was verified; a kill from an earlier process has five seconds of this one."""
    async with account_world() as world:
        raised = []
        await world.place_hold(HoldKind.KILL)
        await trio.sleep(600)
        watchdog = Watchdog(world.bus, world.ledger, world.clock, Notifier({}), lambda *alarm: raised.append(alarm))
        nursery.start_soon(watchdog.run, lambda: None)
        await trio.sleep(4.5)
        assert raised == []
        await trio.sleep(2)
        assert {name for name, _ in raised} == {"kill_unverified"}
        await world.bus.settle(SweepVerified(world.clock.now_ms(), "all"))
        raised.clear()
        await trio.sleep(10)
        assert raised == []
        nursery.cancel_scope.cancel()


async def test_the_accounts_limits_are_read_again(autojump_clock, nursery):
    """An upgrade shows within `LIMITS_READ_S`, also where a read between has failed."""
    rates = RateLimits("advanced", 300, 600, 300, 600)
    async with account_world(settings=ServerSettings(limits=rates)) as world:
        nursery.start_soon(watch_limits, world.rest)
        world.fail("GET", "/account/limits", UNAVAILABLE)
        await trio.sleep(limits.LIMITS_READ_S + 60)
        assert world.rest.governor.tier == ""
        world.mend()
        await trio.sleep(limits.LIMITS_READ_S)
        assert world.rest.governor.tier == "advanced"
        assert [each.capacity for each in world.rest.governor.statuses(trio.current_time())] == [600, 600, 1]
        nursery.cancel_scope.cancel()


async def test_the_end_of_the_keys_region_is_alarmed_from_two_weeks_before(autojump_clock, nursery, monkeypatch):
    """Sixteen days are left: silence at two daily reads, a word at the third; one that failed is made again soon."""
    monkeypatch.setattr(server, "EMULATOR_TICK_S", 60.0)
    alarms: list[tuple[float, str, str]] = []
    now_s = START_MS // 1_000
    async with account_world(settings=ServerSettings(key_region_ends_s=now_s + 16 * 86_400)) as world:
        world.fail("GET", "/api_keys", UNAVAILABLE)
        nursery.start_soon(
            watch_region, world.rest, world.clock, lambda *said: alarms.append((trio.current_time(), *said))
        )
        await trio.sleep(limits.REGION_RETRY_S - 60)
        world.mend()
        await trio.sleep(3 * limits.REGION_READ_S)
        nursery.cancel_scope.cancel()
    assert [(name, text.partition(";")[0]) for _at_s, name, text in alarms] == [
        ("key_region", "the location attested for the key ends in 13 days")
    ]
