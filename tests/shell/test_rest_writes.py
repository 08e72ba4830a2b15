"""The REST client's writes, its last gate and its connections, against a server in memory."""

from __future__ import annotations

import gzip
import json

import pytest
import trio
from rest_world import (
    AS_OF,
    AS_OF_MS,
    BUSY,
    CREATED,
    HOSTS,
    SPEC,
    World,
    answer,
    cancel,
    create,
)

from kalshi_daemon.errors import (
    Withheld,
)
from kalshi_daemon.shell.http_server import Response
from kalshi_daemon.simulation.network import MemoryStream
from kalshi_daemon.wire import orders as answers


@pytest.fixture
async def world(nursery):
    world = World()
    world.serve(*HOSTS)
    await nursery.start(world.network.run)
    async with world.client:
        yield world


# --------------------------------------------------------------------------------------------------------------- writes


async def test_a_create(autojump_clock, world):
    """The order goes out as JSON with its content type, and the acknowledgement comes back in our units."""
    world.answers = [answer(CREATED, 201)]
    assert await create(world) == answers.Acknowledged("o-1", 0, 1_000, 7)
    assert world.asked == [("POST", "/portfolio/events/orders", {})]
    assert world.requests[0].headers["content-type"] == "application/json"
    assert b'"client_order_id":"kd-r-1"' in world.requests[0].body
    assert world.outcomes("create") == {"ok": 1}


async def test_a_cancel_names_its_market_and_shard(autojump_clock, world):
    """Without them it would go to shard 0 and find nothing."""
    world.answers = [answer({"order_id": "o-1", "reduced_by": "10.00", "ts_ms": 9})]
    assert await cancel(world) == answers.CancelAccepted(1_000, 9)
    query = {"market_ticker": ["KXTEST-1-A"], "exchange_index": ["2"]}
    assert world.asked == [("DELETE", "/portfolio/events/orders/o-1", query)]


def refusal(status, code):
    return answer({"error": {"code": code, "message": "m"}}, status)


@pytest.mark.parametrize(
    ("reply", "met"),
    [
        (refusal(400, "insufficient_balance"), answers.Refused(400, "insufficient_balance", "m")),
        (refusal(409, "trading_is_paused"), answers.Refused(409, "trading_is_paused", "m")),
        (refusal(409, "order_already_exists"), answers.Duplicate()),
        (BUSY, answers.Refused(429, "rate_limited", "too many requests")),
    ],
)
async def test_a_create_that_is_refused(autojump_clock, world, reply, met):
    """By a parsed body with a known code, once, without repetition."""
    world.answers = [reply]
    assert await create(world) == met
    assert len(world.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        refusal(500, "internal"),
        refusal(409, "nobody_knows"),
        refusal(410, "deprecated_v1_order_endpoint"),
        answer(b"<html>502</html>", 502),
        answer(b"<html>welcome</html>", 200),
        answer({"status": "ok"}, 201),
        answer(CREATED | {"client_order_id": "kd-r-2"}, 201),
        answer(b"", 204),
        answer(b"", 301),
    ],
)
async def test_a_create_whose_outcome_is_open(autojump_clock, world, reply):
    """Unknown codes, pages, and successes without our order in them are lost: neither done nor refused."""
    world.answers = [reply]
    assert isinstance(await create(world), answers.Lost)
    assert len(world.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(404, "not_found"), answers.CancelNotFound),
        (refusal(409, "exchange_is_paused"), answers.CancelDenied),
        (refusal(503, "service_unavailable"), answers.CancelUnknown),
        (answer({"order_id": "o-2", "reduced_by": "1.00", "ts_ms": 9}), answers.CancelUnknown),
    ],
)
async def test_what_a_cancel_can_meet(autojump_clock, world, reply, kind):
    """Four answers, and never an exception."""
    world.answers = [reply]
    assert type(await cancel(world)) is kind


async def test_a_connection_cut_while_the_answer_is_awaited(autojump_clock, world):
    """A reset after the request left is lost, not refused."""

    async def cut(_request):
        world.network.cut()
        return answer(CREATED, 201)

    world.answers = [cut]
    assert isinstance(await create(world), answers.Lost)


async def test_a_write_that_never_leaves(autojump_clock, nursery):
    """Nobody listens anywhere: the create is withheld and the cancel denied, and no gate was asked."""
    world = World()
    await nursery.start(world.network.run)
    asked = []
    async with world.client:
        with pytest.raises(Withheld, match=r"unreachable: second\.test:443 refused the connection"):
            await world.client.create_order("kd-r-1", SPEC, before_send=lambda: asked.append(1))
        denied = await cancel(world, lambda: asked.append(1))
    assert denied == answers.CancelDenied(0, "unreachable", "second.test:443 refused the connection")
    assert asked == []


# ------------------------------------------------------------------------------------------------------ the last gate


class Steps(trio.abc.Instrument):
    """Counts the steps of the scheduler."""

    def __init__(self):
        self.count = 0

    def before_task_step(self, _task):
        self.count += 1


async def test_the_gate_is_asked_in_the_step_that_writes(autojump_clock, world, monkeypatch):
    """Between the gate's yes and the first byte on the stream no other task has run."""
    steps, log = Steps(), []
    plain_send = MemoryStream.send_all

    async def send_all(stream, data):
        log.append(("write", steps.count, bytes(data[:4])))
        await plain_send(stream, data)

    monkeypatch.setattr(MemoryStream, "send_all", send_all)
    trio.lowlevel.add_instrument(steps)
    world.answers = [answer(CREATED, 201)]
    await world.client.create_order("kd-r-1", SPEC, before_send=lambda: log.append(("gate", steps.count, b"")))
    trio.lowlevel.remove_instrument(steps)
    assert [what for what, _step, _data in log[:2]] == ["gate", "write"]
    assert log[0][1] == log[1][1]
    assert log[1][2] == b"POST"
    assert sum(what == "gate" for what, _step, _data in log) == 1


async def test_a_gate_that_closes_keeps_every_byte_back(autojump_clock, world, monkeypatch):
    """`Withheld` comes out, the stream carried nothing, and the client goes on working."""
    written = []
    plain_send = MemoryStream.send_all

    async def send_all(stream, data):
        written.append(bytes(data))
        await plain_send(stream, data)

    monkeypatch.setattr(MemoryStream, "send_all", send_all)

    def refuse():
        raise Withheld("P3", "paused by operator")

    world.answers = [answer(CREATED, 201)]
    with pytest.raises(Withheld, match="P3"):
        await world.client.create_order("kd-r-1", SPEC, before_send=refuse)
    await trio.sleep(1)
    assert written == []
    assert world.requests == []
    assert world.outcomes("create") == {"withheld": 1}
    assert await create(world) == answers.Acknowledged("o-1", 0, 1_000, 7)


# ---------------------------------------------------------------------------------------------------------- connections


async def test_connections_are_kept(autojump_clock, world):
    """One after another they share a connection; side by side they take as many as there are lanes, and no more."""
    world.answers = [answer(AS_OF)]
    for _ in range(3):
        await world.client.as_of_ms()
    assert world.network.connects == 1
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(world.client.as_of_ms)
    assert world.network.connects == 2
    assert world.outcomes("as_of") == {"ok": 9}


async def test_a_connection_that_the_server_closed_is_not_used_again(autojump_clock, world):
    """An idle connection whose other side has gone costs a new one, and no error."""
    world.answers = [answer(AS_OF)]
    await world.client.as_of_ms()
    await trio.sleep(1_000)  # past the server's patience
    assert await world.client.as_of_ms() == AS_OF_MS
    assert world.network.connects == 2
    world.network.cut()
    assert await world.client.as_of_ms() == AS_OF_MS
    assert world.outcomes("as_of") == {"ok": 3}


async def test_an_answer_that_is_too_long_is_cut_off(autojump_clock, world, monkeypatch):
    """The body is bounded while it comes in; what is at the limit still reads."""
    monkeypatch.setattr("kalshi_daemon.shell.http_transport.REST_BODY_MAX", 1_000_000)
    monkeypatch.setattr("kalshi_daemon.shell.http_transport.HTTP_HEAD_MAX", 1_000)
    padded = b'{"as_of_time":"2026-06-11T06:29:30.165Z","x":"' + b"x" * 900_000 + b'"}'
    world.answers = [answer(padded)]
    for _ in range(3):  # the bound is for each answer, not for the connection
        assert await world.client.as_of_ms() == AS_OF_MS
    assert world.network.connects == 1
    world.answers = [answer(b"x" * 3_000_000, 201)]
    lost = await create(world)
    assert lost == answers.Lost("POST first.test/portfolio/events/orders: the answer is longer than 1000000 bytes")


async def test_an_answer_that_is_packed_is_unpacked_within_the_same_bound(autojump_clock, world, monkeypatch):
    """Nobody asked for it; a short one that unpacks to more than a body may have ends there."""
    monkeypatch.setattr("kalshi_daemon.shell.http_transport.REST_BODY_MAX", 1_000_000)
    packed = {"Content-Encoding": "gzip"}
    world.answers = [answer(gzip.compress(json.dumps(AS_OF).encode()), **packed)]
    assert await world.client.as_of_ms() == AS_OF_MS
    bomb = gzip.compress(b" " * 50_000_000)
    cut = gzip.compress(bytes(range(256)) * 9)[:-9]
    cases = (
        (bomb, packed, "the answer is longer than 1000000 bytes"),
        (cut, packed, "the answer is packed by gzip and ends too early"),
        (bomb, {"Content-Encoding": "gzip, gzip"}, "the answer is packed by b'gzip, gzip', which was not asked for"),
    )
    for body, headers, cause in cases:
        world.answers = [answer(body, 201, **headers)]
        lost = await create(world)
        assert isinstance(lost, answers.Lost)
        assert lost.cause.partition(".test")[2] == f"/portfolio/events/orders: {cause}"  # each the fault of its host


async def test_no_proxy_is_taken_from_the_environment(autojump_clock, world, monkeypatch):
    """The exchange is reached directly, whatever the environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.test:3128")
    world.answers = [answer(AS_OF)]
    assert await world.client.as_of_ms() == AS_OF_MS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00" * 100,
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 99 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http(autojump_clock, nursery, raw):
    """Whatever comes back on the stream, a create that left is lost and nothing else is raised."""
    world = World(hosts=HOSTS[:1])

    async def babble(stream):
        await stream.receive_some()
        await stream.send_all(raw)

    world.network.serve(HOSTS[0], 443, babble)
    await nursery.start(world.network.run)
    async with world.client:
        assert isinstance(await create(world), answers.Lost)


async def test_figures_for_the_metrics(autojump_clock, world):
    """How long the last answered request took, and one count for each kind and outcome."""

    async def slow(_request):
        await trio.sleep(0.5)
        return Response(200, b'{"as_of_time":"2026-06-11T06:29:30.165Z"}')

    world.answers = [slow]
    await world.client.as_of_ms()
    assert 0.5 <= world.client.latency_s <= 0.6
    assert dict(world.client.counts) == {("as_of", "ok"): 1}
