"""Metrics for Prometheus on loopback: `/metrics`, and `/healthz` for whoever wants one word.

Rules: a scrape reads one `Status` and turns it into samples; nothing is counted here, and no library-wide
registry is used. Names begin with `kalshid_`, units are base units, counters end in `_total`, labels have few values.
The states of a chart come from the chart. This is the edge: money becomes a float of dollars here, for display, and
nowhere flows back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from kalshi_daemon.charts.literals import dotted, leaves_of
from kalshi_daemon.config_values import Address
from kalshi_daemon.core.chart_states import CHARTS
from kalshi_daemon.core.degradation import Degraded
from kalshi_daemon.core.health_monitor import Verdict
from kalshi_daemon.core.market_selection import IN
from kalshi_daemon.errors import OperatingError
from kalshi_daemon.facts import HoldKind, RestrictionKind
from kalshi_daemon.limits import HTTP_CLIENTS_MAX
from kalshi_daemon.shell.http_server import Request, Response, serve_http
from kalshi_daemon.shell.state_reporter import StatusProvider
from kalshi_daemon.shell.status import Status
from kalshi_daemon.units import CONTRACT, DOLLAR, SECOND_MS, Money

PREFIX: Final = "kalshid_"
PLAIN: Final = "text/plain; charset=utf-8"
# The label and the meaning of each counter that has a label; see StateReporter for where they come from.
LABELLED: Final[Mapping[str, tuple[str, str]]] = {
    "orders": ("state", "Orders that came into a state"),
    "refused": ("code", "Orders that our own gates refused"),
    "refused_by_exchange": ("code", "Orders that the exchange refused"),
    "cancelled_by_exchange": ("reason", "Orders of ours that the exchange cancelled"),
    "errors": ("fault", "Errors of requests, by whose they are"),
    "unknown_codes": ("code", "Errors with a code that nobody told us of"),
    "frames_malformed": ("kind", "Frames that could not be read"),
    "requests": ("outcome", "Requests, by their kind and what became of them"),
    "actions": ("action", "Decisions, by the action's number; 0 holds"),
    "ledger": ("kind", "Facts that changed nothing or were not expected"),
}


class StatusCollector(Collector):
    """Turns the status of the moment into samples. Before there is one, only the build is known."""

    def __init__(self, provider: StatusProvider, version: str) -> None:
        self._provider = provider
        self._version = version

    def collect(self) -> Iterator[Metric]:
        yield _info("build_info", "The version that runs", {"version": self._version})
        status = self._provider.status()
        if status is None:
            return
        yield from _levels(status)
        yield from _account(status)
        yield from _activity(status)


class Metrics:
    """Serves the metrics of a status source."""

    def __init__(self, provider: StatusProvider, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(StatusCollector(provider, version))
        self._provider = provider
        self._clients = trio.CapacityLimiter(HTTP_CLIENTS_MAX)

    async def run(self, address: Address, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; the port is told through `task_status`. Raises OperatingError for a taken address."""
        try:
            listeners = await trio.open_tcp_listeners(address.port, host=address.host)
        except OSError as error:
            raise OperatingError(
                f"metrics cannot listen on {address}: {error.strerror}; see KALSHI_METRICS_ADDRESS"
            ) from None
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_listeners, self._serve, listeners)
            await nursery.start(serve)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One client; those over the bound are dropped rather than kept waiting."""
        try:
            self._clients.acquire_nowait()
        except trio.WouldBlock:
            await trio.aclose_forcefully(stream)
            return
        try:
            await serve_http(stream, self.answer)
        finally:
            self._clients.release()

    async def answer(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        if request.method not in {"GET", "HEAD"}:
            return Response(405, b"GET only\n", PLAIN, (("Allow", "GET, HEAD"),))
        if request.path == "/metrics":
            return Response(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
        if request.path == "/healthz":
            return self._health()
        return Response(404, b"there are /metrics and /healthz\n", PLAIN)

    def _health(self) -> Response:
        """200 while the verdict is not failing; the body gives the verdict and its reasons, one a line."""
        status = self._provider.status()
        if status is None:
            return Response(503, b"starting\n", PLAIN)
        lines = [str(status.health.verdict)]
        lines += [f"{each.verdict} {each.subject}: {each.text}" for each in status.health.reasons]
        code = 503 if status.health.verdict is Verdict.FAILING else 200
        return Response(code, ("\n".join(lines) + "\n").encode(), PLAIN)


def _levels(status: Status) -> Iterator[Metric]:
    state = GaugeMetricFamily(PREFIX + "state", "1 for the state a chart is in", labels=["chart", "instance", "state"])
    for chart in status.charts:
        for path in map(dotted, leaves_of(CHARTS[chart.chart])):
            state.add_metric([chart.chart, chart.instance, path], int(path == chart.path))
    for breaker in status.breakers:
        for path in map(dotted, leaves_of(CHARTS["circuit_breaker"])):
            state.add_metric(["circuit_breaker", breaker.name, path], int(path == breaker.state))
    failures = CounterMetricFamily(PREFIX + "breaker_failures", "Failures that a breaker was told", labels=["breaker"])
    for breaker in status.breakers:
        failures.add_metric([breaker.name], breaker.failures)
    yield from (state, failures)
    yield _by_label("health", "1 for the verdict", "verdict", Verdict, {status.health.verdict})
    yield _by_label("hold", "1 for a hold in force", "hold", HoldKind, {each.kind for each in status.holds})
    restrictions = {each.kind for each in status.restrictions}
    yield _by_label("restriction", "1 for a restriction in force", "restriction", RestrictionKind, restrictions)
    degraded = {each.kind for each in status.degradations}
    yield _by_label("degraded", "1 for what is worse than it should be", "degradation", Degraded, degraded)
    yield _gauge("feeds_usable", "Whether trading could use the feeds", int(status.feeds_usable))
    yield _gauge("account_agreed", "Whether the account agrees with the exchange", int(status.account_agreed))
    yield _gauge("start_time_seconds", "When the process began", status.started_ms / SECOND_MS)
    markets = GaugeMetricFamily(PREFIX + "markets", "Markets by why they are in or out", labels=["in", "why"])
    for name, count in status.markets.items():
        markets.add_metric([str(name in IN).lower(), name], count)
    yield markets
    if status.pause is not None:
        yield _gauge("pause_start_time_seconds", "The pause known ahead", status.pause.from_ms / SECOND_MS)
        yield _gauge("pause_end_time_seconds", "The end of the pause known ahead", status.pause.until_ms / SECOND_MS)
    messages = CounterMetricFamily(PREFIX + "feed_messages", "Messages of a feed", labels=["feed"])
    for feed in status.feeds:
        messages.add_metric([feed.role], feed.messages)
    yield messages
    yield from _rates(status)


def _rates(status: Status) -> Iterator[Metric]:
    for name, help_text, values in (
        ("rate_tokens", "Tokens that are left", {each.budget: each.tokens for each in status.rates}),
        ("rate_capacity", "Tokens that the bucket holds", {each.budget: each.capacity for each in status.rates}),
        (
            "rate_spent_share",
            "Share taken in the last minute",
            {each.budget: each.spent_share for each in status.rates},
        ),
        ("rate_pace", "Share of the refill that we use since a 429", {each.budget: each.pace for each in status.rates}),
    ):
        family = GaugeMetricFamily(PREFIX + name, help_text, labels=["budget"])
        for budget, value in values.items():
            family.add_metric([budget], value)
        yield family
    refusals = CounterMetricFamily(PREFIX + "rate_refusals", "Answers 429", labels=["budget"])
    for each in status.rates:
        refusals.add_metric([each.budget], each.refusals)
    yield refusals


def _account(status: Status) -> Iterator[Metric]:
    session = status.session
    for name, help_text, amount in (
        ("cash_settled_dollars", "What fills, fees and settlements add up to", status.cash.settled),
        ("cash_reserved_dollars", "The worst case of live orders", status.cash.reserved),
        ("cash_available_dollars", "What increases may spend", status.cash.available),
        ("profit_realised_dollars", "Realised profit, fees left out", status.profit.realised),
        ("profit_unrealised_dollars", "Profit of what is held, at the mid", status.profit.unrealised),
        (
            "profit_unrealised_conservative_dollars",
            "Profit of what is held, at the best price to close it",
            status.profit.unrealised_conservative,
        ),
        ("fees_dollars", "Fees paid", status.profit.fees),
        ("session_start_cash_dollars", "Settled cash when the run began", session.cash),
        ("session_invested_dollars", "Cash that fills of this run took", session.invested),
        ("session_recouped_dollars", "Cash that fills and settlements of this run gave", session.recouped),
        ("session_fees_dollars", "Fees of this run", session.fees),
        ("session_realised_dollars", "Realised profit of this run, fees left out", session.realised),
        ("session_drift_dollars", "What corrections of this run added to the cash", session.drift),
    ):
        yield _gauge(name, help_text, _float_dollars(amount))
    yield _gauge("positions", "Markets with a position", len(status.positions))
    held = sum(abs(each.count) for each in status.positions)
    yield _gauge("position_contracts", "Contracts held, either side", held / CONTRACT)
    live = GaugeMetricFamily(PREFIX + "orders_live", "Orders that are not over", labels=["state"])
    by_state: dict[str, int] = {}
    for order in status.orders:
        by_state[order.state] = by_state.get(order.state, 0) + 1
    for name, count in by_state.items():
        live.add_metric([name], count)
    yield live


def _activity(status: Status) -> Iterator[Metric]:
    yield _counter("fills", "Fills booked", status.session.fills)
    for name, count in status.activity.counters.items():
        yield _counter(name, name.replace("_", " ").capitalize(), count)
    for name, value in status.activity.gauges.items():
        yield _gauge(name, name.replace("_", " ").capitalize(), value)
    for name, counts in status.activity.labelled.items():
        label, help_text = LABELLED[name]
        family = CounterMetricFamily(PREFIX + name, help_text, labels=[label])
        for kind, count in counts.items():
            family.add_metric([kind], count)
        yield family


def _float_dollars(amount: Money) -> float:
    """For display only: a float holds every amount below nine billion dollars to the micro-dollar."""
    return amount / DOLLAR


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, help_text, value=value)


def _info(name: str, help_text: str, labels: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, help_text, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _by_label(name: str, help_text: str, label: str, values: Iterable[str], on: Iterable[str]) -> Metric:
    """One sample per possible value, so that a query for one that is off finds a zero and not nothing."""
    active = set(on)
    family = GaugeMetricFamily(PREFIX + name, help_text, labels=[label])
    for value in values:
        family.add_metric([str(value)], int(value in active))
    return family
