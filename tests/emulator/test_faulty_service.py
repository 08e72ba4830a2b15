"""Requests, upgrades and the exchange's own state met by faults: what a client gets, and what has been done."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

import h11
import pytest
import trio
from emulator_world import V2, A, World, ask, heard, now_ms, order_body, part, rows, world
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, ConnectionRejected

from kalshi_daemon.emulator.bodies import time_text
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.units import BookSide

STATUS = "/trade-api/v2/exchange/status"


def plan(emulator: World, *texts: str) -> None:
    for text in texts:
        emulator.server.faults.add(parse_fault(text))


def bites(emulator: World) -> list[int]:
    return [each.bites for each in emulator.server.faults.scheduled]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, '"code":"authentication_error"'),
        (403, '"code":"forbidden"'),
        (429, '{"error":"too many requests"}'),
        (502, "<html>"),
        (503, '"code":"service_unavailable"'),
    ],
)
async def test_an_upgrade_is_refused(autojump_clock: MockClock, status: int, body: str) -> None:
    """With its status and the body that goes with it, while requests are answered; then it is granted again."""
    async with world() as emulator:
        plan(emulator, f"upgrade:{status}x1")
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=lambda e: e.status_code == status)) as error:
            async with emulator.stream():
                pass
        rejected = error.value.exceptions[0]
        assert isinstance(rejected, ConnectionRejected)
        assert body in (rejected.body or b"").decode()
        assert (await emulator.ask("GET", STATUS)).status == 200
        async with emulator.stream() as socket:
            assert await ask(socket, 1, "list_subscriptions")
        assert bites(emulator) == [1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 429, 500, 502, 503, 504])
async def test_a_request_is_refused_and_nothing_is_done(autojump_clock: MockClock, status: int) -> None:
    """The endpoints that are meant answer with the status, others as ever, and no order exists."""
    async with world() as emulator:
        plan(emulator, f"error:{status}:POST/orders")
        assert (await emulator.create()).status == status
        assert (await emulator.get("/portfolio/orders"))["orders"] == []
        assert bites(emulator) == [1]


async def test_a_storm_of_429_ends(autojump_clock: MockClock) -> None:
    """Every endpoint answers 429 with a string in `error` while the storm lasts."""
    async with world() as emulator:
        plan(emulator, "error:429@0-10")
        for path in (STATUS, "/trade-api/v2/portfolio/balance", "/trade-api/v2/markets"):
            answer = await emulator.ask("GET", path)
            assert (answer.status, answer.json) == (429, {"error": "too many requests"})
        await trio.sleep(10)
        assert (await emulator.ask("GET", STATUS)).status == 200


@pytest.mark.parametrize(("text", "orders"), [("dropped:POST", 0), ("lost:POST", 1)])
async def test_an_answer_is_lost_before_or_after_the_write(autojump_clock: MockClock, text: str, orders: int) -> None:
    """The connection breaks without a byte of an answer; whether the order exists is what the two differ in."""
    async with world() as emulator:
        plan(emulator, text)
        with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
            await emulator.create()
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == orders


async def test_an_error_masks_what_was_done(autojump_clock: MockClock) -> None:
    """503, and the order rests."""
    async with world() as emulator:
        plan(emulator, "masked:503:POST")
        assert (await emulator.create()).status == 503
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == 1


async def test_requests_and_answers_are_late(autojump_clock: MockClock) -> None:
    """A late request is judged when it arrives, which an old signature shows; a slow answer was made in time."""
    async with world() as emulator:
        plan(emulator, "late:3:/balance", "slow:20:POST", "late:16:/positions")
        began = trio.current_time()
        assert (await emulator.ask("GET", "/trade-api/v2/portfolio/balance")).status == 200
        assert trio.current_time() - began == pytest.approx(3)
        created = await emulator.create()
        assert trio.current_time() - began == pytest.approx(23)
        assert created.json["ts_ms"] == now_ms() - 20_000
        assert (await emulator.ask("GET", "/trade-api/v2/portfolio/positions")).status == 401


async def test_bodies_are_truncated_and_garbled(autojump_clock: MockClock) -> None:
    """The status is right both times, the length is that of what came, and it does not read."""
    async with world() as emulator:
        whole = await emulator.ask("GET", "/trade-api/v2/markets")
        plan(emulator, "truncatedx1", "garbledx1")
        half, page = [await emulator.ask("GET", "/trade-api/v2/markets") for _ in range(2)][::-1]
        assert (half.status, page.status) == (200, 200)
        assert half.text == whole.text[: len(whole.text) // 2]
        assert page.text.startswith("<html>")
        with pytest.raises(json.JSONDecodeError):
            json.loads(half.text)


async def test_reads_go_stale_and_never_back(autojump_clock: MockClock) -> None:
    """What was shown stays shown; what happens in the fault's time is shown so much later."""
    async with world() as emulator:
        await emulator.create(price="0.0100")
        plan(emulator, "stale:5@1-8")
        await trio.sleep(2)
        await emulator.create(price="0.0200")
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == 1
        await trio.sleep(4.9)
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == 1
        await trio.sleep(0.1)
        assert len(rows(await emulator.get("/portfolio/orders"), "orders")) == 2
        assert bites(emulator) == [1]


async def test_a_clock_is_wrong(autojump_clock: MockClock) -> None:
    """Dates are off by it, and so is what it says of itself; right signatures expire, one made by that clock is
    taken.
    """
    async with world() as emulator:
        plan(emulator, "clock:-40")
        path = "/trade-api/v2/portfolio/positions"
        refused = await emulator.ask("GET", path)
        assert (refused.status, part(refused.json, "error")["code"]) == (401, "header_timestamp_expired")
        date = parsedate_to_datetime(refused.headers["date"]).timestamp()
        assert date == (now_ms() - 40_000) // 1_000
        headers = emulator.headers("GET", path, at_ms=now_ms() - 40_000)
        assert (await emulator.ask("GET", path, headers=headers)).status == 200
        path = "/trade-api/v2/exchange/user_data_timestamp"
        headers = emulator.headers("GET", path, at_ms=now_ms() - 40_000)
        told = await emulator.ask("GET", path, headers=headers)
        assert told.json["as_of_time"] == time_text(now_ms() - 40_000)


async def test_trading_pauses_and_goes_on(autojump_clock: MockClock) -> None:
    """Orders are refused with the exchange's code and cancels pass, until the fault's time is over."""
    async with world() as emulator:
        order_id = (await emulator.create(price="0.0100")).json["order_id"]
        plan(emulator, "pause@1-5")
        await trio.sleep(1.1)
        refused = await emulator.create()
        assert (refused.status, part(refused.json, "error")["code"]) == (409, "trading_is_paused")
        assert (await emulator.get("/exchange/status"))["trading_active"] is False
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}?market_ticker={A}")).status == 200
        await trio.sleep(4)
        assert (await emulator.create()).status == 201
        assert bites(emulator) == [1]


async def test_maintenance_stops_everything(autojump_clock: MockClock) -> None:
    """Streams end, and all is 503, the status with a body of its own; then all is as before."""
    async with world() as emulator:
        async with emulator.stream() as socket:
            plan(emulator, "maintenance@0-5")
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
        status = await emulator.ask("GET", STATUS)
        assert (status.status, status.json["exchange_active"], status.json["trading_active"]) == (503, False, False)
        for method, path in (("POST", V2), ("DELETE", f"{V2}/x?market_ticker={A}"), ("GET", "/trade-api/v2/markets")):
            answer = await emulator.ask(method, path, order_body() if method == "POST" else None)
            assert (answer.status, part(answer.json, "error")["code"]) == (503, "service_unavailable")
        with pytest.RaisesGroup(ConnectionRejected):
            async with emulator.stream():
                pass
        await trio.sleep(5)
        assert (await emulator.create()).status == 201
        assert (await emulator.get("/exchange/status"))["exchange_active"] is True


@pytest.mark.parametrize("fault", ["pause", "maintenance"])
async def test_what_was_stopped_by_word_outlives_a_fault(autojump_clock: MockClock, fault: str) -> None:
    """And the other way round: each goes on only when whoever stopped it says so."""
    async with world() as emulator:
        stop, go = {
            "pause": (emulator.exchange.pause_trading, emulator.exchange.resume_trading),
            "maintenance": (emulator.exchange.begin_maintenance, emulator.exchange.end_maintenance),
        }[fault]
        plan(emulator, f"{fault}@0-5")
        await trio.sleep(1)
        stop()
        go()
        assert (await emulator.create()).status in {409, 503}
        stop()
        await trio.sleep(5)
        assert (await emulator.create()).status in {409, 503}
        go()
        assert (await emulator.create()).status == 201


# ------------------------------------------------------------------------------------------------------------- frames


async def streamed(emulator: World, *texts: str) -> list[dict[str, object]]:
    """Six changes of a subscribed book while the faults act: the frames after the snapshot."""
    async with emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta", "trade"], market_tickers=[A])
        plan(emulator, *texts)
        for cents in range(10, 16):
            emulator.trade(A, 1, side=BookSide.BID, cents=cents)
        return await heard(socket)


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ("gapx1", [3, 4, 5, 6, 7]),
        ("gap:orderbook_deltax2", [4, 5, 6, 7]),
        ("gap:trade", [2, 3, 4, 5, 6, 7]),
        ("duplicatex1", [2, 2, 3, 4, 5, 6, 7]),
        ("reorderx1", [3, 2, 4, 5, 6, 7]),
        ("reorderx2", [3, 2, 5, 4, 6, 7]),
    ],
)
async def test_frames_are_lost_doubled_and_swapped(autojump_clock: MockClock, text: str, seqs: list[int]) -> None:
    """Each keeps its number, so that the fault can be seen in them."""
    bare = ServerSettings(send_clock=False, send_sending_ts=False)
    async with world(bare) as emulator:
        frames = await streamed(emulator, text)
        assert [frame["seq"] for frame in frames] == seqs


async def test_a_subscription_overflows(autojump_clock: MockClock) -> None:
    """Error 25 in place of a frame, numbered as it would have been, and then nothing of that channel."""
    async with world() as emulator:
        (frame,) = await streamed(emulator, "overflowx1")
        assert frame["msg"] == {"code": 25, "msg": "Subscription buffer overflow"}
        assert frame["seq"] == 2


async def test_without_faults_an_order_is_an_order(autojump_clock: MockClock) -> None:
    """A fault of another path, or not yet due, changes no byte of an answer."""
    async with world() as emulator:
        plan(emulator, "error:503:/nothing/like/this", "garbled@100-200")
        answer = await emulator.ask("POST", V2, order_body())
        assert answer.status == 201
        assert bites(emulator) == [0, 0]
