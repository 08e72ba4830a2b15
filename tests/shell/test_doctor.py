"""The doctor against the emulated exchange and listeners that misbehave: each is named, with what to do."""

from __future__ import annotations

import json
import random
import socket
from functools import partial

import pytest
import trio

from kalshi_daemon import limits
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.faults import KINDS, NAME_LOST
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.emulator.world import WorldSettings, make_world
from kalshi_daemon.errors import Unreachable
from kalshi_daemon.examine import examine
from kalshi_daemon.shell import doctor_advice as advice
from kalshi_daemon.shell.clock import SystemClock, VirtualClock
from kalshi_daemon.shell.doctor_report import Outcome
from kalshi_daemon.shell.network import SystemNetwork, resolve
from kalshi_daemon.simulation.network import MemoryNetwork
from kalshi_daemon.units import DOLLAR

START_MS = 1_792_418_400_000  # a Monday at 10:00 US Eastern
FIRST, SECOND = "first.test", "second.test"
DAY_S = 86_400
STEPS = [
    "dns",
    "tcp",
    "tls",
    "rest public",
    "markets",
    "rest private",
    "key's region",
    "key's scopes",
    "upgrade",
    "subscription",
]


async def silence(_stream):
    await trio.sleep_forever()


class Site:
    """One emulated exchange behind two hosts, and a machine whose key may trade there."""

    def __init__(self, folder, *, skew_ms=0, server=None, hosts=(FIRST, SECOND)):
        self.clock = VirtualClock(START_MS + skew_ms)
        settings = WorldSettings(server=server or ServerSettings())
        self.world = make_world(settings, VirtualClock(START_MS).now_ms, random.Random(2))
        self.network = MemoryNetwork(random.Random(1), faults=self.world.server.faults)
        key = self.world.server.join(1_000 * DOLLAR)
        self.key_file = folder / "key.pem"
        self.key_file.touch(mode=0o600)
        self.key_file.write_bytes(key.private_pem)
        self.nameless = set()
        self.variables = {
            "HOME": str(folder),
            "KALSHI_CONTROL_SOCKET": "/nonexistent/control.sock",
            "KALSHI_API_KEY_ID": key.key_id,
            "KALSHI_PRIVATE_KEY_FILE": str(self.key_file),
            "KALSHI_MARKETS": self.world.tickers[0],
            "KALSHI_REST_URLS": ",".join(f"https://{host}/trade-api/v2" for host in hosts),
            "KALSHI_WS_URLS": ",".join(f"wss://{host}/trade-api/ws/v2" for host in hosts),
        }
        for host in hosts:
            self.network.serve(host, 443, self.world.server.handle)

    def fail(self, text):
        self.world.server.faults.add(parse_fault(text))

    async def resolve(self, host, _port):
        await trio.lowlevel.checkpoint()
        if host in self.nameless or self.world.server.faults.bite(NAME_LOST):
            raise Unreachable(f"{host} has no address (DNS: Name or service not known)", maybe_done=False)
        return ("192.0.2.1",)

    async def examined(self, environment=None, *, after_s=0.2):
        """The report, within a bound that every fault keeps; asked for so long after the faults were planned."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.network.run)
            await nursery.start(self.world.server.run)
            await trio.sleep(after_s)
            with trio.fail_after(len(STEPS) * limits.DOCTOR_STEP_S):
                report = await examine(
                    self.variables, environment, self.network, self.resolve, self.clock, random.Random(3)
                )
            nursery.cancel_scope.cancel()
        return report


def of(report, step, host=None):
    """The findings of one step; of one host where it is named."""
    return [each for each in report.findings if each.step == step and (host is None or each.host.startswith(host))]


def failed(report):
    return {each.step for each in report.findings if each.outcome is Outcome.FAILED}


async def test_all_is_well(tmp_path, autojump_clock):
    """Every step of both hosts passes, with its time; the table and the JSON say the same."""
    report = await Site(tmp_path).examined()
    assert [each.step for each in report.findings] == ["configuration", "key", "clock", *STEPS, *STEPS]
    assert {each.outcome for each in report.findings} == {Outcome.OK}
    assert all(each.took_ms is not None for each in report.findings if each.host)
    assert (report.exit_code, report.verdict) == (0, "all is well")
    read = json.loads(report.as_json())
    assert [(each["host"], each["step"]) for each in read["findings"]] == [(e.host, e.step) for e in report.findings]
    lines = report.as_text().splitlines()
    assert len(lines) == 1 + len(report.findings) + 2
    assert lines[-1] == "demo: all is well"


ORDER, SLOW, LATE = advice.STREAM_BROKEN, advice.SLOW, "after they were sent"
FAILED = [  # fault, the step that it meets, what is said, what to do, the exit code
    ("error:500", "rest public", "500", advice.DOWN, 69),
    ("error:503", "rest public", "503", advice.DOWN, 69),
    ("error:502", "rest public", "502", advice.PROXY, 69),
    ("error:504", "rest public", "504", advice.PROXY, 69),
    ("error:429", "rest public", "429", advice.TOO_MANY, 69),
    ("masked:503", "rest public", "503", advice.DOWN, 69),
    ("dropped", "rest public", "the connection broke", advice.DOWN, 69),
    ("lost", "rest public", "the connection broke", advice.DOWN, 69),
    ("slow:60", "rest public", "no answer within 10 s", advice.DOWN, 69),
    ("late:60", "rest public", "no answer within 10 s", advice.DOWN, 69),
    ("stalled:60", "rest public", "no answer within 10 s", advice.DOWN, 69),
    ("garbled", "rest public", "cannot be read", advice.PROXY, 69),
    ("truncated", "rest public", "cannot be read", advice.PROXY, 69),
    ("maintenance", "rest public", "says that it is not active: maintenance", advice.DOWN, 69),
    ("half-open:0", "rest public", "no answer within 10 s", advice.DOWN, 69),
    ("reset:0", "rest public", "the connection broke", advice.DOWN, 69),
    ("error:503:/account/limits", "rest private", "503", advice.DOWN, 69),
    ("garbled:/api_keys", "key's region", "cannot be read", advice.PROXY, 69),
    ("upgrade:503", "upgrade", "service_unavailable", advice.STREAM_DOWN, 69),
    ("upgrade:502", "upgrade", "502", advice.PROXY, 69),
    ("upgrade:429", "upgrade", "429", advice.STREAM_DOWN, 69),
    ("upgrade:401", "upgrade", "NOT_FOUND", advice.UNKNOWN_KEY, 77),
    ("upgrade:403", "upgrade", "forbidden", advice.ACCESS, 77),
    ("overflow", "subscription", "25", advice.STREAM_DOWN, 69),
    ("refused:8:subscribe", "subscription", "the exchange answered 8", advice.STREAM_REFUSED, 69),
    ("gap", "subscription", "the socket is open, and no answer within 10 s", advice.STREAM_DOWN, 69),
    ("refused:18:subscribe", "subscription", "18", advice.STREAM_DOWN, 69),
    ("refused:27:update_subscription", "subscription", "27", advice.STREAM_DOWN, 69),
    ("gap:orderbook_snapshotx1", "subscription", "a frame is lost: 1 of ", ORDER, 1),
    ("duplicate", "subscription", "a frame came twice: 1", ORDER, 69),
    ("duplicate:orderbook_snapshotx1", "subscription", "a frame came twice: 1", ORDER, 1),
    ("reorder", "subscription", "frames come out of order: 2 after 3", ORDER, 69),
    ("reorder:orderbook_snapshotx1", "subscription", "frames come out of order: 1 after 2", ORDER, 1),
    ("clock:40", "clock", "+40", advice.CLOCK, 77),
    ("clock:-40", "clock", "-", advice.CLOCK, 77),
    ("dns", "dns", "has no address", advice.NETWORK["dns"], 69),
    ("tls", "tls", "failed TLS", advice.NETWORK["tls"], 69),
    ("tls:expired", "tls", "failed TLS", advice.NETWORK["tls"], 69),
]
WARNED = [  # fault, the step that it meets, what is said, what to do
    ("slow:5:/exchange/status", "rest public", "slow: it took 5.", SLOW),
    ("late:5:/exchange/status", "rest public", "slow: it took 5.", SLOW),
    ("late:5:/account/limits", "rest private", "slow: it took 5.", SLOW),
    ("stalled:3", "subscription", LATE, SLOW),
    ("stale:600", "rest private", "reads of the account are 600 s behind", advice.BEHIND),
    ("pause", "rest public", "paused", advice.PAUSED),
]


@pytest.mark.parametrize(("fault", "step", "said", "todo", "code"), FAILED, ids=[each[0] for each in FAILED])
async def test_each_fault_is_named(tmp_path, autojump_clock, fault, step, said, todo, code):
    """The step that it meets fails with what was answered and what to do; what came before is well."""
    site = Site(tmp_path)
    site.fail(fault)
    report = await site.examined()
    assert failed(report) == {step}, report.as_text()
    met = [each for each in of(report, step) if each.outcome is Outcome.FAILED]
    assert all(said in each.detail and each.todo == todo for each in met), report.as_text()
    assert report.exit_code == code
    if step in STEPS[:4]:
        later = {"rest private", "key's region", "upgrade", "subscription"}
        assert {each.step for each in report.findings if each.outcome is Outcome.NOT_TRIED} >= later


@pytest.mark.parametrize(("fault", "step", "said", "todo"), WARNED, ids=[each[0] for each in WARNED])
async def test_what_is_late_or_old_is_a_warning(tmp_path, autojump_clock, fault, step, said, todo):
    """Nothing fails, and the step that it meets says what it met and what to do."""
    site = Site(tmp_path)
    site.fail(fault)
    report = await site.examined(after_s=30)
    assert (report.exit_code, report.verdict) == (0, "all is well, with warnings")
    found = [each for each in of(report, step) if each.outcome is Outcome.WARNING]
    assert len(found) == 2, report.as_text()
    assert all(said in each.detail and each.todo == todo for each in found), report.as_text()


def test_every_kind_of_fault_is_tried():
    """A kind that is new is put to the doctor, or said not to be seen."""
    assert {parse_fault(each[0]).fault.kind for each in (*FAILED, *WARNED)} == set(KINDS)


async def test_an_address_that_is_not_the_apis_is_named(tmp_path, autojump_clock):
    """Another version in the path, and a stream's URL that a REST route answers: neither is worth waiting for."""
    site = Site(tmp_path, hosts=(FIRST,))
    site.variables["KALSHI_REST_URLS"] = f"https://{FIRST}/trade-api/v9"
    report = await site.examined()
    (found,) = of(report, "rest public")
    assert (found.outcome, found.todo) == (Outcome.FAILED, advice.WRONG_PLACE)
    assert "404" in found.detail
    site = Site(tmp_path, hosts=(FIRST,))
    site.variables["KALSHI_WS_URLS"] = f"wss://{FIRST}/trade-api/v2/exchange/status"
    (found,) = of(await site.examined(), "upgrade")
    assert (found.outcome, found.todo) == (Outcome.FAILED, advice.WRONG_PLACE)


async def test_a_stream_that_is_not_a_websocket_is_named(tmp_path, autojump_clock):
    """Something else answers at its address, in another protocol: there is nothing to wait for."""

    async def greet(stream):
        if await stream.receive_some():  # the steps before the upgrade only connect
            await stream.send_all(b"220 mail.test ready\r\n")

    site = Site(tmp_path, hosts=(FIRST,))
    site.network.serve(SECOND, 443, greet)
    site.variables["KALSHI_WS_URLS"] = f"wss://{SECOND}/trade-api/ws/v2"
    (found,) = of(await site.examined(), "upgrade")
    assert (found.outcome, found.todo) == (Outcome.FAILED, advice.WRONG_PLACE)
    assert "ended during the WebSocket upgrade, after b'220 mail.test ready" in found.detail


async def test_a_key_that_may_not_trade_is_named(tmp_path, autojump_clock):
    """Everything can be read, and no order could be placed: a person mends it."""
    report = await Site(tmp_path, server=ServerSettings(key_scopes=("read",))).examined()
    assert (failed(report), report.exit_code) == ({"key's scopes"}, 77)
    assert of(report, "key's scopes")[0].detail == "the key may not trade: its scopes are read"
    assert {each.outcome for each in of(report, "subscription")} == {Outcome.OK}


async def test_what_is_to_be_traded_is_looked_up(tmp_path, autojump_clock):
    """A market that is not listed would end the start: it fails. A series without any is a warning."""
    site = Site(tmp_path, hosts=(FIRST,))
    ours = site.world.tickers[5]
    site.variables["KALSHI_MARKETS"] = f"series:NOSUCH,{ours}"
    report = await site.examined()
    (found,) = of(report, "markets")
    assert (found.outcome, found.detail) == (Outcome.WARNING, "no market that has not closed is of series:NOSUCH")
    (streamed,) = of(report, "subscription")
    assert f"the book of {ours} came" in streamed.detail
    site = Site(tmp_path, hosts=(FIRST,))
    site.variables["KALSHI_MARKETS"] = f"NOSUCH,{ours}"
    report = await site.examined()
    (found,) = of(report, "markets")
    assert (failed(report), report.exit_code) == ({"markets"}, 78)
    assert found.detail == "KALSHI_MARKETS names NOSUCH, which the exchange does not list"


async def test_a_stream_that_says_nothing_ends_within_its_limit(tmp_path, autojump_clock):
    """The upgrade is granted and no frame follows: the subscription fails by time, and its time is shown."""
    site = Site(tmp_path)
    site.fail("gap:subscribed")
    site.fail("gap:orderbook_snapshot")
    report = await site.examined()
    assert failed(report) == {"subscription"}
    assert [each.took_ms for each in of(report, "subscription")] == [10_000, 10_000]


async def test_a_host_that_is_away_leaves_the_other(tmp_path, autojump_clock):
    """Refused, and without an address: the later steps of that host are not tried, and the daemon would work."""
    site = Site(tmp_path)
    site.network.withdraw(FIRST, 443)
    report = await site.examined()
    assert (report.exit_code, failed(report)) == (1, {"tcp"})
    assert of(report, "tcp", FIRST)[0].detail == "first.test:443 refused the connection"
    assert {each.outcome for each in report.findings if each.host.startswith(SECOND)} == {Outcome.OK}
    assert [each.step for each in report.findings if each.outcome is Outcome.NOT_TRIED] == STEPS[2:]
    site = Site(tmp_path)
    site.nameless = {FIRST, SECOND}
    report = await site.examined()
    assert (report.exit_code, failed(report)) == (69, {"dns"})
    assert of(report, "clock")[0].outcome is Outcome.NOT_TRIED
    assert of(report, "dns")[0].todo == advice.NETWORK["dns"]


async def test_a_black_hole_ends_within_the_limit(tmp_path, autojump_clock):
    """A host that takes the connection and never answers."""
    site = Site(tmp_path, hosts=(FIRST,))
    site.network.serve(FIRST, 443, silence)
    report = await site.examined()
    assert (report.exit_code, failed(report)) == (69, {"rest public"})
    assert of(report, "rest public")[0].took_ms == 10_000


@pytest.mark.parametrize(
    ("change", "step", "todo"),
    [
        ({"KALSHI_API_KEY_ID": "11111111-2222-3333-4444-555555555555"}, "rest private", advice.UNKNOWN_KEY),
        ({"KALSHI_PRIVATE_KEY_FILE": "/nonexistent/key.pem"}, "key", advice.KEY),
    ],
)
async def test_a_key_that_is_wrong_hides_no_host(tmp_path, autojump_clock, change, step, todo):
    """77, what to do, and the public steps are well."""
    site = Site(tmp_path, hosts=(FIRST,))
    site.variables |= change
    report = await site.examined()
    assert report.exit_code == 77
    assert of(report, step)[0].todo == todo
    assert of(report, "rest public")[0].outcome is Outcome.OK


async def test_the_wrong_file_for_a_key_is_told_from_an_unknown_key(tmp_path, autojump_clock):
    """The signature does not fit: the pair is what must be mended."""
    site = Site(tmp_path, hosts=(FIRST,))
    site.key_file.write_bytes(site.world.server.join(DOLLAR).private_pem)
    report = await site.examined()
    assert {each.todo for each in report.findings if each.outcome is Outcome.FAILED} == {advice.WRONG_PAIR}


async def test_a_clock_that_is_off_is_named_and_the_rest_goes_on(tmp_path, autojump_clock):
    """Five minutes behind: learnt from the first answer, so that the signatures pass, and still to be mended."""
    report = await Site(tmp_path, skew_ms=-300_000).examined()
    assert (report.exit_code, failed(report)) == (77, {"clock"})
    assert of(report, "clock")[0].detail.startswith(("+299", "+300"))


@pytest.mark.parametrize(
    ("days", "outcome", "said"),
    [
        (15, Outcome.OK, "attested for 15 more days"),
        (13, Outcome.WARNING, "ends in 13 days"),
        (-1, Outcome.WARNING, "has ended"),
        (None, Outcome.OK, "no location was attested"),
    ],
)
async def test_a_region_that_ends_soon_is_a_warning(tmp_path, autojump_clock, days, outcome, said):
    """Within 14 days: told, and no failure."""
    ends_s = None if days is None else START_MS // 1_000 + days * DAY_S + 60
    report = await Site(tmp_path, server=ServerSettings(key_region_ends_s=ends_s), hosts=(FIRST,)).examined()
    found = of(report, "key's region")[0]
    assert (found.outcome, report.exit_code) == (outcome, 0)
    assert said in found.detail
    assert report.verdict == ("all is well, with warnings" if outcome is Outcome.WARNING else "all is well")


async def test_a_configuration_that_does_not_load_is_78_and_the_hosts_are_tried(tmp_path, autojump_clock):
    """The variable is named; the hosts are the environment's own, and without a key nothing private is tried."""
    site = Site(tmp_path, hosts=("external-api.demo.kalshi.co", "demo-api.kalshi.co"))
    site.network.serve("external-api-ws.demo.kalshi.co", 443, site.world.server.handle)
    site.variables["KALSHI_MARKTES"] = "X"
    report = await site.examined()
    assert report.exit_code == 78
    assert "KALSHI_MARKTES is not known" in of(report, "configuration")[0].detail
    assert [each.outcome for each in of(report, "rest public")] == [Outcome.OK] * 2
    assert {each.outcome for each in of(report, "upgrade")} == {Outcome.NOT_TRIED}


async def test_production_is_only_read_and_needs_no_confirmation(tmp_path, autojump_clock):
    """Its own hosts are tried, whatever hosts are set for the demo, and nothing but GET is sent."""
    site = Site(tmp_path)
    for host in ("external-api.kalshi.com", "api.elections.kalshi.com", "external-api-ws.kalshi.com"):
        site.network.serve(host, 443, site.world.server.handle)
    report = await site.examined("production")
    assert (report.environment, report.exit_code) == ("production", 0)
    assert {each.host for each in report.findings if each.host} == {
        "external-api.kalshi.com:443",
        "api.elections.kalshi.com:443",
        "external-api-ws.kalshi.com:443",
    }


async def test_real_sockets_that_misbehave(tmp_path, nursery):
    """A port that nobody listens on is refused; one that answers garbage fails TLS."""

    async def garbage(stream):
        await stream.send_all(b"this is no TLS\n" * 10)
        await stream.aclose()

    listeners = await nursery.start(partial(trio.serve_tcp, garbage, 0, host="127.0.0.1"))
    port = listeners[0].socket.getsockname()[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
        site = Site(tmp_path)
        site.variables["KALSHI_REST_URLS"] = (
            f"https://127.0.0.1:{port}/trade-api/v2,https://127.0.0.1:{closed}/trade-api/v2"
        )
        site.variables["KALSHI_WS_URLS"] = f"wss://127.0.0.1:{port}/trade-api/ws/v2"
        report = await examine(site.variables, None, SystemNetwork(), resolve, SystemClock(), random.Random(3))
    nursery.cancel_scope.cancel()
    assert report.exit_code == 69
    assert [(each.step, each.host) for each in report.findings if each.outcome is Outcome.FAILED] == [
        ("tls", f"127.0.0.1:{port}"),
        ("tcp", f"127.0.0.1:{closed}"),
    ]
    assert "failed TLS" in of(report, "tls")[0].detail
    assert of(report, "tls")[0].todo == advice.NETWORK["tls"]
