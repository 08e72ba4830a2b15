"""Every message that a stream can send, against the exchange's specification and against its recordings.

Where the two disagree api.md says which is newer: `clock` and `sending_ts_ms` are required or known today and absent
from every recording, so the specification is met with both settings on, the recordings with both off.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import pairwise

import pytest
import trio
from attrs import evolve
from emulator_world import BARE, SHARED, V2, A, B, C, Frame, Taken, World, ask, heard, now_ms, part, say, world
from small_exchange import World as SmallWorld
from spec_schemas import Specification
from trio.testing import MockClock
from trio_websocket import WebSocketConnection

from kalshi_daemon.emulator.channels import CHANNELS, ERRORS
from kalshi_daemon.emulator.fault_schedule import FaultSchedule
from kalshi_daemon.emulator.fault_text import parse_fault
from kalshi_daemon.emulator.grid import DECI_CENT, LINEAR_CENT
from kalshi_daemon.emulator.keyring import KeyTerms, Reader
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.emulator.model import NewOrder, SelfTradePrevention, Series
from kalshi_daemon.emulator.streams import StreamSession
from kalshi_daemon.units import CONTRACT, PRICE_CENT, BookSide, FeeType, TimeInForce

LATE, COMBO = "DEMORATE-MEET-CUT", "KXMVEDEMO-S1-A"
RECORDINGS = SHARED / "recordings"
# What the specification lets the exchange send, and the emulator does not: outside values and requests for quotes.
SILENT = {
    *("cfbenchmarksValue", "cfbenchmarksValue5Hz", "pythValue"),
    *("rfqCreated", "rfqDeleted", "quoteCreated", "quoteAccepted", "quoteExecuted"),
    *("rfqBatchCreated", "rfqBatchDeleted", "rfqBatchBestQuotes", "rfqBatchExecuted"),
    *("batchQuoteCreated", "batchQuoteAccepted", "batchQuoteExecuted"),
}
OUR_SIDE = ("Command", "Ping", "Pong")  # what the client says, and control frames
BY_TYPE = {
    "subscribed": "subscribedResponse",
    "unsubscribed": "unsubscribedResponse",
    "error": "errorResponse",
    "orderbook_snapshot": "orderbookSnapshot",
    "orderbook_delta": "orderbookDelta",
    "ticker": "ticker",
    "trade": "trade",
    "fill": "fill",
    "user_order": "userOrder",
    "market_position": "marketPosition",
    "order_group_updates": "orderGroupUpdates",
    "market_lifecycle_v2": "marketLifecycleV2",
    "multivariate_market_lifecycle": "multivariateMarketLifecycle",
    "event_lifecycle": "eventLifecycle",
    "event_fee_update": "eventFeeUpdate",
    "cfbenchmarks_value_indexlist": "cfbenchmarksIndexList",
    "cfbenchmarks_value_5hz_indexlist": "cfbenchmarks5HzIndexList",
    "pyth_value_underlying_list": "pythUnderlyingList",
}


def message_of(frame: Frame) -> str:
    """Which message of the specification a frame is."""
    msg = frame.get("msg")
    if frame["type"] == "ok":
        if isinstance(msg, list):
            return "listSubscriptionsResponse"
        assert isinstance(msg, dict)
        outside = {"index_ids": "subscribedIndicesResponse", "underlying_tickers": "subscribedUnderlyingsResponse"}
        return next((outside[name] for name in msg if name in outside), "okResponse")
    if isinstance(msg, dict) and msg.get("event_type") == "metadata_updated":
        return "marketMetadataUpdated"
    return BY_TYPE[str(frame["type"])]


# ------------------------------------------------------------------------------------------------- the specification


def test_what_does_not_keep_to_the_specification_is_found() -> None:
    """A field too many, one too few, one of another type, and a word that is none: each is named."""
    specified = Specification("asyncapi.yaml")
    msg: Frame = {"code": 5, "msg": "Unknown command"}
    good: Frame = {"type": "error", "msg": msg}
    assert specified.misfits("errorResponsePayload", good) == []
    spoilt: list[Frame] = [
        good | {"id": "1"},
        good | {"extra": 1},
        {"type": "error"},
        good | {"msg": msg | {"code": 6}},
        good | {"msg": msg | {"why": ""}},
    ]
    assert [len(specified.misfits("errorResponsePayload", frame)) for frame in spoilt] == [1] * 5


async def test_every_message_keeps_to_the_specification(autojump_clock: MockClock) -> None:
    """A walk through everything that a stream can be made to say: no frame has a field too many, too few or wrong, and
    no message is left out but those of the channels that stay silent."""
    specified = Specification("asyncapi.yaml")
    async with world() as emulator, emulator.stream() as socket:
        frames = [frame async for frame in _everything(emulator, socket)]
    messages = specified.document["components"]["messages"]
    for frame in frames:
        payload = messages[message_of(frame)]["payload"]["$ref"].rpartition("/")[2]
        assert specified.misfits(payload, frame) == [], frame
    sent = {message_of(frame) for frame in frames}
    assert sent | SILENT == {name for name in messages if not any(word in name for word in OUR_SIDE)}
    assert sent & SILENT == set()


async def test_every_word_of_the_specification_is_said(autojump_clock: MockClock) -> None:
    """All error codes, all steps of markets, combos and order groups, and every channel."""
    schemas = Specification("asyncapi.yaml").document["components"]["schemas"]
    async with world() as emulator, emulator.stream() as socket:
        frames = [frame async for frame in _everything(emulator, socket)]

    def said(kind: str, word: str) -> set[object]:
        return {part(frame, "msg")[word] for frame in frames if frame["type"] == kind and word in part(frame, "msg")}

    def words(payload: str, word: str) -> set[object]:
        return set(schemas[payload]["properties"]["msg"]["properties"][word]["enum"])

    assert said("error", "code") == words("errorResponsePayload", "code") == set(ERRORS)
    assert said("market_lifecycle_v2", "event_type") == words("marketLifecycleV2Payload", "event_type") | {
        "metadata_updated"
    }
    combos = words("multivariateMarketLifecyclePayload", "event_type")
    assert said("multivariate_market_lifecycle", "event_type") == combos
    assert said("order_group_updates", "event_type") == words("orderGroupUpdatesPayload", "event_type")
    channels = schemas["subscribeCommandPayload"]["properties"]["params"]["properties"]["channels"]["items"]["enum"]
    assert set(CHANNELS) == set(channels)
    assert said("user_order", "status") == {"resting", "canceled", "executed"}
    reasons = {"Trade", "Decrease", "Amend", "SelfTradeCancel", "ExpiryCancel", "CloseCancel", "HaltCancel"}
    assert said("user_order", "last_update_reason") == reasons <= set(schemas["lastUpdateReason"]["enum"])


async def _everything(emulator: World, socket: WebSocketConnection) -> AsyncIterator[Frame]:
    """Every frame of a walk through all that the exchange can do to a stream."""
    for step in (_subscribed, _traded, _moved, _grouped, _failed):
        await step(emulator, socket)
        for frame in await heard(socket):
            yield frame
    await trio.sleep(61)  # payment
    for frame in await heard(socket):
        yield frame
    for frame in await ask(socket, 90, "unsubscribe", sids=list(range(1, 14))):
        yield frame


async def _subscribed(_emulator: World, socket: WebSocketConnection) -> None:
    """Every command, on every channel that takes it."""
    everything = {"channels": list(CHANNELS), "market_tickers": [A, B], "index_ids": ["BRTI"]}
    await say(socket, 1, "subscribe", **everything, send_initial_snapshot=True)
    await say(socket, 2, "subscribe", **everything, underlying_tickers=["Crypto.BTC"])
    await say(socket, 3, "list_subscriptions")
    sids = {channel: sid for sid, channel in enumerate(CHANNELS, 1)}
    for action in ("add_markets", "get_snapshot", "delete_markets", "add_markets"):
        await say(socket, 4, "update_subscription", sid=sids["orderbook_delta"], action=action, market_tickers=[C])
    for channel in ("cfbenchmarks_value", "cfbenchmarks_value_5hz"):
        await say(socket, 5, "update_subscription", sid=sids[channel], action="indexlist")
    await say(socket, 6, "update_subscription", sid=sids["pyth_value"], action="underlying_list")


async def _traded(emulator: World, _socket: WebSocketConnection) -> None:
    """Orders in every way in which they change and end."""

    async def order(**terms: object) -> str:
        answer = await emulator.create(**terms)
        assert answer.status == 201, answer
        return f"{V2}/{answer.json['order_id']}"

    filled = await order(count="2.00")
    emulator.trade(A, 1)
    changed = {"ticker": A, "side": "bid", "count": "2.00", "price": "0.4900"}
    assert (await emulator.ask("POST", f"{filled}/amend", changed)).status == 200
    emulator.trade(A, 1, cents=49)
    smaller = await order(price="0.3000", count="3.00")
    reduced = {"reduce_by": "1.00", "market_ticker": A}
    assert (await emulator.ask("POST", f"{smaller}/decrease", reduced)).status == 200
    assert (await emulator.ask("DELETE", f"{smaller}?market_ticker={A}")).status == 200
    await order(price="0.3000", expiration_time=now_ms() // 1_000 + 2)
    await order(side="ask", price="0.6000")
    stopping = NewOrder(
        A, BookSide.BID, 60 * PRICE_CENT, CONTRACT, TimeInForce.GOOD_TILL_CANCELED, SelfTradePrevention.MAKER
    )
    emulator.exchange.create_order(emulator.member, stopping)
    await order(ticker=B, price="0.2000", cancel_order_on_pause=True)
    emulator.exchange.halt(B)
    emulator.exchange.resume(B)
    await order(ticker=B, price="0.2000")
    await trio.sleep(3)


async def _moved(emulator: World, _socket: WebSocketConnection) -> None:
    """Markets, combos and events from their listing to their results."""
    exchange = emulator.exchange
    exchange.add_series(Series("KXMVEDEMO", "Invented combos", "Sports", FeeType.QUADRATIC, 1_000_000))
    for ticker in (LATE, COMBO):
        exchange.add_market(invented_market(ticker, "Invented", LINEAR_CENT, now_ms()))
        exchange.rename(ticker, "Renamed")
        exchange.change_grid(ticker, DECI_CENT)
        exchange.halt(ticker)
        exchange.resume(ticker)
        exchange.settle(ticker, "scalar", 4_321)
    exchange.override_fees("DEMORATE-MEET", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)
    exchange.override_fees("DEMORATE-MEET", None, None)
    exchange.settle(A, "yes")
    exchange.settle(B, "void")
    exchange.dispute(B)
    exchange.amend_result(B, "no")


async def _grouped(emulator: World, _socket: WebSocketConnection) -> None:
    """An order group of a subaccount, in all its steps, with an order that trades."""
    account = emulator.exchange.open_subaccount(emulator.member, 3)
    emulator.exchange.deposit(account, 100_000_000)
    path, whose = "/trade-api/v2/portfolio/order_groups", {"contracts_limit": 10, "subaccount": 3}
    group_id = (await emulator.ask("POST", path + "/create", whose)).json["order_group_id"]
    assert (await emulator.create(ticker=C, subaccount=3, order_group_id=group_id)).status == 201
    emulator.trade(C, 1)
    for step, body in (("limit", {"contracts_limit": 5}), ("trigger", None), ("reset", {})):
        answer = await emulator.ask("PUT", f"{path}/{group_id}/{step}?subaccount=3", body)
        assert answer.status == 200, answer
    assert (await emulator.ask("DELETE", f"{path}/{group_id}?subaccount=3")).status == 200


async def _failed(emulator: World, socket: WebSocketConnection) -> None:
    """Every error code, with and without a subscription that it is about."""
    for code in ERRORS:
        emulator.server.faults.add(parse_fault(f"refused:{code}x1"))
        await ask_only(socket, "list_subscriptions")
    for channel, sid in (("trade", 3), ("fill", 4)):
        await say(socket, 8, "update_subscription", sid=sid, action="nonsense")
        await trio.testing.wait_all_tasks_blocked(0.001)
        emulator.server.fail_channel(channel)


async def ask_only(socket: WebSocketConnection, cmd: str) -> None:
    """A command that is heard before anything else happens."""
    await say(socket, 7, cmd)
    await trio.testing.wait_all_tasks_blocked(0.001)


# --------------------------------------------------------------------------------------------------- the recordings


def recorded_frames(name: str) -> list[Frame]:
    """The frames of a recording, in their order."""
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip("the exchange's recordings are not beside the repository")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines() if line]
    return [line["frame"] for line in json.loads(path.read_text())["frames"]]


class Replay:
    """A recording brought about again: its markets with their books, its commands, and what changed its levels."""

    def __init__(self, frames: list[Frame], *, use_yes_price: bool) -> None:
        self.oriented = use_yes_price
        self.world = SmallWorld()
        self.outlet = Taken()
        for frame in frames:
            if frame["type"] == "orderbook_snapshot":
                self._list(part(frame, "msg"))
        self.session = StreamSession(
            self.world.exchange,
            Reader("nobody", KeyTerms()),
            BARE,
            lambda: self.world.now_ms,
            self.outlet,
            FaultSchedule(lambda: self.world.now_ms, random.Random(1)),
            lambda: self.world.now_ms,
        )
        self.world.exchange.listen(self.session.tell)

    def _list(self, msg: Frame) -> None:
        ticker = str(msg["market_ticker"])
        market = invented_market(ticker, "Recorded", LINEAR_CENT, self.world.now_ms)
        self.world.exchange.add_series(Series(market.series, "Recorded", "", FeeType.QUADRATIC, 1_000_000))
        self.world.exchange.add_market(evolve(market, market_id=str(msg["market_id"]), close_ms=2 * self.world.now_ms))
        for side in ("yes", "no"):
            pairs = msg.get(f"{side}_dollars_fp", [])
            assert isinstance(pairs, list)
            for price, count in pairs:
                self._set(ticker, side, self._own(side, price), scaled(count, 100))

    def _own(self, side: str, price: object) -> int:
        """A price of the wire in its own leg's price."""
        shown = scaled(price, 10_000)
        return 10_000 - shown if self.oriented and side == "no" else shown

    def _set(self, ticker: str, side: str, price: int, count: int) -> None:
        self.world.exchange.set_recorded(ticker, price, count, yes=side == "yes")

    def subscribe(self, request_id: object, channels: list[str], ticker: object) -> None:
        params = {"channels": channels, "market_tickers": [ticker], "use_yes_price": self.oriented}
        self.session.hear(json.dumps({"id": request_id, "cmd": "subscribe", "params": params}))

    def change(self, msg: Frame) -> None:
        """What a recorded delta says, done to the book at its time."""
        ticker, side = str(msg["market_ticker"]), str(msg["side"])
        price = self._own(side, msg["price_dollars"])
        book = self.world.exchange.book(ticker)
        before = dict(book.yes if side == "yes" else book.no).get(price, 0)
        self.world.now_ms = scaled(msg["ts_ms"], 1)
        self._set(ticker, side, price, before + scaled(msg["delta_fp"], 100))


def scaled(text: object, scale: int) -> int:
    return round(float(str(text)) * scale)


def to_the_millisecond(frames: list[Frame]) -> Iterator[Frame]:
    """Frames with their times as fine as our clock: the recorded `ts` has microseconds, and the same millisecond."""
    for frame in frames:
        msg = frame["msg"]
        if isinstance(msg, dict) and "ts" in msg:
            at_ms = datetime.fromisoformat(str(msg["ts"])).timestamp() * 1_000
            assert abs(at_ms - scaled(msg["ts_ms"], 1)) < 1.001
            yield frame | {"msg": {name: value for name, value in msg.items() if name != "ts"}}
        else:
            yield frame


@pytest.mark.parametrize("name", ["noleg", "yes"])
def test_the_recorded_demo_streams_come_out_again(name: str) -> None:
    """The same subscribe and the same changes of the book give the recorded frames, in either orientation."""
    frames = recorded_frames(f"demo-2026-06-11/ws__orderbook_trade_{name}.jsonl")
    replay = Replay(frames, use_yes_price=name == "yes")
    ticker = part(frames[2], "msg")["market_ticker"]
    replay.subscribe(1, ["orderbook_delta", "trade"], ticker)
    for frame in frames[3:]:
        assert frame["type"] == "orderbook_delta"
        replay.change(part(frame, "msg"))
    assert list(to_the_millisecond(replay.outlet.frames)) == list(to_the_millisecond(frames))


def test_the_recorded_production_stream_comes_out_again() -> None:
    """Twelve markets joined one by one, in the order in which the exchange took the commands: all 269 frames."""
    frames = recorded_frames("prod-2026-08/ws_orderbook_stream.json")
    replay = Replay(frames, use_yes_price=False)
    for answer, following in pairwise(frames):
        if answer["type"] in ("subscribed", "ok"):
            replay.subscribe(answer["id"], ["orderbook_delta"], part(following, "msg")["market_ticker"])
        elif answer["type"] == "orderbook_delta":
            replay.change(part(answer, "msg"))
    replay.change(part(frames[-1], "msg"))
    assert len(frames) == 269
    assert list(to_the_millisecond(replay.outlet.frames)) == list(to_the_millisecond(frames))


def test_recorded_frames_keep_to_the_specification_but_for_the_clock() -> None:
    """The recordings have every required field but `clock`, which is younger than they are."""
    specified = Specification("asyncapi.yaml")
    messages = specified.document["components"]["messages"]
    names = [f"demo-2026-06-11/ws__orderbook_trade_{name}.jsonl" for name in ("noleg", "yes")]
    for frame in [
        frame for name in (*names, "prod-2026-08/ws_orderbook_stream.json") for frame in recorded_frames(name)
    ]:
        payload = messages[message_of(frame)]["payload"]["$ref"].rpartition("/")[2]
        younger = ["$.msg: 'clock' is a required property"] if "orderbook" in str(frame["type"]) else []
        assert specified.misfits(payload, frame) == younger
