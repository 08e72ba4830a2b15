"""The emulator's own door, over HTTP: faults are listed, added and cleared while it runs, and drills are begun."""

from __future__ import annotations

import pytest
import trio
from emulator_world import V2, A, Answer, B, World, ask, heard, part, world
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from kalshi_daemon.emulator.bodies import balance_text
from kalshi_daemon.emulator.bounds import EMULATOR_FEE_CHANGES_MAX, MAINTENANCE_WINDOWS_MAX
from kalshi_daemon.emulator.model import ExchangeSettings
from kalshi_daemon.emulator.settings import ServerSettings
from kalshi_daemon.units import CENT, DOLLAR, FeeType

FAULTS = "/emulator/faults"
EMPTY: dict[str, object] = {}


async def asked(emulator: World, method: str, target: str, body: object = None) -> Answer:
    return await emulator.ask(method, target, body, signed=False)


async def test_faults_are_added_listed_and_cleared(autojump_clock: MockClock) -> None:
    """Each has a number, its text, whether it acts, and how often it bit; clearing takes one or all."""
    async with world() as emulator:
        assert (await asked(emulator, "POST", FAULTS, {"fault": "error:503:/markets"})).json == {"number": 1}
        assert (await asked(emulator, "POST", FAULTS, {"fault": "gap@5-%50x2"})).json == {"number": 2}
        assert (await emulator.ask("GET", "/trade-api/v2/markets")).status == 503
        assert (await asked(emulator, "GET", FAULTS)).json == {
            "faults": [
                {"number": 1, "fault": "error:503:/markets", "acts": True, "bites": 1},
                {"number": 2, "fault": "gap@5-%50x2", "acts": False, "bites": 0},
            ]
        }
        assert (await asked(emulator, "DELETE", f"{FAULTS}/1", EMPTY)).json == {"cleared": 1}
        assert (await emulator.ask("GET", "/trade-api/v2/markets")).status == 200
        assert (await asked(emulator, "DELETE", f"{FAULTS}/1", EMPTY)).status == 404
        assert (await asked(emulator, "DELETE", FAULTS, EMPTY)).json == {"cleared": 1}
        assert (await asked(emulator, "GET", FAULTS)).json == {"faults": []}


async def test_faults_do_not_reach_the_door(autojump_clock: MockClock) -> None:
    """With everything broken it still answers, and nothing is counted for it."""
    async with world() as emulator:
        for text in ("reset", "maintenance", "error:500", "lost", "half-open"):
            assert (await asked(emulator, "POST", FAULTS, {"fault": text})).status == 200
        await trio.sleep(1)
        listed = (await asked(emulator, "GET", FAULTS)).json["faults"]
        assert isinstance(listed, list)
        assert [each["bites"] for each in listed] == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "text"),
    [
        ("POST", FAULTS, {"fault": "gop"}, 400, "there is no fault 'gop': upgrade, error"),
        ("POST", FAULTS, {"fault": 5}, 400, '{"fault": "KIND..."} is needed'),
        ("POST", FAULTS, {"fault": "dns"}, 400, "dns is the network's"),
        ("POST", FAULTS, None, 400, "needed: the header Content-Type: application/json, and a"),
        ("POST", FAULTS, [], 400, "a body that is a JSON object"),
        ("PUT", FAULTS, {}, 404, "PUT /emulator/faults is not here"),
        ("GET", "/emulator", None, 404, "is not here"),
        ("POST", FAULTS, {"fault": "gapx" + "9" * 5_000}, 400, "200 characters at most, and this has 5004"),
        ("POST", FAULTS, {"fault": "slow:1_0"}, 400, "'1_0' is not a number of seconds"),
        ("POST", FAULTS, {"fault": "slow:\u0663"}, 400, "is not a number of seconds"),
        ("POST", FAULTS, {"fault": "clock:-"}, 400, "is not a number of seconds"),
        ("POST", FAULTS, {"fault": "gap:fill:fill"}, 400, "gap has 1 figure at most"),
        ("DELETE", FAULTS + "/x", {}, 404, "is not here"),
        ("DELETE", FAULTS + "/" + "9" * 5_000, {}, 404, "is not here"),
        ("POST", f"/emulator/markets/{A}/explode", {}, 404, "is not here"),
        ("POST", "/emulator/account/deposit", {"cents": 1.5}, 400, '"cents"'),
        ("POST", "/emulator/account/deposit", {"cents": 1, "shard": 9}, 400, '"shard"'),
        ("POST", "/emulator/markets", {"ticker": "NO-SUCH-SERIES", "opens_in": 1, "seconds": 1}, 400, "of one of"),
        ("POST", "/emulator/markets", {"ticker": A, "opens_in": 1}, 409, "is listed"),
        ("POST", "/emulator/markets/NONE/halt", {}, 404, "market not found"),
        ("POST", f"/emulator/markets/{A}/resume", {}, 409, f"{A} is active: this takes one that is inactive"),
        ("POST", f"/emulator/markets/{A}/dispute", {}, 409, "determined"),
        ("POST", f"/emulator/markets/{A}/amend", {"result": "no"}, 409, "determined or disputed"),
        ("POST", f"/emulator/markets/{A}/close", {}, 400, '"seconds"'),
        ("POST", f"/emulator/markets/{A}/close", {"seconds": -1}, 400, '"seconds"'),
        ("POST", f"/emulator/markets/{A}/close", {"seconds": True}, 400, '"seconds"'),
        ("POST", f"/emulator/markets/{A}/close", {"seconds": 10**9}, 400, '"seconds"'),
        ("POST", f"/emulator/markets/{A}/waive", {}, 400, '"seconds"'),
        ("POST", "/emulator/events/OTHER/fees", {}, 404, "is not here"),
        ("POST", "/emulator/series/OTHER/fees", {}, 404, "is not here"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"multipler": "1"}, 400, "multipler: only fee_type, mult"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"multiplier": 1}, 400, 'a text, as "0.5"'),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"multiplier": "-1"}, 400, "decimal numbers"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"multiplier": "0.0000001"}, 400, "decimal numbers"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"multiplier": "101"}, 400, "at most 100"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"fee_type": "flat"}, 400, "fee_type: one of quadratic"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"fee_type": []}, 400, "fee_type: one of quadratic"),
        ("POST", "/emulator/events/DEMOTEMP-DAY1/fees", {"seconds": -1}, 400, '"seconds"'),
        ("POST", "/emulator/series/DEMOTEMP/fees", {"multiplier": "1"}, 400, "a series needs both"),
        ("POST", f"/emulator/markets/{A}/halt", {"seconds": 5}, 400, "seconds: nothing is to be said here"),
        ("POST", f"/emulator/markets/{A}/grid", {}, 400, '"structure"'),
        ("POST", f"/emulator/markets/{A}/grid", {"structure": ["deci_cent"]}, 400, "one of linear_cent, deci_cent"),
        ("POST", f"/emulator/markets/{A}/grid", {"structure": "half_cent"}, 400, "one of linear_cent, deci_cent"),
        ("POST", f"/emulator/markets/{A}/grid", {"structure": "deci_cent", "x": 1}, 400, "x: only structure"),
        ("POST", "/emulator/markets/NONE/grid", {"structure": "deci_cent"}, 404, "market not found"),
        ("POST", f"/emulator/markets/{A}/floor", {"value": 0.25}, 400, '"value"'),
        ("POST", f"/emulator/markets/{A}/floor", {"value": "1.0000"}, 400, "above 0 and below 1"),
        ("POST", f"/emulator/markets/{A}/floor", {"value": "a"}, 400, "decimal number"),
        ("POST", f"/emulator/markets/{A}/floor", {"floor": "0.25"}, 400, "floor: only value"),
        ("POST", "/emulator/exchange/pause", {"shard": "0"}, 400, '"shard"'),
        ("POST", "/emulator/exchange/pause", {"shard": 1}, 400, '"shard"'),
        ("POST", "/emulator/exchange/pause", {"shards": 0}, 400, "shards: only shard"),
        ("POST", "/emulator/exchange/maintenance", {"seconds": 60}, 400, '"in_seconds"'),
        ("POST", "/emulator/exchange/maintenance", {"in_seconds": 5, "seconds": 0}, 400, "whole number from 1"),
        ("POST", "/emulator/exchange/maintenance", {"in_seconds": 5.5, "seconds": 5}, 400, "whole number from 0"),
        ("POST", "/emulator/exchange/maintenance", {"in_seconds": 1, "seconds": 1, "by": "me"}, 400, "by: only in_s"),
        ("POST", "/emulator/streams/fail", {}, 400, '"channel"'),
        ("POST", "/emulator/streams/fail", {"channel": "books"}, 400, "one of orderbook_delta, ticker"),
        ("POST", f"/emulator/markets/{A}/settle", {}, 400, '"result"'),
        ("POST", f"/emulator/markets/{A}/settle", {"result": "scalar"}, 400, '"value"'),
        ("POST", f"/emulator/markets/{A}/settle", {"result": "yes", "value": "0.5"}, 400, '"value"'),
        ("POST", f"/emulator/markets/{A}/settle", {"result": "scalar", "value": "1.5"}, 400, "at most 1.0000"),
        ("POST", f"/emulator/markets/{A}/settle", {"result": "scalar", "value": "?"}, 400, "decimal number"),
    ],
)
async def test_what_cannot_be_done_is_one_line(
    autojump_clock: MockClock, method: str, target: str, body: object, status: int, text: str
) -> None:
    """The status and `error` say what is wrong, and the emulator goes on."""
    async with world() as emulator:
        refused = await asked(emulator, method, target, body)
        assert refused.status == status
        assert text in str(refused.json["error"])
        assert (await asked(emulator, "GET", FAULTS)).json == {"faults": []}
        assert emulator.exchange.market(A).status == "active"


async def test_trading_pauses_and_streams_drop(autojump_clock: MockClock) -> None:
    """The exchange's pause, and the end of every stream without a close frame."""
    async with world() as emulator:
        assert (await asked(emulator, "POST", "/emulator/exchange/pause", EMPTY)).json == {"trading_active": False}
        assert (await emulator.create()).status == 409
        assert (await asked(emulator, "POST", "/emulator/exchange/resume", EMPTY)).json == {"trading_active": True}
        assert (await emulator.create()).status == 201
        async with emulator.stream() as socket:
            assert (await asked(emulator, "POST", "/emulator/streams/drop", EMPTY)).json == {"dropped": 1}
            with pytest.raises(ConnectionClosed):
                await socket.get_message()


async def test_cash_is_paid_in_and_out(autojump_clock: MockClock) -> None:
    """By the shard, at once, to what no order holds."""
    async with world() as emulator:
        account, path = emulator.member, "/emulator/account/deposit"
        before = account.cash[0]
        paid = await asked(emulator, "POST", path, {"cents": 2_500})
        assert (paid.status, account.cash[0]) == (200, before + 25 * DOLLAR)
        assert paid.json == {"balance_dollars": balance_text(account.cash[0])}
        assert (await emulator.create()).status == 201
        refused = await asked(emulator, "POST", path, {"cents": -account.cash[0] // CENT, "shard": 0})
        assert (refused.status, "that no order holds" in str(refused.json["error"])) == (409, True)
        assert (await asked(emulator, "POST", path, {"cents": -2_500, "shard": 0})).status == 200
        assert account.cash[0] == before


async def test_a_subaccount_is_paid_in_to(autojump_clock: MockClock) -> None:
    """It may trade then; without one there is nothing to pay to."""
    async with world(ServerSettings(subaccounts=1)) as emulator:
        path, cents = "/emulator/account/deposit", {"cents": 5_000}
        assert (await emulator.create(subaccount=1)).status == 400
        assert (await asked(emulator, "POST", path, cents | {"subaccount": 1})).json == {"balance_dollars": "50.0000"}
        assert (await emulator.create(subaccount=1)).status == 201
        assert (await asked(emulator, "POST", path, cents | {"subaccount": 2})).status == 409


async def test_a_market_is_listed_and_opens_by_itself(autojump_clock: MockClock) -> None:
    """Whoever follows the lifecycle hears that it is listed; it closes in its time."""
    async with world() as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["market_lifecycle_v2"])
        ticker = f"{A.rpartition('-')[0]}-NEW"
        body = {"ticker": ticker, "opens_in": 60, "seconds": 600}
        assert (await asked(emulator, "POST", "/emulator/markets", body)).json == {"status": "initialized"}
        assert (await asked(emulator, "POST", "/emulator/markets", body)).status == 409
        await trio.sleep(61)
        assert (await emulator.create(ticker=ticker)).status == 201
        await trio.sleep(600)
        assert (await emulator.create(ticker=ticker)).status == 409
        told = [part(frame, "msg")["event_type"] for frame in await heard(socket) if ticker in str(frame)]
        assert told == ["created"]  # that a market opens or closes is never told


async def test_a_market_is_halted_resumed_and_settled(autojump_clock: MockClock) -> None:
    """One market at a time; a settled one takes nothing more."""
    async with world() as emulator:
        market = f"/emulator/markets/{A}"
        assert (await asked(emulator, "POST", f"{market}/halt", EMPTY)).json == {"status": "inactive"}
        assert ((await emulator.create()).status, (await emulator.create(ticker=B)).status) == (409, 201)
        assert (await asked(emulator, "POST", f"{market}/resume", EMPTY)).json == {"status": "active"}
        value = {"result": "scalar", "value": "0.5600"}
        assert (await asked(emulator, "POST", f"{market}/settle", value)).json == {"status": "determined"}
        assert emulator.exchange.market(A).settlement_value == 5_600
        again = await asked(emulator, "POST", f"{market}/settle", {"result": "yes"})
        assert (again.status, "is determined" in str(again.json["error"])) == (409, True)
        assert (await asked(emulator, "POST", f"/emulator/markets/{B}/settle", {"result": "no"})).status == 200


async def test_the_whole_exchange_stops_and_starts(autojump_clock: MockClock) -> None:
    """Not even a cancel passes meanwhile; a pause of trading is a matter of its own."""
    async with world() as emulator:
        order_id = (await emulator.create()).json["order_id"]
        await asked(emulator, "POST", "/emulator/exchange/pause", EMPTY)
        assert (await asked(emulator, "POST", "/emulator/exchange/stop", EMPTY)).json == {"exchange_active": False}
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}?market_ticker={A}")).status == 409
        assert (await asked(emulator, "POST", "/emulator/exchange/resume", EMPTY)).json == {"trading_active": False}
        assert (await asked(emulator, "POST", "/emulator/exchange/start", EMPTY)).json == {"exchange_active": True}
        assert (await emulator.ask("DELETE", f"{V2}/{order_id}?market_ticker={A}")).status == 200


async def test_a_close_moves_and_a_result_is_disputed(autojump_clock: MockClock) -> None:
    """Closed now, open again later, determined, disputed, amended."""
    async with world() as emulator:
        statuses = []
        for step, body in (
            ("close", {"seconds": 0}),
            ("close", {"seconds": 600}),
            ("resume", EMPTY),
            ("settle", {"result": "yes"}),
            ("dispute", EMPTY),
            ("amend", {"result": "scalar", "value": "0.2500"}),
        ):
            statuses.append((await asked(emulator, "POST", f"/emulator/markets/{A}/{step}", body)).json["status"])
        assert statuses == ["closed", "inactive", "active", "determined", "disputed", "amended"]
        assert emulator.exchange.market(A).settlement_value == 2_500


async def test_fees_change_now_or_later(autojump_clock: MockClock) -> None:
    """An event's, a series' and a market's waiver; as many as may wait are taken."""
    async with world() as emulator:
        exchange = emulator.exchange
        event, series = "/emulator/events/DEMOTEMP-DAY1/fees", "/emulator/series/DEMOTEMP/fees"
        told = await asked(emulator, "POST", event, {"fee_type": "quadratic_with_maker_fees", "multiplier": "0.25"})
        assert told.json["scheduled_ms"] == exchange.now_ms
        terms = exchange.events["DEMOTEMP-DAY1"]
        assert (terms.fee_type, terms.multiplier_ppm) == (FeeType.QUADRATIC_WITH_MAKER_FEES, 250_000)
        await asked(emulator, "POST", series, {"fee_type": "quadratic", "multiplier": "2", "seconds": 30})
        await asked(emulator, "POST", event, {"seconds": 30})
        assert exchange.series["DEMOTEMP"].multiplier_ppm == 1_000_000
        await trio.sleep(31)
        assert exchange.series["DEMOTEMP"].multiplier_ppm == 2_000_000
        assert exchange.events["DEMOTEMP-DAY1"].multiplier_ppm is None
        assert (await asked(emulator, "POST", f"/emulator/markets/{A}/waive", {"seconds": 9})).status == 200
        assert exchange.market(A).fee_waiver_ms == exchange.now_ms + 9_000
        for _ in range(EMULATOR_FEE_CHANGES_MAX):
            exchange.override_fees("DEMOTEMP-DAY1", None, 0, exchange.now_ms + 60_000)
        refused = await asked(emulator, "POST", event, {"seconds": 1})
        assert (refused.status, refused.json) == (409, {"error": "too many changes of fees are to come"})


async def test_a_shard_pauses_by_itself(autojump_clock: MockClock) -> None:
    """Its markets and no others; a pause of everything is a matter of its own."""
    rules = ExchangeSettings(exchange_indexes=(0, 2))
    async with world(exchange_settings=rules) as emulator:
        paths = ("/emulator/exchange/pause", "/emulator/exchange/resume")
        assert (await asked(emulator, "POST", paths[0], {"shard": 2})).json == {"trading_active": False}
        assert (emulator.exchange.hours.trades(0), emulator.exchange.hours.trades(2)) == (True, False)
        refused = await asked(emulator, "POST", paths[0], {"shard": 1})
        assert (refused.status, refused.json["error"]) == (400, "there is no shard 1: 0, 2")
        assert (await asked(emulator, "POST", paths[0], EMPTY)).json == {"trading_active": False}
        assert (await asked(emulator, "POST", paths[1], {"shard": 2})).json == {"trading_active": False}
        assert (await asked(emulator, "POST", paths[1], EMPTY)).json == {"trading_active": True}
        assert emulator.exchange.hours.trades(2)


async def test_a_grid_grows_finer_and_not_coarser(autojump_clock: MockClock) -> None:
    """What rests stays, the stream tells of the new ranges, and prices between the old ones are taken."""
    async with world() as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["market_lifecycle_v2"])
        order_id = (await emulator.create()).json["order_id"]
        assert (await emulator.create(price="0.0150")).status == 400
        path = f"/emulator/markets/{A}/grid"
        assert (await asked(emulator, "POST", path, {"structure": "deci_cent"})).json == {"status": "active"}
        (told,) = await heard(socket)
        assert part(told, "msg")["event_type"] == "price_level_structure_updated"
        assert (await emulator.create(price="0.0150")).status == 201
        assert emulator.exchange.rests(str(order_id))
        coarser = await asked(emulator, "POST", path, {"structure": "linear_cent"})
        assert (coarser.status, coarser.json["error"]) == (
            409,
            "linear_cent lacks prices of deci_cent, at which orders may rest",
        )


async def test_a_channel_fails_on_every_stream(autojump_clock: MockClock) -> None:
    """Error 10 where it is open, and nothing elsewhere."""
    async with world() as emulator, emulator.stream() as first, emulator.stream() as second:
        await ask(first, 1, "subscribe", channels=["trade", "fill"])
        await ask(second, 1, "subscribe", channels=["fill"])
        failed = await asked(emulator, "POST", "/emulator/streams/fail", {"channel": "trade"})
        assert failed.json == {"failed": 1}
        assert [part(frame, "msg")["code"] for frame in await heard(first)] == [10]
        assert await heard(second) == []


async def test_maintenance_is_announced_and_withdrawn(autojump_clock: MockClock) -> None:
    """It is in the schedule, comes and goes by the clock, and while it is on the status says until when; what is
    withdrawn does not come, or ends."""
    path = "/emulator/exchange/maintenance"
    async with world() as emulator:

        async def windows() -> object:
            return part(await emulator.get("/exchange/schedule", signed=False), "schedule")["maintenance_windows"]

        told = await asked(emulator, "POST", path, {"in_seconds": 60, "seconds": 30})
        assert await windows() == [told.json]
        assert (await emulator.create()).status == 201
        await trio.sleep(61)
        status = await emulator.ask("GET", "/trade-api/v2/exchange/status", signed=False)
        assert (status.status, status.json["exchange_estimated_resume_time"]) == (503, told.json["end_datetime"])
        await trio.sleep(30)
        assert ((await emulator.create()).status, await windows()) == (201, [])
        await asked(emulator, "POST", path, {"in_seconds": 0, "seconds": 30})
        await asked(emulator, "POST", path, {"in_seconds": 60, "seconds": 30})
        assert (await emulator.create()).status == 503
        assert (await asked(emulator, "DELETE", path, EMPTY)).json == {"withdrawn": 2}
        assert ((await emulator.create()).status, await windows()) == (201, [])
        await trio.sleep(61)
        assert (await emulator.create()).status == 201


async def test_there_is_a_most_of_announcements(autojump_clock: MockClock) -> None:
    """One too many is refused, and what is announced stays."""
    async with world() as emulator:
        body = {"in_seconds": 60, "seconds": 30}
        for _ in range(MAINTENANCE_WINDOWS_MAX):
            assert (await asked(emulator, "POST", "/emulator/exchange/maintenance", body)).status == 200
        refused = await asked(emulator, "POST", "/emulator/exchange/maintenance", body)
        assert (refused.status, refused.json["error"]) == (409, "20 windows are announced already: withdraw them")
        assert len(emulator.exchange.hours.announced) == MAINTENANCE_WINDOWS_MAX


async def test_a_floor_cancels_what_is_below_it(autojump_clock: MockClock) -> None:
    """The reason says so, the market shows it, and no price and no result below it is taken."""
    market = f"/emulator/markets/{A}"
    async with world() as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["user_orders"])
        low, high = [str((await emulator.create(price=price)).json["order_id"]) for price in ("0.2400", "0.2500")]
        assert (await asked(emulator, "POST", f"{market}/floor", {"value": "0.2500"})).json == {"status": "active"}
        assert (emulator.exchange.rests(low), emulator.exchange.rests(high)) == (False, True)
        gone = part((await heard(socket))[-1], "msg")
        assert (gone["order_id"], gone["status"], gone["last_update_reason"]) == (
            low,
            "canceled",
            "SettlementBoundsCancel",
        )
        shown = part(await emulator.get(f"/markets/{A}"), "market")
        assert (shown["settlement_bounds_type"], shown["settlement_floor_dollars"]) == ("floor", "0.2500")
        assert part((await emulator.create(price="0.2400")).json, "error")["code"] == "invalid_price"
        for result in ({"result": "no"}, {"result": "scalar", "value": "0.2400"}):
            refused = await asked(emulator, "POST", f"{market}/settle", result)
            assert (refused.status, refused.json["error"]) == (
                409,
                f"{A} settles at its floor or above: at a value from 0.2500 on",
            )
        at_floor = {"result": "scalar", "value": "0.2500"}
        assert (await asked(emulator, "POST", f"{market}/settle", at_floor)).json == {"status": "determined"}
