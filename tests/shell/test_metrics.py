"""shell/metrics.py: a scrape as Prometheus reads it, over a real socket."""

from __future__ import annotations

import re

import pytest
import trio
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from status_world import START_MS, World, trading_world

from kalshi_daemon.charts.literals import leaves_of
from kalshi_daemon.config_values import Address
from kalshi_daemon.core.degradation import Degradation, Degraded
from kalshi_daemon.errors import OperatingError
from kalshi_daemon.facts import HoldKind
from kalshi_daemon.limits import HTTP_CLIENTS_MAX
from kalshi_daemon.shell.http_server import Request
from kalshi_daemon.shell.metrics import Metrics
from statecharts.trader import TRADER

GET = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
Samples = dict[tuple[str, tuple[str, ...]], float]


async def scraped(metrics: Metrics) -> Samples:
    """Every sample by name and label values, as Prometheus' own parser reads them."""
    response = await metrics.answer(Request("GET", "/metrics", {}, {}, b""))
    assert response.status == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.body.decode())
        for sample in family.samples
    }


async def test_a_scrape_of_a_trading_daemon() -> None:
    """State, cash in dollars, counts by label and the build are there, with the values of the status."""
    world = trading_world()
    world.refused["P5"] += 3
    world.degradations = (Degradation(Degraded.RATE_LOWERED, "429", world.at_ms),)
    samples = await scraped(Metrics(world.reporter, "0.1.0"))
    expected = {
        ("kalshid_build_info", ("0.1.0",)): 1,
        ("kalshid_state", ("trader", "", "trading.normal")): 1,
        ("kalshid_state", ("trader", "", "paused.holding")): 0,
        ("kalshid_state", ("connection", "market", "session.live")): 1,
        ("kalshid_state", ("circuit_breaker", "order_writes", "closed")): 1,
        ("kalshid_health", ("ok",)): 1,
        ("kalshid_hold", ("kill",)): 0,
        ("kalshid_degraded", ("rate_lowered",)): 1,
        ("kalshid_degraded", ("books_polled",)): 0,
        ("kalshid_feeds_usable", ()): 1,
        ("kalshid_markets", ("true", "series")): 2,
        ("kalshid_markets", ("false", "volume")): 3,
        ("kalshid_account_agreed", ()): 1,
        ("kalshid_start_time_seconds", ()): START_MS / 1_000,
        ("kalshid_feed_messages_total", ("orderbook",)): 120,
        ("kalshid_cash_settled_dollars", ()): 97.4125,
        ("kalshid_cash_reserved_dollars", ()): 2.505,
        ("kalshid_cash_available_dollars", ()): 74.9075,
        ("kalshid_profit_unrealised_dollars", ()): 0.3,
        ("kalshid_fees_dollars", ()): 0.0875,
        ("kalshid_positions", ()): 1,
        ("kalshid_position_contracts", ()): 5,
        ("kalshid_orders_live", ("partially_filled",)): 1,
        ("kalshid_orders_total", ("submitted",)): 1,
        ("kalshid_fills_total", ()): 1,
        ("kalshid_policy_decisions_total", ()): 7,
        ("kalshid_book_deltas_total", ()): 120,
        ("kalshid_refused_total", ("P5",)): 3,
        ("kalshid_frames_malformed_total", ("unknown_type",)): 2,
        ("kalshid_bus_waiting", ()): 0,
    }
    assert {key: samples.get(key) for key in expected} == expected


async def test_exactly_one_state_of_a_chart_is_lit() -> None:
    """The labels are the chart's leaves, all of them, and the active one is 1."""
    samples = await scraped(Metrics(trading_world().reporter, "0.1.0"))
    trader = {
        labels[2]: value
        for (name, labels), value in samples.items()
        if name == "kalshid_state" and labels[0] == "trader"
    }
    assert set(trader) == {".".join(path) for path in leaves_of(TRADER)}
    assert sum(trader.values()) == 1


async def test_names_follow_the_conventions_and_no_shared_registry_is_used() -> None:
    """One prefix, counters in _total, and nothing is left in the library's global registry."""
    samples = await scraped(Metrics(trading_world().reporter, "0.1.0"))
    assert [name for name, _labels in samples if not re.fullmatch(r"kalshid_[a-z_]+[a-z]", name)] == []
    assert [metric.name for metric in REGISTRY.collect() if metric.name.startswith("kalshid")] == []


async def test_before_the_start_only_the_build_is_known() -> None:
    """A scrape before the trader has begun is no error, and is not healthy."""
    metrics = Metrics(World().reporter, "0.1.0")
    assert await scraped(metrics) == {("kalshid_build_info", ("0.1.0",)): 1}
    assert (await metrics.answer(Request("GET", "/healthz", {}, {}, b""))).status == 503


async def test_health_is_one_word_with_its_reasons() -> None:
    """Degraded is still 200; failing is 503; each reason is a line."""
    world = trading_world()
    metrics = Metrics(world.reporter, "0.1.0")
    health = Request("GET", "/healthz", {}, {}, b"")
    assert ((await metrics.answer(health)).status, (await metrics.answer(health)).body) == (200, b"ok\n")
    world.hold(HoldKind.OPERATOR, "x")
    world.step("paused.holding", "hold_placed")
    degraded = await metrics.answer(health)
    assert (degraded.status, degraded.body.splitlines()[0]) == (200, b"degraded")
    world.step("paused.unswept", "sweep_failed")
    failing = await metrics.answer(health)
    assert (failing.status, failing.body.splitlines()[0]) == (503, b"failing")
    assert failing.body.splitlines()[1].startswith(b"failing trader: paused.unswept: ")


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/", 404)])
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    """Other paths and methods are refused."""
    assert (await Metrics(World().reporter, "0.1.0").answer(Request(method, path, {}, {}, b""))).status == status


async def test_it_is_served_on_loopback(nursery: trio.Nursery) -> None:
    """A client over TCP gets the text; a taken port is one line naming the variable."""
    metrics = Metrics(trading_world().reporter, "0.1.0")
    port = await nursery.start(metrics.run, Address("127.0.0.1", 0))
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(GET.format("/metrics").encode())
        received = b"".join([data async for data in stream])
    assert received.startswith(b"HTTP/1.1 200")
    assert b"kalshid_policy_decisions_total 7.0" in received
    with pytest.raises(OperatingError, match=rf"cannot listen on 127.0.0.1:{port}: .*; see KALSHI_METRICS_ADDRESS"):
        await Metrics(World().reporter, "0.1.0").run(Address("127.0.0.1", port))


async def test_clients_are_bounded(nursery: trio.Nursery) -> None:
    """One more connection than allowed is closed at once, and the others are still served."""
    metrics = Metrics(trading_world().reporter, "0.1.0")
    port = await nursery.start(metrics.run, Address("127.0.0.1", 0))
    streams = []
    for _ in range(HTTP_CLIENTS_MAX):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        streams.append(stream)
    async with await trio.open_tcp_stream("127.0.0.1", port) as extra:
        assert await answer_of(extra) == b""
    for stream in streams:
        await stream.aclose()


async def answer_of(stream: trio.SocketStream) -> bytes:
    """What comes back for a request; nothing where the other side has closed."""
    try:
        await stream.send_all(GET.format("/healthz").encode())
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""
