"""Streams by the real client: commands and their answers, sequence numbers, books that add up, private channels."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
from attrs import evolve
from emulator_world import BARE, A, B, C, Frame, ask, heard, now_ms, part, say, seqs, world
from trio.testing import MockClock

from kalshi_daemon.emulator.grid import LINEAR_CENT
from kalshi_daemon.emulator.markets import invented_market
from kalshi_daemon.units import BookSide


def error(request_id: int, code: int, text: str, **more: object) -> Frame:
    return {"type": "error", "id": request_id, **more, "msg": {"code": code, "msg": text}}


async def test_frames_look_as_recorded(autojump_clock: MockClock) -> None:
    """Subscribed, snapshot and delta have the recorded keys in the recorded order of frames, clock and stamp apart."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        emulator.trade(A, 3, side=BookSide.BID, cents=47)
        emulator.trade(A, 2, side=BookSide.ASK, cents=52)
        frames = await ask(socket, 1, "subscribe", channels=["orderbook_delta", "trade"], market_tickers=[A])
        market_id = emulator.exchange.market(A).market_id
        assert frames == [
            {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}},
            {"type": "subscribed", "id": 1, "msg": {"channel": "trade", "sid": 2}},
            {
                "type": "orderbook_snapshot",
                "sid": 1,
                "seq": 1,
                "msg": {
                    "market_ticker": A,
                    "market_id": market_id,
                    "yes_dollars_fp": [["0.4700", "3.00"]],
                    "no_dollars_fp": [["0.4800", "2.00"]],
                },
            },
        ]
        emulator.trade(A, 1, side=BookSide.ASK, cents=47)
        delta, trade = sorted(await heard(socket), key=lambda frame: str(frame["type"]))
        recorded = {"market_ticker", "market_id", "price_dollars", "delta_fp", "side", "ts", "ts_ms"}
        assert set(part(delta, "msg")) == recorded
        values = [part(delta, "msg")[name] for name in ("price_dollars", "delta_fp", "side", "ts_ms")]
        assert values == ["0.4700", "-1.00", "yes", now_ms() - 10]
        assert (delta["sid"], delta["seq"], trade["sid"], trade["seq"]) == (1, 2, 2, 1)
        assert part(trade, "msg")["taker_outcome_side"] == "no"


async def test_the_clock_and_the_sending_stamp_are_settings(autojump_clock: MockClock) -> None:
    """With both on, book frames carry a clock that a snapshot shares with its newest delta; every frame is stamped."""
    async with world() as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_ticker=A)
        emulator.trade(A, 3, side=BookSide.BID, cents=47)
        emulator.trade(A, 4, side=BookSide.BID, cents=47)
        frames = await heard(socket)
        frames += await ask(socket, 2, "update_subscription", sid=1, market_tickers=[A], action="get_snapshot")
        assert [part(frame, "msg")["clock"] for frame in frames] == [1, 2, 2]
        assert all(isinstance(frame["sending_ts_ms"], int) for frame in frames)
        assert [frame.get("id") for frame in frames] == [None, None, 2]


async def test_use_yes_price_turns_the_no_side(autojump_clock: MockClock) -> None:
    """The same book in both orientations: NO prices, or the same levels on the YES scale, ascending in either."""
    shown = {}
    async with world(BARE) as emulator:
        for cents, count in ((52, 2), (55, 7)):
            emulator.trade(A, count, side=BookSide.ASK, cents=cents)
        for turned in (False, True):
            async with emulator.stream() as socket:
                params = {"channels": ["orderbook_delta"], "market_tickers": [A], "use_yes_price": turned}
                snapshot = (await ask(socket, 1, "subscribe", **params))[1]
                assert "yes_dollars_fp" not in part(snapshot, "msg")
                emulator.trade(A, 1, side=BookSide.ASK, cents=60)
                delta = part((await heard(socket))[0], "msg")
                shown[turned] = (part(snapshot, "msg")["no_dollars_fp"], delta["side"], delta["price_dollars"])
    assert shown[False] == ([["0.4500", "7.00"], ["0.4800", "2.00"]], "no", "0.4000")
    assert shown[True] == ([["0.5200", "2.00"], ["0.5500", "7.00"], ["0.6000", "1.00"]], "no", "0.6000")


@pytest.mark.parametrize(
    ("said", "level"), [({}, "0.5200"), ({"use_yes_price": False}, "0.4800")], ids=["unsaid", "off"]
)
async def test_the_orientation_of_who_does_not_say_it_is_a_setting(
    autojump_clock: MockClock, said: dict[str, bool], level: str
) -> None:
    """The exchange announces that it will turn; what a client says outranks it."""
    async with world(evolve(BARE, yes_prices=True)) as emulator, emulator.stream() as socket:
        emulator.trade(A, 2, side=BookSide.ASK, cents=52)
        params = {"channels": ["orderbook_delta"], "market_tickers": [A], **said}
        snapshot = part((await ask(socket, 1, "subscribe", **params))[1], "msg")
        assert snapshot["no_dollars_fp"] == [[level, "2.00"]]


async def test_subscribing_again_widens_and_is_answered_ok(autojump_clock: MockClock) -> None:
    """The second subscribe of a channel is `ok` with all markets, sorted, then snapshots of the new ones only."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta", "fill"], market_tickers=[C])
        frames = await ask(socket, 2, "subscribe", channels=["orderbook_delta"], market_tickers=[B, C])
        assert frames[0] == {"type": "ok", "id": 2, "sid": 1, "seq": 2, "msg": {"market_tickers": sorted([B, C])}}
        assert [(frame["seq"], part(frame, "msg")["market_ticker"]) for frame in frames[1:]] == [(3, B)]
        private = await ask(socket, 3, "subscribe", channels=["fill"], market_tickers=[A])
        assert private == [{"type": "ok", "id": 3, "sid": 2, "msg": {"market_tickers": sorted([A, C])}}]
        listed = await ask(socket, 4, "list_subscriptions")
        msg = [{"channel": "orderbook_delta", "sid": 1}, {"channel": "fill", "sid": 2}]
        assert listed == [{"type": "ok", "id": 4, "msg": msg}]


async def test_markets_are_added_and_taken_away(autojump_clock: MockClock) -> None:
    """add_markets shows the new book, delete_markets ends its deltas, and every answer counts in seq."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        frames = await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
        update = {"sids": [1], "market_tickers": [B]}
        frames += await ask(socket, 2, "update_subscription", **update, action="add_markets")
        emulator.trade(B, 1)
        frames += await heard(socket)
        frames += await ask(socket, 3, "update_subscription", **update, action="delete_markets")
        emulator.trade(B, 1)
        emulator.trade(A, 1)
        frames += await heard(socket)
        frames += await ask(socket, 4, "unsubscribe", sids=[1])
        emulator.trade(A, 1)
        frames += await heard(socket)
        kinds = ["subscribed", "orderbook_snapshot", "ok", "orderbook_snapshot", "orderbook_delta", "ok"]
        assert [frame["type"] for frame in frames] == [*kinds, "orderbook_delta", "unsubscribed"]
        assert seqs(frames, 1) == [1, 2, 3, 4, 5, 6, 7]
        assert frames[-1] == {"type": "unsubscribed", "id": 4, "sid": 1, "seq": 7}
        again = await ask(socket, 5, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
        assert (part(again[0], "msg")["sid"], seqs(again, 2)) == (2, [1])


async def test_one_bad_channel_does_not_spoil_the_others(autojump_clock: MockClock) -> None:
    """Each channel of a subscribe is answered for itself, all under the command's id."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        frames = await ask(socket, 9, "subscribe", channels=["fill", "nonsense", "orderbook_delta", "user_orders"])
        assert frames == [
            {"type": "subscribed", "id": 9, "msg": {"channel": "fill", "sid": 1}},
            error(9, 8, "Unknown channel name"),
            error(9, 14, "Market Ticker required"),
            {"type": "subscribed", "id": 9, "msg": {"channel": "user_orders", "sid": 2}},
        ]


async def test_errors_have_their_codes(autojump_clock: MockClock) -> None:
    """Each malformed command gets its code; what is about a subscription carries its sid and counts in its seq."""
    one, book = {"sid": 1}, {"sids": [1], "market_tickers": [A]}
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["orderbook_delta", "fill"], market_tickers=[A])
        assert await ask(socket, 2, "dance") == [error(2, 5, "Unknown command")]
        assert await ask(socket, 2, "subscribe") == [error(2, 2, "Params required")]
        assert await ask(socket, 2, "subscribe", market_ticker=A) == [error(2, 3, "Channels required")]
        wrong = await ask(socket, 2, "subscribe", channels=["trade"], market_tickers=[1])
        assert wrong == [error(2, 11, "Invalid parameter")]
        wrong = await ask(socket, 2, "subscribe", channels=["trade"], use_yes_price="no")
        assert wrong == [error(2, 11, "Invalid parameter")]
        assert await ask(socket, 2, "unsubscribe", sids=[]) == [error(2, 4, "Subscription IDs required")]
        assert await ask(socket, 2, "unsubscribe", sids=[9]) == [error(2, 7, "Unknown subscription ID")]
        twice = await ask(socket, 2, "update_subscription", sids=[1, 2], action="add_markets")
        assert twice == [error(2, 12, "Exactly one subscription ID is required")]
        assert await ask(socket, 2, "update_subscription", sid=9) == [error(2, 7, "Unknown subscription ID")]
        assert await ask(socket, 2, "update_subscription", **one) == [error(2, 15, "Action required", sid=1, seq=2)]
        wrong = await ask(socket, 2, "update_subscription", **book, action="swap")
        assert wrong == [error(2, 13, "Unsupported action", sid=1, seq=3)]
        wrong = await ask(socket, 2, "update_subscription", **one, action="add_markets")
        assert wrong == [error(2, 14, "Market Ticker required", sid=1, seq=4)]
        wrong = await ask(socket, 2, "update_subscription", sid=2, market_tickers=[A], action="get_snapshot")
        assert wrong == [error(2, 13, "Unsupported action", sid=2)]
        for text in ("{", "[]", '"hello"', "{}"):
            await socket.send_message(text)
        await socket.send_message(b'{"id":1,"cmd":"list_subscriptions"}')
        unread = {"type": "error", "msg": {"code": 1, "msg": "Unable to process message"}}
        assert await heard(socket) == [unread] * 5
        await socket.send_message('{"id":"one","cmd":"list_subscriptions"}')
        assert await heard(socket) == [{"type": "error", "msg": {"code": 11, "msg": "Invalid parameter"}}]


async def test_unknown_markets_give_nothing_until_they_exist(autojump_clock: MockClock) -> None:
    """A ticker nobody knows is listed without an error; once created, its empty book is shown, then its deltas."""
    late = "DEMOTEMP-DAY1-T99"
    async with world(BARE) as emulator, emulator.stream() as socket:
        channels = ["orderbook_delta", "market_lifecycle_v2"]
        frames = await ask(socket, 1, "subscribe", channels=channels, market_tickers=[late])
        assert [frame["type"] for frame in frames] == ["subscribed", "subscribed"]
        emulator.exchange.add_market(invented_market(late, "Invented late", LINEAR_CENT, now_ms()))
        emulator.trade(late, 5, side=BookSide.BID)
        created, snapshot, delta = await heard(socket)
        assert (created["type"], part(created, "msg")["event_type"]) == ("market_lifecycle_v2", "created")
        assert set(part(snapshot, "msg")) == {"market_ticker", "market_id"}
        assert (snapshot["seq"], delta["seq"], part(delta, "msg")["delta_fp"]) == (1, 2, "5.00")


async def test_private_channels_tell_the_member_only(autojump_clock: MockClock) -> None:
    """A maker's fill reaches fill, user_orders and market_positions of its account, and nobody else's."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        other = emulator.server.join(1_000_000)
        theirs = emulator.headers("GET", "/trade-api/ws/v2", key=other)
        async with emulator.stream(theirs) as stranger:
            for one in (socket, stranger):
                await ask(one, 1, "subscribe", channels=["fill", "user_orders", "market_positions"])
            created = (await emulator.create(client_order_id="mine", count="2.00")).json
            assert [part(frame, "msg")["status"] for frame in await heard(socket)] == ["resting"]
            await trio.sleep(1)
            emulator.trade(A, 1)
            frames = {str(frame["type"]): part(frame, "msg") for frame in await heard(socket)}
            assert set(frames) == {"fill", "user_order", "market_position"}
            fill, order, position = (frames[name] for name in ("fill", "user_order", "market_position"))
            assert (fill["order_id"], fill["client_order_id"]) == (created["order_id"], "mine")
            assert [fill[k] for k in ("yes_price_dollars", "count_fp", "fee_cost", "post_position_fp", "is_taker")] == [
                "0.5000",
                "1.00",
                "0.000000",
                "1.00",
                False,
            ]
            assert [order[k] for k in ("status", "fill_count_fp", "remaining_count_fp", "last_update_reason")] == [
                "resting",
                "1.00",
                "1.00",
                "Trade",
            ]
            assert order["last_updated_ts_ms"] == now_ms() - 10
            assert [position[k] for k in ("position_fp", "position_cost_dollars", "user_id")] == [
                "1.00",
                "0.500000",
                emulator.member.user_id,
            ]
            assert await heard(stranger) == []


async def test_own_orders_are_named_in_deltas(autojump_clock: MockClock) -> None:
    """A delta that one's own order caused names it, when placed and when cancelled; to others it does not."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        other = emulator.headers("GET", "/trade-api/ws/v2", key=emulator.server.join(1_000_000))
        async with emulator.stream(other) as stranger:
            for one in (socket, stranger):
                await ask(one, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
            await emulator.create(client_order_id="mine")
            emulator.exchange.cancel_all(emulator.member)
            names = [part(frame, "msg").get("client_order_id") for frame in await heard(socket)]
            assert names == ["mine", "mine"]
            assert [part(frame, "msg").get("client_order_id") for frame in await heard(stranger)] == [None, None]


async def test_the_life_of_a_market_is_told(autojump_clock: MockClock) -> None:
    """Halt, resumption, a moved close, determination and settlement each send their event with their fields."""
    async with world(BARE) as emulator, emulator.stream() as socket:
        await ask(socket, 1, "subscribe", channels=["market_lifecycle_v2"])
        emulator.exchange.halt(A)
        emulator.exchange.resume(A)
        emulator.exchange.settle(B, "yes")
        await trio.sleep(61)
        frames = await heard(socket)
        assert seqs(frames, 1) == list(range(1, len(frames) + 1))
        events = [(part(frame, "msg")["market_ticker"], part(frame, "msg")["event_type"]) for frame in frames]
        assert events == [
            (A, "deactivated"),
            (A, "activated"),
            (B, "close_date_updated"),
            (B, "determined"),
            (B, "settled"),
        ]
        determined = part(frames[3], "msg")
        assert (determined["result"], determined["settlement_value"]) == ("yes", "1.0000")


async def test_books_add_up_under_a_busy_market(autojump_clock: MockClock) -> None:
    """For several seeds: snapshots plus deltas, joined at any moment, equal the exchange's book, and seq has no gap."""
    for seed in range(5):
        rng = random.Random(seed)
        async with world(BARE) as emulator, emulator.stream() as socket:
            tickers = [A, B, C]
            frames: list[Frame] = []
            for step in range(60):
                side = rng.choice((BookSide.BID, BookSide.ASK))
                emulator.trade(rng.choice(tickers), rng.randint(1, 9), side=side, cents=rng.randint(40, 60))
                if step == 10:
                    frames += await ask(socket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
                if step in (20, 40):
                    update = {"sid": 1, "market_tickers": [B, C], "action": "add_markets"}
                    await say(socket, 2, "update_subscription", **update)
                if step == 30:
                    await say(socket, 3, "update_subscription", sid=1, market_tickers=[A], action="get_snapshot")
            frames += await heard(socket)
            assert seqs(frames, 1) == list(range(1, len(seqs(frames, 1)) + 1))
            for ticker in tickers:
                book = emulator.exchange.book(ticker)
                assert replayed(frames, ticker) == Counter(
                    {("yes", p): n for p, n in book.yes} | {("no", p): n for p, n in book.no}
                )


def replayed(frames: list[Frame], ticker: str) -> Counter[tuple[str, int]]:
    """A market's levels from its snapshots and deltas, in hundredths of contracts."""
    levels: Counter[tuple[str, int]] = Counter()

    def scaled(text: object, scale: int) -> int:
        return round(float(str(text)) * scale)

    for frame in frames:
        msg = frame.get("msg")
        if not isinstance(msg, dict) or msg.get("market_ticker") != ticker:
            continue
        if frame["type"] == "orderbook_snapshot":
            sides = [(side, msg.get(f"{side}_dollars_fp", [])) for side in ("yes", "no")]
            levels = Counter({(side, scaled(p, 10_000)): scaled(n, 100) for side, pairs in sides for p, n in pairs})
        else:
            levels[str(msg["side"]), scaled(msg["price_dollars"], 10_000)] += scaled(msg["delta_fp"], 100)
            assert min(levels.values()) >= 0
    return +levels
