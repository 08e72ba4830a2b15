"""The REST client against a server in memory: what it asks, what it repeats, and what it makes of each answer."""

from __future__ import annotations

import pytest
import trio
from rest_world import (
    AS_OF,
    AS_OF_MS,
    BUSY,
    CREATED,
    DOWN,
    HOSTS,
    STALE,
    World,
    answer,
    cancel,
    create,
    silence,
)

from kalshi_daemon import limits
from kalshi_daemon.core.rate_governor import Budget
from kalshi_daemon.errors import (
    AccessRefused,
    ClockRefused,
    ExchangeError,
    RateLimited,
    Unreachable,
    WireError,
)
from kalshi_daemon.shell.http_server import serve_http
from kalshi_daemon.wire import orders as answers
from kalshi_daemon.wire import rest

NO_PAGE = {"cursor": ""}


@pytest.fixture
async def world(nursery):
    world = World()
    world.serve(*HOSTS)
    await nursery.start(world.network.run)
    async with world.client:
        yield world


# ---------------------------------------------------------------------------------------------------------------- reads

STATUS = {"exchange_active": True, "trading_active": True}
BUCKET = {"refill_rate": 1, "bucket_capacity": 2}
SERIES = {"series": {"ticker": "KXTEST", "fee_type": "quadratic", "fee_multiplier": 1}}
BALANCE = {"balance_dollars": "1.0000", "portfolio_value": 0, "updated_ts": 1, "balance_breakdown": []}
READS = [
    (lambda c: c.exchange_status(), "/exchange/status", {}, STATUS),
    (lambda c: c.account_limits(), "/account/limits", {}, {"usage_tier": "basic", "read": BUCKET, "write": BUCKET}),
    (lambda c: c.as_of_ms(), "/exchange/user_data_timestamp", {}, AS_OF),
    (lambda c: c.series_fees("KXTEST"), "/series/KXTEST", {}, SERIES),
    (lambda c: c.balance(), "/portfolio/balance", {}, BALANCE),
    (
        lambda c: c.orderbooks(["A", "B"]),
        "/markets/orderbooks",
        {"tickers": ["A", "B"]},
        {"orderbooks": []},
    ),
    (lambda c: c.markets(["A", "B"]), "/markets", {"tickers": ["A,B"], "limit": ["1000"]}, NO_PAGE | {"markets": []}),
    (
        lambda c: c.positions(),
        "/portfolio/positions",
        {"subaccount": ["0"], "limit": ["1000"]},
        NO_PAGE | {"market_positions": []},
    ),
    (lambda c: c.orders(), "/portfolio/orders", {"subaccount": ["0"], "limit": ["1000"]}, NO_PAGE | {"orders": []}),
    (
        lambda c: c.orders(status="resting", min_ms=1_999),
        "/portfolio/orders",
        {"subaccount": ["0"], "status": ["resting"], "min_ts": ["1"], "limit": ["1000"]},
        NO_PAGE | {"orders": []},
    ),
    (
        lambda c: c.fills(min_ms=5_000),
        "/portfolio/fills",
        {"subaccount": ["0"], "min_ts": ["5"], "limit": ["1000"]},
        NO_PAGE | {"fills": []},
    ),
    (
        lambda c: c.settlements(min_ms=5_000),
        "/portfolio/settlements",
        {"subaccount": ["0"], "min_ts": ["5"], "limit": ["1000"]},
        NO_PAGE | {"settlements": []},
    ),
]


@pytest.mark.parametrize(("ask", "path", "query", "body"), READS, ids=lambda value: value if type(value) is str else "")
async def test_each_read_asks_for_what_it_says(autojump_clock, world, ask, path, query, body):
    """One signed GET with the documented path and query, counted as answered."""
    world.answers = [answer(body)]
    await ask(world.client)
    assert world.asked == [("GET", path, query)]
    assert sum(world.client.counts.values()) == 1
    assert {outcome for _kind, outcome in world.client.counts} == {"ok"}


ORDER = {
    "order_id": "o-1",
    "client_order_id": "kd-r-1",
    "ticker": "KXTEST-1-A",
    "status": "resting",
    "book_side": "bid",
    "yes_price_dollars": "0.5600",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "10.00",
    "initial_count_fp": "10.00",
    "exchange_index": 2,
    "created_time": "2026-06-11T06:29:20.866753Z",
}


async def test_a_single_order_and_a_single_market(autojump_clock, world):
    """Ids are put into the path; what is read is stamped with our own clock."""
    world.answers = [answer({"order": ORDER})]
    order = await world.client.order("o-1")
    assert (order.order_id, order.source, order.updated_ms) == ("o-1", "read", 1781159360866)
    assert order.at_ms == world.clock.now_ms()
    world.answers = [answer({"error": {"code": "not_found"}}, 404)]
    with pytest.raises(ExchangeError, match="404 not_found"):
        await world.client.market("KX/../TEST")
    assert world.requests[1].path == "/trade-api/v2/markets/KX%2F..%2FTEST"


async def test_many_tickers_are_asked_for_in_parts(autojump_clock, world):
    """No request names more than the exchange takes."""
    tickers = [f"KXTEST-{number}" for number in range(2 * limits.POLL_CHUNK + 1)]
    world.answers = [answer({"orderbooks": []})]
    assert await world.client.orderbooks(tickers) == {}
    assert [len(query["tickers"]) for _method, _path, query in world.asked] == [limits.POLL_CHUNK] * 2 + [1]
    assert [ticker for _method, _path, query in world.asked for ticker in query["tickers"]] == tickers


async def test_pages_are_read_to_the_end(autojump_clock, world):
    """The cursor of a page asks for the next, with the same filters, until it is empty."""
    world.answers = [
        answer({"orders": [ORDER | {"order_id": "o-1"}], "cursor": "c1"}),
        answer({"orders": [ORDER | {"order_id": "o-2"}], "cursor": "c2"}),
        answer({"orders": [ORDER | {"order_id": "o-3"}], "cursor": ""}),
    ]
    orders = await world.client.orders(status="resting")
    assert [order.order_id for order in orders] == ["o-1", "o-2", "o-3"]
    assert [query.get("cursor") for _method, _path, query in world.asked] == [None, ["c1"], ["c2"]]
    assert all(query["status"] == ["resting"] for _method, _path, query in world.asked)


async def test_a_cursor_that_comes_twice_is_incomplete(autojump_clock, world):
    """Pages that lead in a circle are an error, not a list."""
    world.answers = [answer({"orders": [ORDER], "cursor": cursor}) for cursor in ("a", "b", "a")]
    with pytest.raises(Unreachable, match="incomplete after 2"):
        await world.client.orders()
    assert world.outcomes("orders") == {"ok": 3, "incomplete": 1}


async def test_pages_without_end_are_incomplete(autojump_clock, world, monkeypatch):
    """The number of pages is bounded, and the bound is an error, not a list."""
    monkeypatch.setattr(limits, "READ_PAGES_MAX", 4)
    world.answers = [answer({"orders": [], "cursor": f"c{number}"}) for number in range(10)]
    with pytest.raises(Unreachable, match="incomplete after 4"):
        await world.client.orders()
    assert len(world.requests) == 4


async def test_one_page_that_fails_fails_the_list(autojump_clock, world):
    """No part of a list is returned."""
    world.answers = [answer({"orders": [ORDER], "cursor": "c1"}), DOWN]
    with pytest.raises(Unreachable):
        await world.client.orders()


@pytest.mark.parametrize(("failure", "label"), [(DOWN, "unreachable"), (BUSY, "rate_limited")])
async def test_a_read_is_repeated_after_a_wait(autojump_clock, world, failure, label):
    """No answer and too many requests are both waited for; then the read succeeds as if nothing had been."""
    world.answers = [failure, answer(AS_OF)] if failure is BUSY else [failure, failure, answer(AS_OF)]
    assert await world.client.as_of_ms() == AS_OF_MS
    assert world.outcomes("as_of") == {label: len(world.requests) - 1, "ok": 1}
    waited_s = world.arrivals[-1][0] - world.arrivals[-2][0]
    assert limits.READ_BACKOFF_S[0] <= waited_s <= limits.READ_BACKOFF_S[1] + 0.1


@pytest.mark.parametrize(("failure", "error"), [(DOWN, Unreachable), (BUSY, RateLimited)])
async def test_repetitions_are_bounded(autojump_clock, world, failure, error):
    """After the last attempt the error is raised; a host that does not answer is followed by the next each time."""
    world.answers = [failure]
    with pytest.raises(error):
        await world.client.as_of_ms()
    per_attempt = len(HOSTS) if error is Unreachable else 1
    assert len(world.requests) == limits.READ_ATTEMPTS_MAX * per_attempt


@pytest.mark.parametrize(
    ("failure", "error", "label"),
    [
        (answer({"error": {"code": "not_found"}}, 404), ExchangeError, "refused"),
        (answer({"error": {"code": "authentication_error"}}, 401), AccessRefused, "access_refused"),
        (answer({"as_of": 1}), Unreachable, "unreadable"),
        (answer(b"<html>"), Unreachable, "unreadable"),
    ],
)
async def test_what_would_be_answered_the_same_again_is_not_repeated(autojump_clock, world, failure, error, label):
    """Refusals and bodies that do not read are raised at once."""
    world.answers = [failure]
    with pytest.raises(error) as raised:
        await world.client.as_of_ms()
    assert len(world.requests) == 1
    assert world.outcomes("as_of") == {label: 1}
    if label == "unreadable":
        assert isinstance(raised.value.__cause__, WireError)


async def test_a_series_that_cannot_be_traded(autojump_clock, world):
    """It is neither unreachable nor refused: a person has to take it out of the list."""
    world.answers = [answer({"series": SERIES["series"] | {"fee_type": "flat"}})]
    with pytest.raises(WireError) as raised:
        await world.client.series_fees("KXTEST")
    assert raised.value.kind == "unsupported"
    assert world.outcomes("series") == {"unsupported": 1}


async def test_reads_that_go_on_failing_are_not_repeated_until_one_is_answered(autojump_clock):
    """Two reads without an answer open the breaker: the next ones ask once, the status as often as ever; an answer
    after the probe's time closes it, and reads are repeated again.
    """

    async def asked(world, read):
        before = len(world.requests)
        with pytest.raises(Unreachable):
            await read()
        return len(world.requests) - before

    async with trio.open_nursery() as nursery:
        world = World(HOSTS[:1])
        world.serve(HOSTS[0])
        await nursery.start(world.network.run)
        world.answers = [DOWN]
        async with world.client as client:
            assert [await asked(world, client.as_of_ms) for _ in range(2)] == [limits.READ_ATTEMPTS_MAX] * 2
            assert (client.breaker.state, "503" in client.breaker.cause) == ("open", True)
            assert await asked(world, client.as_of_ms) == 1
            assert await asked(world, client.exchange_status) == limits.READ_ATTEMPTS_MAX
            await trio.sleep(limits.READ_PROBE_WAIT_S[0])
            world.answers = [answer(AS_OF)]
            assert await client.as_of_ms() == AS_OF_MS
            assert client.breaker.state == "closed"
            world.answers = [DOWN]
            assert await asked(world, client.as_of_ms) == limits.READ_ATTEMPTS_MAX
        nursery.cancel_scope.cancel()


async def test_a_refused_read_or_one_that_cannot_be_read_opens_nothing(autojump_clock, world):
    """They say that somebody is there."""
    world.answers = [answer({"error": {"code": "not_found"}}, 404), answer(b"<html>")]
    for _ in range(2 * limits.READ_FAILURES_MAX):
        with pytest.raises((ExchangeError, Unreachable)):
            await world.client.as_of_ms()
    assert (world.client.breaker.state, world.client.breaker.failures) == ("closed", 0)


async def test_a_status_is_read_from_a_503(autojump_clock, world):
    """A closed exchange answers 503 with its status; a 503 with anything else is no answer."""
    world.answers = [answer({"exchange_active": False, "trading_active": False}, 503)]
    assert await world.client.exchange_status() == rest.ExchangeStatus(False, False, None, ())
    world.answers = [DOWN]
    with pytest.raises(Unreachable):
        await world.client.exchange_status()


# ------------------------------------------------------------------------------------------------------ hosts and time


async def test_the_next_host_is_asked_where_one_is_not_there(autojump_clock, nursery):
    """Reads and writes both go on to the second host where the first was never reached."""
    world = World()
    world.serve(HOSTS[1])
    await nursery.start(world.network.run)
    world.answers = [answer(AS_OF), answer(CREATED, 201)]
    async with world.client:
        assert await world.client.as_of_ms() == AS_OF_MS
        assert await create(world) == answers.Acknowledged("o-1", 0, 1_000, 7)
    assert [host for _when, host in world.arrivals] == [HOSTS[1]] * 2
    assert HOSTS[1] in world.client.fallback
    assert world.outcomes("as_of") == {"unreachable": 1, "ok": 1}
    assert world.outcomes("create") == {"ok": 1}


async def test_a_write_that_has_left_goes_to_no_other_host(autojump_clock, world):
    """After its first byte the outcome is open, so nothing is sent again."""
    world.answers = [DOWN]
    lost = await create(world)
    assert isinstance(lost, answers.Lost)
    assert "503" in lost.cause
    assert len(world.requests) == 1


@pytest.mark.parametrize("bad", [DOWN, silence], ids=["503", "silent"])
async def test_a_host_that_gave_no_answer_is_asked_last(autojump_clock, nursery, bad):
    """Of a write too, whose own outcome stays open: what comes after it begins at the other host, which stays first."""
    world = World()
    world.serve(*HOSTS)
    await nursery.start(world.network.run)
    world.answers = [bad, answer(CREATED, 201)]
    async with world.client:
        assert isinstance(await create(world), answers.Lost)
        assert await create(world) == answers.Acknowledged("o-1", 0, 1_000, 7)
        assert await create(world) == answers.Acknowledged("o-1", 0, 1_000, 7)
        assert [host for _when, host in world.arrivals] == [HOSTS[0], HOSTS[1], HOSTS[1]]
        assert HOSTS[1] in world.client.fallback


async def test_many_that_find_a_host_silent_turn_away_from_it_once(autojump_clock, nursery):
    """Reads at the same time: each ends at the other host, and so does the next one at once."""
    world = World(lanes=4)
    world.serve(*HOSTS)
    await nursery.start(world.network.run)
    world.answers = [silence] * 3 + [answer(AS_OF)]
    async with world.client:
        async with trio.open_nursery() as reads:
            for _ in range(3):
                reads.start_soon(world.client.as_of_ms)
        before = trio.current_time()
        assert await world.client.as_of_ms() == AS_OF_MS
        assert trio.current_time() - before < 1
    assert [host for _when, host in world.arrivals] == [HOSTS[0]] * 3 + [HOSTS[1]] * 4


async def test_an_answer_that_does_not_come(autojump_clock, world):
    """One limit for the whole request; a read is tried again, a create is lost, a cancel unknown."""
    world.answers = [silence]
    before = trio.current_time()
    with pytest.raises(Unreachable, match="no answer within 10 s"):
        await world.client.as_of_ms()
    attempts = limits.READ_ATTEMPTS_MAX * len(HOSTS)
    assert len(world.requests) == attempts
    assert trio.current_time() - before >= attempts * limits.REST_TIMEOUT_S
    assert await create(world) == answers.Lost("POST first.test/portfolio/events/orders: no answer within 10 s")
    assert isinstance(await cancel(world), answers.CancelUnknown)


async def test_the_clock_is_learnt_and_the_read_repeated_once(autojump_clock, nursery):
    """Our clock a minute slow: the answer's Date sets it right, and the second signature is within a second."""
    world = World(skew_ms=60_000)
    world.serve(*HOSTS)
    await nursery.start(world.network.run)
    world.answers = [STALE, answer(AS_OF)]
    async with world.client:
        assert await world.client.as_of_ms() == AS_OF_MS
        first, second = (int(request.headers["kalshi-access-timestamp"]) for request in world.requests)
        assert 59_000 <= second - first <= 61_000
        assert abs(world.clock.offset_ms - 60_000) <= 1_000
        world.answers = [STALE]
        with pytest.raises(ClockRefused):
            await world.client.as_of_ms()
    assert len(world.requests) == 4


async def test_a_create_is_not_repeated_for_the_clock_and_a_cancel_is(autojump_clock, world):
    """A create is sent once, ever; a cancel may be sent twice, and asks its caller each time."""
    world.answers = [STALE]
    assert await create(world) == answers.Refused(401, "header_timestamp_expired", "header timestamp expired")
    assert len(world.requests) == 1
    sent = []
    world.answers = [STALE, answer({"order_id": "o-1", "reduced_by": "10.00", "ts_ms": 9})]
    assert await cancel(world, lambda: sent.append(1)) == answers.CancelAccepted(1_000, 9)
    assert len(world.requests) == 3
    assert sent == [1, 1]


NO_DATES = [
    "",
    "yesterday",
    "Thu, 99 Jun 2026 06:29:20 GMT",
    "Thu, 11 Jun 2026 06:29:20 -0000",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
]


@pytest.mark.parametrize("date", NO_DATES)
async def test_a_date_that_does_not_read_teaches_nothing(autojump_clock, nursery, date):
    """It is counted, and neither the answer nor the clock suffers."""
    world = World()
    world.server_clock = world.clock
    world.answers = [answer(AS_OF, Date=date)]

    async def serve(stream):
        async def handle(_request):
            return world.answers[0]

        await serve_http(stream, handle)

    world.network.serve(HOSTS[0], 443, serve)
    await nursery.start(world.network.run)
    async with world.client:
        assert await world.client.as_of_ms() == AS_OF_MS
    assert world.outcomes("date") == {"unreadable": 1}
    assert world.clock.offset_ms == 0


async def test_reads_are_paced_to_the_accounts_bucket_and_slower_after_a_429(world, autojump_clock):
    """Twenty reads at once are the bucket of the smallest tier, the next waits; a 429 halves the pace of the reads."""
    world.answers = [answer(AS_OF)]
    for _ in range(21):
        await world.client.as_of_ms()
    assert world.arrivals[19][0] < 0.04 < world.arrivals[20][0]
    assert world.client.counts["as_of", "paced"] == 1
    world.answers = [BUSY, answer(AS_OF)]
    await world.client.as_of_ms()
    reads = world.client.governor.statuses(trio.current_time())[0]
    assert reads.refusals == 1
    assert 0.5 <= reads.pace < 0.6


async def test_a_read_that_gets_no_tokens_was_not_sent(world, autojump_clock):
    """The bucket is refilled too slowly for one read: it fails within its bound and nothing has left."""
    bucket = world.client.governor.bucket(Budget.READ)
    bucket.resize(100, 0.1, 0.0)
    assert bucket.take(100, 0.0)
    with pytest.raises(Unreachable, match="no tokens within 10 s") as failure:
        await world.client.as_of_ms()
    assert not failure.value.maybe_done
    assert world.requests == []
